//! Which rows are current: the greatest version of each key.
//!
//! Only keys and versions are read. Memory stays bounded however many there are: the overlay's keys are taken in ranges of
//! their hashes, as many at a time as fit, and of the base, which has one row for each key, only those rows are looked at
//! whose key the overlay has too.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::{Mutex, PoisonError};

use arrow_array::Array;
use arrow_buffer::{BooleanBuffer, BooleanBufferBuilder};
use backstory_destination::Error;
use backstory_tables::split_version;

use crate::footer::DataFile;
use crate::key;
use crate::problem::damaged;
use crate::rows::{Columns, Rows, in_parallel, texts};
use crate::state::Base;

/// How many rows of the overlay are compared at a time. One takes 32 bytes.
const ROWS_AT_A_TIME: u64 = 1 << 20;

/// The current rows of a table.
#[derive(Debug, Default)]
pub(crate) struct Current {
    /// Each file with its current rows.
    pub(crate) files: Vec<(Arc<DataFile>, Chosen)>,
    /// The keys that the overlay has too, but whose current row is the base's. They are rare: it takes a delivery that brings
    /// an older version than an earlier one did.
    pub(crate) of_base: Vec<String>,
}

/// Rows of a file.
#[derive(Clone, Debug)]
pub(crate) enum Chosen {
    All,
    Some(BooleanBuffer),
}

impl Chosen {
    /// How many there are in a file of `rows` rows.
    pub(crate) fn count(&self, rows: u64) -> u64 {
        match self {
            Self::All => rows,
            Self::Some(chosen) => chosen.count_set_bits() as u64,
        }
    }
}

impl Current {
    pub(crate) fn count(&self) -> u64 {
        self.files.iter().map(|(file, chosen)| chosen.count(file.rows())).sum()
    }

    /// The row groups that have current rows.
    pub(crate) fn row_groups(&self) -> Vec<ChosenRows> {
        self.files.iter().flat_map(|(file, chosen)| row_groups(file, chosen)).collect()
    }
}

/// The row groups of a file that have chosen rows.
pub(crate) fn row_groups(file: &Arc<DataFile>, chosen: &Chosen) -> Vec<ChosenRows> {
    let mut groups = Vec::new();
    let mut start = 0;
    for (row_group, &rows) in file.row_groups.iter().enumerate() {
        let rows = usize::try_from(rows).unwrap_or(usize::MAX);
        let chosen = match chosen {
            Chosen::All => None,
            Chosen::Some(chosen) => Some(chosen.slice(start, rows)),
        };
        start += rows;
        let count = chosen.as_ref().map_or(rows, BooleanBuffer::count_set_bits);
        if count > 0 {
            let chosen = chosen.filter(|_| count < rows);
            groups.push(ChosenRows { file: Arc::clone(file), row_group, chosen });
        }
    }
    groups
}

/// Chosen rows of a row group.
#[derive(Clone, Debug)]
pub(crate) struct ChosenRows {
    pub(crate) file: Arc<DataFile>,
    pub(crate) row_group: usize,
    /// All of them, unless said.
    pub(crate) chosen: Option<BooleanBuffer>,
}

/// A row of the overlay, so that greater is later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Row {
    key: u128,
    /// The first part of the version.
    instant: u64,
    /// The file's rank by the second part, which all its rows have in common.
    file: u32,
    /// Rows of a file are in the order of the third part, the line.
    row: u32,
}

/// A file of the overlay.
struct Layer {
    file: Arc<DataFile>,
    /// The part of the version that all rows have in common.
    common: String,
    chosen: Mutex<BooleanBufferBuilder>,
}

/// Finds the current rows among a base and what has been delivered since.
pub(crate) fn current(base: Option<&Base>, overlay: &[Arc<DataFile>]) -> Result<Current, Error> {
    current_with(base, overlay, ROWS_AT_A_TIME)
}

