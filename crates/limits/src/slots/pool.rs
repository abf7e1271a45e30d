//! The state machine: reserve → bind to a job → settle, with a detour by *unknown* when a reply is lost.
//!
//! The service runs 2 jobs and queues 10, for the whole organisation (contract (b), (j.2)). Other programs share that
//! pool, so what is counted here is only ever a bound on what *we* may start: the service's list, given to
//! [`SlotPool::observe`], is the truth. Each doubt is counted as a job until that list has settled it.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::held::{Held, State};
use super::listed::{ListedJob, Phase, Settlement};
use super::policy::{SlotPolicy, SlotRefusal};

/// Names a slot that is held. It doesn't free the slot when dropped, because a job that is forgotten still runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reservation(u64);

/// Counts the slots that we hold. `R` is what requests are compared by ([`ListedJob`]).
///
/// All times given to one pool are by one clock: the service's, as far as it is known.
///
/// ```
/// use backstory_limits::{ListedJob, Phase, Settlement, SlotPolicy, SlotPool};
/// use jiff::{SignedDuration, Timestamp};
///
/// let at = |text: &str| text.parse::<Timestamp>().unwrap();
/// let mut pool = SlotPool::new(SlotPolicy::default());
///
/// // Before the request is sent: a slot. Then the reply is lost, and the slot stays held …
/// let slot = pool.reserve("delta 2026-03-01", at("2026-03-02T09:00:00Z")).unwrap();
/// pool.mark_unknown(slot, at("2026-03-02T09:00:30Z"));
/// assert_eq!(pool.unknown(), 1);
///
/// // … until the service's list shows a job with the same parameters, created since. It is ours.
/// let job = ListedJob {
///     id: "4711",
///     phase: Phase::Running,
///     created: Some(at("2026-03-02T09:00:01Z")),
///     request: "delta 2026-03-01",
/// };
/// let settled = pool.observe([job], at("2026-03-02T09:01:00Z"));
/// assert_eq!(
///     settled,
///     [Settlement::Adopted { reservation: slot, job_id: "4711".to_owned(), phase: Phase::Running }]
/// );
///
/// // A poll says that it has ended: the slot is free.
/// pool.update("4711", Phase::Completed);
/// assert_eq!(pool.ours(), 0);
/// ```
#[derive(Clone, Debug)]
pub struct SlotPool<R> {
    policy: SlotPolicy,
    next: u64,
    held: BTreeMap<Reservation, Held<R>>,
    /// Outstanding jobs that aren't ours, as last listed.
    others: BTreeMap<String, Phase>,
    /// Creations that were taken for never made. Should a reply come after all, the slot is taken again.
    disproved: BTreeMap<Reservation, Held<R>>,
    /// Jobs that were ours and have ended, with their intent: a list that lags may still show them as running.
    ended: BTreeMap<String, Timestamp>,
}

impl<R> SlotPool<R> {
    /// A pool of which we hold nothing, and no list has been seen.
    pub const fn new(policy: SlotPolicy) -> Self {
        Self {
            policy,
            next: 0,
            held: BTreeMap::new(),
            others: BTreeMap::new(),
            disproved: BTreeMap::new(),
            ended: BTreeMap::new(),
        }
    }

    /// What this pool allows us.
    pub const fn policy(&self) -> &SlotPolicy {
        &self.policy
    }

    /// Takes a slot for a job that no list will show: an export of contacts (contract (j.6)).
    ///
    /// # Errors
    /// [`SlotRefusal`] when the policy or the pool has no slot left.
    pub fn reserve_unlisted(&mut self, at: Timestamp) -> Result<Reservation, SlotRefusal> {
        self.room()?;
        Ok(self.hold(None, at, State::Intended))
    }

    /// Takes a slot for a job that exists and is being attached to, whether or not the policy has room: the service counts
    /// it anyway. A job that is held already keeps its reservation.
    pub fn adopt(&mut self, job_id: &str, phase: Phase, at: Timestamp) -> Reservation {
        let reservation = self
            .holder(job_id)
            .unwrap_or_else(|| self.hold(None, at, State::Bound { job_id: job_id.to_owned(), phase }));
        self.others.remove(job_id);
        self.ended.remove(job_id);
        self.update(job_id, phase);
        reservation
    }

    /// Takes a slot for a job that may exist already, whether or not the policy has room: the service may count it. Known is
    /// at most what was asked for. It is held until it is bound, settled or released.
    pub fn adopt_unknown(&mut self, request: Option<R>, at: Timestamp) -> Reservation {
        self.hold(request, at, State::Intended)
    }

