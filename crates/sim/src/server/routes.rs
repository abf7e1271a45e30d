//! Which request is what, and what each has to pass before it is acted on.

use std::convert::Infallible;
use std::sync::Arc;

use http::{HeaderValue, Method, Request, Response, header};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;

use super::body::Body;
use super::state::State;
use super::{control, exports, reply, tokens};
use crate::auth::{Denied, KeyType, TokenKind};
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

/// Answers one request.
pub(super) async fn respond(
    state: Arc<State>,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let number = state.next_request();
    let (head, body) = request.into_parts();
    let path = head.uri.path();
    let mut reply = if path.starts_with("/_sim/") {
        match read(body).await {
            Some(body) => control::respond(&state, &head, &body).await,
            None => reply::error(400, "The body could not be read"),
        }
    } else {
        let route = Route::of(&head.method, path);
        let reply = play(&state, &route, &head, body).await;
        let (name, status) = (route.name(&head.method, path), reply.status().as_u16());
        state.counters.count(|report| {
            *report.requests.entry(name).or_default().entry(status).or_default() += 1;
        });
        reply
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

async fn read(body: Incoming) -> Option<bytes::Bytes> {
    Limited::new(body, MOST_BODY).collect().await.ok().map(http_body_util::Collected::to_bytes)
}

async fn play(
    state: &Arc<State>,
    route: &Route,
    head: &http::request::Parts,
    body: Incoming,
) -> Response<Body> {
    let Some(body) = read(body).await else { return reply::error(400, "The body could not be read") };
    if let Route::Token(kind) = route {
        return tokens::mint(state, *kind, text(head, header::CONTENT_TYPE), &body);
    }
    // Row j.34: everything but the token endpoints.
    let Some(place) = state.limit.admit() else {
        state.counters.count(|report| report.rate_limited += 1);
        return reply::error(429, "Rate limit exceeded: 5 requests per second, 10 at once");
    };
    let mut reply = match authorise(state, route, head) {
        Ok(key) => exports::respond(state, route, head, &body, &key).await,
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
