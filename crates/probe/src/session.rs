//! Sends requests and writes down what came of them: one at a time, each counted at the port, a redirect followed by
//! hand so that it is seen, and no more of a body read than is needed.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use backstory_api::{BaseUrl, Endpoint, JobId};
use backstory_auth::{Authorised, FixedToken, Secret, TokenSource};
use backstory_transport::{
    Backoff, Body, Error, ErrorKind, HttpService, RateLimit, RateLimiter, RateLimits, Request, Response,
    Retry, RetryByClass, RetryPolicyExt as _, Traced, UnprovenEnd,
};
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, StatusCode, Uri, header};
use serde_json::Value;
use tokio::time::{Instant, timeout};
use url::Url;

use crate::budget::{Meter, Metered};
use crate::step::{Resource, Step};
use crate::transcript::{
    BodyEnd, BodyRead, ErrorShape, Exchange, Redirect, Reply, TokenExchange, TokenReply, Transcript,
};

/// For how long a body may stand still.
const STALL: Duration = Duration::from_secs(30);
/// How much of a token endpoint's body is read.
const TOKEN_BODY: usize = 64 << 10;
/// How much of any result is kept in memory; longer ones are counted only.
pub(crate) const KEEP: usize = 64 << 20;
/// How much is read where the beginning is enough.
pub(crate) const HEAD: usize = 64 << 10;

/// How much of a body is wanted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Want {
    pub(crate) keep: usize,
    /// Whether reading stops there.
    pub(crate) stop: bool,
}

impl Want {
    pub(crate) const ALL: Self = Self { keep: KEEP, stop: false };
    pub(crate) const BEGINNING: Self = Self { keep: HEAD, stop: true };
}

pub(crate) struct Session {
    pub(crate) base: BaseUrl,
    pub(crate) meter: Meter,
    pub(crate) transcript: Transcript,
    port: Arc<dyn HttpService>,
    backoff: Arc<dyn Backoff>,
    begun: Instant,
}

/// What a session is made of.
pub(crate) struct Wiring {
    pub(crate) base: BaseUrl,
    pub(crate) adapter: Arc<dyn HttpService>,
    pub(crate) backoff: Arc<dyn Backoff>,
    pub(crate) requests: u32,
    pub(crate) requests_per_second: u32,
}

impl Session {
    pub(crate) fn new(wiring: Wiring) -> Self {
        let meter = Meter::new(wiring.requests);
        let limits = RateLimits::default().requests_per_second(wiring.requests_per_second).concurrent(1);
        // The meter is nearest to the adapter: what it counts is what leaves.
        let metered = Metered::new(Traced::new(wiring.adapter), meter.clone());
        let port: Arc<dyn HttpService> = Arc::new(RateLimit::new(metered, RateLimiter::new(limits)));
        Self {
            base: wiring.base,
            meter,
            transcript: Transcript::default(),
            port,
            backoff: wiring.backoff,
            begun: Instant::now(),
        }
    }

    /// The port for a token endpoint, with a tap that sees what it says.
    pub(crate) fn token_service(&self) -> (Arc<dyn HttpService>, Tap) {
        let tap = Tap { inner: Arc::clone(&self.port), seen: Arc::default() };
        (Arc::new(self.retrying(tap.clone())), tap)
    }

    /// The port with tokens from `tokens` on each request.
    pub(crate) fn authorised(&self, tokens: impl TokenSource + 'static) -> Arc<dyn HttpService> {
        Arc::new(self.retrying(Authorised::new(Arc::clone(&self.port), tokens)))
    }

    /// The port with one token, of which a refusal is what is asked for.
    pub(crate) fn with_token(&self, token: &Secret) -> Option<Arc<dyn HttpService>> {
        Some(self.authorised(FixedToken::new(token.clone()).ok()?))
    }

    fn retrying<S: HttpService + 'static>(&self, service: S) -> impl HttpService + use<S> {
        // One more attempt, in case that the first one failed in passing: the budget is small.
        let policy = RetryByClass.with_attempt_limit(2);
        Retry::new(service).with_policy(policy).with_backoff(Arc::clone(&self.backoff))
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    /// Leaves a step out, and says why.
    pub(crate) fn skip(&mut self, step: Step, why: impl Into<String>) {
        self.transcript.skipped.push((step, why.into()));
    }

    /// Whether `requests` may be sent for a question and `reserve` are still left for what must follow.
    pub(crate) fn affords(&mut self, step: Step, requests: u32, reserve: u32) -> bool {
        let affords = self.meter.left() >= requests + reserve;
        if !affords {
            self.skip(step, "the budget of requests did not reach so far");
        }
        affords
    }

