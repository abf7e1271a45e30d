//! Which request is what, and what each has to pass before it is acted on.

use std::sync::Arc;

use http::{HeaderValue, Method, Request, Response, header};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;

use super::body::Body;
use super::exports::{self, Asked};
use super::state::State;
use super::wire::Control;
use super::{control as own, downloads, reply, tokens};
use crate::auth::{Denied, KeyType, TokenKind};
use crate::faults::{Call, Effect, Fault, RouteName};
use crate::jobs::Resource;
use crate::switches::Row;

/// The most bytes that a request's body may have; real ones have a few hundred.
const MOST_BODY: usize = 1024 * 1024;

/// A path and method that the contract knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Route {
    Token(TokenKind),
    Create(Resource),
    List(Resource),
    Status(Resource, String),
    Data(Resource, String),
    /// Anything else, an unsupported method included.
    Unknown,
}

impl Route {
    pub(super) fn of(method: &Method, path: &str) -> Self {
        let is = |wanted: &Method| method == wanted;
        match path {
            "/auth/v1/tokens" if is(&Method::POST) => return Self::Token(TokenKind::V1),
            "/v3/auth/tokens" if is(&Method::POST) => return Self::Token(TokenKind::V3),
            _ => {}
        }
        let Some(rest) = path.strip_prefix("/pull/v1/export/") else { return Self::Unknown };
        let (resource, rest) = match rest.split_once('/') {
            Some(("activities", rest)) => (Resource::Activities, rest),
            Some(("contacts", rest)) => (Resource::Contacts, rest),
            _ => return Self::Unknown,
        };
        let parts: Vec<&str> = rest.split('/').collect();
        match parts.as_slice() {
            ["jobs"] if is(&Method::POST) => Self::Create(resource),
            ["jobs"] if is(&Method::GET) => Self::List(resource),
            ["jobs", id] if is(&Method::GET) && !id.is_empty() => Self::Status(resource, (*id).to_owned()),
            ["jobs", id, "data"] if is(&Method::GET) => Self::Data(resource, (*id).to_owned()),
            _ => Self::Unknown,
        }
    }

    /// The route's name in the report.
    fn name(&self, method: &Method, path: &str) -> String {
        let resource = |resource: &Resource| match resource {
            Resource::Activities => "activities",
            Resource::Contacts => "contacts",
        };
        match self {
            Self::Token(TokenKind::V1) => "POST /auth/v1/tokens".to_owned(),
            Self::Token(TokenKind::V3) => "POST /v3/auth/tokens".to_owned(),
            Self::Create(of) => format!("POST /pull/v1/export/{}/jobs", resource(of)),
            Self::List(of) => format!("GET /pull/v1/export/{}/jobs", resource(of)),
            Self::Status(of, _) => format!("GET /pull/v1/export/{}/jobs/{{id}}", resource(of)),
            Self::Data(of, _) => format!("GET /pull/v1/export/{}/jobs/{{id}}/data", resource(of)),
            Self::Unknown if path.starts_with("/pull/v1/export/") || path.contains("/tokens") => {
                format!("{method} (unsupported)")
            }
            Self::Unknown => "(unknown path)".to_owned(),
        }
    }
}

/// The connection ends without a reply.
#[derive(Debug)]
pub(super) struct Dropped;

impl std::fmt::Display for Dropped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("dropped by the fault engine")
    }
}

impl std::error::Error for Dropped {}

/// Answers one request.
pub(super) async fn respond(
    state: Arc<State>,
    control: Control,
    request: Request<Incoming>,
) -> Result<Response<Body>, Dropped> {
    let number = state.next_request();
    let (head, body) = request.into_parts();
    let path = head.uri.path();
    let body = Limited::new(body, MOST_BODY).collect().await.map(http_body_util::Collected::to_bytes);
    let mut reply = match body {
        Err(_) => reply::error(400, "The body could not be read"),
        Ok(_) if path.starts_with(STORAGE) => downloads::storage(&state, &head, &control).await,
        Ok(body) if path.starts_with("/_sim/") => own::respond(&state, &head, &body).await,
        Ok(body) => {
            let route = Route::of(&head.method, path);
            note_oddities(&state, &route, &head);
            let call = call(&state, &route, &head, number);
            let fault = state.faults.decide(&call, state.seed);
            let reply = strike(&state, &route, &head, &body, fault, &control).await;
            let name = route.name(&head.method, path);
            // A lost reply counts as status 0.
            let status = reply.as_ref().map_or(0, |reply| reply.status().as_u16());
            state.counters.count(|report| {
                *report.requests.entry(name).or_default().entry(status).or_default() += 1;
            });
            reply?
        }
    };
    let headers = reply.headers_mut();
    let date = state.clock.now().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    if let Ok(date) = HeaderValue::from_str(&date) {
        headers.insert(header::DATE, date);
    }
    // Row j.39: so that a client's log can be laid beside the report.
    if let Ok(id) = HeaderValue::from_str(&format!("sim-{number:08}")) {
        headers.insert("x-request-id", id);
    }
    Ok(reply)
}

/// The path under which files are found after a redirect (row j.22).
pub(super) const STORAGE: &str = "/_sim/storage/";

