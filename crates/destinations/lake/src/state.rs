//! What the files of a lake amount to: which deliveries are committed, which files make up the current state, and which have
//! been superseded. It is derived from the files alone, so there is nothing that it could disagree with.
//!
//! A delivery counts once all its fragments are there. A base generation stands in for the deliveries that it absorbed, once
//! all its files are there; the last such generation is *the* base, and what it doesn't stand in for is the overlay.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use backstory_destination::{DeliveryRecord, Window};
use backstory_tables::Resource;
use jiff::Timestamp;

use crate::catalog::Files;
use crate::footer::{BaseFile, DataFile};
use crate::layout::set_of;

/// What the files of a lake amount to.
#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    /// Every committed delivery, each job once.
    pub(crate) deliveries: Vec<DeliveryRecord>,
    pub(crate) activities: Activities,
    pub(crate) contacts: Contacts,
    /// Files that a base stands in for, and since when.
    pub(crate) superseded: Vec<(Arc<DataFile>, Timestamp)>,
    /// Files that count for nothing now: why, and what to do.
    pub(crate) idle: Vec<(Arc<DataFile>, String)>,
    pub(crate) strangers: Vec<(PathBuf, String)>,
    /// The greatest number of any generation of which there is a file.
    pub(crate) last_generation: u32,
}

/// The files that hold the current activities.
#[derive(Clone, Debug, Default)]
pub(crate) struct Activities {
    pub(crate) base: Option<Base>,
    /// The files of deliveries that the base doesn't stand in for, ordered by job and fragment.
    pub(crate) overlay: Vec<Arc<DataFile>>,
}

/// The base generation. No key has more than one row in it.
#[derive(Clone, Debug)]
pub(crate) struct Base {
    pub(crate) header: BaseFile,
    /// In order; some are missing when it isn't complete. Its rows are good then, but it stands in for no delivery.
    pub(crate) files: Vec<Arc<DataFile>>,
    pub(crate) is_complete: bool,
    pub(crate) absorbed: Vec<DeliveryRecord>,
}

/// The files that hold contacts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Contacts {
    /// Of the last complete refresh.
    pub(crate) current: Vec<Arc<DataFile>>,
    /// Of every committed delivery.
    pub(crate) observations: Vec<Arc<DataFile>>,
}

impl Base {
    pub(crate) fn rows(&self) -> u64 {
        self.files.iter().map(|file| file.rows()).sum()
    }
}

impl Activities {
    pub(crate) fn overlay_rows(&self) -> u64 {
        self.overlay.iter().map(|file| file.rows()).sum()
    }

    pub(crate) fn base_files(&self) -> &[Arc<DataFile>] {
        self.base.as_ref().map_or(&[], |base| &base.files)
    }
}

impl State {
    /// What the files amount to when the jobs in `anew`, which have just been loaded anew, are taken from their own files, even
    /// where a base has absorbed them.
    pub(crate) fn of(files: Files, anew: &HashSet<String>) -> Self {
        let mut state = Self { strangers: files.strangers, ..Self::default() };
        let (parts, bases): (Vec<_>, Vec<_>) = files.data.into_iter().partition(|file| file.part().is_some());
        let absorbed_since = state.take_generations(bases, anew);
        let mut refreshes = BTreeMap::new();
        for job in state.take_jobs(parts) {
            let delivery = &job.record.delivery;
            if delivery.resource == Resource::Activities
                && let Some(since) = absorbed_since.get(&delivery.job_id)
            {
                state.superseded.extend(job.files.into_iter().map(|file| (file, *since)));
                continue;
            }
            match delivery.resource {
                Resource::Contacts => {
                    state.contacts.observations.extend(job.files.iter().cloned());
                    refreshes.entry(set_of(&job.record.delivery)).or_insert_with(Refresh::default).add(&job);
                }
                _ => state.activities.overlay.extend(job.files),
            }
            state.deliveries.push(job.record);
        }
        state.contacts.current = refreshes
            .into_values()
            .rev()
            .find(Refresh::is_complete)
            .map(|refresh| refresh.files)
            .unwrap_or_default();
        state
    }

    /// Finds the base among the generations. Returns the jobs that it stands in for, and since when each is superseded.
    fn take_generations(
        &mut self,
        files: Vec<Arc<DataFile>>,
        anew: &HashSet<String>,
    ) -> HashMap<String, Timestamp> {
        let mut generations = BTreeMap::<u32, Vec<Arc<DataFile>>>::new();
        for file in files {
            if let Some(base) = file.base() {
                generations.entry(base.generation).or_default().push(file);
            }
        }
        self.last_generation = generations.keys().next_back().copied().unwrap_or(0);
        let mut bases: Vec<Base> =
            generations.into_values().filter_map(|files| Base::of(files, &mut self.idle)).collect();
        let Some(at) = bases.iter().rposition(|base| base.is_complete).or(bases.len().checked_sub(1)) else {
            return HashMap::new();
        };
        for broken in bases.drain(at + 1..) {
            let why = "belongs to a base generation of which files are missing; an earlier one counts, so move it out";
            self.idle.extend(broken.files.into_iter().map(|file| (file, why.to_owned())));
        }
        let Some(base) = bases.pop() else { return HashMap::new() };
        let mut since = HashMap::new();
        if base.is_complete {
            let stays = base.absorbed.iter().filter(|record| !anew.contains(&record.delivery.job_id));
            self.deliveries.extend(stays.cloned());
            since.extend(
                self.deliveries.iter().map(|record| (record.delivery.job_id.clone(), base.header.built_at)),
            );
        }
        // A generation is superseded since the next one was built. What it had absorbed has been superseded for longer.
        let mut replaced_at = base.header.built_at;
        for earlier in bases.into_iter().rev() {
            self.superseded.extend(earlier.files.iter().map(|file| (Arc::clone(file), replaced_at)));
            if earlier.is_complete {
                replaced_at = earlier.header.built_at;
                for record in &earlier.absorbed {
                    if let Some(since) = since.get_mut(&record.delivery.job_id) {
                        *since = replaced_at.min(*since);
                    }
                }
            }
        }
        self.activities.base = Some(base);
        since
    }

