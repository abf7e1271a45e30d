//! Replies: JSON on one line, errors with both `error` and `message` (contract (h.1), (l)).

use http::{HeaderValue, Response, StatusCode, header};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::body::Body;
use crate::faults::{BodyKind, RetryAfter, StatusFault};

/// A JSON reply, on one line.
pub(super) fn json(status: u16, value: &Value) -> Response<Body> {
    bytes(status, "application/json; charset=utf-8", value.to_string())
}

/// A reply with a body that is at hand.
pub(super) fn bytes(
    status: u16,
    content_type: &'static str,
    body: impl Into<bytes::Bytes>,
) -> Response<Body> {
    let mut reply = Response::new(Body::full(body.into()));
    *reply.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    reply.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    reply
}

/// A reply without a body.
pub(super) fn empty(status: u16) -> Response<Body> {
    let mut reply = Response::new(Body::full(bytes::Bytes::new()));
    *reply.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    reply
}

/// An error reply. The exception's name follows from the status, as in the official samples.
pub(super) fn error(status: u16, message: &str) -> Response<Body> {
    json(status, &json!({"error": exception(status), "message": message}))
}

/// The official sample of a 404, which also answers an unsupported method.
pub(super) fn not_found() -> Response<Body> {
    error(404, "HTTP 404 Not Found")
}

/// A reply that the fault engine asks for.
pub(super) fn faulty(fault: &StatusFault, now: Timestamp) -> Response<Body> {
    let status = fault.status;
    let mut reply = match fault.body {
        BodyKind::Json => error(status, "injected by the fault engine"),
        BodyKind::Html => bytes(
            status,
            "text/html",
            format!(
                "<html>\r\n<head><title>{status}</title></head>\r\n<body><h1>{status}</h1></body>\r\n</html>"
            ),
        ),
        BodyKind::Empty => empty(status),
    };
    let after = match fault.retry_after {
        RetryAfter::Absent => None,
        RetryAfter::Seconds(seconds) => Some(seconds.to_string()),
        RetryAfter::Date(seconds) => {
            let after = jiff::SignedDuration::from_secs(i64::from(seconds));
            let date = now.checked_add(after).unwrap_or(now);
            Some(date.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string())
        }
        RetryAfter::Garbage => Some("in a while".to_owned()),
    };
    if let Some(after) = after.and_then(|after| HeaderValue::from_str(&after).ok()) {
        reply.headers_mut().insert(header::RETRY_AFTER, after);
    }
    reply
}

/// The name of a status as an exception, as in the official samples.
fn exception(status: u16) -> String {
    let reason = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
    let reason = reason.unwrap_or(if status < 500 { "Bad Request" } else { "Internal Server Error" });
    let letters = |text: &str| text.chars().filter(char::is_ascii_alphabetic).collect::<String>();
    format!("{}Exception", letters(reason))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_a_name_of_its_own() {
        for (status, name) in [
            (400, "BadRequestException"),
            (401, "UnauthorizedException"),
            (403, "ForbiddenException"),
            (404, "NotFoundException"),
            (408, "RequestTimeoutException"),
            (409, "ConflictException"),
            (410, "GoneException"),
            (416, "RangeNotSatisfiableException"),
            (425, "TooEarlyException"),
            (429, "TooManyRequestsException"),
            (499, "BadRequestException"),
            (500, "InternalServerErrorException"),
            (502, "BadGatewayException"),
            (503, "ServiceUnavailableException"),
            (504, "GatewayTimeoutException"),
            (599, "InternalServerErrorException"),
        ] {
            assert_eq!(exception(status), name);
        }
    }
}
