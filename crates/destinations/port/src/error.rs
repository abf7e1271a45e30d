//! The crate's one error type, which every destination's is: what was being done to what, and why it failed.

use std::fmt;

/// Why a destination couldn't be used.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    message: String,
    hint: Option<String>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// The classes of [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The URL names no destination that there is, or the destination is another one than expected.
    Usage,
    /// Something can't be read.
    Read,
    /// Something can't be written.
    Write,
    /// What is stored isn't what a destination of ours holds.
    Damaged,
    /// The delivered rows can't be decoded; the source is a [`backstory_tables::Error`].
    Rows,
    /// Somebody else uses the destination now.
    Busy,
}

impl Error {
    /// An error with a message that says what was tried, on what, and why it failed.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner { kind, message: message.into(), hint: None, source: None }))
    }

    /// Adds what to do now.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// Adds the cause.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// A conversion's error: the output's when it couldn't write, else that of the rows.
    pub fn of_conversion(error: backstory_tables::Error) -> Self {
        match error.kind() {
            backstory_tables::ErrorKind::Write => {
                Self::new(ErrorKind::Write, "the rows can't be written").with_source(error)
            }
            _ => Self::new(ErrorKind::Rows, "the delivered rows can't be decoded").with_source(error),
        }
    }

    /// Which class of error this is.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// What to do now, where there is something to be done.
    pub fn hint(&self) -> Option<&str> {
        self.0.hint.as_deref()
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
            .field("hint", &self.0.hint)
            .field("source", &self.0.source)
            .finish()
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}
