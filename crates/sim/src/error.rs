//! The crate's one error type: why the simulator could not be configured or started.

use std::error::Error as StdError;
use std::fmt;

/// Why the simulator could not be configured, started or asked.
///
/// The type is opaque so that it can grow; branch on [`Error::kind`]. The text says what was given, why it is refused
/// and what is allowed instead; the cause, where there is one, is in [`source`](StdError::source).
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    message: String,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// The classes of [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The address could not be bound, or the listener failed.
    Bind,
    /// A key is not `TYPE:ID:SECRET`, or its type is unknown.
    InvalidKey,
    /// A switch is not `jN=VALUE`, or has no such row or value.
    InvalidSwitch,
    /// A fault plan is neither a preset nor a readable TOML file.
    InvalidFaults,
    /// HTTPS could not be set up.
    Tls,
    /// A number or a time of the configuration is out of range, or two keys have the same id.
    InvalidSetting,
    /// A job was refused, as the API would refuse it.
    Refused,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner { kind, message: message.into(), source: None }))
    }

    pub(crate) fn caused(mut self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.0.source = Some(Box::new(source));
        self
    }

    /// Which class of error this is.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Whether what was given is at fault, rather than the machine.
    ///
    /// *Troubleshooting:* the text lists what is allowed; correct the setting and start again.
    pub fn is_usage(&self) -> bool {
        !matches!(self.0.kind, ErrorKind::Bind | ErrorKind::Tls)
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
            .field("source", &self.0.source)
            .finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_ref().map(|cause| &**cause as &(dyn StdError + 'static))
    }
}