    /// The creation was answered with this job. May be told late, or repeatedly, and corrects what the list had suggested:
    /// a reply knows better. One job holds one slot, so a reservation that held this job before is settled.
    ///
    /// A reservation whose job has ended, or that was released, stays as it is.
    pub fn bind(&mut self, reservation: Reservation, job_id: &str) {
        if let Some(held) = self.disproved.remove(&reservation) {
            self.held.insert(reservation, held);
        }
        if self.ended.contains_key(job_id) {
            // Told again, of a job that has come and gone.
            self.held.remove(&reservation);
            return;
        }
        let Some(held) = self.held.get_mut(&reservation) else { return };
        if held.job_id() == Some(job_id) {
            return;
        }
        let phase = self.others.remove(job_id).unwrap_or(Phase::Waiting);
        let before = std::mem::replace(&mut held.state, State::Bound { job_id: job_id.to_owned(), phase });
        // What had been adopted in its place belongs to somebody, and still runs.
        if let State::Bound { job_id: stranger, phase } = before {
            self.others.insert(stranger, phase);
        }
        self.held.retain(|other, held| *other == reservation || held.job_id() != Some(job_id));
    }

    /// The reply to the creation was lost, or came to nothing that tells whether the job exists, and `at` is when we
    /// stopped waiting for it. The slot stays held until [`SlotPool::observe`] or [`SlotPool::pass_time`] has settled it.
    pub fn mark_unknown(&mut self, reservation: Reservation, at: Timestamp) {
        if let Some(held) = self.held.get_mut(&reservation)
            && held.state == State::Intended
        {
            held.state = State::Unknown { given_up: at };
        }
    }

    /// The creation was certainly refused, or never sent: its slot is free. Releasing twice is harmless.
    pub fn release(&mut self, reservation: Reservation) {
        self.disproved.remove(&reservation);
        // A job that was adopted for it is then somebody else's, and still runs.
        if let Some(Held { state: State::Bound { job_id, phase }, .. }) = self.held.remove(&reservation) {
            self.others.insert(job_id, phase);
        }
    }

    /// The job of the reservation has ended, or is certainly gone: its slot is free. Settling twice is harmless.
    pub fn settle(&mut self, reservation: Reservation) {
        self.disproved.remove(&reservation);
        if let Some(Held { state: State::Bound { job_id, .. }, intended, .. }) =
            self.held.remove(&reservation)
        {
            self.ended.insert(job_id, intended);
        }
    }

    /// What a poll has said about a job of ours; one that has ended frees its slot. Jobs of others are left to the list.
    pub fn update(&mut self, job_id: &str, phase: Phase) {
        let Some(reservation) = self.holder(job_id) else { return };
        if !phase.holds_a_slot() {
            self.settle(reservation);
        } else if let Some(held) = self.held.get_mut(&reservation) {
            held.state = State::Bound { job_id: job_id.to_owned(), phase };
        }
    }

    /// Lets time pass: frees the slots of creations of unknown outcome that no list can settle, after
    /// [`SlotPolicy::unlisted_hold`].
    pub fn pass_time(&mut self, at: Timestamp) -> Vec<Settlement> {
        let hold = self.policy.unlisted_hold;
        let overdue = self.held.extract_if(.., |_, held| match held.state {
            State::Unknown { given_up } => held.request.is_none() && given_up.duration_until(at) >= hold,
            State::Intended | State::Bound { .. } => false,
        });
        let abandoned: Vec<_> = overdue.collect();
        let settled =
            abandoned.iter().map(|(reservation, _)| Settlement::Abandoned { reservation: *reservation });
        let settled = settled.collect();
        self.disproved.extend(abandoned);
        settled
    }

    /// How many slots we hold, those of unknown creations included.
    pub fn ours(&self) -> usize {
        self.held.len()
    }

    /// How many of ours are expected to wait: those which don't run, less what the service has free to run them.
    pub fn waiting(&self) -> usize {
        self.not_running().saturating_sub(self.free_to_run())
    }

    /// How many outstanding jobs of others the last list had.
    pub fn others(&self) -> usize {
        self.others.len()
    }

    /// How many of our creations have an unknown outcome.
    pub fn unknown(&self) -> usize {
        self.held.values().filter(|held| held.is_unknown()).count()
    }

    fn room(&self) -> Result<(), SlotRefusal> {
        let (ours, others) = (self.ours(), self.others());
        if ours >= self.policy.running.saturating_add(self.policy.waiting) {
            return Err(SlotRefusal::OursFull { ours });
        }
        if ours.saturating_add(others).saturating_add(self.policy.reserved_for_others) >= self.policy.total {
            return Err(SlotRefusal::PoolFull { ours, others });
        }
        let waiting_with_it = (self.not_running() + 1).saturating_sub(self.free_to_run());
        if waiting_with_it > self.policy.waiting {
            return Err(SlotRefusal::WaitingFull { waiting: self.waiting(), others });
        }
        Ok(())
    }

    fn not_running(&self) -> usize {
        self.held.values().filter(|held| !held.is_running()).count()
    }

    /// How many more of our jobs would start at once: what the service has free, less what others already wait for.
    fn free_to_run(&self) -> usize {
        let running = self.held.values().filter(|held| held.is_running()).count();
        let free = self.policy.service_runs.saturating_sub(running).saturating_sub(self.others.len());
        free.min(self.policy.running.saturating_sub(running))
    }

