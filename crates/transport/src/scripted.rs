//! A service that plays a script of replies and faults, for tests: ours, and those of whoever builds on this crate.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use tokio::time::sleep;

use crate::body::{Body, UnprovenEnd};
use crate::error::{Error, ErrorKind};
use crate::service::{HttpService, Request, Response};

/// Answers requests from a script, and remembers them. Clones share both. Its pauses are tokio's, so that a test with paused
/// time (`#[tokio::test(start_paused = true)]`) takes none.
///
/// ```
/// use backstory_transport::{ErrorKind, HttpService, Request, Scripted, ScriptedService};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let service = ScriptedService::new([Scripted::reply(503, "busy"), Scripted::ok("whole").cut_at(3)]);
///
/// let request = Request::new("".into());
/// assert_eq!(service.send(request.clone()).await.unwrap().status(), 503);
/// let mut body = service.send(request).await.unwrap().into_body();
/// assert_eq!(body.chunk().await.unwrap().unwrap(), "who");
/// assert_eq!(body.chunk().await.unwrap().unwrap_err().kind(), ErrorKind::BodyCut);
/// assert_eq!(service.requests().len(), 2);
/// # }
/// ```
#[derive(Clone)]
pub struct ScriptedService(Arc<Shared>);

type Answer = dyn FnMut(&Request, usize) -> Option<Scripted> + Send;

struct Shared {
    answer: Mutex<Box<Answer>>,
    requests: Mutex<Vec<Request>>,
}

impl ScriptedService {
    /// Answers each request with the next of these; when none is left, with an error that says so.
    pub fn new(script: impl IntoIterator<Item = Scripted>) -> Self {
        let mut script = script.into_iter().collect::<Vec<_>>().into_iter();
        Self::over(Box::new(move |_, _| script.next()))
    }

    /// Answers each request with what this function makes of it; the first request has the number 0.
    pub fn answering(mut answer: impl FnMut(&Request, usize) -> Scripted + Send + 'static) -> Self {
        Self::over(Box::new(move |request, number| Some(answer(request, number))))
    }

    fn over(answer: Box<Answer>) -> Self {
        Self(Arc::new(Shared { answer: Mutex::new(answer), requests: Mutex::default() }))
    }

    /// All requests so far, in order.
    pub fn requests(&self) -> Vec<Request> {
        self.0.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl fmt::Debug for ScriptedService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScriptedService").field("requests", &self.requests().len()).finish_non_exhaustive()
    }
}

#[async_trait]
impl HttpService for ScriptedService {
    async fn send(&self, request: Request) -> Result<Response, Error> {
        let target = (request.method().clone(), request.uri().clone());
        let scripted = {
            let mut requests = self.0.requests.lock().unwrap_or_else(PoisonError::into_inner);
            let number = requests.len();
            let mut answer = self.0.answer.lock().unwrap_or_else(PoisonError::into_inner);
            let scripted = answer(&request, number);
            requests.push(request);
            scripted.unwrap_or_else(|| {
                let message = format!("the script has no reply left for request number {}", number + 1);
                Scripted::fail(Error::new(ErrorKind::Setup, message))
            })
        };
        pause(scripted.delay).await;
        scripted.outcome.send().await.map_err(|error| error.with_target(&target.0, &target.1))
    }
}

/// What a [`ScriptedService`] does with one request.
#[derive(Debug)]
#[must_use]
pub struct Scripted {
    delay: Duration,
    outcome: Outcome,
}

#[derive(Debug)]
enum Outcome {
    Fail(Error),
    Never,
    Reply(Box<Reply>),
}

#[derive(Debug)]
struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
    /// How many bytes a chunk has; 0 for all of them in one.
    chunk: usize,
    pause: Duration,
    announced: Option<u64>,
    unproven_end: bool,
    fault: Option<(usize, Fault)>,
}

#[derive(Clone, Copy, Debug)]
enum Fault {
    Cut,
    Stall,
}

impl Scripted {
    /// A reply with this status and body, whose length is announced.
    ///
    /// # Panics
    /// When `status` is none (below 100 or above 999).
    #[allow(clippy::expect_used, reason = "a test's own mistake must stop the test")]
    pub fn reply(status: u16, body: impl Into<Bytes>) -> Self {
        let body = body.into();
        let reply = Reply {
            status: StatusCode::from_u16(status).expect("a status is a number from 100 to 999"),
            headers: HeaderMap::new(),
            announced: Some(body.len() as u64),
            body,
            chunk: 0,
            pause: Duration::ZERO,
            unproven_end: false,
            fault: None,
        };
        Self { delay: Duration::ZERO, outcome: Outcome::Reply(Box::new(reply)) }
    }

