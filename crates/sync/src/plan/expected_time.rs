//! How long a plan should take, by what jobs have taken before.

use backstory_destination::DeliveryKind;
use backstory_limits::SlotPolicy;
use jiff::SignedDuration;

use super::planned_job::PlannedJob;

/// What a job of each kind has typically taken, from its creation to its commit; the median of earlier runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct JobTimes {
    /// A snapshot.
    pub snapshot: Option<SignedDuration>,
    /// A delta.
    pub delta: Option<SignedDuration>,
    /// A job of contacts.
    pub contacts: Option<SignedDuration>,
}

impl JobTimes {
    /// The time of one kind.
    pub fn of(&self, kind: DeliveryKind) -> Option<SignedDuration> {
        match kind {
            DeliveryKind::Snapshot => self.snapshot,
            DeliveryKind::Delta => self.delta,
            DeliveryKind::Contacts => self.contacts,
        }
    }

    /// The same, with the time of one kind.
    #[must_use]
    pub fn with(mut self, kind: DeliveryKind, time: SignedDuration) -> Self {
        match kind {
            DeliveryKind::Snapshot => self.snapshot = Some(time),
            DeliveryKind::Delta => self.delta = Some(time),
            DeliveryKind::Contacts => self.contacts = Some(time),
        }
        self
    }
}

/// The jobs in order, each on whichever running slot is free first.
pub(crate) fn expected_time(
    jobs: &[PlannedJob],
    times: &JobTimes,
    slots: SlotPolicy,
) -> Option<SignedDuration> {
    let at_once = slots.running.min(slots.service_runs).max(1);
    let mut free = vec![SignedDuration::ZERO; at_once.min(jobs.len()).max(1)];
    for job in jobs {
        let takes = times.of(job.kind)?;
        let first = free.iter_mut().min()?;
        *first = first.saturating_add(takes);
    }
    free.into_iter().max()
}
