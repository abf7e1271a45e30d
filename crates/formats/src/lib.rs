//! Decoders for Backstory exports: activities as JSON Lines, contacts as CSV or JSON.
//!
//! The core is *push*: feed it the bytes in whatever chunks they arrive, and it gives the same rows. A record borrows
//! its text from the line that it was decoded from; [`Activity::into_owned`] makes one that outlives it. Nothing that
//! the service sends is dropped: unknown keys, and values of another type than expected, are kept in `extra`
//! (contract (e), (d.3)).
//!
//! ```
//! use backstory_formats::JsonLines;
//!
//! let export = br#"{"uid":"em-1","type":"email","subject":"Quote","stats":{"total_participants":2},"mood":"sunny"}
//! {"uid":"mt-1","type":"meeting","duration":1800}
//! "#;
//!
//! let mut lines = JsonLines::new();
//! let mut uids = Vec::new();
//! for chunk in export.chunks(7) {
//!     let mut rows = lines.feed(chunk);
//!     while let Some(row) = rows.next() {
//!         let activity = row.activity()?;
//!         if let Some((key, value)) = activity.extra.iter().next() {
//!             assert_eq!((key, value), ("mood", "\"sunny\""));
//!         }
//!         uids.extend(activity.uid.map(String::from));
//!     }
//! }
//! // The last line may lack its newline; it is then proved to be whole, or refused.
//! assert!(lines.finish().is_none());
//! assert_eq!(uids, ["em-1", "mt-1"]);
//! # Ok::<(), backstory_formats::Error>(())
//! ```
//!
//! # What this crate does not do
//!
//! No HTTP, no async runtime, no Arrow; it doesn't merge versions of a record, and it doesn't decide what becomes of a
//! bad row: every error has the row's number, line and byte, and the row keeps its raw bytes.

#![forbid(unsafe_code)]
#![deny(missing_docs)]
#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod cell_index;
mod columns;
mod contact_columns;
mod contact_header;
mod contact_row;
mod contact_rows;
mod contacts_csv;
mod contacts_json;
mod csv_row;
mod error;
mod extra;
mod generated;
mod json;
mod json_lines;
mod json_outline;
mod pull;
mod pull_columns;
mod pull_record;
mod record;
mod row;
mod row_ends;
mod scan;
mod time;

pub use columns::{Columns, Odd, OddRow, Value};
pub use contact_columns::{Cell, CellColumn};
pub use contact_row::ContactRow;
pub use contact_rows::{ContactRows, RowsRead};
pub use contacts_csv::ContactsCsv;
pub use contacts_json::{ContactJsonRows, ContactsJson};
pub use error::{Error, ErrorKind};
pub use extra::{Extra, ExtraIter};
pub use generated::{
    Activity, Campaign, Contact, CrmAccount, CrmAccountName, CrmLead, CrmOpportunity, CrmStatus, Participant,
    Stats, Team,
};
pub use json_lines::{ActivityRow, ActivityRows, JsonLines};
pub use record::{Record, Text};
pub use row::{DEFAULT_MAX_ROW_BYTES, Position};
pub use row_ends::RowEnds;
pub use time::{parse_date, parse_timestamp};
