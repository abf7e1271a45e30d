//! Compaction: the base and what has been delivered since become a new base, with one row for each key.
//!
//! Keys are divided into buckets by their hash, so many that a bucket fits into memory. What was delivered is divided first, on
//! disk; then bucket by bucket is put together from that and from the old base, whose buckets are the same as long as its size
//! hasn't changed much. A bucket is a row group, sorted by key. The new base is built aside; that its folder gets its name, in
//! one step, is the commit.

use std::collections::HashSet;
use std::fs::{self, File, TryLockError};
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow_array::{Array, BooleanArray, RecordBatch};
use arrow_select::filter::filter_record_batch;
use arrow_select::interleave::interleave_record_batch;
use backstory_destination::{DeliveryRecord, Error, ErrorKind, fail_point};
use backstory_tables::{ParquetFile, ParquetOptions, Resource};
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use crate::contents::elements;
use crate::footer::{self, BaseFile, DataFile, Holds};
use crate::identity::sync_folder;
use crate::lake::Inner;
use crate::layout::{Layout, base_file_name};
use crate::problem::{damaged, unreadable_rows, unwritable};
use crate::proof;
use crate::rows::{Columns, Rows, in_parallel, text_column, texts};
use crate::shared_landing::SharedLanding;
use crate::shuffle::{self, Divided, Divider, bytes_in_memory};
use crate::state::{Base, State};

/// About how many bytes of memory the rows of a bucket take.
const BUCKET_BYTES: u64 = 16 << 20;
/// More buckets than these make sections too short. Beyond some 16 GiB of rows, buckets grow instead.
const MOST_BUCKETS: u32 = 1 << 10;
const BUCKETS_IN_FILE: u32 = 8;
/// How many rows are put together at a time.
const ROWS_AT_A_TIME: usize = 2_048;

/// What a compaction did.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Compacted {
    /// The number of the base generation that there is now; 0 when there is none, since there are no activities.
    pub generation: u32,
    /// Whether it is a new one: without anything new, the old one stays.
    pub is_new: bool,
    /// Its files.
    pub files: u32,
    /// Its rows: activities.
    pub rows: u64,
    /// Versions that it left behind, since later ones are in it.
    pub superseded_versions: u64,
    /// Deliveries whose rows went into it.
    pub deliveries: u64,
}

/// Builds a new base. The rows of the jobs in `anew` are taken from their own files, not from the old base.
pub(crate) fn compact(lake: &Inner, now: Timestamp, anew: &HashSet<String>) -> Result<Compacted, Error> {
    let _lock = lock(&lake.layout)?;
    clear(&lake.layout)?;
    let state = lake.state_with_anew(anew)?;
    let base = state.activities.base.as_ref();
    if state.activities.overlay.is_empty() {
        return Ok(unchanged(base));
    }
    let compaction = Compaction::plan(lake, &state, anew, now);
    compaction.prove_sources(&state)?;
    let compacted = compaction.run(&state)?;
    fail_point("lake-base-committed");
    clear(&lake.layout)?;
    Ok(compacted)
}

/// Makes sure that nobody else builds a base. The lock ends with its file.
fn lock(layout: &Layout) -> Result<File, Error> {
    let path = layout.compaction_lock();
    let file = File::options().create(true).write(true).truncate(false).open(&path);
    let file = file.map_err(|error| unwritable(&path, error))?;
    match file.try_lock() {
        // Some file systems have no locks.
        Ok(()) | Err(TryLockError::Error(_)) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            let message = format!("{} is being compacted by another process", layout.root().display());
            Err(Error::new(ErrorKind::Busy, message).with_hint("wait for it to end"))
        }
    }
}

/// Removes what a compaction has left behind, unless one is under way.
pub(crate) fn clear_leftovers(layout: &Layout) -> Result<(), Error> {
    if !layout.compaction().exists() {
        return Ok(());
    }
    match lock(layout) {
        Ok(_lock) => clear(layout),
        Err(error) if error.kind() == ErrorKind::Busy => Ok(()),
        Err(error) => Err(error),
    }
}

fn clear(layout: &Layout) -> Result<(), Error> {
    let folder = layout.compaction();
    match fs::remove_dir_all(&folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(unwritable(&folder, error)),
        _ => Ok(()),
    }
}

fn unchanged(base: Option<&Base>) -> Compacted {
    Compacted {
        generation: base.map_or(0, |base| base.header.generation),
        is_new: false,
        files: base.map_or(0, |base| base.header.files),
        rows: base.map_or(0, Base::rows),
        superseded_versions: 0,
        deliveries: base.map_or(0, |base| base.absorbed.len() as u64),
    }
}

/// A compaction under way.
struct Compaction<'c> {
    lake: &'c Inner,
    anew: &'c HashSet<String>,
    /// What the files of the new base have in common.
    header: BaseFile,
    absorbed: Vec<DeliveryRecord>,
    /// The old base, unless nothing of it is needed.
    base: Option<&'c Base>,
    /// Whether its buckets are the new ones.
    keeps_buckets: bool,
}

