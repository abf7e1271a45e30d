//! A file that one part of the program writes while another asks how far it is.

use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use backstory_destination::Landing;

use crate::footer::Body;

/// A file on its way, shared.
#[derive(Clone, Debug)]
pub(crate) struct SharedLanding(Arc<Mutex<Option<Landing>>>);

impl SharedLanding {
    pub(crate) fn begin(path: &Path) -> io::Result<Self> {
        Ok(Self(Arc::new(Mutex::new(Some(Landing::begin(path)?)))))
    }

    /// What has been written so far.
    pub(crate) fn so_far(&self) -> Option<Body> {
        self.lock().as_ref().map(|landing| landing.so_far().into())
    }

    /// The file itself; whoever else has a share can't write any more.
    pub(crate) fn take(&self) -> Option<Landing> {
        self.lock().take()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Landing>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Write for SharedLanding {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.lock()
            .as_mut()
            .map_or_else(|| Err(io::Error::other("the file is closed")), |file| file.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.lock().as_mut().map_or(Ok(()), Landing::flush)
    }
}