    /// Notes what a token endpoint said.
    pub(crate) fn note_token(&mut self, step: Step, tap: &Tap, failed: Option<&backstory_auth::Error>) {
        let outcome = match (tap.take(), failed) {
            (Some(reply), _) => Ok(reply),
            (None, Some(error)) if error.is_unreachable() => {
                Err("the token endpoint could not be reached".to_owned())
            }
            (None, _) => Err("the token endpoint gave no reply that could be read".to_owned()),
        };
        self.transcript.tokens.push(TokenExchange { step, outcome });
    }

    /// A GET, recorded.
    pub(crate) async fn get(
        &mut self,
        step: Step,
        service: &Arc<dyn HttpService>,
        uri: Uri,
        headers: &[(header::HeaderName, &'static str)],
        want: Want,
    ) -> Option<&Reply> {
        let mut request = Request::new(Bytes::new());
        *request.uri_mut() = uri;
        for (name, value) in headers {
            request.headers_mut().insert(name, header::HeaderValue::from_static(value));
        }
        self.call(step, service, request, want).await
    }

    /// A request, recorded.
    pub(crate) async fn call(
        &mut self,
        step: Step,
        service: &Arc<dyn HttpService>,
        request: Request,
        want: Want,
    ) -> Option<&Reply> {
        let outcome = self.exchange(service, request, want).await;
        tracing::debug!(?step, answered = outcome.is_ok(), left = self.meter.left(), "asked");
        let at = self.elapsed();
        self.transcript.exchanges.push(Exchange { step, at, outcome });
        self.transcript.exchanges.last()?.outcome.as_ref().ok()
    }

    async fn exchange(
        &self,
        service: &Arc<dyn HttpService>,
        request: Request,
        want: Want,
    ) -> Result<Reply, String> {
        let (method, uri) = (request.method().clone(), request.uri().clone());
        let kept = (method == Method::GET).then(|| request.clone());
        let mut response = service.send(request).await.map_err(|error| words(&error).to_owned())?;
        let mut redirect = None;
        if let Some((mut again, location)) = kept.zip(location(&response)) {
            let status = response.status();
            let (next, other_origin) = next_hop(&uri, &location)?;
            redirect = Some(Redirect { status, other_origin });
            *again.uri_mut() = next;
            // The service below puts no token on it: another server must not learn it.
            let carrier = if other_origin {
                Arc::new(self.retrying(Arc::clone(&self.port)))
            } else {
                Arc::clone(service)
            };
            response = carrier.send(again).await.map_err(|error| words(&error).to_owned())?;
        }
        Ok(read(response, redirect, want).await)
    }

    pub(crate) fn jobs_uri(&self, resource: Resource) -> Option<Uri> {
        self.base.jobs(endpoint(resource)).ok()
    }

    pub(crate) fn job_uri(&self, resource: Resource, id: &str) -> Option<Uri> {
        self.base.job(endpoint(resource), &JobId::from(id)).ok()
    }

    pub(crate) fn data_uri(&self, resource: Resource, id: &str, fragment: Option<u32>) -> Option<Uri> {
        self.base.data(endpoint(resource), &JobId::from(id), fragment).ok()
    }
}

fn endpoint(resource: Resource) -> Endpoint {
    match resource {
        Resource::Activities => Endpoint::ACTIVITIES,
        Resource::Contacts => Endpoint::CONTACTS,
    }
}

fn location(response: &Response) -> Option<String> {
    let redirected = response.status().is_redirection() && response.status() != StatusCode::NOT_MODIFIED;
    let location = response.headers().get(header::LOCATION).filter(|_| redirected)?;
    location.to_str().ok().map(str::to_owned)
}

/// Where a redirect leads, and whether that is another server.
fn next_hop(from: &Uri, location: &str) -> Result<(Uri, bool), String> {
    let malformed = |_| "a redirect led to a malformed address".to_owned();
    let from = Url::parse(&from.to_string()).map_err(malformed)?;
    let next = from.join(location).map_err(malformed)?;
    if !matches!((from.scheme(), next.scheme()), ("http", "http" | "https") | ("https", "https")) {
        return Err("a redirect led where it is not safe to follow".to_owned());
    }
    let uri = next.as_str().parse().map_err(|_| "a redirect led to a malformed address".to_owned())?;
    Ok((uri, next.origin() != from.origin()))
}

async fn read(response: Response, redirect: Option<Redirect>, want: Want) -> Reply {
    let (head, mut body) = response.into_parts();
    let mut kept = BytesMut::new();
    let mut read = BodyRead::default();
    read.end = loop {
        match timeout(STALL, body.chunk()).await {
            Ok(None) if head.extensions.get::<UnprovenEnd>().is_some() => break BodyEnd::Unproven,
            Ok(None) => break BodyEnd::Whole,
            Ok(Some(Err(_))) | Err(_) => break BodyEnd::Cut,
            Ok(Some(Ok(chunk))) => {
                read.bytes += chunk.len() as u64;
                kept.extend_from_slice(&chunk[..chunk.len().min(want.keep - kept.len())]);
                if want.stop && kept.len() == want.keep {
                    break BodyEnd::Stopped;
                }
            }
        }
    };
    read.kept = kept.freeze();
    Reply { status: head.status, headers: head.headers, redirect, body: read }
}

/// What happened, in words that hold nothing of the request.
fn words(error: &Error) -> &'static str {
    match error.kind() {
        ErrorKind::Connect => "no connection came about",
        ErrorKind::Tls => "the server's certificate was not accepted",
        ErrorKind::Timeout => "no reply came in time",
        ErrorKind::Interrupted => "the connection broke before the reply",
        ErrorKind::Layer if backstory_auth::Error::find(error).is_some() => "no token could be had for it",
        ErrorKind::Layer => "the budget of requests did not reach so far",
        ErrorKind::BodyCut | ErrorKind::BodyStalled => "the reply broke off",
        _ => "the request failed",
    }
}

/// Stands before a token endpoint and sees its replies.
#[derive(Clone)]
pub(crate) struct Tap {
    inner: Arc<dyn HttpService>,
    seen: Arc<Mutex<Option<TokenReply>>>,
}

impl Tap {
    /// The latest reply.
    pub(crate) fn take(&self) -> Option<TokenReply> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

#[async_trait]
impl HttpService for Tap {
    async fn send(&self, request: Request) -> Result<Response, Error> {
        let (head, body) = self.inner.send(request).await?.into_parts();
        let body = timeout(STALL, body.collect(TOKEN_BODY))
            .await
            .map_err(|_| Error::new(ErrorKind::BodyStalled, "the token endpoint's reply stood still"))??;
        let reply = token_reply(head.status, &head.headers, &body);
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(reply);
        Ok(Response::from_parts(head, Body::from(body)))
    }
}

fn token_reply(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> TokenReply {
    let object = if status.is_success() { serde_json::from_slice(body).ok() } else { None };
    let object = object.unwrap_or(Value::Null);
    let date = headers.get(header::DATE).and_then(|date| date.to_str().ok());
    TokenReply {
        status,
        token: object["access_token"].as_str().filter(|token| !token.is_empty()).map(Secret::new),
        expires_in: object["expires_in"].as_i64(),
        shape: ErrorShape::of(body),
        date: date.and_then(backstory_transport::http_date),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirect_to_another_origin_is_told_from_one_on_the_same() {
        let from: Uri = "https://api.example/pull/jobs/1/data".parse().unwrap();
        let hop = |location| next_hop(&from, location).map(|(uri, other)| (uri.to_string(), other));
        assert_eq!(hop("/x?sig=1").unwrap(), ("https://api.example/x?sig=1".to_owned(), false));
        assert!(hop("https://storage.example/x").unwrap().1);
        assert!(hop("https://api.example:8443/x").unwrap().1);
        assert!(hop("http://api.example/x").is_err());
        assert!(hop("file:///etc/passwd").is_err());
    }

    #[test]
    fn a_token_endpoints_reply_is_understood_by_its_shape() {
        let reply = |status: u16, body: &str| {
            token_reply(StatusCode::from_u16(status).unwrap(), &HeaderMap::new(), body.as_bytes())
        };
        let issued = reply(200, r#"{"access_token":"t","expires_in":60}"#);
        assert_eq!((issued.token.unwrap().expose(), issued.expires_in), ("t", Some(60)));
        assert_eq!(reply(401, r#"{"error":"x","message":"y"}"#).shape, ErrorShape::Message);
        assert_eq!(reply(401, r#"{"error":"x","error_description":"y"}"#).shape, ErrorShape::Description);
        assert_eq!(reply(401, "<html>").shape, ErrorShape::Html);
        assert_eq!(
            (reply(401, "").shape, reply(401, "[1]").shape, reply(401, "no").shape),
            (ErrorShape::Empty, ErrorShape::OtherJson, ErrorShape::Other)
        );
    }
}
