//! Where a destination's ledger, lock, quarantine and raw files stand.

use std::path::{Path, PathBuf};

use backstory_destination::Destination;

use crate::error::{Error, ErrorKind};

/// Where a destination's ledger, lock, quarantine and raw files stand: in the destination where that is a folder, else in
/// a folder for its state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatePlace {
    root: PathBuf,
    lock: PathBuf,
}

impl StatePlace {
    /// The place for a destination. With `state_dir`, everything but the lock of a destination that is a folder itself
    /// stands there: whoever uses the destination must meet the same lock.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`] when the destination is no folder and no `state_dir` is named.
    pub fn new(destination: &dyn Destination, state_dir: Option<&Path>) -> Result<Self, Error> {
        let root = state_dir.or(destination.home()).ok_or_else(|| {
            Error::new(
                ErrorKind::Usage,
                "there is no folder for the ledger and the raw files of this destination",
            )
            .with_hint("name one with --state-dir")
        })?;
        let locked = destination.home().unwrap_or(root);
        Ok(Self { root: root.to_owned(), lock: locked.join("_backstory/lock") })
    }

    /// The ledger.
    pub fn ledger(&self) -> PathBuf {
        self.root.join("_backstory/ledger.sqlite")
    }

    /// The folder of rows that couldn't be decoded.
    pub fn quarantine(&self) -> PathBuf {
        self.root.join("_backstory/quarantine")
    }

    /// The folder of deliveries as they came.
    pub fn raw(&self) -> PathBuf {
        self.root.join("raw")
    }

    pub(crate) fn lock(&self) -> &Path {
        &self.lock
    }
}
