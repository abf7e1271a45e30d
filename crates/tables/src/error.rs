//! The crate's one error type: what was being done to which file, and what went wrong.

use std::fmt;

use backstory_formats::Position;

/// Why rows didn't become a table.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    message: String,
    position: Option<Position>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// The classes of [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A row can't be decoded, and bad rows are to be refused.
    BadRow,
    /// More rows can't be decoded than may be quarantined.
    TooManyBadRows,
    /// The file was cut off, or isn't an export at all.
    SuspectFile,
    /// The input can't be read.
    Read,
    /// The output can't be written.
    Write,
    /// The caller cancelled the work.
    Cancelled,
    /// The resource isn't delivered in the format.
    Format,
    /// A batch hasn't the columns of the table that it is said to be of.
    Table,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner { kind, message: message.into(), position: None, source: None }))
    }

    pub(crate) fn with_source(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    pub(crate) fn at(mut self, position: Position) -> Self {
        self.0.position = Some(position);
        self
    }

    pub(crate) fn write(what: &str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::new(ErrorKind::Write, format!("can't write {what}")).with_source(source)
    }

    /// Which class of error this is.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Where the row stands that can't be decoded.
    pub fn position(&self) -> Option<Position> {
        self.0.position
    }

    /// Whether the file is no whole export: it was cut off, or it is something else.
    ///
    /// *Troubleshooting:* download it again. If the same comes back, look at its first line: it is likely a message of
    /// the service or of a gateway.
    pub fn is_suspect_file(&self) -> bool {
        self.0.kind == ErrorKind::SuspectFile
    }

    /// Whether the caller cancelled the work.
    pub fn is_cancelled(&self) -> bool {
        self.0.kind == ErrorKind::Cancelled
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("message", &self.0.message)
            .field("position", &self.0.position)
            .field("source", &self.0.source)
            .finish()
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}
