//! The versions of a record, read back from rows.

use arrow_array::cast::AsArray as _;
use arrow_array::types::{Date32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, RecordBatch};
use backstory_tables::JsonLinesFile;
use jiff::civil::Date;
use jiff::{Timestamp, ToSpan as _};
use serde::Serialize;

use crate::delivery::Window;
use crate::error::{Error, ErrorKind};

/// One stored version of a record.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct HistoryEntry {
    /// Its `_version`.
    pub version: String,
    /// The job that delivered it.
    pub job_id: Option<String>,
    /// The first and the last UTC day of that job's window.
    pub window: Option<Window>,
    /// Where in the job's result it stood: the fragment and the line, both as in `_fragment` and `_line`.
    pub fragment: u32,
    /// See `fragment`.
    pub line: u64,
    /// When it was fetched.
    pub extracted_at: Timestamp,
    /// Whether it is the current one.
    pub current: bool,
    /// The record itself: canonical JSON.
    pub record: serde_json::Value,
}

impl HistoryEntry {
    /// The versions of the activity with this `_key` in a batch of nested activities.
    ///
    /// # Errors
    /// [`ErrorKind::Damaged`] when the batch has no such rows.
    pub fn in_batch(batch: &RecordBatch, key: &str) -> Result<Vec<Self>, Error> {
        let keys = batch.column_by_name("_key").and_then(|keys| keys.as_string_opt::<i32>());
        let keys = keys.ok_or_else(|| damaged("there are no keys"))?;
        let rows = keys.iter().enumerate().filter(|(_, one)| *one == Some(key));
        rows.map(|(row, _)| {
            let batch = batch.slice(row, 1);
            let mut line = Vec::new();
            let mut records = JsonLinesFile::new(&mut line);
            let written = records.write(&batch).and_then(|()| records.finish().map(drop));
            written.map_err(|error| damaged("a row can't be read back as a record").with_source(error))?;
            let record = serde_json::from_slice(&line);
            let record =
                record.map_err(|error| damaged("a row can't be read back as a record").with_source(error))?;
            let entry = Bookkeeping(&batch).entry(record);
            entry.ok_or_else(|| damaged("there is a row that doesn't say where it came from"))
        })
        .collect()
    }

    /// A version with its record; nothing is known of where it came from yet.
    pub fn new(version: impl Into<String>, extracted_at: Timestamp, record: serde_json::Value) -> Self {
        Self {
            version: version.into(),
            job_id: None,
            window: None,
            fragment: 0,
            line: 0,
            extracted_at,
            current: false,
            record,
        }
    }
}

fn damaged(problem: &str) -> Error {
    Error::new(ErrorKind::Damaged, problem)
}

/// The columns of a row that tell where it came from.
struct Bookkeeping<'b>(&'b RecordBatch);

impl Bookkeeping<'_> {
    fn entry(&self, record: serde_json::Value) -> Option<HistoryEntry> {
        let extracted_at = Timestamp::from_microsecond(
            self.column("_extracted_at")?.as_primitive_opt::<TimestampMicrosecondType>()?.value(0),
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
        self.0.column_by_name(name).filter(|column| column.is_valid(0)).map(|column| column.as_ref())
    }

    fn text(&self, name: &str) -> Option<String> {
        Some(self.column(name)?.as_string_opt::<i32>()?.value(0).to_owned())
    }

    fn integer(&self, name: &str) -> Option<i64> {
        Some(self.column(name)?.as_primitive_opt::<Int64Type>()?.value(0))
    }

    fn day(&self, name: &str) -> Option<Date> {
        let days = self.column(name)?.as_primitive_opt::<Date32Type>()?.value(0);
        Date::new(1970, 1, 1).ok()?.checked_add(days.days()).ok()
    }
}
