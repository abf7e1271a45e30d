//! One row group of activities: from JSON Lines to encoded pages, on one thread.

use std::io::Write;

use backstory_formats::{ActivityRow, JsonLines, Position};
use parquet::file::writer::SerializedFileWriter;

use crate::batch::ActivityBatchBuilder;
use crate::encode::{EncodedColumns, Layout, RowGroupWriter};
use crate::error::Error;
use crate::origin::Origin;
use crate::relational::explode;
use crate::summary::Summary;

/// Encodes row groups. Threads share it.
pub(crate) struct RowGroupEncoder {
    pub(crate) origin: Origin,
    pub(crate) max_row_bytes: usize,
    /// No more bad rows than these are kept; the first one too many ends the conversion anyway.
    pub(crate) max_bad_rows: usize,
    pub(crate) shape: Shape,
    /// One for each file.
    pub(crate) layouts: Vec<Layout>,
}

/// What rows of activities become.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Shape {
    /// One file of nested rows.
    Nested,
    /// Three files of flat ones: activities, participants, campaigns.
    Relational,
}

/// A row that can't be decoded.
pub(crate) struct BadRow {
    /// Its record is counted from the beginning of the row group.
    pub(crate) error: backstory_formats::Error,
    pub(crate) raw: Vec<u8>,
}

/// An encoded row group, and what it held.
pub(crate) struct EncodedRowGroup {
    /// One for each file.
    columns: Vec<EncodedColumns>,
    pub(crate) summary: Summary,
    pub(crate) bad_rows: Vec<BadRow>,
    /// How many records there were, bad ones included.
    pub(crate) records: u64,
}

impl RowGroupEncoder {
    /// What a thread writes with.
    pub(crate) fn writers(&self) -> Result<Vec<RowGroupWriter>, Error> {
        self.layouts.iter().map(RowGroupWriter::new).collect()
    }

    /// Encodes a row group that begins at `start`, whose record is 1, from the pieces that `feed` hands to its argument.
    pub(crate) fn encode(
        &self,
        writers: &mut [RowGroupWriter],
        start: Position,
        feed: impl FnOnce(&mut dyn FnMut(&[u8]) -> Result<(), Error>) -> Result<(), Error>,
    ) -> Result<EncodedRowGroup, Error> {
        let mut group = RowGroup {
            shape: self.shape,
            writers,
            batches: ActivityBatchBuilder::new(&self.origin),
            summary: Summary::default(),
            bad_rows: Vec::new(),
            max_bad_rows: self.max_bad_rows,
        };
        let mut lines = JsonLines::new().with_max_row_bytes(self.max_row_bytes).starting_at(start);
        feed(&mut |piece| {
            let mut rows = lines.feed(piece);
            while let Some(row) = rows.next() {
                group.take(&row)?;
            }
            Ok(())
        })?;
        if let Some(row) = lines.finish() {
            group.take(&row)?;
        }
        let records = lines.position().record - 1;
        group.encode_batch()?;
        let columns = group.writers.iter_mut().map(RowGroupWriter::finish).collect::<Result<_, _>>()?;
        Ok(EncodedRowGroup { columns, summary: group.summary.settled(), bad_rows: group.bad_rows, records })
    }
}

/// A row group under way.
struct RowGroup<'w> {
    shape: Shape,
    writers: &'w mut [RowGroupWriter],
    batches: ActivityBatchBuilder,
    summary: Summary,
    bad_rows: Vec<BadRow>,
    max_bad_rows: usize,
}

impl RowGroup<'_> {
    fn take(&mut self, row: &ActivityRow<'_>) -> Result<(), Error> {
        match row.activity() {
            Ok(activity) => {
                self.batches.push_row(&activity, row.position().line, row.raw().len());
                self.summary.count_activity(&activity);
                if self.batches.is_full() {
                    self.encode_batch()?;
                }
            }
            Err(error) if self.bad_rows.len() < self.max_bad_rows => {
                self.bad_rows.push(BadRow { error, raw: row.raw().to_vec() });
            }
            Err(_) => {}
        }
        Ok(())
    }

    fn encode_batch(&mut self) -> Result<(), Error> {
        if self.batches.is_empty() {
            return Ok(());
        }
        let batch = self.batches.finish();
        let tables = match self.shape {
            Shape::Nested => vec![batch],
            Shape::Relational => explode(&batch)?.into_tables(),
        };
        self.writers.iter_mut().zip(&tables).try_for_each(|(writer, table)| writer.write(table))
    }
}

impl EncodedRowGroup {
    /// Appends the row group to its files.
    pub(crate) fn write<W: Write + Send>(self, files: &mut [SerializedFileWriter<W>]) -> Result<(), Error> {
        self.columns.into_iter().zip(files).try_for_each(|(columns, file)| columns.write(file))
    }
}