/// A row group to be read.
type RowGroup<'f> = (&'f Arc<DataFile>, usize);

impl<'c> Compaction<'c> {
    fn plan(lake: &'c Inner, state: &'c State, anew: &'c HashSet<String>, now: Timestamp) -> Self {
        let mut absorbed: Vec<_> = state
            .deliveries
            .iter()
            .filter(|record| record.delivery.resource == Resource::Activities)
            .cloned()
            .collect();
        absorbed.sort_by(|left, right| left.delivery.job_id.cmp(&right.delivery.job_id));
        let base = state.activities.base.as_ref().filter(|base| {
            !base.is_complete || base.absorbed.iter().any(|record| !anew.contains(&record.delivery.job_id))
        });
        let delivered: u64 =
            state.activities.overlay.iter().filter_map(|file| file.part()).map(DeliveryRecord::bytes).sum();
        let of_base = |base: &Base| {
            base.files.iter().filter_map(|file| file.base()).map(|file| file.bytes_in_memory).sum::<u64>()
        };
        let bytes = delivered + base.map_or(0, of_base);
        let wanted =
            u32::try_from(bytes.div_ceil(BUCKET_BYTES)).unwrap_or(MOST_BUCKETS).clamp(1, MOST_BUCKETS);
        let kept =
            base.map(|base| base.header.buckets).filter(|&kept| kept <= wanted * 2 && wanted <= kept * 2);
        let buckets = kept.unwrap_or(wanted);
        let json = serde_json::to_vec(&absorbed).unwrap_or_default();
        let header = BaseFile {
            generation: state.last_generation + 1,
            built_at: now,
            file: 0,
            files: buckets.div_ceil(BUCKETS_IN_FILE),
            buckets,
            filled: Vec::new(),
            rows: 0,
            participants: 0,
            campaigns: 0,
            bytes_in_memory: 0,
            absorbed_sha256: Sha256::digest(json).iter().map(|byte| format!("{byte:02x}")).collect(),
            absorbed: Vec::new(),
        };
        Self { lake, anew, header, absorbed, base, keeps_buckets: kept.is_some() }
    }

    fn run(&self, state: &State) -> Result<Compacted, Error> {
        let folder = self.lake.layout.compaction();
        let new = folder.join("generation");
        fs::create_dir_all(&new).map_err(|error| unwritable(&new, error))?;
        let divided = self.divide(state, &folder)?;
        fail_point("lake-rows-divided");
        let files: Vec<u32> = (0..self.header.files).collect();
        let rows = in_parallel(
            &files,
            || 0,
            |rows, &file| {
                *rows += self.build(file, &divided, &new)?;
                fail_point("lake-base-file-built");
                Ok(())
            },
        )?;
        sync_folder(&new)?;
        fail_point("lake-base-built");
        let name = self.lake.layout.generation(self.header.generation);
        fs::rename(&new, &name).map_err(|error| unwritable(&name, error))?;
        fail_point("lake-base-named");
        sync_folder(&self.lake.layout.generations())?;
        let rows = rows.into_iter().sum();
        let before = state.activities.overlay_rows() + self.base.map_or(0, Base::rows);
        Ok(Compacted {
            generation: self.header.generation,
            is_new: true,
            files: self.header.files,
            rows,
            superseded_versions: before.saturating_sub(rows),
            deliveries: self.absorbed.len() as u64,
        })
    }

    /// Proves that each file is as it was written. The new base has checksums of its own, so nobody would find out later what
    /// had changed before.
    fn prove_sources(&self, state: &State) -> Result<(), Error> {
        let base = self.base.map_or(&[][..], |base| &base.files);
        let files: Vec<_> = state.activities.overlay.iter().chain(base).collect();
        let proven = in_parallel(
            &files,
            || (),
            |(), file| match proof::is_as_written(file)? {
                true => Ok(()),
                false => Err(damaged(&file.path, proof::CHANGED)),
            },
        );
        proven.map(drop)
    }

    /// Divides what was delivered into buckets, and the old base when its buckets are others.
    fn divide(&self, state: &State, folder: &Path) -> Result<Vec<Divided>, Error> {
        let overlay = state.activities.overlay.iter();
        let base = self.base.filter(|_| !self.keeps_buckets).map_or(&[][..], |base| &base.files);
        let work: Vec<RowGroup<'_>> = overlay
            .chain(base)
            .flat_map(|file| (0..file.row_groups.len()).map(move |row_group| (file, row_group)))
            .collect();
        let number = AtomicUsize::new(0);
        let begin = || {
            let path = shuffle::file_in(folder, number.fetch_add(1, Ordering::Relaxed));
            Divider::new(path, self.header.buckets)
        };
        let dividers = in_parallel(&work, begin, |divider, &(file, row_group)| {
            let divider = match divider {
                Ok(divider) => divider,
                Err(error) => return Err(Error::new(error.kind(), error.to_string())),
            };
            self.read(file, row_group, |batch| divider.push(batch))
        })?;
        dividers.into_iter().map(|divider| divider?.finish()).collect()
    }

