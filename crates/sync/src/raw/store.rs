//! The folder of kept deliveries: what is there, and for how long.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use backstory_destination::{Delivery, DeliveryRecord, replace};
use backstory_tables::Resource;
use jiff::{SignedDuration, Timestamp};

use super::note::{RawNote, note_name, told_by_name};
use crate::error::Error;
use crate::ledger::JobSpec;

const RESOURCES: [Resource; 2] = [Resource::Activities, Resource::Contacts];

/// The folder `raw/`.
#[derive(Clone, Debug)]
pub(crate) struct RawStore {
    folder: PathBuf,
}

/// The notes that are there.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    /// Those of deliveries whose files are kept, in the order of their names.
    pub(crate) kept: Vec<RawNote>,
    /// Those that can't be read or understood.
    pub(crate) damaged: Vec<DamagedNote>,
}

/// A note that can't be read or understood.
#[derive(Debug)]
pub(crate) struct DamagedNote {
    pub(crate) path: PathBuf,
    pub(crate) error: Error,
    /// What it is about, and its job's id, as far as its name tells.
    pub(crate) about: Option<(JobSpec, String)>,
}

impl RawStore {
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Where the files of a delivery stand.
    pub(crate) fn folder_of(&self, delivery: &Delivery) -> PathBuf {
        self.folder.join(delivery.resource.as_str())
    }

    /// Writes a delivery's note, whole or not at all.
    pub(crate) fn write_note(&self, note: &RawNote) -> Result<(), Error> {
        let path = self.note_path(&note.delivery);
        let written =
            serde_json::to_vec_pretty(note).map_err(io::Error::from).and_then(|text| replace(&path, &text));
        written.map_err(|error| Error::destination("write", &path, error))
    }

    /// The note of a delivery, if it is kept, or was. One that is damaged is told of by [`read_note`](Self::read_note) and
    /// counts for nothing here: the tables don't need it.
    pub(crate) fn note(&self, delivery: &Delivery) -> Result<Option<RawNote>, Error> {
        Ok(self.read_note(delivery).unwrap_or_default())
    }

    /// The note of a delivery, if it is kept, or was.
    ///
    /// # Errors
    /// The note is damaged.
    pub(crate) fn read_note(&self, delivery: &Delivery) -> Result<Option<RawNote>, Error> {
        read_note(&self.note_path(delivery))
    }

    /// Where the note of a delivery stands.
    pub(crate) fn note_path(&self, delivery: &Delivery) -> PathBuf {
        self.folder_of(delivery).join(note_name(delivery))
    }

    /// The notes of all deliveries whose files are kept.
    pub(crate) fn notes(&self) -> Result<Notes, Error> {
        self.notes_but(&BTreeSet::new())
    }

    /// The notes of deliveries that are kept and that the destination doesn't have.
    pub(crate) fn not_in(&self, deliveries: &[DeliveryRecord]) -> Result<Notes, Error> {
        let there = deliveries.iter().map(|record| &record.delivery);
        self.notes_but(&there.map(|delivery| (delivery.resource.as_str(), note_name(delivery))).collect())
    }

    fn notes_but(&self, there: &BTreeSet<(&str, String)>) -> Result<Notes, Error> {
        let mut notes = Notes::default();
        for resource in RESOURCES {
            for (name, path) in self.files(resource)? {
                let about = told_by_name(resource, &name);
                if !name.ends_with(".json") || there.contains(&(resource.as_str(), name)) {
                    continue;
                }
                match read_note(&path) {
                    Ok(note) => notes.kept.extend(note.filter(RawNote::is_kept)),
                    Err(error) => notes.damaged.push(DamagedNote { path, error, about }),
                }
            }
        }
        Ok(notes)
    }

    /// Removes what a process has left behind that ended in mid-work: fragments without a note, and unfinished files. For
    /// whoever holds the destination's lock.
    pub(crate) fn tidy(&self) -> Result<(), Error> {
        for resource in RESOURCES {
            let files = self.files(resource)?;
            for (name, path) in &files {
                let unfinished = name.starts_with('.') && name.ends_with(".partial");
                if unfinished || is_orphaned(name, &files) {
                    remove(path)?;
                }
            }
        }
        Ok(())
    }

