//! Bad rows in a file of their own, which lands only when the good ones do.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use backstory_destination::Landing;
use backstory_tables::BadRows;

/// A file for bad rows. It comes to be with the first of them.
pub(crate) struct Quarantine {
    path: PathBuf,
    written: Arc<Mutex<Option<Landing>>>,
}

impl Quarantine {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, written: Arc::default() }
    }

    /// Takes up to `most` bad rows.
    pub(crate) fn bad_rows(&self, most: u64) -> BadRows {
        let (path, written) = (self.path.clone(), Arc::clone(&self.written));
        BadRows::quarantine(most, move || {
            let landing = Some(Landing::begin(&path)?);
            Ok(Box::new(Writer { landing, written }))
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The file, if there were bad rows; it is to be committed. Their `BadRows` must be finished.
    pub(crate) fn into_landing(self) -> Option<Landing> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

struct Writer {
    landing: Option<Landing>,
    written: Arc<Mutex<Option<Landing>>>,
}

impl Write for Writer {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.landing.as_mut().map_or(Ok(data.len()), |landing| landing.write(data))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.landing.as_mut().map_or(Ok(()), Write::flush)
    }
}

/// When the writer is done with, what it wrote is handed back to be committed.
impl Drop for Writer {
    fn drop(&mut self) {
        *self.written.lock().unwrap_or_else(PoisonError::into_inner) = self.landing.take();
    }
}
