//! The running engine: work goes from a queue through the slots to the destination, as much of it at once as the slots
//! allow.

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use backstory_api::Client;
use backstory_destination::{DeliveryKind, DeliveryRecord};
use backstory_limits::{SlotPolicy, SlotRefusal};
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use jiff::Timestamp;
use tokio::time::Instant;

use super::events::{Origin, SyncEvent, SyncObserver};
use super::handle::Parameters;
use super::identity::DeliveredJobs;
use super::job::{Outcome, Step, Work, chain};
use super::landing::Shore;
use super::options::{KeepRaw, SyncOptions};
use super::report::{CommittedJob, SyncFailure};
use super::stop::Stop;
use super::turns::Turns;
use crate::error::{Error, ErrorKind};
use crate::ledger::{Ending, JobSpec, Ledger};
use crate::plan::{AttemptOutcome, pieces_after_failure};
use crate::slots::{NoSlot, Slot, Slots};

/// How often one window is asked for in one run when its job is canceled, its file gone, or its creation lost.
const MOST_TIMES: usize = 4;
/// For how long a contacts job holds its slot of which nobody knows whether it exists.
const UNLISTED_HOLD: Duration = Duration::from_secs(2 * 3_600);

/// One run.
pub(super) struct Engine<'e> {
    pub(super) client: &'e Client,
    pub(super) options: &'e SyncOptions,
    pub(super) observer: Arc<dyn SyncObserver>,
    pub(super) ledger: Arc<Ledger>,
    pub(super) shore: Shore,
    pub(super) slots: Slots,
    pub(super) slots_policy: SlotPolicy,
    pub(super) activity_turns: Turns,
    pub(super) contact_turns: Turns,
    pub(super) run: i64,
    /// Stops this run, for whatever reason.
    pub(super) stop: Stop,
    /// What the destination held when the run began.
    pub(super) delivered: DeliveredJobs,
    pub(super) tally: Tally,
    pub(super) future_refused: AtomicBool,
    pub(super) skew_told: AtomicBool,
    /// The jobs of which it was told that they wait for a slot.
    pub(super) waits_told: Mutex<HashSet<JobSpec>>,
}

/// What a run counts.
#[derive(Default)]
pub(super) struct Tally {
    pub(super) created: AtomicU64,
    pub(super) adopted: AtomicU64,
    pub(super) taken_over: AtomicU64,
}

impl Tally {
    pub(super) fn started(&self, how: Origin) {
        let count = match how {
            Origin::Created => &self.created,
            Origin::Adopted => &self.adopted,
            Origin::TakenOver => &self.taken_over,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }
}

/// What a round of work has come to.
#[derive(Default)]
pub(super) struct Progress {
    /// Deliveries committed, with what is told of them.
    pub(super) committed: Vec<(DeliveryRecord, CommittedJob)>,
    pub(super) failures: Vec<SyncFailure>,
    /// Everything that was tried, so that no round tries it again.
    pub(super) tried: HashSet<JobSpec>,
    /// Open jobs of the ledger that were tried.
    pub(super) tried_open: BTreeSet<i64>,
    /// Kinds of data of which nothing more can come in this run: `true` is contacts.
    broken: BTreeSet<bool>,
    pub(super) stopped: bool,
    /// Why nothing of this service may come into the destination.
    pub(super) other_service: Option<Error>,
}

impl Progress {
    /// Whether anything can still come of such a job in this run.
    pub(super) fn may_bring(&self, spec: &JobSpec) -> bool {
        !self.broken.contains(&is_contacts(spec))
    }
}

impl Engine<'_> {
    /// Does all of the work, and what comes of it.
    pub(super) async fn work_off(&self, work: Vec<Work>, progress: &mut Progress) {
        let mut queue: VecDeque<(Work, usize)> = work.into_iter().map(|work| (work, 1)).collect();
        let mut under_way = FuturesUnordered::new();
        loop {
            queue.retain(|(work, _)| progress.may_bring(work.spec()));
            if progress.stopped || self.stop.is_stopped() {
                progress.stopped = true;
                queue.clear();
            }
            let next = queue.front().map(|(work, _)| work.clone());
            tokio::select! {
                biased;
                Some((work, times, outcome)) = under_way.next(), if !under_way.is_empty() => {
                    self.settle(work, times, outcome, &mut queue, progress);
                }
                slot = self.slot_for(next.as_ref()), if next.is_some() => {
                    let Some((work, times)) = queue.pop_front() else { continue };
                    if let Work::Open(job) = &work {
                        progress.tried_open.insert(job.id);
                    }
                    progress.tried.insert(work.spec().clone());
                    match slot {
                        Ok(slot) => {
                            under_way.push(async move {
                                let outcome = self.bring(work.clone(), slot).await;
                                (work, times, outcome)
                            });
                        }
                        Err(outcome) => self.settle(work, times, outcome, &mut queue, progress),
                    }
                }
                else => return,
            }
            self.look_at_clocks();
        }
    }

