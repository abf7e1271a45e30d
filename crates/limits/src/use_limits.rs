//! The published use limits, as data that may be overridden.

use crate::export_kind::ExportKind;
use crate::range_limit::RangeLimit;
use crate::retention::FileRetention;

/// The use limits of the API (contract (b)).
///
/// [`UseLimits::published`] has the vendor's figures; change a field for an organisation that has been told others.
///
/// ```
/// use backstory_limits::UseLimits;
///
/// let mut limits = UseLimits::published();
/// limits.contacts_range = limits.contacts_range.with_max_days(14);
/// assert_eq!(limits.contacts_range.max_days(), 14);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UseLimits {
    /// Export jobs that run at once: 2.
    pub running_jobs: usize,
    /// Export jobs that wait in the queue: 10.
    pub queued_jobs: usize,
    /// How long a result file is kept: 10 days.
    pub file_retention: FileRetention,
    /// How far back the job list reaches, in days: 10.
    pub job_list_days: u16,
    /// The widest snapshot of activities: 1 year, counted as 365 days so that it is legal however the service counts.
    pub snapshot_range: RangeLimit,
    /// The widest delta of activities: 14 days.
    pub delta_range: RangeLimit,
    /// The widest export of contacts. Not published; 1 year is assumed (contract (j.4)).
    pub contacts_range: RangeLimit,
    /// Requests a second: 5. Published for REST; assumed to hold for all calls (contract (j.34)).
    pub requests_per_second: u32,
    /// Requests at once: 10. As above.
    pub concurrent_requests: usize,
}

impl UseLimits {
    /// The vendor's figures.
    pub const fn published() -> Self {
        Self {
            running_jobs: 2,
            queued_jobs: 10,
            file_retention: FileRetention::days(10),
            job_list_days: 10,
            snapshot_range: RangeLimit::new("a snapshot", "1 year", 365),
            delta_range: RangeLimit::new("a delta", "14 days", 14),
            contacts_range: RangeLimit::new("an export of contacts", "1 year", 365),
            requests_per_second: 5,
            concurrent_requests: 10,
        }
    }

    /// The widest range of one activity export of this kind.
    pub const fn range_limit(&self, kind: ExportKind) -> &RangeLimit {
        match kind {
            ExportKind::Snapshot => &self.snapshot_range,
            ExportKind::Delta => &self.delta_range,
        }
    }
}

impl Default for UseLimits {
    fn default() -> Self {
        Self::published()
    }
}