fn current_with(base: Option<&Base>, overlay: &[Arc<DataFile>], at_a_time: u64) -> Result<Current, Error> {
    let layers = layers(overlay)?;
    let rows: u64 = layers.iter().map(|layer| layer.file.rows()).sum();
    let passes = u32::try_from(rows.div_ceil(at_a_time)).unwrap_or(u32::MAX);
    let base_files = base.map_or(&[][..], |base| &base.files);
    // Of the base, the rows that aren't current.
    let mut beaten = BTreeMap::<usize, BooleanBufferBuilder>::new();
    let mut of_base = Vec::new();
    for pass in 0..passes {
        let winners = winners(&layers, pass, passes)?;
        for row in &winners {
            layers[row.file as usize].set(row.row, true);
        }
        let Some(base) = base else { continue };
        let hits = compare_with_base(base, &layers, &winners)?;
        for hit in hits {
            match hit {
                Hit::BaseBeaten { file, row } => {
                    let rows = &base_files[file];
                    beaten.entry(file).or_insert_with(|| unset(rows.rows())).set_bit(row, true);
                }
                Hit::OverlayBeaten { row, key } => {
                    layers[row.file as usize].set(row.row, false);
                    of_base.push(key);
                }
            }
        }
    }
    of_base.sort_unstable();
    let mut current = Current { of_base, ..Current::default() };
    for (at, file) in base_files.iter().enumerate() {
        let chosen = beaten.remove(&at).map_or(Chosen::All, |mut beaten| Chosen::Some(!&beaten.finish()));
        current.files.push((Arc::clone(file), chosen));
    }
    for layer in layers {
        let mut chosen = layer.chosen.into_inner().unwrap_or_else(PoisonError::into_inner);
        current.files.push((layer.file, Chosen::Some(chosen.finish())));
    }
    Ok(current)
}

/// The files of the overlay that have rows, in the order of what their versions have in common.
fn layers(overlay: &[Arc<DataFile>]) -> Result<Vec<Layer>, Error> {
    let mut layers = Vec::with_capacity(overlay.len());
    for file in overlay.iter().filter(|file| file.rows() > 0) {
        if u32::try_from(file.rows()).is_err() {
            return Err(damaged(&file.path, "has more rows than a file of a lake has"));
        }
        let mut common = None;
        let mut first = BooleanBufferBuilder::new(0);
        first.append(true);
        first.append_n(usize::try_from(file.row_groups[0]).unwrap_or(1).saturating_sub(1), false);
        Rows::open(file)?.read(0, Columns::Only(&["_version"]), Some(&first.finish()), |batch| {
            let versions = texts(&batch, "_version", file)?;
            if !versions.is_empty() {
                common = split_version(versions.value(0)).map(|parts| parts.1.to_owned());
            }
            Ok(())
        })?;
        let common = common.ok_or_else(|| damaged(&file.path, "has rows without a version"))?;
        layers.push(Layer { file: Arc::clone(file), common, chosen: Mutex::new(unset(file.rows())) });
    }
    layers.sort_by(|left, right| left.common.cmp(&right.common));
    Ok(layers)
}

fn unset(rows: u64) -> BooleanBufferBuilder {
    let rows = usize::try_from(rows).unwrap_or(usize::MAX);
    let mut bits = BooleanBufferBuilder::new(rows);
    bits.append_n(rows, false);
    bits
}

impl Layer {
    fn set(&self, row: u32, chosen: bool) {
        self.chosen.lock().unwrap_or_else(PoisonError::into_inner).set_bit(row as usize, chosen);
    }
}

/// The greatest version of each key in the overlay, of the keys in one range of hashes, in the order of the hashes.
fn winners(layers: &[Layer], pass: u32, passes: u32) -> Result<Vec<Row>, Error> {
    let work: Vec<(u32, &Layer, usize, u64)> = (0..)
        .zip(layers)
        .flat_map(|(at, layer)| {
            let mut first = 0;
            layer.file.row_groups.iter().enumerate().map(move |(group, &rows)| {
                first += rows;
                (at, layer, group, first - rows)
            })
        })
        .collect();
    let rows = in_parallel(&work, Vec::new, |rows: &mut Vec<Row>, &(at, layer, group, first)| {
        let file = &layer.file;
        let mut row = u32::try_from(first).unwrap_or(u32::MAX);
        Rows::open(file)?.read(group, Columns::Only(&["_key", "_version"]), None, |batch| {
            let (keys, versions) = (texts(&batch, "_key", file)?, texts(&batch, "_version", file)?);
            for (key, version) in keys.iter().zip(versions) {
                let version = version.and_then(split_version);
                let parsed = version
                    .and_then(|(instant, common, _)| Some((u64::from_str_radix(instant, 16).ok()?, common)));
                let Some((key, (instant, common))) = key.zip(parsed) else {
                    return Err(damaged(&file.path, "has rows without a version"));
                };
                if common != layer.common {
                    return Err(damaged(&file.path, "has rows of several deliveries"));
                }
                let key = key::hash(key);
                if key::bucket(key, passes) == pass {
                    rows.push(Row { key, instant, file: at, row });
                }
                row += 1;
            }
            Ok(())
        })
    })?;
    let mut rows = rows
        .into_iter()
        .reduce(|mut all, mut more| {
            all.append(&mut more);
            all
        })
        .unwrap_or_default();
    rows.sort_unstable();
    // Of equal keys the last is the greatest; `dedup` keeps the first.
    rows.reverse();
    rows.dedup_by_key(|row| row.key);
    rows.reverse();
    Ok(rows)
}

