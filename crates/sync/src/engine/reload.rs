//! From kept raw files into the destination: what was downloaded whole and not committed, and whatever the destination has
//! lost since.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use backstory_destination::{DeliveryRecord, fail_point};

use super::events::SyncEvent;
use super::landing::{Shore, load};
use crate::error::{Error, ErrorKind};
use crate::ledger::JobSpec;
use crate::raw::{DamagedNote, RawNote, RawReader};

/// Loads the deliveries that are kept and that the destination doesn't have. One that can't be read any more is forgotten,
/// so that it is fetched again. What was kept and is gone is told of, once.
pub(super) fn missing(shore: &Shore, deliveries: &[DeliveryRecord]) -> Result<Vec<DeliveryRecord>, Error> {
    let mut loaded = Vec::new();
    let notes = shore.raw.not_in(deliveries)?;
    for DamagedNote { path, error, .. } in &notes.damaged {
        let (note, error) = (path.display(), super::job::chain(error));
        tracing::warn!(%note, %error, "the note of a raw file is damaged; its delivery is fetched again, unless it has been");
    }
    for note in notes.kept {
        match load_note(shore, &note) {
            Ok(record) => {
                fail_point("delivery-reloaded");
                loaded.push(record);
            }
            Err(error) if error.kind() == ErrorKind::BadData => {
                let job = &note.delivery.job_id;
                tracing::warn!(%job, error = %super::job::chain(&error), "a raw file is damaged; it is fetched again");
                shore.raw.forget(&note)?;
            }
            Err(error) => return Err(error),
        }
    }
    let lost = shore.raw.lost(deliveries)?;
    if !lost.is_empty() {
        let (count, folder) = (lost.len(), shore.raw.folder().display());
        tracing::warn!(%folder, "raw files are gone, of {count} of the deliveries; the tables don't need them, but can't be made anew from them");
        lost.into_iter().try_for_each(|record| shore.raw.note_lost(record))?;
    }
    Ok(loaded)
}

/// Loads one kept delivery.
pub(super) fn load_note(shore: &Shore, note: &RawNote) -> Result<DeliveryRecord, Error> {
    let delivery = &note.delivery;
    let [file] = note.files.as_slice() else {
        let message = format!("the kept delivery of job {} has {} files", delivery.job_id, note.files.len());
        return Err(Error::new(ErrorKind::BadData, message));
    };
    let spec = JobSpec {
        kind: delivery.kind,
        activity_type: delivery.activity_type.clone(),
        window: delivery.window,
        part_of: delivery.part_of.clone(),
    };
    let mut reader = match RawReader::open(&shore.raw, delivery, file) {
        Ok(reader) => reader,
        Err(error) => {
            let message = format!("the raw file of job {} can't be read", delivery.job_id);
            return Err(Error::new(ErrorKind::BadData, message).with_source(error));
        }
    };
    let ready = load(shore, &spec, delivery, &mut reader, Arc::new(AtomicBool::new(false)))?;
    let committed = ready.commit()?;
    let rows = committed.record.rows();
    shore.observer.on_event(&SyncEvent::Reloaded { job: &spec, job_id: &delivery.job_id, rows });
    Ok(committed.record)
}
