//! The crate's one error type: what can't be planned, run or kept, and what to do about it.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::path::Path;

use backstory_api::ErrorKind as ApiKind;
use backstory_limits::DateRange;

/// Why an export, or one of its windows, failed.
#[derive(thiserror::Error)]
#[error(transparent)]
pub struct Error(Box<Inner>);

#[derive(Debug, thiserror::Error)]
#[error("{}{message}", in_front(*window))]
struct Inner {
    kind: ErrorKind,
    window: Option<DateRange>,
    message: String,
    hint: Option<Cow<'static, str>>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

fn in_front(window: Option<DateRange>) -> String {
    window.map_or_else(String::new, |window| format!("{window}: "))
}

/// The classes of [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A use limit of the API stands against it. Nothing was sent.
    UseLimit,
    /// The folder holds another export's files, or files of nobody knows whom. Nothing was changed.
    Occupied,
    /// The destination can't be read or written.
    Destination,
    /// The credentials are refused, or are of another type.
    Authentication,
    /// The job has not ended within the deadline. It goes on at the service.
    DeadlinePassed,
    /// The job ended as `Failed` or `Canceled`, or the service refused it.
    Job,
    /// The service or the network doesn't answer properly.
    Unavailable,
    /// The result isn't what an export looks like, or has more bad rows than allowed.
    BadData,
    /// What is asked for makes no sense, or doesn't fit what is there already.
    Usage,
    /// Another run uses the destination now.
    Busy,
    /// The ledger can't be read or written.
    Ledger,
    /// The run was asked to stop.
    Interrupted,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner { kind, window: None, message: message.into(), hint: None, source: None }))
    }

    pub(crate) fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    pub(crate) fn with_hint(mut self, hint: impl Into<Cow<'static, str>>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    pub(crate) fn in_window(mut self, window: DateRange) -> Self {
        self.0.window.get_or_insert(window);
        self
    }

    /// A file or folder that can't be read or written.
    pub(crate) fn destination(what: &str, path: &Path, error: std::io::Error) -> Self {
        let hint = match error.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
                "make room and run the same command again; what is whole is kept"
            }
            std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem => {
                "choose a folder that you may write to"
            }
            _ => "check the path and run the same command again; what is whole is kept",
        };
        Self::new(ErrorKind::Destination, format!("can't {what} {}", path.display()))
            .with_hint(hint)
            .with_source(error)
    }

    /// What an error of the client means for an export.
    pub(crate) fn from_api(error: backstory_api::Error) -> Self {
        let kind = match error.kind() {
            ApiKind::UseLimit | ApiKind::QueueFull => ErrorKind::UseLimit,
            ApiKind::Unauthorized | ApiKind::Forbidden => ErrorKind::Authentication,
            ApiKind::DeadlinePassed => ErrorKind::DeadlinePassed,
            ApiKind::Destination => ErrorKind::Destination,
            ApiKind::BadRow => ErrorKind::BadData,
            ApiKind::Unavailable | ApiKind::BadDownload | ApiKind::BadReply | ApiKind::Setup => {
                ErrorKind::Unavailable
            }
            _ => ErrorKind::Job,
        };
        let mut own = Self::new(kind, "the export job didn't come to a result");
        own.0.hint = error.hint().map(Cow::Borrowed);
        own.with_source(error)
    }

    /// What an error of the destination means for a sync.
    pub(crate) fn from_destination(error: backstory_destination::Error) -> Self {
        use backstory_destination::ErrorKind as Kind;
        let (kind, message) = match error.kind() {
            Kind::Usage => (ErrorKind::Usage, "the destination can't be used like this"),
            Kind::Rows => (ErrorKind::BadData, "the delivery can't be taken in"),
            Kind::Busy => (ErrorKind::Busy, "the destination is in use"),
            _ => (ErrorKind::Destination, "the destination doesn't do its part"),
        };
        let mut own = Self::new(kind, message);
        own.0.hint = error.hint().map(|hint| Cow::Owned(hint.to_owned()));
        own.with_source(error)
    }

    /// Which class of failure this is.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The window that failed; nothing when the whole export did.
    pub fn window(&self) -> Option<DateRange> {
        self.0.window
    }

    /// What a person should do next.
    pub fn hint(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// Whether the other windows would fail for the same reason, so that going on is of no use.
    pub(crate) fn concerns_all_windows(&self) -> bool {
        matches!(self.0.kind, ErrorKind::Authentication | ErrorKind::Destination | ErrorKind::Occupied)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("message", &format_args!("{self}"))
            .field("source", &self.0.source)
            .finish()
    }
}
