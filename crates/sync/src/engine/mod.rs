//! The sync engine: one run brings a destination up to date. Plan, work off, plan again, until nothing is left that this run
//! can do.

mod adoption;
#[expect(clippy::module_inception, reason = "the engine of the engine room")]
mod engine;
mod events;
mod handle;
mod history;
mod identity;
mod job;
mod landing;
mod lock;
mod options;
mod place;
mod rebuild;
mod reload;
mod report;
mod stop;
mod turns;
mod verify;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use backstory_api::{Client, ErrorKind as ApiKind};
use backstory_destination::{DeliveryRecord, Destination, fail_point};
use jiff::SignedDuration;

use self::engine::{Engine, Progress, Tally};
use self::handle::Handle;
use self::identity::DeliveredJobs;
use self::job::Work;
use self::landing::Shore;
use self::turns::Turns;
use crate::coverage::{Coverage, DayState};
use crate::error::{Error, ErrorKind};
use crate::ledger::{JobSpec, Ledger, LedgerJob, RunTotals, Stage};
use crate::plan::{SyncPlan, SyncSettings};
use crate::raw::RawStore;
use crate::slots::Slots;

pub use events::{Origin as JobOrigin, SyncEvent, SyncObserver};
pub(crate) use lock::Lock;

pub use history::{History, history};
pub use lock::Holder;
pub use options::{KeepRaw, SyncOptions};
pub use place::StatePlace;
pub use rebuild::{Before, NotCovered, Rebuilt, rebuild};
pub use report::{CommittedJob, SyncFailure, SyncReport};
pub use stop::Stop;
pub use verify::{RawFacts, Verification, verify};

/// How often a run that waits for another looks whether that has ended.
const LOOK_AT_LOCK: Duration = Duration::from_millis(500);
/// How many rounds of planning a run has at most. Each of them does something that no round before it has tried.
const MOST_ROUNDS: usize = 100;

/// Brings a destination up to date.
///
/// Run it whenever and stop it however: what is in the destination is whole, jobs that were begun are taken over by the next
/// run, and only what is new is asked for.
///
/// # Errors
/// [`ErrorKind::Busy`] when another run holds the destination; [`ErrorKind::Usage`] when the settings don't fit what is
/// there; [`ErrorKind::Destination`] and [`ErrorKind::Ledger`] when they can't be used. The failure of single jobs is not
/// an error: it stands in the report beside what landed.
pub async fn sync(
    client: &Client,
    destination: Arc<dyn Destination>,
    settings: &SyncSettings,
    options: &SyncOptions,
    observer: Arc<dyn SyncObserver>,
    stop: &Stop,
) -> Result<SyncReport, Error> {
    sync_with(client, destination, |_| Ok(settings.clone()), options, observer, stop).await
}

/// As [`sync`](sync()), with settings that depend on what the destination holds. They are chosen once nobody else can change
/// that any more.
///
/// # Errors
/// As [`sync`](sync()), and those of `choose`.
pub async fn sync_with<E: From<Error>>(
    client: &Client,
    destination: Arc<dyn Destination>,
    choose: impl FnOnce(&[DeliveryRecord]) -> Result<SyncSettings, E>,
    options: &SyncOptions,
    observer: Arc<dyn SyncObserver>,
    stop: &Stop,
) -> Result<SyncReport, E> {
    let begun = Instant::now();
    let place = StatePlace::new(&*destination, options.state_dir.as_deref())?;
    let _lock = take_lock(&place, destination.name(), options, &*observer, stop).await?;
    let deliveries = {
        let destination = Arc::clone(&destination);
        blocking(move || destination.deliveries().map_err(Error::from_destination)).await?
    };
    let settings = choose(&deliveries)?;
    let held = Held { begun, place, destination, deliveries };
    Ok(run(client, held, &settings, options, observer, stop).await?)
}

/// A destination whose lock is held, and what is in it.
struct Held {
    begun: Instant,
    place: StatePlace,
    destination: Arc<dyn Destination>,
    deliveries: Vec<DeliveryRecord>,
}

