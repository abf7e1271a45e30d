//! The relational shape: a nested batch of activities as three flat ones.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{
    Array, ArrayRef, Int64Array, ListArray, RecordBatch, StringArray, StructArray, make_array,
};
use arrow_buffer::{Buffer, NullBuffer, OffsetBuffer};
use arrow_schema::{DataType, Field, FieldRef, Schema};

use crate::error::{Error, ErrorKind};

/// A batch of activities as three flat batches.
///
/// Paths are joined by `_`: `stats.total_participants` becomes `stats_total_participants`. A participant and a campaign
/// have their activity's `_key`, `uid` and `_version`, and an `ordinal`, which counts from 1 within the activity; a key of
/// their own they don't have, since people may be known by phone only (contract (e.2)).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Relational {
    /// One row for each activity.
    pub activities: RecordBatch,
    /// One row for each participant of an activity.
    pub participants: RecordBatch,
    /// One row for each campaign of an activity.
    pub campaigns: RecordBatch,
}

impl Relational {
    /// The batches in the order of the tables.
    pub(crate) fn into_tables(self) -> Vec<RecordBatch> {
        vec![self.activities, self.participants, self.campaigns]
    }
}

/// Explodes a nested batch of activities.
///
/// # Errors
/// [`ErrorKind::Table`] when the batch hasn't the columns of [`schema`](crate::schema()).
pub fn explode(activities: &RecordBatch) -> Result<Relational, Error> {
    let mut flat = Columns::default();
    for (field, array) in activities.schema().fields().iter().zip(activities.columns()) {
        if !matches!(field.name().as_str(), "participants" | "campaigns") {
            flat.add(None, field, array, None);
        }
    }
    let child = |name: &str| -> Result<RecordBatch, Error> {
        let list = column(activities, name)?.as_list_opt::<i32>().ok_or_else(|| not_of_type(name))?;
        let items = list.values().as_struct_opt().ok_or_else(|| not_of_type(name))?;
        explode_list(activities, list, items)
    };
    let (participants, campaigns) = (child("participants")?, child("campaigns")?);
    Ok(Relational { activities: flat.into_batch()?, participants, campaigns })
}

fn explode_list(parent: &RecordBatch, list: &ListArray, items: &StructArray) -> Result<RecordBatch, Error> {
    let offsets = list.value_offsets();
    let (first, last) = (offsets[0], offsets[offsets.len() - 1]);
    let items = items.slice(first as usize, (last - first) as usize);
    let mut flat = Columns::default();
    let parent_text = |name: &str| -> Result<ArrayRef, Error> {
        let texts = column(parent, name)?.as_string_opt::<i32>().ok_or_else(|| not_of_type(name))?;
        Ok(Arc::new(repeat(texts, offsets)?))
    };
    flat.add_own("_key", false, parent_text("_key")?);
    flat.add_own("ordinal", false, Arc::new(ordinals(offsets)));
    flat.add_own("uid", true, parent_text("uid")?);
    for (field, array) in items.fields().iter().zip(items.columns()) {
        flat.add(None, field, array, None);
    }
    flat.add_own("_version", false, parent_text("_version")?);
    flat.into_batch()
}

fn column<'b>(batch: &'b RecordBatch, name: &str) -> Result<&'b ArrayRef, Error> {
    batch
        .column_by_name(name)
        .ok_or_else(|| Error::new(ErrorKind::Table, format!("the batch has no column `{name}`")))
}

fn not_of_type(name: &str) -> Error {
    Error::new(ErrorKind::Table, format!("column `{name}` isn't of the type that it has in `activities`"))
}

/// Flat columns under way.
#[derive(Default)]
struct Columns {
    fields: Vec<FieldRef>,
    arrays: Vec<ArrayRef>,
}

impl Columns {
    fn add_own(&mut self, name: &str, nullable: bool, array: ArrayRef) {
        self.fields.push(Arc::new(Field::new(name, array.data_type().clone(), nullable)));
        self.arrays.push(array);
    }

    /// Adds a column, or the columns of a struct, whose rows are null where the struct is.
    fn add(&mut self, path: Option<&str>, field: &FieldRef, array: &ArrayRef, outer: Option<&NullBuffer>) {
        let name = path.map_or_else(|| field.name().clone(), |path| format!("{path}_{}", field.name()));
        let nulls = NullBuffer::union(outer, array.nulls());
        if let (DataType::Struct(fields), Some(parent)) = (field.data_type(), array.as_struct_opt()) {
            for (field, array) in fields.iter().zip(parent.columns()) {
                self.add(Some(&name), field, array, nulls.as_ref());
            }
            return;
        }
        let array = if outer.is_none() { Arc::clone(array) } else { with_nulls(array, nulls) };
        let nullable = field.is_nullable() || path.is_some();
        self.fields.push(Arc::new(Field::new(name, field.data_type().clone(), nullable)));
        self.arrays.push(array);
    }

    fn into_batch(self) -> Result<RecordBatch, Error> {
        RecordBatch::try_new(Arc::new(Schema::new(self.fields)), self.arrays).map_err(|error| {
            Error::new(ErrorKind::Table, "the columns of the batch don't fit together").with_source(error)
        })
    }
}

fn with_nulls(array: &ArrayRef, nulls: Option<NullBuffer>) -> ArrayRef {
    let data = array.to_data().into_builder().nulls(nulls).build();
    // The nulls of a struct are as long as its columns, so this can't fail; if it did, the column itself is still right.
    data.map_or_else(|_| Arc::clone(array), make_array)
}

/// The most bytes of keys that the children of a batch may have. A key is short; one as long as a row, repeated for each
/// of many children, would use up all memory.
const MAX_KEY_BYTES: usize = 256 << 20;

/// Each text as often as its list has elements.
fn repeat(texts: &StringArray, offsets: &[i32]) -> Result<StringArray, Error> {
    let lengths = || offsets.windows(2).map(|pair| (pair[1] - pair[0]) as usize);
    let bytes = lengths()
        .enumerate()
        .fold(0_usize, |bytes, (row, len)| bytes.saturating_add(texts.value(row).len().saturating_mul(len)));
    if bytes > MAX_KEY_BYTES {
        let message = format!(
            "the keys of the batch, repeated for each child, take {bytes} bytes; there is a key that is none"
        );
        return Err(Error::new(ErrorKind::Table, message));
    }
    let mut values = Vec::new();
    let mut sizes = Vec::with_capacity((offsets[offsets.len() - 1] - offsets[0]) as usize);
    let mut valid = Vec::new();
    for (row, len) in lengths().enumerate() {
        let text = if texts.is_valid(row) { texts.value(row) } else { "" };
        for _ in 0..len {
            values.extend_from_slice(text.as_bytes());
            sizes.push(text.len());
            if texts.null_count() > 0 {
                valid.push(texts.is_valid(row));
            }
        }
    }
    let nulls = (!valid.is_empty()).then(|| NullBuffer::from(valid));
    Ok(StringArray::new(OffsetBuffer::from_lengths(sizes), Buffer::from_vec(values), nulls))
}

fn ordinals(offsets: &[i32]) -> Int64Array {
    offsets.windows(2).flat_map(|pair| 1..=i64::from(pair[1] - pair[0])).collect()
}
