//! The two forms in which the service writes instants, and its days.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::Offset;

/// Reads an instant in any form that the service is known to use: with `Z`, with an offset, or bare, which means UTC;
/// with or without a fraction of a second (contract (e.4)). A lone day is its midnight.
///
/// ```
/// use backstory_formats::parse_timestamp;
///
/// let bare = parse_timestamp("2026-03-04T09:08:51").unwrap();
/// assert_eq!(Some(bare), parse_timestamp("2026-03-04T09:08:51Z"));
/// assert_eq!(Some(bare), parse_timestamp("2026-03-04T10:08:51.000000+01:00"));
/// assert_eq!(parse_timestamp("yesterday"), None);
/// ```
pub fn parse_timestamp(text: &str) -> Option<Timestamp> {
    // jiff reads much more than these (a zone name in brackets, weeks), which would make junk into an instant.
    let text = text.trim_ascii();
    if !text.is_ascii() || text.len() < 10 || text.contains(['[', 'W', 'w']) {
        return None;
    }
    let (day, rest) = text.split_at(10);
    let date = parse_date(day)?;
    if rest.is_empty() {
        return Offset::UTC.to_timestamp(date.at(0, 0, 0, 0)).ok();
    }
    let zoned = rest.ends_with(['Z', 'z']) || rest.get(1..).is_some_and(|time| time.contains(['+', '-']));
    if zoned {
        return text.parse().ok();
    }
    let civil: DateTime = text.parse().ok()?;
    Offset::UTC.to_timestamp(civil).ok()
}

/// Reads a UTC day, `yyyy-MM-dd`.
pub fn parse_date(text: &str) -> Option<Date> {
    let text = text.trim_ascii();
    let shaped = text.len() == 10 && text.as_bytes()[4] == b'-' && text.as_bytes()[7] == b'-';
    if shaped { text.parse().ok() } else { None }
}