/// One run.
async fn run(
    client: &Client,
    held: Held,
    settings: &SyncSettings,
    options: &SyncOptions,
    observer: Arc<dyn SyncObserver>,
    stop: &Stop,
) -> Result<SyncReport, Error> {
    let Held { begun, place, destination, deliveries } = held;
    let shore = Shore {
        destination,
        raw: RawStore::new(place.raw()),
        quarantine: place.quarantine(),
        max_bad_rows: options.max_bad_rows,
        bad_rows: Arc::new(AtomicU64::new(0)),
        observer: Arc::clone(&observer),
    };
    let opened = {
        let (shore, now, path) = (shore.clone(), options.now(), place.ledger());
        blocking(move || open(&shore, deliveries, &path, now)).await?
    };
    if let Some(path) = opened.ledger.set_aside() {
        observer.on_event(&SyncEvent::LedgerSetAside { path });
    }
    let Opened { ledger, run, mut deliveries, reloaded } = opened;
    // A run may have to stop by itself, which is nobody else's business.
    let own_stop = Stop::new();
    let engine = Engine {
        client,
        options,
        observer: Arc::clone(&observer),
        ledger: Arc::new(ledger),
        shore,
        slots: Slots::new(settings.slots, client.clone(), settings.activities, &options.clock)
            .at_pace(options.wait.first_poll)
            .with_deadline(options.wait.deadline),
        slots_policy: settings.slots,
        activity_turns: Turns::new(1),
        contact_turns: Turns::new(1),
        run,
        stop: own_stop.clone(),
        delivered: DeliveredJobs::of(&deliveries),
        tally: Tally::default(),
        future_refused: AtomicBool::new(false),
        skew_told: AtomicBool::new(false),
        waits_told: Mutex::default(),
    };

    let mut progress = Progress::default();
    let plan = tokio::select! {
        biased;
        never = own_stop.follow(stop) => match never {},
        plan = rounds(&engine, settings, &mut deliveries, &mut progress) => plan,
    };
    let settled = {
        let (shore, deliveries, now) = (engine.shore.clone(), deliveries.clone(), options.now());
        let keep_raw = options.keep_raw;
        blocking(move || settle(&shore, &deliveries, keep_raw, now)).await
    };
    if let Ok(pruned) = &settled
        && *pruned > 0
    {
        observer.on_event(&SyncEvent::Pruned { deliveries: *pruned });
    }
    let incomplete_days = match &plan {
        Ok(plan) if settings.activities => incomplete_days(plan),
        _ => Vec::new(),
    };
    let again = |plan: &SyncPlan| incomplete_days.iter().filter_map(|day| plan.whole_again_from(*day)).max();
    let report = SyncReport {
        watermark: plan.as_ref().ok().and_then(SyncPlan::watermark),
        whole_again_from: plan.as_ref().ok().and_then(again),
        incomplete_days,
        committed: progress.committed.into_iter().map(|(_, told)| told).collect(),
        failures: progress.failures,
        interrupted: progress.stopped,
        created: engine.tally.created.load(Ordering::Relaxed),
        adopted: engine.tally.adopted.load(Ordering::Relaxed),
        taken_over: engine.tally.taken_over.load(Ordering::Relaxed),
        reloaded,
        seconds: begun.elapsed().as_secs_f64(),
    };
    let outcome = if plan.is_err() || settled.is_err() { "failed" } else { report.outcome() };
    let totals = RunTotals {
        jobs: report.committed.len() as u64,
        rows: report.rows(),
        bytes: report.bytes(),
        seconds: report.seconds,
    };
    let (now, others, at) = (options.now(), engine.slots.others(), engine.server_now());
    let noted = engine
        .note(move |ledger| {
            if let Some(others) = others {
                ledger.saw_others(others, at)?;
            }
            ledger.end_run(run, now, outcome, totals)
        })
        .await;
    observer.on_event(&SyncEvent::Ended { outcome, watermark: report.watermark, seconds: report.seconds });
    plan?;
    settled?;
    // What the ledger can't be told costs nothing but time, and a failure that was met before says more.
    if report.failures.is_empty() {
        noted?;
    }
    Ok(report)
}

