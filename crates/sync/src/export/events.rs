//! What an export tells while it runs, for progress bars and logs.

use std::path::Path;

use backstory_api::{Job, JobId};
use backstory_limits::{DateRange, SlotRefusal};

use crate::error::Error;

/// Watches an export. Called from several tasks at once; it must not block.
pub trait Observer: Send + Sync {
    /// Something has happened.
    fn on_event(&self, event: Event<'_>);
}

/// Watches nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Observer for Silent {
    fn on_event(&self, _: Event<'_>) {}
}

/// What has happened to a window.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'e> {
    /// The window was whole already, proven by its checksums.
    Reused {
        /// Which window.
        window: DateRange,
        /// Its rows.
        rows: u64,
    },
    /// There is no slot for the window's job yet.
    WaitingForSlot {
        /// Which window.
        window: DateRange,
        /// Why.
        refusal: SlotRefusal,
    },
    /// The service says that its queue is full.
    QueueFull {
        /// Which window.
        window: DateRange,
    },
    /// The window's job was created, or taken over from an earlier run.
    JobStarted {
        /// Which window.
        window: DateRange,
        /// Its job.
        job_id: &'e JobId,
        /// Whether an earlier run created it.
        taken_over: bool,
    },
    /// The service described the window's job.
    JobState {
        /// Which window.
        window: DateRange,
        /// As described.
        job: &'e Job,
    },
    /// Bytes of the window's result have arrived.
    Bytes {
        /// Which window.
        window: DateRange,
        /// How many so far, decompressed.
        bytes: u64,
        /// How often the download had to begin anew.
        restarts: u32,
    },
    /// Rows of the window's result have been decoded.
    Rows {
        /// Which window.
        window: DateRange,
        /// How many so far.
        rows: u64,
    },
    /// The window is whole.
    Landed {
        /// Which window.
        window: DateRange,
        /// Its rows.
        rows: u64,
        /// Rows that were set apart.
        bad_rows: u64,
        /// Its main file.
        file: &'e Path,
    },
    /// The window has failed.
    Failed {
        /// Which window.
        window: DateRange,
        /// Why.
        error: &'e Error,
    },
}
