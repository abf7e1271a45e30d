//! Finds the records that an export, or a question about the truth, asks for: of a day, or of a whole delta.

use std::sync::atomic::AtomicBool;

use super::World;
use super::calendar::{Day, Second, day_at};
use super::contact::ContactFilter;
use super::cursor::is_set;
use super::life_cycle::{ActivityType, CLASSES};
use super::timing::Entry;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    /// Activities whose date lies in the range, as they stand.
    Snapshot,
    /// Activities that were processed in the range.
    Delta,
    /// Activities that stand, and were last processed by the end of the range: what a client should hold.
    Current,
    /// Contacts that were created in the range.
    Contacts,
}

/// A set of records at a moment.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    pub(crate) subject: Subject,
    /// The first and the last day, both included.
    pub(crate) from: Day,
    pub(crate) to: Day,
    /// The moment whose state is asked for: nothing that was processed after it is known.
    pub(crate) at: Second,
    /// One type of activity, or all.
    pub(crate) kind: Option<ActivityType>,
    pub(crate) contacts: ContactFilter,
    pub(crate) delta: DeltaRules,
    pub(crate) order: Order,
}

/// Row j.24: how the records of a file follow each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Order {
    /// By time, each once.
    #[default]
    Sorted,
    /// In no order: the batches follow each other in another order than their days, and are mixed within.
    Shuffled,
    /// By time, some twice.
    Duplicated,
}

/// Rows j.42 to j.44: what a delta does with records that were processed more than once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct DeltaRules {
    /// j.42: the state at the processing in the window, instead of the state at the job's start.
    pub(crate) state_at_processing: bool,
    /// j.43: once per processing, instead of once.
    pub(crate) each_processing: bool,
    /// j.44: only under the latest processing day, instead of under each.
    pub(crate) latest_day_only: bool,
}

impl World {
    /// Calls `found` with each pair of a class on a nominal day.
    fn pairs_of(&self, class: u32, day: Day, mut found: impl FnMut(u32)) {
        let first = class.wrapping_sub(self.rotation(day)) % CLASSES;
        for pair in (first..self.timeline.pairs(day)).step_by(CLASSES as usize) {
            found(pair);
        }
    }

    /// How many processings of a pair had happened by the second `at`.
    fn applied(&self, class: u32, day: Day, pair: u32, at: Second) -> usize {
        let cycle = &self.cycles[class as usize];
        let through = cycle.events_through(day_at(at) - day);
        // One event a day at most, so only the last can lie later on the day of `at`.
        match through.checked_sub(1) {
            Some(last) if self.instant(day, pair, cycle, last) > at => last,
            _ => through,
        }
    }

    fn add_pair(&self, class: u32, day: Day, pair: u32, applied: usize, batch: &mut Vec<Entry>) {
        let cycle = &self.cycles[class as usize];
        for number in self.timeline.members(day, pair) {
            let time = self.activity_time(day, pair, number, cycle, applied);
            batch.push(Entry { time: time as u32, day, number, applied: applied as u8 });
        }
    }

    fn classes(&self, question: &Question) -> impl Iterator<Item = u32> {
        let kind = question.kind;
        (0..CLASSES).filter(move |&class| kind.is_none_or(|kind| self.cycles[class as usize].kind == kind))
    }

    /// Activities whose date is `date`.
    pub(super) fn add_dated(&self, question: &Question, date: Day, batch: &mut Vec<Entry>) {
        for class in self.classes(question) {
            let cycle = &self.cycles[class as usize];
            for &moved in &cycle.moves {
                let day = date - moved;
                self.pairs_of(class, day, |pair| {
                    let applied = self.applied(class, day, pair, question.at);
                    if applied > 0 && cycle.standings[applied - 1].moved == moved {
                        self.add_pair(class, day, pair, applied, batch);
                    }
                });
            }
        }
    }

