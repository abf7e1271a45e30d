//! Keeps tables current with the Backstory bulk export API, and exports single ranges to files: whole and proven.
//!
//! A [sync](sync()) brings a destination up to date. What is missing is a pure function of what the destination holds, of the
//! [settings](SyncSettings) and of the time: the [plan](SyncPlan). Each job is noted in a [ledger](Ledger) before it is asked
//! for, so that whoever is stopped or killed goes on with it later; each delivery is kept as it came and committed with its
//! record, both or neither. [`verify`] proves what is stored, [`history()`] shows every version of a
//! record, [`rebuild`] makes the tables anew without the service.
//!
//! An [export](export()) brings one range into files: a job for each window of its [plan](ExportPlan), no more at once than
//! the slots allow. Run again, it fetches only what isn't proven to be there.
//!
//! ```
//! use backstory_sync::{SyncPlan, SyncSettings};
//!
//! // An empty destination: the history with its horizon, today, and the contacts.
//! let settings = SyncSettings::new("2025-06-01".parse()?);
//! let plan = SyncPlan::new(&[], &[], &settings, "2026-06-18T12:00:00Z".parse()?)?;
//! assert!(plan.proof().holds());
//! for job in plan.jobs() {
//!     println!("{job}: {}", job.reason);
//! }
//! assert_eq!(plan.watermark_after(), Some("2026-06-17".parse()?));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What this crate does not do
//!
//! It sends nothing itself (that is `backstory-api`), decodes nothing itself (`backstory-tables`), and is no destination:
//! it fills whatever implements [`Destination`](backstory_destination::Destination).

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
mod stated_size;
mod status;

pub use coverage::{ContactsRefresh, Coverage, DayRun, DayState};
pub use engine::{
    Before, CommittedJob, History, Holder, JobOrigin, KeepRaw, NotCovered, RawFacts, Rebuilt, StatePlace,
    Stop, SyncEvent, SyncFailure, SyncObserver, SyncOptions, SyncReport, Verification, history, rebuild,
    sync, sync_with, verify,
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
