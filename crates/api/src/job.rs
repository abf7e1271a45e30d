//! `ExportJob`: a handle on a job, from any process and at any later time: poll, wait, watch.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use bytes::Bytes;
use futures_core::Stream;
use futures_util::stream;
use http::{Method, Request};
use tokio::time::{Instant, sleep};

use crate::client::Client;
use crate::error::{Error, ErrorKind};
use crate::exchange;
use crate::generated::{Job, JobState};
use crate::resource::Resource;
use crate::result::ExportResult;
use crate::wait::{Pauses, VISIBILITY_GRACE, WaitPolicy};
use crate::wire::JobId;

/// A handle on one export job. Cheap to clone; dropping it changes nothing at the service.
pub struct ExportJob<R> {
    client: Client,
    id: JobId,
    /// When this process saw it created; a job that was attached to by id has none.
    created: Option<Instant>,
    /// What the service said of it when it was created or listed.
    described: Option<Job>,
    resource: PhantomData<R>,
}

impl<R: Resource> ExportJob<R> {
    pub(crate) fn attached(client: Client, id: JobId) -> Self {
        Self { client, id, created: None, described: None, resource: PhantomData }
    }

    pub(crate) fn created(client: Client, job: Job) -> Self {
        Self {
            client,
            id: job.job_id.clone(),
            created: Some(Instant::now()),
            described: Some(job),
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
        let uri = self.client.base().job(R::ENDPOINT, &self.id)?;
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
        let mut watch = Watch::new(self.clone(), policy.clone());
        while let Some(job) = watch.next().await? {
            on_state(&job);
            if let Some(end) = self.end_of(job) {
                return end;
            }
        }
        // A watch ends only behind a job that has ended.
        Err(Error::new(ErrorKind::BadReply, self.waiting(), "the watch ended before the job did"))
    }

    /// Every answer about the job, as it is waited for; the last one is its end, `Failed` and `Canceled` included.
    pub fn watch(&self, policy: WaitPolicy) -> impl Stream<Item = Result<Job, Error>> + Send + use<R> {
        stream::try_unfold(Watch::new(self.clone(), policy), |mut watch| async move {
            Ok(watch.next().await?.map(|job| (job, watch)))
        })
    }

    /// The result of the job, to download or to read record by record. It is there once the job has completed.
    pub fn result(&self) -> ExportResult<R> {
        ExportResult::new(self.client.clone(), self.id.clone(), self.described.clone())
    }

    /// The result of the job as the service described it last; what it says of the job's times tells an expired file
    /// from a missing one.
    pub fn result_of(&self, job: &Job) -> ExportResult<R> {
        ExportResult::new(self.client.clone(), self.id.clone(), Some(job.clone()))
    }

    fn is_new(&self) -> bool {
        self.created.is_some_and(|created| created.elapsed() < VISIBILITY_GRACE)
    }

    fn waiting(&self) -> String {
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
            resource: PhantomData,
        }
    }
}

impl<R: Resource> fmt::Debug for ExportJob<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExportJob").field("resource", &R::NAME).field("id", &self.id).finish_non_exhaustive()
    }
}

/// A wait in progress.
struct Watch<R> {
    job: ExportJob<R>,
    policy: WaitPolicy,
    pauses: Pauses,
    begun: Instant,
    /// Since when polls have been failing without a good one between.
    failing_since: Option<Instant>,
    /// A job that was attached to may have ended long ago, so it is asked about at once.
    ask_at_once: bool,
    ended: bool,
}

impl<R: Resource> Watch<R> {
    fn new(job: ExportJob<R>, policy: WaitPolicy) -> Self {
        let pauses = policy.pauses();
        let ask_at_once = job.created.is_none();
        Self { job, policy, pauses, begun: Instant::now(), failing_since: None, ask_at_once, ended: false }
    }

    /// The next answer; nothing behind the job's end.
    async fn next(&mut self) -> Result<Option<Job>, Error> {
        if self.ended {
            return Ok(None);
        }
        loop {
            let last_chance = self.pause().await?;
            match self.job.poll().await {
                Ok(job) => {
                    self.failing_since = None;
                    if job.state.is_none() && !self.job.is_new() && self.begun.elapsed() > VISIBILITY_GRACE {
                        let message = "the service describes the job without a state";
                        return Err(
                            Error::new(ErrorKind::BadReply, self.job.waiting(), message).with_job(job)
                        );
                    }
                    self.ended = job.has_ended();
                    if last_chance && !self.ended {
                        return Err(self.deadline_passed(Some(job)));
                    }
                    return Ok(Some(job));
                }
                Err(error) if last_chance => return Err(self.deadline_passed(None).with_source(error)),
                Err(error) if error.is_retryable() => self.tolerate(error)?,
                Err(error) => return Err(error),
            }
        }
    }

    /// Waits until the next question is due. Returns whether it is the last one before the deadline.
    async fn pause(&mut self) -> Result<bool, Error> {
        if std::mem::take(&mut self.ask_at_once) {
            return Ok(false);
        }
        let pause = self.pauses.next();
        let left = self.policy.deadline.map(|deadline| deadline.saturating_sub(self.begun.elapsed()));
        let last_chance = left.is_some_and(|left| left <= pause);
        sleep(left.map_or(pause, |left| left.min(pause))).await;
        Ok(last_chance)
    }

    fn tolerate(&mut self, error: Error) -> Result<(), Error> {
        let since = *self.failing_since.get_or_insert_with(Instant::now);
        tracing::warn!(job = %self.job.id, %error, "a poll failed; the job itself goes on");
        // A job that isn't visible yet turns into one that doesn't exist by itself, when the grace is over.
        if error.kind() == ErrorKind::NotVisibleYet || since.elapsed() < self.policy.outage {
            return Ok(());
        }
        Err(error)
    }

    fn deadline_passed(&self, job: Option<Job>) -> Error {
        let state =
            job.as_ref().and_then(|job| job.state.as_ref()).map_or("not known", |state| state.as_str());
        let waited = short(self.policy.deadline.unwrap_or_default());
        let message = format!("it has not ended within {waited}; its state is {state}");
        let error =
            Error::new(ErrorKind::DeadlinePassed, self.job.waiting(), message).with_job_id(&self.job.id);
        match job {
            Some(job) => error.with_job(job),
            None => error,
        }
    }
}

/// A duration for people.
fn short(time: Duration) -> String {
    match time.as_secs() {
        0 => format!("{} ms", time.as_millis()),
        seconds @ 1..=119 => format!("{seconds} s"),
        seconds @ 120..=7_199 => format!("{} min", seconds / 60),
        seconds => format!("{} h", seconds / 3_600),
    }
}
