//! Replies with an error status: read raw and bounded first, then understood as far as they can be.

use std::fmt;
use std::time::Duration;

use http::{HeaderMap, StatusCode};
use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use crate::http_date::http_date;
use crate::redaction::Redaction;
use crate::retry::Attempts;
use crate::service::Response;

/// How many bytes of an error body are kept.
const KEPT: usize = 16 << 10;
/// For how long an error body is read.
const PATIENCE: Duration = Duration::from_secs(60);
/// How many characters of a raw body appear in a message.
const SHOWN: usize = 300;

/// A reply with an error status.
///
/// Four shapes of error bodies are known (contract (h.1)): `{error, message}`, `{code, id, message, path, timestamp}`,
/// the same without id and time, and `{message}`; the token endpoint may add `error_description`. Anything else, such as
/// a gateway's HTML page, is kept raw. Branch on the status, never on the text.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refusal {
    /// The status.
    pub status: StatusCode,
    /// The name of the error, such as `BadRequestException`.
    pub error: Option<String>,
    /// The server's own explanation (`message`, else `error_description`).
    pub message: Option<String>,
    /// The body as it came: its first 16 KiB, unreadable bytes replaced.
    pub raw: String,
    /// Why the body is not whole, where it was cut.
    pub body_error: Option<String>,
    /// The id that the server or a gateway gave the request (any header ending in `request-id`, or the body's `id`).
    pub request_id: Option<String>,
    /// For how long the server asks to be left alone; never more than what the header said.
    pub retry_after: Option<RetryAfter>,
    /// The server's time, from its `Date` header, as it was sent; [`http_date`] reads it.
    pub date: Option<String>,
    /// How often the request was tried, where a [`Retry`](crate::Retry) layer has counted; else 1.
    pub attempts: u32,
}

/// A `Retry-After` header in either form (RFC 9110, section 10.2.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RetryAfter {
    /// Seconds from now.
    After(Duration),
    /// An HTTP date, as it was sent; compare it with [`Refusal::date`], so that the client's own clock doesn't matter.
    At(String),
}

impl Refusal {
    /// Reads a reply's body, bounded, and understands what it can. Never fails: a body that breaks off, or has not ended
    /// within a minute, leaves what came. What a layer wants [redacted](Redaction) is. Runs on a tokio runtime.
    pub async fn read(response: Response) -> Self {
        let (head, mut body) = response.into_parts();
        let mut raw = Vec::new();
        let mut body_error = None;
        let deadline = Instant::now() + PATIENCE;
        while raw.len() < KEPT {
            match timeout_at(deadline, body.chunk()).await {
                Ok(Some(Ok(chunk))) => raw.extend_from_slice(&chunk[..chunk.len().min(KEPT - raw.len())]),
                Ok(Some(Err(error))) => {
                    body_error = Some(error.to_string());
                    break;
                }
                Ok(None) => break,
                Err(_) => {
                    body_error = Some(format!("the body had not ended after {} s", PATIENCE.as_secs()));
                    break;
                }
            }
        }
        let mut refusal = Self::from_parts(head.status, &head.headers, &raw);
        refusal.body_error = body_error;
        refusal.attempts = head.extensions.get::<Attempts>().map_or(1, |attempts| attempts.count);
        refusal.redacted(&Redaction::of(&head.extensions))
    }

    /// The same, without what must not be seen in any of its texts.
    #[must_use]
    pub fn redacted(mut self, redaction: &Redaction) -> Self {
        let optional =
            [&mut self.error, &mut self.message, &mut self.body_error, &mut self.request_id, &mut self.date];
        let asked = match &mut self.retry_after {
            Some(RetryAfter::At(text)) => Some(text),
            _ => None,
        };
        for text in optional.into_iter().flatten().chain(asked).chain([&mut self.raw]) {
            *text = redaction.apply(text);
        }
        self
    }

