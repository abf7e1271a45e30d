//! One run at a time for each destination: a lock that the system lets go of when the process ends, however it ends, with a
//! note of who holds it.

use std::fmt;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind};

/// Held for as long as it lives.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

/// Who holds a destination's lock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Holder {
    /// The process.
    pub pid: u32,
    /// The machine on which it runs.
    pub host: String,
    /// Since when, by the holder's clock.
    pub since: Timestamp,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {} on {}, since {}", self.pid, self.host, self.since)
    }
}

impl Lock {
    /// Takes the lock, if it is free; else says who holds it, as far as the note tells.
    pub(crate) fn try_take(path: &Path, now: Timestamp) -> Result<Result<Self, Option<Holder>>, Error> {
        let failed = |error| Error::destination("lock", path, error);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)
                .map_err(|error| Error::destination("make the folder", folder, error))?;
        }
        let mut options = OpenOptions::new();
        let mut file =
            options.read(true).write(true).create(true).truncate(false).open(path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                // A note that can't be read takes nothing from the fact.
                let holder =
                    file.read_to_string(&mut text).ok().and_then(|_| serde_json::from_str(&text).ok());
                return Ok(Err(holder));
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        let holder = Holder { pid: std::process::id(), host: super::host(), since: now };
        let note = serde_json::to_vec(&holder).map_err(|error| failed(error.into()))?;
        let written =
            file.set_len(0).and_then(|()| file.seek(SeekFrom::Start(0))).and_then(|_| file.write_all(&note));
        written.map_err(failed)?;
        Ok(Ok(Self { _file: file }))
    }

    /// Who holds the lock now, if anybody does and has left a note of it.
    pub(crate) fn holder(path: &Path) -> Option<Holder> {
        let text = Self::is_held(path).then(|| fs::read_to_string(path).ok())??;
        serde_json::from_str(&text).ok()
    }

    /// Whether somebody holds the lock now.
    pub(crate) fn is_held(path: &Path) -> bool {
        File::open(path).is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
    }

    /// What to say when the lock is held.
    pub(crate) fn busy(name: &str, holder: Option<&Holder>) -> Error {
        let who = holder.map_or_else(|| "another run".to_owned(), ToString::to_string);
        Error::new(ErrorKind::Busy, format!("{name} is in use by {who}"))
            .with_hint("wait until that run has ended, or let this one wait for it with --wait")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_told_who_the_first_is_and_since_when() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/lock");
        let now = "2026-06-18T12:00:00Z".parse().unwrap();
        let first = Lock::try_take(&path, now).unwrap().unwrap();
        assert!(Lock::is_held(&path));
        let holder = Lock::try_take(&path, now).unwrap().unwrap_err();
        assert_eq!(Lock::holder(&path), holder);
        let error = Lock::busy("data", holder.as_ref()).to_string();
        let pid = std::process::id();
        assert!(
            error.contains(&format!("process {pid} on ")) && error.contains("2026-06-18T12:00:00Z"),
            "{error}"
        );
        drop(first);
        assert!(!Lock::is_held(&path) && Lock::holder(&path).is_none());
        assert!(Lock::try_take(&path, now).unwrap().is_ok(), "what is left of the file blocks nobody");
    }
}
