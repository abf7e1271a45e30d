//! A record's canonical JSON: the same text for the same record, whatever it was delivered as and wherever it is stored.
//!
//! Names are sorted by their bytes, `extra` is merged back in where its values came from, and the project's own columns
//! are left out. So is everything that says nothing: null, an empty list, an empty object, and what is left empty by
//! that. An instant is UTC with six decimals and `Z`, a day is `yyyy-MM-dd`, an integer its digits; any other number
//! stays as delivered. Texts have the fewest escapes.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{
    Array, ArrayRef, BooleanArray, Date32Array, Int64Array, ListArray, StringArray, StructArray,
    TimestampMicrosecondArray,
};
use arrow_schema::{DataType, Fields, TimeUnit};

use crate::error::{Error, ErrorKind};
use crate::extra_column::write_json_text;
use crate::extra_json::{Json, parse_object};
use crate::instant;

/// Writes rows of some columns as canonical JSON.
pub(crate) struct Canonical<'a> {
    fields: Vec<(&'a str, Node<'a>)>,
    extra: Option<&'a StringArray>,
}

/// A column by its type.
enum Node<'a> {
    Text(&'a StringArray),
    Integer(&'a Int64Array),
    Boolean(&'a BooleanArray),
    Timestamp(&'a TimestampMicrosecondArray),
    Date(&'a Date32Array),
    Texts(&'a ListArray, &'a StringArray),
    Struct(&'a StructArray, Canonical<'a>),
    Structs(&'a ListArray, Canonical<'a>),
}

impl<'a> Canonical<'a> {
    /// # Errors
    /// [`ErrorKind::Table`] for a column of a type that no table of this crate has.
    pub(crate) fn of(fields: &'a Fields, arrays: &'a [ArrayRef]) -> Result<Self, Error> {
        let mut extra = None;
        let mut nodes = Vec::new();
        for (field, array) in fields.iter().zip(arrays) {
            match field.name().as_str() {
                "extra" => extra = array.as_string_opt::<i32>(),
                name if name.starts_with('_') => {}
                name => nodes.push((name, Node::of(name, array)?)),
            }
        }
        nodes.sort_unstable_by_key(|(name, _)| *name);
        Ok(Self { fields: nodes, extra })
    }

    /// Appends a row's JSON. Returns whether there is anything in it; nothing is appended otherwise.
    pub(crate) fn write(&self, row: usize, json: &mut Vec<u8>) -> bool {
        let unknown =
            self.extra.filter(|extra| extra.is_valid(row)).map(|extra| parse_object(extra.value(row)));
        self.write_merged(row, unknown.as_ref(), json)
    }

    /// Appends a row's JSON with what isn't in its columns.
    fn write_merged(&self, row: usize, unknown: Option<&BTreeMap<String, Json>>, json: &mut Vec<u8>) -> bool {
        let mut object = ObjectWriter::begin(json);
        let mut unknown = unknown.into_iter().flatten().peekable();
        for (name, node) in &self.fields {
            while let Some((key, value)) = unknown.next_if(|(key, _)| key.as_str() < *name) {
                object.entry(key, |json| value.write(json));
            }
            let also = unknown.next_if(|(key, _)| key.as_str() == *name).map(|(_, value)| value);
            object.entry(name, |json| node.write(row, also, json));
        }
        for (key, value) in unknown {
            object.entry(key, |json| value.write(json));
        }
        object.end()
    }
}

impl<'a> Node<'a> {
    fn of(name: &str, array: &'a ArrayRef) -> Result<Self, Error> {
        let node = match array.data_type() {
            DataType::Utf8 => Self::Text(array.as_string()),
            DataType::Int64 => Self::Integer(array.as_primitive::<Int64Type>()),
            DataType::Boolean => Self::Boolean(array.as_boolean()),
            DataType::Timestamp(TimeUnit::Microsecond, _) => {
                Self::Timestamp(array.as_primitive::<TimestampMicrosecondType>())
            }
            DataType::Date32 => Self::Date(array.as_primitive::<Date32Type>()),
            DataType::Struct(fields) => {
                let array = array.as_struct();
                Self::Struct(array, Canonical::of(fields, array.columns())?)
            }
            DataType::List(element) => {
                let list = array.as_list::<i32>();
                match element.data_type() {
                    DataType::Utf8 => Self::Texts(list, list.values().as_string()),
                    DataType::Struct(fields) => {
                        Self::Structs(list, Canonical::of(fields, list.values().as_struct().columns())?)
                    }
                    other => return Err(unknown_type(name, other)),
                }
            }
            other => return Err(unknown_type(name, other)),
        };
        Ok(node)
    }

    /// Appends a value, or what `extra` holds in its place. Returns whether there is any.
    fn write(&self, row: usize, unknown: Option<&Json>, json: &mut Vec<u8>) -> bool {
        let is_null = match self {
            Self::Text(array) => array.is_null(row),
            Self::Integer(array) => array.is_null(row),
            Self::Boolean(array) => array.is_null(row),
            Self::Timestamp(array) => array.is_null(row),
            Self::Date(array) => array.is_null(row),
            Self::Texts(array, _) | Self::Structs(array, _) => array.is_null(row),
            Self::Struct(array, _) => array.is_null(row),
        };
        if is_null {
            return unknown.is_some_and(|value| value.write(json));
        }
        match self {
            Self::Text(array) => write_json_text(json, array.value(row)),
            Self::Integer(array) => append(json, format_args!("{}", array.value(row))),
            Self::Boolean(array) => append(json, format_args!("{}", array.value(row))),
            Self::Timestamp(array) => write_instant(json, array.value(row)),
            Self::Date(array) => write_day(json, array.value(row)),
            Self::Texts(list, texts) => {
                let mut list_writer = ListWriter::begin(json);
                for item in items(list, row) {
                    list_writer.item(|json| {
                        write_json_text(json, texts.value(item));
                        true
                    });
                }
                return list_writer.end();
            }
            Self::Struct(_, fields) => {
                let unknown = match unknown {
                    Some(Json::Object(entries)) => Some(entries),
                    _ => None,
                };
                return fields.write_merged(row, unknown, json);
            }
            Self::Structs(list, fields) => {
                let mut list_writer = ListWriter::begin(json);
                for item in items(list, row) {
                    list_writer.item(|json| fields.write(item, json));
                }
                return list_writer.end();
            }
        }
        true
    }
}

fn unknown_type(name: &str, found: &DataType) -> Error {
    Error::new(
        ErrorKind::Table,
        format!("column `{name}` is of type {found}, which no table of an export has"),
    )
}

fn items(list: &ListArray, row: usize) -> std::ops::Range<usize> {
    let offsets = list.value_offsets();
    offsets[row] as usize..offsets[row + 1] as usize
}

fn append(json: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    struct Bytes<'v>(&'v mut Vec<u8>);
    impl std::fmt::Write for Bytes<'_> {
        fn write_str(&mut self, text: &str) -> std::fmt::Result {
            self.0.extend_from_slice(text.as_bytes());
            Ok(())
        }
    }
    // Writing to memory can't fail.
    let _ = Bytes(json).write_fmt(text);
}

fn write_instant(json: &mut Vec<u8>, micros: i64) {
    json.push(b'"');
    match jiff::Timestamp::from_microsecond(micros) {
        Ok(instant) => append(json, format_args!("{instant:.6}")),
        // An instant beyond year 9999 can't have come from a text that was read.
        Err(_) => append(json, format_args!("{micros}")),
    }
    json.push(b'"');
}

fn write_day(json: &mut Vec<u8>, days: i32) {
    json.push(b'"');
    match instant::date_of(days) {
        Some(day) => append(json, format_args!("{day}")),
        None => append(json, format_args!("{days}")),
    }
    json.push(b'"');
}

/// Writes an object whose empty values are left out.
pub(crate) struct ObjectWriter<'j> {
    json: &'j mut Vec<u8>,
    start: usize,
}

impl<'j> ObjectWriter<'j> {
    pub(crate) fn begin(json: &'j mut Vec<u8>) -> Self {
        let start = json.len();
        json.push(b'{');
        Self { json, start }
    }

    pub(crate) fn entry(&mut self, name: &str, write: impl FnOnce(&mut Vec<u8>) -> bool) {
        let before = self.json.len();
        if before > self.start + 1 {
            self.json.push(b',');
        }
        write_json_text(self.json, name);
        self.json.push(b':');
        if !write(self.json) {
            self.json.truncate(before);
        }
    }

    /// Ends the object. Returns whether anything is in it; it is taken back otherwise.
    pub(crate) fn end(self) -> bool {
        if self.json.len() == self.start + 1 {
            self.json.truncate(self.start);
            return false;
        }
        self.json.push(b'}');
        true
    }
}

/// Writes a list whose empty elements are left out.
pub(crate) struct ListWriter<'j> {
    json: &'j mut Vec<u8>,
    start: usize,
}

impl<'j> ListWriter<'j> {
    pub(crate) fn begin(json: &'j mut Vec<u8>) -> Self {
        let start = json.len();
        json.push(b'[');
        Self { json, start }
    }

    pub(crate) fn item(&mut self, write: impl FnOnce(&mut Vec<u8>) -> bool) {
        let before = self.json.len();
        if before > self.start + 1 {
            self.json.push(b',');
        }
        if !write(self.json) {
            self.json.truncate(before);
        }
    }

    /// Ends the list. Returns whether anything is in it; it is taken back otherwise.
    pub(crate) fn end(self) -> bool {
        if self.json.len() == self.start + 1 {
            self.json.truncate(self.start);
            return false;
        }
        self.json.push(b']');
        true
    }
}
