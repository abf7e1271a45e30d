//! The world behind the API: an organisation's activities and contacts, computed from a seed and never stored.
//!
//! Nothing here knows of HTTP, jobs or clocks: a moment is an argument. An activity is born, changes and may be moved,
//! each time at a *processing* of its own; `life_cycle` says when, `activity` and `contact` write a record as it stands
//! at a moment, `selection` finds the records that an export or a question about the truth asks for, and `cursor` walks
//! through them.

mod activity;
mod calendar;
mod chance;
mod contact;
mod content_hash;
mod cursor;
mod life_cycle;
mod people;
mod selection;
mod sink;
mod timing;
mod words;

use jiff::Timestamp;

pub(crate) use activity::Form;
pub(crate) use calendar::{Day, Second, day_at, day_of};
pub(crate) use chance::{keyed, scale};
pub(crate) use contact::{COLUMNS, ContactFilter, ContactForm};
pub(crate) use content_hash::ContentSum;
pub(crate) use cursor::{Cursor, Mark};
pub use life_cycle::ActivityType;
pub(crate) use selection::{DeltaRules, Order, Question, Subject};
pub(crate) use sink::{Sink, Size};
pub(crate) use timing::Entry;

use calendar::Timeline;
use life_cycle::{LifeCycle, life_cycles};
use people::{Cast, Pool};
use sink::DateTexts;

/// An organisation, from its seed.
#[derive(Debug)]
pub(crate) struct World {
    seed: u64,
    timeline: Timeline,
    contact_timeline: Timeline,
    cycles: Vec<LifeCycle>,
    pool: Pool,
    dates: DateTexts,
}

impl World {
    /// The world of `seed` with so many activities and contacts, spread around the month of `now`.
    pub(crate) fn new(seed: u64, activities: u32, contacts: u32, now: Timestamp) -> Self {
        let timeline = Timeline::new(activities, now, seed);
        let contact_timeline = Timeline::new(contacts, now, keyed(seed, 0xc011, 0, 0));
        let dates = DateTexts::new(timeline.first() - 400, timeline.last() + 800);
        Self {
            seed,
            timeline,
            contact_timeline,
            cycles: life_cycles(),
            pool: Pool::new(Cast::new(seed, activities)),
            dates,
        }
    }

    /// Turns the wheel of life cycles by a different amount each day, so that a thin population sees all of them.
    fn rotation(&self, day: Day) -> u32 {
        (keyed(self.seed, 0x0707, u64::from(day as u32), 0) & 0xffff) as u32
    }

    /// About how many activities lie on the days from `from` to `to`; costs nothing.
    pub(crate) fn estimate_activities(&self, from: Day, to: Day) -> u64 {
        self.timeline.estimate(from, to)
    }

    /// About how many contacts were created on the days from `from` to `to`; costs nothing.
    pub(crate) fn estimate_contacts(&self, from: Day, to: Day) -> u64 {
        self.contact_timeline.estimate(from, to)
    }

    /// The first and the last day on which anything of the population may lie.
    pub(crate) fn days(&self) -> (Day, Day) {
        (self.timeline.first() - calendar::MARGIN, self.timeline.last() + calendar::MARGIN)
    }
}
