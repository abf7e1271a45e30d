//! HTTP for export APIs, behind a trait: retry by call class, rate limits, error bodies read with care, and downloads that
//! survive a cut connection.
//!
//! - [`HttpService`] is the port: one method, over the `http` crate's types and a streaming [`Body`]. A reply with an error
//!   status is a response; an [`Error`] means that the exchange did not complete, and says whether the request may have been
//!   sent.
//! - `ReqwestService` is the adapter for real sockets (feature `reqwest`, on by default).
//! - [`Retry`], [`RateLimit`] and [`Traced`] are layers around any service, each usable alone. Together they stand in this
//!   order, outermost first: **`Retry`, then whoever puts a token on each attempt, `RateLimit`, `Traced`, the adapter**. So each
//!   attempt has its own token and counts in the rate limit, and the time that is traced is the server's.
//! - [`Download`] fetches one resource to a file, a writer or a stream.
//! - [`Refusal`] is a reply with an error status, read bounded and raw before it is understood.
//!
//! ```
//! use std::sync::Arc;
//!
//! use backstory_transport::{
//!     Download, HttpService, RateLimit, RateLimiter, Request, Retry, Scripted, ScriptedService, Traced,
//! };
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // A real program has `ReqwestService::builder().build()?` here. This one plays a server that is busy at first, and then
//! // breaks the connection in the middle of the body.
//! let adapter = ScriptedService::new([
//!     Scripted::reply(503, "busy").header("retry-after", "2"),
//!     Scripted::ok("first line\nsecond line\n").cut_at(14),
//!     Scripted::ok("first line\nsecond line\n"),
//! ]);
//! let service: Arc<dyn HttpService> =
//!     Arc::new(Retry::new(RateLimit::new(Traced::new(adapter), RateLimiter::default())));
//!
//! let request = || {
//!     let mut request = Request::new("".into());
//!     *request.uri_mut() = http::Uri::from_static("https://api.example/export/jobs/7/data");
//!     request
//! };
//! let (downloaded, text) = Download::new(service, request).to_writer(Vec::new()).await?;
//!
//! assert_eq!(text, b"first line\nsecond line\n");
//! assert_eq!((downloaded.bytes, downloaded.restarts), (23, 1));
//! # Ok(())
//! # }
//! ```
//!
//! # Features
//!
//! - `reqwest` (default): the adapter. Without it no HTTP client is in the dependency tree.
//! - `test-util`: `ScriptedService`, which plays replies and faults, and `MockHttpService`, a mockall mock of the port.
//!
//! # What it does not do
//!
//! It knows no token, no endpoint and no record: what is in a body is the caller's business. It keeps no cookies and no
//! cache. It does not decide whether an existing file may be replaced.

#![forbid(unsafe_code)]
#![deny(missing_docs)]
#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod backoff;
mod body;
mod call_class;
mod download;
mod error;
mod http_date;
mod rate_limit;
mod redaction;
mod refusal;
mod reply_watch;
#[cfg(feature = "reqwest")]
mod reqwest_failure;
#[cfg(feature = "reqwest")]
mod reqwest_service;
mod retry;
mod retry_budget;
mod retry_policy;
#[cfg(feature = "test-util")]
mod scripted;
mod service;
mod traced;

pub use backoff::{Backoff, FullJitter, NoPause, PauseInput};
pub use body::{Body, UnprovenEnd};
pub use call_class::CallClass;
pub use download::{Download, DownloadStream, Downloaded, Progress, Resume};
pub use error::{Error, ErrorKind};
pub use http_date::http_date;
pub use rate_limit::{RateLimit, RateLimiter, RateLimits};
pub use redaction::Redaction;
pub use refusal::{Refusal, RetryAfter, request_id};
pub use reply_watch::{HeldWatch, ReplyWatch};
#[cfg(feature = "reqwest")]
pub use reqwest_service::{ReqwestService, ReqwestServiceBuilder};
pub use retry::{Attempts, Retry};
pub use retry_budget::RetryBudget;
pub use retry_policy::{
    Advice, Attempt, AttemptLimit, NeverRetry, Outcome, RetryByClass, RetryPolicy, RetryPolicyExt, TimeLimit,
};
#[cfg(feature = "test-util")]
pub use scripted::{Scripted, ScriptedService};
#[cfg(feature = "test-util")]
pub use service::MockHttpService;
pub use service::{HttpService, Request, Response};
pub use traced::Traced;