    /// Activities that were processed on the days of the question.
    pub(super) fn add_processed(
        &self,
        question: &Question,
        stop: Option<&AtomicBool>,
        batch: &mut Vec<Entry>,
    ) {
        let rules = question.delta;
        for class in self.classes(question) {
            let cycle = &self.cycles[class as usize];
            for (number, event) in cycle.events.iter().enumerate() {
                if is_set(stop) {
                    return;
                }
                // On other days nothing of this world is processed, however wide the question is.
                let (first, last) = (self.timeline.first() + event.day, self.timeline.last() + event.day);
                let last = last.min(question.to).min(day_at(question.at));
                for processed in first.max(question.from)..=last {
                    let day = processed - event.day;
                    self.pairs_of(class, day, |pair| {
                        let applied = self.applied(class, day, pair, question.at);
                        if applied <= number {
                            return;
                        }
                        // The last processing that lies in the window too.
                        let last = applied.min(cycle.events_through(question.to - day)) - 1;
                        if (number != last && !rules.each_processing)
                            || (rules.latest_day_only && number != applied - 1)
                        {
                            return;
                        }
                        let applied = if rules.state_at_processing { number + 1 } else { applied };
                        self.add_pair(class, day, pair, applied, batch);
                    });
                }
            }
        }
    }

    /// Activities of a nominal day that stand at the moment of the question, and were last processed by its last day.
    pub(super) fn add_current(&self, question: &Question, day: Day, batch: &mut Vec<Entry>) {
        for class in self.classes(question) {
            let cycle = &self.cycles[class as usize];
            self.pairs_of(class, day, |pair| {
                let applied = self.applied(class, day, pair, question.at);
                if applied > 0 && day + cycle.events[applied - 1].day <= question.to {
                    self.add_pair(class, day, pair, applied, batch);
                }
            });
        }
    }