/// Plans and works off, until there is nothing left that hasn't been tried. Returns the plan of what is left.
async fn rounds(
    engine: &Engine<'_>,
    settings: &SyncSettings,
    deliveries: &mut Vec<DeliveryRecord>,
    progress: &mut Progress,
) -> Result<SyncPlan, Error> {
    hold_abandoned(engine).await?;
    for _ in 0..MOST_ROUNDS {
        let (open, attempts) = engine.note(|ledger| Ok((ledger.open_jobs()?, ledger.attempts()?))).await?;
        let open: Vec<LedgerJob> =
            open.into_iter().filter(|job| job.is_under_way() && job.is_of(settings)).collect();
        let mut as_if = deliveries.clone();
        as_if.extend(open.iter().map(LedgerJob::as_if_delivered));
        let mut settings = settings.clone();
        settings.future_dates &= !engine.future_is_refused();
        let now = engine.options.now();
        let mut plan = SyncPlan::new(&as_if, &attempts, &settings, now)?;
        if !open.is_empty() {
            plan.set_watermark(Coverage::of(deliveries, &attempts, &settings, now).watermark());
        }
        let mut work: Vec<Work> = open
            .into_iter()
            .filter(|job| !progress.tried_open.contains(&job.id) && !progress.tried.contains(&job.spec))
            .map(Work::Open)
            .collect();
        let taken_over = work.len();
        // What is under way, or has come in this run, isn't asked for again, though it may leave a day open.
        let open: Vec<JobSpec> = work.iter().map(|work| work.spec().clone()).collect();
        let come = progress.committed.iter().map(|(_, told)| &told.job);
        let come: Vec<&JobSpec> = open.iter().chain(come).collect();
        let new = plan.jobs().iter().cloned().map(Work::new).filter(|work| {
            let spec = work.spec();
            !progress.tried.contains(spec) && !come.iter().any(|come| come.covers(spec))
        });
        work.extend(new);
        work.retain(|work| progress.may_bring(work.spec()));
        let first = progress.tried.is_empty();
        if !work.is_empty() || first {
            engine.observer.on_event(&SyncEvent::Planned {
                jobs: work.len(),
                taken_over,
                watermark: plan.watermark(),
                choices: if first { plan.choices() } else { &[] },
            });
        }
        if work.is_empty() || progress.stopped {
            break;
        }
        let before = progress.committed.len();
        engine.work_off(work, progress).await;
        if let Some(error) = progress.other_service.take() {
            return Err(error);
        }
        for (record, _) in &progress.committed[before..] {
            // As in the destination, a job's delivery takes the place of an earlier one of the same job.
            deliveries.retain(|held| {
                held.delivery.job_id != record.delivery.job_id
                    || held.delivery.resource != record.delivery.resource
            });
            deliveries.push(record.clone());
        }
        if progress.stopped {
            break;
        }
    }
    let attempts = engine.note(|ledger| ledger.attempts()).await?;
    let mut settings = settings.clone();
    settings.future_dates &= !engine.future_is_refused();
    SyncPlan::new(deliveries, &attempts, &settings, engine.options.now())
}

/// Days that should be closed or loaded by now, and aren't whole.
fn incomplete_days(plan: &SyncPlan) -> Vec<jiff::civil::Date> {
    let days = plan.coverage().days().iter();
    days.filter(|(_, state)| matches!(state, DayState::Partial | DayState::Failed))
        .map(|(day, _)| *day)
        .collect()
}