    /// Removes a delivery's files and its note.
    pub(crate) fn forget(&self, note: &RawNote) -> Result<(), Error> {
        let folder = self.folder_of(&note.delivery);
        // The note first: files without one are nothing.
        remove(&folder.join(note_name(&note.delivery)))?;
        note.files.iter().try_for_each(|file| remove(&folder.join(&file.name)))
    }

    /// Removes the files of deliveries that were fetched longer than `keep` ago; of what is in `deliveries` only, since the
    /// rest has yet to be loaded. Their notes stay, and tell. Returns how many deliveries that were.
    pub(crate) fn prune(
        &self,
        deliveries: &[DeliveryRecord],
        keep: SignedDuration,
        now: Timestamp,
    ) -> Result<usize, Error> {
        let mut pruned = 0;
        for record in deliveries {
            if record.delivery.extracted_at.duration_until(now) < keep {
                continue;
            }
            let Some(mut note) = self.note(&record.delivery)?.filter(RawNote::is_kept) else {
                continue;
            };
            note.removed_at = Some(now);
            self.write_note(&note)?;
            let folder = self.folder_of(&note.delivery);
            note.files.iter().try_for_each(|file| remove(&folder.join(&file.name)))?;
            pruned += 1;
        }
        Ok(pruned)
    }

    /// The deliveries that were kept, by their records, and of which there is no note.
    pub(crate) fn lost<'r>(
        &self,
        deliveries: &'r [DeliveryRecord],
    ) -> Result<Vec<&'r DeliveryRecord>, Error> {
        let mut lost = Vec::new();
        for resource in RESOURCES {
            let files = self.files(resource)?;
            let of_it = deliveries.iter().filter(|record| record.delivery.resource == resource);
            lost.extend(
                of_it.filter(|record| record.was_kept() && !files.contains_key(&note_name(&record.delivery))),
            );
        }
        Ok(lost)
    }

    /// Takes note that what a delivery was kept in is gone.
    pub(crate) fn note_lost(&self, record: &DeliveryRecord) -> Result<(), Error> {
        self.write_note(&RawNote { lost: true, ..RawNote::new(record.delivery.clone(), Vec::new()) })
    }

    /// The fragments without a note.
    pub(crate) fn orphans(&self) -> Result<Vec<PathBuf>, Error> {
        let mut orphans = Vec::new();
        for resource in RESOURCES {
            let files = self.files(resource)?;
            orphans.extend(
                files.iter().filter(|(name, _)| is_orphaned(name, &files)).map(|(_, path)| path.clone()),
            );
        }
        Ok(orphans)
    }

    /// Whether there is a folder at all.
    pub(crate) fn exists(&self) -> bool {
        self.folder.exists()
    }

    /// The folder.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    fn files(&self, resource: Resource) -> Result<BTreeMap<String, PathBuf>, Error> {
        let folder = self.folder.join(resource.as_str());
        let failed = |error| Error::destination("read the folder", &folder, error);
        let entries = match fs::read_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
            entries => entries.map_err(failed)?,
        };
        let files = entries.map(|entry| {
            let entry = entry.map_err(failed)?;
            Ok((entry.file_name().to_string_lossy().into_owned(), entry.path()))
        });
        files.collect()
    }
}

/// Whether a file is a fragment of which there is no note.
fn is_orphaned(name: &str, files: &BTreeMap<String, PathBuf>) -> bool {
    name.ends_with(".zst") && {
        let stem = name.rsplitn(4, '.').nth(3).unwrap_or(name);
        !files.contains_key(&format!("{stem}.json"))
    }
}

fn read_note(path: &Path) -> Result<Option<RawNote>, Error> {
    let text = match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        text => text.map_err(|error| Error::destination("read", path, error))?,
    };
    let note = serde_json::from_slice(&text).map_err(io::Error::from);
    note.map(Some).map_err(|error| Error::destination("understand", path, error))
}

