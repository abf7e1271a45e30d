//! Slots at run time: the pure accounting of `backstory-limits`, kept in step with the server's own list, and waited for.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use backstory_api::{ActivityType, Client, Error, Job, JobId, JobState};
use backstory_limits::{
    DateRange, ExportKind, ListedJob, Phase, Reservation, SlotPolicy, SlotPool, SlotRefusal,
};
use jiff::Timestamp;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

/// How old the list may be when a slot is reserved by it, and how long to wait for a slot of ours before the list is looked
/// at again, since other programs' jobs end without telling us: so many times the pace, which is a second unless said.
const FRESH: u32 = 5;
const LOOK_AGAIN: u32 = 15;

/// What a job of activities was asked for, by which it is recognised in the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    window: DateRange,
    kind: ExportKind,
    activity_type: ActivityType,
}

impl Request {
    pub(crate) fn new(window: DateRange, kind: ExportKind, activity_type: ActivityType) -> Self {
        Self { window, kind, activity_type }
    }

    /// What a listed job was asked for, where its echo tells.
    pub(crate) fn of(job: &Job) -> Option<Self> {
        Some(Self {
            window: DateRange::new(job.start_date?, job.end_date?).ok()?,
            kind: job.export_type.as_deref()?.parse().ok()?,
            activity_type: ActivityType::from_word(job.activity_type.as_deref()?)?,
        })
    }
}

/// Hands out the slots that we may use.
pub(crate) struct Slots {
    pool: Mutex<SlotPool<Option<Request>>>,
    freed: Notify,
    client: Client,
    /// Whether jobs of activities are wanted, for which there must be a list. Contacts are in none (contract (j.6)), but
    /// share the queue with those that are.
    needs_list: bool,
    /// Whether the service's list is looked at: without the key of activities, it can't be had.
    has_list: AtomicBool,
    listed: Mutex<Option<Instant>>,
    /// Slots of jobs that no list shows, and until when they are held.
    overdue: Mutex<Vec<(Instant, Reservation)>>,
    clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    pace: Duration,
    /// How long there may be no slot before no more is waited for, and since when there has been none.
    deadline: Option<Duration>,
    full_since: Mutex<Option<Instant>>,
}

/// Why there is no slot.
#[derive(Debug)]
pub(crate) enum NoSlot {
    /// The list can't be had, and without it nobody knows what is free.
    NoList(Error),
    /// None became free within this time.
    DeadlinePassed(Duration),
}

impl NoSlot {
    pub(crate) fn into_error(self) -> crate::Error {
        match self {
            Self::NoList(error) => crate::Error::from_api(error),
            Self::DeadlinePassed(waited) => {
                let message = format!(
                    "no job slot has become free for {:.0} s; the jobs that hold them go on at the service",
                    waited.as_secs_f64()
                );
                crate::Error::new(crate::ErrorKind::DeadlinePassed, message)
                    .with_hint("run the same command again later, or with a longer --deadline")
            }
        }
    }
}

impl Slots {
    pub(crate) fn new(
        policy: SlotPolicy,
        client: Client,
        needs_list: bool,
        clock: &Arc<dyn Fn() -> Timestamp + Send + Sync>,
    ) -> Self {
        Self {
            pool: Mutex::new(SlotPool::new(policy)),
            freed: Notify::new(),
            client,
            needs_list,
            has_list: AtomicBool::new(true),
            listed: Mutex::default(),
            overdue: Mutex::default(),
            clock: Arc::clone(clock),
            pace: Duration::from_secs(1),
            deadline: None,
            full_since: Mutex::default(),
        }
    }

    /// Gives up when there has been no slot for so long, whoever waited for it.
    pub(crate) fn with_deadline(mut self, deadline: Option<Duration>) -> Self {
        self.deadline = deadline;
        self
    }

    /// Looks at the list more often, for a service that is quicker than the live one.
    pub(crate) fn at_pace(mut self, pace: Duration) -> Self {
        self.pace = pace.min(self.pace);
        self
    }

