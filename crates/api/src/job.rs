//! `ExportJob`: a handle on a job, from any process and at any later time: poll, wait, and the way to its result.

use std::fmt;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::{Method, Request};
use tokio::time::Instant;

use crate::client::Client;
use crate::error::{Error, ErrorKind};
use crate::exchange;
use crate::generated::{Job, JobState};
use crate::resource::Resource;
use crate::result::ExportResult;
use crate::states::JobStates;
use crate::wait::{VISIBILITY_GRACE, WaitPolicy};
use crate::wire::JobId;

/// A handle on one export job. Cheap to clone; dropping it changes nothing at the service.
pub struct ExportJob<R> {
    client: Client,
    id: JobId,
    /// When this process saw it created; a job that was attached to by id has none.
    created: Option<Instant>,
    /// What the service said of it when it was created.
    described: Option<Job>,
    /// What the service said of it last; clones of the handle share it.
    seen: Arc<Mutex<Option<Job>>>,
    /// The form of the result, where this process has asked for it.
    asked_format: Option<String>,
    resource: PhantomData<R>,
}

impl<R: Resource> ExportJob<R> {
    pub(crate) fn attached(client: Client, id: JobId) -> Self {
        Self {
            client,
            id,
            created: None,
            described: None,
            seen: Arc::default(),
            asked_format: None,
            resource: PhantomData,
        }
    }

    pub(crate) fn created(client: Client, job: Job, asked_format: &str) -> Self {
        Self {
            client,
            id: job.job_id.clone(),
            created: Some(Instant::now()),
            seen: Arc::new(Mutex::new(Some(job.clone()))),
            described: Some(job),
            asked_format: Some(asked_format.to_owned()),
            resource: PhantomData,
        }
    }

    /// The job's id.
    pub fn id(&self) -> &JobId {
        &self.id
    }

    /// What the service said of the job when it was created; nothing for a job that was attached to by its id.
    pub fn described(&self) -> Option<&Job> {
        self.described.as_ref()
    }

    /// Asks for the job's present state.
    ///
    /// A failed poll is not a failed job: a job whose state is `Failed` is an `Ok` here.
    ///
    /// # Errors
    /// [`ErrorKind::NotVisibleYet`] when the job was created moments ago and the service doesn't show it yet,
    /// [`ErrorKind::JobNotFound`] when there is none, and the errors of any call.
    pub async fn poll(&self) -> Result<Job, Error> {
        let operation = format!("ask for the state of the {} export job", R::NAME);
        let uri =
            self.client.base().job(R::ENDPOINT, &self.id).map_err(|error| error.with_job_id(&self.id))?;
        let mut request = Request::new(Bytes::new());
        *request.method_mut() = Method::GET;
        *request.uri_mut() = uri;
        let reply = exchange::json(self.client.service::<R>(), self.client.time(), &operation, request).await;
        let job = reply.and_then(|reply| exchange::job(&operation, reply)).map_err(|error| {
            let error = error.with_job_id(&self.id);
            match error.kind() {
                ErrorKind::JobNotFound if self.is_new() => error.with_kind(ErrorKind::NotVisibleYet),
                _ => error,
            }
        })?;
        if job.job_id != self.id {
            let message = format!("the service answered with job {} instead", job.job_id);
            return Err(Error::new(ErrorKind::BadReply, operation, message).with_job_id(&self.id));
        }
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(job.clone());
        Ok(job)
    }

    /// Waits until the job has completed, with the default policy.
    ///
    /// # Errors
    /// As [`ExportJob::wait_with`].
    pub async fn wait(&self) -> Result<Job, Error> {
        self.wait_with(&WaitPolicy::default(), |_| {}).await
    }

