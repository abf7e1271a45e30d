//! The blocking half of a window: bytes from the pipe to files in their final form, which land when the bytes have ended
//! as they should.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use backstory_api::Job;
use backstory_limits::DateRange;
use backstory_tables::{
    BadRows, Conversion, CsvTables, ErrorKind as TableKind, Origin, Output, OutputFormat as TableFormat,
    ParquetOptions, Resource as TableResource, SourceFormat, Summary,
};

use super::BadRowPolicy;
use super::events::{Event, Observer};
use super::layout::{self, OutputFormat};
use super::manifest::FileEntry;
use super::window::Shared;
use crate::error::{Error, ErrorKind};
use crate::pipe::Receiver;
use crate::plan::Selection;
use crate::quarantine::Quarantine;
use backstory_destination::{Landed, Landing};

/// How many rows are decoded between two reports of progress.
const PROGRESS_STEP: u64 = 5_000;

/// Everything that a decoding thread needs.
pub(super) struct Decoding {
    folder: PathBuf,
    selection: Selection,
    window: DateRange,
    format: OutputFormat,
    source: SourceFormat,
    origin: Origin,
    bad_rows: BadRowPolicy,
    bad_rows_so_far: Arc<AtomicU64>,
    observer: Arc<dyn Observer>,
    cancelled: Arc<AtomicBool>,
}

/// What a decoding thread has brought.
pub(super) struct Decoded {
    pub(super) summary: Summary,
    pub(super) files: Vec<FileEntry>,
}

impl Decoding {
    pub(super) fn new(shared: &Shared<'_>, job: &Job, window: DateRange, cancelled: Arc<AtomicBool>) -> Self {
        let options = shared.options;
        let origin = Origin::of_job(
            job.job_id.as_str(),
            (window.start(), window.end()),
            shared.client.server_time().unwrap_or_else(|| (options.clock)()),
        )
        .with_job_times(job.job_created_time, job.job_start_time);
        Self {
            folder: options.folder.clone(),
            selection: shared.selection.clone(),
            window,
            format: options.format,
            source: layout::source(shared.selection, job.output_format.as_deref(), options.wire()),
            origin,
            bad_rows: options.bad_rows,
            bad_rows_so_far: Arc::clone(&shared.bad_rows),
            observer: Arc::clone(&shared.observer),
            cancelled,
        }
    }

    /// Decodes everything, and lets the files land when all of it is well.
    pub(super) fn run(self, reader: Receiver) -> Result<Decoded, Error> {
        let tables = layout::tables(&self.selection, self.format);
        let paths: Vec<String> = tables
            .iter()
            .map(|table| layout::file(table, &self.selection, self.window, self.format))
            .collect();
        let mut landings = paths.iter().map(|path| self.begin(path)).collect::<Result<Vec<_>, _>>()?;
        let quarantine = layout::quarantine(&self.selection, self.window);
        let set_apart = Quarantine::new(self.folder.join(&quarantine));
        let mut bad_rows = match self.bad_rows {
            BadRowPolicy::Fail => BadRows::fail(),
            BadRowPolicy::Quarantine { most } => set_apart.bad_rows(most),
        };
        let summary = self.convert(reader, &paths[0], &mut landings, &mut bad_rows);
        let summary = summary.map_err(|error| self.explain(error))?;
        bad_rows.finish().map_err(|error| self.explain(error))?;
        self.check_bad_rows(summary.bad_rows)?;

        let mut files = Vec::new();
        if let Some(landing) = set_apart.into_landing() {
            files.push(self.land(landing, &quarantine, "quarantine", summary.bad_rows)?);
        }
        // The main table is the last to appear: whoever finds it finds the others.
        for ((landing, path), table) in landings.into_iter().zip(&paths).zip(tables).rev() {
            let rows = match *table {
                "participants" => summary.participants,
                "campaigns" => summary.campaigns,
                _ => summary.rows,
            };
            files.push(self.land(landing, path, table, rows)?);
        }
        files.reverse();
        Ok(Decoded { summary, files })
    }

    fn convert(
        &self,
        reader: Receiver,
        name: &str,
        landings: &mut [Landing],
        bad_rows: &mut BadRows,
    ) -> Result<Summary, backstory_tables::Error> {
        let resource = match self.selection {
            Selection::Activities { .. } => TableResource::Activities,
            Selection::Contacts(_) => TableResource::Contacts,
        };
        let (observer, window) = (Arc::clone(&self.observer), self.window);
        let mut reported = 0;
        let conversion = Conversion::new(resource, self.source, self.origin.clone())
            .with_file_name(name)
            .with_cancellation(Arc::clone(&self.cancelled))
            .with_progress(move |progress| {
                if progress.rows >= reported + PROGRESS_STEP {
                    reported = progress.rows;
                    observer.on_event(Event::Rows { window, rows: progress.rows });
                }
            });
        match (self.format, landings) {
            (OutputFormat::Parquet, [file, ..]) => {
                conversion.to_parquet(reader, file, &ParquetOptions::default(), bad_rows)
            }
            (OutputFormat::JsonLines, [file, ..]) => {
                conversion.to_writers(reader, &Output::new(TableFormat::JsonLines), vec![file], bad_rows)
            }
            (_, [activities, participants, campaigns]) => conversion.to_csv(
                reader,
                CsvTables::activities(activities, participants, campaigns),
                bad_rows,
            ),
            (_, [contacts, ..]) => conversion.to_csv(reader, CsvTables::contacts(contacts), bad_rows),
            (_, []) => unreachable!("every export has a table"),
        }
    }

    fn check_bad_rows(&self, new: u64) -> Result<(), Error> {
        let total = self.bad_rows_so_far.fetch_add(new, Ordering::Relaxed) + new;
        match self.bad_rows {
            BadRowPolicy::Quarantine { most } if total > most => {
                let message = format!("{total} rows of the export are bad, and no more than {most} may be");
                Err(Error::new(ErrorKind::BadData, message).with_hint(
                    "something may have changed at the service; if the rows are harmless, allow more with --max-bad-rows",
                ))
            }
            _ => Ok(()),
        }
    }

    fn begin(&self, path: &str) -> Result<Landing, Error> {
        let path = self.folder.join(path);
        Landing::begin(&path).map_err(|error| Error::destination("write", &path, error))
    }

    fn land(&self, landing: Landing, path: &str, table: &str, rows: u64) -> Result<FileEntry, Error> {
        let landed: Landed =
            landing.commit().map_err(|error| Error::destination("write", &self.folder.join(path), error))?;
        Ok(FileEntry {
            path: path.to_owned(),
            table: table.to_owned(),
            bytes: landed.bytes,
            rows,
            sha256: landed.sha256,
        })
    }

    fn explain(&self, error: backstory_tables::Error) -> Error {
        let (kind, message, hint) = match error.kind() {
            TableKind::Write => (
                ErrorKind::Destination,
                format!("can't write into {}", self.folder.display()),
                Some(
                    "make room, or choose another folder, and run the same command again; what is whole is kept",
                ),
            ),
            _ if error.is_suspect_file() => (
                ErrorKind::BadData,
                "the result isn't an export, or isn't whole".to_owned(),
                Some(
                    "run the same command again; if it stays so, look at what the service sends with `backstory jobs download`",
                ),
            ),
            _ => (
                ErrorKind::BadData,
                "the result can't be decoded".to_owned(),
                Some("set bad rows apart with --on-bad-row quarantine, or allow more with --max-bad-rows"),
            ),
        };
        let own = Error::new(kind, message).with_source(error);
        match hint {
            Some(hint) => own.with_hint(hint),
            None => own,
        }
    }
}
