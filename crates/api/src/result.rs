//! The result of a completed job: to a file, to a writer, as bytes, or record by record.

use std::fmt;
use std::io::Write;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use backstory_transport::{
    Backoff, Download, DownloadStream, Downloaded, ErrorKind as TransportKind, Progress,
};
use bytes::Bytes;
use futures_core::Stream;
use http::{Request, StatusCode};

use crate::client::Client;
use crate::error::{Error, ErrorKind};
use crate::fragments::Parts;
use crate::generated::{Job, JobState};
use crate::job::ExportJob;
use crate::records::{RecordStream, Records};
use crate::resource::Resource;
use crate::wire::JobId;

/// A job's result, not fetched yet. Made by [`ExportJob::result`].
#[must_use = "nothing is fetched until a way is chosen"]
pub struct ExportResult<R> {
    job: ExportJob<R>,
    described: Option<Job>,
    part: Option<Part>,
    stall_timeout: Option<Duration>,
    backoff: Option<Arc<dyn Backoff>>,
    on_progress: Option<Arc<dyn Fn(Progress) + Send + Sync>>,
}

/// A fragment of a result.
#[derive(Clone, Copy, Debug)]
struct Part {
    /// Its number, as the service counts.
    number: u32,
    /// Which it is of how many, from 1, where that is known.
    place: Option<(u32, u32)>,
}

impl<R: Resource> ExportResult<R> {
    pub(crate) fn new(job: ExportJob<R>, described: Option<Job>) -> Self {
        Self { job, described, part: None, stall_timeout: None, backoff: None, on_progress: None }
    }

    /// Only the fragment with this number, as the service counts. Whether it counts from 0 or from 1 is not known (contract
    /// (j.13)): [`fragments`](Self::fragments) finds out. The whole is the safe choice.
    pub fn fragment(mut self, number: u32) -> Self {
        self.part = Some(Part { number, place: None });
        self
    }

    /// A fragment of which it is known where it stands.
    pub(crate) fn part(mut self, number: u32, index: u32, count: u32) -> Self {
        self.part = Some(Part { number, place: Some((index + 1, count)) });
        self
    }

    /// For how long the body may stop flowing before it is fetched anew; there is no limit on the whole time.
    pub fn stall_timeout(mut self, timeout: Duration) -> Self {
        self.stall_timeout = Some(timeout);
        self
    }

    /// How long to pause before a download that broke off is begun anew; as the client's other calls unless said.
    pub fn backoff(mut self, backoff: impl Backoff + 'static) -> Self {
        self.backoff = Some(Arc::new(backoff));
        self
    }

    /// Shows how many bytes have arrived, every now and then.
    pub fn on_progress(mut self, show: impl Fn(Progress) + Send + Sync + 'static) -> Self {
        self.on_progress = Some(Arc::new(show));
        self
    }

    /// Fetches the result into a file, which appears under its name only when it is whole and on disk.
    ///
    /// # Errors
    /// [`ErrorKind::Expired`], [`ErrorKind::ResultMissing`], [`ErrorKind::NotCompleted`], [`ErrorKind::BadDownload`],
    /// [`ErrorKind::Destination`], and the errors of any call.
    pub async fn to_file(self, path: impl AsRef<Path>) -> Result<Downloaded, Error> {
        let explain = self.explain();
        self.download()?.to_file(path).await.map_err(explain)
    }

