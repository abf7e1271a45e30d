//! From a completed job to committed rows: the download feeds the raw file and the destination at the same time, and the
//! rows count only when both are whole.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use backstory_api::Job;
use backstory_destination::{
    Committed, Delivered, Delivery, DeliveryKind, Destination, Error as PortError, ErrorKind as PortKind,
    fail_point,
};
use backstory_tables::{Conversion, ErrorKind as TableKind, SourceFormat};
use futures_util::StreamExt as _;

use super::events::{SyncEvent, SyncObserver};
use super::handle::Handle;
use super::stop::Stop;
use crate::error::{Error, ErrorKind};
use crate::ledger::JobSpec;
use crate::pipe::{Receiver, pipe};
use crate::quarantine::Quarantine;
use crate::raw::{Keeping, RawStore, RawWriter};
use crate::stated_size;

/// How many bytes arrive between two reports of progress.
const BYTES_STEP: u64 = 1 << 20;
/// How many rows are decoded between two reports of progress.
const ROWS_STEP: u64 = 5_000;

/// Where deliveries go, and what is kept of them beside the rows.
#[derive(Clone)]
pub(super) struct Shore {
    pub(super) destination: Arc<dyn Destination>,
    pub(super) raw: RawStore,
    pub(super) quarantine: std::path::PathBuf,
    /// How many rows of this run may be quarantined, and how many are.
    pub(super) max_bad_rows: u64,
    pub(super) bad_rows: Arc<AtomicU64>,
    pub(super) observer: Arc<dyn SyncObserver>,
}

/// Why a delivery didn't land.
pub(super) enum LandingFailure {
    /// The download failed.
    Api(backstory_api::Error),
    /// What came isn't a whole export, though the download thought so.
    Suspect(Error),
    /// Anything else.
    Own(Error),
    /// The run is to stop.
    Stopped,
}

/// Downloads the result of a job and commits it.
pub(super) async fn land(
    shore: &Shore,
    keep_raw: bool,
    spec: &JobSpec,
    delivery: Delivery,
    handle: &Handle,
    done: &Job,
    stop: &Stop,
) -> Result<Committed, LandingFailure> {
    let cancelled = Arc::new(AtomicBool::new(false));
    // Set when this future is dropped, so that the decoding thread doesn't outlive it by long.
    let _cancel = CancelOnDrop(Arc::clone(&cancelled));
    let (sender, receiver) = pipe();
    let load = {
        let (shore, spec) = (shore.clone(), spec.clone());
        move || take_in(&shore, keep_raw, &spec, &delivery, receiver, cancelled)
    };
    let loading = tokio::task::spawn_blocking(load);

    let (observer, of, reported) = (Arc::clone(&shore.observer), spec.clone(), AtomicU64::new(0));
    let show = move |progress: backstory_transport::Progress| {
        let last = reported.load(Ordering::Relaxed);
        if progress.bytes >= last + BYTES_STEP || progress.bytes < last {
            reported.store(progress.bytes, Ordering::Relaxed);
            let (bytes, restarts) = (progress.bytes, progress.restarts);
            observer.on_event(&SyncEvent::Bytes { job: &of, bytes, restarts });
        }
    };
    let mut bytes = handle.bytes(done, show).map_err(LandingFailure::Api)?;
    let mut reader_is_there = true;
    loop {
        let chunk = tokio::select! {
            biased;
            () = stop.stopped() => {
                drop(sender);
                let _ = loading.await;
                return Err(LandingFailure::Stopped);
            }
            chunk = bytes.next() => chunk,
        };
        match chunk {
            None => break,
            Some(Ok(chunk)) => {
                if !sender.send(chunk).await {
                    reader_is_there = false;
                    break;
                }
            }
            Some(Err(error)) => {
                drop(sender);
                // The decoder has seen the break too; what it says of it is of no interest.
                let _ = loading.await;
                return Err(LandingFailure::Api(error));
            }
        }
    }
    // From here on the delivery is whole, and what is begun is ended, whoever wants to stop.
    if reader_is_there {
        sender.finish().await;
    }
    let loaded = loading.await.map_err(|error| {
        let message = "the decoder broke down; please report this";
        LandingFailure::Own(Error::new(ErrorKind::BadData, message).with_source(error))
    })?;
    if let Ok(committed) = &loaded
        && let Some(doubt) = stated_size::doubt(done, committed.record.bytes())
    {
        tracing::warn!(job = %done.job_id, "{spec}: {doubt}");
    }
    loaded.map_err(|error| {
        if is_suspect(&error) { LandingFailure::Suspect(error) } else { LandingFailure::Own(error) }
    })
}