    /// Contacts that were created on a day.
    pub(super) fn add_contacts(&self, question: &Question, day: Day, batch: &mut Vec<Entry>) {
        for pair in 0..self.contact_timeline.pairs(day) {
            for number in self.contact_timeline.members(day, pair) {
                let created = self.contact_created(day, number);
                if created <= question.at && self.is_contact_wanted(day, number, &question.contacts) {
                    batch.push(Entry { time: created as u32, day, number, applied: 0 });
                }
            }
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::sync::Arc;

    use super::super::calendar::{day_of, start_of};
    use super::super::cursor::Cursor;
    use super::*;

    pub(in crate::world) const NOON: Second = 43_200;

    pub(in crate::world) fn world(count: u32) -> Arc<World> {
        Arc::new(World::new(11, count, count / 4, "2026-06-18T12:00:00Z".parse().unwrap()))
    }

    pub(in crate::world) fn today() -> Day {
        day_of(jiff::civil::date(2026, 6, 18))
    }

    pub(in crate::world) fn question(subject: Subject, from: Day, to: Day, at: Second) -> Question {
        Question {
            subject,
            from,
            to,
            at,
            kind: None,
            contacts: ContactFilter::all(),
            delta: DeltaRules::default(),
            order: Order::Sorted,
        }
    }

    pub(in crate::world) fn answer(world: &Arc<World>, question: Question) -> Vec<Entry> {
        Cursor::new(Arc::clone(world), question).collect()
    }

    #[test]
    fn snapshots_of_all_days_hold_what_stands() {
        let world = world(4_001);
        let at = start_of(today()) + NOON;
        let (first, last) = world.days();
        let mut dated = answer(&world, question(Subject::Snapshot, first, last, at));
        assert!(dated.is_sorted());
        let mut current = answer(&world, question(Subject::Current, first, last, at));
        assert!(dated.len() > 3_000 && dated.len() < 4_001, "some are still to come: {}", dated.len());
        dated.sort_unstable();
        current.sort_unstable();
        assert_eq!(dated, current);
        assert!(
            dated.iter().any(|entry| Day::try_from(entry.time / 86_400).unwrap() > today() + 30),
            "booked"
        );
    }

    #[test]
    fn a_delta_holds_exactly_what_was_processed_in_its_window() {
        let world = world(3_000);
        let (from, to) = (today() - 20, today() - 7);
        let at = start_of(today()) + NOON;
        let mut expected = BTreeSet::new();
        for day in world.timeline.first()..=world.timeline.last() {
            for pair in 0..world.timeline.pairs(day) {
                let cycle = world.cycle(day, pair);
                let hit = (0..cycle.events.len())
                    .any(|number| (from..=to).contains(&day_at(world.instant(day, pair, cycle, number))));
                if hit {
                    expected.extend(world.timeline.members(day, pair).map(|number| (day, number)));
                }
            }
        }
        let delta = answer(&world, question(Subject::Delta, from, to, at));
        assert!(delta.is_sorted());
        assert_eq!(delta.len(), expected.len(), "once per window");
        assert_eq!(delta.iter().map(|entry| (entry.day, entry.number)).collect::<BTreeSet<_>>(), expected);
    }

    #[test]
    fn a_snapshot_and_the_deltas_after_it_merge_to_the_truth() {
        let world = world(3_000);
        let (first, last) = world.days();
        let start = today();
        let mut held: BTreeMap<(Day, u32), (u8, Entry)> = BTreeMap::new();
        let mut merge = |entries: Vec<Entry>| {
            for entry in entries {
                let slot = held.entry((entry.day, entry.number)).or_insert((entry.applied, entry));
                if entry.applied >= slot.0 {
                    *slot = (entry.applied, entry);
                }
            }
        };
        merge(answer(&world, question(Subject::Snapshot, first, last, start_of(start) + NOON)));
        for day in 0..40 {
            let at = start_of(start + day + 1) + 3_600;
            merge(answer(&world, question(Subject::Delta, start + day, start + day + 1, at)));
        }
        let at = start_of(start + 40) + 3_600;
        let current = answer(&world, question(Subject::Current, first, start + 39, at));
        let mut merged: Vec<Entry> = held
            .values()
            .map(|(_, entry)| *entry)
            .filter(|entry| {
                let pair = world.timeline.pair_of(entry.day, entry.number);
                let cycle = world.cycle(entry.day, pair);
                entry.day + cycle.events[usize::from(entry.applied) - 1].day <= start + 39
            })
            .collect();
        merged.sort_unstable();
        let mut current = current;
        current.sort_unstable();
        assert_eq!(merged, current);
    }

    #[test]
    fn no_export_holds_exactly_one_record() {
        let world = world(301);
        let (first, last) = world.days();
        let at = start_of(today() + 90) + NOON;
        for day in first..=last {
            for kind in
                [None, Some(ActivityType::Email), Some(ActivityType::Meeting), Some(ActivityType::Call)]
            {
                for subject in [Subject::Snapshot, Subject::Delta] {
                    let answer = answer(&world, Question { kind, ..question(subject, day, day, at) });
                    assert_ne!(answer.len(), 1, "{subject:?} {kind:?} {day}");
                }
            }
        }
    }

    #[test]
    fn only_under_the_latest_day_holds_within_a_window_too() {
        let world = world(6_000);
        let at = start_of(today()) + NOON;
        let (from, to) = (today() - 13, today());
        for each_processing in [false, true] {
            let delta = DeltaRules { latest_day_only: true, each_processing, ..DeltaRules::default() };
            let of = |from, to| answer(&world, Question { delta, ..question(Subject::Delta, from, to, at) });
            let mut days: Vec<Entry> = (from..=to).flat_map(|day| of(day, day)).collect();
            days.sort_unstable();
            assert_eq!(of(from, to), days, "each: {each_processing}");
        }
    }

    #[test]
    fn a_window_wider_than_the_world_holds_all_that_was_ever_processed() {
        let world = world(2_000);
        let at = start_of(today()) + NOON;
        let all = answer(&world, question(Subject::Delta, -700_000, 2_900_000, at));
        let (first, last) = world.days();
        let mut standing = answer(&world, question(Subject::Current, first, last, at));
        standing.sort_unstable();
        assert_eq!(all, standing);
    }

    #[test]
    fn each_rule_for_deltas_shows() {
        let world = world(6_000);
        let at = start_of(today()) + NOON;
        let count = |delta: DeltaRules| {
            answer(&world, Question { delta, ..question(Subject::Delta, today() - 25, today() - 12, at) })
        };
        let plain = count(DeltaRules::default());
        let each = count(DeltaRules { each_processing: true, ..DeltaRules::default() });
        let latest = count(DeltaRules { latest_day_only: true, ..DeltaRules::default() });
        let then = count(DeltaRules { state_at_processing: true, ..DeltaRules::default() });
        assert!(each.len() > plain.len() && latest.len() < plain.len());
        assert_eq!(then.len(), plain.len());
        assert_ne!(then, plain);
    }
}
