//! The states of a job as it is waited for: when it is asked about, which failures of the asking are borne, and the deadline.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::Stream;
use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use tokio::time::{Instant, sleep, timeout_at};

use crate::error::{Error, ErrorKind};
use crate::generated::Job;
use crate::job::ExportJob;
use crate::resource::Resource;
use crate::wait::{Pauses, VISIBILITY_GRACE, WaitPolicy};
use crate::wire::JobId;

/// For how long behind the deadline the answer to a question that was asked before it is waited for.
const LAST_ANSWER: Duration = Duration::from_secs(10);

/// Every answer about a job until it has ended. Made by [`ExportJob::into_stream`].
///
/// After an error it is over; the job goes on, and can be waited for again.
pub struct JobStates<R> {
    id: JobId,
    answers: BoxStream<'static, Result<Job, Error>>,
    resource: std::marker::PhantomData<R>,
}

impl<R: Resource> JobStates<R> {
    pub(crate) fn new(job: ExportJob<R>, policy: WaitPolicy) -> Self {
        let id = job.id().clone();
        let answers = stream::try_unfold(Wait::new(job, policy), |mut wait| async move {
            Ok(wait.next().await?.map(|job| (job, wait)))
        });
        Self { id, answers: answers.boxed(), resource: std::marker::PhantomData }
    }

    /// The next answer; nothing behind the job's end.
    pub(crate) async fn next_state(&mut self) -> Result<Option<Job>, Error> {
        self.answers.next().await.transpose()
    }
}

impl<R: Resource> Stream for JobStates<R> {
    type Item = Result<Job, Error>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().answers.as_mut().poll_next(context)
    }
}

impl<R: Resource> fmt::Debug for JobStates<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JobStates").field("resource", &R::NAME).field("id", &self.id).finish_non_exhaustive()
    }
}

/// A job that is being waited for.
struct Wait<R> {
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

impl<R: Resource> Wait<R> {
    fn new(job: ExportJob<R>, policy: WaitPolicy) -> Self {
        let pauses = policy.pauses();
        let ask_at_once = !job.is_own();
        Self { job, policy, pauses, begun: Instant::now(), failing_since: None, ask_at_once, ended: false }
    }

    /// The next answer; nothing behind the job's end.
    async fn next(&mut self) -> Result<Option<Job>, Error> {
        if self.ended {
            return Ok(None);
        }
        loop {
            let last_chance = self.pause().await?;
            let Some(answer) = self.ask().await else { return Err(self.deadline_passed(None)) };
            match answer {
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

    /// Asks about the job; nothing where the answer takes until too long behind the deadline.
    async fn ask(&self) -> Option<Result<Job, Error>> {
        let end = self
            .policy
            .deadline
            .and_then(|deadline| self.begun.checked_add(deadline.saturating_add(LAST_ANSWER)));
        match end {
            Some(end) => timeout_at(end, self.job.poll()).await.ok(),
            None => Some(self.job.poll().await),
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
        tracing::warn!(job = %self.job.id(), %error, "a poll failed; the job itself goes on");
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
            Error::new(ErrorKind::DeadlinePassed, self.job.waiting(), message).with_job_id(self.job.id());
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
