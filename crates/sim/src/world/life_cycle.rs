//! How an activity comes to be and changes: the processing events of its life, as days relative to its nominal day.
//!
//! Every pair of activities follows one of [`CLASSES`] life cycles, chosen by its number within its day. That makes the
//! world invertible: what is processed on a given day is found by going through the life cycles, not through the
//! population, so a day of a delta costs in proportion to that day.

use super::calendar::Day;
use super::chance::{Draws, keyed};

/// The number of life cycles.
pub(crate) const CLASSES: u32 = 256;

/// The type of an activity, contract (e.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum ActivityType {
    /// An email.
    Email,
    /// A meeting, possibly booked for the future.
    Meeting,
    /// A phone call, often logged by hand.
    Call,
}

impl ActivityType {
    /// The word of the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Meeting => "meeting",
            Self::Call => "call",
        }
    }

    /// Reads the word of the wire, whatever its case.
    pub(crate) fn read(text: &str) -> Option<Self> {
        [Self::Email, Self::Meeting, Self::Call].into_iter().find(|t| t.as_str().eq_ignore_ascii_case(text))
    }
}

/// What one processing of an activity changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// First ingested.
    Born,
    /// Matched to a CRM object, or to another one.
    Matched,
    /// A reply to the email arrived.
    Replied,
    /// The meeting was put off by so many days.
    Moved(i8),
    /// Somebody was invited.
    Joined,
    /// Somebody was taken off the list.
    Left,
    /// The meeting was called off.
    Cancelled,
    /// The meeting took place, and its length is known.
    Held,
}

/// One processing of an activity.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Event {
    /// Days from the activity's nominal day to the day of this processing.
    pub(crate) day: Day,
    pub(crate) change: Change,
}

/// What all changes up to some processing amount to.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Standing {
    /// Days from the nominal day to the activity's date.
    pub(crate) moved: Day,
    /// How often it was matched to a CRM object; 0 is not yet.
    pub(crate) matched: u32,
    /// The processing that last matched it.
    pub(crate) matched_by: usize,
    pub(crate) joined: u32,
    pub(crate) left: u32,
    pub(crate) replied: bool,
    pub(crate) cancelled: bool,
    pub(crate) held: bool,
}

/// A course of life: the events in order, one a day at most, and how the activity stands after each.
#[derive(Debug)]
pub(crate) struct LifeCycle {
    pub(crate) kind: ActivityType,
    pub(crate) events: Vec<Event>,
    pub(crate) standings: Vec<Standing>,
    /// The different values of [`Standing::moved`].
    pub(crate) moves: Vec<Day>,
}

impl LifeCycle {
    fn new(class: u32) -> Self {
        // The table is the same in every world, so it is keyed by nothing but the class.
        let mut draws = Draws::new(keyed(0, 0x11fe, u64::from(class), 0));
        let kind = match class {
            0..150 => ActivityType::Email,
            150..226 => ActivityType::Meeting,
            _ => ActivityType::Call,
        };
        let born = match class {
            0..118 => 0,
            118..130 => 1,
            130..136 => 2,
            136..140 => 5,
            140..143 => 12,
            143..146 => 30,
            146..148 => 60,
            148..150 => 120,
            150..162 => 0,
            162..226 => -draws
                .pick(&[1, 2, 3, 5, 7, 7, 10, 14, 14, 21, 28, 28, 45, 60, 60, 90, 120, 150, 180, 240, 300]),
            226..246 => 0,
            246..252 => 1,
            _ => 3,
        };
        let mut course = Course { events: vec![Event { day: born, change: Change::Born }] };
        if kind == ActivityType::Meeting {
            course.meet(&mut draws, born);
        } else if kind == ActivityType::Email && draws.chance(300) {
            let after = draws.below(6) as Day;
            course.then(born + 1 + after, Change::Replied);
        }
        let first_match = draws.chance(850);
        if !first_match {
            let after = draws.below(14) as Day;
            course.then(born.max(0) + 1 + after, Change::Matched);
        }
        if draws.chance(220) {
            let after = draws.below(50) as Day;
            course.then(born.max(0) + 10 + after, Change::Matched);
        }
        if draws.chance(50) {
            let after = draws.below(200) as Day;
            course.then(born.max(0) + 100 + after, Change::Matched);
        }
        Self::of(kind, course.events, u32::from(first_match))
    }

