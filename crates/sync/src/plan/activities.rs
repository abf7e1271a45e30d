//! The jobs of activities: which snapshots and which deltas, and why these.
//!
//! The choice between them is one day: the one from which on snapshots count. If it is early, all snapshots that there are
//! count, and deltas must run from the oldest of them; if it is later, some dates are snapshotted again, and fewer deltas
//! are needed. Every such day is right, because it leads to a base (see `coverage`), so the one with the fewest jobs is
//! taken; of equals, the one with the fewest snapshots.

use std::collections::BTreeSet;

use backstory_api::ActivityType;
use backstory_destination::{DeliveryKind, PartOf, Window};
use backstory_limits::DateRange;
use jiff::Timestamp;
use jiff::civil::Date;

use super::pieces::{Piece, adjacent_windows, fewest_windows};
use super::planned_job::{PlannedJob, Reason};
use super::sync_plan::Situation;
use crate::coverage::days::{earlier, later};
use crate::coverage::history::History;
use crate::coverage::processed::ProcessedDays;
use crate::coverage::{DayCover, SINGLE_TYPES};

/// The jobs of activities, snapshots before deltas.
pub(crate) fn plan(situation: &Situation<'_>, choices: &mut Vec<String>) -> Vec<PlannedJob> {
    let facts = Facts {
        situation,
        history: History::of(situation.deliveries, situation.settings.settling),
        processed: ProcessedDays::of(situation.deliveries, situation.settings.settling),
    };
    // With the calendar's first day as the limit, every snapshot counts.
    let Some(everything) = facts.way(Date::MIN) else { return Vec::new() };
    let chosen = facts.best(&everything);
    let chosen = chosen.as_ref().unwrap_or(&everything);
    facts.explain(chosen, &everything, choices);
    facts.jobs(chosen, &everything)
}

struct Facts<'a> {
    situation: &'a Situation<'a>,
    history: History,
    processed: ProcessedDays,
}

/// A way to become current, given which snapshots count.
struct Way {
    /// Only snapshots that are right about the days before this one count.
    counts_from: Date,
    /// The whole history, its horizon included.
    range: DateRange,
    snapshots: Vec<Piece>,
    deltas: Vec<Piece>,
    /// How many deltas there would be if none were too much for one job.
    uncut_deltas: usize,
    /// The days that deltas must close or load, without those read again for safety.
    wanted: Vec<Date>,
    /// Days that have been loaded by types only, are not tried as a whole now, and when they will be.
    put_off: Vec<(Date, Timestamp)>,
}

impl Way {
    /// How many jobs it takes, for comparing ways. Deltas that were too much are counted as if they weren't: a year of
    /// activities must not be asked for because a day was too much.
    fn jobs(&self) -> usize {
        let of = |piece: &Piece| if piece.by_types { SINGLE_TYPES.len() } else { 1 };
        self.snapshots.iter().map(of).sum::<usize>() + self.uncut_deltas
    }
}

