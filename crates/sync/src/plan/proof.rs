//! The proof that a plan is legal, in figures that can be checked and in plain words.

use std::fmt;

use backstory_limits::{DateRange, RangeLimit, SlotPolicy, UseLimits};
use serde::Serialize;

/// Why a plan is legal. Every field is computed from the windows as they stand, not from how they were made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Proof {
    /// Whether the windows cover the range exactly: in order, without a gap and without an overlap.
    pub covers_exactly: bool,
    /// The days of the widest window, both ends counted.
    pub widest_window_days: u32,
    /// The most days that one job may cover, both ends counted.
    pub max_window_days: u32,
    /// Whether every window is legal, however the service counts days.
    pub every_window_is_legal: bool,
    /// The most jobs of ours that are outstanding at once.
    pub most_jobs_at_once: usize,
    /// The jobs that may be outstanding at once in the whole organisation, by our own cautious reading.
    pub max_jobs_at_once: usize,
    /// What the range limit is on, such as "a snapshot".
    #[serde(skip)]
    pub(crate) subject: &'static str,
}

impl Proof {
    pub(crate) fn of(
        range: DateRange,
        windows: &[DateRange],
        limit: &RangeLimit,
        limits: &UseLimits,
        slots: SlotPolicy,
    ) -> Self {
        Self {
            covers_exactly: DateRange::join(windows) == Some(range),
            widest_window_days: windows.iter().map(|window| window.days()).max().unwrap_or(0),
            max_window_days: limit.max_days(),
            every_window_is_legal: windows.iter().all(|window| limit.check(*window).is_ok()),
            most_jobs_at_once: (slots.running + slots.waiting).min(windows.len()),
            max_jobs_at_once: slots.total.min(limits.running_jobs + limits.queued_jobs),
            subject: limit.subject(),
        }
    }

    /// Whether the plan is legal.
    pub fn holds(&self) -> bool {
        self.covers_exactly && self.every_window_is_legal && self.most_jobs_at_once <= self.max_jobs_at_once
    }
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let yes = |holds: bool| if holds { "yes" } else { "NO" };
        writeln!(
            f,
            "  the windows cover the range exactly, without a gap or an overlap: {}",
            yes(self.covers_exactly)
        )?;
        writeln!(
            f,
            "  every window is legal however the service counts: {} (widest {} days; {} may cover {})",
            yes(self.every_window_is_legal),
            self.widest_window_days,
            self.subject,
            self.max_window_days
        )?;
        write!(
            f,
            "  never more than {} jobs of ours outstanding at once, of {} in the whole organisation: {}",
            self.most_jobs_at_once,
            self.max_jobs_at_once,
            yes(self.most_jobs_at_once <= self.max_jobs_at_once)
        )
    }
}
