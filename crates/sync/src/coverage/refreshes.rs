//! Complete refreshes of contacts, and what an unfinished one still lacks.

use std::collections::BTreeMap;

use backstory_destination::{DeliveryKind, DeliveryRecord};
use backstory_limits::DateRange;
use jiff::Timestamp;
use jiff::civil::Date;

/// A refresh of contacts: one observation of all of them, from as many windows as it takes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ContactsRefresh {
    /// The name of its set, by which sets are ordered.
    pub set: String,
    /// When it was begun, by the server's clock.
    pub begun: Timestamp,
    /// Its whole range.
    pub range: DateRange,
    /// What of the range has not been delivered; empty when the refresh is complete.
    pub lacks: Vec<DateRange>,
}

impl ContactsRefresh {
    /// Whether the whole range has been delivered.
    pub fn is_complete(&self) -> bool {
        self.lacks.is_empty()
    }
}

/// Every refresh that has delivered something, oldest first.
pub(crate) fn refreshes(deliveries: &[DeliveryRecord]) -> Vec<ContactsRefresh> {
    let mut sets = BTreeMap::<&str, (DateRange, Vec<DateRange>)>::new();
    for record in deliveries.iter().filter(|record| record.is_whole()) {
        let delivery = &record.delivery;
        let Some(part_of) = delivery.part_of.as_ref().filter(|_| delivery.kind == DeliveryKind::Contacts)
        else {
            continue;
        };
        let (Ok(range), Ok(window)) = (
            DateRange::new(part_of.range.from, part_of.range.to),
            DateRange::new(delivery.window.from, delivery.window.to),
        ) else {
            continue;
        };
        sets.entry(&part_of.set).or_insert((range, Vec::new())).1.push(window);
    }
    sets.into_iter()
        .filter_map(|(set, (range, windows))| {
            let begun = set.parse().ok()?;
            Some(ContactsRefresh { set: set.to_owned(), begun, range, lacks: gaps(range, windows) })
        })
        .collect()
}

/// What of `range` no window covers.
fn gaps(range: DateRange, mut windows: Vec<DateRange>) -> Vec<DateRange> {
    windows.sort();
    let mut gaps = Vec::new();
    let mut next = Some(range.start());
    for window in windows {
        let Some(day) = next else { break };
        if window.end() < day {
            continue;
        }
        let eve = window.start().yesterday().unwrap_or(Date::MIN).min(range.end());
        gaps.extend(DateRange::new(day, eve));
        next = window.end().tomorrow().ok().filter(|next| *next <= range.end());
    }
    gaps.extend(next.and_then(|day| DateRange::new(day, range.end()).ok()));
    gaps
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(text: &str) -> DateRange {
        text.parse().unwrap()
    }

    #[test]
    fn what_no_window_covers_is_lacking_whatever_their_order_and_overlaps() {
        let whole = range("2026-01-01..2026-01-10");
        assert_eq!(gaps(whole, vec![]), [whole]);
        let windows = vec![range("2026-01-05..2026-01-06"), range("2025-12-01..2026-01-02")];
        let lacks = [range("2026-01-03..2026-01-04"), range("2026-01-07..2026-01-10")];
        assert_eq!(gaps(whole, windows), lacks);
        let windows = vec![range("2026-01-04..2026-01-10"), range("2026-01-01..2026-01-07")];
        assert_eq!(gaps(whole, windows), []);
        assert_eq!(gaps(whole, vec![range("2026-02-01..2026-02-02")]), [whole]);
        assert_eq!(gaps(whole, vec![range("2026-01-01..2026-02-02"), range("2026-01-05..2026-01-05")]), []);
    }
}
