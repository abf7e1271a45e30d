//! The builders of columns: flat buffers that values are appended to, and that become Arrow arrays without a copy.
//!
//! Which columns there are is generated; this is what each kind of column does.

use std::sync::Arc;

use arrow_array::builder::BooleanBufferBuilder;
use arrow_array::{
    ArrayRef, BooleanArray, Date32Array, Int64Array, ListArray, StringArray, StructArray,
    TimestampMicrosecondArray,
};
use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::DataType;
use backstory_formats::Text;

use crate::column::{self, Column};
use crate::extra_column::ExtraColumn;
use crate::instant;

/// How many rows a builder makes room for at first; it grows where that is too few.
const ROWS: usize = 1024;

/// The columns of a row: of a table, or of a struct in a list. They end with an `extra`.
pub(crate) trait RowColumns: Default {
    type Record<'r>;

    fn push(&mut self, record: &Self::Record<'_>);
    /// The arrays, in the order of the schema. The builder is empty afterwards.
    fn finish(&mut self) -> Vec<ArrayRef>;
    /// How many bytes of values the builder holds.
    fn bytes(&self) -> usize;
}

/// The columns of a struct that stands inside a row. What they don't know goes to the row's `extra`.
pub(crate) trait StructColumns: Default {
    type Record<'r>;

    fn push(&mut self, record: &Self::Record<'_>, extra: &mut ExtraColumn);
    fn push_null(&mut self);
    fn finish(&mut self) -> Vec<ArrayRef>;
    fn bytes(&self) -> usize;
}

/// Which values are not null: one bit each.
#[derive(Debug, Default)]
pub(crate) struct Validity {
    words: Vec<u64>,
    /// The bits that don't fill a word yet.
    word: u64,
    len: usize,
    nulls: usize,
}

impl Validity {
    #[inline]
    fn push(&mut self, valid: bool) {
        self.word |= u64::from(valid) << (self.len % 64);
        self.nulls += usize::from(!valid);
        self.len += 1;
        if self.len.is_multiple_of(64) {
            self.words.push(self.word);
            self.word = 0;
        }
    }

    fn finish(&mut self) -> Option<NullBuffer> {
        let Self { mut words, word, len, nulls } = std::mem::take(self);
        self.words = Vec::with_capacity(words.len() + 1);
        if nulls == 0 {
            return None;
        }
        // Arrow's bits are in the order of memory, so in words of the lowest byte first.
        words.push(word);
        let bytes: Buffer = words.into_iter().map(u64::to_le).collect::<Vec<_>>().into();
        Some(NullBuffer::new(BooleanBuffer::new(bytes, 0, len)))
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
    fn push(&mut self, end: usize) {
        // Batches are cut long before 2 GiB, and so are rows.
        self.0.push(i32::try_from(end).unwrap_or(i32::MAX));
    }

    fn finish(&mut self) -> OffsetBuffer<i32> {
        let offsets = emptied(&mut self.0);
        self.0.push(0);
        OffsetBuffer::new(ScalarBuffer::from(offsets))
    }
}

/// Appends bytes, of which there are nearly always few: fixed-size copies, which need no call of `memmove`. Worth 5 % of a
/// conversion.
#[inline]
fn extend_short(values: &mut Vec<u8>, bytes: &[u8]) {
    let start = values.len();
    let len = bytes.len();
    if let (Some(first), Some(last)) = (bytes.first_chunk::<16>(), bytes.last_chunk::<16>())
        && len <= 32
    {
        values.extend_from_slice(first);
        values.truncate(start + len - 16);
        values.extend_from_slice(last);
    } else if let (Some(first), Some(last)) = (bytes.first_chunk::<8>(), bytes.last_chunk::<8>())
        && len < 16
    {
        values.extend_from_slice(first);
        values.truncate(start + len - 8);
        values.extend_from_slice(last);
    } else {
        values.extend_from_slice(bytes);
    }
}

/// An empty buffer with room for as much as the last one took, and some more.
fn emptied<T>(buffer: &mut Vec<T>) -> Vec<T> {
    let room = buffer.len() + buffer.len() / 8;
    std::mem::replace(buffer, Vec::with_capacity(room))
}

/// A column of texts.
#[derive(Debug, Default)]
pub(crate) struct TextColumn {
    offsets: Offsets,
    pub(crate) values: Vec<u8>,
    valid: Validity,
}

impl TextColumn {
    pub(crate) fn push(&mut self, value: Option<&str>) {
        match value {
            Some(value) => {
                extend_short(&mut self.values, value.as_bytes());
                self.close(true);
            }
            None => self.push_null(),
        }
    }

