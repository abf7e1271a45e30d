//! Coverage: what a destination holds for sure, derived from its delivery records and nothing else.
//!
//! # Why the watermark is right
//!
//! A *processing* of a record is a moment at which the service made it anew: it arrived, was rescheduled, was matched. A
//! snapshot selects by a record's activity date, a delta by the days on which it was processed (contract (c.1)). Call a day
//! *settled* for a job when the job was created after the end of that day and a settling time, by the server's clock; what
//! was processed on that day then stands, and the job sees it.
//!
//! Take a record whose last processing fell on day P.
//!
//! - **A delta whose window contains P, for which P is settled, has its last version.** It lists the record, because P is a
//!   day on which it was processed. The service may list a record that was processed again only under the later day
//!   (contract (j.44)), but there is no later processing. It may tell the state at the processing or at the job's start
//!   (contract (j.42)): they are the same.
//! - **A snapshot whose window contains the record's activity date, for which P is settled, has its last version.** Since
//!   the job started after the last processing, the date that it selects by is the one that the record has kept.
//!
//! So take a *base*: snapshots that together cover a whole history, from its first date to a horizon. Let B be the earliest
//! day that isn't settled for all of them. A record with P before B and an activity date within the history is right by
//! the snapshots; one with P from B on is right by a delta, once the deltas have closed P. That is why B is taken from the
//! *oldest* job of the base, why snapshots that don't cover the whole history never stand in for deltas (a record that was
//! moved out of the dates they cover would be lost), and why a base may be put together from jobs of several runs, of
//! different ages: the argument is about each record by itself.
//!
//! The watermark is the last day of the run of closed days that begins on B, or the eve of B while there is none. It says:
//! *every record with an activity date in the history, last processed up to the end of that day, is in its latest version*.
//! Later versions may be there too, and do no harm: versions are ordered, and the greatest is current. It is never later
//! than the last date of the history, so that a history without a horizon (contract (j.26)) can't claim dates that it has
//! never asked for. More deliveries can only move it forward: a newer snapshot of a date moves B forward at most, and what
//! is closed stays closed.
//!
//! Nothing here uses the client's clock. It only plans.

mod day_cover;
pub(crate) mod days;
pub(crate) mod history;
pub(crate) mod processed;
mod refreshes;

use std::collections::BTreeMap;
use std::fmt;

use backstory_destination::{DeliveryKind, DeliveryRecord, Window};
use backstory_limits::DateRange;
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use serde::ser::SerializeStruct as _;
use serde::{Serialize, Serializer};

pub(crate) use day_cover::{DayCover, SINGLE_TYPES};
use days::{day_of, later};
use history::{Base, History};
use processed::{Processed, ProcessedDays};
pub use refreshes::ContactsRefresh;
pub(crate) use refreshes::refreshes;

use crate::plan::{Attempt, SyncSettings, Through};

/// What a destination holds for sure.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Coverage {
    watermark: Option<Date>,
    history: Option<DateRange>,
    base_day: Option<Date>,
    days: BTreeMap<Date, DayState>,
    contacts: Option<ContactsRefresh>,
}

/// How a UTC day stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DayState {
    /// Wholly loaded, for good.
    Closed,
    /// Loaded, but the day had not ended and settled when its job was created, so it is loaded again.
    Provisional,
    /// Loaded by activity types one by one, since all of them were too much for one job. Types that nobody has published
    /// would be missing, so it doesn't count as closed.
    Partial,
    /// Not loaded.
    Missing,
    /// Not loaded, and the last job that should have brought it came to nothing.
    Failed,
}

/// Days that follow each other and stand alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct DayRun {
    /// The first day.
    pub from: Date,
    /// The last day.
    pub to: Date,
    /// How many they are.
    pub days: u32,
    /// How they stand.
    pub state: DayState,
}

/// The last day up to which everything is loaded: the watermark. It needs no settings but the settling time.
pub(crate) fn watermark(history: &History, processed: &ProcessedDays) -> Option<(Date, Base)> {
    let reached = |base: &Base| processed.closed_from(base.day).min(base.history.end());
    // Of several bases that reach equally far, the one whose history is the widest.
    history
        .bases()
        .into_iter()
        .map(|base| (reached(&base), base))
        .max_by_key(|(reached, base)| (*reached, base.history.days()))
}

