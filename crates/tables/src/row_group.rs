//! A row group under way: its column chunks arrive one by one, from whichever thread has encoded them.

use std::io::Write;

use crate::encode::{EncodedColumn, EncodedFile};
use crate::error::Error;

/// What rows of activities become.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Shape {
    /// One file of nested rows.
    Nested,
    /// Three files of flat ones: activities, participants, campaigns.
    Relational,
}

/// The column chunks of a row group, of each of its files.
pub(crate) struct RowGroup {
    columns: Vec<Option<EncodedColumn>>,
    missing: usize,
}

impl RowGroup {
    /// A row group of so many columns, in all files together.
    pub(crate) fn of(columns: usize) -> Self {
        Self { columns: (0..columns).map(|_| None).collect(), missing: columns }
    }

    /// Takes in what stands from this column on.
    pub(crate) fn put(&mut self, first: usize, columns: Vec<EncodedColumn>) {
        self.missing = self.missing.saturating_sub(columns.len());
        for (slot, column) in self.columns.iter_mut().skip(first).zip(columns) {
            *slot = Some(column);
        }
    }

    pub(crate) fn is_whole(&self) -> bool {
        self.missing == 0
    }

    /// Appends the row group to its files, which have so many columns each.
    pub(crate) fn write<W: Write + Send>(
        self,
        files: &mut [EncodedFile<W>],
        widths: &[usize],
    ) -> Result<(), Error> {
        let mut columns = self.columns.into_iter().flatten();
        files
            .iter_mut()
            .zip(widths)
            .try_for_each(|(file, &width)| file.append(columns.by_ref().take(width).collect()))
    }
}
