//! What happened so far: counters of everything, and what clients did that the contract can't explain.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;

/// What happened since the simulator started. `GET /_sim/report` answers the same as JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// Requests by route, such as `GET /pull/v1/export/activities/jobs/{id}`, and by status. The simulator's own paths
    /// are not counted.
    pub requests: BTreeMap<String, BTreeMap<u16, u64>>,
    /// Tokens that were minted.
    pub tokens_minted: u64,
    /// Jobs that were created, by the id of the key.
    pub jobs_created: BTreeMap<String, u64>,
    /// Jobs by their present state.
    pub jobs: BTreeMap<String, u64>,
    /// The most jobs that ever ran at once.
    pub most_running: u64,
    /// The most jobs that were ever queued at once.
    pub most_queued: u64,
    /// The most jobs that were ever running or queued at once.
    pub most_outstanding: u64,
    /// Creates that were refused, by reason: `queue full`, or the message of the 400.
    pub refusals: BTreeMap<String, u64>,
    /// Requests that the rate limit refused.
    pub rate_limited: u64,
    /// Downloads that were begun.
    pub downloads_started: u64,
    /// Downloads that were sent to their end.
    pub downloads_finished: u64,
    /// Bytes of the bodies of downloads.
    pub bytes: u64,
    /// What clients did that the contract can't explain, and how often.
    pub findings: BTreeMap<String, u64>,
}

/// Findings and refusals that are kept apart; more are counted together, so that a client can't fill the memory.
const MOST_KINDS: usize = 500;

/// The counters behind a [`Report`].
#[derive(Debug, Default)]
pub(crate) struct Counters(Mutex<Report>);

impl Counters {
    pub(crate) fn count(&self, change: impl FnOnce(&mut Report)) {
        change(&mut self.lock());
    }

    pub(crate) fn finding(&self, what: &str) {
        self.count(|report| add(&mut report.findings, what));
    }

    pub(crate) fn refusal(&self, why: &str) {
        self.count(|report| add(&mut report.refusals, why));
    }

    pub(crate) fn snapshot(&self) -> Report {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Report> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn add(counts: &mut BTreeMap<String, u64>, what: &str) {
    let what: String = what.chars().take(200).collect();
    let what =
        if counts.len() < MOST_KINDS || counts.contains_key(&what) { what } else { "(others)".to_owned() };
    *counts.entry(what).or_default() += 1;
}
