//! Which activity dates the snapshots cover, and which bases they make: complete histories from whose day on deltas count.

use std::collections::{BTreeMap, BTreeSet};

use backstory_destination::{DeliveryKind, DeliveryRecord};
use backstory_limits::DateRange;
use jiff::SignedDuration;
use jiff::Timestamp;
use jiff::civil::Date;

use super::day_cover::DayCover;
use super::days::{day_of, days_from};

/// What the snapshots among the deliveries cover.
#[derive(Clone, Debug, Default)]
pub(crate) struct History {
    dates: BTreeMap<Date, DayCover>,
    /// The complete histories that were asked for: where each begins, and where those that begin there end.
    ranges: BTreeMap<Date, BTreeSet<Date>>,
    /// The history that was asked for last, by the order of sets.
    latest: Option<(String, DateRange)>,
    /// How many days ahead of its own day a history that ends on a date has been asked for.
    ahead: BTreeMap<Date, i64>,
}

/// A complete history: every activity date of `history` is in a snapshot that is right about all days before `day`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Base {
    /// The first day whose processings deltas must bring.
    pub(crate) day: Date,
    /// The activity dates.
    pub(crate) history: DateRange,
    /// When the oldest job of it was created, at the latest.
    pub(crate) created: Option<Timestamp>,
}

impl History {
    pub(crate) fn of(deliveries: &[DeliveryRecord], settling: SignedDuration) -> Self {
        let mut history = Self::default();
        for record in deliveries.iter().filter(|record| record.is_whole()) {
            let delivery = &record.delivery;
            if delivery.kind != DeliveryKind::Snapshot {
                continue;
            }
            let Ok(window) = DateRange::new(delivery.window.from, delivery.window.to) else { continue };
            for date in window {
                history.dates.entry(date).or_default().note(delivery, settling);
            }
            let Some(part_of) = &delivery.part_of else { continue };
            let Ok(range) = DateRange::new(part_of.range.from, part_of.range.to) else { continue };
            history.ranges.entry(range.start()).or_default().insert(range.end());
            if history.latest.as_ref().is_none_or(|(set, _)| *set <= part_of.set) {
                history.latest = Some((part_of.set.clone(), range));
            }
            if let Ok(begun) = part_of.set.parse() {
                let ahead = days_from(day_of(begun), range.end());
                let known = history.ahead.entry(range.end()).or_insert(ahead);
                *known = ahead.max(*known);
            }
        }
        history
    }

    /// The history that was asked for last.
    pub(crate) fn asked_for(&self) -> Option<DateRange> {
        self.latest.as_ref().map(|(_, range)| *range)
    }

    pub(crate) fn cover(&self, date: Date) -> Option<&DayCover> {
        self.dates.get(&date)
    }

    pub(crate) fn dates(&self) -> &BTreeMap<Date, DayCover> {
        &self.dates
    }

    /// The furthest horizon, in days, with which a history up to `end` or beyond has been asked for.
    pub(crate) fn horizon_asked(&self, end: Date) -> Option<i64> {
        self.ahead.range(end..).map(|(_, ahead)| *ahead).max()
    }

    /// The last date, no later than `reached`, up to which some history has been asked for.
    pub(crate) fn asked_up_to(&self, reached: Date) -> Option<Date> {
        self.ranges.values().filter_map(|ends| ends.range(..=reached).next_back()).max().copied()
    }

    /// Every base that there is.
    ///
    /// For each day at which a history that was asked for begins: the longest run of covered dates from there, cut where
    /// a longer one would rest on an older snapshot. It is a base when it reaches as far as some history that was asked
    /// for.
    pub(crate) fn bases(&self) -> Vec<Base> {
        let mut bases = Vec::new();
        for (from, ends) in &self.ranges {
            let mut run: Option<Base> = None;
            for (date, cover) in self.dates.range(*from..) {
                let Some(whole) = cover.whole() else { break };
                let expected = run.map_or(Some(*from), |run| run.history.end().tomorrow().ok());
                if expected != Some(*date) {
                    break;
                }
                let Ok(history) = DateRange::new(*from, *date) else { break };
                let created = run.and_then(|run| run.created).into_iter().chain(cover.latest()).min();
                let day = run.map_or(whole, |run| run.day.min(whole));
                if let Some(run) = run.filter(|run| run.day > day) {
                    bases.extend(Some(run).filter(|run| run.is_complete(ends)));
                }
                run = Some(Base { day, history, created });
            }
            bases.extend(run.filter(|run| run.is_complete(ends)));
        }
        bases
    }
}

impl Base {
    fn is_complete(&self, ends: &BTreeSet<Date>) -> bool {
        ends.first().is_some_and(|end| *end <= self.history.end())
    }
}
