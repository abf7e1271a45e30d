//! The rate limit layer: so many requests in any second, so many at once.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::body::Body;
use crate::error::Error;
use crate::reply_watch::ReplyWatch;
use crate::service::{HttpService, Request, Response};

/// A reply known to be no longer than this is over as soon as it has begun.
const SMALL: u64 = 64 << 10;

/// How fast requests may be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RateLimits {
    /// How many requests may begin within any second; at least 1.
    pub requests_per_second: u32,
    /// How many requests may be under way at once; at least 1.
    pub concurrent: u32,
}

impl RateLimits {
    /// Allows this many requests within any second; 0 counts as 1.
    #[must_use]
    pub fn requests_per_second(mut self, requests: u32) -> Self {
        self.requests_per_second = requests.max(1);
        self
    }

    /// Allows this many requests at once; 0 counts as 1.
    #[must_use]
    pub fn concurrent(mut self, requests: u32) -> Self {
        self.concurrent = requests.max(1);
        self
    }
}

/// The published limits: 5 requests a second, 10 at once (contract (b)).
impl Default for RateLimits {
    fn default() -> Self {
        Self { requests_per_second: 5, concurrent: 10 }
    }
}

/// What has been sent lately and what is under way. Clones share it: give the same one to every stack of layers that
/// talks to the same server.
#[derive(Clone)]
pub struct RateLimiter(Option<Arc<Shared>>);

struct Shared {
    limits: RateLimits,
    under_way: Arc<Semaphore>,
    /// When the last requests began, oldest first. Its lock is held by whoever is next, and its queue is first come,
    /// first served; a caller that goes away while it waits leaves no trace.
    begun: Mutex<VecDeque<Instant>>,
}

impl RateLimiter {
    /// A limiter with nothing under way.
    pub fn new(limits: RateLimits) -> Self {
        let limits = limits.requests_per_second(limits.requests_per_second).concurrent(limits.concurrent);
        let concurrent = usize::try_from(limits.concurrent).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
        let under_way = Arc::new(Semaphore::new(concurrent));
        Self(Some(Arc::new(Shared { limits, under_way, begun: Mutex::default() })))
    }

    /// No limit at all.
    pub fn unlimited() -> Self {
        Self(None)
    }

    /// Waits until a request may begin.
    async fn admit(&self) -> Option<OwnedSemaphorePermit> {
        let shared = self.0.as_ref()?;
        // The semaphore is never closed.
        let permit = Arc::clone(&shared.under_way).acquire_owned().await.ok()?;
        let mut begun = shared.begun.lock().await;
        if begun.len() >= shared.limits.requests_per_second as usize {
            if let Some(oldest) = begun.front() {
                tokio::time::sleep_until(*oldest + Duration::from_secs(1)).await;
            }
            begun.pop_front();
        }
        begun.push_back(Instant::now());
        Some(permit)
    }
}

impl Default for RateLimiter {
    fn default() -> Self {
        Self::new(RateLimits::default())
    }
}

impl fmt::Debug for RateLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let limits = self.0.as_ref().map(|shared| shared.limits);
        let free = self.0.as_ref().map(|shared| shared.under_way.available_permits());
        f.debug_struct("RateLimiter").field("limits", &limits).field("free", &free).finish()
    }
}

/// Holds requests back until the limits allow them. Below the retry layer, so that each attempt counts.
///
/// A request is under way until the head of its reply, and a long reply, such as a download, until its body ends or is
/// dropped. A refusal is over at its head: whoever reacts to one, by fetching a new token for instance, may need to send
/// before it lets go of it.
#[derive(Debug)]
pub struct RateLimit<S> {
    service: S,
    limiter: RateLimiter,
}

impl<S: HttpService> RateLimit<S> {
    /// Puts the layer around a service.
    pub fn new(service: S, limiter: RateLimiter) -> Self {
        Self { service, limiter }
    }
}

#[async_trait]
impl<S: HttpService> HttpService for RateLimit<S> {
    async fn send(&self, request: Request) -> Result<Response, Error> {
        let held = ReplyWatch::hold(&request);
        let permit = self.limiter.admit().await;
        drop(held);
        let response = self.service.send(request).await?;
        let short = response.body().size_hint().upper().is_some_and(|upper| upper <= SMALL);
        if short || !response.status().is_success() {
            return Ok(response);
        }
        Ok(response.map(|body| match permit {
            Some(_) => Body::new(UnderWay { body, permit }),
            None => body,
        }))
    }
}

/// A body that keeps its request under way until it ends, fails or is dropped.
struct UnderWay {
    body: Body,
    permit: Option<OwnedSemaphorePermit>,
}

impl http_body::Body for UnderWay {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        if !matches!(frame, Some(Ok(_))) || self.body.is_end_stream() {
            self.permit = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