/// Slots of jobs that earlier runs gave up, and of creations whose outcome is unknown: they count until they have ended.
async fn hold_abandoned(engine: &Engine<'_>) -> Result<(), Error> {
    let open = engine.note(|ledger| ledger.open_jobs()).await?;
    let mut unknown = Vec::new();
    for job in open.into_iter().filter(|job| !job.is_under_way()) {
        let Some(id) = &job.job_id else {
            let age = job.intended_at.duration_until(engine.server_now());
            let age = Duration::try_from(age).unwrap_or_default();
            match engine.unlisted_hold().checked_sub(age).filter(|left| !left.is_zero()) {
                Some(left) => unknown.push(left),
                None => free(engine, &job).await?,
            }
            continue;
        };
        match Handle::attach(engine.client, job.spec.kind, id).poll().await {
            Ok(described) if !described.has_ended() => engine.slots.hold_job(&described),
            Err(error) if !matches!(error.kind(), ApiKind::JobNotFound | ApiKind::BadRequest) => {
                tracing::warn!(job = %id, error = %job::chain(&error), "a job that was given up can't be asked about");
            }
            _ => free(engine, &job).await?,
        }
    }
    // A run that was killed twice may have left as many as we have slots, and would be idle for hours. So one slot stays
    // free while the service has room for all that may exist and for ours.
    let policy = engine.slots_policy;
    let ours = policy.running + policy.waiting;
    let has_room = unknown.len() + ours + policy.reserved_for_others <= policy.total;
    let most = if has_room { ours.saturating_sub(1) } else { unknown.len() };
    unknown.into_iter().take(most).for_each(|left| engine.slots.hold_for(left));
    Ok(())
}

async fn free(engine: &Engine<'_>, job: &LedgerJob) -> Result<(), Error> {
    let (id, at, intended) = (job.id, engine.server_now(), job.stage == Stage::Intended);
    let freed = move |ledger: &Ledger| {
        if intended {
            ledger.end(id, crate::ledger::Ending::OutcomeUnknown, None, at)
        } else {
            ledger.freed(id, at)
        }
    };
    engine.note(freed).await
}

/// What a run begins with.
struct Opened {
    ledger: Ledger,
    run: i64,
    deliveries: Vec<DeliveryRecord>,
    reloaded: u64,
}

/// Opens the ledger, brings it up to the destination, which holds these deliveries, and loads what was kept and not
/// committed.
fn open(
    shore: &Shore,
    mut deliveries: Vec<DeliveryRecord>,
    ledger: &std::path::Path,
    now: jiff::Timestamp,
) -> Result<Opened, Error> {
    let ledger = Ledger::open(ledger, shore.destination.id(), now)?;
    let run = ledger.begin_run(now)?;
    fail_point("run-noted");
    shore.raw.tidy()?;
    let reloaded = reload::missing(shore, &deliveries)?;
    let count = reloaded.len() as u64;
    deliveries.extend(reloaded);
    ledger.reconcile(&deliveries, now)?;
    Ok(Opened { ledger, run, deliveries, reloaded: count })
}

/// What is left to do when the work is done. Returns how many deliveries' raw files were old enough to go.
fn settle(
    shore: &Shore,
    deliveries: &[DeliveryRecord],
    keep_raw: KeepRaw,
    now: jiff::Timestamp,
) -> Result<usize, Error> {
    shore.destination.settle(now).map_err(Error::from_destination)?;
    fail_point("destination-settled");
    match keep_raw {
        KeepRaw::Forever => Ok(0),
        KeepRaw::For(length) => shore.raw.prune(deliveries, length, now),
        KeepRaw::No => shore.raw.prune(deliveries, SignedDuration::ZERO, now),
    }
}

async fn take_lock(
    place: &StatePlace,
    name: &str,
    options: &SyncOptions,
    observer: &dyn SyncObserver,
    stop: &Stop,
) -> Result<Lock, Error> {
    let mut told = false;
    loop {
        let holder = match Lock::try_take(place.lock(), options.now())? {
            Ok(lock) => return Ok(lock),
            Err(holder) => holder,
        };
        let busy = Lock::busy(name, holder.as_ref());
        if !options.wait_for_lock {
            return Err(busy);
        }
        if !std::mem::replace(&mut told, true) {
            observer.on_event(&SyncEvent::WaitingForLock { holder: &busy.to_string() });
        }
        tokio::select! {
            () = stop.stopped() => {
                return Err(Error::new(ErrorKind::Interrupted, "interrupted while waiting for another run")
                    .with_hint("run the same command again; nothing was begun"));
            }
            () = tokio::time::sleep(LOOK_AT_LOCK) => {}
        }
    }
}

/// Runs what blocks on a thread that may.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| {
        Err(Error::new(ErrorKind::Destination, "the work on the disk broke down; please report this")
            .with_source(error))
    })
}

/// This machine's name.
pub(crate) fn host() -> String {
    gethostname::gethostname().to_string_lossy().into_owned()
}
