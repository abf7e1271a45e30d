//! How much of the shared pool this program may use, and why it may not use more now.

use std::fmt;

use jiff::SignedDuration;

use crate::use_limits::UseLimits;

/// How much of the shared pool of job slots this program may use (contract (b), (j.1), (j.2)).
///
/// ```
/// use backstory_limits::SlotPolicy;
///
/// // Leave three slots free for other programs, whatever they are doing now.
/// let policy = SlotPolicy { reserved_for_others: 3, ..SlotPolicy::default() };
/// assert_eq!((policy.running, policy.waiting, policy.total), (2, 2, 10));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SlotPolicy {
    /// Our jobs that may run at once: 2 by default.
    ///
    /// A waiting job starts by itself when the service has room. Who wants fewer than [`service_runs`](Self::service_runs)
    /// running must therefore also set [`waiting`](Self::waiting) to 0.
    pub running: usize,
    /// Our jobs that may wait in the queue beside the running ones: 2 by default.
    pub waiting: usize,
    /// Outstanding jobs in all, running ones and other programs' included, from which on we start nothing: 10 by default.
    pub total: usize,
    /// Slots of that total that we leave free for other programs, beside those which they hold: 0 by default.
    pub reserved_for_others: usize,
    /// How many jobs the service runs at once, whoever they belong to: 2 (contract (b)).
    pub service_runs: usize,
    /// How long a new job may be missing from the list: 120 s (contract (j.33)). A creation whose reply was lost is taken
    /// for one that never happened only when a list that is younger by this much doesn't have its job.
    pub list_lag: SignedDuration,
    /// How far back the list reaches: 10 days (contract (b)). A job that is older and not listed has ended.
    pub list_reach: SignedDuration,
    /// For how long a creation of unknown outcome holds its slot where no list could settle it: 2 hours by default.
    /// That is the case of contacts (contract (j.6)).
    pub unlisted_hold: SignedDuration,
}

impl SlotPolicy {
    /// The default share of a pool with these limits: up to 2 running and 2 waiting, as far as the service allows them.
    pub fn of(limits: &UseLimits) -> Self {
        Self {
            running: limits.running_jobs.min(2),
            waiting: limits.queued_jobs.min(2),
            // The published 10 are those in the queue. Counting the running ones in keeps clear of the edge.
            total: limits.queued_jobs,
            reserved_for_others: 0,
            service_runs: limits.running_jobs,
            list_lag: SignedDuration::from_secs(120),
            list_reach: SignedDuration::from_hours(24 * i64::from(limits.job_list_days)),
            unlisted_hold: SignedDuration::from_hours(2),
        }
    }
}

impl Default for SlotPolicy {
    fn default() -> Self {
        Self::of(&UseLimits::published())
    }
}

/// Why no slot could be reserved now. Nothing has failed: wait for a job to start or to end, and ask again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SlotRefusal {
    /// As many of our own jobs are outstanding as we allow ourselves.
    OursFull {
        /// How many those are.
        ours: usize,
    },
    /// As many of our own jobs are waiting as we allow ourselves, while other programs' jobs run.
    WaitingFull {
        /// Our jobs that are waiting.
        waiting: usize,
        /// Other programs' outstanding jobs, as last listed.
        others: usize,
    },
    /// An equal creation has not been answered yet: whether its job exists must be known first. Ask for the list.
    Unanswered,
    /// The pool is full, other programs' jobs and the slots reserved for them included.
    PoolFull {
        /// Our outstanding jobs.
        ours: usize,
        /// Other programs' outstanding jobs, as last listed.
        others: usize,
    },
}

impl fmt::Display for SlotRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OursFull { ours } => {
                write!(f, "{} of ours outstanding; waiting for one to end", jobs(*ours))
            }
            Self::WaitingFull { waiting, others } => {
                write!(
                    f,
                    "{} of ours waiting behind {others} of other programs; waiting for one to start",
                    jobs(*waiting)
                )
            }
            Self::Unanswered => {
                f.write_str("an equal export job may exist already; waiting for the service's list to say so")
            }
            Self::PoolFull { ours, others } => write!(
                f,
                "the export queue is full ({} of ours, {others} of other programs); waiting for one to end",
                jobs(*ours)
            ),
        }
    }
}

fn jobs(count: usize) -> String {
    if count == 1 { "1 export job".to_owned() } else { format!("{count} export jobs") }
}
