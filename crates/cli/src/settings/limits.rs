//! `[limits]` in `backstory.toml`: other use limits than the published ones, for an organisation that has been told others,
//! or has seen them with `backstory probe`.

use backstory_limits::{FileRetention, RangeLimit, SlotPolicy, UseLimits};
use serde::Deserialize;

use crate::exit::Failure;

/// The table, in which everything may be missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LimitsTable {
    /// The most days of one snapshot, both ends counted.
    snapshot_days: Option<u32>,
    /// The most days of one delta.
    delta_days: Option<u32>,
    /// The most days of one export of contacts, which nobody has published (contract (j.4)).
    contacts_days: Option<u32>,
    /// For how many days a result file is kept.
    retention_days: Option<u16>,
    /// How many of our jobs may run at once.
    our_running_jobs: Option<usize>,
    /// How many of our jobs may wait in the queue beside those.
    our_waiting_jobs: Option<usize>,
    /// How many places are left free for other programs.
    reserved_jobs: Option<usize>,
    /// How many requests may begin within a second.
    requests_per_second: Option<u32>,
    /// How many requests may be under way at once.
    concurrent_requests: Option<usize>,
}

/// The limits of a run, and how much of the shared queue it may use.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Limits {
    pub(crate) use_limits: UseLimits,
    pub(crate) slots: SlotPolicy,
}

impl LimitsTable {
    /// This table's values, and the other's where this one is silent.
    pub(super) fn over(self, below: Self) -> Self {
        Self {
            snapshot_days: self.snapshot_days.or(below.snapshot_days),
            delta_days: self.delta_days.or(below.delta_days),
            contacts_days: self.contacts_days.or(below.contacts_days),
            retention_days: self.retention_days.or(below.retention_days),
            our_running_jobs: self.our_running_jobs.or(below.our_running_jobs),
            our_waiting_jobs: self.our_waiting_jobs.or(below.our_waiting_jobs),
            reserved_jobs: self.reserved_jobs.or(below.reserved_jobs),
            requests_per_second: self.requests_per_second.or(below.requests_per_second),
            concurrent_requests: self.concurrent_requests.or(below.concurrent_requests),
        }
    }

    /// The published limits with these values in their place.
    pub(super) fn limits(&self) -> Result<Limits, Failure> {
        let mut limits = UseLimits::published();
        days("snapshot_days", self.snapshot_days, &mut limits.snapshot_range)?;
        days("delta_days", self.delta_days, &mut limits.delta_range)?;
        days("contacts_days", self.contacts_days, &mut limits.contacts_range)?;
        if let Some(days) = self.retention_days {
            limits.file_retention = FileRetention::days(at_least_one("retention_days", days)?);
        }
        if let Some(requests) = self.requests_per_second {
            limits.requests_per_second = at_least_one("requests_per_second", requests)?;
        }
        if let Some(requests) = self.concurrent_requests {
            limits.concurrent_requests = at_least_one("concurrent_requests", requests)?;
        }
        let mut slots = SlotPolicy::of(&limits);
        if let Some(jobs) = self.our_running_jobs {
            slots.running = at_least_one("our_running_jobs", jobs)?;
        }
        slots.waiting = self.our_waiting_jobs.unwrap_or(slots.waiting);
        if let Some(jobs) = self.reserved_jobs {
            if jobs >= slots.total {
                return Err(refuse(
                    "reserved_jobs",
                    jobs,
                    &format!("{} places are all there are", slots.total),
                ));
            }
            slots.reserved_for_others = jobs;
        }
        // A job that waits starts by itself, so that fewer running ones are had only without any that wait.
        if slots.running < slots.service_runs && slots.waiting > 0 {
            return Err(refuse(
                "our_running_jobs",
                slots.running,
                "a job that waits starts by itself; set our_waiting_jobs = 0 too",
            ));
        }
        Ok(Limits { use_limits: limits, slots })
    }
}

fn days(name: &str, given: Option<u32>, limit: &mut RangeLimit) -> Result<(), Failure> {
    if let Some(days) = given {
        *limit = limit.clone().with_max_days(at_least_one(name, days)?);
    }
    Ok(())
}

fn at_least_one<N: Copy + PartialEq + From<u8> + std::fmt::Display>(
    name: &str,
    number: N,
) -> Result<N, Failure> {
    if number == N::from(0) { Err(refuse(name, number, "it must be at least 1")) } else { Ok(number) }
}

fn refuse(name: &str, number: impl std::fmt::Display, why: &str) -> Failure {
    Failure::usage(format!("`{name}` under [limits] in the configuration file is {number}: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(text: &str) -> Result<Limits, Failure> {
        toml::from_str::<LimitsTable>(text).unwrap().limits()
    }

    #[test]
    fn what_is_not_set_is_as_published() {
        let default = limits("").unwrap();
        assert_eq!(default, Limits { use_limits: UseLimits::published(), slots: SlotPolicy::default() });
    }

    #[test]
    fn each_setting_is_the_limit_that_it_is_named_after() {
        let set = limits(
            "snapshot_days = 90\ndelta_days = 7\ncontacts_days = 14\nretention_days = 5\nour_running_jobs = 1\n\
             our_waiting_jobs = 0\nreserved_jobs = 3\nrequests_per_second = 2\nconcurrent_requests = 4",
        )
        .unwrap();
        let Limits { use_limits, slots } = set;
        assert_eq!(
            (
                use_limits.snapshot_range.max_days(),
                use_limits.delta_range.max_days(),
                use_limits.contacts_range.max_days()
            ),
            (90, 7, 14)
        );
        assert_eq!(use_limits.file_retention, FileRetention::days(5));
        assert_eq!((use_limits.requests_per_second, use_limits.concurrent_requests), (2, 4));
        assert_eq!((slots.running, slots.waiting, slots.reserved_for_others), (1, 0, 3));
    }

    #[test]
    fn a_profile_overrides_single_values() {
        let below: LimitsTable = toml::from_str("delta_days = 7\ncontacts_days = 14").unwrap();
        let own: LimitsTable = toml::from_str("contacts_days = 30").unwrap();
        let limits = own.over(below).limits().unwrap().use_limits;
        assert_eq!((limits.delta_range.max_days(), limits.contacts_range.max_days()), (7, 30));
    }

    #[test]
    fn a_value_that_can_not_be_meant_is_refused_by_its_name() {
        for (text, name) in [
            ("delta_days = 0", "delta_days"),
            ("requests_per_second = 0", "requests_per_second"),
            ("reserved_jobs = 10", "reserved_jobs"),
            ("our_running_jobs = 1", "our_waiting_jobs = 0"),
        ] {
            let failure = limits(text).unwrap_err().to_string();
            assert!(failure.contains(name), "{failure}");
        }
        assert!(toml::from_str::<LimitsTable>("weeks = 1").is_err());
    }
}
