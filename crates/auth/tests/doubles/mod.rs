//! Test doubles: an issuer, a server and a clock that do what a test says, and count what they were asked.

// Each test binary uses its own share of them.
#![allow(dead_code)]

use std::future::Future;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use backstory_auth::{Clock, Error, IssuedToken, TokenIssuer};
use backstory_transport::{Body, Error as TransportError, HttpService, Request, Response};
use futures_util::future::BoxFuture;
use jiff::Timestamp;

pub(crate) const LIFE: Duration = Duration::from_secs(7_200);

/// A token with this text and the usual life.
pub(crate) fn issued(value: impl Into<String>) -> IssuedToken {
    IssuedToken::new(value.into()).with_expires_in(LIFE)
}

type Answer = Box<dyn Fn(usize) -> BoxFuture<'static, Result<IssuedToken, Error>> + Send + Sync>;

/// An issuer that answers its n-th request (from 1) by a function.
#[derive(Clone)]
pub(crate) struct Vault(Arc<VaultInner>);

struct VaultInner {
    asked: AtomicUsize,
    at_once: AtomicUsize,
    answer: Answer,
}

impl Vault {
    pub(crate) fn new<F>(answer: impl Fn(usize) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<IssuedToken, Error>> + Send + 'static,
    {
        let answer: Answer = Box::new(move |request| Box::pin(answer(request)));
        Self(Arc::new(VaultInner { asked: AtomicUsize::new(0), at_once: AtomicUsize::new(0), answer }))
    }

    /// An issuer that takes a second for each token: `token-1`, `token-2` …
    pub(crate) fn of_new_tokens() -> Self {
        Self::new(|request| async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            Ok(issued(format!("token-{request}")))
        })
    }

    /// How often it was asked.
    pub(crate) fn asked(&self) -> usize {
        self.0.asked.load(Ordering::SeqCst)
    }
}

/// Counts a request as over, however it ends.
struct UnderWay<'c>(&'c AtomicUsize);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[async_trait]
impl TokenIssuer for Vault {
    async fn issue(&self) -> Result<IssuedToken, Error> {
        assert_eq!(self.0.at_once.fetch_add(1, Ordering::SeqCst), 0, "an issuer is asked once at a time");
        let _under_way = UnderWay(&self.0.at_once);
        let request = self.0.asked.fetch_add(1, Ordering::SeqCst) + 1;
        (self.0.answer)(request).await
    }
}

type Reply = Box<dyn Fn(usize, &Request) -> Result<Response, TransportError> + Send + Sync>;

/// A server that answers its n-th request (from 1) by a function, after a virtual moment, and keeps the requests.
#[derive(Clone)]
pub(crate) struct Server {
    requests: Arc<Mutex<Vec<Request>>>,
    reply: Arc<Reply>,
}

impl Server {
    pub(crate) fn new(
        reply: impl Fn(usize, &Request) -> Result<Response, TransportError> + Send + Sync + 'static,
    ) -> Self {
        Self { requests: Arc::default(), reply: Arc::new(Box::new(reply)) }
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    pub(crate) fn asked(&self) -> usize {
        self.requests.lock().unwrap().len()
    }
}

#[async_trait]
impl HttpService for Server {
    async fn send(&self, request: Request) -> Result<Response, TransportError> {
        let number = {
            let mut requests = self.requests.lock().unwrap();
            requests.push(request.clone());
            requests.len()
        };
        tokio::time::sleep(Duration::from_millis(50)).await;
        (self.reply)(number, &request)
    }
}

/// A reply with this status and body.
pub(crate) fn reply(status: u16, body: impl Into<String>) -> Result<Response, TransportError> {
    Ok(http::Response::builder().status(status).body(Body::from(body.into())).unwrap())
}

/// A reply of the token endpoint.
pub(crate) fn token_reply(token: &str) -> Result<Response, TransportError> {
    reply(200, format!(r#"{{"access_token":"{token}","token_type":"bearer","expires_in":7200}}"#))
}

/// The token that a request carries.
pub(crate) fn bearer(request: &Request) -> &str {
    request.headers()["authorization"].to_str().unwrap().strip_prefix("Bearer ").unwrap()
}

/// A clock that stands where it is set.
#[derive(Clone, Default)]
pub(crate) struct SetClock {
    monotonic: Arc<AtomicU64>,
    wall: Arc<AtomicU64>,
}

impl SetClock {
    pub(crate) fn set_monotonic(&self, milliseconds: u64) {
        self.monotonic.store(milliseconds, Ordering::SeqCst);
    }

    pub(crate) fn set_wall(&self, seconds: u64) {
        self.wall.store(seconds, Ordering::SeqCst);
    }
}

#[async_trait]
impl Clock for SetClock {
    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.monotonic.load(Ordering::SeqCst))
    }

    fn wall(&self) -> Timestamp {
        Timestamp::from_second(i64::try_from(self.wall.load(Ordering::SeqCst)).unwrap()).unwrap()
    }

    async fn sleep(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }
}