    pub(crate) fn push_null(&mut self) {
        self.close(false);
    }

    /// Ends the value whose bytes have been appended to `values`.
    pub(crate) fn close(&mut self, valid: bool) {
        self.offsets.push(self.values.len());
        self.valid.push(valid);
    }

    pub(crate) fn finish(&mut self) -> ArrayRef {
        let values = Buffer::from_vec(emptied(&mut self.values));
        let (offsets, nulls) = (self.offsets.finish(), self.valid.finish());
        Arc::new(StringArray::new(offsets, values, nulls))
    }

    pub(crate) fn bytes(&self) -> usize {
        self.values.len() + 4 * self.offsets.0.len()
    }
}

/// A column of integers.
#[derive(Debug, Default)]
pub(crate) struct IntegerColumn {
    values: Vec<i64>,
    valid: Validity,
}

impl IntegerColumn {
    pub(crate) fn push(&mut self, value: Option<i64>) {
        self.values.push(value.unwrap_or_default());
        self.valid.push(value.is_some());
    }

    pub(crate) fn push_null(&mut self) {
        self.push(None);
    }

    pub(crate) fn finish(&mut self) -> ArrayRef {
        Arc::new(Int64Array::new(emptied(&mut self.values).into(), self.valid.finish()))
    }

    pub(crate) fn bytes(&self) -> usize {
        8 * self.values.len()
    }
}

/// A column of booleans.
#[derive(Debug)]
pub(crate) struct BooleanColumn {
    values: BooleanBufferBuilder,
    valid: Validity,
}

impl Default for BooleanColumn {
    fn default() -> Self {
        Self { values: BooleanBufferBuilder::new(ROWS), valid: Validity::default() }
    }
}

impl BooleanColumn {
    pub(crate) fn push(&mut self, value: Option<bool>) {
        self.values.append(value.unwrap_or_default());
        self.valid.push(value.is_some());
    }

    pub(crate) fn push_null(&mut self) {
        self.push(None);
    }

    pub(crate) fn finish(&mut self) -> ArrayRef {
        Arc::new(BooleanArray::new(self.values.finish(), self.valid.finish()))
    }

    pub(crate) fn bytes(&self) -> usize {
        self.values.len() / 8
    }
}

/// A column of UTC instants. One that can't be read stays in `extra`.
#[derive(Debug, Default)]
pub(crate) struct TimestampColumn {
    values: Vec<i64>,
    valid: Validity,
}

impl TimestampColumn {
    pub(crate) fn push(&mut self, name: &'static str, text: Option<&str>, extra: &mut ExtraColumn) {
        let micros = text.and_then(instant::micros);
        if let (Some(text), None) = (text, micros) {
            extra.put_text(name, text);
        }
        self.values.push(micros.unwrap_or_default());
        self.valid.push(micros.is_some());
    }

    pub(crate) fn push_null(&mut self) {
        self.values.push(0);
        self.valid.push(false);
    }

    pub(crate) fn finish(&mut self) -> ArrayRef {
        let values = emptied(&mut self.values).into();
        Arc::new(TimestampMicrosecondArray::new(values, self.valid.finish()).with_timezone("UTC"))
    }