impl Coverage {
    /// What these deliveries cover, of what the settings ask for. `attempts` are only used to tell what has failed from
    /// what is merely not there, `now` only to know up to which day there is anything to show; the watermark depends on
    /// neither.
    pub fn of(
        deliveries: &[DeliveryRecord],
        attempts: &[Attempt],
        settings: &SyncSettings,
        now: Timestamp,
    ) -> Self {
        let history = History::of(deliveries, settings.settling);
        let processed = ProcessedDays::of(deliveries, settings.settling);
        let reached = watermark(&history, &processed);
        let base = reached.map(|(_, base)| base);
        let failures = Failures::of(attempts, now);
        let today = day_of(now);
        let last = match settings.through {
            Through::Today => today,
            Through::Yesterday => today.yesterday().unwrap_or(Date::MIN),
        };
        // While there is no base, the days are counted as history up to the oldest snapshot's own.
        let covered = history.dates().values().filter_map(|cover| cover.whole().or(cover.by_types()));
        let base_day = base.map(|base| base.day).or_else(|| covered.min());
        let created = base.and_then(|base| base.created).map(day_of);
        let state = |day: Date| {
            if base_day.is_none_or(|base_day| day < base_day) {
                let cover = history.cover(day);
                return match cover {
                    Some(cover) if cover.whole().is_some() => DayState::Closed,
                    Some(cover) if cover.by_types().is_some() => DayState::Partial,
                    _ => failures.or_missing(DeliveryKind::Snapshot, day, cover),
                };
            }
            let cover = processed.cover(day);
            match processed.state(day) {
                Processed::Closed => DayState::Closed,
                Processed::ByTypes => DayState::Partial,
                Processed::Open => match failures.or_missing(DeliveryKind::Delta, day, cover) {
                    DayState::Failed => DayState::Failed,
                    _ => DayState::Provisional,
                },
                Processed::Missing => match failures.or_missing(DeliveryKind::Delta, day, cover) {
                    // The base was made on this day, or later.
                    DayState::Missing if created.is_some_and(|created| day <= created) => {
                        DayState::Provisional
                    }
                    state => state,
                },
            }
        };
        let days = DateRange::new(settings.since, last)
            .map_or_else(|_| BTreeMap::new(), |range| range.iter().map(|day| (day, state(day))).collect());
        Self {
            watermark: reached.map(|(watermark, _)| watermark),
            history: base.map(|base| base.history),
            base_day: base.map(|base| base.day),
            days,
            contacts: refreshes(deliveries).into_iter().rfind(ContactsRefresh::is_complete),
        }
    }

    /// The first activity date that these deliveries were asked for, by the latest history among them: what a sync goes on
    /// with when it isn't told `--since`.
    pub fn since_of(deliveries: &[DeliveryRecord]) -> Option<Date> {
        let asked = History::of(deliveries, SignedDuration::ZERO).asked_for();
        let contacts = || refreshes(deliveries).pop().map(|refresh| refresh.range);
        asked.or_else(contacts).map(DateRange::start)
    }

    /// The last UTC day up to which everything is loaded: every record of the [history](Self::history) that was last
    /// processed by its end is there in its latest version. `None` until there is a complete history.
    pub fn watermark(&self) -> Option<Date> {
        self.watermark
    }

    /// The activity dates that the watermark speaks of.
    pub fn history(&self) -> Option<DateRange> {
        self.history
    }

    /// The first day whose processings were brought by deltas; before it, snapshots know everything.
    pub fn base_day(&self) -> Option<Date> {
        self.base_day
    }

    /// How each day from the beginning of the history to today stands. Days before the [base's](Self::base_day) stand as
    /// the snapshots cover them by activity date, the others as the deltas cover them by processing date.
    pub fn days(&self) -> &BTreeMap<Date, DayState> {
        &self.days
    }

    /// The days in runs of equal state.
    pub fn runs(&self) -> Vec<DayRun> {
        let mut runs: Vec<DayRun> = Vec::new();
        for (day, state) in &self.days {
            match runs.last_mut() {
                Some(run) if run.state == *state && later(run.to, 1) == *day => {
                    run.to = *day;
                    run.days += 1;
                }
                _ => runs.push(DayRun { from: *day, to: *day, days: 1, state: *state }),
            }
        }
        runs
    }

    /// How many days stand so.
    pub fn count(&self, state: DayState) -> usize {
        self.days.values().filter(|known| **known == state).count()
    }

    /// The latest complete refresh of contacts, whose rows are the current contacts.
    pub fn contacts(&self) -> Option<&ContactsRefresh> {
        self.contacts.as_ref()
    }
}

/// As an object: `from` and `to` of the days, `history` (the activity dates that the watermark speaks of), `base_day`, how
/// many days stand in each state, and the days in runs of equal state.
impl Serialize for Coverage {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let counts: BTreeMap<&str, usize> =
            DayState::ALL.iter().map(|state| (state.as_str(), self.count(*state))).collect();
        let mut object = serializer.serialize_struct("Coverage", 6)?;
        object.serialize_field("from", &self.days.keys().next())?;
        object.serialize_field("to", &self.days.keys().next_back())?;
        object
            .serialize_field("history", &self.history.map(|range| Window::new(range.start(), range.end())))?;
        object.serialize_field("base_day", &self.base_day)?;
        object.serialize_field("counts", &counts)?;
        object.serialize_field("days", &self.runs())?;
        object.end()
    }
}

/// Failed jobs of all activities, or of single types, that still count.
struct Failures<'a>(Vec<&'a Attempt>);

impl<'a> Failures<'a> {
    fn of(attempts: &'a [Attempt], now: Timestamp) -> Self {
        let counts = |attempt: &&Attempt| attempt.is_too_much() && attempt.is_remembered(now);
        Self(attempts.iter().filter(counts).collect())
    }

    /// Whether the day's last job failed, or there was none.
    fn or_missing(&self, kind: DeliveryKind, day: Date, cover: Option<&DayCover>) -> DayState {
        let latest = cover.and_then(DayCover::latest);
        let concerns = |attempt: &&&Attempt| {
            attempt.kind == kind
                && attempt.window.contains(day)
                && latest.is_none_or(|latest| latest < attempt.at)
        };
        match self.0.iter().find(concerns) {
            Some(_) => DayState::Failed,
            None => DayState::Missing,
        }
    }
}

impl DayState {
    /// Every state.
    pub const ALL: [Self; 5] = [Self::Closed, Self::Provisional, Self::Partial, Self::Missing, Self::Failed];

    /// Its word: `closed`, `provisional`, `partial`, `missing` or `failed`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Provisional => "provisional",
            Self::Partial => "partial",
            Self::Missing => "missing",
            Self::Failed => "failed",
        }
    }
}

impl fmt::Display for DayState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