    /// A 200 with this body.
    pub fn ok(body: impl Into<Bytes>) -> Self {
        Self::reply(200, body)
    }

    /// No connection comes about: the request was certainly not sent.
    pub fn fail_before_send() -> Self {
        Self::fail(Error::new(ErrorKind::Connect, "the script has nobody answer"))
    }

    /// The connection breaks after the request was sent: the server may have acted on it.
    pub fn fail_after_send() -> Self {
        Self::fail(Error::new(ErrorKind::Interrupted, "the script breaks the connection before the reply"))
    }

    /// This error.
    pub fn fail(error: Error) -> Self {
        Self { delay: Duration::ZERO, outcome: Outcome::Fail(error) }
    }

    /// No reply, ever.
    pub fn never() -> Self {
        Self { delay: Duration::ZERO, outcome: Outcome::Never }
    }

    /// Lets this much time pass before the reply begins, or before the failure.
    pub fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Adds a header to the reply.
    ///
    /// # Panics
    /// When the name or the value can't stand in a header.
    #[allow(clippy::expect_used, reason = "a test's own mistake must stop the test")]
    pub fn header(self, name: &str, value: &str) -> Self {
        let name = HeaderName::from_bytes(name.as_bytes()).expect("a header's name");
        let value = HeaderValue::from_str(value).expect("a header's value");
        self.with(|reply| {
            reply.headers.append(name, value);
        })
    }

    /// Sends the body in chunks of this many bytes.
    pub fn in_chunks(self, bytes: usize) -> Self {
        self.with(|reply| reply.chunk = bytes)
    }

    /// Sends the body in chunks of this many bytes, each after a pause: a slow drip.
    pub fn drip(self, bytes: usize, pause: Duration) -> Self {
        self.with(|reply| (reply.chunk, reply.pause) = (bytes, pause))
    }

    /// Breaks the connection after this many bytes of the body.
    pub fn cut_at(self, bytes: usize) -> Self {
        self.with(|reply| reply.fault = Some((bytes, Fault::Cut)))
    }

    /// Sends nothing more after this many bytes of the body, and leaves the connection open.
    pub fn stall_at(self, bytes: usize) -> Self {
        self.with(|reply| reply.fault = Some((bytes, Fault::Stall)))
    }

    /// Announces this length instead of the body's own, and then sends the body all the same.
    pub fn announce_length(self, bytes: u64) -> Self {
        self.with(|reply| reply.announced = Some(bytes))
    }

    /// Announces no length: the body comes in chunks that say where it ends.
    pub fn without_length(self) -> Self {
        self.with(|reply| reply.announced = None)
    }

    /// Announces neither length nor chunks: the body ends with the connection.
    pub fn unproven_end(self) -> Self {
        self.with(|reply| (reply.announced, reply.unproven_end) = (None, true))
    }

    fn with(mut self, change: impl FnOnce(&mut Reply)) -> Self {
        if let Outcome::Reply(reply) = &mut self.outcome {
            change(reply);
        }
        self
    }
}

impl Outcome {
    async fn send(self) -> Result<Response, Error> {
        let reply = match self {
            Self::Fail(error) => return Err(error),
            Self::Never => return std::future::pending().await,
            Self::Reply(reply) => *reply,
        };
        let mut headers = reply.headers.clone();
        if let Some(length) = reply.announced {
            headers.insert(http::header::CONTENT_LENGTH, length.into());
        }
        let (status, unproven_end) = (reply.status, reply.unproven_end);
        let mut response = Response::new(Body::from_stream(reply.into_chunks()));
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        if unproven_end {
            response.extensions_mut().insert(UnprovenEnd);
        }
        Ok(response)
    }
}

impl Reply {
    fn into_chunks(self) -> BoxStream<'static, Result<Bytes, Error>> {
        let (sent, fault) = match self.fault {
            Some((at, fault)) => (self.body.slice(..at.min(self.body.len())), Some(fault)),
            None => (self.body, None),
        };
        let size = if self.chunk == 0 { sent.len().max(1) } else { self.chunk };
        let pieces: Vec<_> =
            (0..sent.len()).step_by(size).map(|at| sent.slice(at..sent.len().min(at + size))).collect();
        let between = self.pause;
        let chunks = stream::iter(pieces).then(move |piece| async move {
            pause(between).await;
            Ok(piece)
        });
        let end = stream::iter(fault).then(|fault| async move {
            match fault {
                Fault::Cut => Err(Error::new(ErrorKind::BodyCut, "the script cuts the body")),
                Fault::Stall => std::future::pending().await,
            }
        });
        chunks.chain(end).boxed()
    }
}

/// Even a sleep of no time takes a turn of the clock, which real time makes a millisecond.
async fn pause(time: Duration) {
    if !time.is_zero() {
        sleep(time).await;
    }
}
