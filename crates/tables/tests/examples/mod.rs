//! The invented records of the contract, section (e.5), and a delivery that they may have come from.

use backstory_tables::Origin;
use jiff::civil::date;

/// An email, a meeting and a call.
pub(crate) const ACTIVITIES: &str = include_str!("activities.jsonl");

/// The second fragment of job 17.
pub(crate) fn origin() -> Origin {
    Origin::of_job("17", (date(2026, 3, 1), date(2026, 3, 31)), "2026-04-02T06:00:00Z".parse().unwrap())
        .with_fragment(2)
        .with_job_times(Some("2026-04-01T06:00:00Z".parse().unwrap()), None)
}
