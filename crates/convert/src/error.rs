//! The crate's one error type: which file can't be converted, why, and what to do about it.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::path::Path;

use backstory_tables::ErrorKind as TableKind;

/// Why an export wasn't converted.
#[derive(thiserror::Error)]
#[error(transparent)]
pub struct Error(Box<Inner>);

#[derive(Debug, thiserror::Error)]
#[error("{message}")]
struct Inner {
    kind: ErrorKind,
    message: String,
    hint: Option<&'static str>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// The classes of [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// What was asked for makes no sense: two inputs would become one file, an output is an input, a form can't hold a shape.
    Usage,
    /// Neither the input's beginning nor its name says what it is.
    Unrecognised,
    /// The input can't be opened or read, or is cut off inside its compression.
    Read,
    /// An output can't be written.
    Write,
    /// A row can't be decoded, or more rows than allowed.
    BadRow,
    /// The input isn't a whole export, or isn't one at all.
    SuspectFile,
    /// The caller cancelled the work.
    Cancelled,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner { kind, message: message.into(), hint: None, source: None }))
    }

    pub(crate) fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    pub(crate) fn with_hint(mut self, hint: &'static str) -> Self {
        self.0.hint = Some(hint);
        self
    }

    pub(crate) fn read(name: &str, error: io::Error) -> Self {
        let hint = match error.kind() {
            io::ErrorKind::NotFound => "check the name",
            io::ErrorKind::PermissionDenied => "make the file readable for the user who runs this",
            _ => "check the file; if it is compressed, check that it is whole",
        };
        Self::new(ErrorKind::Read, format!("can't read {name}")).with_hint(hint).with_source(error)
    }

    pub(crate) fn write(path: &Path, error: io::Error) -> Self {
        let hint = write_hint(error.kind());
        Self::new(ErrorKind::Write, format!("can't write {}", path.display()))
            .with_hint(hint)
            .with_source(error)
    }

    /// What an error of the tables means for the conversion of a file.
    pub(crate) fn of_tables(name: &str, error: backstory_tables::Error) -> Self {
        let (kind, message, hint) = match error.kind() {
            TableKind::Format => (ErrorKind::Usage, format!("{name} can't be converted so"), None),
            TableKind::Read => {
                return match io_cause(&error) {
                    Some(kind) => Self::read(name, io::Error::new(kind, error)),
                    None => Self::new(ErrorKind::Read, format!("can't read {name}")).with_source(error),
                };
            }
            TableKind::Write => {
                let hint = write_hint(io_cause(&error).unwrap_or(io::ErrorKind::Other));
                (ErrorKind::Write, format!("what {name} becomes can't be written"), Some(hint))
            }
            TableKind::Cancelled => (ErrorKind::Cancelled, format!("{name} was not converted"), None),
            TableKind::SuspectFile => (
                ErrorKind::SuspectFile,
                format!("{name} isn't an export, or isn't whole"),
                Some("look at its first and last line; if it was cut off, download it again"),
            ),
            TableKind::TooManyBadRows => (
                ErrorKind::BadRow,
                format!("{name} was not converted"),
                Some("if the bad rows are harmless, allow more with --max-bad-rows"),
            ),
            _ => (
                ErrorKind::BadRow,
                format!("{name} was not converted"),
                Some("set bad rows apart with --on-bad-row quarantine"),
            ),
        };
        let own = Self::new(kind, message).with_source(error);
        match hint {
            Some(hint) => own.with_hint(hint),
            None => own,
        }
    }

    /// Which class of error this is.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// What a person should do next. Flags are those of `backstory convert`.
    pub fn hint(&self) -> Option<&'static str> {
        self.0.hint
    }

    /// Whether the caller cancelled the work.
    pub fn is_cancelled(&self) -> bool {
        self.0.kind == ErrorKind::Cancelled
    }

    /// Whether other files would fail in the same way, so that going on with them is of no use.
    ///
    /// *Troubleshooting:* make room on the disk, or name another folder; what has been converted is whole.
    pub fn concerns_all_files(&self) -> bool {
        matches!(self.0.kind, ErrorKind::Write | ErrorKind::Cancelled)
    }
}

fn write_hint(kind: io::ErrorKind) -> &'static str {
    match kind {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "make room and run the same command again; nothing half-written was left"
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "name a folder that you may write to, with --out"
        }
        io::ErrorKind::ResourceBusy => "wait for the other run, or name another folder with --out",
        _ => "check the path that --out names",
    }
}

/// The class of the I/O error that is behind another one.
fn io_cause(error: &(dyn StdError + 'static)) -> Option<io::ErrorKind> {
    let mut cause = Some(error);
    let mut found = None;
    while let Some(error) = cause {
        found = error.downcast_ref::<io::Error>().map(io::Error::kind).or(found);
        cause = error.source();
    }
    found
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
