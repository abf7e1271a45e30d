//! The schemas of the nested tables: `_key`, the API's own fields, `extra`, and where the row comes from.

use std::sync::{Arc, LazyLock};

use arrow_schema::{Field, Schema, SchemaRef};

use crate::column::{Column, ColumnKind, EXTRA, field};
use crate::generated::{ACTIVITY, CONTACT};
use crate::resource::Resource;

/// The key of a row.
pub(crate) const KEY: Column = Column {
    name: "_key",
    kind: ColumnKind::Text,
    docs: "The row's key: `uid`; for an activity without one, and for contacts, derived from other fields.",
    source: "contract (e.3)",
};

/// Where a row comes from.
pub(crate) static BOOKKEEPING: &[Column] = &[
    Column {
        name: "_job_id",
        kind: ColumnKind::Text,
        docs: "The export job that delivered the row.",
        source: "contract (c.2)",
    },
    Column {
        name: "_fragment",
        kind: ColumnKind::Integer,
        docs: "The part of the job's file in which the row stood; 0 for the whole.",
        source: "contract (c.3)",
    },
    Column {
        name: "_line",
        kind: ColumnKind::Integer,
        docs: "The line on which the row began, from 1.",
        source: "",
    },
    Column {
        name: "_window_start",
        kind: ColumnKind::Date,
        docs: "The first UTC day of the job's window.",
        source: "contract (c.1)",
    },
    Column {
        name: "_window_end",
        kind: ColumnKind::Date,
        docs: "The last UTC day of the job's window, included.",
        source: "contract (c.1)",
    },
    Column {
        name: "_extracted_at",
        kind: ColumnKind::Timestamp,
        docs: "When the row was fetched.",
        source: "",
    },
    Column {
        name: "_version",
        kind: ColumnKind::Text,
        docs: "Orders the versions of a key: the current row of a key is the one whose text is the greatest, byte by byte.",
        source: "contract (e.3)",
    },
];

/// Columns that are never null.
pub(crate) const REQUIRED: &[&str] = &["_key", "_fragment", "_line", "_extracted_at", "_version"];

static ACTIVITIES_SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| nested(ACTIVITY));
static CONTACTS_SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| nested(CONTACT));

/// The schema of a nested table: one row for each record, with everything that belongs to it inside (contract (e), (d.3)).
pub fn schema(resource: Resource) -> SchemaRef {
    match resource {
        Resource::Activities => ACTIVITIES_SCHEMA.clone(),
        Resource::Contacts => CONTACTS_SCHEMA.clone(),
    }
}

/// The API's own columns of a resource.
pub(crate) fn columns(resource: Resource) -> &'static [Column] {
    match resource {
        Resource::Activities => ACTIVITY,
        Resource::Contacts => CONTACT,
    }
}

fn nested(columns: &[Column]) -> SchemaRef {
    let all = [&KEY].into_iter().chain(columns).chain([&EXTRA]).chain(BOOKKEEPING);
    Arc::new(Schema::new(all.map(table_field).collect::<Vec<_>>()))
}

pub(crate) fn table_field(column: &Column) -> Field {
    field(column).with_nullable(!REQUIRED.contains(&column.name))
}