    fn hold(&mut self, request: Option<R>, intended: Timestamp, state: State) -> Reservation {
        let reservation = Reservation(self.next);
        self.next += 1;
        self.held.insert(reservation, Held { request, intended, state });
        reservation
    }

    fn holder(&self, job_id: &str) -> Option<Reservation> {
        self.held.iter().find(|(_, held)| held.job_id() == Some(job_id)).map(|(reservation, _)| *reservation)
    }
}

impl<R: PartialEq> SlotPool<R> {
    /// Takes a slot for a job that is about to be created at `at`, before the request is sent. `request` is what will be
    /// asked for, by which the job is recognised on the list if the reply is lost.
    ///
    /// # Errors
    /// [`SlotRefusal`] when the policy or the pool has no slot left, or while an equal creation is unanswered: its job
    /// and this one could not be told apart, and one of them would be too many.
    pub fn reserve(&mut self, request: R, at: Timestamp) -> Result<Reservation, SlotRefusal> {
        if self.held.values().any(|held| held.is_unanswered() && held.request.as_ref() == Some(&request)) {
            return Err(SlotRefusal::Unanswered);
        }
        self.room()?;
        Ok(self.hold(Some(request), at, State::Intended))
    }

    /// Takes in the service's list, which was asked for at `at`, and says what it has decided.
    ///
    /// - A job of ours that has ended frees its slot. One that is missing keeps it, since the list may lag, unless it is
    ///   older than the list reaches back.
    /// - A creation of unknown outcome adopts a job that was asked for the same, was created since, has neither failed nor
    ///   been canceled, and isn't another of ours. Without one, it is taken for never made, once the list is
    ///   younger than the moment of giving up by [`SlotPolicy::list_lag`].
    /// - The other outstanding jobs are counted as other programs'.
    pub fn observe<'a>(
        &mut self,
        list: impl IntoIterator<Item = ListedJob<'a, R>>,
        at: Timestamp,
    ) -> Vec<Settlement> {
        let mut settled = Vec::new();
        let mut listed = BTreeSet::new();
        self.others.clear();
        for job in list {
            listed.insert(job.id);
            if let Some(reservation) = self.holder(job.id) {
                self.update(job.id, job.phase);
                if !job.phase.holds_a_slot() {
                    settled.push(Settlement::Ended { reservation, job_id: job.id.to_owned() });
                }
            } else if !self.ended.contains_key(job.id) {
                settled.extend(self.take_in(&job));
            }
        }
        settled.extend(self.drop_what_fell_off(&listed, at));
        settled.extend(self.disprove(at));
        settled.extend(self.pass_time(at));
        let reach = self.policy.list_reach;
        self.ended
            .retain(|id, intended| listed.contains(id.as_str()) || intended.duration_until(at) <= reach);
        self.disproved.retain(|_, held| held.intended.duration_until(at) <= reach);
        settled
    }

    /// A listed job that isn't known as ours: the lost child of an unknown creation, or somebody else's.
    fn take_in(&mut self, job: &ListedJob<'_, R>) -> Option<Settlement> {
        let created = job.created.filter(|_| job.phase != Phase::Failed);
        let parent = created
            .and_then(|created| self.held.iter_mut().find(|(_, held)| held.may_be(&job.request, created)));
        let Some((reservation, held)) = parent else {
            if job.phase.holds_a_slot() {
                self.others.insert(job.id.to_owned(), job.phase);
            }
            return None;
        };
        let reservation = *reservation;
        held.state = State::Bound { job_id: job.id.to_owned(), phase: job.phase };
        if !job.phase.holds_a_slot() {
            self.settle(reservation);
        }
        Some(Settlement::Adopted { reservation, job_id: job.id.to_owned(), phase: job.phase })
    }

    /// Frees the slots of jobs that are older than the list reaches, and that it therefore no longer shows.
    fn drop_what_fell_off(&mut self, listed: &BTreeSet<&str>, at: Timestamp) -> Vec<Settlement> {
        let reach = self.policy.list_reach;
        let gone = self.held.extract_if(.., |_, held| {
            held.request.is_some()
                && held.intended.duration_until(at) > reach
                && held.job_id().is_some_and(|id| !listed.contains(id))
        });
        gone.filter_map(|(reservation, held)| match held.state {
            State::Bound { job_id, .. } => Some(Settlement::Ended { reservation, job_id }),
            State::Intended | State::Unknown { .. } => None,
        })
        .collect()
    }

    /// Frees the slots of creations whose job a young enough list doesn't have.
    fn disprove(&mut self, at: Timestamp) -> Vec<Settlement> {
        let lag = self.policy.list_lag;
        let never = self.held.extract_if(.., |_, held| match held.state {
            State::Unknown { given_up } => held.request.is_some() && given_up.duration_until(at) > lag,
            State::Intended | State::Bound { .. } => false,
        });
        let disproved: Vec<_> = never.collect();
        let settled =
            disproved.iter().map(|(reservation, _)| Settlement::NeverCreated { reservation: *reservation });
        let settled = settled.collect();
        self.disproved.extend(disproved);
        settled
    }
}