    /// Waits until the job has completed, and shows `on_state` every answer on the way.
    ///
    /// # Errors
    /// [`ErrorKind::JobFailed`] and [`ErrorKind::JobCanceled`] with the job inside; [`ErrorKind::DeadlinePassed`], after
    /// which the job goes on and can be attached to by its id; [`ErrorKind::JobNotFound`]; and the last poll's error when
    /// polls have failed for the policy's `outage`.
    pub async fn wait_with(&self, policy: &WaitPolicy, mut on_state: impl FnMut(&Job)) -> Result<Job, Error> {
        let mut states = self.clone().into_stream(policy.clone());
        while let Some(job) = states.next_state().await? {
            on_state(&job);
            if let Some(end) = self.end_of(job) {
                return end;
            }
        }
        // The states end only behind a job that has ended.
        let message = "its states ended before it did";
        Err(Error::new(ErrorKind::BadReply, self.waiting(), message).with_job_id(&self.id))
    }

    /// Every answer about the job, as it is waited for; the last one is its end, `Failed` and `Canceled` included.
    pub fn into_stream(self, policy: WaitPolicy) -> JobStates<R> {
        JobStates::new(self, policy)
    }

    /// The result of the job, to download or to read record by record. It is there once the job has completed.
    ///
    /// What the service said of the job last, to this handle or a clone of it, is what tells an expired result from a
    /// missing one; for a job that was attached to by its id, [`poll`](Self::poll) or [`wait`](Self::wait) first.
    pub fn result(&self) -> ExportResult<R> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone();
        ExportResult::new(self.clone(), seen)
    }

    /// The result of the job as the service described it last; what it says of the job's times tells an expired file
    /// from a missing one.
    pub fn result_of(&self, job: &Job) -> ExportResult<R> {
        ExportResult::new(self.clone(), Some(job.clone()))
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// The form of the result as this process has asked for it, else as `job` tells.
    pub(crate) fn format<'j>(&'j self, job: Option<&'j Job>) -> Option<&'j str> {
        self.asked_format.as_deref().or_else(|| job?.output_format.as_deref())
    }

    /// Whether it was created so recently that the service may not show it yet.
    pub(crate) fn is_new(&self) -> bool {
        self.created.is_some_and(|created| created.elapsed() < VISIBILITY_GRACE)
    }

    /// Whether this process created it.
    pub(crate) fn is_own(&self) -> bool {
        self.created.is_some()
    }

    pub(crate) fn waiting(&self) -> String {
        format!("wait for the {} export job", R::NAME)
    }

    /// What the end of a job means for somebody who wants its result; nothing while it has not ended.
    fn end_of(&self, job: Job) -> Option<Result<Job, Error>> {
        let (kind, word) = match job.state {
            Some(JobState::Completed) => return Some(Ok(job)),
            Some(JobState::Failed) => {
                (ErrorKind::JobFailed, "the job has failed; the service gives no reason")
            }
            Some(JobState::Canceled) => (ErrorKind::JobCanceled, "the job was canceled"),
            _ => return None,
        };
        Some(Err(Error::new(kind, self.waiting(), word).with_job(job)))
    }
}

impl Job {
    /// Reads a job as the service describes it: a JSON object with at least a `job_id`.
    pub fn from_json(text: &str) -> Option<Self> {
        match serde_json::from_str(text).ok()? {
            serde_json::Value::Object(object) => Self::from_object(object),
            _ => None,
        }
    }

    /// Whether the job has ended, well or badly.
    pub fn has_ended(&self) -> bool {
        matches!(self.state, Some(JobState::Completed | JobState::Failed | JobState::Canceled))
    }
}

impl<R> Clone for ExportJob<R> {
    fn clone(&self) -> Self {
        Self {
            client: self.client.clone(),
            id: self.id.clone(),
            created: self.created,
            described: self.described.clone(),
            seen: Arc::clone(&self.seen),
            asked_format: self.asked_format.clone(),
            resource: PhantomData,
        }
    }
}

impl<R: Resource> fmt::Debug for ExportJob<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExportJob").field("resource", &R::NAME).field("id", &self.id).finish_non_exhaustive()
    }
}
