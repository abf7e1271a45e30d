//! Brings Backstory data out of the bulk export API into files, whole and proven.
//!
//! An export is first a [plan](ExportPlan): windows that are legal under the use limits, proved so before anything is sent.
//! Then it is [run](export()): a job for each window, no more at once than the slots allow, downloads overlapped with waiting.
//! Each window lands under its final name only when its download and its decoding are proven whole, and `manifest.json`
//! says for each file which job it came from and what its checksum is. Run again, an export fetches only the rest.
//!
//! ```
//! use backstory_limits::{DateRange, ExportKind, SlotPolicy, UseLimits};
//! use backstory_api::ActivityType;
//! use backstory_sync::{ExportPlan, Selection};
//!
//! let range: DateRange = "2024-01-01..2025-03-31".parse()?;
//! let selection = Selection::Activities { kind: ExportKind::Snapshot, activity_type: ActivityType::All };
//! let plan = ExportPlan::new(selection, range, true, &UseLimits::published(), SlotPolicy::default())?;
//! assert_eq!(plan.windows().len(), 2);
//! assert!(plan.proof().holds());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What this crate does not do
//!
//! It sends nothing itself (that is `backstory-api`), decodes nothing itself (`backstory-tables`), and keeps no tables
//! current: an export is one range, once.

#![forbid(unsafe_code)]
#![deny(missing_docs)]
#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod coverage;
mod engine;
mod error;
mod export;
mod forecast;
mod ledger;
mod pipe;
mod plan;
mod quarantine;
mod raw;
mod slots;
mod status;

pub use coverage::{ContactsRefresh, Coverage, DayRun, DayState};
pub use engine::{
    Before, CommittedJob, JobOrigin, KeepRaw, NotCovered, RawFacts, Rebuilt, StatePlace, Stop, SyncEvent,
    SyncFailure, SyncObserver, SyncOptions, SyncReport, Verification, rebuild, sync, verify,
};
pub use error::{Error, ErrorKind};
pub use export::{
    BadRowPolicy, Event, ExportEntry, ExportOptions, FileEntry, MANIFEST, Manifest, ManifestJob, Observer,
    OutputFormat, Report, Silent, WindowEntry, export,
};
pub use forecast::{Forecast, forecast};
pub use ledger::{Ending, JobSpec, Ledger, LedgerFacts, LedgerJob, OthersSeen, RunRecord, Stage};
pub use plan::{
    Attempt, AttemptOutcome, ContactFilter, ExportPlan, JobTimes, PlannedJob, Proof, Reason, Selection,
    SyncPlan, SyncProof, SyncSettings, Through, WidestWindow, pieces_after_failure,
};
pub use status::{ContactsStatus, Delivered, JobInFlight, QuarantineStatus, Status};
