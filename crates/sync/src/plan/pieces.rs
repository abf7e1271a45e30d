//! Windows that are too much for one job: halved down to a day, then by activity type, then given up.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use backstory_api::ActivityType;
use backstory_destination::DeliveryKind;
use backstory_limits::{DateRange, RangeLimit};
use jiff::Timestamp;
use jiff::civil::Date;

use super::attempt::{Attempt, AttemptOutcome};
use super::planned_job::{PlannedJob, Reason};
use crate::coverage::SINGLE_TYPES;
use crate::coverage::days::{earlier, later};

/// The days of a delta are the other range that is published: it is what contacts get where a year is refused
/// (contract (j.4)).
const NARROW_DAYS: u32 = 14;

/// What to run in the place of a job that came to nothing because it was too much: its window in halves; for a single day
/// of all activities, the day by each type. Empty when there is nothing smaller left to ask for; what a day then still
/// lacks is reported as failed, and asked for again by the next sync.
pub fn pieces_after_failure(job: &PlannedJob, outcome: AttemptOutcome) -> Vec<PlannedJob> {
    let reason = match &job.reason {
        // The window as it was first asked for says more than the piece before this one.
        Reason::PieceOf { window, outcome } => Reason::PieceOf { window: *window, outcome: *outcome },
        _ => Reason::PieceOf { window: job.window, outcome: Some(outcome) },
    };
    let piece = |window, activity_type| PlannedJob {
        window,
        activity_type,
        reason: reason.clone(),
        kind: job.kind,
        part_of: job.part_of.clone(),
        provisional: job.provisional,
    };
    if outcome == AttemptOutcome::FutureRefused {
        return Vec::new();
    }
    if job.window.days() > 1 {
        return smaller(job.kind, job.window, outcome)
            .into_iter()
            .map(|window| piece(window, job.activity_type))
            .collect();
    }
    if job.kind == DeliveryKind::Contacts || job.activity_type != ActivityType::All {
        return Vec::new();
    }
    SINGLE_TYPES.iter().map(|one| piece(job.window, *one)).collect()
}

/// A window of several days in smaller ones.
fn smaller(kind: DeliveryKind, window: DateRange, outcome: AttemptOutcome) -> Vec<DateRange> {
    let narrow =
        kind == DeliveryKind::Contacts && outcome == AttemptOutcome::TooWide && window.days() > NARROW_DAYS;
    let days = if narrow { NARROW_DAYS } else { window.days().div_ceil(2) };
    RangeLimit::new("a piece", "", days).split(window).collect()
}

/// The failures that still count: of each window the one that counts for longest.
#[derive(Clone, Debug)]
pub(crate) struct KnownFailures<'a>(BTreeMap<(DeliveryKind, DateRange), &'a Attempt>);

impl<'a> KnownFailures<'a> {
    pub(crate) fn of(attempts: &'a [Attempt], now: Timestamp) -> Self {
        let mut failures = BTreeMap::new();
        let counts = |attempt: &&Attempt| {
            attempt.is_too_much()
                && now < attempt.makes_smaller_until()
                // A single type that failed can't be made smaller.
                && attempt.activity_type == ActivityType::All
        };
        for attempt in attempts.iter().filter(counts) {
            let known = failures.entry((attempt.kind, attempt.window)).or_insert(attempt);
            let rank = |attempt: &Attempt| (attempt.makes_smaller_until(), attempt.outcome);
            if rank(known) < rank(attempt) {
                *known = attempt;
            }
        }
        Self(failures)
    }

    /// The failure that says that this window is too much: of one that was no wider, at least half of whose days it has.
    pub(crate) fn concerning(&self, kind: DeliveryKind, window: DateRange) -> Option<&'a Attempt> {
        if window.days() == 1 {
            return self.0.get(&(kind, window)).copied();
        }
        let concerns = |failed: DateRange| {
            let shared = window.intersection(failed).map_or(0, DateRange::days);
            failed.days() <= window.days() && shared * 2 >= failed.days()
        };
        let first = DateRange::day(earlier(window.start(), window.days()));
        let last = DateRange::day(later(window.end(), 1));
        self.0
            .range((kind, first)..(kind, last))
            .find(|((_, failed), _)| concerns(*failed))
            .map(|(_, attempt)| *attempt)
    }

    /// Until when a day is too much for one job, as far as is known.
    pub(crate) fn day_put_off_until(&self, kind: DeliveryKind, day: Date) -> Option<Timestamp> {
        self.concerning(kind, DateRange::day(day)).map(Attempt::makes_smaller_until)
    }

    /// The window as it should be asked for, with what has been learnt: pieces of days, in order, each with the failure
    /// that made it a piece.
    pub(crate) fn cut(&self, kind: DeliveryKind, window: DateRange) -> Vec<Piece> {
        let mut pieces = Vec::new();
        self.cut_into(kind, window, None, &mut pieces);
        pieces
    }

    fn cut_into(
        &self,
        kind: DeliveryKind,
        window: DateRange,
        known: Option<(DateRange, AttemptOutcome)>,
        pieces: &mut Vec<Piece>,
    ) {
        let failure = self.concerning(kind, window);
        match failure {
            Some(failure) if window.days() > 1 => {
                let known = known.or(Some((window, failure.outcome)));
                for part in smaller(kind, window, failure.outcome) {
                    self.cut_into(kind, part, known, pieces);
                }
            }
            _ => pieces.push(Piece { window, cut_from: known, by_types: failure.is_some() }),
        }
    }
}

