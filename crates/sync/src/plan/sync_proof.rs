//! The proof that a sync's plan is complete and legal: each figure is computed from the jobs as they stand, not from how
//! they came about.

use std::collections::VecDeque;
use std::fmt;

use backstory_destination::{DeliveryKind, DeliveryRecord, FragmentRecord};
use backstory_limits::{Phase, RangeLimit, SlotPolicy, SlotPool, UseLimits};
use jiff::Timestamp;
use jiff::civil::Date;
use serde::Serialize;

use super::planned_job::PlannedJob;
use super::settings::SyncSettings;
use crate::coverage::{Coverage, DayState};

/// Why a sync's plan is complete and legal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SyncProof {
    /// Whether every day from the beginning of the history to the last day that is asked for is loaded once the jobs have
    /// been delivered. `None` for a sync of contacts only, which says nothing of it.
    pub no_day_is_missing: Option<bool>,
    /// Whether contacts are completely refreshed, or recent enough. `None` for a sync of activities only.
    pub contacts_are_complete: Option<bool>,
    /// The watermark before.
    pub watermark_before: Option<Date>,
    /// The watermark once the jobs have been delivered.
    pub watermark_after: Option<Date>,
    /// Whether every window is legal, however the service counts days.
    pub every_window_is_legal: bool,
    /// The widest window of each kind of job, and the most that is legal.
    pub widest_windows: Vec<WidestWindow>,
    /// The most jobs of ours that are outstanding at once, when the plan is played against the queue.
    pub most_jobs_at_once: usize,
    /// The jobs that may be outstanding at once in the whole organisation, by our own cautious reading.
    pub max_jobs_at_once: usize,
    /// The most jobs of ours that wait in the queue at once.
    pub most_jobs_queued: usize,
    /// The jobs that the service queues.
    pub max_jobs_queued: usize,
}

/// The widest window of one kind of job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct WidestWindow {
    /// The kind of job.
    pub kind: DeliveryKind,
    /// The days of its widest window, both ends counted.
    pub days: u32,
    /// The most days that one such job may cover, both ends counted.
    pub max_days: u32,
}

impl SyncProof {
    pub(crate) fn of(
        deliveries: &[DeliveryRecord],
        jobs: &[PlannedJob],
        settings: &SyncSettings,
        watermark_before: Option<Date>,
        last: Date,
        now: Timestamp,
    ) -> Self {
        let delivered = jobs.iter().enumerate().map(|(at, job)| {
            let delivery = job.delivery(format!("planned {at}"), now, now);
            DeliveryRecord::new(delivery, vec![FragmentRecord::new(0, 0, 0, "")])
        });
        let all: Vec<DeliveryRecord> = deliveries.iter().cloned().chain(delivered).collect();
        let after = Coverage::of(&all, &[], settings, now);
        let is_loaded = |state: &DayState| !matches!(state, DayState::Missing | DayState::Failed);
        let queue = Queue::play(jobs.len(), settings.slots, now);
        let limits = &settings.limits;
        Self {
            no_day_is_missing: settings
                .activities
                .then(|| after.days().range(..=last).all(|(_, state)| is_loaded(state))),
            contacts_are_complete: settings.contacts.then(|| after.contacts().is_some()),
            watermark_before,
            watermark_after: after.watermark(),
            every_window_is_legal: jobs.iter().all(|job| limit(limits, job.kind).check(job.window).is_ok()),
            widest_windows: [DeliveryKind::Snapshot, DeliveryKind::Delta, DeliveryKind::Contacts]
                .into_iter()
                .filter_map(|kind| {
                    let days =
                        jobs.iter().filter(|job| job.kind == kind).map(|job| job.window.days()).max()?;
                    Some(WidestWindow { kind, days, max_days: limit(limits, kind).max_days() })
                })
                .collect(),
            most_jobs_at_once: queue.most_outstanding,
            max_jobs_at_once: settings.slots.total.min(limits.running_jobs + limits.queued_jobs),
            most_jobs_queued: queue.most_queued,
            max_jobs_queued: limits.queued_jobs,
        }
    }

