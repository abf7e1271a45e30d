//! Converts exports that are already on disk, offline: JSON Lines or JSON lists of activities, CSV or JSON of contacts, plain
//! or compressed, to Parquet, CSV, JSON Lines or Arrow files.
//!
//! A [`Plan`] looks at the beginning of each [`Source`] to find out what it is, says which files it will become, and refuses
//! what can't go well: two inputs that would become one file, or an output that is an input. Then each of its
//! [conversions](Planned) is run. A file appears under its name only when it is whole and on disk; rows that can't be
//! decoded are refused, or set apart in a file of their own.
//!
//! ```
//! use backstory_convert::{BadRowPolicy, ConvertOptions, Plan, Source, Target};
//! use backstory_tables::{Output, OutputFormat};
//!
//! # let folder = tempfile::tempdir()?;
//! # let folder = folder.path();
//! let export = folder.join("march.jsonl");
//! std::fs::write(&export, "{\"uid\":\"em-1\",\"type\":\"email\"}\n{\"uid\":\n")?;
//!
//! let output = Output::new(OutputFormat::Parquet);
//! let options = ConvertOptions::new().with_bad_rows(BadRowPolicy::Quarantine { most: 10 });
//! let plan = Plan::new(vec![Source::file(&export)], None, &output, &Target::Folder(folder.join("out")))?;
//! for conversion in plan.into_conversions() {
//!     let converted = conversion.run(&options)?;
//!     assert_eq!((converted.summary.rows, converted.summary.bad_rows), (1, 1));
//!     assert!(converted.files[0].path.ends_with("activities/activities_march.parquet"));
//!     assert!(converted.files[1].path.ends_with("quarantine/quarantine_activities_march.jsonl"));
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What this crate does not do
//!
//! No HTTP and no async runtime. It decodes and encodes nothing itself: that is `backstory-tables`, which converts any reader
//! to any writer. It merges no versions of a record: each file is converted as it is.

#![forbid(unsafe_code)]
#![deny(missing_docs)]
#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod convert;
mod error;
mod folders;
mod input;
mod list_lines;
mod paths;
mod plan;
mod recognise;

pub use convert::{BadRowPolicy, ConvertOptions, Converted, ConvertedFile, Progress};
pub use error::{Error, ErrorKind};
pub use input::{Input, Source};
pub use paths::{OutputPaths, Target};
pub use plan::{Plan, Planned};
pub use recognise::recognise;