    /// Waits for a slot. `request` is what will be asked for, where the list can show it; `on_wait` is told each time that
    /// there is no slot.
    ///
    /// # Errors
    /// The list's own, when it can't be had. A job that no list shows doesn't need it: its key may be good though the
    /// list's is not. Or the deadline's.
    pub(crate) async fn reserve(
        &self,
        request: Option<Request>,
        mut on_wait: impl FnMut(SlotRefusal),
    ) -> Result<Slot<'_>, NoSlot> {
        loop {
            // Registered before the pool is looked at, so that a slot freed in between is not missed.
            let freed = self.freed.notified();
            match self.refresh().await {
                Err(error) if request.is_some() => return Err(NoSlot::NoList(error)),
                Err(error) => tracing::warn!(%error, "the job list can't be had; going on without it"),
                Ok(()) => {}
            }
            let now = self.now();
            self.release_overdue();
            let reserved = match request {
                Some(request) => self.pool().reserve(Some(request), now),
                None => self.pool().reserve_unlisted(now),
            };
            let refusal = match reserved {
                Ok(reservation) => {
                    *self.full_since() = None;
                    return Ok(Slot { slots: self, reservation, bound: AtomicBool::new(false) });
                }
                Err(refusal) => refusal,
            };
            on_wait(refusal);
            let full_for = self.full_since().get_or_insert_with(Instant::now).elapsed();
            let left = self.deadline.map_or(Duration::MAX, |deadline| deadline.saturating_sub(full_for));
            if left.is_zero() {
                return Err(NoSlot::DeadlinePassed(full_for));
            }
            // Timing out is the other way on: the list is looked at again.
            let _ = timeout(left.min(self.pace * LOOK_AGAIN), freed).await;
        }
    }

    /// A slot for a job that exists already and counts, whether or not there is room.
    pub(crate) fn adopt(&self, job: &Job) -> Slot<'_> {
        let reservation = self.pool().adopt(job.job_id.as_str(), phase(job), self.now());
        Slot { slots: self, reservation, bound: AtomicBool::new(true) }
    }

    /// A slot for a job of an earlier run, or for an intent that may have become one: it counts, whether or not there is room.
    pub(crate) fn hold_open(&self, request: Option<Request>) -> Slot<'_> {
        let reservation = self.pool().adopt_unknown(request.map(Some), self.now());
        Slot { slots: self, reservation, bound: AtomicBool::new(false) }
    }

    /// Holds a slot for a job that an earlier run gave up, and that may still run, until the list says that it has ended.
    pub(crate) fn hold_job(&self, job: &Job) {
        let _ = self.pool().adopt(job.job_id.as_str(), phase(job), self.now());
    }

    /// Holds a slot for a job of which nothing is known, and that no list will show, for so long.
    pub(crate) fn hold_for(&self, length: Duration) {
        let reservation = self.pool().adopt_unknown(None, self.now());
        self.overdue
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push((Instant::now() + length, reservation));
    }

    /// How many jobs of others the last list had, once one has been seen.
    pub(crate) fn others(&self) -> Option<usize> {
        let seen = self.listed.lock().unwrap_or_else(PoisonError::into_inner).is_some();
        seen.then(|| self.pool().others())
    }

    fn release_overdue(&self) {
        let mut overdue = self.overdue.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        for (_, reservation) in overdue.extract_if(.., |(until, _)| *until <= now) {
            self.pool().release(reservation);
        }
    }

    async fn refresh(&self) -> Result<(), Error> {
        let listed = *self.listed.lock().unwrap_or_else(PoisonError::into_inner);
        let is_fresh = listed.is_some_and(|listed| listed.elapsed() < self.pace * FRESH);
        if is_fresh || !self.has_list.load(Ordering::Relaxed) {
            return Ok(());
        }
        let jobs = match self.client.activities().list().await {
            Ok(jobs) => jobs,
            Err(error) if self.needs_list => return Err(error),
            Err(error) => {
                tracing::debug!(%error, "the job list can't be had; contacts go on without it");
                self.has_list.store(false, Ordering::Relaxed);
                return Ok(());
            }
        };
        let list = jobs.iter().map(|job| ListedJob {
            id: job.job_id.as_str(),
            phase: phase(job),
            created: job.job_created_time,
            request: Request::of(job),
        });
        // Settlements are not acted on: the client settles its own lost replies, and waits poll their own jobs.
        let now = self.now();
        let _ = self.pool().observe(list, now);
        *self.listed.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        Ok(())
    }

    fn now(&self) -> Timestamp {
        self.client.server_time().unwrap_or_else(|| (self.clock)())
    }

    fn full_since(&self) -> MutexGuard<'_, Option<Instant>> {
        self.full_since.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pool(&self) -> MutexGuard<'_, SlotPool<Option<Request>>> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A job in a state that nobody knows holds a slot.
fn phase(job: &Job) -> Phase {
    match job.state {
        Some(JobState::Running) => Phase::Running,
        Some(JobState::Completed) => Phase::Completed,
        Some(JobState::Failed | JobState::Canceled) => Phase::Failed,
        _ => Phase::Waiting,
    }
}

/// A slot that is ours. Dropped before a job is bound to it, it is free again; afterwards it is free when the job has
/// ended, however long anybody waits for that.
pub(crate) struct Slot<'s> {
    slots: &'s Slots,
    reservation: Reservation,
    bound: AtomicBool,
}

impl Slot<'_> {
    /// The slot's job was created.
    pub(crate) fn bind(&self, job_id: &JobId) {
        self.bound.store(true, Ordering::Relaxed);
        self.slots.pool().bind(self.reservation, job_id.as_str());
    }

    /// What a poll has said of the slot's job.
    pub(crate) fn update(&self, job: &Job) {
        self.slots.pool().update(job.job_id.as_str(), phase(job));
        // One that runs makes room among the waiting, one that has ended among all.
        self.slots.freed.notify_waiters();
    }

    /// The creation's outcome is unknown as yet: the slot stays held, until it is bound or dropped.
    pub(crate) fn doubt(&self) {
        let now = self.slots.now();
        self.slots.pool().mark_unknown(self.reservation, now);
    }

    /// The creation's outcome will never be known: the slot stays held for so long.
    pub(crate) fn hold_for(self, length: Duration) {
        self.bound.store(true, Ordering::Relaxed);
        let mut overdue = self.slots.overdue.lock().unwrap_or_else(PoisonError::into_inner);
        overdue.push((Instant::now() + length, self.reservation));
    }

    /// The creation's outcome is unknown: a job may hold the slot, so it stays held.
    pub(crate) fn forfeit(self) {
        self.bound.store(true, Ordering::Relaxed);
        let now = self.slots.now();
        self.slots.pool().mark_unknown(self.reservation, now);
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        if !self.bound.load(Ordering::Relaxed) {
            self.slots.pool().release(self.reservation);
            self.slots.freed.notify_waiters();
        }
    }
}