impl Facts<'_> {
    /// A way with fewer jobs than taking everything there is, if there is one.
    fn best(&self, everything: &Way) -> Option<Way> {
        let anew = self.way(self.situation.open)?;
        // No way needs fewer deltas than a new base, nor fewer snapshots than taking everything there is.
        if everything.uncut_deltas <= anew.uncut_deltas {
            return None;
        }
        let covers = self.history.dates().range(everything.range.start()..=everything.range.end());
        let limits: BTreeSet<Date> = covers
            .filter_map(|(_, cover)| cover.whole())
            .filter(|limit| *limit < self.situation.open)
            .collect();
        // The first has everything.
        let between = limits.into_iter().skip(1).filter_map(|limit| self.way(limit));
        let mut best: Option<Way> = None;
        for way in between.chain([anew]) {
            // Single types don't add up to a complete snapshot, and nothing less may stand in for deltas.
            if way.snapshots.iter().any(|piece| piece.by_types) {
                continue;
            }
            if way.jobs() < best.as_ref().map_or(everything.jobs(), Way::jobs) {
                best = Some(way);
            }
        }
        best
    }

    /// The way if only snapshots count that are right about the days before `counts_from`.
    fn way(&self, counts_from: Date) -> Option<Way> {
        let situation = self.situation;
        let range = DateRange::new(situation.settings.since, self.history_end(counts_from)).ok()?;
        let (mut base, mut lacking, mut put_off) = (None::<Date>, Vec::new(), Vec::new());
        for date in range {
            let (open, retried) = self.held(DeliveryKind::Snapshot, date, counts_from, &mut put_off);
            if retried || open.is_none() {
                lacking.push(date);
            }
            let open = open.unwrap_or(situation.open);
            base = Some(base.map_or(open, |base| base.min(open)));
        }
        let limits = &situation.settings.limits;
        let cut = |kind, windows: Vec<DateRange>| -> Vec<Piece> {
            windows.into_iter().flat_map(|window| situation.failures.cut(kind, window)).collect()
        };
        if lacking.is_empty() && put_off.is_empty() && !self.is_established() {
            lacking.push(situation.today);
        }
        let snapshots = cut(DeliveryKind::Snapshot, adjacent_windows(lacking, &limits.snapshot_range));
        let mut wanted = Vec::new();
        let base = base?;
        if let Ok(days) = DateRange::new(base, situation.last) {
            wanted.extend(
                days.iter().filter(|day| self.held(DeliveryKind::Delta, *day, Date::MIN, &mut put_off).1),
            );
        }
        let read = self.with_overlap(&wanted, base);
        let deltas = fewest_windows(&read, &limits.delta_range);
        let uncut_deltas = deltas.len();
        let deltas = cut(DeliveryKind::Delta, deltas);
        // Days that are only read again for safety need no pieces of their own.
        let is_needed =
            |piece: &Piece| piece.cut_from.is_none() || wanted.iter().any(|day| piece.window.contains(*day));
        let deltas = deltas.into_iter().filter(is_needed).collect();
        Some(Way { counts_from, range, snapshots, deltas, uncut_deltas, wanted, put_off })
    }

    /// Whether the records themselves say that a history that begins early enough is complete. They may not, although all
    /// dates are there, when it was asked for as a part of a longer one that has never been finished. A snapshot of a
    /// single date then says it.
    fn is_established(&self) -> bool {
        self.history.bases().iter().any(|base| base.history.start() <= self.situation.settings.since)
    }

    /// Up to which day a date or a day is held, and whether it is to be asked for (again) as a whole. A day that is held by
    /// types only is tried as a whole unless that has failed lately.
    fn held(
        &self,
        kind: DeliveryKind,
        day: Date,
        counts_from: Date,
        put_off: &mut Vec<(Date, Timestamp)>,
    ) -> (Option<Date>, bool) {
        let (cover, counts_from) = match kind {
            DeliveryKind::Delta => (self.processed.cover(day), later(day, 1)),
            _ => (self.history.cover(day), counts_from),
        };
        let Some(cover) = cover else { return (None, true) };
        if let Some(whole) = cover.whole().filter(|open| *open >= counts_from) {
            return (Some(whole), false);
        }
        // Single types close a day as well as can be, but they don't make a snapshot newer.
        let counts = |open: &Date| match kind {
            DeliveryKind::Delta => *open >= counts_from,
            _ => counts_from == Date::MIN,
        };
        let Some(by_types) = cover.by_types().filter(counts) else { return (None, true) };
        let until = self.situation.failures.day_put_off_until(kind, day);
        put_off.extend(until.map(|until| (day, until)));
        (Some(by_types), until.is_none())
    }

    /// Where the history should end. A horizon moves with every day, but asking for another day of the far future daily is
    /// a job for nothing: it is asked for anew when less than half of it is left, or when it was asked for with a nearer one.
    fn history_end(&self, counts_from: Date) -> Date {
        let situation = self.situation;
        let target = later(situation.today, situation.horizon);
        let counts = |cover: &DayCover| {
            cover.whole().is_some_and(|open| open >= counts_from)
                || (counts_from == Date::MIN && cover.by_types().is_some())
        };
        let reached = self.history.dates().iter().rfind(|(_, cover)| counts(cover)).map(|(date, _)| *date);
        let Some(reached) = reached else { return target };
        // What has landed of a history that reaches further is not the end of one.
        let ends = self.history.asked_up_to(reached);
        let is_far_enough =
            ends.is_some_and(|end| end >= later(situation.today, situation.horizon.div_ceil(2)));
        // A day is allowed for a midnight between planning and asking.
        let asked = self.history.horizon_asked(reached);
        let is_as_asked = asked.is_none_or(|asked| asked + 1 >= i64::from(situation.horizon));
        if is_far_enough && is_as_asked { reached } else { reached.max(target) }
    }

    /// The wanted days, each run of them with the days before it that are read again: what arrived late on them. A base
    /// that is made now has just read everything.
    fn with_overlap(&self, wanted: &[Date], base: Date) -> Vec<Date> {
        let overlap = if base < self.situation.open { self.situation.settings.overlap_days } else { 0 };
        let mut days = BTreeSet::new();
        let mut previous = None;
        for day in wanted {
            if previous.is_none_or(|previous| later(previous, 1) != *day) {
                days.extend((1..=overlap).map(|back| earlier(*day, back)));
            }
            days.insert(*day);
            previous = Some(*day);
        }
        days.into_iter().collect()
    }

    fn explain(&self, chosen: &Way, everything: &Way, choices: &mut Vec<String>) {
        let span = |way: &Way| way.wanted.first().zip(way.wanted.last()).map(|(a, b)| format!("{a} to {b}"));
        if chosen.counts_from > everything.counts_from {
            choices.push(format!(
                "{} instead of {}, since that is fewer jobs",
                jobs_of(chosen),
                jobs_of(everything)
            ));
        } else if let (true, Some(span)) = (chosen.uncut_deltas > 1, span(chosen)) {
            choices.push(format!(
                "the days from {span} take {} deltas of at most {} days; a new complete snapshot would not be \
                 fewer jobs",
                chosen.uncut_deltas,
                self.situation.settings.limits.delta_range.max_days()
            ));
        }
        let open = chosen.wanted.iter().find(|day| **day >= self.situation.open);
        if let Some(open) = open {
            choices.push(format!(
                "days from {open} on stay provisional: a day is closed by a job that is created {} hours after \
                 its end or later",
                self.situation.settings.settling.as_hours()
            ));
        }
        if let Some((first, until)) = chosen.put_off.first() {
            choices.push(format!(
                "{} loaded by activity types only, {first} for one, which is tried as a whole again from {until:.0} on",
                days_are(chosen.put_off.len()),
            ));
        }
    }

    fn jobs(&self, chosen: &Way, everything: &Way) -> Vec<PlannedJob> {
        let range = Window::new(chosen.range.start(), chosen.range.end());
        let part_of = PartOf { set: self.situation.set.clone(), range };
        let mut jobs = Vec::new();
        // The newest first, since those are what people look at.
        for piece in chosen.snapshots.iter().rev() {
            let reason = || self.why_snapshot(piece.window, chosen, everything);
            self.add(DeliveryKind::Snapshot, piece, Some(&part_of), reason, &mut jobs);
        }
        for piece in &chosen.deltas {
            let reason = || self.why_delta(piece.window, &chosen.wanted);
            self.add(DeliveryKind::Delta, piece, None, reason, &mut jobs);
        }
        jobs
    }

    fn add(
        &self,
        kind: DeliveryKind,
        piece: &Piece,
        part_of: Option<&PartOf>,
        reason: impl Fn() -> Reason,
        jobs: &mut Vec<PlannedJob>,
    ) {
        let provisional = kind == DeliveryKind::Delta && piece.window.end() >= self.situation.open;
        let mut push = |activity_type, reason| {
            let part_of = part_of.cloned();
            jobs.push(PlannedJob { kind, activity_type, window: piece.window, part_of, reason, provisional });
        };
        let reason = match piece.cut_from {
            Some((window, outcome)) => Reason::PieceOf { window, outcome: Some(outcome) },
            None => reason(),
        };
        if !piece.by_types {
            push(ActivityType::All, reason);
            return;
        }
        let day = piece.window.start();
        let cover = match kind {
            DeliveryKind::Snapshot => self.history.cover(day),
            _ => self.processed.cover(day),
        };
        for one in SINGLE_TYPES {
            let open = cover.and_then(|cover| cover.of_type(one));
            // A type of an older snapshot would make the base older than the plan reckons.
            let needed = match kind {
                DeliveryKind::Delta => later(day, 1),
                _ => self.situation.open,
            };
            if open.is_none_or(|open| open < needed) {
                push(one, Reason::PieceOf { window: piece.window, outcome: None });
            }
        }
    }

    fn why_snapshot(&self, window: DateRange, chosen: &Way, everything: &Way) -> Reason {
        let dates = self.history.dates();
        let (Some((first, _)), Some((reached, _))) = (dates.first_key_value(), dates.last_key_value()) else {
            return Reason::FirstHistory { history: chosen.range };
        };
        if window.end() < *first {
            return Reason::EarlierHistory { from: *first };
        }
        if window.start() > *reached {
            return match self.situation.horizon {
                0 if self.situation.settings.horizon_days > 0 => Reason::RollingTail { reached: *reached },
                _ => Reason::Horizon { reached: *reached },
            };
        }
        let is_there = |cover: Option<&DayCover>| cover.is_some_and(|cover| cover.whole().is_some());
        if window == DateRange::day(self.situation.today)
            && chosen.counts_from == everything.counts_from
            && is_there(self.history.cover(window.start()))
        {
            return Reason::HistoryItself;
        }
        if chosen.counts_from > everything.counts_from {
            return Reason::InsteadOfDeltas { deltas: everything.uncut_deltas };
        }
        Reason::MissingHistory
    }

    fn why_delta(&self, window: DateRange, wanted: &[Date]) -> Reason {
        let mut inside = wanted.iter().copied().filter(|day| window.contains(*day));
        let from = inside.next().unwrap_or(window.start());
        let to = inside.next_back().unwrap_or(from);
        let overlap = DateRange::new(window.start(), from).map_or(0, |range| range.days() - 1);
        Reason::OpenDays { from, to, overlap }
    }
}

fn jobs_of(way: &Way) -> String {
    let count = |count: usize, what: &str| match count {
        0 => None,
        1 => Some(format!("1 {what}")),
        count => Some(format!("{count} {what}s")),
    };
    let parts = [count(way.snapshots.len(), "snapshot"), count(way.uncut_deltas, "delta")];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" and ")
}

fn days_are(count: usize) -> String {
    if count == 1 { "1 day is".to_owned() } else { format!("{count} days are") }
}
