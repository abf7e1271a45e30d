//! Jobs that came to nothing: what the planner learns from them. They only ever make windows smaller; what has failed is
//! asked for again by every sync, so losing them costs time and nothing else.

use backstory_api::ActivityType;
use backstory_destination::DeliveryKind;
use backstory_limits::DateRange;
use jiff::tz::Offset;
use jiff::{SignedDuration, Timestamp};

use super::planned_job::PlannedJob;

/// For how long a failure makes windows smaller at least: what fails in one run isn't asked for by the same run again.
const AT_LEAST: SignedDuration = SignedDuration::from_hours(1);
/// For how long a failure is remembered at most: a week. Then the whole window is tried again, since what was wrong with it
/// may have passed.
pub(crate) const REMEMBERED: SignedDuration = SignedDuration::from_hours(7 * 24);

/// A job that came to nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Attempt {
    /// What the window selected on.
    pub kind: DeliveryKind,
    /// Which activities; `All` for contacts.
    pub activity_type: ActivityType,
    /// The window.
    pub window: DateRange,
    /// How it ended.
    pub outcome: AttemptOutcome,
    /// When it ended, by the server's clock as far as it is known.
    pub at: Timestamp,
}

/// How a job came to nothing, as far as the next plan is concerned. A file that has expired is none of these: its window is
/// simply asked for again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum AttemptOutcome {
    /// The job ended as `Failed`, for a reason that the service doesn't tell (contract (j.12)).
    Failed,
    /// The job ran for longer than it was given. The time in the queue is not counted.
    RanTooLong,
    /// The window has more days than the service allows (contract (j.3), (j.4)).
    TooWide,
    /// The service refuses future dates (contract (j.26)).
    FutureRefused,
}

impl Attempt {
    /// The attempt at a planned job.
    pub fn at_job(job: &PlannedJob, outcome: AttemptOutcome, at: Timestamp) -> Self {
        Self { kind: job.kind, activity_type: job.activity_type, window: job.window, outcome, at }
    }

    /// An attempt.
    pub fn new(
        kind: DeliveryKind,
        activity_type: ActivityType,
        window: DateRange,
        outcome: AttemptOutcome,
        at: Timestamp,
    ) -> Self {
        Self { kind, activity_type, window, outcome, at }
    }

    /// Whether it still counts at `now`.
    pub(crate) fn is_remembered(&self, now: Timestamp) -> bool {
        self.at.duration_until(now) < REMEMBERED
    }

    /// Until when it makes windows smaller: for as long as its first day was old then. What has failed may have failed by
    /// chance, and a day that is held by types only keeps the watermark from passing. So what failed on its own day is tried
    /// again as a whole on the next, in time for closing it, and the pauses double where it fails every time.
    pub(crate) fn makes_smaller_until(&self) -> Timestamp {
        let begin = Offset::UTC.to_timestamp(self.window.start().at(0, 0, 0, 0)).unwrap_or(Timestamp::MIN);
        let pause = match self.outcome {
            // A rule of the service doesn't pass.
            AttemptOutcome::TooWide | AttemptOutcome::FutureRefused => REMEMBERED,
            // Dates of a history may lie ahead as well.
            AttemptOutcome::Failed | AttemptOutcome::RanTooLong => {
                begin.duration_until(self.at).abs().clamp(AT_LEAST, REMEMBERED)
            }
        };
        self.at.checked_add(pause).unwrap_or(Timestamp::MAX)
    }

    /// Whether it says that the window is too much for one job.
    pub(crate) fn is_too_much(&self) -> bool {
        match self.outcome {
            AttemptOutcome::Failed | AttemptOutcome::RanTooLong | AttemptOutcome::TooWide => true,
            AttemptOutcome::FutureRefused => false,
        }
    }
}
