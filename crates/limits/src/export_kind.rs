//! The two kinds of activity export, which select on different dates and have different range limits.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, ErrorKind};

/// What an export of activities selects on (contract (c.1)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ExportKind {
    /// Activities whose own date lies in the range: lays a historical base. At most a year a job.
    Snapshot,
    /// Activities that were processed in the range, whatever their own date: brings a base up to date. At most 14 days a job.
    Delta,
}

impl ExportKind {
    /// Both kinds.
    pub const ALL: [Self; 2] = [Self::Snapshot, Self::Delta];

    /// The word that the API uses, in lower case.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Snapshot => "snapshot",
            Self::Delta => "delta",
        }
    }
}

impl fmt::Display for ExportKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Reads the API's word in any case: clients in the wild send `Delta`, and the API echoes what it was sent.
impl FromStr for ExportKind {
    type Err = Error;

    fn from_str(word: &str) -> Result<Self, Error> {
        Self::ALL.into_iter().find(|kind| kind.as_str().eq_ignore_ascii_case(word)).ok_or_else(|| {
            Error::new(
                ErrorKind::UnknownKind,
                format!("`{word}` is not a kind of export; use `snapshot` (by activity date) or `delta` (by processing date)"),
            )
        })
    }
}