fn remove(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Error::destination("remove", path, error))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use backstory_destination::{DeliveryKind, FragmentRecord, Window};
    use jiff::civil::date;

    use super::super::{Keeping, RawReader, RawWriter};
    use super::*;

    const LINES: &[u8] = b"{\"uid\":\"1\"}\n{\"uid\":\"2\"}\n";

    fn delivery() -> Delivery {
        let window = Window::new(date(2026, 6, 1), date(2026, 6, 14));
        let at = "2026-06-18T12:00:00Z".parse().unwrap();
        Delivery::new("17", DeliveryKind::Delta, window, at, at)
    }

    fn keep(store: &RawStore) {
        let writer = RawWriter::begin(store, &delivery(), 0).unwrap();
        let mut keeping = Keeping::new(LINES, Some(writer));
        io::copy(&mut keeping, &mut io::sink()).unwrap();
        keeping.land(store, &delivery()).unwrap();
    }

    fn read(store: &RawStore, note: &RawNote) -> io::Result<Vec<u8>> {
        let mut whole = Vec::new();
        RawReader::open(store, &note.delivery, &note.files[0]).unwrap().read_to_end(&mut whole)?;
        Ok(whole)
    }

    #[test]
    fn what_is_kept_is_read_back_and_proven() {
        let folder = tempfile::tempdir().unwrap();
        let store = RawStore::new(folder.path().join("raw"));
        assert!(store.notes().unwrap().kept.is_empty());
        keep(&store);
        let note = store.not_in(&[]).unwrap().kept.remove(0);
        assert_eq!((note.files[0].bytes, note.files[0].lines), (LINES.len() as u64, 2));
        assert_eq!(read(&store, &note).unwrap(), LINES);
        let part = FragmentRecord::new(0, LINES.len() as u64, 2, note.files[0].sha256.clone());
        let record = DeliveryRecord::new(delivery(), vec![part]);
        assert!(note.agrees_with(&record));
        assert!(store.not_in(&[record]).unwrap().kept.is_empty());
    }

    #[test]
    fn a_file_that_was_changed_is_found_out_at_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let store = RawStore::new(folder.path().join("raw"));
        keep(&store);
        let note = store.notes().unwrap().kept.remove(0);
        let path = store.folder_of(&delivery()).join(&note.files[0].name);
        fs::write(path, zstd::encode_all(&b"{\"uid\":\"3\"}\n"[..], 1).unwrap()).unwrap();
        assert_eq!(read(&store, &note).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn what_a_crash_leaves_behind_is_removed_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let store = RawStore::new(folder.path().join("raw"));
        keep(&store);
        let at = store.folder_of(&delivery());
        let orphan = at.join("2026-06-01_2026-06-14.delta.job-18.0.jsonl.zst");
        fs::write(&orphan, b"x").unwrap();
        fs::File::create(at.join(".x.partial")).unwrap().write_all(b"x").unwrap();
        store.tidy().unwrap();
        assert_eq!(store.files(Resource::Activities).unwrap().len(), 2);
        assert!(read(&store, &store.notes().unwrap().kept[0]).is_ok());
    }

    #[test]
    fn old_files_go_when_their_rows_are_in_the_destination_and_their_note_tells_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let store = RawStore::new(folder.path().join("raw"));
        keep(&store);
        let record = DeliveryRecord::new(delivery(), Vec::new());
        let (day, later) = (SignedDuration::from_hours(24), "2026-06-20T12:00:00Z".parse().unwrap());
        assert_eq!(store.prune(&[], day, later).unwrap(), 0);
        assert_eq!(store.prune(std::slice::from_ref(&record), day * 3, later).unwrap(), 0);
        assert_eq!(store.prune(std::slice::from_ref(&record), day, later).unwrap(), 1);
        assert!(store.notes().unwrap().kept.is_empty());
        assert_eq!(store.note(&delivery()).unwrap().unwrap().removed_at, Some(later));
        assert_eq!(store.files(Resource::Activities).unwrap().len(), 1);
        assert_eq!(store.prune(&[record], day, later).unwrap(), 0, "once");
    }
}