/// What the fault engine looks at.
fn call(state: &State, route: &Route, head: &http::request::Parts, request: u64) -> Call {
    let (name, resource, id) = match route {
        Route::Token(_) => (RouteName::Token, None, None),
        Route::Create(resource) => (RouteName::Create, Some(*resource), None),
        Route::List(resource) => (RouteName::List, Some(*resource), None),
        Route::Status(resource, id) => (RouteName::Status, Some(*resource), Some(id)),
        Route::Data(resource, id) => (RouteName::Data, Some(*resource), Some(id)),
        Route::Unknown => (RouteName::Unknown, None, None),
    };
    let queue = state.queue();
    let job = match (name, id) {
        (RouteName::Create, _) => Some(queue.jobs().len() as u64 + 1),
        (_, id) => id.and_then(|id| id.parse().ok()).and_then(|id| queue.number(id)),
    };
    let fragment = downloads::fragment(head).ok().flatten();
    Call { request, route: name, resource, job, fragment }
}

/// Counts as findings what the contract can't explain about a request on a known path; it is played all the same.
fn note_oddities(state: &State, route: &Route, head: &http::request::Parts) {
    let allowed: &[&str] = if matches!(route, Route::Data(..)) { &["fragment"] } else { &[] };
    for pair in head.uri.query().unwrap_or("").split('&').filter(|pair| !pair.is_empty()) {
        let key = pair.split('=').next().unwrap_or("");
        if !allowed.contains(&key) {
            state.counters.finding(&format!("an unknown query parameter: {key}"));
        }
    }
    if matches!(route, Route::Create(_))
        && !text(head, header::CONTENT_TYPE).is_some_and(|text| text.starts_with("application/json"))
    {
        state.counters.finding("a create without Content-Type: application/json");
    }
    // A header that one connector's pages speak of and every other source contradicts (contract (a.5)).
    if head.headers.contains_key("x-api-key") {
        state.counters.finding("a header that the API does not know: x-api-key");
    }
}

/// Plays a request as it is due, or as the fault has it.
async fn strike(
    state: &Arc<State>,
    route: &Route,
    head: &http::request::Parts,
    body: &[u8],
    fault: Option<Fault>,
    control: &Control,
) -> Result<Response<Body>, Dropped> {
    match fault.as_ref().map(|fault| &fault.effect) {
        Some(Effect::DropBefore(close)) => {
            control.end(*close);
            Err(Dropped)
        }
        Some(Effect::DropAfter(close)) => {
            play(state, route, head, body, None, control).await;
            control.end(*close);
            Err(Dropped)
        }
        Some(Effect::Status(status)) => {
            if status.acted {
                play(state, route, head, body, None, control).await;
            }
            Ok(reply::faulty(status, state.clock.now()))
        }
        _ => Ok(play(state, route, head, body, fault.as_ref(), control).await),
    }
}

async fn play(
    state: &Arc<State>,
    route: &Route,
    head: &http::request::Parts,
    body: &[u8],
    fault: Option<&Fault>,
    control: &Control,
) -> Response<Body> {
    if let Route::Token(kind) = route {
        return tokens::mint(state, *kind, text(head, header::CONTENT_TYPE), body);
    }
    // Row j.34: everything but the token endpoints.
    let Some(place) = state.limit.admit() else {
        state.counters.count(|report| report.rate_limited += 1);
        return reply::error(429, "Rate limit exceeded: 5 requests per second, 10 at once");
    };
    let mut reply = match authorise(state, route, head) {
        Ok(key) => {
            let asked = Asked { head, body, key: &key, fault, control };
            exports::respond(state, route, &asked).await
        }
        Err(refused) => *refused,
    };
    reply.body_mut().hold(place);
    reply
}

/// Whose key it is, or the refusal.
fn authorise(
    state: &State,
    route: &Route,
    head: &http::request::Parts,
) -> Result<String, Box<Response<Body>>> {
    let wanted = match route {
        Route::Create(resource)
        | Route::List(resource)
        | Route::Status(resource, _)
        | Route::Data(resource, _) => match resource {
            Resource::Activities => KeyType::Activity,
            Resource::Contacts => KeyType::Object,
        },
        Route::Token(_) | Route::Unknown => {
            state.counters.finding(&format!("{} {}", head.method, head.uri.path()));
            return Err(Box::new(reply::not_found()));
        }
    };
    let switches = state.switches();
    let header = text(head, header::AUTHORIZATION);
    state.tokens.check(header, TokenKind::V1, wanted, state.clock.now(), &switches).map_err(|denied| {
        Box::new(match denied {
            Denied::Unauthorized => reply::error(401, "HTTP 401 Unauthorized"),
            Denied::WrongType => match switches.status(Row::J29) {
                404 => reply::not_found(),
                401 => reply::error(401, "HTTP 401 Unauthorized"),
                status => reply::error(status, "HTTP 403 Forbidden"),
            },
        })
    })
}

/// A header's value, if it is text.
pub(super) fn text(head: &http::request::Parts, name: header::HeaderName) -> Option<&str> {
    head.headers.get(name).and_then(|value| value.to_str().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_are_told_apart_by_path_and_method() {
        let route = |method: &str, path: &str| Route::of(&method.parse().unwrap(), path);
        assert_eq!(route("POST", "/auth/v1/tokens"), Route::Token(TokenKind::V1));
        assert_eq!(route("GET", "/auth/v1/tokens"), Route::Unknown);
        let jobs = "/pull/v1/export/activities/jobs";
        assert_eq!(route("POST", jobs), Route::Create(Resource::Activities));
        assert_eq!(route("GET", jobs), Route::List(Resource::Activities));
        assert_eq!(route("DELETE", &format!("{jobs}/1")), Route::Unknown);
        let contact = "/pull/v1/export/contacts/jobs/17/data";
        assert_eq!(route("GET", contact), Route::Data(Resource::Contacts, "17".to_owned()));
        assert_eq!(route("GET", "/pull/v1/export/leads/jobs"), Route::Unknown);
        assert_eq!(route("GET", &format!("{jobs}/")), Route::Unknown);
    }
}
