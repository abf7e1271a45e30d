//! What a request has that the contract can't explain. It is played all the same, and counted as a finding.

use http::header;

use super::bulk::BulkRoute;
use super::request_body::Unread;
use super::routes::{Route, text};
use super::state::State;
use super::target;

/// Headers that HTTP clients and the proxies before them send by themselves, and those of contract (a.5). All others are
/// odd: nobody said that the service knows them.
const ORDINARY: &[&str] = &[
    "accept",
    "accept-charset",
    "accept-encoding",
    "accept-language",
    "authorization",
    "cache-control",
    "connection",
    "content-length",
    "content-type",
    "date",
    "expect",
    "forwarded",
    "host",
    "http2-settings",
    "if-range",
    "keep-alive",
    "pragma",
    "priority",
    "range",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "via",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
];

/// Counts the oddities of a request.
pub(super) fn note(state: &State, route: &Route, head: &http::request::Parts, body: Result<&[u8], Unread>) {
    let found = |what: String| state.counters.finding(&what);
    if *route == Route::Unknown {
        return found(format!("{} {}", head.method, head.uri.path()));
    }
    if body == Err(Unread::TooLong) {
        found("a body of more than 1 MiB".to_owned());
    }
    let allowed: &[&str] = match route {
        Route::Bulk(BulkRoute::Data(..)) => &["fragment"],
        _ => &[],
    };
    for (name, _) in target::query(&head.uri).filter(|(name, _)| !allowed.contains(&name.as_str())) {
        found(format!("an unknown query parameter: {name}"));
    }
    for name in head.headers.keys().filter(|name| !ORDINARY.contains(&name.as_str())) {
        found(format!("an odd header: {name}"));
    }
    let content_type = text(head, header::CONTENT_TYPE).unwrap_or("");
    let is_a = |wanted: &str| {
        content_type.split(';').next().is_some_and(|found| found.trim().eq_ignore_ascii_case(wanted))
    };
    match route {
        Route::Bulk(BulkRoute::Create(_)) if !is_a("application/json") => {
            found("a create without Content-Type: application/json".to_owned());
        }
        Route::Token(_) if !is_a("application/x-www-form-urlencoded") => {
            found("a token call without Content-Type: application/x-www-form-urlencoded".to_owned());
        }
        Route::Bulk(BulkRoute::List(_) | BulkRoute::Status(..) | BulkRoute::Data(..))
            if body.is_ok_and(|body| !body.is_empty()) =>
        {
            found("a GET with a body".to_owned());
        }
        _ => {}
    }
    match (route, text(head, header::AUTHORIZATION)) {
        // Credentials go in the body only (contract (a.1)).
        (Route::Token(_), Some(_)) => found("a token call with an Authorization header".to_owned()),
        (Route::Bulk(_), Some(given)) => {
            let scheme = given.split(' ').next().unwrap_or("");
            if !scheme.eq_ignore_ascii_case("bearer") {
                found("an Authorization header that is not a bearer token".to_owned());
            }
        }
        _ => {}
    }
}
