//! How a sync is run, beside what it keeps current.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use backstory_api::WaitPolicy;
use jiff::{SignedDuration, Timestamp};

/// For how long deliveries are kept as they came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeepRaw {
    /// For ever: tables can always be made anew.
    Forever,
    /// For so long after they were fetched.
    For(SignedDuration),
    /// Not at all.
    No,
}

/// How a sync is run.
#[derive(Clone)]
#[non_exhaustive]
pub struct SyncOptions {
    /// Where the ledger, the quarantine and the raw files stand, if not in the destination.
    pub state_dir: Option<PathBuf>,
    /// For how long deliveries are kept as they came.
    pub keep_raw: KeepRaw,
    /// How many rows of one run may be quarantined.
    pub max_bad_rows: u64,
    /// Whether to wait for another run that holds the destination; else that is an error.
    pub wait_for_lock: bool,
    /// How often each job is asked about, and for how long the asking may fail. Its deadline is that for a job which waits
    /// in the queue: then this run leaves it to the next.
    pub wait: WaitPolicy,
    /// For how long a job may *run*. One that runs longer is given up, and its window is asked for in pieces.
    pub run_limit: Duration,
    /// For how long the service may be away before a run gives up: 10 minutes, or the deadline of `wait` if that is less.
    pub outage: Duration,
    /// The client's wall clock. It plans; the server's decides.
    pub clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
}

impl SyncOptions {
    /// The defaults: raw files for ever, up to 1,000 bad rows, 6 hours for a running job.
    pub fn new(clock: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self {
            state_dir: None,
            keep_raw: KeepRaw::Forever,
            max_bad_rows: 1_000,
            wait_for_lock: false,
            wait: WaitPolicy::default(),
            run_limit: Duration::from_secs(6 * 3_600),
            outage: Duration::from_secs(600),
            clock: Arc::new(clock),
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        (self.clock)()
    }
}
