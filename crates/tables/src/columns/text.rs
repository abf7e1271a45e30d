//! Columns of texts.

use std::sync::Arc;

use arrow_array::{ArrayRef, StringArray};
use arrow_buffer::Buffer;
use backstory_formats::{CellColumn, Odd, OddRow, Value};

use super::{Offsets, Validity, emptied};

/// A column of texts.
#[derive(Debug, Default)]
pub(crate) struct TextColumn {
    offsets: Offsets,
    pub(crate) values: Vec<u8>,
    valid: Validity,
}

impl TextColumn {
    pub(crate) fn push(&mut self, row: usize, value: Option<&str>) {
        if let Some(value) = value {
            self.begin(row);
            self.values.extend_from_slice(value.as_bytes());
            self.end(row);
        }
    }

    #[inline]
    pub(crate) fn read<'a>(&mut self, row: usize, value: &mut impl Value<'a>) -> Result<(), Odd> {
        self.begin(row);
        if value.copy_text(&mut self.values)? {
            self.end(row);
        }
        Ok(())
    }

    /// Takes in the texts of neighbouring rows.
    pub(crate) fn read_cells(&mut self, row: usize, cells: &CellColumn<'_>) -> Result<(), OddRow> {
        self.begin(row);
        self.offsets.extend(self.values.len(), cells.lens());
        cells.copy_texts(&mut self.values);
        self.valid.read_cells(row, cells);
        Ok(())
    }

    /// Begins a value, whose bytes may then be appended to `values`.
    #[inline]
    pub(crate) fn begin(&mut self, row: usize) {
        self.offsets.fill(row, self.values.len());
    }

    /// Ends the value.
    #[inline]
    pub(crate) fn end(&mut self, row: usize) {
        self.offsets.push(self.values.len());
        self.valid.set(row);
    }

    /// Whether the row has a value already.
    pub(crate) fn has(&self, row: usize) -> bool {
        self.offsets.0.len() > row + 1
    }

    pub(crate) fn truncate(&mut self, rows: usize) {
        self.values.truncate(self.offsets.truncate(rows));
        self.valid.truncate(rows);
    }

    pub(crate) fn finish(&mut self, rows: usize) -> ArrayRef {
        let offsets = self.offsets.finish(rows, self.values.len());
        let values = Buffer::from_vec(emptied(&mut self.values));
        Arc::new(StringArray::new(offsets, values, self.valid.finish(rows)))
    }

    pub(crate) fn bytes(&self) -> usize {
        self.values.len() + self.offsets.bytes()
    }
}