    pub(crate) fn bytes(&self) -> usize {
        8 * self.values.len()
    }
}

/// A column of days. One that can't be read stays in `extra`.
#[derive(Debug, Default)]
pub(crate) struct DateColumn {
    values: Vec<i32>,
    valid: Validity,
}

impl DateColumn {
    pub(crate) fn push(&mut self, name: &'static str, text: Option<&str>, extra: &mut ExtraColumn) {
        let days = text.and_then(instant::days);
        if let (Some(text), None) = (text, days) {
            extra.put_text(name, text);
        }
        self.values.push(days.unwrap_or_default());
        self.valid.push(days.is_some());
    }

    pub(crate) fn finish(&mut self) -> ArrayRef {
        Arc::new(Date32Array::new(emptied(&mut self.values).into(), self.valid.finish()))
    }

    pub(crate) fn bytes(&self) -> usize {
        4 * self.values.len()
    }
}

/// A column of lists of texts.
#[derive(Debug, Default)]
pub(crate) struct TextsColumn {
    offsets: Offsets,
    items: TextColumn,
    valid: Validity,
}

impl TextsColumn {
    pub(crate) fn push(&mut self, texts: Option<&[Text<'_>]>) {
        for text in texts.unwrap_or_default() {
            self.items.push(Some(text));
        }
        self.offsets.push(self.items.offsets.0.len() - 1);
        self.valid.push(texts.is_some());
    }

    pub(crate) fn finish(&mut self) -> ArrayRef {
        let (offsets, nulls) = (self.offsets.finish(), self.valid.finish());
        Arc::new(ListArray::new(column::element(DataType::Utf8), offsets, self.items.finish(), nulls))
    }

    pub(crate) fn bytes(&self) -> usize {
        self.items.bytes() + 4 * self.offsets.0.len()
    }
}

/// A column of lists of structs.
#[derive(Debug, Default)]
pub(crate) struct ListColumn<C> {
    offsets: Offsets,
    items: C,
    len: usize,
    valid: Validity,
}

impl<C: RowColumns> ListColumn<C> {
    pub(crate) fn push(&mut self, records: Option<&[C::Record<'_>]>) {
        for record in records.unwrap_or_default() {
            self.items.push(record);
            self.len += 1;
        }
        self.offsets.push(self.len);
        self.valid.push(records.is_some());
    }

    pub(crate) fn finish(&mut self, columns: &[Column]) -> ArrayRef {
        let fields = column::element_fields(columns);
        self.len = 0;
        let items = StructArray::new(fields.clone(), self.items.finish(), None);
        let (offsets, nulls) = (self.offsets.finish(), self.valid.finish());
        Arc::new(ListArray::new(column::element(DataType::Struct(fields)), offsets, Arc::new(items), nulls))
    }

    pub(crate) fn bytes(&self) -> usize {
        self.items.bytes() + 4 * self.offsets.0.len()
    }
}

/// A column of structs.
#[derive(Debug, Default)]
pub(crate) struct StructColumn<C> {
    fields: C,
    valid: Validity,
}

impl<C: StructColumns> StructColumn<C> {
    pub(crate) fn push(
        &mut self,
        name: &'static str,
        record: Option<&C::Record<'_>>,
        extra: &mut ExtraColumn,
    ) {
        match record {
            Some(record) => {
                extra.enter(name);
                self.fields.push(record, extra);
                extra.leave();
            }
            None => self.fields.push_null(),
        }
        self.valid.push(record.is_some());
    }

    pub(crate) fn push_null(&mut self) {
        self.fields.push_null();
        self.valid.push(false);
    }

    pub(crate) fn finish(&mut self, columns: &[Column]) -> ArrayRef {
        let nulls = self.valid.finish();
        Arc::new(StructArray::new(column::fields(columns), self.fields.finish(), nulls))
    }

    pub(crate) fn bytes(&self) -> usize {
        self.fields.bytes()
    }
}
