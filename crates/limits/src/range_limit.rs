//! How wide one job's range may be, and how a wider one is cut into legal pieces.

use jiff::Span;
use jiff::civil::Date;

use crate::error::{Error, ErrorKind};
use crate::range::DateRange;

/// The widest range that one export job may ask for.
///
/// The published limits ("1 year", "14 days", contract (b)) don't say whether both ends count, nor what a leap year is
/// (contract (j.3)). The days here are counted inclusively and stay legal under every reading.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RangeLimit {
    subject: &'static str,
    published: &'static str,
    max_days: u32,
}

impl RangeLimit {
    /// A limit of `max_days` days, both ends counted. `subject` says what it is a limit on ("a snapshot"), and
    /// `published` quotes the vendor ("1 year"); both appear in errors. Fewer than 1 day is taken as 1.
    pub const fn new(subject: &'static str, published: &'static str, max_days: u32) -> Self {
        Self { subject, published, max_days: if max_days == 0 { 1 } else { max_days } }
    }

    /// The same limit with another number of days, for an organisation with another contract. Fewer than 1 is taken as 1.
    #[must_use]
    pub const fn with_max_days(mut self, max_days: u32) -> Self {
        self.max_days = if max_days == 0 { 1 } else { max_days };
        self
    }

    /// The most days that one job may ask for, both ends counted; at least 1.
    pub const fn max_days(&self) -> u32 {
        self.max_days
    }

    /// What the limit is on, such as "a snapshot".
    pub const fn subject(&self) -> &'static str {
        self.subject
    }

    /// Whether one job may ask for `range`.
    ///
    /// # Errors
    /// [`ErrorKind::TooManyDays`], naming the limit and why ours may be a day stricter than the published one.
    pub fn check(&self, range: DateRange) -> Result<(), Error> {
        let days = range.days();
        if days <= self.max_days {
            return Ok(());
        }
        let mut message = format!(
            "{range} has {days} days, but {} may cover at most {} ({} days here, both ends counted); split the range",
            self.subject, self.published, self.max_days
        );
        if days == 366 && self.max_days == 365 {
            message.push_str(
                ". A leap year's 366 days are refused too: nobody has published whether the service counts a year as 365 or 366 days",
            );
        }
        Err(Error::new(ErrorKind::TooManyDays, message))
    }

    /// Cuts `range` into the fewest pieces that are legal: in order, adjacent, and joining back to the input.
    pub fn split(&self, range: DateRange) -> Split {
        Split { next: Some(range.start()), end: range.end(), max_days: self.max_days }
    }
}

/// The legal pieces of a range, in order. Made by [`RangeLimit::split`].
#[derive(Clone, Debug)]
pub struct Split {
    next: Option<Date>,
    end: Date,
    max_days: u32,
}

impl Iterator for Split {
    type Item = DateRange;

    fn next(&mut self) -> Option<DateRange> {
        let start = self.next?;
        // A limit may be wider than the calendar, or run past its last day; the range's own end is then the nearer one.
        let width = Span::new().try_days(self.max_days - 1).ok();
        let last = width.and_then(|width| start.checked_add(width).ok()).unwrap_or(Date::MAX).min(self.end);
        self.next = last.tomorrow().ok().filter(|next| *next <= self.end);
        DateRange::new(start, last).ok()
    }
}
