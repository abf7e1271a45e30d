//! Days as numbers, and how many things belong to each day of the world.
//!
//! A day is counted from 1970-01-01, in UTC. A world is anchored to the first day of the month of its `now`, so that a
//! simulator that is started again within the month, with the same seed, shows the same world at a later moment.

use jiff::civil::Date;
use jiff::{Timestamp, civil};

use super::chance::mix;

/// Days since 1970-01-01.
pub(crate) type Day = i32;
/// Seconds since 1970-01-01T00:00:00Z.
pub(crate) type Second = i64;

pub(crate) const SECONDS_A_DAY: i64 = 86_400;

/// The number of a date.
pub(crate) fn day_of(date: Date) -> Day {
    // jiff's dates reach from year -9999 to 9999, which is under four million days.
    (date.duration_since(civil::date(1970, 1, 1)).as_hours() / 24) as Day
}

/// The day that holds a moment.
pub(crate) fn day_at(second: Second) -> Day {
    second.div_euclid(SECONDS_A_DAY) as Day
}

/// The first second of a day.
pub(crate) fn start_of(day: Day) -> Second {
    i64::from(day) * SECONDS_A_DAY
}

/// The date of a day's number; the ends of the calendar stand for days beyond them.
pub(crate) fn date_of(day: Day) -> Date {
    let from_epoch = jiff::SignedDuration::from_hours(i64::from(day) * 24);
    civil::date(1970, 1, 1).saturating_add(from_epoch)
}

/// How a number of things is spread over the days from three years back to a year ahead.
#[derive(Debug)]
pub(crate) struct Timeline {
    first: Day,
    /// Pairs on all days before each day; the last element counts all.
    pairs_before: Vec<u32>,
    /// The day whose last pair is a triple, when the number of things is odd.
    odd_day: Option<Day>,
}

/// Days between the ends of the timeline and the ends of what is promised, so that a rescheduled meeting stays inside.
pub(crate) const MARGIN: Day = 16;

impl Timeline {
    /// Spreads `count` things around the month of `now`, densest in the last year.
    ///
    /// Things come in pairs that share their day, so that no export holds exactly one record, which would crash a
    /// client that others wrote (contract (l)).
    pub(crate) fn new(count: u32, now: Timestamp, seed: u64) -> Self {
        let today = date_of(day_at(now.as_second()));
        let anchor = day_of(today.first_of_month());
        // The start lies within three years of any day of this month, the end within one year of each.
        let (first, last) = (anchor - 3 * 365 + 31 + MARGIN, anchor + 365 - MARGIN);
        let weights: Vec<u64> = (first..=last).map(|day| weight(day, anchor, seed)).collect();
        let total: u64 = weights.iter().sum();
        let pairs = u64::from(count / 2);
        let mut pairs_before = Vec::with_capacity(weights.len() + 1);
        let mut sum = 0;
        pairs_before.push(0);
        for weight in weights {
            sum += weight;
            // Rounding the running sum spreads what is left over evenly; 5 million pairs times the weights fit easily.
            pairs_before.push(((pairs * sum + total / 2) / total) as u32);
        }
        let mut timeline = Self { first, pairs_before, odd_day: None };
        if count % 2 == 1 {
            timeline.odd_day =
                Some((first..anchor).rev().find(|&day| timeline.pairs(day) > 0).unwrap_or(anchor - 1));
        }
        timeline
    }

    pub(crate) fn first(&self) -> Day {
        self.first
    }

    pub(crate) fn last(&self) -> Day {
        self.first + self.pairs_before.len() as Day - 2
    }

    fn index(&self, day: Day) -> Option<usize> {
        usize::try_from(i64::from(day) - i64::from(self.first))
            .ok()
            .filter(|&i| i + 1 < self.pairs_before.len())
    }

    fn even_pairs(&self, day: Day) -> u32 {
        self.index(day).map_or(0, |i| self.pairs_before[i + 1] - self.pairs_before[i])
    }

    /// Pairs of a day; a lone thing counts as a pair.
    pub(crate) fn pairs(&self, day: Day) -> u32 {
        let pairs = self.even_pairs(day);
        if pairs == 0 && self.odd_day == Some(day) { 1 } else { pairs }
    }

