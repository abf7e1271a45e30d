//! What can go wrong.

use std::fmt;

use serde::Deserialize;

use crate::export::Layout;
use crate::jobs::Resource;

/// What goes wrong with one request.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Effect {
    /// The connection ends before the request is acted on.
    DropBefore(Close),
    /// The request is acted on, then the connection ends without a reply: the lost reply.
    DropAfter(Close),
    /// The body ends early and the connection with it. With `stated` the whole length was announced.
    Cut { at: Position, close: Close, stated: bool },
    /// The body ends early, cleanly, as if that were all: a torn last line.
    Torn(Position),
    /// The body is followed by bytes that do not belong to it, beyond the announced length.
    Long,
    /// All of the body but its last chunk.
    NoLastChunk,
    /// Nothing for so many real seconds, from some byte on.
    Stall { at: Position, seconds: f64 },
    /// A slow drip of so many bytes a real second.
    Drip(u64),
    /// Another reply than is due.
    Status(StatusFault),
    /// Something happens to the job that is created.
    Job(JobEffect),
    /// Something is odd about the records of a file.
    Records(RecordEffect),
    /// A gzip body; with its header, or without.
    Gzip { labelled: bool },
    /// A redirect to another host.
    Redirect,
    /// The file is gone, as past its retention.
    Expired,
}

/// How a connection ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Close {
    /// An orderly end of the stream.
    Fin,
    /// A reset.
    #[default]
    Rst,
}

/// Where in a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Position {
    Byte(u64),
    /// Anywhere, by seed.
    Random,
}

/// A reply of another status than is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StatusFault {
    pub(crate) status: u16,
    pub(crate) body: BodyKind,
    pub(crate) retry_after: RetryAfter,
    /// The request is acted on all the same.
    pub(crate) acted: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum BodyKind {
    #[default]
    Json,
    Html,
    Empty,
}

/// The forms of `Retry-After`, and one that is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum RetryAfter {
    #[default]
    Absent,
    Seconds(u32),
    /// A date so many world seconds ahead.
    Date(u32),
    Garbage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JobEffect {
    Fails,
    Cancelled,
    Hangs,
    /// Not found by status calls, and not listed, for so many seconds of job time.
    Invisible(u32),
    /// In a state that no client has heard of, until it ends.
    UnknownState,
    /// The reply to its creation repeats another range than was asked for.
    WrongEcho,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RecordEffect {
    Duplicates,
    Shuffled,
    /// Nulls where keys are absent.
    Nulls,
    /// Line separators that JSON allows unescaped.
    RawSeparators,
    Crlf,
}

impl RecordEffect {
    /// Whether it means anything for a file of this layout.
    pub(super) fn shows_in(self, layout: Layout, resource: Resource) -> bool {
        match self {
            Self::Duplicates | Self::Shuffled => true,
            // An empty cell is a null as it is.
            Self::Nulls => layout != Layout::Csv,
            // No contact has any.
            Self::RawSeparators => resource == Resource::Activities,
            // One array has no lines, and the rows of CSV end so anyway.
            Self::Crlf => layout == Layout::Lines,
        }
    }
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self {
            Self::DropBefore(Close::Rst) => "reset-before",
            Self::DropBefore(Close::Fin) => "close-before",
            Self::DropAfter(Close::Rst) => "reset-after",
            Self::DropAfter(Close::Fin) => "close-after",
            Self::Cut { stated: true, .. } => "short",
            Self::Cut { .. } => "cut",
            Self::Torn(_) => "torn",
            Self::Long => "long",
            Self::NoLastChunk => "no-last-chunk",
            Self::Stall { .. } => "stall",
            Self::Drip(_) => "drip",
            Self::Status(fault) => return write!(f, "status {}", fault.status),
            Self::Job(JobEffect::Fails) => "job-fails",
            Self::Job(JobEffect::Cancelled) => "job-cancelled",
            Self::Job(JobEffect::Hangs) => "job-hangs",
            Self::Job(JobEffect::Invisible(_)) => "job-invisible",
            Self::Job(JobEffect::UnknownState) => "job-unknown-state",
            Self::Job(JobEffect::WrongEcho) => "wrong-echo",
            Self::Records(RecordEffect::Duplicates) => "duplicates",
            Self::Records(RecordEffect::Shuffled) => "shuffled",
            Self::Records(RecordEffect::Nulls) => "nulls",
            Self::Records(RecordEffect::RawSeparators) => "raw-separators",
            Self::Records(RecordEffect::Crlf) => "crlf",
            Self::Gzip { labelled: true } => "gzip",
            Self::Gzip { labelled: false } => "gzip-unlabelled",
            Self::Redirect => "redirect",
            Self::Expired => "expired",
        };
        f.write_str(word)
    }
}