    /// The rows of a row group, without those that are taken from their own files.
    fn read(
        &self,
        file: &Arc<DataFile>,
        row_group: usize,
        mut take: impl FnMut(RecordBatch) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let is_filtered = file.base().is_some() && !self.anew.is_empty();
        Rows::open(file)?.read(row_group, Columns::All, None, |batch| {
            if !is_filtered {
                return take(batch);
            }
            let jobs = texts(&batch, "_job_id", file)?;
            let kept: BooleanArray =
                jobs.iter().map(|job| Some(job.is_none_or(|job| !self.anew.contains(job)))).collect();
            let batch =
                filter_record_batch(&batch, &kept).map_err(|error| unreadable_rows(&file.path, error))?;
            take(batch)
        })
    }

    /// Builds one file. Returns how many rows it has.
    fn build(&self, number: u32, divided: &[Divided], folder: &Path) -> Result<u64, Error> {
        let path = folder.join(base_file_name(number, self.header.files));
        let failed = |error| Error::of_conversion(error);
        let landing = SharedLanding::begin(&path).map_err(|error| unwritable(&path, error))?;
        // Row groups end where buckets do.
        let options = ParquetOptions::default().with_row_group_bytes(usize::MAX);
        let mut file = ParquetFile::new(Resource::Activities, landing.clone(), &options).map_err(failed)?;
        let mut header = BaseFile { file: number, ..self.header.clone() };
        if number == 0 {
            header.absorbed.clone_from(&self.absorbed);
        }
        let mut readers = divided.iter().map(Divided::open).collect::<Result<Vec<_>, _>>()?;
        for bucket in self.buckets_of(number) {
            let mut batches = Vec::new();
            for reader in &mut readers {
                reader.read(bucket, &mut batches)?;
            }
            self.read_old_bucket(bucket, &mut batches)?;
            let rows = greatest_of_each_key(&batches)?;
            if rows.is_empty() {
                continue;
            }
            let batches: Vec<_> = batches.iter().collect();
            for rows in rows.chunks(ROWS_AT_A_TIME) {
                let batch =
                    interleave_record_batch(&batches, rows).map_err(|error| unwritable(&path, error))?;
                header.rows += batch.num_rows() as u64;
                header.participants += elements(&batch, "participants").unsigned_abs();
                header.campaigns += elements(&batch, "campaigns").unsigned_abs();
                header.bytes_in_memory += bytes_in_memory(&batch) as u64;
                file.write(&batch).map_err(failed)?;
            }
            file.end_row_group().map_err(failed)?;
            header.filled.push(bucket);
        }
        file.flush().map_err(failed)?;
        let body = landing.so_far().unwrap_or_default();
        let rows = header.rows;
        for (key, value) in footer::entries(&self.lake.id, &Holds::Base(header), &body) {
            file.add_metadata(key, value);
        }
        file.finish().map_err(failed)?;
        if let Some(landing) = landing.take() {
            landing.commit().map_err(|error| unwritable(&path, error))?;
        }
        Ok(rows)
    }

    fn buckets_of(&self, file: u32) -> Range<u32> {
        let first = |file: u32| (file * BUCKETS_IN_FILE).min(self.header.buckets);
        first(file)..first(file + 1)
    }

    /// Appends the rows that the old base has in a bucket, if its buckets are the same.
    fn read_old_bucket(&self, bucket: u32, batches: &mut Vec<RecordBatch>) -> Result<(), Error> {
        let Some(base) = self.base.filter(|_| self.keeps_buckets) else { return Ok(()) };
        for file in &base.files {
            let filled = file.base().map_or(&[][..], |base| &base.filled);
            if let Ok(row_group) = filled.binary_search(&bucket) {
                self.read(file, row_group, |batch| {
                    batches.push(batch);
                    Ok(())
                })?;
            }
        }
        Ok(())
    }
}

/// The rows with the greatest version of each key, in the order of the keys: which batch, and which row of it.
fn greatest_of_each_key(batches: &[RecordBatch]) -> Result<Vec<(usize, usize)>, Error> {
    let mut columns = Vec::with_capacity(batches.len());
    for batch in batches {
        columns.push((text_column(batch, "_key")?, text_column(batch, "_version")?));
    }
    let mut rows = Vec::new();
    for (at, (keys, versions)) in columns.iter().enumerate() {
        rows.extend((0..keys.len()).map(|row| (keys.value(row), versions.value(row), at, row)));
    }
    rows.sort_unstable_by(|left, right| left.0.cmp(right.0).then_with(|| right.1.cmp(left.1)));
    rows.dedup_by(|later, first| later.0 == first.0);
    Ok(rows.into_iter().map(|(_, _, batch, row)| (batch, row)).collect())
}
