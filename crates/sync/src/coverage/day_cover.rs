//! How well the deliveries that touch a day cover it: wholly, or by single activity types.

use backstory_api::ActivityType;
use backstory_destination::Delivery;
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};

use super::days::open_day;

/// The types by which a day is asked for when it is too much for one job.
pub(crate) const SINGLE_TYPES: [ActivityType; 3] =
    [ActivityType::Email, ActivityType::Meeting, ActivityType::Call];

/// What the deliveries whose windows contain a day say about it. A delivery is right about the days before its *open day*
/// ([`open_day`]); of several, the greatest open day counts.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct DayCover {
    whole: Option<Date>,
    by_type: [Option<Date>; 3],
    latest: Option<Timestamp>,
}

impl DayCover {
    /// Takes in a delivery whose window contains the day.
    pub(crate) fn note(&mut self, delivery: &Delivery, settling: SignedDuration) {
        let created = delivery.created();
        let open = Some(open_day(created, settling));
        match ActivityType::from_word(&delivery.activity_type) {
            Some(ActivityType::All) => {
                self.whole = self.whole.max(open);
                self.latest = self.latest.max(Some(created));
            }
            Some(one) => {
                for (known, of_type) in SINGLE_TYPES.iter().zip(&mut self.by_type) {
                    if *known == one {
                        *of_type = (*of_type).max(open);
                    }
                }
            }
            // A type that this version doesn't know is a part of the day that nobody has asked it for.
            None => {}
        }
    }

    /// The open day of the latest delivery of all activities.
    pub(crate) fn whole(&self) -> Option<Date> {
        self.whole
    }

    /// The open day up to which all known types have been delivered, one by one.
    pub(crate) fn by_types(&self) -> Option<Date> {
        self.by_type.iter().copied().reduce(Option::min).flatten()
    }

    /// The open day of the latest delivery of one known type.
    pub(crate) fn of_type(&self, activity_type: ActivityType) -> Option<Date> {
        SINGLE_TYPES.iter().zip(self.by_type).find(|(known, _)| **known == activity_type)?.1
    }

    /// When the last delivery of all activities was created.
    pub(crate) fn latest(&self) -> Option<Timestamp> {
        self.latest
    }
}
