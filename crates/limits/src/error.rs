//! The crate's one error type: why a range or a word can't be used, and what would be accepted instead.

use std::fmt;

/// Why a date, a range or a kind was refused.
///
/// The type is opaque so that it can grow; branch on [`Error::kind`]. The text says what was given, why it is refused
/// and what to do instead.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    message: String,
}

/// The classes of [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The text is not a UTC day `yyyy-MM-dd`, or names a day that doesn't exist.
    InvalidDate,
    /// The range starts after it ends.
    StartAfterEnd,
    /// The range covers more days than one export job may ask for. Splitting it helps.
    TooManyDays,
    /// The word is not a kind of export.
    UnknownKind,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: String) -> Self {
        Self(Box::new(Inner { kind, message }))
    }

    /// Which class of refusal this is.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Whether a use limit of the API refused it, rather than a malformed input.
    ///
    /// *Troubleshooting:* split the range ([`RangeLimit::split`](crate::RangeLimit::split)), or export it as another kind.
    pub fn is_use_limit(&self) -> bool {
        self.0.kind == ErrorKind::TooManyDays
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error").field("kind", &self.0.kind).field("message", &self.0.message).finish()
    }
}

impl std::error::Error for Error {}
