//! Where an export's files stand below its folder, and what they are called.

use std::fmt;

use backstory_api::ContactsFormat;
use backstory_limits::DateRange;
use backstory_tables::SourceFormat;

use crate::plan::Selection;

/// The form of the files that an export writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OutputFormat {
    /// Activities as the service delivered them, one JSON object a line; contacts in the same way.
    JsonLines,
    /// Relational tables as CSV.
    Csv,
    /// Nested tables as Parquet.
    Parquet,
}

impl OutputFormat {
    /// Its name, and the ending of its files.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::JsonLines => "jsonl",
            Self::Csv => "csv",
            Self::Parquet => "parquet",
        }
    }

    /// The form in which contacts are asked for unless somebody chooses: the one that is nearest to this.
    pub(crate) fn contacts_wire(self) -> ContactsFormat {
        match self {
            Self::JsonLines => ContactsFormat::Json,
            Self::Csv | Self::Parquet => ContactsFormat::Csv,
        }
    }
}

/// The form of a job's result: as the service echoes it, else as it was asked for.
pub(super) fn source(selection: &Selection, echo: Option<&str>, asked: ContactsFormat) -> SourceFormat {
    match selection {
        Selection::Activities { .. } => SourceFormat::JsonLines,
        Selection::Contacts(_) => match echo.and_then(ContactsFormat::from_word).unwrap_or(asked) {
            ContactsFormat::Json => SourceFormat::Json,
            _ => SourceFormat::Csv,
        },
    }
}

impl fmt::Display for OutputFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The tables of an export in this format: one file for each, in each window.
pub(super) fn tables(selection: &Selection, format: OutputFormat) -> &'static [&'static str] {
    match (selection, format) {
        (Selection::Contacts(_), _) => &["contacts"],
        (Selection::Activities { .. }, OutputFormat::Csv) => &["activities", "participants", "campaigns"],
        (Selection::Activities { .. }, _) => &["activities"],
    }
}

/// A table's file of one window, below the export's folder: `activities/activities_snapshot_all_2026-01-01_2026-01-31.parquet`.
pub(super) fn file(table: &str, selection: &Selection, window: DateRange, format: OutputFormat) -> String {
    format!("{table}/{table}{}.{format}", suffix(selection, window))
}

/// Where the bad rows of one window are kept.
pub(super) fn quarantine(selection: &Selection, window: DateRange) -> String {
    format!("quarantine/quarantine_{}{}.jsonl", selection.resource(), suffix(selection, window))
}

fn suffix(selection: &Selection, window: DateRange) -> String {
    let days = format!("{}_{}", window.start(), window.end());
    match selection {
        Selection::Activities { kind, activity_type } => format!("_{kind}_{activity_type}_{days}"),
        Selection::Contacts(_) => format!("_{days}"),
    }
}