    /// Fetches the result into a writer. A download that broke off goes on where it was, once what came before is proven
    /// to be the same; the writer sees every byte once.
    ///
    /// # Errors
    /// As [`to_file`](Self::to_file).
    pub async fn to_writer<W: Write + Send + 'static>(self, writer: W) -> Result<(Downloaded, W), Error> {
        let explain = self.explain();
        self.download()?.to_writer(writer).await.map_err(explain)
    }

    /// The bytes of the result, in chunks as they arrive, every byte once.
    ///
    /// # Errors
    /// [`ErrorKind::Setup`] at once when the address can't be built; in the stream as [`to_file`](Self::to_file).
    pub fn bytes(self) -> Result<ResultBytes, Error> {
        let explain = Box::new(self.explain());
        Ok(ResultBytes { stream: self.download()?.into_stream(), explain })
    }

    /// The records of the result, decoded as they arrive; no more than one chunk is held.
    ///
    /// # Errors
    /// [`ErrorKind::Setup`] at once when the address can't be built; in the stream as [`to_file`](Self::to_file), and
    /// [`ErrorKind::BadRow`] for a row that can't be decoded, behind which the stream goes on.
    pub fn records(self) -> Result<RecordStream<R>, Error>
    where
        R: Records,
    {
        self.uri()?;
        Ok(RecordStream::new(Parts::lone(self)))
    }

    pub(crate) fn job(&self) -> &ExportJob<R> {
        &self.job
    }

    pub(crate) fn described(&self) -> Option<&Job> {
        self.described.as_ref()
    }

    /// What the service says of the job now.
    pub(crate) fn describe(&mut self, job: Job) {
        self.described = Some(job);
    }

    pub(crate) fn uri(&self) -> Result<http::Uri, Error> {
        let uri =
            self.job.client().base().data(R::ENDPOINT, self.job.id(), self.part.map(|part| part.number));
        uri.map_err(|error| error.with_job_id(self.job.id()))
    }

    fn download(self) -> Result<Download, Error> {
        let uri = self.uri()?;
        let client = self.job.client();
        let request = move || {
            let mut request = Request::new(Bytes::new());
            request.uri_mut().clone_from(&uri);
            request
        };
        let mut download =
            Download::new(Arc::clone(client.shared_service::<R>()), request).resume(client.resume());
        if let Some(timeout) = self.stall_timeout {
            download = download.stall_timeout(timeout);
        }
        download = download.with_backoff(self.backoff.unwrap_or_else(|| Arc::clone(client.backoff())));
        if let Some(show) = self.on_progress {
            download = download.on_progress(move |progress| show(progress));
        }
        Ok(download)
    }

    /// What is being fetched, in words.
    pub(crate) fn what(&self) -> String {
        let whole = format!("the result of the {} export job", R::NAME);
        match self.part {
            None => whole,
            Some(Part { place: Some((nth, count)), .. }) => format!("fragment {nth} of {count} of {whole}"),
            Some(Part { number, .. }) => format!("fragment {number} of {whole}"),
        }
    }

    /// What a failed download means for this job.
    pub(crate) fn explain(&self) -> impl Fn(backstory_transport::Error) -> Error + Send + Sync + use<R> {
        let (client, id, job) = (self.job.client().clone(), self.job.id().clone(), self.described.clone());
        let operation = format!("download {}", self.what());
        move |error| explained(&client, &id, job.as_ref(), &operation, error)
    }
}

fn explained(
    client: &Client,
    id: &JobId,
    job: Option<&Job>,
    operation: &str,
    error: backstory_transport::Error,
) -> Error {
    let status = match error.kind() {
        TransportKind::Refused => error.refusal().map(|refusal| refusal.status),
        _ => None,
    };
    let kind = status.and_then(|status| meaning(client, job, status));
    let error = Error::from_transport(operation, error).with_job_id(id);
    match kind {
        Some(kind) => error.with_kind(kind),
        None => error,
    }
}

/// The bytes of a result, in chunks as they arrive. Made by [`ExportResult::bytes`].
pub struct ResultBytes {
    stream: DownloadStream,
    explain: Box<dyn Fn(backstory_transport::Error) -> Error + Send + Sync>,
}

impl ResultBytes {
    /// What the download was, once the stream has ended well: its length, its checksum, how often it began anew.
    pub fn summary(&self) -> Option<Downloaded> {
        self.stream.summary()
    }
}

impl Stream for ResultBytes {
    type Item = Result<Bytes, Error>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        let chunk = ready!(Pin::new(&mut this.stream).poll_next(context));
        Poll::Ready(chunk.map(|chunk| chunk.map_err(&this.explain)))
    }
}

impl fmt::Debug for ResultBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResultBytes").field("summary", &self.summary()).finish_non_exhaustive()
    }
}

/// What a refused download means, by the job's state and age (contract (j.9) to (j.11)).
fn meaning(client: &Client, job: Option<&Job>, status: StatusCode) -> Option<ErrorKind> {
    if !matches!(status.as_u16(), 400 | 404 | 409 | 410 | 425) {
        return None;
    }
    let state = job.and_then(|job| job.state.as_ref());
    if state.is_some_and(|state| !matches!(state, JobState::Completed)) {
        return Some(ErrorKind::NotCompleted);
    }
    if !matches!(status, StatusCode::NOT_FOUND | StatusCode::GONE) {
        return Some(if state.is_none() { ErrorKind::NotCompleted } else { ErrorKind::BadRequest });
    }
    let made = job.and_then(|job| job.job_end_time.or(job.job_created_time));
    match made.zip(client.server_time()) {
        Some((made, now)) if client.limits().file_retention.explains_absence(made, now) => {
            Some(ErrorKind::Expired)
        }
        Some(_) => Some(ErrorKind::ResultMissing),
        None if status == StatusCode::GONE => Some(ErrorKind::Expired),
        None if state.is_some() => Some(ErrorKind::ResultMissing),
        None => Some(ErrorKind::JobNotFound),
    }
}

impl<R> Clone for ExportResult<R> {
    fn clone(&self) -> Self {
        Self {
            job: self.job.clone(),
            described: self.described.clone(),
            part: self.part,
            stall_timeout: self.stall_timeout,
            backoff: self.backoff.clone(),
            on_progress: self.on_progress.clone(),
        }
    }
}

impl<R: Resource> fmt::Debug for ExportResult<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExportResult")
            .field("resource", &R::NAME)
            .field("id", self.job.id())
            .field("part", &self.part)
            .finish_non_exhaustive()
    }
}