    fn of(kind: ActivityType, events: Vec<Event>, matched: u32) -> Self {
        let mut standing = Standing { matched, ..Standing::default() };
        let mut standings = Vec::with_capacity(events.len());
        for (number, event) in events.iter().enumerate() {
            match event.change {
                Change::Born => {}
                Change::Matched => {
                    standing.matched += 1;
                    standing.matched_by = number;
                }
                Change::Replied => standing.replied = true,
                Change::Moved(days) => standing.moved += Day::from(days),
                Change::Joined => standing.joined += 1,
                Change::Left => standing.left += 1,
                Change::Cancelled => standing.cancelled = true,
                Change::Held => standing.held = true,
            }
            standings.push(standing);
        }
        let mut moves: Vec<Day> = standings.iter().map(|standing| standing.moved).collect();
        moves.sort_unstable();
        moves.dedup();
        Self { kind, events, standings, moves }
    }

    /// How many events lie within the days up to `day`, counted from the nominal day.
    pub(crate) fn events_through(&self, day: Day) -> usize {
        self.events.partition_point(|event| event.day <= day)
    }
}

struct Course {
    events: Vec<Event>,
}

impl Course {
    /// Adds an event on `day`, or on the first day after the last event.
    fn then(&mut self, day: Day, change: Change) {
        let last = self.events.last().map_or(Day::MIN, |event| event.day);
        self.events.push(Event { day: day.max(last.saturating_add(1)), change });
    }

    /// The course of a meeting that was booked on day `born`.
    fn meet(&mut self, draws: &mut Draws, born: Day) {
        let mut moved = 0;
        let mut cancelled = false;
        if born <= -5 {
            if draws.chance(300) {
                let days = draws.pick(&[-1, 1, 1, 2, 3, 7, 7, 14]);
                moved = Day::from(days);
                let before = (-born - 4).max(1) as u64;
                let after = draws.below(before) as Day;
                self.then(born + 1 + after, Change::Moved(days));
            }
            // What follows happens before the meeting, also before one that was moved a day ahead.
            for (share, change) in [(250, Change::Joined), (120, Change::Left), (180, Change::Cancelled)] {
                let last = self.events.last().map_or(born, |event| event.day);
                if draws.chance(share) && last < -2 {
                    let after = draws.below((-2 - last) as u64) as Day;
                    self.then(last + 1 + after, change);
                    cancelled = change == Change::Cancelled;
                }
            }
        }
        if !cancelled && born < 0 {
            self.then(moved, Change::Held);
        }
    }
}

/// All life cycles, by class.
pub(crate) fn life_cycles() -> Vec<LifeCycle> {
    (0..CLASSES).map(LifeCycle::new).collect()
}

#[cfg(test)]
mod tests {
    use super::super::calendar::MARGIN;
    use super::*;

    #[test]
    fn no_life_cycle_has_two_events_on_one_day_or_moves_out_of_the_margin() {
        for cycle in life_cycles() {
            assert!(cycle.events.windows(2).all(|two| two[0].day < two[1].day));
            assert!(cycle.moves.iter().all(|moved| moved.abs() < MARGIN));
            assert_eq!(cycle.events.len(), cycle.standings.len());
        }
    }

    #[test]
    fn a_meeting_is_moved_and_called_off_before_it_takes_place_only() {
        let cycles = life_cycles();
        for cycle in cycles.iter().filter(|cycle| cycle.kind == ActivityType::Meeting) {
            let date = cycle.standings.last().unwrap().moved;
            for event in &cycle.events {
                match event.change {
                    Change::Moved(_) | Change::Joined | Change::Left | Change::Cancelled => {
                        assert!(event.day < date && event.day < 0);
                    }
                    Change::Held => assert_eq!(event.day, date),
                    _ => {}
                }
            }
        }
    }

    #[test]
    fn every_kind_of_change_occurs() {
        let cycles = life_cycles();
        let ends: Vec<&Standing> = cycles.iter().filter_map(|cycle| cycle.standings.last()).collect();
        assert!(ends.iter().any(|end| end.moved != 0));
        assert!(ends.iter().any(|end| end.joined > 0) && ends.iter().any(|end| end.left > 0));
        assert!(ends.iter().any(|end| end.cancelled) && ends.iter().any(|end| end.held));
        assert!(ends.iter().any(|end| end.replied) && ends.iter().any(|end| end.matched > 1));
        let revisions: usize = cycles.iter().map(|cycle| cycle.events.len()).sum();
        assert!((300..700).contains(&revisions), "{revisions}");
    }
}
