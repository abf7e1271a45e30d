//! One conversion: from an open input to files that appear under their names only when all of them are whole.

use std::fs;
use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use backstory_destination::Landing;
use backstory_tables::{BadRows, Conversion, Output, Summary};

use crate::error::Error;
use crate::folders::MadeFolders;
use crate::input::Input;
use crate::paths::OutputPaths;

/// What becomes of rows that can't be decoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum BadRowPolicy {
    /// The first one is an error.
    #[default]
    Fail,
    /// They are set apart in a file of their own, [`OutputPaths::quarantine`]: one JSON object a line, with the row's file,
    /// record, line and byte, what is wrong with it, and its raw bytes.
    Quarantine {
        /// One more than this is an error.
        most: u64,
    },
}

/// How far a conversion has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// Bytes of the input that have been read, as it lies on disk.
    pub bytes_read: u64,
    /// Rows that have been converted.
    pub rows: u64,
}

/// How conversions are run.
#[derive(Clone, Default)]
pub struct ConvertOptions {
    bad_rows: BadRowPolicy,
    threads: Option<NonZeroUsize>,
    cancelled: Option<Arc<AtomicBool>>,
    on_progress: Option<Arc<dyn Fn(Progress) + Send + Sync>>,
}

impl ConvertOptions {
    /// Bad rows are refused, and there are two threads where there are two processors.
    pub fn new() -> Self {
        Self::default()
    }

    /// Says what becomes of rows that can't be decoded.
    #[must_use]
    pub fn with_bad_rows(mut self, policy: BadRowPolicy) -> Self {
        self.bad_rows = policy;
        self
    }

    /// Decodes and encodes on this many threads, where the work can be divided. The files are the same for any number.
    #[must_use]
    pub fn with_threads(mut self, threads: NonZeroUsize) -> Self {
        self.threads = Some(threads);
        self
    }

    /// Stops with [`ErrorKind::Cancelled`](crate::ErrorKind::Cancelled) soon after the flag has been set, with nothing left
    /// behind.
    #[must_use]
    pub fn with_cancellation(mut self, cancelled: Arc<AtomicBool>) -> Self {
        self.cancelled = Some(cancelled);
        self
    }

    /// Calls back after each piece that has been read and decoded.
    #[must_use]
    pub fn with_progress(mut self, on_progress: impl Fn(Progress) + Send + Sync + 'static) -> Self {
        self.on_progress = Some(Arc::new(on_progress));
        self
    }

    /// Converts an input to writers, one for each of [`Output::tables`], in place of files. Only rows that can't be decoded go
    /// to a file, `quarantine`, if the policy is to set them apart; it is the only one in [`Converted::files`].
    ///
    /// # Errors
    /// See [`ErrorKind`](crate::ErrorKind). What has been written until then is worth nothing.
    pub fn to_writers<W: Write + Send>(
        &self,
        input: Input,
        output: &Output,
        writers: Vec<W>,
        quarantine: &Path,
    ) -> Result<Converted, Error> {
        let quarantine = SharedLanding::later(quarantine, &Arc::default());
        let summary = self.write(input, output, writers, &quarantine)?;
        let apart = land_quarantine(&quarantine, summary.bad_rows)?;
        Ok(Converted { summary, files: apart.into_iter().collect() })
    }

    fn write<W: Write + Send>(
        &self,
        input: Input,
        output: &Output,
        writers: Vec<W>,
        quarantine: &SharedLanding,
    ) -> Result<Summary, Error> {
        let mut bad_rows = match self.bad_rows {
            BadRowPolicy::Fail => BadRows::fail(),
            BadRowPolicy::Quarantine { most } => {
                let quarantine = quarantine.clone();
                BadRows::quarantine(most, move || {
                    quarantine.open()?;
                    Ok(Box::new(quarantine))
                })
            }
        };
        let name = input.name.clone();
        let failed = |error| Error::of_tables(&name, error);
        let conversion = self.apply(&input);
        let summary = conversion.to_writers(input, output, writers, &mut bad_rows).map_err(failed)?;
        bad_rows.finish().map_err(failed)?;
        Ok(summary)
    }

    fn apply(&self, input: &Input) -> Conversion {
        let mut conversion = input.conversion();
        if input.is_list {
            conversion = conversion.with_bare_rows();
        }
        if let Some(threads) = self.threads {
            conversion = conversion.with_threads(threads);
        }
        if let Some(cancelled) = &self.cancelled {
            conversion = conversion.with_cancellation(Arc::clone(cancelled));
        }
        if let Some(on_progress) = &self.on_progress {
            let (on_progress, read) = (Arc::clone(on_progress), input.bytes_read());
            conversion = conversion.with_progress(move |progress| {
                on_progress(Progress { bytes_read: read.load(Ordering::Relaxed), rows: progress.rows });
            });
        }
        conversion
    }
}