/// The blocking half: reads everything, keeps it, commits the rows.
fn take_in(
    shore: &Shore,
    keep_raw: bool,
    spec: &JobSpec,
    delivery: &Delivery,
    receiver: Receiver,
    cancelled: Arc<AtomicBool>,
) -> Result<Committed, Error> {
    let raw = if keep_raw { Some(RawWriter::begin(&shore.raw, delivery, 0)?) } else { None };
    let mut keeping = Keeping::new(receiver, raw);
    let loading = load(shore, spec, delivery, &mut keeping, cancelled);
    let ready = match loading {
        Ok(ready) => ready,
        Err(error) => return Err(keeping.failure(&shore.raw, delivery).unwrap_or(error)),
    };
    keeping.land(&shore.raw, delivery)?;
    ready.commit()
}

/// Rows on their way into a destination, all of them decoded.
pub(super) struct Ready {
    load: Box<dyn backstory_destination::Load>,
    quarantine: Quarantine,
}

/// Decodes a delivery into the destination, up to the point where only the commit is left.
pub(super) fn load(
    shore: &Shore,
    spec: &JobSpec,
    delivery: &Delivery,
    delivered: &mut dyn Delivered,
    cancelled: Arc<AtomicBool>,
) -> Result<Ready, Error> {
    let mut load = shore.destination.begin(delivery).map_err(Error::from_destination)?;
    let format = match delivery.kind {
        DeliveryKind::Snapshot | DeliveryKind::Delta => SourceFormat::JsonLines,
        DeliveryKind::Contacts => SourceFormat::Csv,
    };
    let (observer, of, mut reported) = (Arc::clone(&shore.observer), spec.clone(), 0);
    let conversion = Conversion::new(delivery.resource, format, delivery.origin(0))
        .with_file_name(format!("job {}", delivery.job_id))
        .with_cancellation(cancelled)
        .with_progress(move |progress| {
            if progress.rows >= reported + ROWS_STEP {
                reported = progress.rows;
                observer.on_event(&SyncEvent::Rows { job: &of, rows: progress.rows });
            }
        });
    let quarantine = Quarantine::new(shore.quarantine.join(crate::raw::quarantine_name(delivery)));
    let left = shore.max_bad_rows.saturating_sub(shore.bad_rows.load(Ordering::Relaxed));
    let mut bad_rows = quarantine.bad_rows(left);
    let summary = load.fragment(0, conversion, delivered, &mut bad_rows);
    let summary = summary.map_err(explain)?;
    bad_rows.finish().map_err(|error| explain(PortError::of_conversion(error)))?;
    shore.bad_rows.fetch_add(summary.bad_rows, Ordering::Relaxed);
    Ok(Ready { load, quarantine })
}

impl Ready {
    /// Commits the rows; the bad ones are on disk before that.
    pub(super) fn commit(self) -> Result<Committed, Error> {
        let path = self.quarantine.path().to_owned();
        if let Some(landing) = self.quarantine.into_landing() {
            landing.commit().map_err(|error| Error::destination("write", &path, error))?;
            fail_point("quarantine-landed");
        }
        let committed = self.load.commit().map_err(Error::from_destination)?;
        fail_point("delivery-committed");
        Ok(committed)
    }
}

fn explain(error: PortError) -> Error {
    if error.kind() != PortKind::Rows {
        return Error::from_destination(error);
    }
    let own = Error::new(ErrorKind::BadData, "the delivered rows can't be decoded");
    match table_error(&error).map(backstory_tables::Error::kind) {
        Some(TableKind::TooManyBadRows) => own
            .with_hint("something may have changed at the service; if the rows are harmless, allow more with --max-bad-rows"),
        _ => own,
    }
    .with_source(error)
}

fn is_suspect(error: &Error) -> bool {
    table_error(error).is_some_and(|error| error.kind() == TableKind::SuspectFile)
}

fn table_error<'e>(error: &'e (dyn std::error::Error + 'static)) -> Option<&'e backstory_tables::Error> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        cause = error.source();
    }
    None
}

struct CancelOnDrop(Arc<AtomicBool>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
