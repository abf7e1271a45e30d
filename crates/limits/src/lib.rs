//! Dates and their legality for the Backstory bulk export API.
//!
//! An export asks for a range of whole UTC days, both ends included, and the API refuses ranges that are too wide,
//! keeps result files for ten days, and runs two jobs at a time (`docs/contract.md`, section (b)). This crate knows
//! those rules and nothing else, so that a range can be proved legal before the first request is sent.
//!
//! ```
//! use backstory_limits::{DateRange, ExportKind, UseLimits};
//!
//! let limits = UseLimits::published();
//! let range: DateRange = "2024-01-01..2025-03-31".parse()?;
//!
//! // Fifteen months are more than one snapshot may cover …
//! assert!(limits.range_limit(ExportKind::Snapshot).check(range).is_err());
//!
//! // … so the range is cut into pieces that are legal, in order, adjacent, and join back to the input.
//! let pieces: Vec<DateRange> = limits.range_limit(ExportKind::Snapshot).split(range).collect();
//! assert_eq!(pieces.len(), 2);
//! assert_eq!(pieces[0].to_string(), "2024-01-01..2024-12-30");
//! assert_eq!(DateRange::join(&pieces), Some(range));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What this crate does not do
//!
//! No I/O, no async runtime, no clock: the time is always an argument. It does not send requests, and its
//! [slot accounting](SlotPool) never believes its own counts over the server's job list.

#![forbid(unsafe_code)]
#![deny(missing_docs)]
#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod error;
mod export_kind;
mod range;
mod range_limit;
mod retention;
mod slots;
mod use_limits;

pub use error::{Error, ErrorKind};
pub use export_kind::ExportKind;
pub use range::{DateRange, Days};
pub use range_limit::{RangeLimit, Split};
pub use retention::{FileRetention, Retention};
pub use slots::{ListedJob, Phase, Reservation, Settlement, SlotPolicy, SlotPool, SlotRefusal};
pub use use_limits::UseLimits;
