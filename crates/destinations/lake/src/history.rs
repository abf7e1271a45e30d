//! Every version of one activity. Row groups that can't have it are skipped: by their Bloom filters on `uid`, and in a base by
//! the bucket of its key.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use arrow_buffer::BooleanBufferBuilder;
use backstory_destination::{DeliveryRecord, Error, HistoryEntry};
use backstory_tables::Resource;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::footer::{DataFile, Holds};
use crate::key;
use crate::problem::{unreadable, unreadable_rows};
use crate::rows::{Columns, Rows, in_parallel, texts};
use crate::state::State;

/// All versions of the activity with this `uid` or `_key`, oldest first; also those in files that have been superseded and are
/// still there.
pub(crate) fn of(state: &State, uid: &str) -> Result<Vec<HistoryEntry>, Error> {
    let superseded: Vec<_> = state.superseded.iter().map(|(file, _)| Arc::clone(file)).collect();
    let counting: Vec<_> =
        state.activities.base_files().iter().chain(&state.activities.overlay).cloned().collect();
    let mut versions = BTreeMap::<String, HistoryEntry>::new();
    // A version may stand in a superseded file and in the base that absorbed it; what counts comes last.
    for files in [superseded, counting] {
        let found = in_parallel(&files, Vec::new, |found, file| in_file(file, uid, found))?;
        versions.extend(found.into_iter().flatten().map(|entry| (entry.version.clone(), entry)));
    }
    if let Some(mut last) = versions.last_entry() {
        last.get_mut().current = true;
    }
    Ok(versions.into_values().collect())
}

/// The deliveries that the base has absorbed, and whose own files are gone.
pub(crate) fn thinned(state: &State) -> Vec<DeliveryRecord> {
    let there = state.superseded.iter().map(|(file, _)| file).chain(&state.activities.overlay);
    let there: HashSet<&str> =
        there.filter_map(|file| file.part()).map(|record| record.delivery.job_id.as_str()).collect();
    let absorbed = state.activities.base.iter().flat_map(|base| &base.absorbed);
    absorbed.filter(|record| !there.contains(record.delivery.job_id.as_str())).cloned().collect()
}

fn in_file(file: &Arc<DataFile>, uid: &str, found: &mut Vec<HistoryEntry>) -> Result<(), Error> {
    if file.resource() != Resource::Activities {
        return Ok(());
    }
    let rows = Rows::open(file)?;
    for row_group in 0..file.row_groups.len() {
        if !may_have(&rows, file, row_group, uid)? {
            continue;
        }
        let mut chosen = BooleanBufferBuilder::new(0);
        rows.read(row_group, Columns::Only(&["_key"]), None, |batch| {
            texts(&batch, "_key", file)?.iter().for_each(|key| chosen.append(key == Some(uid)));
            Ok(())
        })?;
        let chosen = chosen.finish();
        if chosen.count_set_bits() > 0 {
            rows.read(row_group, Columns::All, Some(&chosen), |batch| {
                let entries = HistoryEntry::in_batch(&batch, uid);
                found.extend(entries.map_err(|error| unreadable_rows(&file.path, error))?);
                Ok(())
            })?;
        }
    }
    Ok(())
}

fn may_have(rows: &Rows, file: &DataFile, row_group: usize, key: &str) -> Result<bool, Error> {
    if let Holds::Base(base) = &file.holds
        && base.filled.get(row_group) != Some(&key::bucket(key::hash(key), base.buckets))
    {
        return Ok(false);
    }
    // A key that was derived begins with `~`, and isn't a `uid`.
    let column =
        rows.metadata().parquet_schema().columns().iter().position(|column| column.path().string() == "uid");
    let Some(column) = column.filter(|_| !key.starts_with('~')) else { return Ok(true) };
    let handle = rows.file().try_clone().map_err(|error| unreadable(&file.path, error))?;
    let filter = ParquetRecordBatchReaderBuilder::new_with_metadata(handle, rows.metadata().clone())
        .get_row_group_column_bloom_filter(row_group, column)
        .map_err(|error| unreadable_rows(&file.path, error))?;
    Ok(filter.is_none_or(|filter| filter.check(key)))
}
