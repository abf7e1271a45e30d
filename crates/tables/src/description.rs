//! The tables in words: what `backstory schema` shows.

use crate::column::{Column, ColumnKind, EXTRA};
use crate::generated::{ACTIVITY, CAMPAIGN, PARTICIPANT};
use crate::resource::Resource;
use crate::schema::{BOOKKEEPING, KEY, REQUIRED, columns};

/// A table and its columns.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TableDescription {
    /// The table's name.
    pub name: &'static str,
    /// Its columns, in order.
    pub columns: Vec<ColumnDescription>,
}

/// A column of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ColumnDescription {
    /// Its name; in a nested table, the path to a field of a struct, joined by `.`.
    pub name: String,
    /// Its type.
    pub kind: ColumnType,
    /// Whether it is never null.
    pub required: bool,
    /// What it holds.
    pub docs: &'static str,
    /// Where the fact comes from: a section of `docs/contract.md`, or nothing for what only this project knows.
    pub source: &'static str,
}

/// The type of a described column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ColumnType {
    /// Text.
    Text,
    /// A 64-bit integer.
    Integer,
    /// True or false.
    Boolean,
    /// An instant: UTC, microseconds.
    Timestamp,
    /// A UTC day.
    Date,
    /// A list of texts; JSON text in CSV.
    TextList,
    /// A struct, whose fields follow.
    Struct,
    /// A list of structs, whose fields follow.
    StructList,
}

impl ColumnType {
    /// The type's name in plain words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Integer => "integer",
            Self::Boolean => "boolean",
            Self::Timestamp => "timestamp",
            Self::Date => "date",
            Self::TextList => "list of texts",
            Self::Struct => "struct",
            Self::StructList => "list of structs",
        }
    }

    /// The type's name in Parquet: the physical type, and in brackets the logical one.
    pub fn parquet(self) -> &'static str {
        match self {
            Self::Text => "BYTE_ARRAY (STRING)",
            Self::Integer => "INT64",
            Self::Boolean => "BOOLEAN",
            Self::Timestamp => "INT64 (TIMESTAMP(MICROS,true))",
            Self::Date => "INT32 (DATE)",
            Self::TextList => "LIST of BYTE_ARRAY (STRING)",
            Self::Struct => "group",
            Self::StructList => "LIST of group",
        }
    }

    /// The type's name in Arrow.
    pub fn arrow(self) -> &'static str {
        match self {
            Self::Text => "Utf8",
            Self::Integer => "Int64",
            Self::Boolean => "Boolean",
            Self::Timestamp => "Timestamp(us, UTC)",
            Self::Date => "Date32",
            Self::TextList => "List(Utf8)",
            Self::Struct => "Struct",
            Self::StructList => "List(Struct)",
        }
    }

    /// The type's name in SQL, as DuckDB has it.
    pub fn sql(self) -> &'static str {
        match self {
            Self::Text => "VARCHAR",
            Self::Integer => "BIGINT",
            Self::Boolean => "BOOLEAN",
            Self::Timestamp => "TIMESTAMP WITH TIME ZONE",
            Self::Date => "DATE",
            Self::TextList => "VARCHAR[]",
            Self::Struct => "STRUCT",
            Self::StructList => "STRUCT[]",
        }
    }
}

/// The nested table of a resource, with the fields inside its structs.
pub fn describe_nested(resource: Resource) -> TableDescription {
    let mut described = Vec::new();
    let all = [&KEY].into_iter().chain(columns(resource)).chain([&EXTRA]).chain(BOOKKEEPING);
    all.for_each(|column| describe(&mut described, "", column, Shape::Nested));
    TableDescription { name: resource.as_str(), columns: described }
}

/// The relational tables of a resource.
pub fn describe_relational(resource: Resource) -> Vec<TableDescription> {
    let flat = |name, own: &[&Column], columns: &[Column], after: &[Column]| {
        let mut described = Vec::new();
        let all = own.iter().copied().chain(columns).chain([&EXTRA]).chain(after);
        all.for_each(|column| describe(&mut described, "", column, Shape::Relational));
        TableDescription { name, columns: described }
    };
    match resource {
        Resource::Contacts => vec![flat("contacts", &[&KEY], columns(resource), BOOKKEEPING)],
        Resource::Activities => {
            let uid = &ACTIVITY[0];
            let version = &BOOKKEEPING[BOOKKEEPING.len() - 1..];
            vec![
                flat("activities", &[&KEY], ACTIVITY, BOOKKEEPING),
                flat("participants", &[&KEY, &ORDINAL, uid], PARTICIPANT, version),
                flat("campaigns", &[&KEY, &ORDINAL, uid], CAMPAIGN, version),
            ]
        }
    }
}

/// The place of a participant or campaign in its activity.
const ORDINAL: Column = Column {
    name: "ordinal",
    kind: ColumnKind::Integer,
    docs: "The place in the activity's list, from 1.",
    source: "contract (e.2)",
};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    Nested,
    Relational,
}

fn describe(described: &mut Vec<ColumnDescription>, path: &str, column: &Column, shape: Shape) {
    let name = format!("{path}{}", column.name);
    let (kind, inside): (_, &[Column]) = match column.kind {
        ColumnKind::Text => (ColumnType::Text, &[]),
        ColumnKind::Integer => (ColumnType::Integer, &[]),
        ColumnKind::Boolean => (ColumnType::Boolean, &[]),
        ColumnKind::Timestamp => (ColumnType::Timestamp, &[]),
        ColumnKind::Date => (ColumnType::Date, &[]),
        ColumnKind::Texts => (ColumnType::TextList, &[]),
        ColumnKind::Struct(columns) => (ColumnType::Struct, columns),
        ColumnKind::Structs(columns) => (ColumnType::StructList, columns),
    };
    let separator = if shape == Shape::Nested { '.' } else { '_' };
    let inner_path = format!("{name}{separator}");
    // Inside of structs, whatever is required of a table isn't there.
    let required = path.is_empty() && (REQUIRED.contains(&column.name) || column.name == ORDINAL.name);
    match (kind, shape) {
        // Tables of their own.
        (ColumnType::StructList, Shape::Relational) => return,
        (ColumnType::Struct, Shape::Relational) => {}
        _ => {
            let (docs, source) = (column.docs, column.source);
            described.push(ColumnDescription { name, kind, required, docs, source });
        }
    }
    for column in inside {
        describe(described, &inner_path, column, shape);
    }
    if kind == ColumnType::StructList {
        describe(described, &inner_path, &EXTRA, shape);
    }
}
