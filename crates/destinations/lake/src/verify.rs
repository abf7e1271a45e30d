//! Proof of what is stored: every byte is the one that was written, every row parses and says the truth about where it came
//! from, and no key has two rows in a base.

use std::sync::Arc;

use arrow_array::RecordBatch;
use backstory_destination::{Error, Finding};
use backstory_tables::split_version;

use crate::contents::elements;
use crate::footer::{BaseFile, DataFile, Holds};
use crate::rows::{Columns, Rows, in_parallel, texts};
use crate::state::State;
use crate::statistics::{Extents, Footer};
use crate::{key, proof};

/// What to do about a file whose rows are there, but wrong.
const REPLACE: &str = "; move it out of the lake and sync again, or run `backstory rebuild`";

/// Looks at everything.
pub(crate) fn verify(state: &State) -> Result<Vec<Finding>, Error> {
    let mut findings = Vec::new();
    for (path, why) in &state.strangers {
        findings.push(Finding::new(path, format!("{why}; the lake doesn't count it, so move it out")));
    }
    for (file, why) in &state.idle {
        findings.push(of_job(Finding::new(&file.path, why), file));
    }
    if let Some(base) = state.activities.base.as_ref().filter(|base| !base.is_complete) {
        let problem = format!(
            "has {} of the {} files of its base generation; sync again, which fetches the deliveries that were in it",
            base.files.len(),
            base.header.files
        );
        let folder = base.files.first().and_then(|file| file.path.parent());
        findings.push(Finding::new(folder.unwrap_or_else(|| "".as_ref()), problem));
    }
    let files: Vec<_> = state
        .activities
        .base_files()
        .iter()
        .chain(&state.activities.overlay)
        .chain(&state.contacts.observations)
        .collect();
    let found = in_parallel(&files, Vec::new, |findings, file| {
        let problem =
            problem_of(file).unwrap_or_else(|error| Some(format!("can't be read{}", cause_of(&error))));
        if let Some(problem) = problem {
            findings.push(of_job(Finding::new(&file.path, format!("{problem}{REPLACE}")), file));
        }
        Ok(())
    })?;
    findings.extend(found.into_iter().flatten());
    findings.sort_by(|left, right| left.what.cmp(&right.what));
    Ok(findings)
}

fn of_job(finding: Finding, file: &DataFile) -> Finding {
    match file.part() {
        Some(record) => finding.of_job(&record.delivery.job_id),
        None => finding,
    }
}

fn cause_of(error: &Error) -> String {
    std::error::Error::source(error).map(|cause| format!(" ({cause})")).unwrap_or_default()
}

/// The first thing that is wrong with a file.
fn problem_of(file: &Arc<DataFile>) -> Result<Option<String>, Error> {
    if !file.has_our_columns {
        return Ok(Some("has other columns than this version of backstory writes".to_owned()));
    }
    if !proof::is_as_written(file)? {
        return Ok(Some(proof::CHANGED.to_owned()));
    }
    let (rows, footer) = (Rows::open(file)?, Footer::read(file)?);
    let mut seen = Seen::default();
    for row_group in 0..file.row_groups.len() {
        seen.begin_bucket();
        let mut extents = Extents::default();
        let read = rows.read(row_group, Columns::All, None, |batch| {
            extents.take(&batch);
            seen.take(file, row_group, &batch)
        });
        if let Err(error) = read {
            return Ok(Some(format!("has rows that can't be read{}", cause_of(&error))));
        }
        if seen.problem.is_none()
            && let Some(column) = footer.contradiction(row_group, &extents)
        {
            seen.problem = Some(format!(
                "has a footer that tells another range of `{column}` than its rows have, so readers may pass them over"
            ));
        }
    }
    let (participants, campaigns) = file.children();
    let counted = (seen.rows, seen.participants, seen.campaigns);
    if seen.problem.is_none() && counted != (file.rows(), participants, campaigns) {
        return Ok(Some(format!(
            "has {} rows, {} participants and {} campaigns, and its footer says {}, {participants} and {campaigns}",
            counted.0,
            counted.1,
            counted.2,
            file.rows()
        )));
    }
    Ok(seen.problem)
}

/// What the rows of a file come to.
#[derive(Default)]
struct Seen {
    rows: u64,
    participants: u64,
    campaigns: u64,
    last_key: Option<String>,
    common: Option<String>,
    problem: Option<String>,
}

impl Seen {
    fn begin_bucket(&mut self) {
        self.last_key = None;
    }

    fn take(&mut self, file: &DataFile, row_group: usize, batch: &RecordBatch) -> Result<(), Error> {
        self.rows += batch.num_rows() as u64;
        self.participants += elements(batch, "participants").unsigned_abs();
        self.campaigns += elements(batch, "campaigns").unsigned_abs();
        let problem = match &file.holds {
            Holds::Base(base) => self.problem_of_bucket(file, base, row_group, batch)?,
            Holds::Part(record) => self.problem_of_delivery(file, &record.delivery.job_id, batch)?,
        };
        self.problem = self.problem.take().or(problem);
        Ok(())
    }

    fn problem_of_bucket(
        &mut self,
        file: &DataFile,
        base: &BaseFile,
        row_group: usize,
        batch: &RecordBatch,
    ) -> Result<Option<String>, Error> {
        for key in texts(batch, "_key", file)?.iter().flatten() {
            if self.last_key.as_deref().is_some_and(|last| last >= key) {
                return Ok(Some(format!("has two rows with the key `{key}`, or its rows aren't sorted")));
            }
            if base.filled.get(row_group) != Some(&key::bucket(key::hash(key), base.buckets)) {
                return Ok(Some(format!("has a row with the key `{key}`, which belongs to another bucket")));
            }
            self.last_key = Some(key.to_owned());
        }
        Ok(None)
    }

    fn problem_of_delivery(
        &mut self,
        file: &DataFile,
        job_id: &str,
        batch: &RecordBatch,
    ) -> Result<Option<String>, Error> {
        if texts(batch, "_job_id", file)?.iter().any(|job| job != Some(job_id)) {
            return Ok(Some(format!("has rows of another job than {job_id}")));
        }
        for version in texts(batch, "_version", file)?.iter() {
            let Some((_, common, _)) = version.and_then(split_version) else {
                return Ok(Some("has rows without a version".to_owned()));
            };
            if common != self.common.get_or_insert_with(|| common.to_owned()) {
                return Ok(Some("has rows of several fragments".to_owned()));
            }
        }
        Ok(None)
    }
}
