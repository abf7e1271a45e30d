//! What a sync is asked to keep current: the settings that a plan is a function of.

use backstory_limits::{SlotPolicy, UseLimits};
use jiff::SignedDuration;
use jiff::civil::Date;
use serde::Serialize;

/// What a sync keeps current.
///
/// ```
/// use backstory_sync::SyncSettings;
///
/// let mut settings = SyncSettings::new(jiff::civil::date(2024, 1, 1));
/// settings.contacts = false;
/// assert_eq!((settings.horizon_days, settings.overlap_days), (365, 1));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SyncSettings {
    /// The first activity date of the history, and the first day of contacts.
    pub since: Date,
    /// How many days into the future the history reaches, since booked meetings have future dates: 365 by default.
    pub horizon_days: u32,
    /// Whether today is loaded too, as provisional.
    pub through: Through,
    /// Whether activities are kept current.
    pub activities: bool,
    /// Whether contacts are kept current.
    pub contacts: bool,
    /// How many days that are closed already a run of deltas begins with: 1 by default.
    pub overlap_days: u32,
    /// For how long after its midnight a day is given time before a job counts as closing it: 6 hours by default.
    pub settling: SignedDuration,
    /// How old the last complete refresh of contacts may grow: 1 day by default.
    pub contacts_every: SignedDuration,
    /// The use limits.
    pub limits: UseLimits,
    /// How many job slots may be used.
    pub slots: SlotPolicy,
    /// Whether the service takes future dates; `false` once it has refused one (contract (j.26)).
    pub future_dates: bool,
}

/// The last day that a sync loads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Through {
    /// Today, which goes on while it is loaded, and is loaded again by the next sync.
    #[default]
    Today,
    /// Yesterday.
    Yesterday,
}

impl SyncSettings {
    /// Activities and contacts since a day, with the defaults.
    pub fn new(since: Date) -> Self {
        Self {
            since,
            horizon_days: 365,
            through: Through::Today,
            activities: true,
            contacts: true,
            overlap_days: 1,
            settling: SignedDuration::from_hours(6),
            contacts_every: SignedDuration::from_hours(24),
            limits: UseLimits::published(),
            slots: SlotPolicy::default(),
            future_dates: true,
        }
    }
}
