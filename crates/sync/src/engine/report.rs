//! What a sync has brought, for people and for machines.

use jiff::Timestamp;
use jiff::civil::Date;
use serde::Serialize;

use crate::error::Error;
use crate::ledger::JobSpec;

/// The outcome of a sync. What is in the destination is whole, whatever failed beside it.
#[derive(Debug)]
#[non_exhaustive]
pub struct SyncReport {
    /// The last UTC day that is wholly loaded, after this run.
    pub watermark: Option<Date>,
    /// The deliveries that this run has committed, in the order of their commits.
    pub committed: Vec<CommittedJob>,
    /// The jobs that came to nothing in this run, and why.
    pub failures: Vec<SyncFailure>,
    /// Whether the run was asked to stop before it was done.
    pub interrupted: bool,
    /// Days that are covered by single activity types only, or not at all, though they should be.
    pub incomplete_days: Vec<Date>,
    /// From when on a sync asks for all of these days as a whole again. `None` when the next one does.
    pub whole_again_from: Option<Timestamp>,
    /// Jobs that this run created.
    pub created: u64,
    /// Jobs that it found in the service's list after their reply was lost.
    pub adopted: u64,
    /// Jobs that it took over from earlier runs.
    pub taken_over: u64,
    /// Deliveries that were loaded from their raw files.
    pub reloaded: u64,
    /// How long it took.
    pub seconds: f64,
}

/// A delivery that a run has committed.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct CommittedJob {
    /// What it is.
    #[serde(flatten)]
    pub job: JobSpec,
    /// The service's id.
    pub job_id: String,
    /// Its rows.
    pub rows: u64,
    /// Rows that were quarantined.
    pub bad_rows: u64,
    /// Bytes as delivered, decompressed.
    pub bytes: u64,
}

/// A job that came to nothing in a run.
#[derive(Debug)]
#[non_exhaustive]
pub struct SyncFailure {
    /// Which one.
    pub job: JobSpec,
    /// Why.
    pub error: Error,
}

impl SyncReport {
    /// Rows of all deliveries.
    pub fn rows(&self) -> u64 {
        self.committed.iter().map(|job| job.rows).sum()
    }

    /// Rows that were quarantined.
    pub fn bad_rows(&self) -> u64 {
        self.committed.iter().map(|job| job.bad_rows).sum()
    }

    /// Bytes as delivered, decompressed.
    pub fn bytes(&self) -> u64 {
        self.committed.iter().map(|job| job.bytes).sum()
    }

    /// Whether everything that was planned is there, with no row set apart.
    pub fn is_complete(&self) -> bool {
        self.failures.is_empty()
            && self.incomplete_days.is_empty()
            && !self.interrupted
            && self.bad_rows() == 0
    }

    /// `done`, `partial`, `failed` or `interrupted`.
    pub fn outcome(&self) -> &'static str {
        match () {
            () if self.interrupted => "interrupted",
            () if self.is_complete() => "done",
            () if self.committed.is_empty() && !self.failures.is_empty() => "failed",
            () => "partial",
        }
    }
}
