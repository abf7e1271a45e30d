//! One window of an export, from a slot to its files: create or take over the job, wait, and download while decoding.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use backstory_api::{
    Activities, ActivityType, Client, Contacts, ContactsFormat, ErrorKind as ApiKind, ExportJob, Job, JobId,
    JobState, Resource,
};
use backstory_limits::{DateRange, ExportKind};
use futures_util::StreamExt as _;
use jiff::civil::Date;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep};

use super::ExportOptions;
use super::decoding::Decoding;
use super::events::{Event, Observer};
use super::manifest::{JobEntry, WindowEntry};
use crate::error::{Error, ErrorKind};
use crate::pipe::pipe;
use crate::plan::{ContactFilter, Selection};
use crate::slots::{NoSlot, Request, Slots};
use crate::stated_size;

/// Pauses while the service says that its queue is full.
const FIRST_QUEUE_PAUSE: Duration = Duration::from_secs(5);
const LONGEST_QUEUE_PAUSE: Duration = Duration::from_secs(60);
/// How often a creation is tried that certainly came to nothing.
const CREATIONS: u32 = 3;
/// How many bytes arrive between two reports of progress.
const PROGRESS_STEP: u64 = 1 << 20;

/// What all windows of an export share.
pub(super) struct Shared<'e> {
    pub(super) client: &'e Client,
    pub(super) selection: &'e Selection,
    pub(super) options: &'e ExportOptions,
    pub(super) observer: Arc<dyn Observer>,
    pub(super) slots: Slots,
    /// How many results are downloaded and decoded at once.
    pub(super) downloads: Semaphore,
    /// Rows that were set apart so far, in all windows.
    pub(super) bad_rows: Arc<AtomicU64>,
}

/// An export job's request, by resource.
pub(super) trait WindowRequest: Resource {
    /// What tells the resources' requests apart.
    type Filter: Sync;

    fn start(
        client: &Client,
        window: DateRange,
        filter: &Self::Filter,
        wire: ContactsFormat,
    ) -> impl Future<Output = Result<ExportJob<Self>, backstory_api::Error>> + Send;

    fn attach(client: &Client, id: JobId) -> ExportJob<Self>;

    /// How the job shows in the service's list, where there is one.
    fn slot_request(window: DateRange, filter: &Self::Filter) -> Option<Request>;

    /// Whether a job may be the one that was asked for, by what the service tells of it.
    fn may_be_of(job: &Job, window: DateRange, filter: &Self::Filter) -> bool;
}

/// Whether a job's echo doesn't contradict the window.
fn is_of_window(job: &Job, window: DateRange) -> bool {
    job.start_date.is_none_or(|start| start == window.start())
        && job.end_date.is_none_or(|end| end == window.end())
}

impl WindowRequest for Activities {
    type Filter = (ExportKind, ActivityType);

    async fn start(
        client: &Client,
        window: DateRange,
        (kind, activity_type): &Self::Filter,
        _: ContactsFormat,
    ) -> Result<ExportJob<Self>, backstory_api::Error> {
        client.activities().export(window).kind(*kind).activity_type(*activity_type).start_now().await
    }

    fn attach(client: &Client, id: JobId) -> ExportJob<Self> {
        client.activities().job(id)
    }

    fn slot_request(window: DateRange, (kind, activity_type): &Self::Filter) -> Option<Request> {
        Some(Request::new(window, *kind, *activity_type))
    }

    fn may_be_of(job: &Job, window: DateRange, (kind, activity_type): &Self::Filter) -> bool {
        let (of_kind, of_type) = (job.export_type.as_deref(), job.activity_type.as_deref());
        is_of_window(job, window)
            && of_kind.is_none_or(|word| word.parse().is_ok_and(|found: ExportKind| found == *kind))
            && of_type.is_none_or(|word| ActivityType::from_word(word) == Some(*activity_type))
    }
}

impl WindowRequest for Contacts {
    type Filter = ContactFilter;

    async fn start(
        client: &Client,
        window: DateRange,
        filter: &ContactFilter,
        wire: ContactsFormat,
    ) -> Result<ExportJob<Self>, backstory_api::Error> {
        let mut export = client
            .contacts()
            .export(window)
            .include_historical(filter.include_historical)
            .include_existing(filter.include_existing)
            .only_backstory(filter.only_backstory)
            .format(wire);
        if let Some(country) = &filter.country {
            export = export.country(country);
        }
        if let Some(state) = &filter.state {
            export = export.state(state);
        }
        export.start_now().await
    }

