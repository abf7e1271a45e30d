//! What a sync would do now: its plan, with what is already under way at the service left out. Nothing is sent, and nothing
//! is changed.

use backstory_destination::DeliveryRecord;
use jiff::{SignedDuration, Timestamp};

use crate::coverage::Coverage;
use crate::error::Error;
use crate::ledger::{JobSpec, LedgerFacts, LedgerJob};
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
    let mut plan = SyncPlan::new(&as_if, &attempts, settings, now)?;
    if !taken_over.is_empty() {
        plan.set_watermark(Coverage::of(deliveries, &attempts, settings, now).watermark());
    }
    // What is under way isn't asked for again, though it may leave a day open.
    plan.retain(&as_if, now, |job| {
        let spec = JobSpec::of(job);
        !taken_over.iter().any(|job| job.spec.covers(&spec))
    });
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

#[cfg(test)]
mod tests {
    use backstory_destination::{DeliveryKind, Window};
    use jiff::civil::date;

    use super::*;
    use crate::ledger::Stage;

    fn job(kind: DeliveryKind, stage: Stage, job_id: Option<&str>, day: i8) -> LedgerJob {
        let day = date(2026, 6, day);
        let intended_at = "2026-06-18T12:00:00Z".parse().unwrap();
        let spec =
            JobSpec { kind, activity_type: "all".to_owned(), window: Window::new(day, day), part_of: None };
        LedgerJob {
            id: 1,
            spec,
            reason: String::new(),
            intended_at,
            stage,
            ending: None,
            error: None,
            job_id: job_id.map(str::to_owned),
            job_created_time: None,
            job_start_time: None,
            job_end_time: None,
            changed_at: intended_at,
        }
    }

    #[test]
    fn what_is_under_way_is_not_planned_again_and_what_was_given_up_is() {
        let settings = {
            let mut settings = SyncSettings::new(date(2026, 6, 1));
            settings.contacts = false;
            settings
        };
        let now = "2026-06-18T12:00:00Z".parse().unwrap();
        let alone = forecast(&[], None, &settings, now).unwrap();
        assert!(alone.taken_over.is_empty() && alone.expected_time.is_none());
        let todays = |stage, id| job(DeliveryKind::Delta, stage, id, 18);
        let facts = LedgerFacts {
            open_jobs: vec![
                todays(Stage::Abandoned, Some("7")),
                job(DeliveryKind::Contacts, Stage::Created, Some("8"), 18),
            ],
            median_seconds: [Some(60.0), Some(5.0), None],
            ..LedgerFacts::default()
        };
        let given_up = forecast(&[], Some(&facts), &settings, now).unwrap();
        assert_eq!(given_up.plan.jobs(), alone.plan.jobs());
        assert!(given_up.taken_over.is_empty());
        // Two snapshots at once, and the delta behind them.
        assert_eq!(given_up.expected_time, Some(SignedDuration::from_secs(65)));
        let facts = LedgerFacts { open_jobs: vec![todays(Stage::Created, Some("9"))], ..facts };
        let under_way = forecast(&[], Some(&facts), &settings, now).unwrap();
        assert_eq!(under_way.taken_over.len(), 1);
        let (jobs, without) = (under_way.plan.jobs(), alone.plan.jobs());
        assert_eq!(jobs, &without[..without.len() - 1]);
        assert!(under_way.plan.proof().holds());
    }
}
