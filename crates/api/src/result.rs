//! The result of a completed job: to a file, to a writer, as bytes, or record by record.

use std::fmt;
use std::io::Write;
use std::marker::PhantomData;
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
use crate::generated::{Job, JobState};
use crate::records::{RecordStream, Records};
use crate::resource::Resource;
use crate::wire::JobId;

/// A job's result, not fetched yet. Made by [`ExportJob::result`](crate::ExportJob::result).
#[must_use = "nothing is fetched until a way is chosen"]
pub struct ExportResult<R> {
    client: Client,
    id: JobId,
    job: Option<Job>,
    fragment: Option<u32>,
    stall_timeout: Option<Duration>,
    backoff: Option<Arc<dyn Backoff>>,
    on_progress: Option<Arc<dyn Fn(Progress) + Send + Sync>>,
    resource: PhantomData<R>,
}

impl<R: Resource> ExportResult<R> {
    pub(crate) fn new(client: Client, id: JobId, job: Option<Job>) -> Self {
        Self {
            client,
            id,
            job,
            fragment: None,
            stall_timeout: None,
            backoff: None,
            on_progress: None,
            resource: PhantomData,
        }
    }

    /// Only this part of the result. How parts are counted is not known (contract (j.13)); the whole is the safe choice.
    pub fn fragment(mut self, fragment: u32) -> Self {
        self.fragment = Some(fragment);
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
        let (id, format) = (self.id.clone(), self.job.as_ref().and_then(|job| job.output_format.clone()));
        Ok(RecordStream::new(self.bytes()?, id, format.as_deref()))
    }

    fn download(self) -> Result<Download, Error> {
        let uri = self.client.base().data(R::ENDPOINT, &self.id, self.fragment)?;
        let request = move || {
            let mut request = Request::new(Bytes::new());
            request.uri_mut().clone_from(&uri);
            request
        };
        let mut download = Download::new(Arc::clone(self.client.shared_service::<R>()), request)
            .resume(self.client.resume());
        if let Some(timeout) = self.stall_timeout {
            download = download.stall_timeout(timeout);
        }
        download = download.with_backoff(self.backoff.unwrap_or_else(|| Arc::clone(self.client.backoff())));
        if let Some(show) = self.on_progress {
            download = download.on_progress(move |progress| show(progress));
        }
        Ok(download)
    }

    /// What a failed download means for this job.
    fn explain(&self) -> impl Fn(backstory_transport::Error) -> Error + Send + Sync + use<R> {
        let (client, id, job) = (self.client.clone(), self.id.clone(), self.job.clone());
        move |error| {
            let operation = format!("download the result of the {} export job", R::NAME);
            let status = match error.kind() {
                TransportKind::Refused => error.refusal().map(|refusal| refusal.status),
                _ => None,
            };
            let kind = status.and_then(|status| meaning(&client, job.as_ref(), status));
            let error = Error::from_transport(operation, error).with_job_id(&id);
            match kind {
                Some(kind) => error.with_kind(kind),
                None => error,
            }
        }
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

impl<R: Resource> fmt::Debug for ExportResult<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExportResult")
            .field("resource", &R::NAME)
            .field("id", &self.id)
            .field("fragment", &self.fragment)
            .finish_non_exhaustive()
    }
}