    fn attach(client: &Client, id: JobId) -> ExportJob<Self> {
        client.contacts().job(id)
    }

    fn slot_request(_: DateRange, _: &ContactFilter) -> Option<Request> {
        None
    }

    fn may_be_of(job: &Job, window: DateRange, _: &ContactFilter) -> bool {
        is_of_window(job, window)
    }
}

/// Brings one window. `begun` is told of the job as soon as it exists, so that a later run can take it over.
pub(super) async fn run<R: WindowRequest>(
    shared: &Shared<'_>,
    filter: &R::Filter,
    window: DateRange,
    earlier: Option<JobEntry>,
    begun: impl Fn(WindowEntry) -> Result<(), Error>,
) -> Result<WindowEntry, Error> {
    let mut earlier = earlier;
    loop {
        let taken_over = earlier.is_some();
        let (job, done) = wait_for_job::<R>(shared, filter, window, earlier.take(), &begun).await?;
        let _turn = shared.downloads.acquire().await;
        match land(shared, &job, &done, window).await {
            // The earlier run's file is gone; the same window again, with a job of our own.
            Err(Failure::Api(error)) if taken_over && error.kind() == ApiKind::Expired => {}
            Err(failure) => return Err(failure.into_error()),
            Ok(entry) => return Ok(entry),
        }
    }
}

/// Takes over the earlier job if it is of use, else creates one, and waits until it has completed.
async fn wait_for_job<R: WindowRequest>(
    shared: &Shared<'_>,
    filter: &R::Filter,
    window: DateRange,
    earlier: Option<JobEntry>,
    begun: &impl Fn(WindowEntry) -> Result<(), Error>,
) -> Result<(ExportJob<R>, Job), Error> {
    let taken_over = match earlier {
        Some(earlier) => take_over::<R>(shared, filter, window, &earlier).await?,
        None => None,
    };
    let was_taken_over = taken_over.is_some();
    let (job, slot) = match taken_over {
        Some((job, last)) => {
            let slot = shared.slots.adopt(&last);
            (job, slot)
        }
        None => create::<R>(shared, filter, window).await?,
    };
    begun(WindowEntry::begun(window, &job))?;
    let started = Event::JobStarted { window, job_id: job.id(), taken_over: was_taken_over };
    shared.observer.on_event(started);
    let waited = job.wait_with(&shared.options.wait, |job| {
        slot.update(job);
        shared.observer.on_event(Event::JobState { window, job });
    });
    let done = waited.await.map_err(Error::from_api)?;
    Ok((job, done))
}

/// An earlier run's job, unless it ended badly or is gone, or another job has its id: where a service began anew.
async fn take_over<R: WindowRequest>(
    shared: &Shared<'_>,
    filter: &R::Filter,
    window: DateRange,
    earlier: &JobEntry,
) -> Result<Option<(ExportJob<R>, Job)>, Error> {
    let job = R::attach(shared.client, JobId::from(earlier.id.as_str()));
    match job.poll().await {
        Ok(last) if !(R::may_be_of(&last, window, filter) && earlier.may_be(&last)) => Ok(None),
        Ok(last) if matches!(last.state, Some(JobState::Failed | JobState::Canceled)) => Ok(None),
        Ok(last) => Ok(Some((job, last))),
        Err(error)
            if matches!(error.kind(), ApiKind::JobNotFound | ApiKind::BadRequest | ApiKind::BadReply) =>
        {
            Ok(None)
        }
        Err(error) => Err(Error::from_api(error)),
    }
}

