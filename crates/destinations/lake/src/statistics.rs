//! The statistics in a footer: readers skip row groups by them, so they must be those of the rows. The checksum of a file doesn't
//! cover them, since it stands in the footer itself.

use std::fs::File;

use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, Int32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::{DataType, TimeUnit};
use backstory_destination::Error;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData, ParquetMetaDataReader};
use parquet::file::statistics::Statistics;

use crate::footer::DataFile;
use crate::problem::{unreadable, unreadable_rows};

/// A value as statistics order them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Value {
    Boolean(bool),
    Integer(i64),
    Text(Vec<u8>),
}

/// What the values of a column in a row group come to.
#[derive(Clone, Debug, Default)]
struct Extent {
    nulls: u64,
    range: Option<(Value, Value)>,
}

/// What the values of all columns in a row group come to, in the order of the columns.
#[derive(Debug, Default)]
pub(crate) struct Extents(Vec<Extent>);

impl Extents {
    /// Takes in rows.
    pub(crate) fn take(&mut self, batch: &RecordBatch) {
        let mut column = 0;
        batch.columns().iter().for_each(|array| self.take_column(array, 0, &mut column));
    }

    /// Takes in a column, or the columns inside of it. Each list that has no element counts as a null in every one of them.
    fn take_column(&mut self, array: &ArrayRef, empty_lists: u64, column: &mut usize) {
        match array.data_type() {
            DataType::Struct(_) => {
                let fields = array.as_struct().columns().iter();
                fields.for_each(|field| self.take_column(field, empty_lists, column));
            }
            DataType::List(_) => {
                let list = array.as_list::<i32>();
                let offsets = list.value_offsets();
                let (first, last) = (offsets[0] as usize, offsets[offsets.len() - 1] as usize);
                let empty = offsets.windows(2).filter(|ends| ends[0] == ends[1]).count() as u64;
                self.take_column(&list.values().slice(first, last - first), empty_lists + empty, column);
            }
            _ => {
                if self.0.len() <= *column {
                    self.0.resize_with(*column + 1, Extent::default);
                }
                self.0[*column].take(array, empty_lists);
                *column += 1;
            }
        }
    }
}

impl Extent {
    fn take(&mut self, array: &ArrayRef, empty_lists: u64) {
        self.nulls += array.null_count() as u64 + empty_lists;
        let Some((least, greatest)) = range_of(array) else { return };
        self.range = Some(match self.range.take() {
            Some((before, after)) => (before.min(least), after.max(greatest)),
            None => (least, greatest),
        });
    }
}

/// The least and the greatest value of an array.
fn range_of(array: &ArrayRef) -> Option<(Value, Value)> {
    fn ends<T: Ord + Copy>(
        values: impl Iterator<Item = T>,
        value: impl Fn(T) -> Value,
    ) -> Option<(Value, Value)> {
        let ends = values.fold(None, |ends: Option<(T, T)>, next| {
            Some(ends.map_or((next, next), |(least, greatest)| (least.min(next), greatest.max(next))))
        });
        ends.map(|(least, greatest)| (value(least), value(greatest)))
    }
    match array.data_type() {
        DataType::Boolean => ends(array.as_boolean().iter().flatten(), Value::Boolean),
        DataType::Int32 => {
            ends(array.as_primitive::<Int32Type>().iter().flatten(), |it| Value::Integer(it.into()))
        }
        DataType::Date32 => {
            ends(array.as_primitive::<Date32Type>().iter().flatten(), |it| Value::Integer(it.into()))
        }
        DataType::Int64 => ends(array.as_primitive::<Int64Type>().iter().flatten(), Value::Integer),
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            ends(array.as_primitive::<TimestampMicrosecondType>().iter().flatten(), Value::Integer)
        }
        DataType::Utf8 => ends(array.as_string::<i32>().iter().flatten(), |text| Value::Text(text.into())),
        _ => None,
    }
}

/// A footer with its statistics.
pub(crate) struct Footer(ParquetMetaData);

impl Footer {
    /// Reads a file's footer, now with its statistics.
    pub(crate) fn read(file: &DataFile) -> Result<Self, Error> {
        let open = File::open(&file.path).map_err(|error| unreadable(&file.path, error))?;
        let read = ParquetMetaDataReader::new().parse_and_finish(&open);
        read.map(Self).map_err(|error| unreadable_rows(&file.path, error))
    }

    /// The first column whose statistics aren't those of a row group's values.
    pub(crate) fn contradiction(&self, row_group: usize, extents: &Extents) -> Option<String> {
        let columns = self.0.row_group(row_group).columns();
        // No rows, no extents.
        let wrong = columns.iter().zip(&extents.0).find(|(column, extent)| !agrees(column, extent));
        wrong.map(|(column, _)| column.column_path().string())
    }
}

fn agrees(column: &ColumnChunkMetaData, extent: &Extent) -> bool {
    let Some(told) = column.statistics() else { return true };
    let (least, greatest) = match told {
        Statistics::Boolean(told) => {
            (told.min_opt().copied().map(Value::Boolean), told.max_opt().copied().map(Value::Boolean))
        }
        Statistics::Int32(told) => {
            let value = |value: &i32| Value::Integer((*value).into());
            (told.min_opt().map(value), told.max_opt().map(value))
        }
        Statistics::Int64(told) => {
            (told.min_opt().copied().map(Value::Integer), told.max_opt().copied().map(Value::Integer))
        }
        Statistics::ByteArray(told) => {
            let value = |value: &parquet::data_type::ByteArray| Value::Text(value.data().to_vec());
            (told.min_opt().map(value), told.max_opt().map(value))
        }
        _ => (None, None),
    };
    let (seen_least, seen_greatest) = extent.range.clone().unzip();
    // Bounds that were shortened are not exact.
    let is_least = least.is_none() || !told.min_is_exact() || least == seen_least;
    let is_greatest = greatest.is_none() || !told.max_is_exact() || greatest == seen_greatest;
    is_least && is_greatest && told.null_count_opt().is_none_or(|nulls| nulls == extent.nulls)
}