    /// Understands a reply that has been read already.
    pub fn from_parts(status: StatusCode, headers: &HeaderMap, raw: &[u8]) -> Self {
        let raw = &raw[..raw.len().min(KEPT)];
        let object = serde_json::from_slice::<Value>(raw).ok();
        let text = |key: &str| {
            let value = object.as_ref()?.get(key)?;
            value.as_str().map(str::to_owned).filter(|text| !text.is_empty())
        };
        Self {
            status,
            error: text("error"),
            message: text("message").or_else(|| text("error_description")),
            raw: String::from_utf8_lossy(raw).into_owned(),
            body_error: None,
            request_id: request_id(headers).or_else(|| text("id")),
            retry_after: header(headers, "retry-after").map(RetryAfter::parse),
            date: header(headers, "date").map(str::to_owned),
            attempts: 1,
        }
    }

    /// Whether the status says that the same call may succeed later: 408, 429, 500, 502, 503, 504 (contract (h.2)).
    pub fn is_transient(&self) -> bool {
        is_transient(self.status)
    }

    /// For how long the server asks to be left alone, whichever form its `Retry-After` has. A date counts from the
    /// reply's own `Date`, so that the client's clock doesn't matter; without one it can't be told.
    pub fn retry_delay(&self) -> Option<Duration> {
        self.retry_after.as_ref()?.delay(self.date.as_deref())
    }

    /// Whether the server says that it is asked too often or holds too much already.
    pub fn is_rate_limit(&self) -> bool {
        self.status == StatusCode::TOO_MANY_REQUESTS
    }
}

/// Whether a status says that the same call may succeed later.
pub(crate) fn is_transient(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 429 | 500 | 502 | 503 | 504)
}

impl RetryAfter {
    pub(crate) fn parse(text: &str) -> Self {
        match text.trim().parse() {
            Ok(seconds) => Self::After(Duration::from_secs(seconds)),
            Err(_) => Self::At(text.trim().to_owned()),
        }
    }

    fn delay(&self, date: Option<&str>) -> Option<Duration> {
        match self {
            Self::After(delay) => Some(*delay),
            // A moment that has passed already asks for no delay.
            Self::At(text) => Some(
                Duration::try_from(http_date(text)?.duration_since(http_date(date?)?)).unwrap_or_default(),
            ),
        }
    }
}

/// For how long the sender of these headers asks to be left alone.
pub(crate) fn retry_delay(headers: &HeaderMap) -> Option<Duration> {
    RetryAfter::parse(header(headers, "retry-after")?).delay(header(headers, "date"))
}

fn header<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

/// The value of the first header that ends in `request-id` (contract (j.39)).
pub fn request_id(headers: &HeaderMap) -> Option<String> {
    let (_, value) = headers.iter().find(|(name, _)| name.as_str().ends_with("request-id"))?;
    value.to_str().ok().map(str::to_owned)
}

/// `HTTP 400 (BadRequestException): Invalid parameter format: exportType`
impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HTTP {}", self.status.as_u16())?;
        if let Some(error) = &self.error {
            write!(f, " ({error})")?;
        }
        let raw = self.raw.trim();
        match &self.message {
            Some(message) => write!(f, ": {message}")?,
            None if raw.starts_with('<') => {
                f.write_str(": the answer is an HTML page, likely a gateway's or a proxy's: ")?;
                write_short(f, raw)?;
            }
            None if !raw.is_empty() => {
                f.write_str(": ")?;
                write_short(f, raw)?;
            }
            None => f
                .write_str(self.status.canonical_reason().map_or("", |_| ": "))
                .and_then(|()| f.write_str(self.status.canonical_reason().unwrap_or_default()))?,
        }
        self.request_id.as_ref().map_or(Ok(()), |id| write!(f, " [request {id}]"))
    }
}

