//! Downloads that survive a cut, and never take a part for the whole.
//!
//! [`Download`] says what to fetch and where it goes. `engine` restarts or resumes, `attempt` reads one reply and proves
//! it whole, `gzip` decompresses, `stream` hands chunks to the caller, `writer` writes them on blocking threads, and
//! `partial` and `journal` are the file that is not yet whole.

mod attempt;
mod engine;
mod gzip;
mod journal;
mod partial;
mod range;
mod stream;
mod writer;

use std::fmt;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

pub use stream::DownloadStream;

use crate::backoff::{Backoff, FullJitter};
use crate::error::Error;
use crate::service::{HttpService, Request};

use engine::{Engine, Restart, Step};
use writer::{Sink, Writer};

/// Fetches one resource, however often the connection breaks.
///
/// A download has no total timeout. It fails when no byte comes for the [stall timeout](Self::stall_timeout), when it was
/// [restarted](Self::restarts) too often in a row without getting further, or on a refusal that won't pass. A body counts as
/// whole only when its framing, its `Content-Length` and its gzip trailer, as far as there are any, agree that it is;
/// what was handed out is then covered by the sha256 in [`Downloaded`].
///
/// It asks for gzip and decompresses what comes, whether a header says so or only its first bytes (contract (j.18)).
/// Replies other than 200, 203 and 204 are [refused](crate::ErrorKind::Refused): a 202's body, say, is not the resource.
///
/// A `Download` works over any service. Over one with a [`Retry`](crate::Retry) layer, failures before the first byte are
/// that layer's business alone.
pub struct Download {
    plan: Plan,
}

/// What every attempt of a download needs to know.
struct Plan {
    service: Arc<dyn HttpService>,
    request: Box<dyn Fn() -> Request + Send + Sync>,
    stall_timeout: Duration,
    restarts: u32,
    backoff: Box<dyn Backoff>,
    progress: Option<Box<dyn Fn(Progress) + Send + Sync>>,
    resume: Resume,
    accept_unproven_end: bool,
}

/// Whether a cut download may go on where it stopped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Resume {
    /// Each restart fetches everything again. Always right, whatever the server does.
    #[default]
    Never,
    /// A restart asks for the rest, by `Range` and `If-Range`, and goes on only when it is proven to be the rest of the same
    /// thing: a 206 whose `Content-Range` begins at the right byte and whose validator (a strong `ETag`, else
    /// `Last-Modified`) is the same. Anything else starts over (contract (j.19)).
    ///
    /// Bytes are asked for uncompressed then, because half a gzip stream is of no use to another process.
    /// [`to_file`](Download::to_file) keeps what it has beside the target when it fails, is cancelled or is killed:
    /// `.NAME.partial`, and a journal, `.NAME.partial.json`, which is brought up to date every 16 MiB and on failure. The
    /// next download to the same file, from the same address, goes on from there after checking that the bytes on disk are
    /// those that the journal speaks of.
    IfRange,
}

/// How far a download is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// Decompressed bytes so far. Goes back to 0 when a file is started over.
    pub bytes: u64,
    /// Bytes received so far, as they came, all attempts together.
    pub wire_bytes: u64,
    /// The length that the present attempt's reply announced, as it comes; often unknown.
    pub wire_total: Option<u64>,
    /// How often it had to start again.
    pub restarts: u32,
}

/// What a download that came whole was.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Downloaded {
    /// Decompressed bytes, which are those that were written or streamed.
    pub bytes: u64,
    /// Bytes received, as they came, all attempts together.
    pub wire_bytes: u64,
    /// SHA-256 of the decompressed bytes, as 64 lower case hexadecimal digits.
    pub sha256: String,
    /// How often it had to start again.
    pub restarts: u32,
    /// The request id of the last reply (contract (j.39)).
    pub request_id: Option<String>,
    /// The `Date` header of the last reply, as it was sent; [`http_date`](crate::http_date) reads it.
    pub date: Option<String>,
    /// Whether the end is proven by a length, chunks, HTTP/2 or a gzip trailer. Only ever false with
    /// [`accept_unproven_end`](Download::accept_unproven_end).
    pub end_proven: bool,
}

