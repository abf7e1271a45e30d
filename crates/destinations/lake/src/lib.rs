//! A lake: the destination of a sync that needs no server, a folder of plain Parquet files.
//!
//! A data file never changes, describes itself in its footer, and has its name only when it is whole and on disk: that it is
//! there *is* the commit. There is no manifest that could disagree. Whoever reads all files and takes the greatest `_version`
//! of each `_key` is right at any moment, in the middle of a sync too; `views.duckdb.sql` does it for DuckDB.
//!
//! | path | what |
//! |---|---|
//! | `activities/**/*.parquet`, `contacts/**/*.parquet` | data, and nothing else |
//! | `views.duckdb.sql` | the views `activities`, `participants`, `campaigns`, `contacts` (current), `activity_versions`, `contact_observations` (all) |
//! | `_backstory/` | what is nobody else's business; the lake survives its loss |
//!
//! [`Lake`] is a [`Destination`](backstory_destination::Destination), and has a complete example.
//!
//! # What this crate does not do
//!
//! It fetches nothing and plans nothing: a sync brings it deliveries. It isn't a query engine either: DuckDB, Polars, pandas
//! and Spark read what it writes.

#![forbid(unsafe_code)]
#![deny(missing_docs)]
#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod catalog;
mod compaction;
mod contents;
mod current;
mod export;
mod footer;
mod history;
mod housekeeping;
mod identity;
mod key;
mod lake;
mod layout;
mod load;
mod problem;
mod proof;
mod rows;
mod shared_landing;
mod shuffle;
mod state;
mod statistics;
mod verify;
mod views;

pub use compaction::Compacted;
pub use export::Exported;
pub use lake::Lake;