impl std::fmt::Debug for ConvertOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConvertOptions")
            .field("bad_rows", &self.bad_rows)
            .field("threads", &self.threads)
            .finish_non_exhaustive()
    }
}

/// What a conversion has brought.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Converted {
    /// What it saw.
    pub summary: Summary,
    /// The files of the tables, and at the end that of the bad rows, if there were any.
    pub files: Vec<ConvertedFile>,
}

/// A file that is whole.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConvertedFile {
    /// The table that it holds; `quarantine` for bad rows.
    pub table: &'static str,
    /// Where it stands.
    pub path: PathBuf,
    /// Its rows.
    pub rows: u64,
    /// Its size.
    pub bytes: u64,
    /// The SHA-256 of its bytes, in lower-case hex.
    pub sha256: String,
}

/// Converts an input to files.
pub(crate) fn convert(
    input: Input,
    output: &Output,
    paths: &OutputPaths,
    options: &ConvertOptions,
) -> Result<Converted, Error> {
    let folders = Arc::default();
    let landings: Vec<SharedLanding> =
        paths.tables().map(|(_, path)| SharedLanding::begin(path, &folders)).collect::<Result<_, _>>()?;
    let quarantine = SharedLanding::later(paths.quarantine(), &folders);
    let summary = options.write(input, output, landings.clone(), &quarantine)?;

    // Whatever may fail fails before the first file has its name.
    landings.iter().chain([&quarantine]).try_for_each(SharedLanding::flush_to_disk)?;
    let apart = land_quarantine(&quarantine, summary.bad_rows)?;
    let mut files = Vec::new();
    // The main table is the last to appear: whoever finds it finds the others.
    for ((table, _), landing) in paths.tables().zip(&landings).collect::<Vec<_>>().into_iter().rev() {
        let rows = match table {
            "participants" => summary.participants,
            "campaigns" => summary.campaigns,
            _ => summary.rows,
        };
        files.extend(landing.commit(table, rows)?);
    }
    files.reverse();
    files.extend(apart);
    Ok(Converted { summary, files })
}

/// Gives the quarantine its name. Without bad rows there is none, and an earlier one would tell of another run.
fn land_quarantine(quarantine: &SharedLanding, rows: u64) -> Result<Option<ConvertedFile>, Error> {
    let landed = quarantine.commit("quarantine", rows)?;
    if landed.is_none() {
        match fs::remove_file(&quarantine.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(Error::write(&quarantine.path, error));
            }
            _ => {}
        }
    }
    Ok(landed)
}

/// A file on its way, which its writer and whoever commits it share. Its errors name it.
#[derive(Clone)]
struct SharedLanding {
    path: PathBuf,
    landing: Arc<Mutex<Option<Landing>>>,
    /// Those of the whole conversion. They go after the last file.
    folders: Arc<MadeFolders>,
}

impl SharedLanding {
    /// A file that is begun when it is known to be needed.
    fn later(path: &Path, folders: &Arc<MadeFolders>) -> Self {
        Self { path: path.to_owned(), landing: Arc::default(), folders: Arc::clone(folders) }
    }

    fn begin(path: &Path, folders: &Arc<MadeFolders>) -> Result<Self, Error> {
        let shared = Self::later(path, folders);
        shared.open().map_err(|error| Error::write(path, error))?;
        Ok(shared)
    }

    fn open(&self) -> io::Result<()> {
        self.folders.note_missing(&self.path);
        *self.lock() = Some(Landing::begin(&self.path)?);
        Ok(())
    }

    fn flush_to_disk(&self) -> Result<(), Error> {
        let flushed = self.lock().as_mut().map_or(Ok(()), Landing::sync);
        flushed.map_err(|error| Error::write(&self.path, error))
    }

    fn commit(&self, table: &'static str, rows: u64) -> Result<Option<ConvertedFile>, Error> {
        let Some(landing) = self.lock().take() else { return Ok(None) };
        let landed = landing.commit().map_err(|error| Error::write(&self.path, error))?;
        self.folders.keep();
        let (path, bytes, sha256) = (self.path.clone(), landed.bytes, landed.sha256);
        Ok(Some(ConvertedFile { table, path, rows, bytes, sha256 }))
    }

    fn lock(&self) -> MutexGuard<'_, Option<Landing>> {
        self.landing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Names the file in an error.
    fn named(&self, error: &io::Error) -> io::Error {
        io::Error::new(error.kind(), format!("{}: {error}", self.path.display()))
    }
}

impl Write for SharedLanding {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let written = self.lock().as_mut().map_or(Ok(data.len()), |landing| landing.write(data));
        written.map_err(|error| self.named(&error))
    }

    fn flush(&mut self) -> io::Result<()> {
        let flushed = self.lock().as_mut().map_or(Ok(()), Write::flush);
        flushed.map_err(|error| self.named(&error))
    }
}
