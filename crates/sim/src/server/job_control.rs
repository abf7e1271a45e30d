//! What tests do with jobs from behind the counter: see all of them, play other clients of the organisation, end jobs as
//! an administrator would.

use std::sync::Arc;
use std::time::Duration;

use super::bulk::{Asker, submit};
use super::state::State;
use crate::error::{Error, ErrorKind};
use crate::jobs::{JobReport, Phase, Resource};

/// The export jobs of a simulator; see [`Sim::jobs`](crate::Sim::jobs).
#[derive(Clone, Debug)]
pub struct Jobs(pub(super) Arc<State>);

/// How [`Jobs::end`] ends a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobEnd {
    /// Its file is there.
    Completed,
    /// It failed, without a reason (contract (j.12)).
    Failed,
    /// Somebody cancelled it, outside the API (contract (j.8)).
    Canceled,
}

impl JobEnd {
    pub(super) fn read(text: &str) -> Option<Self> {
        [Self::Completed, Self::Failed, Self::Canceled]
            .into_iter()
            .find(|end| end.phase().as_str().eq_ignore_ascii_case(text))
    }

    fn phase(self) -> Phase {
        match self {
            Self::Completed => Phase::Completed,
            Self::Failed => Phase::Failed,
            Self::Canceled => Phase::Canceled,
        }
    }
}

impl Jobs {
    /// All jobs, oldest first, those included that clients no longer see.
    pub fn list(&self) -> Vec<JobReport> {
        let queue = self.0.queue();
        let now = self.0.clock.job_time();
        let told = |job| JobReport::new(job, queue.uses(job.id), &self.0.clock, now);
        queue.jobs().iter().map(told).collect()
    }

    /// A job by its id.
    pub fn get(&self, id: u64) -> Option<JobReport> {
        let queue = self.0.queue();
        let now = self.0.clock.job_time();
        queue.job(id).map(|job| JobReport::new(job, queue.uses(id), &self.0.clock, now))
    }

    /// Creates a job as another program of the organisation would, past tokens, rate limit and faults. `key` is the id
    /// that the report counts it under; `body` is that of a create, such as
    /// `{"start_date":"2026-06-01","end_date":"2026-06-14","export_type":"delta"}`.
    ///
    /// # Errors
    /// What a create would be refused for ([`ErrorKind::Refused`]); the text is the message of the refusal.
    pub fn create(&self, key: &str, resource: Resource, body: &str) -> Result<JobReport, Error> {
        let asker = Asker { key, effect: None, reply_lost: false };
        let job = submit(&self.0, resource, body.as_bytes(), &asker)
            .map_err(|refused| Error::new(ErrorKind::Refused, refused.message))?;
        let queue = self.0.queue();
        Ok(JobReport::new(&job, queue.uses(job.id), &self.0.clock, self.0.clock.job_time()))
    }

    /// Ends a job at once, running, queued or stuck; its place goes to the next in line. False when there is no such
    /// job, or it has ended.
    pub fn end(&self, id: u64, how: JobEnd) -> bool {
        let now = self.0.clock.job_time();
        self.0.queue().end(id, how.phase(), now, &*self.0)
    }

    /// How long jobs run that are created from now on; `None` is by their size, as when
    /// [`Builder::job_time`](crate::Builder::job_time) is not given.
    pub fn set_job_time(&self, job_time: Option<Duration>) {
        self.0.set_job_time(job_time);
    }
}
