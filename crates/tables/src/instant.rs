//! Instants and days as the integers that Arrow holds.
//!
//! The form that the service writes nearly always, `2026-03-04T09:08:51` with or without a `Z`, is read digit by digit;
//! every other goes through `formats`, whose reading counts.

use backstory_formats::{parse_date, parse_timestamp};
use jiff::civil::Date;
use jiff::{Span, Timestamp};

/// Microseconds since 1970 of an instant as delivered, or `None` when it can't be read.
pub(crate) fn micros(text: &str) -> Option<i64> {
    match text.as_bytes() {
        [day @ .., b'T', h0, h1, b':', m0, m1, b':', s0, s1]
        | [day @ .., b'T', h0, h1, b':', m0, m1, b':', s0, s1, b'Z']
            if day.len() == 10 =>
        {
            let quick = plain_days(day).and_then(|days| {
                let (hour, minute, second) = (two(*h0, *h1)?, two(*m0, *m1)?, two(*s0, *s1)?);
                let legal = hour < 24 && minute < 60 && second < 60;
                let seconds = i64::from(days) * 86_400 + i64::from(hour * 3_600 + minute * 60 + second);
                // `9999-12-31`, which often stands for the end of time, is later than any instant can be.
                let exists = legal && seconds <= Timestamp::MAX.as_second();
                exists.then_some(seconds * 1_000_000)
            });
            quick.or_else(|| parsed_micros(text))
        }
        _ => parsed_micros(text),
    }
}

fn parsed_micros(text: &str) -> Option<i64> {
    parse_timestamp(text).map(|instant| instant.as_microsecond())
}

/// Days since 1970 of a day as delivered, or `None` when it can't be read.
pub(crate) fn days(text: &str) -> Option<i32> {
    plain_days(text.as_bytes()).or_else(|| parse_date(text).map(days_of))
}

/// Days since 1970.
pub(crate) fn days_of(date: Date) -> i32 {
    days_from_civil(date.year().into(), date.month().unsigned_abs().into(), date.day().unsigned_abs().into())
}

/// The day that is so many days after 1970-01-01.
pub(crate) fn date_of(days: i32) -> Option<Date> {
    Date::constant(1970, 1, 1).checked_add(Span::new().try_days(days).ok()?).ok()
}

fn plain_days(day: &[u8]) -> Option<i32> {
    let &[y0, y1, y2, y3, b'-', m0, m1, b'-', d0, d1] = day else { return None };
    let (year, month, day) = (two(y0, y1)? * 100 + two(y2, y3)?, two(m0, m1)?, two(d0, d1)?);
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let last = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 => 28 + u32::from(leap),
        _ => return None,
    };
    (1..=last).contains(&day).then(|| days_from_civil(year as i32, month, day))
}

fn two(tens: u8, ones: u8) -> Option<u32> {
    let (tens, ones) = (tens.wrapping_sub(b'0'), ones.wrapping_sub(b'0'));
    (tens < 10 && ones < 10).then(|| u32::from(tens) * 10 + u32::from(ones))
}

/// Days since 1970 in the proleptic Gregorian calendar, by Howard Hinnant's formula: years begin in March, so that the
/// leap day is a year's last.
fn days_from_civil(year: i32, month: u32, day: u32) -> i32 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month as i32 + 9) % 12) + 2) / 5 + day as i32 - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_quick_reading_is_the_readers_own(
            text in prop_oneof![
                "[0-9]{4}-[0-1][0-9]-[0-3][0-9]T[0-2][0-9]:[0-6][0-9]:[0-6][0-9](Z|z|\\.[0-9]{1,9}|\\+01:00)?",
                // The last and the first instants that there are; `9999-12-31` often stands for the end of time.
                "9999-12-3[01]T(2[0-3]|0[0-9]):[05][09]:[05][019](Z|\\.[0-9]{1,9}|[+-]0[1-9]:00)?",
                "0000-01-0[1-3]T[0-2][0-9]:[05][09]:[05][019]Z?",
                "[0-9T:Z-]{8,22}",
            ]
        ) {
            prop_assert_eq!(micros(&text), parsed_micros(&text));
        }

        #[test]
        fn every_day_is_counted_right(text in "[0-9]{4}-[0-1][0-9]-[0-3][0-9]") {
            let days_since = |date: Date| date.since(jiff::civil::date(1970, 1, 1)).unwrap().get_days();
            prop_assert_eq!(days(&text), parse_date(&text).map(days_since));
            prop_assert_eq!(days(&text), parse_date(&text).map(days_of));
        }
    }
}
