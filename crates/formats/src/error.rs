//! The crate's one error type: what is wrong with a row, and where it stands.

use std::fmt;

use crate::row::Position;

/// Why a row could not be decoded. The file's other rows are not affected.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    position: Position,
    message: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// The classes of [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The row isn't UTF-8.
    InvalidUtf8,
    /// The row isn't JSON.
    InvalidJson,
    /// The row has more or fewer cells than the header.
    RaggedRow,
    /// The row is JSON, or a header, but not of the expected record: none of its fields is there. A refusal or an HTML
    /// page that was sent in place of a result looks like this.
    NotARecord,
    /// The row is longer than the bound.
    TooLong,
    /// The last row has no newline and isn't whole: the file was cut off.
    Unterminated,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, position: Position, message: impl Into<String>) -> Self {
        Self(Box::new(Inner { kind, position, message: message.into(), source: None }))
    }

    pub(crate) fn with_source(mut self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.0.source = Some(Box::new(source));
        self
    }

    /// Which class of error this is.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Where the row stands.
    pub fn position(&self) -> Position {
        self.0.position
    }

    /// Moves the row behind that many records, for a part of a file that was decoded before it was known how many stand in
    /// front of it.
    #[must_use]
    pub fn behind_records(mut self, records: u64) -> Self {
        self.0.position.record += records;
        self
    }

    /// Whether the whole file is suspect, not only this row: it was cut off, or it isn't an export at all.
    ///
    /// *Troubleshooting:* download the file again. If the same comes back, look at its first line: it is likely a
    /// message of the service or of a gateway.
    pub fn is_suspect_file(&self) -> bool {
        match self.0.kind {
            ErrorKind::Unterminated => true,
            ErrorKind::NotARecord => self.0.position.record <= 1,
            _ => false,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.position, self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("position", &self.0.position)
            .field("message", &self.0.message)
            .field("source", &self.0.source)
            .finish()
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}
