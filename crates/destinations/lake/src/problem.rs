//! The errors of a lake: what was done to which file, and what to do about it.

use std::error::Error as StdError;
use std::path::Path;

use backstory_destination::{Error, ErrorKind};

type Cause = Box<dyn StdError + Send + Sync>;

/// A file or folder that can't be read.
pub(crate) fn unreadable(path: &Path, cause: impl Into<Cause>) -> Error {
    Error::new(ErrorKind::Read, format!("can't read {}", path.display())).with_source(cause)
}

/// A file or folder that can't be written.
pub(crate) fn unwritable(path: &Path, cause: impl Into<Cause>) -> Error {
    Error::new(ErrorKind::Write, format!("can't write {}", path.display()))
        .with_hint("make room on the disk, or have the lake's folder made writable, and run it again; nothing is lost")
        .with_source(cause)
}

/// A data file that isn't what it says.
pub(crate) fn damaged(path: &Path, problem: &str) -> Error {
    Error::new(ErrorKind::Damaged, format!("{} {problem}", path.display())).with_hint(
        "move the file out of the lake and sync again, which fetches anew what is missing; or run `backstory rebuild`",
    )
}

/// A data file whose rows can't be read.
pub(crate) fn unreadable_rows(path: &Path, cause: impl Into<Cause>) -> Error {
    damaged(path, "holds rows that can't be read").with_source(cause)
}
