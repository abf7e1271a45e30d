//! Which processing days the deltas cover, and which of them they have closed.

use std::collections::BTreeMap;

use backstory_destination::{DeliveryKind, DeliveryRecord};
use backstory_limits::DateRange;
use jiff::SignedDuration;
use jiff::civil::Date;

use super::day_cover::DayCover;

/// What the deltas among the deliveries cover.
#[derive(Clone, Debug, Default)]
pub(crate) struct ProcessedDays(BTreeMap<Date, DayCover>);

/// How a processing day stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Processed {
    /// A delta of all activities was created after the day had settled.
    Closed,
    /// The day has been covered after it had settled, but only type by type.
    ByTypes,
    /// The day is covered by a delta that was created too early to close it.
    Open,
    /// No delta covers the day.
    Missing,
}

impl ProcessedDays {
    pub(crate) fn of(deliveries: &[DeliveryRecord], settling: SignedDuration) -> Self {
        let mut days = BTreeMap::<Date, DayCover>::new();
        for record in deliveries.iter().filter(|record| record.is_whole()) {
            let delivery = &record.delivery;
            if delivery.kind != DeliveryKind::Delta {
                continue;
            }
            let Ok(window) = DateRange::new(delivery.window.from, delivery.window.to) else { continue };
            for day in window {
                days.entry(day).or_default().note(delivery, settling);
            }
        }
        Self(days)
    }

    pub(crate) fn cover(&self, day: Date) -> Option<&DayCover> {
        self.0.get(&day)
    }

    pub(crate) fn state(&self, day: Date) -> Processed {
        let Some(cover) = self.cover(day) else { return Processed::Missing };
        if cover.whole().is_some_and(|open| day < open) {
            Processed::Closed
        } else if cover.by_types().is_some_and(|open| day < open) {
            Processed::ByTypes
        } else if cover.whole().is_some() || cover.by_types().is_some() {
            Processed::Open
        } else {
            Processed::Missing
        }
    }

    /// The last day of the run of closed days that begins on `day`; the eve of `day` when it isn't closed itself.
    pub(crate) fn closed_from(&self, day: Date) -> Date {
        let mut last = day.yesterday().unwrap_or(Date::MIN);
        for (next, _) in self.0.range(day..) {
            if last.tomorrow().ok() != Some(*next) || self.state(*next) != Processed::Closed {
                break;
            }
            last = *next;
        }
        last
    }
}
