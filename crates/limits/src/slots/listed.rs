//! What the service says about jobs, in the words of the slot accounting, and what follows from it.

use jiff::Timestamp;

use super::pool::Reservation;

/// Where a job is in its life (contract (c.2)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Queued, or in a state that nobody knows: it holds a slot and doesn't run.
    Waiting,
    /// Running: it holds a slot.
    Running,
    /// Completed: it holds none, and its file can be had.
    Completed,
    /// Failed or canceled: it holds none, and there is no file.
    Failed,
}

impl Phase {
    /// Whether a job in this phase holds a slot.
    pub const fn holds_a_slot(self) -> bool {
        matches!(self, Self::Waiting | Self::Running)
    }
}

/// A job on the service's list.
///
/// `R` is what was asked for: whatever the caller compares requests by, such as kind, activity type and window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ListedJob<'a, R> {
    /// The job's id.
    pub id: &'a str,
    /// Where it is in its life.
    pub phase: Phase,
    /// When it was created, by the service's clock. Without it the job is counted, but can't be recognised as ours.
    pub created: Option<Timestamp>,
    /// What it was asked for, as the service echoes it.
    pub request: R,
}

/// What a list, or the passing of time, has decided about a reservation.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Settlement {
    /// The job of a creation whose reply was lost has been found. It holds the slot from now on, unless it has completed
    /// already. Go on with it as if the reply had come.
    Adopted {
        /// The reservation of the creation.
        reservation: Reservation,
        /// The job that was found.
        job_id: String,
        /// Where that job is.
        phase: Phase,
    },
    /// A creation whose reply was lost never reached the service; its slot is free. Create the job again.
    NeverCreated {
        /// The reservation of the creation.
        reservation: Reservation,
    },
    /// The job has ended; its slot is free.
    Ended {
        /// The reservation that the job held.
        reservation: Reservation,
        /// The job.
        job_id: String,
    },
    /// A creation of unknown outcome, which no list can settle, has held its slot for long enough; the slot is free, and
    /// whether a job was created remains unknown (contract (j.5)).
    Abandoned {
        /// The reservation of the creation.
        reservation: Reservation,
    },
}
