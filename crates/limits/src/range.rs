//! `DateRange`: whole UTC days, both ends included, which can't be built the wrong way round.

use std::fmt;
use std::str::FromStr;

use jiff::civil::Date;

use crate::error::{Error, ErrorKind};

/// A range of UTC days; both ends belong to it (contract (c.1): from 00:00 UTC of the first to 23:59 UTC of the last).
///
/// A range is never empty and never runs backwards: [`DateRange::new`] refuses that.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DateRange {
    start: Date,
    end: Date,
}

impl DateRange {
    /// The days from `start` to `end`, both included.
    ///
    /// # Errors
    /// [`ErrorKind::StartAfterEnd`] when `start` lies after `end`.
    pub fn new(start: Date, end: Date) -> Result<Self, Error> {
        if start > end {
            let message =
                format!("the range starts on {start}, after its end on {end}; swap the two, or correct one");
            return Err(Error::new(ErrorKind::StartAfterEnd, message));
        }
        Ok(Self { start, end })
    }

    /// One day.
    pub const fn day(day: Date) -> Self {
        Self { start: day, end: day }
    }

    /// Reads one UTC day, `yyyy-MM-dd`, as the API writes it.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidDate`] when the text has another form, or names a day that doesn't exist.
    pub fn parse_day(text: &str) -> Result<Date, Error> {
        // jiff also reads `20260101` and whole date-times; the API's form is the only one that is the same everywhere.
        let plain = text.len() == 10
            && text.bytes().enumerate().all(|(at, byte)| match at {
                4 | 7 => byte == b'-',
                _ => byte.is_ascii_digit(),
            });
        let date: Option<Date> = if plain { text.parse().ok() } else { None };
        date.ok_or_else(|| {
            let why = if plain {
                "there is no such day"
            } else {
                "a day is written yyyy-MM-dd, such as 2026-03-31"
            };
            Error::new(ErrorKind::InvalidDate, format!("`{text}` is not a date: {why}"))
        })
    }

    /// The first day.
    pub const fn start(self) -> Date {
        self.start
    }

    /// The last day, which belongs to the range.
    pub const fn end(self) -> Date {
        self.end
    }

    /// How many days the range has, counting both ends; at least 1.
    pub fn days(self) -> u32 {
        let hours = self.start.duration_until(self.end).as_hours();
        // The widest range that jiff can express has fewer than 2^23 days.
        u32::try_from(hours / 24).map_or(u32::MAX, |days| days + 1)
    }

    /// Whether `day` belongs to the range.
    pub fn contains(self, day: Date) -> bool {
        self.start <= day && day <= self.end
    }

    /// Whether every day of `other` belongs to this range.
    pub fn covers(self, other: Self) -> bool {
        self.start <= other.start && other.end <= self.end
    }

    /// The days of both ranges, or `None` when they share none.
    pub fn intersection(self, other: Self) -> Option<Self> {
        Self::new(self.start.max(other.start), self.end.min(other.end)).ok()
    }

    /// Every day, in order.
    pub fn iter(self) -> Days {
        Days { next: Some(self.start), last: self.end }
    }

    /// Puts pieces together again: the range that they cover, if they are in order and each begins on the day after the
    /// one before it ended. The inverse of [`RangeLimit::split`](crate::RangeLimit::split).
    pub fn join(pieces: &[Self]) -> Option<Self> {
        let (first, last) = (pieces.first()?, pieces.last()?);
        let adjacent =
            pieces.windows(2).all(|pair| pair[0].end.tomorrow().is_ok_and(|next| next == pair[1].start));
        adjacent.then_some(Self { start: first.start, end: last.end })
    }
}

/// `2026-01-01..2026-01-31`; both ends belong to the range.
impl fmt::Display for DateRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.start, self.end)
    }
}

impl fmt::Debug for DateRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DateRange({self})")
    }
}

/// Reads what [`Display`](fmt::Display) writes; a lone day is a range of one day.
impl FromStr for DateRange {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text.split_once("..") {
            Some((start, end)) => Self::new(Self::parse_day(start)?, Self::parse_day(end)?),
            None => Self::parse_day(text).map(Self::day),
        }
    }
}

impl IntoIterator for DateRange {
    type Item = Date;
    type IntoIter = Days;

    fn into_iter(self) -> Days {
        self.iter()
    }
}

/// The days of a [`DateRange`], in order.
#[derive(Clone, Debug)]
pub struct Days {
    next: Option<Date>,
    last: Date,
}

impl Iterator for Days {
    type Item = Date;

    fn next(&mut self) -> Option<Date> {
        let day = self.next?;
        self.next = day.tomorrow().ok().filter(|next| *next <= self.last);
        Some(day)
    }
}
