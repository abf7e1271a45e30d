//! Reading rows: row group by row group, only the columns and the rows that are asked for.

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use arrow_array::cast::AsArray;
use arrow_array::{RecordBatch, StringArray};
use arrow_buffer::BooleanBuffer;
use backstory_destination::{Error, ErrorKind};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder, RowSelection,
};
use parquet::file::metadata::ParquetStatisticsPolicy;

use crate::footer::DataFile;
use crate::problem::{damaged, unreadable, unreadable_rows};

/// How many bytes of rows a batch has, roughly.
const BATCH_BYTES: usize = 2 << 20;
const MOST_ROWS: usize = 8_192;

/// More threads would need more memory, and disks don't feed many more.
pub(crate) const THREADS: usize = 2;

/// An open data file.
pub(crate) struct Rows {
    about: Arc<DataFile>,
    file: File,
    metadata: ArrowReaderMetadata,
}

/// Which columns are read.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Columns<'c> {
    All,
    /// These alone; names of columns, or paths to what is inside of them.
    Only(&'c [&'c str]),
}

impl Rows {
    pub(crate) fn open(about: &Arc<DataFile>) -> Result<Self, Error> {
        let path = &about.path;
        if !about.has_our_columns {
            return Err(damaged(path, "has other columns than this version of backstory writes"));
        }
        let file = File::open(path).map_err(|error| unreadable(path, error))?;
        let options = ArrowReaderOptions::new()
            .with_column_stats_policy(ParquetStatisticsPolicy::SkipAll)
            .with_size_stats_policy(ParquetStatisticsPolicy::SkipAll)
            .with_encoding_stats_policy(ParquetStatisticsPolicy::SkipAll);
        let metadata =
            ArrowReaderMetadata::load(&file, options).map_err(|error| unreadable_rows(path, error))?;
        Ok(Self { about: Arc::clone(about), file, metadata })
    }

    pub(crate) fn metadata(&self) -> &ArrowReaderMetadata {
        &self.metadata
    }

    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// The rows of a row group, those that are `selected` if that is said.
    pub(crate) fn read(
        &self,
        row_group: usize,
        columns: Columns<'_>,
        selected: Option<&BooleanBuffer>,
        mut take: impl FnMut(RecordBatch) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let failed = |error| unreadable_rows(&self.about.path, error);
        let file = self.file.try_clone().map_err(|error| unreadable(&self.about.path, error))?;
        let mut builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, self.metadata.clone())
            .with_row_groups(vec![row_group])
            .with_batch_size(self.rows_in_batch(row_group, columns));
        if let Columns::Only(names) = columns {
            let mask = ProjectionMask::columns(self.metadata.parquet_schema(), names.iter().copied());
            builder = builder.with_projection(mask);
        }
        if let Some(selected) = selected {
            builder = builder.with_row_selection(RowSelection::from_consecutive_ranges(
                selected.set_slices().map(|(start, end)| start..end),
                selected.len(),
            ));
        }
        for batch in builder.build().map_err(|error| unreadable_rows(&self.about.path, error))? {
            take(batch.map_err(failed)?)?;
        }
        Ok(())
    }

    /// So many that a batch stays small, even where rows are long.
    fn rows_in_batch(&self, row_group: usize, columns: Columns<'_>) -> usize {
        let group = self.metadata.metadata().row_group(row_group);
        let rows = usize::try_from(group.num_rows()).unwrap_or(1).max(1);
        let bytes = match columns {
            Columns::All => usize::try_from(group.total_byte_size()).unwrap_or(usize::MAX),
            Columns::Only(_) => 0,
        };
        // What is encoded with dictionaries takes several times as much in memory.
        (BATCH_BYTES / (bytes * 2 / rows).max(1)).clamp(1, MOST_ROWS)
    }
}

/// A column of texts in a file's batch.
pub(crate) fn texts<'b>(batch: &'b RecordBatch, name: &str, of: &DataFile) -> Result<&'b StringArray, Error> {
    text_column(batch, name).map_err(|error| unreadable_rows(&of.path, error))
}

/// A column of texts.
pub(crate) fn text_column<'b>(batch: &'b RecordBatch, name: &str) -> Result<&'b StringArray, Error> {
    let column = batch.column_by_name(name).and_then(|column| column.as_string_opt::<i32>());
    column.ok_or_else(|| Error::new(ErrorKind::Damaged, format!("there is no column `{name}` of texts")))
}

/// Works on all items, on several threads, each of which has a state of its own. Stops at the first error. Returns the states.
pub(crate) fn in_parallel<T: Sync, S: Send>(
    items: &[T],
    begin: impl Fn() -> S + Sync,
    work: impl Fn(&mut S, &T) -> Result<(), Error> + Sync,
) -> Result<Vec<S>, Error> {
    let next = AtomicUsize::new(0);
    let failed = AtomicBool::new(false);
    let first_error = Mutex::new(None);
    let states = thread::scope(|scope| {
        let run = || {
            let mut state = begin();
            while !failed.load(Ordering::Relaxed)
                && let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed))
            {
                if let Err(error) = work(&mut state, item) {
                    failed.store(true, Ordering::Relaxed);
                    first_error.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                }
            }
            state
        };
        let threads: Vec<_> = (1..THREADS.min(items.len())).map(|_| scope.spawn(run)).collect();
        let mut states = vec![run()];
        for thread in threads {
            match thread.join() {
                Ok(state) => states.push(state),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        states
    });
    match first_error.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(error) => Err(error),
        None => Ok(states),
    }
}