/// The beginning of a raw body on one line.
fn write_short(f: &mut fmt::Formatter<'_>, raw: &str) -> fmt::Result {
    use fmt::Write as _;
    let mut shown = 0;
    for (at, word) in raw.split_whitespace().enumerate() {
        if at > 0 {
            f.write_char(' ')?;
        }
        for letter in word.chars() {
            if shown == SHOWN {
                return f.write_char('…');
            }
            shown += 1;
            f.write_char(letter)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(status: u16, body: &str) -> Refusal {
        Refusal::from_parts(StatusCode::from_u16(status).unwrap(), &HeaderMap::new(), body.as_bytes())
    }

    #[test]
    fn every_known_envelope_is_understood() {
        let bulk = refusal(
            400,
            r#"{"error":"BadRequestException","message":"Invalid parameter format: exportType"}"#,
        );
        assert_eq!(bulk.to_string(), "HTTP 400 (BadRequestException): Invalid parameter format: exportType");
        let rest = refusal(
            401,
            r#"{"code":401,"id":"ab12","message":"no","path":"/x","timestamp":"01-02-2026 03:04:05"}"#,
        );
        assert_eq!(rest.to_string(), "HTTP 401: no [request ab12]");
        assert_eq!(
            refusal(422, r#"{"code":422,"message":"Invalid date filters range"}"#).message.unwrap(),
            "Invalid date filters range"
        );
        assert_eq!(
            refusal(400, r#"{"message":"report.filter.invalid"}"#).message.unwrap(),
            "report.filter.invalid"
        );
        let oauth = refusal(401, r#"{"error":"invalid_client","error_description":"bad secret"}"#);
        assert_eq!(oauth.to_string(), "HTTP 401 (invalid_client): bad secret");
    }

    #[test]
    fn html_is_kept_raw_and_named_as_what_it_is() {
        let page = refusal(504, "<html>\n<body>Gateway\n timed out</body></html>");
        assert!(page.to_string().contains("HTML page"), "{page}");
        assert!(
            page.to_string().ends_with("proxy's: <html> <body>Gateway timed out</body></html>"),
            "{page}"
        );
        assert!(page.is_transient());
    }

    #[test]
    fn what_must_not_be_seen_is_in_none_of_its_texts() {
        let mut headers = HeaderMap::new();
        for name in ["date", "retry-after", "x-request-id"] {
            headers.insert(name, "hunter2".parse().unwrap());
        }
        let body = br#"{"error":"hunter2","message":"no hunter2"}"#;
        let mut refusal = Refusal::from_parts(StatusCode::BAD_REQUEST, &headers, body);
        refusal.body_error = Some("hunter2".to_owned());
        let redacted = refusal.redacted(&Redaction::new(|text| text.replace("hunter2", "***")));
        assert_eq!(redacted.to_string(), "HTTP 400 (***): no *** [request ***]");
        assert!(!format!("{redacted:?}").contains("hunter2"), "{redacted:?}");
    }

    #[test]
    fn an_endless_body_is_bounded_before_it_is_parsed() {
        let long = refusal(500, &"x".repeat(1 << 20));
        assert_eq!(long.raw.len(), KEPT);
        assert!(long.to_string().len() < 400);
    }

    #[test]
    fn only_what_may_pass_is_transient() {
        let transient: Vec<_> = (100..600).filter(|status| refusal(*status, "").is_transient()).collect();
        assert_eq!(transient, [408, 429, 500, 502, 503, 504]);
        let limiting: Vec<_> = (100..600).filter(|status| refusal(*status, "").is_rate_limit()).collect();
        assert_eq!(limiting, [429]);
    }

    #[test]
    fn retry_after_is_read_in_both_forms() {
        assert_eq!(RetryAfter::parse("7"), RetryAfter::After(Duration::from_secs(7)));
        assert!(matches!(RetryAfter::parse("Fri, 06 Mar 2026 00:00:00 GMT"), RetryAfter::At(_)));
    }

    #[test]
    fn a_date_to_wait_for_counts_from_the_servers_own_clock() {
        let delay = |retry_after: &str, date: Option<&str>| {
            let mut headers = HeaderMap::new();
            headers.insert("retry-after", retry_after.parse().unwrap());
            if let Some(date) = date {
                headers.insert("date", date.parse().unwrap());
            }
            let refusal = Refusal::from_parts(StatusCode::TOO_MANY_REQUESTS, &headers, b"");
            assert_eq!(refusal.retry_delay(), retry_delay(&headers));
            refusal.retry_delay().map(|delay| delay.as_secs())
        };
        let (noon, later) = ("Fri, 06 Mar 2026 12:00:00 GMT", "Fri, 06 Mar 2026 12:01:30 GMT");
        assert_eq!(delay(later, Some(noon)), Some(90));
        assert_eq!(delay(noon, Some(later)), Some(0));
        assert_eq!(delay(later, None), None);
        assert_eq!(delay("soon", Some(noon)), None);
        assert_eq!(delay("7", None), Some(7));
    }
}