    /// Whether the plan is complete and legal.
    pub fn holds(&self) -> bool {
        self.is_whole()
            && self.watermark_before <= self.watermark_after
            && self.every_window_is_legal
            && self.is_within_the_queue()
    }

    /// Whether everything that is kept current will be there.
    fn is_whole(&self) -> bool {
        self.no_day_is_missing != Some(false) && self.contacts_are_complete != Some(false)
    }

    fn is_within_the_queue(&self) -> bool {
        self.most_jobs_at_once <= self.max_jobs_at_once && self.most_jobs_queued <= self.max_jobs_queued
    }
}

fn limit(limits: &UseLimits, kind: DeliveryKind) -> &RangeLimit {
    match kind {
        DeliveryKind::Snapshot => &limits.snapshot_range,
        DeliveryKind::Delta => &limits.delta_range,
        DeliveryKind::Contacts => &limits.contacts_range,
    }
}

/// What the service's queue sees of us.
#[derive(Default)]
struct Queue {
    most_outstanding: usize,
    most_queued: usize,
}

impl Queue {
    /// Plays `jobs` jobs against a queue of which others use nothing, with the accounting that a run uses: a job is created
    /// whenever it gives a slot, and the oldest ends when it gives none.
    fn play(jobs: usize, policy: SlotPolicy, now: Timestamp) -> Self {
        let mut seen = Self::default();
        let mut pool = SlotPool::new(policy);
        let mut outstanding = VecDeque::new();
        let mut next = 0;
        while next < jobs {
            let id = next.to_string();
            match pool.reserve(next, now) {
                Ok(slot) => {
                    pool.bind(slot, &id);
                    if outstanding.len() < policy.service_runs {
                        pool.update(&id, Phase::Running);
                    }
                    outstanding.push_back(id);
                    next += 1;
                }
                Err(_) => {
                    // Without a job of ours to wait for, no slot will ever be given.
                    let Some(ended) = outstanding.pop_front() else { break };
                    pool.update(&ended, Phase::Completed);
                    for running in outstanding.iter().take(policy.service_runs) {
                        pool.update(running, Phase::Running);
                    }
                }
            }
            seen.most_outstanding = seen.most_outstanding.max(outstanding.len());
            let queued = outstanding.len().saturating_sub(policy.service_runs);
            seen.most_queued = seen.most_queued.max(queued);
        }
        seen
    }
}

impl fmt::Display for SyncProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let yes = |holds: bool| if holds { "yes" } else { "NO" };
        let day = |day: Option<Date>| day.map_or_else(|| "none".to_owned(), |day| day.to_string());
        let days = self.no_day_is_missing.map(|_| "no day is missing");
        let contacts = self.contacts_are_complete.map(|_| "contacts are complete");
        let whole: Vec<_> = days.into_iter().chain(contacts).collect();
        let whole = whole.join(" and ");
        writeln!(f, "  once these jobs are delivered, {whole}: {}", yes(self.is_whole()))?;
        writeln!(
            f,
            "  the watermark goes from {} to {}, and not back: {}",
            day(self.watermark_before),
            day(self.watermark_after),
            yes(self.watermark_before <= self.watermark_after)
        )?;
        write!(f, "  every window is legal however the service counts: {}", yes(self.every_window_is_legal))?;
        for widest in &self.widest_windows {
            let kind = widest.kind.as_str();
            write!(f, "; {kind} {} of at most {} days", widest.days, widest.max_days)?;
        }
        write!(
            f,
            "\n  never more than {} jobs of ours outstanding at once, of {} in the whole organisation, and {} in the \
             queue of {}: {}",
            self.most_jobs_at_once,
            self.max_jobs_at_once,
            self.most_jobs_queued,
            self.max_jobs_queued,
            yes(self.is_within_the_queue())
        )
    }
}
