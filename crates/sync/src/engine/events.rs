//! What a sync tells while it runs: one event for each step, for progress bars and logs.

use std::path::Path;

use jiff::Timestamp;
use jiff::civil::Date;
use serde::Serialize;

use crate::ledger::JobSpec;

/// Watches a sync. Called from several tasks at once; it must not block.
pub trait SyncObserver: Send + Sync {
    /// Something has happened.
    fn on_event(&self, event: &SyncEvent<'_>);
}

/// Watches nothing.
impl SyncObserver for super::super::export::Silent {
    fn on_event(&self, _: &SyncEvent<'_>) {}
}

/// A step of a sync. As JSON, `event` is its name.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum SyncEvent<'e> {
    /// Another run holds the destination; this one waits.
    WaitingForLock {
        /// Who holds it, as far as is known.
        holder: &'e str,
    },
    /// The ledger was corrupt; a new one was begun.
    LedgerSetAside {
        /// Where the old one is now.
        path: &'e Path,
    },
    /// The work was planned.
    Planned {
        /// How many jobs are to do, those of earlier runs included.
        jobs: usize,
        /// How many of these an earlier run has begun.
        taken_over: usize,
        /// The last UTC day that is wholly loaded.
        watermark: Option<Date>,
        /// What was chosen, and why.
        choices: &'e [String],
    },
    /// A delivery that was kept, but not in the destination, was loaded from its raw file.
    Reloaded {
        /// What it is.
        job: &'e JobSpec,
        /// The service's id.
        job_id: &'e str,
        /// Its rows.
        rows: u64,
    },
    /// There is no slot for a job yet.
    WaitingForSlot {
        /// Which job.
        job: &'e JobSpec,
        /// Why.
        reason: String,
        /// Whether other programs' jobs have a part in it, rather than our own share alone.
        others: bool,
    },
    /// The service says that its queue is full.
    QueueFull {
        /// Which job has to wait.
        job: &'e JobSpec,
    },
    /// A job is about to be asked for.
    Intended {
        /// Which job.
        job: &'e JobSpec,
        /// Why.
        reason: &'e str,
    },
    /// The reply to a job's creation was lost; the service's list is looked into.
    ReplyLost {
        /// Which job.
        job: &'e JobSpec,
    },
    /// A job was created, found, or taken over.
    Started {
        /// Which job.
        job: &'e JobSpec,
        /// The service's id.
        job_id: &'e str,
        /// How it came to us.
        how: Origin,
    },
    /// The service described a job.
    State {
        /// Which job.
        job: &'e JobSpec,
        /// The service's id.
        job_id: &'e str,
        /// Its state, in the service's word.
        state: &'e str,
    },
    /// Bytes of a job's result have arrived.
    Bytes {
        /// Which job.
        job: &'e JobSpec,
        /// How many so far, decompressed.
        bytes: u64,
        /// How often the download had to begin anew.
        restarts: u32,
    },
    /// Rows of a job's result have been decoded.
    Rows {
        /// Which job.
        job: &'e JobSpec,
        /// How many so far.
        rows: u64,
    },
    /// A job's rows are in the destination.
    Committed {
        /// Which job.
        job: &'e JobSpec,
        /// The service's id.
        job_id: &'e str,
        /// Its rows.
        rows: u64,
        /// Rows that were quarantined.
        bad_rows: u64,
        /// Bytes as delivered, decompressed.
        bytes: u64,
        /// Whether they had been there before.
        repeated: bool,
    },
    /// A job's file is gone; its window is asked for again.
    AskedAgain {
        /// Which job.
        job: &'e JobSpec,
        /// Why.
        reason: String,
    },
    /// A window was too much for one job; it is asked for in pieces.
    Divided {
        /// Which job.
        job: &'e JobSpec,
        /// Why.
        reason: String,
        /// The pieces.
        pieces: &'e [JobSpec],
    },
    /// A job has come to nothing in this run.
    Failed {
        /// Which job.
        job: &'e JobSpec,
        /// Why.
        error: &'e str,
    },
    /// The client's clock and the server's are apart.
    Skew {
        /// The client's.
        client: Timestamp,
        /// The server's.
        server: Timestamp,
    },
    /// Raw files that were old enough were removed.
    Pruned {
        /// Of how many deliveries.
        deliveries: usize,
    },
    /// The destination is settled, and the run over.
    Ended {
        /// `done`, `partial`, `failed` or `interrupted`.
        outcome: &'e str,
        /// The last UTC day that is wholly loaded.
        watermark: Option<Date>,
        /// How long the run took.
        seconds: f64,
    },
}

/// How a job came to a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// This run created it.
    Created,
    /// Its creation's reply was lost; it was found in the service's list.
    Adopted,
    /// An earlier run created it.
    TakenOver,
}
