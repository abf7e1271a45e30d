//! Deliveries as they came: compressed files beside the tables, each with a note that says what it is.
//!
//! They make tables again without the service, whose files are gone after ten days, and they are what a delivery is loaded
//! from whose download was whole when the process ended. `raw/activities/2026-06-01_2026-06-14.delta.job-17.0.jsonl.zst` is
//! a fragment, `raw/activities/2026-06-01_2026-06-14.delta.job-17.json` the note of its delivery. The note lands last, so a
//! file without one isn't whole.

mod note;
mod reading;
mod store;
mod writing;

pub(crate) use note::{RawNote, quarantine_name};
pub(crate) use reading::RawReader;
pub(crate) use store::{DamagedNote, Notes, RawStore};
pub(crate) use writing::{Keeping, RawWriter};
