//! CSV: the relational tables as files, RFC 4180 with LF.
//!
//! An absent value is an empty cell, an instant is ISO 8601 in UTC with `Z`, a list of texts is JSON text.

use std::fmt;
use std::io::Write;

use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{
    Array, ArrayRef, BooleanArray, Date32Array, Int64Array, ListArray, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use arrow_schema::{DataType, SchemaRef, TimeUnit};

use crate::error::{Error, ErrorKind};
use crate::extra_column::write_json_text;
use crate::instant;
use crate::relational::explode;
use crate::resource::Resource;
use crate::schema::schema;

/// The CSV files that one resource becomes.
pub struct CsvTables<'w> {
    resource: Resource,
    /// In the order `activities`, `participants`, `campaigns`, or `contacts` alone.
    tables: Vec<Table<'w>>,
}

impl<'w> CsvTables<'w> {
    /// Activities: a file for each of the tables `activities`, `participants` and `campaigns`.
    pub fn activities(
        activities: impl Write + Send + 'w,
        participants: impl Write + Send + 'w,
        campaigns: impl Write + Send + 'w,
    ) -> Self {
        let tables = vec![
            Table::new("activities", activities),
            Table::new("participants", participants),
            Table::new("campaigns", campaigns),
        ];
        Self { resource: Resource::Activities, tables }
    }

    /// Contacts: one file.
    pub fn contacts(contacts: impl Write + Send + 'w) -> Self {
        Self { resource: Resource::Contacts, tables: vec![Table::new("contacts", contacts)] }
    }

    /// What the files are of.
    pub fn resource(&self) -> Resource {
        self.resource
    }

    /// Writes the rows of a nested batch.
    ///
    /// # Errors
    /// [`ErrorKind::Write`], and [`ErrorKind::Table`] when the batch is of another table.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<(), Error> {
        let batches = match self.resource {
            Resource::Activities => explode(batch)?.into_tables(),
            Resource::Contacts => vec![batch.clone()],
        };
        self.tables.iter_mut().zip(&batches).try_for_each(|(table, batch)| table.write(batch))
    }

    /// Writes what is still in memory, and the headers of files without rows.
    ///
    /// # Errors
    /// [`ErrorKind::Write`].
    pub fn finish(mut self) -> Result<(), Error> {
        self.write(&RecordBatch::new_empty(schema(self.resource)))?;
        self.tables.into_iter().try_for_each(Table::finish)
    }
}

impl fmt::Debug for CsvTables<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CsvTables").field("resource", &self.resource).finish_non_exhaustive()
    }
}

/// One file.
struct Table<'w> {
    name: &'static str,
    writer: csv::Writer<Box<dyn Write + Send + 'w>>,
    has_header: bool,
    cell: Vec<u8>,
}

impl<'w> Table<'w> {
    fn new(name: &'static str, writer: impl Write + Send + 'w) -> Self {
        let writer =
            csv::WriterBuilder::new().buffer_capacity(1 << 16).from_writer(Box::new(writer) as Box<_>);
        Self { name, writer, has_header: false, cell: Vec::new() }
    }

    fn write(&mut self, batch: &RecordBatch) -> Result<(), Error> {
        if !std::mem::replace(&mut self.has_header, true) {
            self.write_header(&batch.schema())?;
        }
        let cells = batch
            .schema()
            .fields()
            .iter()
            .zip(batch.columns())
            .map(|(field, array)| Cells::of(field.name(), array))
            .collect::<Result<Vec<_>, _>>()?;
        for row in 0..batch.num_rows() {
            for column in &cells {
                self.cell.clear();
                let cell = column.write(row, &mut self.cell);
                self.writer.write_field(cell).map_err(|error| failed(self.name, error))?;
            }
            self.end_row()?;
        }
        Ok(())
    }

    fn write_header(&mut self, schema: &SchemaRef) -> Result<(), Error> {
        for field in schema.fields() {
            self.writer.write_field(field.name()).map_err(|error| failed(self.name, error))?;
        }
        self.end_row()
    }

    fn end_row(&mut self) -> Result<(), Error> {
        self.writer.write_record(None::<&[u8]>).map_err(|error| failed(self.name, error))
    }

    fn finish(self) -> Result<(), Error> {
        let written = self.writer.into_inner();
        let mut writer =
            written.map_err(|error| Error::write(&format!("{}.csv", self.name), error.into_error()))?;
        writer.flush().map_err(|error| Error::write(&format!("{}.csv", self.name), error))
    }
}

fn failed(table: &str, error: csv::Error) -> Error {
    // It has no source, so that nobody would learn that the disk is full.
    match error.into_kind() {
        csv::ErrorKind::Io(error) => Error::write(&format!("{table}.csv"), error),
        kind => Error::write(&format!("{table}.csv"), format!("{kind:?}")),
    }
}

/// A column by its type.
enum Cells<'a> {
    Text(&'a StringArray),
    Integer(&'a Int64Array),
    Boolean(&'a BooleanArray),
    Timestamp(&'a TimestampMicrosecondArray),
    Date(&'a Date32Array),
    Texts(&'a ListArray, &'a StringArray),
}

impl<'a> Cells<'a> {
    fn of(name: &str, array: &'a ArrayRef) -> Result<Self, Error> {
        Ok(match array.data_type() {
            DataType::Utf8 => Self::Text(array.as_string()),
            DataType::Int64 => Self::Integer(array.as_primitive::<Int64Type>()),
            DataType::Boolean => Self::Boolean(array.as_boolean()),
            DataType::Timestamp(TimeUnit::Microsecond, _) => {
                Self::Timestamp(array.as_primitive::<TimestampMicrosecondType>())
            }
            DataType::Date32 => Self::Date(array.as_primitive::<Date32Type>()),
            DataType::List(element) if *element.data_type() == DataType::Utf8 => {
                let list = array.as_list::<i32>();
                Self::Texts(list, list.values().as_string())
            }
            other => {
                let message = format!("column `{name}` is of type {other}, which has no CSV form");
                return Err(Error::new(ErrorKind::Table, message));
            }
        })
    }

    /// A row's cell: borrowed from the column, or written to `cell`.
    fn write<'c>(&'c self, row: usize, cell: &'c mut Vec<u8>) -> &'c [u8] {
        match self {
            Self::Text(array) if array.is_valid(row) => return array.value(row).as_bytes(),
            Self::Integer(array) if array.is_valid(row) => put(cell, format_args!("{}", array.value(row))),
            Self::Boolean(array) if array.is_valid(row) => put(cell, format_args!("{}", array.value(row))),
            Self::Timestamp(array) if array.is_valid(row) => {
                if let Ok(instant) = jiff::Timestamp::from_microsecond(array.value(row)) {
                    put(cell, format_args!("{instant}"));
                }
            }
            Self::Date(array) if array.is_valid(row) => {
                if let Some(day) = instant::date_of(array.value(row)) {
                    put(cell, format_args!("{day}"));
                }
            }
            Self::Texts(list, texts) if list.is_valid(row) => {
                cell.push(b'[');
                let offsets = list.value_offsets();
                for item in offsets[row] as usize..offsets[row + 1] as usize {
                    if cell.len() > 1 {
                        cell.push(b',');
                    }
                    write_json_text(cell, texts.value(item));
                }
                cell.push(b']');
            }
            _ => {}
        }
        cell
    }
}

fn put(cell: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    // Writing to memory can't fail.
    let _ = cell.write_fmt(text);
}