impl Download {
    /// A download of what the requests ask for. `request` makes one for each attempt; it must be a GET for the same
    /// resource each time. `Accept-Encoding`, and `Range` where needed, are added.
    pub fn new(service: Arc<dyn HttpService>, request: impl Fn() -> Request + Send + Sync + 'static) -> Self {
        Self {
            plan: Plan {
                service,
                request: Box::new(request),
                stall_timeout: Duration::from_secs(60),
                restarts: 5,
                backoff: Box::new(FullJitter::default()),
                progress: None,
                resume: Resume::Never,
                accept_unproven_end: false,
            },
        }
    }

    /// For how long no byte may come before an attempt is given up, the head of its reply included; 60 s unless set. The time
    /// for which a layer makes it wait its turn doesn't count ([`ReplyWatch`](crate::ReplyWatch)).
    #[must_use]
    pub fn stall_timeout(mut self, timeout: Duration) -> Self {
        self.plan.stall_timeout = timeout;
        self
    }

    /// How often in a row it may start again without getting at least 64 KiB further than ever before; 5 unless set.
    #[must_use]
    pub fn restarts(mut self, restarts: u32) -> Self {
        self.plan.restarts = restarts;
        self
    }

    /// Pauses before a restart by this rule; [`FullJitter`] unless set. A `Retry-After` of up to 60 s is honoured too.
    #[must_use]
    pub fn with_backoff(mut self, backoff: impl Backoff + 'static) -> Self {
        self.plan.backoff = Box::new(backoff);
        self
    }

    /// Calls this after each chunk, on the task that drives the download: it should be quick.
    #[must_use]
    pub fn on_progress(mut self, progress: impl Fn(Progress) + Send + Sync + 'static) -> Self {
        self.plan.progress = Some(Box::new(progress));
        self
    }

    /// Whether a cut download may go on where it stopped; [`Resume::Never`] unless set.
    #[must_use]
    pub fn resume(mut self, resume: Resume) -> Self {
        self.plan.resume = resume;
        self
    }

    /// Whether a body that has neither a length nor chunks, and so ends with its connection, counts as whole. False unless
    /// set: such an end can't be told from a cut.
    #[must_use]
    pub fn accept_unproven_end(mut self, accept: bool) -> Self {
        self.plan.accept_unproven_end = accept;
        self
    }

    /// Downloads into a file, which appears under its name only when it is whole and on disk.
    ///
    /// Until then the bytes are in `.NAME.partial` in the same folder, which is removed on failure and on cancellation
    /// (but see [`Resume::IfRange`]). An existing file is replaced: whether that is wanted is for the caller to decide.
    /// Runs on a tokio runtime, whose blocking threads do the writing.
    ///
    /// # Errors
    /// [`Error`], among them [`ErrorKind::Destination`](crate::ErrorKind::Destination) when the disk is full, the folder is
    /// missing, or another download to the same file is under way.
    pub async fn to_file(self, path: impl AsRef<Path>) -> Result<Downloaded, Error> {
        partial::to_file(self.plan, path.as_ref()).await
    }

    /// Downloads into a writer and gives it back, flushed. The blocking threads of the tokio runtime do the writing.
    ///
    /// What was written can't be taken back: a restart skips that many bytes, and checks that they are the same.
    ///
    /// # Errors
    /// [`Error`]; what was written until then is a part of the whole.
    pub async fn to_writer<W: Write + Send + 'static>(self, writer: W) -> Result<(Downloaded, W), Error> {
        let mut engine = Engine::new(self.plan, Restart::SkipWhatIsOut);
        let mut writer = Writer::new(Sink(writer));
        loop {
            match engine.next().await? {
                Step::Data(chunk) => writer.write(chunk).await?,
                Step::Rewind => {}
                Step::End(downloaded) => return Ok((downloaded, writer.finish().await?)),
            }
        }
    }

    /// Downloads as the stream is polled; at most one chunk is held. A cut is mended inside: the stream goes on after what
    /// it has given out already, once that is proven to be the same as before.
    pub fn into_stream(self) -> DownloadStream {
        DownloadStream::new(Engine::new(self.plan, Restart::SkipWhatIsOut))
    }
}

impl fmt::Debug for Download {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Download")
            .field("stall_timeout", &self.plan.stall_timeout)
            .field("restarts", &self.plan.restarts)
            .field("resume", &self.plan.resume)
            .finish_non_exhaustive()
    }
}
