//! Which request is what, and what each has to pass before it is acted on.

use std::borrow::Cow;
use std::sync::Arc;

use http::{HeaderValue, Method, Request, Response, header};
use hyper::body::Incoming;

use super::body::Body;
use super::bulk::{self, Asked, BulkRoute, Fate};
use super::request_body::Unread;
use super::state::State;
use super::wire::Control;
use super::{control as own, oddities, reply, request_body, target, tokens};
use crate::auth::{Denied, TokenKind};
use crate::export::Layout;
use crate::faults::{Call, Decision, Effect, RouteName};
use crate::switches::Row;

/// A path and method that the contract knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Route {
    Token(TokenKind),
    Bulk(BulkRoute),
    /// Anything else, an unsupported method included.
    Unknown,
}

impl Route {
    pub(super) fn of(method: &Method, path: &str) -> Self {
        match (method, path) {
            (&Method::POST, "/auth/v1/tokens") => Self::Token(TokenKind::V1),
            (&Method::POST, "/v3/auth/tokens") => Self::Token(TokenKind::V3),
            _ => BulkRoute::of(method, path).map_or(Self::Unknown, Self::Bulk),
        }
    }

    /// What the report calls it.
    fn name(&self, method: &Method, path: &str) -> Cow<'static, str> {
        match self {
            Self::Token(TokenKind::V1) => "POST /auth/v1/tokens".into(),
            Self::Token(TokenKind::V3) => "POST /v3/auth/tokens".into(),
            Self::Bulk(route) => route.report_name().into(),
            Self::Unknown if BulkRoute::is_below(path) || path.contains("/tokens") => {
                format!("{method} (unsupported)").into()
            }
            Self::Unknown => "(unknown path)".into(),
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
    let path = &*target::path(&head.uri);
    let body = request_body::read(body).await;
    let body = body.as_deref().map_err(|unread| *unread);
    let mut reply = match body {
        _ if path.starts_with(STORAGE) => bulk::storage(&state, path, &head, &control).await,
        _ if path.starts_with("/_sim/") => match body {
            Ok(body) => own::respond(&state, path, &head, body).await,
            Err(unread) => reply::error(400, unread.message()),
        },
        _ => {
            let route = Route::of(&head.method, path);
            oddities::note(&state, &route, &head, body);
            let call = call(&state, &route, &head, number);
            let decision = state.faults.decide(&call, state.seed);
            let received = Received { head: &head, body, control: &control };
            let reply = strike(&state, &route, &received, &decision).await;
            let name = route.name(&head.method, path);
            // A lost reply counts as status 0.
            let status = reply.as_ref().map_or(0, |reply| reply.status().as_u16());
            state.counters.request(&name, status);
            reply?
        }
    };
    let headers = reply.headers_mut();
    headers.insert(header::DATE, state.date_header());
    // Row j.39: so that a client's log can be laid beside the report.
    if let Ok(id) = HeaderValue::from_str(&format!("sim-{number:08}")) {
        headers.insert("x-request-id", id);
    }
    Ok(reply)
}

/// The path under which files are found after a redirect (row j.22).
pub(super) const STORAGE: &str = "/_sim/storage/";

/// A request as it came.
#[derive(Clone, Copy)]
struct Received<'a> {
    head: &'a http::request::Parts,
    body: Result<&'a [u8], Unread>,
    control: &'a Control,
}

/// What the fault engine looks at.
fn call(state: &State, route: &Route, head: &http::request::Parts, request: u64) -> Call {
    let queue = state.queue();
    let fragment = bulk::fragment(head).ok().flatten();
    let mut call =
        Call { request, route: RouteName::Unknown, resource: None, job: None, layout: None, fragment };
    match route {
        Route::Token(_) => call.route = RouteName::Token,
        Route::Unknown => {}
        Route::Bulk(route) => {
            call.route = route.rule_name();
            call.resource = Some(route.resource());
            let id: Option<u64> = route.job_id().and_then(|id| id.parse().ok());
            let job = id.and_then(|id| queue.job(id));
            call.layout = job.map(|job| Layout::of(job.request.output, &job.switches));
            call.job = match route {
                BulkRoute::Create(_) => Some(queue.jobs().len() as u64 + 1),
                _ => id.and_then(|id| queue.number(id)),
            };
        }
    }
    call
}

/// Plays a request as it is due, or as the fault has it.
async fn strike(
    state: &Arc<State>,
    route: &Route,
    request: &Received<'_>,
    decision: &Decision,
) -> Result<Response<Body>, Dropped> {
    let job = decision.job;
    match decision.fault.as_ref().map(|fault| &fault.effect) {
        Some(Effect::DropBefore(close)) => {
            request.control.end(*close);
            Err(Dropped)
        }
        Some(Effect::DropAfter(close)) => {
            play(state, route, request, &Fate { fault: None, job, reply_lost: true }).await;
            request.control.end(*close);
            Err(Dropped)
        }
        Some(Effect::Status(status)) => {
            if status.acted {
                play(state, route, request, &Fate { fault: None, job, reply_lost: true }).await;
            }
            Ok(reply::faulty(status, state.clock.now()))
        }
        _ => {
            let fate = Fate { fault: decision.fault.as_ref(), job, reply_lost: false };
            Ok(play(state, route, request, &fate).await)
        }
    }
}

async fn play(state: &Arc<State>, route: &Route, request: &Received<'_>, fate: &Fate<'_>) -> Response<Body> {
    let Received { head, body, control } = *request;
    let route = match route {
        Route::Token(kind) => return tokens::mint(state, *kind, body),
        Route::Bulk(route) => Some(route),
        Route::Unknown => None,
    };
    // Row j.34: everything but the token endpoints.
    let Some(place) = state.limit.admit() else {
        let key = state.tokens.owner(text(head, header::AUTHORIZATION));
        state.counters.rate_limited(key.as_deref());
        return reply::error(429, "Rate limit exceeded: 5 requests per second, 10 at once");
    };
    let Some(route) = route else { return reply::not_found() };
    let mut reply = match authorise(state, route, head) {
        Ok(key) => {
            state.counters.of_key(&key, |report| report.requests += 1);
            match body {
                Ok(body) => {
                    let asked = Asked { head, body, key: &key, fate, control };
                    bulk::respond(state, route, &asked).await
                }
                Err(unread) => reply::error(400, unread.message()),
            }
        }
        Err(refused) => *refused,
    };
    reply.body_mut().hold(place);
    reply
}

/// Whose key it is, or the refusal.
fn authorise(
    state: &State,
    route: &BulkRoute,
    head: &http::request::Parts,
) -> Result<String, Box<Response<Body>>> {
    let switches = state.switches();
    let header = text(head, header::AUTHORIZATION);
    let checked = state.tokens.check(header, TokenKind::V1, route.key_type(), state.clock.now(), &switches);
    checked.map_err(|denied| {
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
    fn token_endpoints_and_apis_are_told_apart() {
        let route = |method: &str, path: &str| Route::of(&method.parse().unwrap(), path);
        assert_eq!(route("POST", "/auth/v1/tokens"), Route::Token(TokenKind::V1));
        assert_eq!(route("POST", "/v3/auth/tokens"), Route::Token(TokenKind::V3));
        assert_eq!(route("GET", "/auth/v1/tokens"), Route::Unknown);
        assert!(matches!(route("GET", "/pull/v1/export/activities/jobs"), Route::Bulk(_)));
        assert_eq!(route("GET", "/v0/public/activities"), Route::Unknown);
    }
}
