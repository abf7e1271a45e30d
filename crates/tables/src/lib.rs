//! What Backstory's records look like as tables, and how they become files.
//!
//! An activity becomes one row of `activities`, with its participants, its campaigns and its CRM match nested in it
//! (Parquet), or three relational tables (CSV). A row carries where it comes from in columns that begin with `_`; what the
//! schema doesn't know is kept in `extra`, as JSON text; and `_version` puts the versions of a record in one total order,
//! whatever order they are delivered in.
//!
//! ```
//! use backstory_tables::{BadRows, Conversion, CsvTables, Origin, Resource, SourceFormat};
//! use jiff::{Timestamp, civil::date};
//!
//! let export = concat!(
//!     r#"{"uid":"em-1","type":"email","timestamp":"2026-03-04T09:08:51","stats":{"total_participants":2}}"#, "\n",
//!     r#"{"uid":"mt-1","type":"meeting","participants":[{"name":"Rin Okafor"},{"phone":"+15550100"}]}"#, "\n",
//! );
//! let (mut activities, mut participants, mut campaigns) = (Vec::new(), Vec::new(), Vec::new());
//! let origin = Origin::of_job("17", (date(2026, 3, 1), date(2026, 3, 31)), Timestamp::UNIX_EPOCH);
//! let tables = CsvTables::activities(&mut activities, &mut participants, &mut campaigns);
//! let summary = Conversion::new(Resource::Activities, SourceFormat::JsonLines, origin)
//!     .to_csv(export.as_bytes(), tables, &mut BadRows::fail())?;
//!
//! assert_eq!((summary.rows, summary.participants), (2, 2));
//! let participants = String::from_utf8(participants).unwrap();
//! assert!(participants.lines().nth(1).unwrap().starts_with("mt-1,1,mt-1,,,Rin Okafor,"));
//! # Ok::<(), backstory_tables::Error>(())
//! ```
//!
//! # What this crate does not do
//!
//! No HTTP, no async runtime; it doesn't open, name or rename files, and it doesn't merge versions: it says which one is
//! the greatest.

#![forbid(unsafe_code)]
#![deny(missing_docs)]
#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod arrow_file;
mod bad_rows;
mod batch;
mod batches;
mod block;
mod block_decoding;
mod canonical;
mod checked_copy;
mod column;
mod columns;
mod compressed;
mod content_hash;
mod conversion;
mod csv_tables;
mod description;
mod encode;
mod error;
mod extra_column;
mod extra_json;
mod generated;
mod instant;
mod json_lines_file;
mod key;
mod origin;
mod output;
mod parallel_batches;
mod parquet_file;
mod relational;
mod resource;
mod row_group;
mod row_groups;
mod run;
mod schema;
mod summary;
mod tasks;
mod version;

pub use arrow_file::{ArrowFile, ArrowOptions};
pub use bad_rows::BadRows;
pub use batch::{ActivityBatchBuilder, ContactBatchBuilder};
pub use batches::{ActivityBatches, ContactBatches};
pub use compressed::decompressed;
pub use content_hash::ContentHash;
pub use conversion::{Conversion, Progress};
pub use csv_tables::CsvTables;
pub use description::{
    ColumnDescription, ColumnType, TableDescription, describe_nested, describe_relational,
};
pub use error::{Error, ErrorKind};
pub use json_lines_file::JsonLinesFile;
pub use origin::Origin;
pub use output::{Output, OutputFormat};
pub use parallel_batches::ParallelActivityBatches;
pub use parquet_file::{Compression, ParquetFile, ParquetOptions, ParquetTables};
pub use relational::{Relational, explode};
pub use resource::{Resource, SourceFormat};
pub use row_group::Shape;
pub use schema::schema;
pub use summary::Summary;
pub use version::split_version;
