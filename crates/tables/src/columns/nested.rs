//! Columns of lists and structs.

use std::sync::Arc;

use arrow_array::{ArrayRef, ListArray, StructArray};
use arrow_schema::DataType;
use backstory_formats::{Odd, Text, Value};

use super::{Offsets, RowColumns, StructColumns, TextColumn, Validity};
use crate::column::{self, Column};
use crate::extra_column::ExtraColumn;

/// A column of lists of texts.
#[derive(Debug, Default)]
pub(crate) struct TextsColumn {
    offsets: Offsets,
    items: TextColumn,
    /// How many items there are.
    len: usize,
    valid: Validity,
}

impl TextsColumn {
    pub(crate) fn push(&mut self, row: usize, texts: Option<&[Text<'_>]>) {
        let Some(texts) = texts else { return };
        self.offsets.fill(row, self.len);
        for text in texts {
            self.items.push(self.len, Some(text));
            self.len += 1;
        }
        self.end(row);
    }

    fn end(&mut self, row: usize) {
        self.offsets.push(self.len);
        self.valid.set(row);
    }

    pub(crate) fn read<'a>(&mut self, row: usize, value: &mut impl Value<'a>) -> Result<(), Odd> {
        self.offsets.fill(row, self.len);
        let (items, len) = (&mut self.items, &mut self.len);
        let is_list = value.list(|item| {
            items.read(*len, item)?;
            *len += 1;
            Ok(())
        })?;
        if is_list {
            self.end(row);
        }
        Ok(())
    }

    /// Takes a lone text for a list of one.
    pub(crate) fn read_loosely<'a>(&mut self, row: usize, value: &mut impl Value<'a>) -> Result<(), Odd> {
        if !value.is_text() {
            return self.read(row, value);
        }
        self.offsets.fill(row, self.len);
        self.items.read(self.len, value)?;
        self.len += 1;
        self.end(row);
        Ok(())
    }

    pub(crate) fn truncate(&mut self, rows: usize) {
        self.len = self.offsets.truncate(rows);
        self.items.truncate(self.len);
        self.valid.truncate(rows);
    }

    pub(crate) fn finish(&mut self, rows: usize) -> ArrayRef {
        let len = std::mem::take(&mut self.len);
        let (offsets, nulls) = (self.offsets.finish(rows, len), self.valid.finish(rows));
        Arc::new(ListArray::new(column::element(DataType::Utf8), offsets, self.items.finish(len), nulls))
    }

    pub(crate) fn bytes(&self) -> usize {
        self.items.bytes() + self.offsets.bytes()
    }
}

/// A column of lists of structs.
#[derive(Debug, Default)]
pub(crate) struct ListColumn<C> {
    offsets: Offsets,
    items: C,
    /// How many items there are.
    len: usize,
    valid: Validity,
}

impl<C: RowColumns> ListColumn<C> {
    pub(crate) fn push(&mut self, row: usize, records: Option<&[C::Of<'_>]>) {
        let Some(records) = records else { return };
        self.offsets.fill(row, self.len);
        for record in records {
            self.items.push(self.len, record);
            self.len += 1;
        }
        self.end(row);
    }

    fn end(&mut self, row: usize) {
        self.offsets.push(self.len);
        self.valid.set(row);
    }

    pub(crate) fn read<'a>(&mut self, row: usize, value: &mut impl Value<'a>) -> Result<(), Odd> {
        self.offsets.fill(row, self.len);
        let (items, len) = (&mut self.items, &mut self.len);
        let is_list = value.list(|item| {
            item.record(*len, items)?;
            *len += 1;
            Ok(())
        })?;
        if is_list {
            self.end(row);
        }
        Ok(())
    }

    pub(crate) fn truncate(&mut self, rows: usize) {
        self.len = self.offsets.truncate(rows);
        self.items.truncate(self.len);
        self.valid.truncate(rows);
    }

    pub(crate) fn finish(&mut self, rows: usize, columns: &[Column]) -> ArrayRef {
        let fields = column::element_fields(columns);
        let len = std::mem::take(&mut self.len);
        let items = StructArray::new(fields.clone(), self.items.finish(len), None);
        let (offsets, nulls) = (self.offsets.finish(rows, len), self.valid.finish(rows));
        Arc::new(ListArray::new(column::element(DataType::Struct(fields)), offsets, Arc::new(items), nulls))
    }

    pub(crate) fn bytes(&self) -> usize {
        self.items.bytes() + self.offsets.bytes()
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
        row: usize,
        name: &'static str,
        record: Option<&C::Of<'_>>,
        extra: &mut ExtraColumn,
    ) {
        let Some(record) = record else { return };
        extra.enter(name);
        self.fields.push(row, record, extra);
        extra.leave();
        self.valid.set(row);
    }

    pub(crate) fn read<'a>(&mut self, row: usize, value: &mut impl Value<'a>) -> Result<(), Odd> {
        if value.record(row, &mut self.fields)? {
            self.valid.set(row);
        }
        Ok(())
    }

    pub(crate) fn truncate(&mut self, rows: usize) {
        self.fields.truncate(rows);
        self.valid.truncate(rows);
    }

    pub(crate) fn finish(&mut self, rows: usize, columns: &[Column]) -> ArrayRef {
        let nulls = self.valid.finish(rows);
        let fields = column::fields(columns);
        Arc::new(StructArray::new(fields, self.fields.finish(rows), nulls))
    }

    pub(crate) fn bytes(&self) -> usize {
        self.fields.bytes()
    }
}