/// A window as it should be asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Piece {
    pub(crate) window: DateRange,
    /// The window that was too much, if this is a part of one.
    pub(crate) cut_from: Option<(DateRange, AttemptOutcome)>,
    /// Whether it is a single day that is still too much for one job.
    pub(crate) by_types: bool,
}

/// The fewest windows that hold all `wanted` days (in order, without gaps inside a window), each as wide as `limit` allows.
pub(crate) fn adjacent_windows(wanted: impl IntoIterator<Item = Date>, limit: &RangeLimit) -> Vec<DateRange> {
    let mut runs: Vec<DateRange> = Vec::new();
    for day in wanted {
        if let Some(run) = runs.last_mut()
            && later(run.end(), 1) == day
            && let Ok(longer) = DateRange::new(run.start(), day)
        {
            *run = longer;
        } else {
            runs.push(DateRange::day(day));
        }
    }
    runs.into_iter().flat_map(|run| limit.split(run)).collect()
}

/// The fewest windows that hold all `wanted` days (in order); of those, the ones with the fewest days in all, since a window
/// may hold days in between that nobody wants.
pub(crate) fn fewest_windows(wanted: &[Date], limit: &RangeLimit) -> Vec<DateRange> {
    // For each wanted day: how many windows and days it takes from there on, and the last wanted day of the first window.
    let mut best = vec![(0, 0, 0); wanted.len() + 1];
    for (first, start) in wanted.iter().enumerate().rev() {
        let ends = wanted.iter().enumerate().skip(first);
        best[first] = ends
            .map_while(|(last, end)| Some((last, DateRange::new(*start, *end).ok()?)))
            .take_while(|(_, window)| limit.check(*window).is_ok())
            .map(|(last, window)| {
                let (windows, days, _) = best[last + 1];
                (windows + 1, days + window.days(), last)
            })
            // Of equals, the widest first.
            .min_by_key(|(windows, days, last)| (*windows, *days, Reverse(*last)))
            // A single day is always legal.
            .unwrap_or((1, 1, first));
    }
    let (mut windows, mut first) = (Vec::new(), 0);
    while first < wanted.len() {
        let last = best[first].2;
        windows.extend(DateRange::new(wanted[first], wanted[last]));
        first = last + 1;
    }
    windows
}

#[cfg(test)]
mod tests {
    use super::*;

    fn days(text: &str) -> Vec<Date> {
        text.split_whitespace().flat_map(|range| range.parse::<DateRange>().unwrap()).collect()
    }

    fn shown(windows: &[DateRange]) -> String {
        windows.iter().map(DateRange::to_string).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn windows_bridge_days_that_nobody_wants_only_where_that_saves_a_window() {
        let limit = RangeLimit::new("a delta", "14 days", 14);
        let fewest = |text| shown(&fewest_windows(&days(text), &limit));
        assert_eq!(fewest("2026-03-01..2026-03-20"), "2026-03-01..2026-03-14 2026-03-15..2026-03-20");
        assert_eq!(fewest("2026-03-01 2026-03-14"), "2026-03-01..2026-03-14");
        let apart = "2026-03-01..2026-03-04 2026-03-12..2026-03-18";
        assert_eq!(fewest(apart), apart);
        let bridged = "2026-03-01..2026-03-10 2026-03-12..2026-03-18";
        assert_eq!(fewest(bridged), bridged);
        assert_eq!(
            fewest("2026-03-01 2026-03-05 2026-03-16"),
            "2026-03-01..2026-03-05 2026-03-16..2026-03-16"
        );
        assert_eq!(fewest_windows(&[], &limit), []);
        assert_eq!(
            shown(&adjacent_windows(days("2026-03-01 2026-03-05..2026-03-20"), &limit)),
            "2026-03-01..2026-03-01 2026-03-05..2026-03-18 2026-03-19..2026-03-20"
        );
    }
}
