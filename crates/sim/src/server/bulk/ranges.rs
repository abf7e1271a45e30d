//! Which part of a file a request asks for: row j.19, by the rules of HTTP for `Range` and `If-Range`.

use http::{HeaderMap, header};

/// What of a body is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// All of it: there is no range, or one that a server may ignore, such as several at once.
    Whole,
    /// Its bytes from the first to the second, both included.
    Part(u64, u64),
    /// Nothing that it has.
    Beyond,
}

impl Wanted {
    /// What of `size` bytes the headers ask for.
    pub(super) fn read(headers: &HeaderMap, size: u64) -> Self {
        // No reply has an ETag or a Last-Modified, so no validator can hold.
        if headers.contains_key(header::IF_RANGE) {
            return Self::Whole;
        }
        let range = headers.get(header::RANGE).and_then(|range| range.to_str().ok());
        range.and_then(|range| Self::of(range, size)).unwrap_or(Self::Whole)
    }

    /// `bytes=K-`, `bytes=K-L` or `bytes=-N`; `None` is anything else.
    fn of(range: &str, size: u64) -> Option<Self> {
        let (unit, range) = range.split_once('=')?;
        if !unit.trim().eq_ignore_ascii_case("bytes") {
            return None;
        }
        let (start, end) = match range.trim().split_once('-')? {
            ("", length) => match number(length)? {
                0 => (size, u64::MAX),
                length => (size.saturating_sub(length), u64::MAX),
            },
            (start, "") => (number(start)?, u64::MAX),
            (start, end) => (number(start)?, number(end)?),
        };
        if start > end {
            return None;
        }
        Some(if start < size { Self::Part(start, end.min(size - 1)) } else { Self::Beyond })
    }
}

/// Digits; those of a number that is too large stand for the largest.
fn number(digits: &str) -> Option<u64> {
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_read_as_http_has_it() {
        let read = |range: &str, size| {
            Wanted::read(&[(header::RANGE, range.parse().unwrap())].into_iter().collect(), size)
        };
        for (range, start, end) in [
            ("bytes=0-9", 0, 9),
            ("Bytes=0-9", 0, 9),
            ("bytes=90-", 90, 99),
            ("bytes=90-1000", 90, 99),
            ("bytes=99-99999999999999999999", 99, 99),
            ("bytes=-5", 95, 99),
            ("bytes=-1000", 0, 99),
        ] {
            assert_eq!(read(range, 100), Wanted::Part(start, end), "{range}");
        }
        for range in ["bytes=100-", "bytes=100-200", "bytes=99999999999999999999-", "bytes=-0"] {
            assert_eq!(read(range, 100), Wanted::Beyond, "{range}");
        }
        for range in ["bytes=0-1,5-9", "lines=0-9", "bytes=9-3", "bytes=-", "bytes=+1-2", "bytes", "bytes=a-"]
        {
            assert_eq!(read(range, 100), Wanted::Whole, "{range}");
        }
        assert_eq!(read("bytes=0-", 0), Wanted::Beyond, "an empty file has no bytes");
        assert_eq!(Wanted::read(&HeaderMap::new(), 100), Wanted::Whole);
    }
}
