//! HTTP for export APIs, behind a trait.

#![forbid(unsafe_code)]
#![deny(missing_docs)]
#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod body;
mod call_class;
mod error;
mod refusal;
mod service;

pub use body::Body;
pub use call_class::CallClass;
pub use error::{Error, ErrorKind};
pub use refusal::{Refusal, RetryAfter, request_id};
pub use service::{HttpService, Request, Response};
