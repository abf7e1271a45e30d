//! Replies: JSON on one line, errors with both `error` and `message` (contract (h.1), (l)).

use http::{HeaderValue, Response, StatusCode, header};
use serde_json::{Value, json};

use super::body::Body;

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

fn exception(status: u16) -> &'static str {
    match status {
        400 => "BadRequestException",
        401 => "UnauthorizedException",
        403 => "ForbiddenException",
        404 => "NotFoundException",
        409 => "ConflictException",
        410 => "GoneException",
        416 => "RangeNotSatisfiableException",
        425 => "TooEarlyException",
        429 => "TooManyRequestsException",
        503 => "ServiceUnavailableException",
        _ => "InternalServerErrorException",
    }
}
