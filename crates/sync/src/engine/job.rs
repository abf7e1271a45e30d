//! One job of a sync, from its intent to its commit: noted before it is asked for, found again when its reply was lost,
//! taken over from an earlier run, waited for, and landed.

use std::future::Future;
use std::time::Duration;

use backstory_api::{ErrorKind as ApiKind, Job, JobState};
use backstory_destination::{Committed, Delivery, DeliveryKind, fail_point};
use futures_util::StreamExt as _;
use jiff::Timestamp;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::adoption::{Found, Intent};
use super::engine::Engine;
use super::events::{Origin, SyncEvent};
use super::handle::{Handle, Parameters};
use super::identity::contradiction;
use super::landing::{LandingFailure, land};
use crate::error::{Error, ErrorKind};
use crate::ledger::{Ending, JobSpec, LedgerJob};
use crate::plan::PlannedJob;
use crate::slots::Slot;

/// Pauses while the service says that its queue is full, or is away. The first is so many times that before a job's first
/// poll: 5 s unless said.
const FIRST_PAUSE: u32 = 5;
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// How often a result is downloaded that doesn't arrive whole, each time with the downloads' own patience.
const DOWNLOADS: u32 = 3;
/// How long a creation that is under way is waited for when the run is to stop.
const GRACE: Duration = Duration::from_secs(10);
/// The widest range that every published limit allows (contract (b)). A narrower one isn't refused for its width.
const ALWAYS_LEGAL_DAYS: u32 = 14;

/// Something to do.
#[derive(Clone, Debug)]
pub(super) enum Work {
    /// A job to be asked for.
    New { spec: JobSpec, planned: Box<PlannedJob> },
    /// A job of an earlier run, or an intent that was never answered.
    Open(LedgerJob),
}

impl Work {
    pub(super) fn new(planned: PlannedJob) -> Self {
        Self::New { spec: JobSpec::of(&planned), planned: Box::new(planned) }
    }

    pub(super) fn spec(&self) -> &JobSpec {
        match self {
            Self::New { spec, .. } => spec,
            Self::Open(job) => &job.spec,
        }
    }
}

/// What became of it.
pub(super) enum Outcome {
    Committed(Box<Committed>),
    /// The window was too much for one job.
    Divide(Ending, String),
    /// The service refuses future dates; everything must be planned anew.
    FutureRefused,
    /// The same window is to be asked for again.
    Again(Ending, String),
    Failed(Error),
    /// The service has been away for too long, so that nothing more of this kind can be asked for in this run.
    Away(Error),
    /// It is another service than the one that has filled the destination, so that nothing of it may come in.
    OtherService(Error),
    Stopped,
}

/// An early end, told by `?`.
pub(super) type Step<T> = Result<T, Outcome>;

impl From<Error> for Outcome {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// A job that exists, and where it stands in the ledger.
struct Begun<'s> {
    ledger_id: i64,
    handle: Handle,
    intended_at: Timestamp,
    slot: Slot<'s>,
    /// When this run first had to do with it.
    since: Instant,
    /// Of a job that is taken over: when it was created, as far as an earlier run has noted it.
    noted: Option<Option<Timestamp>>,
}

