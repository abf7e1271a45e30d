//! What is told about each job afterwards: who asked for it, how long it waited and ran, who made use of it.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Serialize, Serializer};

use super::queue::Job;
use super::request::{Resource, What};
use crate::clock::{Clock, JobTime};

/// One job, as `GET /_sim/jobs` and [`Jobs::list`](crate::Jobs::list) tell of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct JobReport {
    /// The id that clients know it by.
    pub id: u64,
    /// What it exports.
    pub resource: Resource,
    /// `snapshot` or `delta`; contacts have none.
    pub export_type: Option<&'static str>,
    /// `email`, `meeting`, `call` or `all`; contacts have none.
    pub activity_type: Option<&'static str>,
    /// The first UTC day of its range.
    pub start_date: Date,
    /// The last UTC day of its range, included.
    pub end_date: Date,
    /// The id of the key that it was created with.
    pub created_by: String,
    /// The state as the wire has it, such as `Queued`.
    pub state: &'static str,
    /// When it was created, by the world's clock.
    pub created: Timestamp,
    /// When it began to run.
    pub started: Option<Timestamp>,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// How long it waited in the queue, so far if it waits still, in job time; in JSON in seconds.
    #[serde(serialize_with = "seconds")]
    pub waited: Duration,
    /// How long it ran, so far if it runs still, in job time; in JSON in seconds.
    #[serde(serialize_with = "seconds")]
    pub ran: Duration,
    /// Whether the reply to its creation was lost by a fault, so that its creator does not know of it.
    pub reply_lost: bool,
    /// What was made of it, by the ids of the keys. Downloads from the storage that row j.22 redirects to stand under
    /// `(storage)`, as no key is shown there.
    pub used_by: BTreeMap<String, JobUse>,
}

/// What the holder of one key made of a job.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct JobUse {
    /// Calls for its status.
    pub status_calls: u64,
    /// Downloads of its file, or of a fragment, that were begun.
    pub downloads_started: u64,
    /// Downloads that were sent to their end.
    pub downloads_finished: u64,
}

impl JobReport {
    /// Whether a client took the job over that did not hear of its creation, or that holds another key than the one
    /// that it was created with.
    pub fn is_adopted(&self) -> bool {
        self.used_by.keys().any(|key| self.reply_lost || *key != self.created_by)
    }

    pub(crate) fn new(job: &Job, used_by: BTreeMap<String, JobUse>, clock: &Clock, now: JobTime) -> Self {
        let time = |at: JobTime| clock.world_at(at);
        let between = |from: JobTime, to: JobTime| {
            Duration::from_nanos(u64::try_from(to.saturating_sub(from)).unwrap_or(0))
        };
        let (export_type, activity_type) = match &job.request.what {
            What::Activities { export, kind } => {
                (Some(export.as_str()), Some(kind.map_or("all", crate::ActivityType::as_str)))
            }
            What::Contacts { .. } => (None, None),
        };
        Self {
            id: job.id,
            resource: job.request.resource(),
            export_type,
            activity_type,
            start_date: job.request.from,
            end_date: job.request.to,
            created_by: job.key.as_ref().to_owned(),
            state: job.phase.as_str(),
            created: time(job.created),
            started: job.started.map(time),
            ended: job.ended.map(time),
            waited: between(job.created, job.started.or(job.ended).unwrap_or(now)),
            ran: job.started.map_or(Duration::ZERO, |started| between(started, job.ended.unwrap_or(now))),
            reply_lost: job.reply_lost,
            used_by,
        }
    }
}

fn seconds<S: Serializer>(length: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(length.as_secs_f64())
}
