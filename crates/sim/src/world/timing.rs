//! When an activity happens and when it is processed: all that selecting it needs, and nothing of its text.

use super::World;
use super::calendar::{Day, SECONDS_A_DAY, Second, start_of};
use super::chance::{keyed, mix, scale};
use super::life_cycle::{ActivityType, CLASSES, Change, LifeCycle};

/// One activity at one point of its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Entry {
    /// The activity's time, in seconds since 1970; the worlds lie between 1975 and 2100, so 32 bits hold it.
    pub(crate) time: u32,
    /// The nominal day, and the number within it, that the activity is computed from.
    pub(crate) day: Day,
    pub(crate) number: u32,
    /// How many of its processings have happened; at least 1.
    pub(crate) applied: u8,
}

impl World {
    /// The life cycle of a pair of activities.
    pub(crate) fn cycle(&self, day: Day, pair: u32) -> &LifeCycle {
        &self.cycles[(self.rotation(day).wrapping_add(pair) % CLASSES) as usize]
    }

    /// When a processing happened. Both members of a pair are processed in the same second, as in a batch.
    pub(crate) fn instant(&self, day: Day, pair: u32, cycle: &LifeCycle, number: usize) -> Second {
        let event = cycle.events[number];
        let bits = keyed(self.seed, 0x1e57, (u64::from(day as u32) << 32) | u64::from(pair), number as u64);
        let second = match (cycle.kind, event.change) {
            // A meeting is over by 20:00.
            (ActivityType::Meeting, Change::Held) => 72_000 + scale(bits, 14_000),
            (ActivityType::Meeting, Change::Born) if event.day >= 0 => 72_000 + scale(bits, 14_000),
            (ActivityType::Email | ActivityType::Call, Change::Born) if event.day == 0 => {
                1_600 + scale(bits, 84_000)
            }
            _ => scale(bits, SECONDS_A_DAY as u64),
        };
        start_of(day + event.day) + second as Second
    }

    /// The time of an activity after `applied` of its processings.
    pub(crate) fn activity_time(
        &self,
        day: Day,
        pair: u32,
        number: u32,
        cycle: &LifeCycle,
        applied: usize,
    ) -> Second {
        let standing = &cycle.standings[applied - 1];
        let bits = keyed(self.seed, 0x71e5, u64::from(day as u32), u64::from(number));
        let second = match cycle.kind {
            ActivityType::Meeting if is_all_day(bits) => 0,
            ActivityType::Meeting => {
                let slot = scale(mix(bits ^ standing.moved as u64), 44) as Second;
                7 * 3_600 + 900 * slot
            }
            // A call that was logged by hand has a date only (contract (e.4)).
            ActivityType::Call if is_logged(bits) => 0,
            // Ingested on the day itself: shortly after it happened.
            ActivityType::Email | ActivityType::Call if cycle.events[0].day == 0 => {
                let ingested = self.instant(day, pair, cycle, 0) - start_of(day);
                ingested - 20 - scale(bits, 1_500) as Second
            }
            ActivityType::Email | ActivityType::Call => scale(bits, SECONDS_A_DAY as u64) as Second,
        };
        start_of(day + standing.moved) + second
    }
}

pub(super) fn is_all_day(bits: u64) -> bool {
    bits & 0x3f == 9
}

pub(super) fn is_logged(bits: u64) -> bool {
    bits & 3 == 1
}