impl Engine<'_> {
    /// Does one piece of work. `slot` is reserved for it.
    pub(super) async fn bring(&self, work: Work, slot: Slot<'_>) -> Outcome {
        match self.try_bring(work, slot).await {
            Ok(committed) => Outcome::Committed(Box::new(committed)),
            Err(outcome) => outcome,
        }
    }

    async fn try_bring(&self, work: Work, slot: Slot<'_>) -> Step<Committed> {
        let spec = work.spec().clone();
        let parameters = Parameters::of(&spec)?;
        let begun = match work {
            Work::New { planned, .. } => {
                self.create(&spec, &parameters, &planned.reason.to_string(), slot).await?
            }
            Work::Open(job) => self.go_on(job, &parameters, slot).await?,
        };
        let done = self.wait(&spec, &begun).await?;
        self.download(&spec, &begun, &done).await
    }

    /// Takes up a job of an earlier run.
    async fn go_on<'s>(&self, job: LedgerJob, parameters: &Parameters, slot: Slot<'s>) -> Step<Begun<'s>> {
        let since = Instant::now();
        let Some(id) = &job.job_id else {
            slot.doubt();
            let intent = Intent { id: job.id, at: job.intended_at };
            return self.find(&job.spec, parameters, intent, slot, since).await;
        };
        let handle = Handle::attach(self.client, job.spec.kind, id);
        slot.bind(handle.id());
        self.tell_started(&job.spec, id, Origin::TakenOver);
        let noted = Some(job.job_created_time);
        Ok(Begun { ledger_id: job.id, handle, intended_at: job.intended_at, slot, since, noted })
    }

    /// Asks for a job, once, as soon as the service has room.
    async fn create<'s>(
        &self,
        spec: &JobSpec,
        parameters: &Parameters,
        reason: &str,
        slot: Slot<'s>,
    ) -> Step<Begun<'s>> {
        let since = Instant::now();
        let at = self.server_now();
        let intent = {
            let (run, spec, reason) = (self.run, spec.clone(), reason.to_owned());
            let id = self.note(move |ledger| ledger.intend(run, &spec, &reason, at)).await?;
            Intent { id, at }
        };
        fail_point("intent-noted");
        self.observer.on_event(&SyncEvent::Intended { job: spec, reason });
        let mut pause = (self.options.wait.first_poll * FIRST_PAUSE).min(LONGEST_PAUSE);
        let mut away_since: Option<Instant> = None;
        loop {
            let error = match self.unless_stopping(Handle::create(self.client, parameters)).await? {
                Ok(handle) => {
                    fail_point("job-created");
                    let job = handle.described().cloned();
                    if let Some(job) = &job {
                        self.recognise(spec, intent.id, job).await?;
                    }
                    self.note(move |ledger| job.map_or(Ok(()), |job| ledger.bind(intent.id, &job, at)))
                        .await?;
                    fail_point("job-noted");
                    slot.bind(handle.id());
                    self.tell_started(spec, handle.id().as_str(), Origin::Created);
                    let ledger_id = intent.id;
                    return Ok(Begun { ledger_id, handle, intended_at: at, slot, since, noted: None });
                }
                Err(error) => error,
            };
            match error.kind() {
                ApiKind::QueueFull => {
                    self.observer.on_event(&SyncEvent::QueueFull { job: spec });
                    if self.options.wait.deadline.is_some_and(|most| since.elapsed() + pause > most) {
                        return self.give_up(intent.id, Ending::NeverCreated, error).await;
                    }
                }
                ApiKind::OutcomeUnknown if parameters.listed_as().is_some() => {
                    self.observer.on_event(&SyncEvent::ReplyLost { job: spec });
                    slot.doubt();
                    return self.find(spec, parameters, intent, slot, since).await;
                }
                ApiKind::OutcomeUnknown => {
                    // No list will ever tell (contract (j.6)), so the slot is held for as long as such a job may take.
                    slot.hold_for(self.unlisted_hold());
                    let text = chain(&error);
                    let told = text.clone();
                    self.note(move |ledger| {
                        ledger.abandon(intent.id, Ending::OutcomeUnknown, Some(&text), at)
                    })
                    .await?;
                    return Err(Outcome::Again(Ending::OutcomeUnknown, told));
                }
                // The attempt certainly came to nothing.
                ApiKind::Unavailable => {
                    let away = *away_since.get_or_insert_with(Instant::now);
                    if away.elapsed() + pause > self.patience() {
                        let text = chain(&error);
                        self.note(move |ledger| ledger.end(intent.id, Ending::NeverCreated, Some(&text), at))
                            .await?;
                        return Err(Outcome::Away(Error::from_api(error)));
                    }
                }
                ApiKind::BadRequest => return self.refused(spec, parameters, intent, error).await,
                ApiKind::EchoMismatch => {
                    if let Some(job) = error.job().cloned() {
                        slot.bind(&job.job_id);
                        self.note(move |ledger| ledger.bind(intent.id, &job, at)).await?;
                    }
                    return self.abandon(intent.id, Ending::Refused, error).await;
                }
                _ => return self.give_up(intent.id, Ending::Refused, error).await,
            }
            self.pause(pause).await?;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// A creation that the service calls malformed: what it has against it.
    async fn refused<T>(
        &self,
        spec: &JobSpec,
        parameters: &Parameters,
        intent: Intent,
        error: backstory_api::Error,
    ) -> Step<T> {
        let today = jiff::tz::Offset::UTC.to_datetime(self.server_now()).date();
        let ending = match () {
            // Another job's refusal may be known already: the plan of the next round has no future, so this ends.
            () if spec.window.to > today => Ending::FutureRefused,
            () if parameters.range.days() > ALWAYS_LEGAL_DAYS => Ending::TooWide,
            () => return self.give_up(intent.id, Ending::Refused, error).await,
        };
        let text = chain(&error);
        let (at, told) = (self.server_now(), text.clone());
        self.note(move |ledger| ledger.end(intent.id, ending, Some(&text), at)).await?;
        Err(if ending == Ending::FutureRefused {
            Outcome::FutureRefused
        } else {
            Outcome::Divide(ending, told)
        })
    }

    /// Looks for the job of an intent whose reply never came.
    async fn find<'s>(
        &self,
        spec: &JobSpec,
        parameters: &Parameters,
        intent: Intent,
        slot: Slot<'s>,
        since: Instant,
    ) -> Step<Begun<'s>> {
        match self.look_for(parameters, intent, since).await? {
            Found::Job(job) => {
                let id = job.job_id.clone();
                self.recognise(spec, intent.id, &job).await?;
                let at = self.server_now();
                self.note(move |ledger| ledger.bind(intent.id, &job, at)).await?;
                fail_point("job-adopted");
                slot.bind(&id);
                self.tell_started(spec, id.as_str(), Origin::Adopted);
                let handle = Handle::attach(self.client, spec.kind, id.as_str());
                Ok(Begun { ledger_id: intent.id, handle, intended_at: intent.at, slot, since, noted: None })
            }
            Found::NeverCreated => {
                let at = self.server_now();
                self.note(move |ledger| ledger.end(intent.id, Ending::NeverCreated, None, at)).await?;
                Err(Outcome::Again(
                    Ending::NeverCreated,
                    "the service's list shows that it was never created".to_owned(),
                ))
            }
        }
    }

    /// Waits until the job has completed.
    async fn wait(&self, spec: &JobSpec, begun: &Begun<'_>) -> Step<Job> {
        let policy = self.options.wait.clone().with_deadline(None);
        let mut states = begun.handle.states(policy);
        let mut running_since: Option<Instant> = None;
        let mut told = None;
        loop {
            // In the queue only the run's own patience counts; how long a job runs is counted from when it runs.
            let limit = match running_since {
                Some(since) => Some(since + self.run_limit()),
                None => self.options.wait.deadline.map(|most| begun.since + most),
            };
            let state = tokio::select! {
                biased;
                () = self.stop.stopped() => return Err(Outcome::Stopped),
                state = states.next() => state,
                () = until(limit) => return self.overdue(spec, begun, running_since.is_some()).await,
            };
            let job = match state {
                None => {
                    return Err(Outcome::Failed(Error::new(
                        ErrorKind::Unavailable,
                        "the job's states ended before it did",
                    )));
                }
                Some(Err(error)) if matches!(error.kind(), ApiKind::JobNotFound | ApiKind::BadRequest) => {
                    let text = chain(&error);
                    return self.ask_again(begun.ledger_id, Ending::Unknown, text).await;
                }
                // The job is as it was; the next run goes on with it.
                Some(Err(error)) => return Err(Outcome::Failed(Error::from_api(error))),
                Some(Ok(job)) => job,
            };
            if let Some(why) = begun.noted.and_then(|created| contradiction(spec, created, &job)) {
                return self.ask_again(begun.ledger_id, Ending::Unknown, why).await;
            }
            begun.slot.update(&job);
            if told.as_ref() != Some(&job.state) {
                told = Some(job.state.clone());
                let (id, described, at) = (begun.ledger_id, job.clone(), self.server_now());
                self.note(move |ledger| ledger.describe(id, &described, at)).await?;
                let state = job.state.as_ref().map_or("unknown", JobState::as_str);
                self.observer.on_event(&SyncEvent::State { job: spec, job_id: job.job_id.as_str(), state });
            }
            match job.state {
                Some(JobState::Completed) => {
                    fail_point("job-completed");
                    return Ok(job);
                }
                Some(JobState::Failed) => {
                    let text = "the job failed; the service gives no reason".to_owned();
                    let (id, at, told) = (begun.ledger_id, self.server_now(), text.clone());
                    self.note(move |ledger| ledger.end(id, Ending::Failed, Some(&text), at)).await?;
                    return Err(Outcome::Divide(Ending::Failed, told));
                }
                Some(JobState::Canceled) => {
                    let text = "somebody canceled the job".to_owned();
                    return self.ask_again(begun.ledger_id, Ending::Canceled, text).await;
                }
                Some(JobState::Running) if running_since.is_none() => {
                    running_since = Some(self.running_since(&job));
                }
                _ => {}
            }
        }
    }

    /// Since when a job runs that is first seen running now: a job that was taken over may have run for long.
    fn running_since(&self, job: &Job) -> Instant {
        let now = Instant::now();
        let ran = job.job_start_time.map(|start| start.duration_until(self.server_now()));
        let ran = ran.and_then(|ran| Duration::try_from(ran).ok()).unwrap_or_default();
        now.checked_sub(ran.min(self.run_limit())).unwrap_or(now)
    }

    async fn overdue<T>(&self, spec: &JobSpec, begun: &Begun<'_>, ran: bool) -> Step<T> {
        let id = begun.ledger_id;
        if !ran {
            let waited = begun.since.elapsed().as_secs_f64();
            let message = format!(
                "job {} still waits in the queue after {waited:.0} s; it goes on there",
                begun.handle.id()
            );
            return Err(Outcome::Failed(
                Error::new(ErrorKind::DeadlinePassed, message)
                    .with_hint("run the same command again; the job is taken over"),
            ));
        }
        let text = format!("the job for {spec} ran for more than {} s", self.run_limit().as_secs());
        let (at, told) = (self.server_now(), text.clone());
        self.note(move |ledger| ledger.abandon(id, Ending::RanTooLong, Some(&text), at)).await?;
        Err(Outcome::Divide(Ending::RanTooLong, told))
    }

    /// Downloads the result and commits it.
    async fn download(&self, spec: &JobSpec, begun: &Begun<'_>, done: &Job) -> Step<Committed> {
        // The times may be told only now.
        self.recognise(spec, begun.ledger_id, done).await?;
        let due = done.job_end_time.or(done.job_created_time).unwrap_or(begun.intended_at);
        let turns = match spec.kind {
            DeliveryKind::Contacts => &self.contact_turns,
            DeliveryKind::Snapshot | DeliveryKind::Delta => &self.activity_turns,
        };
        let _turn = tokio::select! {
            biased;
            () = self.stop.stopped() => return Err(Outcome::Stopped),
            turn = turns.take(due) => turn,
        };
        let mut attempt = 1;
        loop {
            let delivery = self.delivery(spec, begun, done);
            let landed =
                land(&self.shore, self.keeps_raw(), spec, delivery, &begun.handle, done, &self.stop).await;
            let error = match landed {
                Ok(committed) => {
                    let (id, at) = (begun.ledger_id, self.server_now());
                    let seconds = begun.since.elapsed().as_secs_f64();
                    self.note(move |ledger| ledger.committed(id, at, Some(seconds))).await?;
                    fail_point("commit-noted");
                    return Ok(committed);
                }
                Err(LandingFailure::Stopped) => return Err(Outcome::Stopped),
                Err(LandingFailure::Own(error)) => return Err(Outcome::Failed(error)),
                Err(LandingFailure::Suspect(error)) if attempt < DOWNLOADS => error,
                Err(LandingFailure::Suspect(error)) => return Err(Outcome::Failed(error)),
                Err(LandingFailure::Api(error)) => match error.kind() {
                    ApiKind::Expired | ApiKind::JobNotFound => {
                        return self.ask_again(begun.ledger_id, Ending::Expired, chain(&error)).await;
                    }
                    ApiKind::ResultMissing if attempt >= DOWNLOADS => {
                        return self.ask_again(begun.ledger_id, Ending::Expired, chain(&error)).await;
                    }
                    ApiKind::ResultMissing
                    | ApiKind::NotCompleted
                    | ApiKind::Unavailable
                    | ApiKind::BadDownload
                        if attempt < DOWNLOADS =>
                    {
                        Error::from_api(error)
                    }
                    _ => return Err(Outcome::Failed(Error::from_api(error))),
                },
            };
            tracing::warn!(job = %begun.handle.id(), error = %chain(&error), "the result didn't arrive whole; once more");
            attempt += 1;
            self.pause(self.options.wait.first_poll).await?;
        }
    }

    fn delivery(&self, spec: &JobSpec, begun: &Begun<'_>, done: &Job) -> Delivery {
        let id = begun.handle.id().as_str();
        let mut delivery = Delivery::new(id, spec.kind, spec.window, begun.intended_at, self.server_now());
        delivery.activity_type.clone_from(&spec.activity_type);
        delivery.part_of.clone_from(&spec.part_of);
        delivery.job_created_time = done.job_created_time;
        delivery.job_start_time = done.job_start_time;
        delivery.job_end_time = done.job_end_time;
        delivery
    }

    /// Refuses a job whose id is that of another job's delivery, and ends the run. (An id that is noted twice would take it
    /// from that delivery in the ledger.)
    async fn recognise(&self, spec: &JobSpec, id: i64, job: &Job) -> Step<()> {
        let Err(error) = self.delivered.check(spec, job) else { return Ok(()) };
        // What else is under way is the same service's.
        self.stop.stop();
        let (text, at) = (chain(&error), self.server_now());
        self.note(move |ledger| ledger.end(id, Ending::Unknown, Some(&text), at)).await?;
        Err(Outcome::OtherService(error))
    }

    /// Notes that nothing will come of a job, and fails.
    async fn give_up<T>(&self, id: i64, ending: Ending, error: backstory_api::Error) -> Step<T> {
        let (text, at) = (chain(&error), self.server_now());
        self.note(move |ledger| ledger.end(id, ending, Some(&text), at)).await?;
        Err(Outcome::Failed(Error::from_api(error)))
    }

    async fn abandon<T>(&self, id: i64, ending: Ending, error: backstory_api::Error) -> Step<T> {
        let (text, at) = (chain(&error), self.server_now());
        self.note(move |ledger| ledger.abandon(id, ending, Some(&text), at)).await?;
        Err(Outcome::Failed(Error::from_api(error)))
    }

    async fn ask_again<T>(&self, id: i64, ending: Ending, why: String) -> Step<T> {
        let (text, at) = (why.clone(), self.server_now());
        self.note(move |ledger| ledger.end(id, ending, Some(&text), at)).await?;
        Err(Outcome::Again(ending, why))
    }

    fn tell_started(&self, spec: &JobSpec, job_id: &str, how: Origin) {
        self.tally.started(how);
        self.observer.on_event(&SyncEvent::Started { job: spec, job_id, how });
    }

    /// Lets a creation come to its end when the run is to stop, but not for ever.
    async fn unless_stopping<T>(&self, work: impl Future<Output = T>) -> Step<T> {
        let mut work = std::pin::pin!(work);
        tokio::select! {
            biased;
            () = self.stop.stopped() => {}
            done = &mut work => return Ok(done),
        }
        timeout(GRACE, work).await.map_err(|_| Outcome::Stopped)
    }

    /// Pauses, unless the run is to stop.
    pub(super) async fn pause(&self, length: Duration) -> Step<()> {
        tokio::select! {
            biased;
            () = self.stop.stopped() => Err(Outcome::Stopped),
            () = sleep(length) => Ok(()),
        }
    }
}

async fn until(limit: Option<Instant>) {
    match limit {
        Some(limit) => sleep_until(limit).await,
        None => std::future::pending().await,
    }
}

/// An error with its causes, on one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.contains(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        cause = error.source();
    }
    text
}
