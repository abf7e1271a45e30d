//! The builders of columns: flat buffers that values are appended to, and that become Arrow arrays without a copy.
//!
//! Which columns there are is generated; this is what each kind of column does. Every column counts its rows by itself:
//! a value comes with the number of its row, and the rows between the last value and this one are null. So a field that
//! a record doesn't have costs nothing, and half of all fields aren't there. A row that turned out to be odd is taken back by
//! cutting all columns to the rows before it.

mod nested;
mod scalar;
mod text;

use arrow_array::ArrayRef;
use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use backstory_formats::{CellColumn, Columns};

pub(crate) use self::nested::{ListColumn, StructColumn, TextsColumn};
pub(crate) use self::scalar::{BooleanColumn, DateColumn, IntegerColumn, TimestampColumn};
pub(crate) use self::text::TextColumn;
use crate::extra_column::ExtraColumn;

/// The columns of a row: of a table, or of a struct in a list. They end with an `extra`.
pub(crate) trait RowColumns: Columns + Default {
    type Of<'r>;

    fn push(&mut self, row: usize, record: &Self::Of<'_>);
    /// Takes back the rows from this one on.
    fn truncate(&mut self, rows: usize);
    /// The arrays, in the order of the schema. The builder is empty afterwards.
    fn finish(&mut self, rows: usize) -> Vec<ArrayRef>;
    /// How many bytes of values the builder holds.
    fn bytes(&self) -> usize;
}

/// The columns of a struct that stands inside a row. What they don't know goes to the row's `extra`.
pub(crate) trait StructColumns: Columns + Default {
    type Of<'r>;

    fn push(&mut self, row: usize, record: &Self::Of<'_>, extra: &mut ExtraColumn);
    fn truncate(&mut self, rows: usize);
    fn finish(&mut self, rows: usize) -> Vec<ArrayRef>;
    fn bytes(&self) -> usize;
}

/// A bit for each row; those behind the last that was set are zero.
#[derive(Debug, Default)]
struct Bits(Vec<u64>);

impl Bits {
    #[inline]
    fn set(&mut self, row: usize) {
        let word = row / 64;
        if word >= self.0.len() {
            self.0.resize(word + 1, 0);
        }
        self.0[word] |= 1 << (row % 64);
    }

    fn truncate(&mut self, rows: usize) {
        self.0.truncate(rows.div_ceil(64));
        if let Some(last) = self.0.get_mut(rows / 64) {
            *last &= (1 << (rows % 64)) - 1;
        }
    }

    fn finish(&mut self, rows: usize) -> BooleanBuffer {
        let mut words = std::mem::replace(&mut self.0, Vec::with_capacity(rows.div_ceil(64)));
        words.resize(rows.div_ceil(64), 0);
        // Arrow's bits are in the order of memory, so in words of the lowest byte first.
        words.iter_mut().for_each(|word| *word = word.to_le());
        BooleanBuffer::new(Buffer::from_vec(words), 0, rows)
    }
}

/// Which values are not null.
#[derive(Debug, Default)]
struct Validity {
    bits: Bits,
    /// How many they are.
    valid: usize,
}

impl Validity {
    #[inline]
    fn set(&mut self, row: usize) {
        self.bits.set(row);
        self.valid += 1;
    }

    /// Takes in the cells that aren't empty, from the row `row` on.
    fn read_cells(&mut self, row: usize, cells: &CellColumn<'_>) {
        if !cells.are_all_present() {
            return self.extend(row, cells.lens().map(|len| len > 0));
        }
        let end = row + cells.len();
        if end.div_ceil(64) > self.bits.0.len() {
            self.bits.0.resize(end.div_ceil(64), 0);
        }
        self.valid += cells.len();
        let mut row = row;
        while row < end {
            let next = (row / 64 + 1) * 64;
            let unused = next.saturating_sub(end);
            self.bits.0[row / 64] |= u64::MAX << (row % 64) & u64::MAX >> unused;
            row = next;
        }
    }

    /// Says which of the values from `row` on are valid.
    fn extend(&mut self, row: usize, valid: impl ExactSizeIterator<Item = bool>) {
        let end = row + valid.len();
        if end.div_ceil(64) > self.bits.0.len() {
            self.bits.0.resize(end.div_ceil(64), 0);
        }
        let mut row = row;
        let mut valid = valid;
        while row < end {
            // A word at a time.
            let mut word = 0;
            let first = row % 64;
            for (bit, is_valid) in (first..64).zip(&mut valid) {
                word |= u64::from(is_valid) << bit;
            }
            self.bits.0[row / 64] |= word;
            self.valid += word.count_ones() as usize;
            row += 64 - first;
        }
    }

    fn truncate(&mut self, rows: usize) {
        self.bits.truncate(rows);
        self.valid = self.bits.0.iter().map(|word| word.count_ones() as usize).sum();
    }

    fn finish(&mut self, rows: usize) -> Option<NullBuffer> {
        let all_valid = std::mem::take(&mut self.valid) == rows;
        let bits = self.bits.finish(rows);
        (!all_valid).then(|| NullBuffer::new(bits))
    }
}

/// The ends of texts or lists, from which Arrow's offsets are made.
#[derive(Debug)]
struct Offsets(Vec<i32>);

impl Default for Offsets {
    fn default() -> Self {
        Self(vec![0])
    }
}

impl Offsets {
    /// Makes the rows before this one empty that nothing has been said of; what there is ends at `end`.
    #[inline]
    fn fill(&mut self, row: usize, end: usize) {
        if self.0.len() <= row {
            self.0.resize(row + 1, offset(end));
        }
    }

    #[inline]
    fn push(&mut self, end: usize) {
        self.0.push(offset(end));
    }

    /// Says how long the next ones are. Returns where the last one ends.
    fn extend(&mut self, mut end: usize, lens: impl Iterator<Item = usize>) {
        self.0.extend(lens.map(|len| {
            end += len;
            offset(end)
        }));
    }

    /// Takes back the rows from this one on. Returns where what is left ends.
    fn truncate(&mut self, rows: usize) -> usize {
        self.0.truncate(rows + 1);
        self.0.last().map_or(0, |&end| end as usize)
    }

    fn finish(&mut self, rows: usize, end: usize) -> OffsetBuffer<i32> {
        self.fill(rows, end);
        let offsets = emptied(&mut self.0);
        self.0.push(0);
        OffsetBuffer::new(ScalarBuffer::from(offsets))
    }

    fn bytes(&self) -> usize {
        4 * self.0.len()
    }
}

fn offset(end: usize) -> i32 {
    // Batches are cut long before 2 GiB, and so are rows.
    i32::try_from(end).unwrap_or(i32::MAX)
}

/// An empty buffer with room for as much as the last one took, and some more.
fn emptied<T>(buffer: &mut Vec<T>) -> Vec<T> {
    let room = buffer.len() + buffer.len() / 8;
    std::mem::replace(buffer, Vec::with_capacity(room))
}
