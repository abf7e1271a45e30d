//! What a sync would do now: its plan, with what is already under way at the service left out. Nothing is sent, and nothing
//! is changed.

use backstory_destination::DeliveryRecord;
use jiff::{SignedDuration, Timestamp};

use crate::error::Error;
use crate::ledger::{LedgerFacts, LedgerJob};
use crate::plan::{Attempt, JobTimes, SyncPlan, SyncSettings};

/// What a sync would do now.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Forecast {
    /// The jobs that it would create.
    pub plan: SyncPlan,
    /// Jobs of earlier runs that it would take over, so that they need not be created.
    pub taken_over: Vec<LedgerJob>,
    /// How long the new jobs should take, by the median of earlier ones; `None` where that isn't known.
    pub expected_time: Option<SignedDuration>,
}

/// Foretells a sync from the destination's records and, where there is one, what its ledger tells.
///
/// # Errors
/// As [`SyncPlan::new`].
pub fn forecast(
    deliveries: &[DeliveryRecord],
    ledger: Option<&LedgerFacts>,
    settings: &SyncSettings,
    now: Timestamp,
) -> Result<Forecast, Error> {
    let attempts: Vec<Attempt> = ledger.map(LedgerFacts::attempts).unwrap_or_default();
    let taken_over: Vec<LedgerJob> = ledger
        .into_iter()
        .flat_map(|facts| &facts.open_jobs)
        .filter(|job| job.is_under_way() && job.is_of(settings) && !is_delivered(job, deliveries))
        .cloned()
        .collect();
    let mut as_if = deliveries.to_vec();
    as_if.extend(taken_over.iter().map(LedgerJob::as_if_delivered));
    let plan = SyncPlan::new(&as_if, &attempts, settings, now)?;
    let times = ledger.map_or_else(JobTimes::default, LedgerFacts::job_times);
    let expected_time = plan.expected_time(&times);
    Ok(Forecast { plan, taken_over, expected_time })
}

/// A ledger may be behind its destination.
pub(crate) fn is_delivered(job: &LedgerJob, deliveries: &[DeliveryRecord]) -> bool {
    let is_its = |record: &DeliveryRecord| {
        job.job_id.as_deref() == Some(&record.delivery.job_id) && record.delivery.kind == job.spec.kind
    };
    deliveries.iter().any(is_its)
}
