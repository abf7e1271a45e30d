//! Every version of one activity: those in the destination, and those that it has dropped and the raw files still have.

use std::collections::BTreeMap;
use std::io::{self, Read as _};
use std::path::Path;

use backstory_destination::{Destination, HistoryEntry};
use backstory_tables::{BadRows, Conversion, SourceFormat};
use memchr::memmem;
use serde::Serialize;

use super::job::chain;
use super::place::StatePlace;
use super::rebuild::{NotCovered, never_kept};
use crate::error::Error;
use crate::raw::{RawNote, RawReader, RawStore};

/// How much of a raw file is looked at in one go.
const STEP: usize = 256 << 10;

/// What is known of one activity.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct History {
    /// Its versions, oldest first.
    pub versions: Vec<HistoryEntry>,
    /// Deliveries that may have brought more of them, and that can't be looked into any more.
    pub not_covered: Vec<NotCovered>,
}

/// Every version of the activity with this `uid` (or `_key`) that is stored anywhere: in the destination, and where that has
/// dropped what later versions superseded, in the kept raw files. It blocks, sends nothing, and changes nothing.
///
/// # Errors
/// What keeps it from reading the destination: [`ErrorKind::Destination`](crate::ErrorKind::Destination).
pub fn history(destination: &dyn Destination, state_dir: Option<&Path>, uid: &str) -> Result<History, Error> {
    let stored = destination.history(uid).map_err(Error::from_destination)?;
    let mut versions: BTreeMap<String, HistoryEntry> =
        stored.into_iter().map(|entry| (entry.version.clone(), entry)).collect();
    let store = RawStore::new(StatePlace::new(destination, state_dir)?.raw());
    let thinned = destination.thinned().map_err(Error::from_destination)?;
    let mut not_covered = never_kept(&store, &thinned)?;
    for record in &thinned {
        let Some(note) = store.note(&record.delivery)?.filter(|note| note.removed_at.is_none()) else {
            continue;
        };
        match in_delivery(&store, &note, uid) {
            Ok(found) => {
                for entry in found {
                    versions.entry(entry.version.clone()).or_insert(entry);
                }
            }
            Err(error) => {
                let reason = format!("its raw file can't be read: {}", chain(&error));
                not_covered.push(NotCovered::new(&record.delivery, reason));
            }
        }
    }
    let mut versions: Vec<_> = versions.into_values().collect();
    let last = versions.len().saturating_sub(1);
    for (at, version) in versions.iter_mut().enumerate() {
        version.current = at == last;
    }
    Ok(History { versions, not_covered })
}

fn in_delivery(store: &RawStore, note: &RawNote, uid: &str) -> Result<Vec<HistoryEntry>, Error> {
    let mut found = Vec::new();
    for file in &note.files {
        let path = store.folder_of(&note.delivery).join(&file.name);
        let open = || RawReader::open(store, &note.delivery, file);
        if !may_hold(open()?, uid).map_err(|error| Error::destination("read", &path, error))? {
            continue;
        }
        let origin = note.delivery.origin(file.fragment);
        let conversion = Conversion::new(note.delivery.resource, SourceFormat::JsonLines, origin)
            .with_file_name(&file.name);
        let mut bad_rows = BadRows::quarantine(u64::MAX, || Ok(Box::new(io::sink())));
        let mut failed = None;
        let take = |batch| {
            match HistoryEntry::in_batch(&batch, uid) {
                Ok(entries) => found.extend(entries),
                Err(error) => failed = Some(error),
            }
            Ok(())
        };
        let converted = conversion.to_batches(open()?, take, &mut bad_rows);
        converted.map_err(|error| Error::destination("read", &path, io::Error::other(error)))?;
        if let Some(error) = failed {
            return Err(Error::from_destination(error));
        }
    }
    Ok(found)
}

/// Whether the text is anywhere in a file. A text that JSON may write in several ways, and a key that was derived from the
/// whole record, may be in any.
fn may_hold(mut reader: RawReader, uid: &str) -> io::Result<bool> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
    if uid.is_empty() || !uid.bytes().all(is_plain) {
        return Ok(true);
    }
    let finder = memmem::Finder::new(uid);
    let mut seen = Vec::with_capacity(STEP + uid.len());
    loop {
        // What stands at the end may be the beginning of it.
        let kept = seen.len().min(uid.len() - 1);
        seen.drain(..seen.len() - kept);
        let read = reader.by_ref().take(STEP as u64).read_to_end(&mut seen)?;
        if finder.find(&seen).is_some() {
            return Ok(true);
        }
        if read == 0 {
            return Ok(false);
        }
    }
}
