//! The HTTP port: one method, over the `http` crate's types and a streaming body. Adapters implement it, layers wrap it.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use crate::body::Body;
use crate::error::Error;

/// A request. Its body is small and whole, so that an attempt can be repeated.
pub type Request = http::Request<Bytes>;

/// A reply of any status, whose body streams.
pub type Response = http::Response<Body>;

/// Sends requests.
///
/// A reply with an error status is a *response*. An [`Error`] means that the exchange did not complete, and says whether
/// the request [may have been sent](Error::may_have_been_sent). An implementation must leave nothing behind when its
/// future is dropped.
#[async_trait]
pub trait HttpService: Send + Sync {
    /// Sends one request and waits for the head of its reply.
    ///
    /// # Errors
    /// [`Error`] when no reply began.
    async fn send(&self, request: Request) -> Result<Response, Error>;
}

#[async_trait]
impl<S: HttpService + ?Sized> HttpService for Arc<S> {
    async fn send(&self, request: Request) -> Result<Response, Error> {
        (**self).send(request).await
    }
}

#[async_trait]
impl<S: HttpService + ?Sized> HttpService for Box<S> {
    async fn send(&self, request: Request) -> Result<Response, Error> {
        (**self).send(request).await
    }
}

#[cfg(feature = "test-util")]
mod mock {
    #![allow(missing_docs, reason = "mockall documents what it generates")]

    use super::{Error, HttpService, Request, Response, async_trait};

    mockall::mock! {
        /// A mock of the port, made by mockall: `expect_send()` says what it answers.
        #[derive(Debug)]
        pub HttpService {}

        #[async_trait]
        impl HttpService for HttpService {
            async fn send(&self, request: Request) -> Result<Response, Error>;
        }
    }
}

#[cfg(feature = "test-util")]
pub use mock::MockHttpService;