/// A key that both the base and the overlay have.
enum Hit {
    BaseBeaten { file: usize, row: usize },
    OverlayBeaten { row: Row, key: String },
}

fn compare_with_base(base: &Base, layers: &[Layer], winners: &[Row]) -> Result<Vec<Hit>, Error> {
    let mut work = Vec::new();
    for (at, file) in base.files.iter().enumerate() {
        let Some(header) = file.base() else { continue };
        let mut first = 0;
        for ((group, &rows), &bucket) in file.row_groups.iter().enumerate().zip(&header.filled) {
            let from = winners.partition_point(|row| row.key < key::first_hash(bucket, header.buckets));
            let to = winners.partition_point(|row| row.key < key::first_hash(bucket + 1, header.buckets));
            if from < to {
                work.push((at, file, group, first, &winners[from..to]));
            }
            first += usize::try_from(rows).unwrap_or(usize::MAX);
        }
    }
    let hits = in_parallel(&work, Vec::new, |hits: &mut Vec<Hit>, &(at, file, group, first, winners)| {
        let open = Rows::open(file)?;
        // Rows of the row group whose key the overlay has, each with the overlay's row.
        let mut met = Vec::new();
        let mut row = 0;
        open.read(group, Columns::Only(&["_key"]), None, |batch| {
            for key in texts(&batch, "_key", file)?.iter().flatten() {
                let key = key::hash(key);
                if let Ok(found) = winners.binary_search_by_key(&key, |row| row.key) {
                    met.push((row, winners[found]));
                }
                row += 1;
            }
            Ok(())
        })?;
        if met.is_empty() {
            return Ok(());
        }
        let mut selected = unset(row as u64);
        met.iter().for_each(|(row, _)| selected.set_bit(*row, true));
        let mut beating = Vec::new();
        let mut met = met.into_iter();
        open.read(group, Columns::Only(&["_version"]), Some(&selected.finish()), |batch| {
            for version in texts(&batch, "_version", file)?.iter() {
                let version = version.and_then(split_version);
                let instant = version.and_then(|parts| u64::from_str_radix(parts.0, 16).ok());
                let (Some((row, winner)), Some((_, common, _)), Some(instant)) =
                    (met.next(), version, instant)
                else {
                    return Err(damaged(&file.path, "has rows without a version"));
                };
                // Where both are of the same delivery they are the same row.
                let overlay = (winner.instant, layers[winner.file as usize].common.as_str());
                if (instant, common) > overlay {
                    beating.push((row, winner));
                } else {
                    hits.push(Hit::BaseBeaten { file: at, row: first + row });
                }
            }
            Ok(())
        })?;
        if beating.is_empty() {
            return Ok(());
        }
        let mut selected = unset(row as u64);
        beating.iter().for_each(|(row, _)| selected.set_bit(*row, true));
        let mut beating = beating.into_iter();
        open.read(group, Columns::Only(&["_key"]), Some(&selected.finish()), |batch| {
            let keys = texts(&batch, "_key", file)?.iter().flatten();
            hits.extend(
                keys.zip(beating.by_ref())
                    .map(|(key, (_, row))| Hit::OverlayBeaten { row, key: key.to_owned() }),
            );
            Ok(())
        })
    })?;
    Ok(hits.into_iter().flatten().collect())
}
