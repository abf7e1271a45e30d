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
    /// What the holder of each key did, by the id of the key.
    pub keys: BTreeMap<String, KeyReport>,
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

/// What the holder of one key did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct KeyReport {
    /// Requests with a good token of this key, but for those that the rate limit refused.
    pub requests: u64,
    /// Jobs that were created.
    pub jobs_created: u64,
    /// Creates that were refused, by reason: `queue full`, or the message of the 400.
    pub refusals: BTreeMap<String, u64>,
    /// Requests that the rate limit refused.
    pub rate_limited: u64,
    /// The most of its jobs that ever ran at once.
    pub most_running: u64,
    /// The most of its jobs that were ever queued at once.
    pub most_queued: u64,
    /// The most of its jobs that were ever running or queued at once.
    pub most_outstanding: u64,
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

    pub(crate) fn request(&self, name: &str, status: u16) {
        self.count(|report| {
            // Most calls find it; only the first needs a copy of the name.
            if !report.requests.contains_key(name) {
                report.requests.insert(name.to_owned(), BTreeMap::new());
            }
            if let Some(statuses) = report.requests.get_mut(name) {
                *statuses.entry(status).or_default() += 1;
            }
        });
    }

    pub(crate) fn of_key(&self, key: &str, change: impl FnOnce(&mut KeyReport)) {
        self.count(|report| change(entry(report, key)));
    }

    pub(crate) fn finding(&self, what: &str) {
        tracing::info!(what, "a request that the contract can't explain");
        self.count(|report| add(&mut report.findings, what));
    }

    pub(crate) fn refusal(&self, key: &str, why: &str) {
        self.count(|report| {
            add(&mut report.refusals, why);
            add(&mut entry(report, key).refusals, why);
        });
    }

    pub(crate) fn job_created(&self, key: &str) {
        self.count(|report| {
            *report.jobs_created.entry(key.to_owned()).or_default() += 1;
            entry(report, key).jobs_created += 1;
        });
    }

    /// A request that the rate limit refused, of the holder of a key if its token is one of ours.
    pub(crate) fn rate_limited(&self, key: Option<&str>) {
        self.count(|report| {
            report.rate_limited += 1;
            if let Some(key) = key {
                entry(report, key).rate_limited += 1;
            }
        });
    }

    pub(crate) fn snapshot(&self) -> Report {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Report> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn entry<'a>(report: &'a mut Report, key: &str) -> &'a mut KeyReport {
    // Most calls find it; only the first needs a copy of the name.
    if !report.keys.contains_key(key) {
        report.keys.insert(key.to_owned(), KeyReport::default());
    }
    report.keys.entry(key.to_owned()).or_default()
}

fn add(counts: &mut BTreeMap<String, u64>, what: &str) {
    let what: String = what.chars().take(200).collect();
    let what =
        if counts.len() < MOST_KINDS || counts.contains_key(&what) { what } else { "(others)".to_owned() };
    *counts.entry(what).or_default() += 1;
}
