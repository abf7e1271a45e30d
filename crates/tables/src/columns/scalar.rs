//! Columns of integers, booleans, instants and days.

use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray, Date32Array, Int64Array, TimestampMicrosecondArray};
use arrow_buffer::ScalarBuffer;
use backstory_formats::{CellColumn, Odd, OddRow, Value};

use super::{Bits, Validity, emptied};
use crate::extra_column::ExtraColumn;
use crate::instant;

/// Values of a fixed size.
#[derive(Debug, Default)]
struct Fixed<T> {
    values: Vec<T>,
    valid: Validity,
}

impl<T: Copy + Default> Fixed<T> {
    #[inline]
    fn set(&mut self, row: usize, value: T) {
        if self.values.len() < row {
            self.values.resize(row, T::default());
        }
        self.values.push(value);
        self.valid.set(row);
    }

    fn truncate(&mut self, rows: usize) {
        self.values.truncate(rows);
        self.valid.truncate(rows);
    }

    fn finish(&mut self, rows: usize) -> Vec<T> {
        self.values.resize(rows, T::default());
        emptied(&mut self.values)
    }

    fn bytes(&self) -> usize {
        size_of::<T>() * self.values.len()
    }
}

/// A column of integers.
#[derive(Debug, Default)]
pub(crate) struct IntegerColumn(Fixed<i64>);

impl IntegerColumn {
    pub(crate) fn push(&mut self, row: usize, value: Option<i64>) {
        if let Some(value) = value {
            self.0.set(row, value);
        }
    }

    #[inline]
    pub(crate) fn read<'a>(&mut self, row: usize, value: &mut impl Value<'a>) -> Result<(), Odd> {
        self.push(row, value.integer()?);
        Ok(())
    }

    /// Takes in the integers of neighbouring rows.
    pub(crate) fn read_cells(&mut self, row: usize, cells: &CellColumn<'_>) -> Result<(), OddRow> {
        let Fixed { values, valid } = &mut self.0;
        values.resize(row, 0);
        let copied = cells.copy_integers(values);
        let good = copied.err().map_or(cells.len(), |OddRow(at)| at);
        valid.read_cells(row, &cells.first(good));
        copied
    }

    pub(crate) fn truncate(&mut self, rows: usize) {
        self.0.truncate(rows);
    }

    pub(crate) fn finish(&mut self, rows: usize) -> ArrayRef {
        let values = ScalarBuffer::from(self.0.finish(rows));
        Arc::new(Int64Array::new(values, self.0.valid.finish(rows)))
    }

    pub(crate) fn bytes(&self) -> usize {
        self.0.bytes()
    }
}

/// A column of booleans.
#[derive(Debug, Default)]
pub(crate) struct BooleanColumn {
    values: Bits,
    valid: Validity,
}

impl BooleanColumn {
    pub(crate) fn push(&mut self, row: usize, value: Option<bool>) {
        if let Some(value) = value {
            if value {
                self.values.set(row);
            }
            self.valid.set(row);
        }
    }

    pub(crate) fn read<'a>(&mut self, row: usize, value: &mut impl Value<'a>) -> Result<(), Odd> {
        self.push(row, value.boolean()?);
        Ok(())
    }

    pub(crate) fn truncate(&mut self, rows: usize) {
        self.values.truncate(rows);
        self.valid.truncate(rows);
    }

    pub(crate) fn finish(&mut self, rows: usize) -> ArrayRef {
        Arc::new(BooleanArray::new(self.values.finish(rows), self.valid.finish(rows)))
    }

    pub(crate) fn bytes(&self) -> usize {
        8 * self.values.0.len()
    }
}

/// A column of UTC instants. One that can't be read stays in `extra`.
#[derive(Debug, Default)]
pub(crate) struct TimestampColumn(Fixed<i64>);

impl TimestampColumn {
    pub(crate) fn push(
        &mut self,
        row: usize,
        name: &'static str,
        text: Option<&str>,
        extra: &mut ExtraColumn,
    ) {
        let Some(text) = text else { return };
        match instant::micros(text) {
            Some(micros) => self.0.set(row, micros),
            None => extra.put_text(name, text),
        }
    }

    #[inline]
    pub(crate) fn read<'a>(&mut self, row: usize, value: &mut impl Value<'a>) -> Result<(), Odd> {
        if let Some(text) = value.text()? {
            self.0.set(row, instant::micros(&text).ok_or(Odd)?);
        }
        Ok(())
    }

    pub(crate) fn truncate(&mut self, rows: usize) {
        self.0.truncate(rows);
    }

    pub(crate) fn finish(&mut self, rows: usize) -> ArrayRef {
        let values = ScalarBuffer::from(self.0.finish(rows));
        Arc::new(TimestampMicrosecondArray::new(values, self.0.valid.finish(rows)).with_timezone("UTC"))
    }

    pub(crate) fn bytes(&self) -> usize {
        self.0.bytes()
    }
}

/// A column of days. One that can't be read stays in `extra`.
#[derive(Debug, Default)]
pub(crate) struct DateColumn(Fixed<i32>);

impl DateColumn {
    pub(crate) fn push(
        &mut self,
        row: usize,
        name: &'static str,
        text: Option<&str>,
        extra: &mut ExtraColumn,
    ) {
        let Some(text) = text else { return };
        match instant::days(text) {
            Some(days) => self.0.set(row, days),
            None => extra.put_text(name, text),
        }
    }

    pub(crate) fn read<'a>(&mut self, row: usize, value: &mut impl Value<'a>) -> Result<(), Odd> {
        if let Some(text) = value.text()? {
            self.0.set(row, instant::days(&text).ok_or(Odd)?);
        }
        Ok(())
    }

    pub(crate) fn truncate(&mut self, rows: usize) {
        self.0.truncate(rows);
    }

    pub(crate) fn finish(&mut self, rows: usize) -> ArrayRef {
        let values = ScalarBuffer::from(self.0.finish(rows));
        Arc::new(Date32Array::new(values, self.0.valid.finish(rows)))
    }

    pub(crate) fn bytes(&self) -> usize {
        self.0.bytes()
    }
}