    /// The numbers, within the day, of the things in one of the day's pairs.
    pub(crate) fn members(&self, day: Day, pair: u32) -> std::ops::Range<u32> {
        let pairs = self.even_pairs(day);
        let odd = self.odd_day == Some(day);
        if pairs == 0 {
            return if odd { 0..1 } else { 0..0 };
        }
        let end = 2 * pair + 2;
        2 * pair..if odd && pair + 1 == pairs { end + 1 } else { end }
    }

    /// The pair that a thing of the day belongs to.
    pub(crate) fn pair_of(&self, day: Day, number: u32) -> u32 {
        (number / 2).min(self.even_pairs(day).saturating_sub(1))
    }

    /// A number for the thing that no other thing of the timeline has.
    pub(crate) fn ordinal(&self, day: Day, number: u32) -> u64 {
        let before = self.index(day).map_or(0, |i| self.pairs_before[i]);
        let shift = u64::from(self.odd_day.is_some_and(|odd| odd < day));
        2 * u64::from(before) + shift + u64::from(number)
    }

    /// How many things lie on the days from `from` to `to`, both included, give or take one.
    pub(crate) fn estimate(&self, from: Day, to: Day) -> u64 {
        let (from, to) = (from.max(self.first), to.min(self.last()));
        match (self.index(from), self.index(to)) {
            (Some(from), Some(to)) if from <= to => {
                2 * u64::from(self.pairs_before[to + 1] - self.pairs_before[from])
            }
            _ => 0,
        }
    }
}

/// The relative number of things on a day: growing over the years, dense in the last one, thinning ahead, few at
/// weekends, and a little different every day.
fn weight(day: Day, anchor: Day, seed: u64) -> u64 {
    let age = i64::from(anchor - day);
    let level = match age {
        731.. => 300,
        366..=730 => 500,
        31..=365 => 1_400 + (365 - age) * 2,
        0..=30 => 1_900,
        -60..=-1 => 1_500,
        _ => (1_200 + (age + 60) * 6).max(150),
    };
    // Day 0 was a Thursday.
    let weekend = matches!((day + 4).rem_euclid(7), 0 | 6);
    let level = if weekend { level / 8 } else { level };
    level as u64 * (80 + mix(seed ^ day as u64) % 41) / 100
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        "2026-06-18T12:00:00Z".parse().unwrap()
    }

    #[test]
    fn every_thing_has_a_day_and_a_number_of_its_own() {
        for count in [0, 1, 2, 3, 7, 1_000, 1_001] {
            let timeline = Timeline::new(count, now(), 3);
            let mut ordinals: Vec<u64> = (timeline.first()..=timeline.last())
                .flat_map(|day| (0..timeline.pairs(day)).map(move |pair| (day, pair)))
                .flat_map(|(day, pair)| timeline.members(day, pair).map(move |n| (day, pair, n)))
                .map(|(day, pair, n)| {
                    assert_eq!(timeline.pair_of(day, n), pair);
                    timeline.ordinal(day, n)
                })
                .collect();
            ordinals.sort_unstable();
            ordinals.dedup();
            assert_eq!(ordinals.len(), count as usize);
        }
    }

    #[test]
    fn the_population_reaches_from_three_years_back_to_a_year_ahead_and_is_densest_in_the_last_year() {
        let timeline = Timeline::new(1_000_000, now(), 3);
        let today = day_at(now().as_second());
        assert!(timeline.first() >= today - 3 * 365 && timeline.first() < today - 1_000);
        assert!(timeline.last() <= today + 365 && timeline.last() > today + 300);
        let year = |ago: i32| timeline.estimate(today - 365 * (ago + 1), today - 365 * ago);
        assert!(year(0) > 2 * year(1) && year(1) > year(2) && year(0) > 2 * year(-1));
        assert_eq!(timeline.estimate(timeline.first(), timeline.last()), 1_000_000);
    }

    #[test]
    fn a_start_later_in_the_month_shows_the_same_world() {
        let early = Timeline::new(1_000, "2026-06-01T00:00:00Z".parse().unwrap(), 3);
        let late = Timeline::new(1_000, "2026-06-30T23:59:59Z".parse().unwrap(), 3);
        assert_eq!(early.pairs_before, late.pairs_before);
    }

    #[test]
    fn dates_and_numbers_agree() {
        assert_eq!(day_of(civil::date(1970, 1, 1)), 0);
        assert_eq!(day_of(civil::date(2000, 3, 1)), 11_017);
        assert_eq!(date_of(11_017), civil::date(2000, 3, 1));
        assert_eq!(date_of(-1), civil::date(1969, 12, 31));
    }
}
