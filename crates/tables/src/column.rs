//! What a column is: its name, its type, what it means and where the fact comes from.

use std::sync::Arc;

use arrow_schema::{DataType, Field, Fields, TimeUnit};

/// A column that comes from the API, or one of the project's own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Column {
    /// The API's own field name; the project's own columns begin with `_`.
    pub(crate) name: &'static str,
    pub(crate) kind: ColumnKind,
    pub(crate) docs: &'static str,
    /// The section of `docs/contract.md` that the column comes from.
    pub(crate) source: &'static str,
}

/// The type of a column.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ColumnKind {
    Text,
    Integer,
    Boolean,
    /// UTC, microseconds.
    Timestamp,
    Date,
    /// A list of texts.
    Texts,
    Struct(&'static [Column]),
    /// A list of structs, each of which has an `extra` of its own.
    Structs(&'static [Column]),
}

/// What the schema doesn't know about a row.
pub(crate) const EXTRA: Column = Column {
    name: "extra",
    kind: ColumnKind::Text,
    docs: "JSON text: fields that the schema doesn't know, and values of another type than expected, each under its own path.",
    source: "contract (e)",
};

impl ColumnKind {
    pub(crate) fn data_type(self) -> DataType {
        match self {
            Self::Text => DataType::Utf8,
            Self::Integer => DataType::Int64,
            Self::Boolean => DataType::Boolean,
            Self::Timestamp => timestamp_type(),
            Self::Date => DataType::Date32,
            Self::Texts => DataType::List(element(DataType::Utf8)),
            Self::Struct(columns) => DataType::Struct(fields(columns)),
            Self::Structs(columns) => DataType::List(element(DataType::Struct(element_fields(columns)))),
        }
    }
}

/// UTC microseconds.
pub(crate) fn timestamp_type() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

/// The element of a list. Parquet's own name for it is what other writers use too; null elements are left out when a
/// record is decoded.
pub(crate) fn element(data_type: DataType) -> Arc<Field> {
    Arc::new(Field::new("element", data_type, false))
}

pub(crate) fn fields(columns: &[Column]) -> Fields {
    columns.iter().map(field).collect()
}

/// The fields of a struct in a list.
pub(crate) fn element_fields(columns: &[Column]) -> Fields {
    columns.iter().chain([&EXTRA]).map(field).collect()
}

pub(crate) fn field(column: &Column) -> Field {
    Field::new(column.name, column.kind.data_type(), true)
}
