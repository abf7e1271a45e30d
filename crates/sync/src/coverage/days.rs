//! Arithmetic of UTC days that stays inside the calendar, and the rule that says which days are over for good.

use jiff::civil::Date;
use jiff::tz::Offset;
use jiff::{SignedDuration, Span, Timestamp};

/// The UTC day of an instant.
pub(crate) fn day_of(instant: Timestamp) -> Date {
    Offset::UTC.to_datetime(instant).date()
}

/// The first day that was not yet settled at `instant`: every day before it had ended by then, and for longer than
/// `settling`. What was created at `instant` is therefore right about the days before this one.
pub(crate) fn open_day(instant: Timestamp, settling: SignedDuration) -> Date {
    let settling = settling.max(SignedDuration::ZERO);
    day_of(instant.checked_sub(settling).unwrap_or(Timestamp::MIN))
}

/// The day `days` later, or the calendar's last.
pub(crate) fn later(day: Date, days: u32) -> Date {
    span(days).and_then(|span| day.checked_add(span).ok()).unwrap_or(Date::MAX)
}

/// The day `days` earlier, or the calendar's first.
pub(crate) fn earlier(day: Date, days: u32) -> Date {
    span(days).and_then(|span| day.checked_sub(span).ok()).unwrap_or(Date::MIN)
}

/// Nothing when that is more days than the calendar has.
fn span(days: u32) -> Option<Span> {
    Span::new().try_days(days).ok()
}

/// How many days after `from` the day `to` is; negative when it lies before.
pub(crate) fn days_from(from: Date, to: Date) -> i64 {
    from.duration_until(to).as_hours() / 24
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    #[test]
    fn a_day_is_settled_six_hours_after_its_midnight_and_not_before() {
        let open = |text: &str| open_day(text.parse().unwrap(), SignedDuration::from_hours(6));
        assert_eq!(open("2026-06-18T05:59:59Z"), date(2026, 6, 17));
        assert_eq!(open("2026-06-18T06:00:00Z"), date(2026, 6, 18));
    }

    #[test]
    fn days_stay_inside_the_calendar() {
        assert_eq!(later(Date::MAX, 3), Date::MAX);
        assert_eq!(earlier(Date::MIN, u32::MAX), Date::MIN);
        assert_eq!(days_from(date(2026, 3, 1), later(date(2026, 3, 1), 400)), 400);
        assert_eq!(days_from(date(2026, 3, 1), date(2026, 2, 27)), -2);
    }
}
