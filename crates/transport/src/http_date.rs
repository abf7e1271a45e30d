//! Dates in HTTP headers (RFC 9110, section 5.6.7): `Date`, `Retry-After`, `Last-Modified`.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// The forms that a recipient must accept besides the preferred one: RFC 850's and that of C's `asctime`.
const OBSOLETE: [&str; 2] = ["%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"];

/// Reads an HTTP date in any of its three forms, to the second; `None` when it is none of them.
///
/// ```
/// use backstory_transport::http_date;
///
/// let date = http_date("Fri, 06 Mar 2026 00:00:00 GMT").unwrap();
/// assert_eq!(date.to_string(), "2026-03-06T00:00:00Z");
/// assert_eq!(http_date("tomorrow"), None);
/// ```
pub fn http_date(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    if let Ok(zoned) = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text) {
        return Some(zoned);
    }
    let civil = OBSOLETE.iter().find_map(|form| DateTime::strptime(form, text).ok())?;
    TimeZone::UTC.to_timestamp(civil).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_three_forms_name_the_same_second() {
        let forms =
            ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"];
        for form in forms {
            assert_eq!(
                http_date(form).map(|date| date.to_string()).as_deref(),
                Some("1994-11-06T08:49:37Z"),
                "{form}"
            );
        }
    }

    #[test]
    fn nonsense_is_not_a_date() {
        for text in ["", "7", "-1", "Sun, 99 Nov 1994 08:49:37 GMT", "2026-03-06"] {
            assert_eq!(http_date(text), None, "{text}");
        }
    }
}