    /// Gathers the fragments of each job. Those of a job that isn't whole count for nothing.
    fn take_jobs(&mut self, files: Vec<Arc<DataFile>>) -> Vec<Job> {
        let mut jobs = BTreeMap::<(&str, String), BTreeMap<u32, Arc<DataFile>>>::new();
        for file in files {
            let Some((record, fragment)) = file.part().zip(fragment_of(&file)) else { continue };
            let key = (record.delivery.resource.as_str(), record.delivery.job_id.clone());
            let job = jobs.entry(key).or_default();
            if let Some(first) = job.get(&fragment) {
                let why = format!(
                    "holds the same fragment as {}; only one of them counts, so move it out",
                    first.path.display()
                );
                self.idle.push((file, why));
            } else {
                job.insert(fragment, file);
            }
        }
        let mut whole = Vec::new();
        for fragments in jobs.into_values() {
            // The first fragment lands last, so it knows how many belong to it; others may be left from another division.
            let first = fragments.values().next().and_then(|file| file.part());
            let Some(delivery) = first.map(|record| record.delivery.clone()) else { continue };
            let (files, odd): (Vec<_>, Vec<_>) = fragments.into_values().partition(|file| {
                file.part().is_some_and(|record| record.delivery.fragments == delivery.fragments)
                    && fragment_of(file).is_some_and(|fragment| fragment < delivery.fragments)
            });
            let why = "holds a fragment of an earlier division of its job's result; it doesn't count, so move it out";
            self.idle.extend(odd.into_iter().map(|file| (file, why.to_owned())));
            let parts = files.iter().filter_map(|file| file.part()).flat_map(|record| record.parts.clone());
            let record = DeliveryRecord::new(delivery, parts.collect());
            if record.is_whole() {
                whole.push(Job { record, files });
            } else {
                let why = format!(
                    "holds a fragment of job {}, of which only {} of {} fragments are there; its rows don't count until a sync has brought the rest",
                    record.delivery.job_id,
                    record.parts.len(),
                    record.delivery.fragments
                );
                self.idle.extend(files.into_iter().map(|file| (file, why.clone())));
            }
        }
        whole
    }
}

impl Base {
    /// The files of one generation.
    fn of(mut files: Vec<Arc<DataFile>>, idle: &mut Vec<(Arc<DataFile>, String)>) -> Option<Self> {
        let number = |file: &Arc<DataFile>| file.base().map_or(0, |base| base.file);
        files.sort_by_key(number);
        files.dedup_by(|file, before| {
            let is_copy = number(file) == number(before);
            if is_copy {
                idle.push((
                    Arc::clone(file),
                    format!(
                        "is a copy of {}; only one of them counts, so move it out",
                        before.path.display()
                    ),
                ));
            }
            is_copy
        });
        let header = files.first()?.base()?.clone();
        let fits = |(file, at): (&Arc<DataFile>, u32)| {
            file.base().is_some_and(|base| {
                base.file == at
                    && base.files == header.files
                    && base.buckets == header.buckets
                    && base.absorbed_sha256 == header.absorbed_sha256
            })
        };
        let is_complete = files.len() == header.files as usize && files.iter().zip(0..).all(fits);
        let absorbed = if is_complete { header.absorbed.clone() } else { Vec::new() };
        Some(Self { header, files, is_complete, absorbed })
    }
}

/// The fragments of one job.
struct Job {
    record: DeliveryRecord,
    /// In order.
    files: Vec<Arc<DataFile>>,
}

/// A refresh of contacts: the deliveries of one set.
#[derive(Default)]
struct Refresh {
    range: Option<Window>,
    windows: Vec<Window>,
    files: Vec<Arc<DataFile>>,
}

impl Refresh {
    fn add(&mut self, job: &Job) {
        let delivery = &job.record.delivery;
        self.range = Some(delivery.part_of.as_ref().map_or(delivery.window, |part_of| part_of.range));
        self.windows.push(delivery.window);
        self.files.extend(job.files.iter().cloned());
    }

    /// Whether the windows cover the range.
    fn is_complete(&self) -> bool {
        let Some(range) = self.range else { return false };
        let mut windows = self.windows.clone();
        windows.sort_unstable();
        let mut missing = Some(range.from);
        for window in windows {
            if missing.is_some_and(|day| window.from <= day && day <= window.to) {
                // Beyond the last day that there is, nothing can be missing.
                missing = window.to.tomorrow().ok();
            }
        }
        missing.is_none_or(|day| day > range.to)
    }
}

fn fragment_of(file: &DataFile) -> Option<u32> {
    Some(file.part()?.parts.first()?.fragment)
}
