//! Every version of one activity. Row groups that can't have it are skipped: by their Bloom filters on `uid`, and in a base by
//! the bucket of its key.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, RecordBatch};
use arrow_buffer::BooleanBufferBuilder;
use backstory_destination::{Error, HistoryEntry, Window};
use backstory_tables::{JsonLinesFile, Resource};
use jiff::civil::Date;
use jiff::{Timestamp, ToSpan};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::footer::{DataFile, Holds};
use crate::key;
use crate::problem::{damaged, unreadable, unreadable_rows};
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
            rows.read(row_group, Columns::All, Some(&chosen), |batch| entries(&batch, file, found))?;
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

fn entries(batch: &RecordBatch, file: &DataFile, found: &mut Vec<HistoryEntry>) -> Result<(), Error> {
    let failed = |error| unreadable_rows(&file.path, error);
    let mut lines = Vec::new();
    let mut records = JsonLinesFile::new(&mut lines);
    records.write(batch).map_err(failed)?;
    records.finish().map_err(failed)?;
    let records = serde_json::Deserializer::from_slice(&lines).into_iter::<serde_json::Value>();
    for (row, record) in records.enumerate() {
        let record = record.map_err(|error| unreadable_rows(&file.path, error))?;
        let entry = Bookkeeping { batch, row }.entry(record);
        found
            .push(entry.ok_or_else(|| damaged(&file.path, "has a row that doesn't say where it came from"))?);
    }
    Ok(())
}

/// The columns of a row that tell where it came from.
struct Bookkeeping<'b> {
    batch: &'b RecordBatch,
    row: usize,
}

impl Bookkeeping<'_> {
    fn entry(&self, record: serde_json::Value) -> Option<HistoryEntry> {
        let extracted_at = Timestamp::from_microsecond(
            self.column("_extracted_at")?.as_primitive_opt::<TimestampMicrosecondType>()?.value(self.row),
        );
        let mut entry = HistoryEntry::new(self.text("_version")?, extracted_at.ok()?, record);
        entry.job_id = self.text("_job_id");
        entry.window =
            self.day("_window_start").zip(self.day("_window_end")).map(|(from, to)| Window::new(from, to));
        entry.fragment = u32::try_from(self.integer("_fragment")?).ok()?;
        entry.line = u64::try_from(self.integer("_line")?).ok()?;
        Some(entry)
    }

    fn column(&self, name: &str) -> Option<&dyn Array> {
        self.batch
            .column_by_name(name)
            .filter(|column| column.is_valid(self.row))
            .map(|column| column.as_ref())
    }

    fn text(&self, name: &str) -> Option<String> {
        Some(self.column(name)?.as_string_opt::<i32>()?.value(self.row).to_owned())
    }

    fn integer(&self, name: &str) -> Option<i64> {
        Some(self.column(name)?.as_primitive_opt::<Int64Type>()?.value(self.row))
    }

    fn day(&self, name: &str) -> Option<Date> {
        let days = self.column(name)?.as_primitive_opt::<Date32Type>()?.value(self.row);
        Date::new(1970, 1, 1).ok()?.checked_add(days.days()).ok()
    }
}