    /// Waits for a slot for a piece of work. Jobs that exist already count, whether or not there is room.
    async fn slot_for(&self, work: Option<&Work>) -> Step<Slot<'_>> {
        let Some(work) = work else { return std::future::pending().await };
        let parameters = Parameters::of(work.spec())?;
        if let Work::Open(_) = work {
            return Ok(self.slots.hold_open(parameters.listed_as()));
        }
        let mut away_since: Option<Instant> = None;
        let mut pause = self.options.wait.first_poll;
        loop {
            let on_wait = |refusal: SlotRefusal| {
                let mut told = self.waits_told.lock().unwrap_or_else(PoisonError::into_inner);
                if told.insert(work.spec().clone()) {
                    let reason = refusal.to_string();
                    let others = !matches!(refusal, SlotRefusal::OursFull { .. });
                    self.observer.on_event(&SyncEvent::WaitingForSlot { job: work.spec(), reason, others });
                }
            };
            let reserved = tokio::select! {
                biased;
                () = self.stop.stopped() => return Err(Outcome::Stopped),
                reserved = self.slots.reserve(parameters.listed_as(), on_wait) => reserved,
            };
            let error = match reserved {
                Ok(slot) => return Ok(slot),
                Err(NoSlot::NoList(error)) => error,
                Err(late @ NoSlot::DeadlinePassed(_)) => return Err(Outcome::Failed(late.into_error())),
            };
            let away = *away_since.get_or_insert_with(Instant::now);
            self.unless_away_for_long(error, away, pause)?;
            self.pause(pause).await?;
            pause = (pause * 2).min(Duration::from_secs(60));
        }
    }

    /// Whether to ask for the job list again after `pause`, which couldn't be had since `away`.
    pub(super) fn unless_away_for_long(
        &self,
        error: backstory_api::Error,
        away: Instant,
        pause: Duration,
    ) -> Step<()> {
        if !error.is_retryable() {
            return Err(Outcome::Failed(Error::from_api(error)));
        }
        if away.elapsed() + pause > self.patience() {
            return Err(Outcome::Away(Error::from_api(error)));
        }
        tracing::warn!(error = %chain(&error), "the job list can't be had; trying again");
        Ok(())
    }

    /// For how long a service that is away is waited for: no longer than for a slot.
    pub(super) fn patience(&self) -> Duration {
        self.options.wait.deadline.map_or(self.options.outage, |most| most.min(self.options.outage))
    }

    /// What follows from the end of a piece of work.
    fn settle(
        &self,
        work: Work,
        times: usize,
        outcome: Outcome,
        queue: &mut VecDeque<(Work, usize)>,
        progress: &mut Progress,
    ) {
        let spec = work.spec().clone();
        match outcome {
            Outcome::Committed(committed) => {
                let record = committed.record;
                let told = CommittedJob {
                    job: spec.clone(),
                    job_id: record.delivery.job_id.clone(),
                    rows: record.rows(),
                    bad_rows: record.bad_rows(),
                    bytes: record.bytes(),
                };
                self.observer.on_event(&SyncEvent::Committed {
                    job: &spec,
                    job_id: &told.job_id,
                    rows: told.rows,
                    bad_rows: told.bad_rows,
                    bytes: told.bytes,
                    repeated: committed.repeated,
                });
                progress.committed.push((record, told));
            }
            Outcome::Divide(ending, reason) => self.divide(work, ending, reason, queue, progress),
            Outcome::FutureRefused => {
                self.future_refused.store(true, Ordering::Relaxed);
                self.observer.on_event(&SyncEvent::AskedAgain {
                    job: &spec,
                    reason: "the service refuses future dates".to_owned(),
                });
                // The rest is planned anew, without a future.
                queue.retain(|(work, _)| !matches!(work, Work::New { .. }));
            }
            Outcome::Again(ending, reason) if times < MOST_TIMES => {
                self.observer.on_event(&SyncEvent::AskedAgain { job: &spec, reason });
                if let Work::New { .. } = work {
                    queue.push_front((work, times + 1));
                } else {
                    // A job of an earlier run is gone; whether its window is still wanted, the next round's plan says.
                    tracing::info!(job = %spec, ?ending, "an earlier run's job is of no use");
                    progress.tried.remove(&spec);
                }
            }
            Outcome::Again(_, reason) => {
                let message = format!("{times} jobs for {spec} came to nothing; the last: {reason}");
                self.fail(spec, Error::new(ErrorKind::Job, message), progress);
            }
            Outcome::Stopped => progress.stopped = true,
            Outcome::OtherService(error) => {
                self.observer.on_event(&SyncEvent::Failed { job: &spec, error: &chain(&error) });
                progress.other_service = Some(error);
            }
            Outcome::Away(error) => {
                progress.broken.insert(is_contacts(&spec));
                self.fail(spec, error, progress);
            }
            Outcome::Failed(error) => {
                if matches!(error.kind(), ErrorKind::Authentication | ErrorKind::UseLimit) {
                    progress.broken.insert(is_contacts(&spec));
                }
                if matches!(error.kind(), ErrorKind::Destination | ErrorKind::Ledger) {
                    // Nothing that comes can be kept.
                    progress.broken.extend([true, false]);
                }
                self.fail(spec, error, progress);
            }
        }
    }

    fn divide(
        &self,
        work: Work,
        ending: Ending,
        reason: String,
        queue: &mut VecDeque<(Work, usize)>,
        progress: &mut Progress,
    ) {
        let spec = work.spec().clone();
        let outcome = match ending {
            Ending::RanTooLong => AttemptOutcome::RanTooLong,
            Ending::TooWide => AttemptOutcome::TooWide,
            _ => AttemptOutcome::Failed,
        };
        // What an earlier run has begun is divided by the next round's plan, if it is still wanted.
        let Work::New { planned, .. } = work else { return };
        let pieces = pieces_after_failure(&planned, outcome);
        if pieces.is_empty() {
            let error = Error::new(ErrorKind::Job, format!("{reason}; there is nothing smaller to ask for"))
                .with_hint(
                    "run the same command again later; if it stays like this, ask the service's support",
                );
            return self.fail(spec, error, progress);
        }
        let pieces: Vec<Work> = pieces.into_iter().map(Work::new).collect();
        let specs: Vec<JobSpec> = pieces.iter().map(|work| work.spec().clone()).collect();
        self.observer.on_event(&SyncEvent::Divided { job: &spec, reason, pieces: &specs });
        for piece in pieces.into_iter().rev() {
            queue.push_front((piece, 1));
        }
    }

    fn fail(&self, job: JobSpec, error: Error, progress: &mut Progress) {
        self.observer.on_event(&SyncEvent::Failed { job: &job, error: &chain(&error) });
        progress.failures.push(SyncFailure { job, error });
    }

    /// Runs something on the ledger, on a thread that may wait for the disk.
    pub(super) async fn note<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Ledger) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let ledger = Arc::clone(&self.ledger);
        let done = tokio::task::spawn_blocking(move || work(&ledger)).await;
        done.unwrap_or_else(|error| {
            Err(Error::new(ErrorKind::Ledger, "writing the ledger broke down; please report this")
                .with_source(error))
        })
    }

    /// The server's time, as it last told it; the client's before that.
    pub(super) fn server_now(&self) -> Timestamp {
        self.client.server_time().unwrap_or_else(|| self.options.now())
    }

    pub(super) fn keeps_raw(&self) -> bool {
        self.options.keep_raw != KeepRaw::No
    }

    pub(super) fn future_is_refused(&self) -> bool {
        self.future_refused.load(Ordering::Relaxed)
    }

    /// How long a job may run.
    pub(super) fn run_limit(&self) -> Duration {
        self.options.wait.deadline.map_or(self.options.run_limit, |most| most.min(self.options.run_limit))
    }

    pub(super) fn unlisted_hold(&self) -> Duration {
        self.options.wait.deadline.map_or(UNLISTED_HOLD, |most| most.min(UNLISTED_HOLD))
    }

    /// Tells once when the client's clock and the server's are apart.
    fn look_at_clocks(&self) {
        let Some(server) = self.client.server_time() else { return };
        if self.skew_told.swap(true, Ordering::Relaxed) {
            return;
        }
        let client = self.options.now();
        if client.duration_until(server).abs() > jiff::SignedDuration::from_mins(5) {
            self.observer.on_event(&SyncEvent::Skew { client, server });
        }
    }
}

fn is_contacts(spec: &JobSpec) -> bool {
    spec.kind == DeliveryKind::Contacts
}
