//! Making the tables anew from the kept raw files, without the service.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use backstory_destination::{DeliveryRecord, Destination, Digest, Error as PortError, ErrorKind as PortKind};
use backstory_tables::Resource;
use serde::Serialize;

use super::events::SyncObserver;
use super::job::chain;
use super::landing::Shore;
use super::options::SyncOptions;
use super::place::StatePlace;
use super::reload::load_note;
use super::stop::Stop;
use super::{blocking, take_lock};
use crate::error::{Error, ErrorKind};
use crate::ledger::JobSpec;
use crate::raw::{RawNote, RawStore};

/// What a rebuild has done.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Rebuilt {
    /// Deliveries that were loaded anew.
    pub deliveries: u64,
    /// Their rows.
    pub rows: u64,
    /// Deliveries that can't be loaded anew, and why. What the tables hold of them is as it was.
    pub not_covered: Vec<NotCovered>,
    /// The current activities, before where that could still be told, and after.
    pub activities: Before<Digest>,
    /// The current contacts, in the same way.
    pub contacts: Before<Digest>,
}

/// Something before and after.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Before<T> {
    /// Before; nothing when it couldn't be told any more.
    pub before: Option<T>,
    /// After; nothing when it can't be told, because rows that aren't covered can't be read.
    pub after: Option<T>,
}

/// A delivery whose bytes are needed and can't be had.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct NotCovered {
    /// What it is.
    #[serde(flatten)]
    pub job: JobSpec,
    /// The service's id.
    pub job_id: String,
    /// Why.
    pub reason: String,
}

impl NotCovered {
    pub(super) fn new(delivery: &backstory_destination::Delivery, reason: String) -> Self {
        let job = JobSpec {
            kind: delivery.kind,
            activity_type: delivery.activity_type.clone(),
            window: delivery.window,
            part_of: delivery.part_of.clone(),
        };
        Self { job, job_id: delivery.job_id.clone(), reason }
    }
}

/// Loads every kept delivery anew.
///
/// # Errors
/// [`ErrorKind::Busy`] when a run holds the destination, [`ErrorKind::Destination`] when it can't be used.
pub async fn rebuild(
    destination: Arc<dyn Destination>,
    options: &SyncOptions,
    observer: Arc<dyn SyncObserver>,
    stop: &Stop,
) -> Result<Rebuilt, Error> {
    let place = StatePlace::new(&*destination, options.state_dir.as_deref())?;
    let _lock = take_lock(&place, destination.name(), options, &*observer, stop).await?;
    let shore = Shore {
        destination,
        raw: RawStore::new(place.raw()),
        quarantine: place.quarantine(),
        // What was quarantined once is quarantined again.
        max_bad_rows: u64::MAX,
        bad_rows: Arc::new(AtomicU64::new(0)),
        observer,
    };
    let (now, stop) = (options.now(), stop.clone());
    blocking(move || {
        let digest = |resource| shore.destination.digest(resource, None);
        let before = |resource| digest(resource).ok();
        let (activities, contacts) = (before(Resource::Activities), before(Resource::Contacts));
        let known = shore.destination.deliveries().map_err(Error::from_destination)?;
        let (loaded, mut not_covered) = load_all(&shore, &known, &stop)?;
        not_covered.extend(never_kept(&shore.raw, &known)?);
        let ids: Vec<String> = loaded.iter().map(|record| record.delivery.job_id.clone()).collect();
        shore.destination.rebuilt(&ids, now).map_err(Error::from_destination)?;
        shore.destination.settle(now).map_err(Error::from_destination)?;
        let after = |resource| told(digest(resource));
        Ok(Rebuilt {
            deliveries: loaded.len() as u64,
            rows: loaded.iter().map(DeliveryRecord::rows).sum(),
            not_covered,
            activities: Before { before: activities, after: after(Resource::Activities)? },
            contacts: Before { before: contacts, after: after(Resource::Contacts)? },
        })
    })
    .await
}

/// The digest of a table, unless what it holds can't be read.
pub(super) fn told(digest: Result<Digest, PortError>) -> Result<Option<Digest>, Error> {
    match digest {
        Ok(digest) => Ok(Some(digest)),
        Err(error) if matches!(error.kind(), PortKind::Damaged | PortKind::Read) => Ok(None),
        Err(error) => Err(Error::from_destination(error)),
    }
}

fn load_all(
    shore: &Shore,
    known: &[DeliveryRecord],
    stop: &Stop,
) -> Result<(Vec<DeliveryRecord>, Vec<NotCovered>), Error> {
    let (mut loaded, mut not_covered) = (Vec::new(), Vec::new());
    let is_known = |job: &JobSpec, id: &str| {
        let mut known = known.iter().map(|record| &record.delivery);
        known.any(|delivery| (delivery.job_id.as_str(), delivery.kind) == (id, job.kind))
    };
    let notes = shore.raw.notes()?;
    for note in notes.damaged {
        let reason = format!("the note of its raw file is damaged: {}", chain(&note.error));
        match note.about {
            // What the destination knows of is told with the rest of that.
            Some((job, job_id)) if !is_known(&job, &job_id) => {
                not_covered.push(NotCovered { job, job_id, reason });
            }
            Some(_) => {}
            None => tracing::warn!(file = %note.path.display(), "left aside a file that isn't a note"),
        }
    }
    for note in notes.kept {
        if stop.is_stopped() {
            return Err(Error::new(ErrorKind::Interrupted, "the rebuild was asked to stop")
                .with_hint("run the same command again; what is loaded is whole"));
        }
        match load_note(shore, &note) {
            Ok(record) => loaded.push(record),
            Err(error) if error.kind() == ErrorKind::BadData => {
                not_covered.push(NotCovered::new(&note.delivery, chain(&error)));
            }
            Err(error) => return Err(error),
        }
    }
    Ok((loaded, not_covered))
}

/// Deliveries that are not kept as they came.
pub(super) fn never_kept(store: &RawStore, known: &[DeliveryRecord]) -> Result<Vec<NotCovered>, Error> {
    let mut missing = Vec::new();
    for record in known {
        let reason = match store.read_note(&record.delivery) {
            Ok(Some(note)) if note.is_kept() => continue,
            Ok(Some(RawNote { removed_at: Some(when), .. })) => {
                format!("its raw file was removed on {}, when it was old enough", when.strftime("%Y-%m-%d"))
            }
            Ok(None) if !record.was_kept() => "its raw file was not kept".to_owned(),
            Ok(_) => "its raw file is gone".to_owned(),
            Err(error) => format!("the note of its raw file is damaged: {}", chain(&error)),
        };
        missing.push(NotCovered::new(&record.delivery, reason));
    }
    Ok(missing)
}