/// Creates the window's job as soon as there is a slot and the service has room.
async fn create<'s, R: WindowRequest>(
    shared: &'s Shared<'_>,
    filter: &R::Filter,
    window: DateRange,
) -> Result<(ExportJob<R>, crate::slots::Slot<'s>), Error> {
    let begun = Instant::now();
    let is_late = |after: Duration| shared.options.wait.deadline.is_some_and(|deadline| after > deadline);
    let mut pause = FIRST_QUEUE_PAUSE;
    let mut creations = 0;
    loop {
        let request = R::slot_request(window, filter);
        let on_wait = |refusal| shared.observer.on_event(Event::WaitingForSlot { window, refusal });
        let slot = shared.slots.reserve(request, on_wait).await.map_err(NoSlot::into_error)?;
        creations += 1;
        let error = match R::start(shared.client, window, filter, shared.options.wire()).await {
            Ok(job) => {
                slot.bind(job.id());
                return Ok((job, slot));
            }
            Err(error) => error,
        };
        match error.kind() {
            ApiKind::QueueFull => {
                drop(slot);
                creations = 0;
                if is_late(begun.elapsed() + pause) {
                    return Err(Error::from_api(error));
                }
                shared.observer.on_event(Event::QueueFull { window });
                sleep(pause).await;
                pause = (pause * 2).min(LONGEST_QUEUE_PAUSE);
            }
            ApiKind::OutcomeUnknown => {
                slot.forfeit();
                return Err(Error::from_api(error));
            }
            // The attempt certainly came to nothing.
            ApiKind::Unavailable if creations < CREATIONS && !is_late(begun.elapsed()) => drop(slot),
            _ => return Err(Error::from_api(error)),
        }
    }
}

/// Why a result didn't land.
enum Failure {
    Api(backstory_api::Error),
    Own(Error),
}

impl Failure {
    fn into_error(self) -> Error {
        match self {
            Self::Api(error) => Error::from_api(error),
            Self::Own(error) => error,
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Own(error)
    }
}

/// Downloads a completed job's result and decodes it on the way. Nothing appears under its final name before both the
/// download and the decoding are proven whole.
async fn land<R: WindowRequest>(
    shared: &Shared<'_>,
    job: &ExportJob<R>,
    done: &Job,
    window: DateRange,
) -> Result<WindowEntry, Failure> {
    let cancelled = Arc::new(AtomicBool::new(false));
    // Set when this future is dropped, so that the decoding thread doesn't outlive it by long.
    let _cancel = CancelOnDrop(Arc::clone(&cancelled));
    let (sender, receiver) = pipe();
    let decoding = Decoding::new(shared, done, window, cancelled);
    let decoder = tokio::task::spawn_blocking(move || decoding.run(receiver));

    let observer = Arc::clone(&shared.observer);
    let reported = AtomicU64::new(0);
    let show = move |progress: backstory_transport::Progress| {
        let last = reported.load(Ordering::Relaxed);
        if progress.bytes >= last + PROGRESS_STEP || progress.bytes < last {
            reported.store(progress.bytes, Ordering::Relaxed);
            observer.on_event(Event::Bytes { window, bytes: progress.bytes, restarts: progress.restarts });
        }
    };
    let mut bytes = job.result_of(done).on_progress(show).bytes().map_err(Failure::Api)?;
    let mut reader_is_there = true;
    while let Some(chunk) = bytes.next().await {
        let chunk = match chunk {
            Ok(chunk) => chunk,
            Err(error) => {
                drop(sender);
                // The decoder has seen the break too; what it says of it is of no interest.
                let _ = decoder.await;
                return Err(Failure::Api(error));
            }
        };
        if !sender.send(chunk).await {
            reader_is_there = false;
            break;
        }
    }
    let downloaded = bytes.summary();
    if reader_is_there {
        sender.finish().await;
    }
    let decoded = decoder.await.map_err(|error| {
        Error::new(ErrorKind::BadData, "the decoder broke down; please report this").with_source(error)
    })??;
    let Some(downloaded) = downloaded else {
        return Err(Error::new(ErrorKind::BadData, "the decoder stopped before the result was whole").into());
    };
    if let Some(doubt) = stated_size::doubt(done, downloaded.bytes) {
        tracing::warn!(%window, job = %done.job_id, "{doubt}");
    }
    Ok(WindowEntry {
        complete: true,
        bytes: downloaded.bytes,
        sha256: downloaded.sha256,
        rows: decoded.summary.rows,
        bad_rows: decoded.summary.bad_rows,
        rows_by_month: decoded.summary.activities_by_month().into_iter().map(month).collect(),
        files: decoded.files,
        job: JobEntry::of(done),
        ..WindowEntry::begun(window, job)
    })
}

/// A month by its name, such as `2026-03`.
fn month((first_day, rows): (Date, u64)) -> (String, u64) {
    (first_day.strftime("%Y-%m").to_string(), rows)
}

struct CancelOnDrop(Arc<AtomicBool>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
