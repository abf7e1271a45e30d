//! What `status` tells of a ledger, without taking part in a run.

use std::path::Path;

use jiff::SignedDuration;
use serde::Serialize;

use super::{Ledger, LedgerJob, OthersSeen, RunRecord};
use crate::error::Error;
use crate::plan::{Attempt, JobTimes};

/// What a ledger tells about the runs of a destination.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct LedgerFacts {
    /// The latest runs, newest first.
    pub runs: Vec<RunRecord>,
    /// Intents without a reply, jobs in flight, and abandoned jobs that may still hold a slot.
    pub open_jobs: Vec<LedgerJob>,
    /// Jobs of which nothing came, oldest first.
    pub ended_jobs: Vec<LedgerJob>,
    /// What was last seen of other programs' jobs.
    pub others: Option<OthersSeen>,
    /// The median seconds from a job's intent to its commit: of snapshots, deltas and contacts.
    pub median_seconds: [Option<f64>; 3],
}

impl LedgerFacts {
    /// Reads the ledger at `path`. Without one, or with one that can't be read now, there are no facts.
    ///
    /// # Errors
    /// [`ErrorKind::Ledger`](crate::ErrorKind::Ledger) when reading breaks off.
    pub fn read(path: &Path) -> Result<Option<Self>, Error> {
        use backstory_destination::DeliveryKind as Kind;
        let Some(ledger) = Ledger::look(path) else { return Ok(None) };
        let median = |kind| ledger.median_seconds(kind);
        Ok(Some(Self {
            runs: ledger.runs(10)?,
            open_jobs: ledger.open_jobs()?,
            ended_jobs: ledger.ended_jobs()?,
            others: ledger.others()?,
            median_seconds: [median(Kind::Snapshot)?, median(Kind::Delta)?, median(Kind::Contacts)?],
        }))
    }

    /// What the planner learns from jobs of which nothing came.
    pub fn attempts(&self) -> Vec<Attempt> {
        self.ended_jobs.iter().filter_map(LedgerJob::attempt).collect()
    }

    /// What a job of each kind has typically taken.
    pub fn job_times(&self) -> JobTimes {
        use backstory_destination::DeliveryKind as Kind;
        let kinds = [Kind::Snapshot, Kind::Delta, Kind::Contacts];
        kinds.into_iter().zip(self.median_seconds).fold(JobTimes::default(), |times, (kind, seconds)| {
            let time = seconds.and_then(|seconds| SignedDuration::try_from_secs_f64(seconds).ok());
            time.map_or(times, |time| times.with(kind, time))
        })
    }
}
