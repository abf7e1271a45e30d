//! The hard limits of a run, kept at the port itself: whatever happens above it, a retry, a redirect, a new token, no
//! more requests than these leave, and no resource gets a second export job.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use backstory_transport::{Error, ErrorKind, HttpService, Request, Response};
use http::{HeaderMap, Method, StatusCode};

/// The most requests that a run sends.
pub const MOST_REQUESTS: u32 = 30;
/// The most export jobs that a run creates: one of activities and one of contacts, of one day each.
pub const MOST_JOBS: u32 = 2;

/// Headers that tell of a rate limit; their values are not kept.
const RATE_HEADERS: [&str; 7] = [
    "retry-after",
    "ratelimit",
    "ratelimit-limit",
    "ratelimit-policy",
    "ratelimit-remaining",
    "x-ratelimit-limit",
    "x-ratelimit-remaining",
];
/// Headers that identify a request. Others may be named after a customer's own proxy, and are only counted.
const REQUEST_ID_HEADERS: [&str; 6] =
    ["x-request-id", "request-id", "x-amzn-requestid", "x-amz-request-id", "x-correlation-id", "x-trace-id"];

/// What the port saw of all replies together.
#[derive(Clone, Debug, Default)]
pub(crate) struct PortNotes {
    pub(crate) sent: u32,
    pub(crate) jobs_asked_for: u32,
    /// Replies with 429 to anything but the creation of a job, which is refused so when the queue is full.
    pub(crate) rate_limited: u32,
    pub(crate) rate_headers: BTreeSet<&'static str>,
    pub(crate) request_id_headers: BTreeSet<&'static str>,
}

#[derive(Debug)]
struct Counts {
    left: u32,
    /// Paths under which a job may have been created.
    created: BTreeSet<String>,
    notes: PortNotes,
}

/// Counts what leaves. Clones share the count.
#[derive(Clone, Debug)]
pub(crate) struct Meter(Arc<Mutex<Counts>>);

impl Meter {
    /// At most this many requests, and never more than [`MOST_REQUESTS`].
    pub(crate) fn new(requests: u32) -> Self {
        let left = requests.min(MOST_REQUESTS);
        Self(Arc::new(Mutex::new(Counts { left, created: BTreeSet::new(), notes: PortNotes::default() })))
    }

    /// How many requests may still be sent.
    pub(crate) fn left(&self) -> u32 {
        self.counts().left
    }

    pub(crate) fn notes(&self) -> PortNotes {
        self.counts().notes.clone()
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes one request out of the budget, or says why it may not be sent.
    fn take(&self, creation: Option<&str>) -> Result<(), &'static str> {
        let mut counts = self.counts();
        if counts.left == 0 {
            return Err("the run's budget of requests is used up");
        }
        if let Some(path) = creation {
            if counts.created.len() >= MOST_JOBS as usize || !counts.created.insert(path.to_owned()) {
                return Err("a second export job of one kind is never created");
            }
            counts.notes.jobs_asked_for += 1;
        }
        counts.left -= 1;
        counts.notes.sent += 1;
        Ok(())
    }

    fn note(&self, status: StatusCode, headers: &HeaderMap, creation: Option<&str>) {
        let mut counts = self.counts();
        let notes = &mut counts.notes;
        if status == StatusCode::TOO_MANY_REQUESTS && creation.is_none() {
            notes.rate_limited += 1;
        }
        notes.rate_headers.extend(RATE_HEADERS.iter().filter(|name| headers.contains_key(**name)));
        notes
            .request_id_headers
            .extend(REQUEST_ID_HEADERS.iter().filter(|name| headers.contains_key(**name)));
    }

    /// A creation that certainly never left may be tried again.
    fn forget(&self, creation: &str) {
        let mut counts = self.counts();
        if counts.created.remove(creation) {
            counts.notes.jobs_asked_for -= 1;
        }
    }
}

/// The layer directly around the adapter.
pub(crate) struct Metered<S> {
    inner: S,
    meter: Meter,
}

impl<S: HttpService> Metered<S> {
    pub(crate) fn new(inner: S, meter: Meter) -> Self {
        Self { inner, meter }
    }
}

#[async_trait]
impl<S: HttpService> HttpService for Metered<S> {
    async fn send(&self, request: Request) -> Result<Response, Error> {
        let path = request.uri().path().to_owned();
        let creation = (request.method() == Method::POST && path.ends_with("/jobs")).then_some(path.as_str());
        self.meter.take(creation).map_err(|why| Error::new(ErrorKind::Layer, why))?;
        let outcome = self.inner.send(request).await;
        match &outcome {
            Ok(response) => {
                self.meter.note(response.status(), response.headers(), creation);
                // What is refused for its token was not acted on, and may be sent again with another.
                if let Some(path) = creation.filter(|_| response.status() == StatusCode::UNAUTHORIZED) {
                    self.meter.forget(path);
                }
            }
            Err(error) => {
                if let Some(path) = creation.filter(|_| !error.may_have_been_sent()) {
                    self.meter.forget(path);
                }
            }
        }
        outcome
    }
}

#[cfg(test)]
mod tests {
    use backstory_transport::{Scripted, ScriptedService};

    use super::*;

    fn request(method: Method, path: &str) -> Request {
        http::Request::builder()
            .method(method)
            .uri(format!("http://x.example{path}"))
            .body("".into())
            .unwrap()
    }

    #[tokio::test]
    async fn the_request_beyond_the_budget_is_never_sent() {
        let service = ScriptedService::answering(|_, _| Scripted::ok(""));
        let metered = Metered::new(service.clone(), Meter::new(1_000));
        for sent in 0..40 {
            let outcome = metered.send(request(Method::GET, "/a")).await;
            assert_eq!(outcome.is_ok(), sent < 30, "{sent}");
        }
        assert_eq!(service.requests().len(), 30);
    }

    #[tokio::test]
    async fn no_resource_gets_a_second_job_unless_the_first_creation_never_left() {
        let service = ScriptedService::new([
            Scripted::fail_before_send(),
            Scripted::reply(401, ""),
            Scripted::fail_after_send(),
            Scripted::ok("{}"),
        ]);
        let meter = Meter::new(30);
        let metered = Metered::new(service.clone(), meter.clone());
        let create = |path: &str| metered.send(request(Method::POST, path));
        assert_eq!(create("/activities/jobs").await.unwrap_err().kind(), ErrorKind::Connect);
        assert_eq!(create("/activities/jobs").await.unwrap().status(), 401);
        assert_eq!(create("/activities/jobs").await.unwrap_err().kind(), ErrorKind::Interrupted);
        assert_eq!(create("/activities/jobs").await.unwrap_err().kind(), ErrorKind::Layer);
        assert!(create("/contacts/jobs").await.is_ok());
        assert_eq!((service.requests().len(), meter.notes().jobs_asked_for, meter.left()), (4, 2, 26));
    }

    #[tokio::test]
    async fn limits_met_are_noted_by_header_and_not_by_value() {
        let service = ScriptedService::new([
            Scripted::reply(429, "").header("retry-after", "7"),
            Scripted::reply(429, "queue").header("x-request-id", "abc"),
        ]);
        let meter = Meter::new(30);
        let metered = Metered::new(service, meter.clone());
        metered.send(request(Method::GET, "/a")).await.unwrap();
        metered.send(request(Method::POST, "/activities/jobs")).await.unwrap();
        let notes = meter.notes();
        assert_eq!(notes.rate_limited, 1);
        assert!(
            notes.rate_headers.contains("retry-after") && notes.request_id_headers.contains("x-request-id")
        );
    }
}
