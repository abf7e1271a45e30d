//! One held slot, and the states that it goes through.

use jiff::Timestamp;

use super::listed::Phase;

/// A slot that we hold.
#[derive(Clone, Debug)]
pub(super) struct Held<R> {
    /// What was asked for; `None` for jobs that no list shows, or that were attached to by id.
    pub(super) request: Option<R>,
    /// When the slot was reserved, before the request was sent: a job created earlier isn't ours.
    pub(super) intended: Timestamp,
    pub(super) state: State,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Reserved; the creation has not been answered.
    Intended,
    /// The reply was lost: a job may exist, with an id that we don't know.
    Unknown { given_up: Timestamp },
    /// The job that the slot is for, and where it was when last heard of.
    Bound { job_id: String, phase: Phase },
}

impl<R> Held<R> {
    pub(super) fn job_id(&self) -> Option<&str> {
        match &self.state {
            State::Bound { job_id, .. } => Some(job_id),
            State::Intended | State::Unknown { .. } => None,
        }
    }

    pub(super) fn is_running(&self) -> bool {
        matches!(self.state, State::Bound { phase: Phase::Running, .. })
    }

    pub(super) fn is_unanswered(&self) -> bool {
        !matches!(self.state, State::Bound { .. })
    }

    pub(super) fn is_unknown(&self) -> bool {
        matches!(self.state, State::Unknown { .. })
    }
}

impl<R: PartialEq> Held<R> {
    /// Whether a listed job may be the one that this creation made: its outcome is unknown, the job was asked for the
    /// same, and it was created no earlier than we meant to. The service tells whole seconds.
    pub(super) fn may_be(&self, request: &R, created: Timestamp) -> bool {
        self.is_unknown()
            && self.request.as_ref() == Some(request)
            && created.as_second() >= self.intended.as_second()
    }
}
