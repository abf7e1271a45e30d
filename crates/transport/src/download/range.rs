//! Proof that the rest of a resource is the rest of the same resource (RFC 9110, sections 13.1.5 and 14).

use http::header::{CONTENT_RANGE, ETAG, HeaderName, IF_RANGE, LAST_MODIFIED, RANGE};
use http::{HeaderMap, HeaderValue};
use serde::{Deserialize, Serialize};

/// What names one state of a resource.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Validator {
    /// A strong entity tag.
    ETag(String),
    LastModified(String),
}

impl Validator {
    /// The validator in a reply's headers. A weak tag is none: it promises the same meaning, not the same bytes.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let text = |name: HeaderName| headers.get(name)?.to_str().ok().map(str::to_owned);
        match text(ETAG) {
            Some(tag) if tag.starts_with('"') => Some(Self::ETag(tag)),
            Some(_) => None,
            None => text(LAST_MODIFIED).map(Self::LastModified),
        }
    }

    fn text(&self) -> &str {
        match self {
            Self::ETag(text) | Self::LastModified(text) => text,
        }
    }

    /// Asks for everything from byte `from` on, if the resource is still the same.
    pub(super) fn ask_for_rest(&self, from: u64, headers: &mut HeaderMap) {
        // A validator came as a header's value, or from a journal that may hold anything.
        if let Ok(validator) = HeaderValue::from_str(self.text()) {
            headers.insert(
                RANGE,
                HeaderValue::from_str(&format!("bytes={from}-")).unwrap_or(HeaderValue::from_static("")),
            );
            headers.insert(IF_RANGE, validator);
        }
    }
}

/// The length of the rest, if a 206 with these headers is all of the rest from byte `from` on, of the same resource.
pub(super) fn proven_rest(headers: &HeaderMap, from: u64, validator: &Validator) -> Option<u64> {
    if Validator::of(headers).as_ref() != Some(validator) {
        return None;
    }
    let range = headers.get(CONTENT_RANGE)?.to_str().ok()?.trim().strip_prefix("bytes")?.trim_start();
    let (span, total) = range.split_once('/')?;
    let (first, last) = span.split_once('-')?;
    let [first, last, total] = [first, last, total].map(|number| number.trim().parse::<u64>().ok());
    let (first, last, total) = (first?, last?, total?);
    (first == from && last >= first && last.checked_add(1)? == total).then(|| total - from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect()
    }

    #[test]
    fn a_weak_tag_is_no_validator_and_hides_a_date() {
        assert_eq!(Validator::of(&headers(&[("etag", "\"a\"")])), Some(Validator::ETag("\"a\"".to_owned())));
        assert_eq!(Validator::of(&headers(&[("etag", "W/\"a\""), ("last-modified", "x")])), None);
        assert_eq!(
            Validator::of(&headers(&[("last-modified", "x")])),
            Some(Validator::LastModified("x".to_owned()))
        );
        assert_eq!(Validator::of(&HeaderMap::new()), None);
    }

    #[test]
    fn only_all_of_the_rest_of_the_same_resource_is_taken() {
        let same = Validator::ETag("\"a\"".to_owned());
        let rest = |range: &str, tag: &str| {
            proven_rest(&headers(&[("content-range", range), ("etag", tag)]), 10, &same)
        };
        assert_eq!(rest("bytes 10-99/100", "\"a\""), Some(90));
        for range in [
            "bytes 9-99/100",
            "bytes 11-99/100",
            "bytes 10-98/100",
            "bytes 10-99/*",
            "bytes 10-9/10",
            "bytes */100",
            "items 10-99/100",
            "bytes 10-18446744073709551615/18446744073709551615",
            "bytes",
            "",
            "bytes 10/100",
            "bytes a-b/c",
        ] {
            assert_eq!(rest(range, "\"a\""), None, "{range}");
        }
        assert_eq!(rest("bytes 10-99/100", "\"b\""), None);
        assert_eq!(rest("bytes 10-99/100", "W/\"a\""), None);
        assert_eq!(proven_rest(&headers(&[("content-range", "bytes 10-99/100")]), 10, &same), None);
    }
}
