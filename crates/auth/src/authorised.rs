//! The layer that puts a bearer token on each attempt and heals a 401.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use backstory_transport::{
    Error as TransportError, ErrorKind as TransportErrorKind, HttpService, ReplyWatch, Request, Response,
};
use http::StatusCode;
use http::header::AUTHORIZATION;

use crate::error::Error;
use crate::source::{Token, TokenSource};

/// Puts `Authorization: Bearer …` on each request (contract (a.5)).
///
/// A reply with 401 takes its token out of use, and the request is sent once more with another one: the server has not
/// acted on what it refused, so this holds for every class of call. However many calls see the 401, one new token is
/// fetched for all of them. A second 401, or a source that has no other token, is handed up as the response.
///
/// Each reply says that its request's token is to be taken out of what is kept of its text
/// ([`Redaction`](backstory_transport::Redaction)), in case the header is echoed.
///
/// It stands below a retry layer, so that each attempt has its own token, and above a rate limit, so that each attempt
/// is counted.
#[derive(Clone)]
pub struct Authorised<S> {
    inner: S,
    tokens: Arc<dyn TokenSource>,
}

impl<S: HttpService> Authorised<S> {
    /// Sends by `inner`, with tokens from `tokens`.
    pub fn new(inner: S, tokens: impl TokenSource + 'static) -> Self {
        Self { inner, tokens: Arc::new(tokens) }
    }

    async fn token(&self, request: &Request) -> Result<Token, TransportError> {
        let _held = ReplyWatch::hold(request);
        self.tokens
            .token()
            .await
            .map_err(|error| no_token(error).with_target(request.method(), request.uri()))
    }

    async fn attempt(&self, request: &Request, token: &Token) -> Result<Response, TransportError> {
        let mut request = request.clone();
        request.headers_mut().insert(AUTHORIZATION, token.authorization());
        // Servers and gateways may echo the header, and this layer alone knows what is in it.
        let redaction = token.value().redaction();
        redaction.clone().put_on(request.extensions_mut());
        let mut response = self.inner.send(request).await?;
        redaction.put_on(response.extensions_mut());
        if response.status().is_success() {
            self.tokens.accepted(token.generation());
        }
        Ok(response)
    }
}

#[async_trait]
impl<S: HttpService> HttpService for Authorised<S> {
    /// # Errors
    /// What the service below fails with; [`Layer`](TransportErrorKind::Layer) when no token could be had: the [`Error`]
    /// is in the chain ([`Error::find`]), and it may be retried if that is transient, after
    /// [as long](TransportError::asked_pause) as the cache leaves the token endpoint alone.
    async fn send(&self, request: Request) -> Result<Response, TransportError> {
        let token = self.token(&request).await?;
        let response = self.attempt(&request, &token).await?;
        if response.status() != StatusCode::UNAUTHORIZED {
            return Ok(response);
        }
        self.tokens.invalidate(token.generation());
        let other = self.token(&request).await?;
        if other.generation() == token.generation() {
            return Ok(response);
        }
        drop(response);
        self.attempt(&request, &other).await
    }
}

impl<S: fmt::Debug> fmt::Debug for Authorised<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authorised").field("inner", &self.inner).finish_non_exhaustive()
    }
}

fn no_token(error: Error) -> TransportError {
    let failed = TransportError::new(TransportErrorKind::Layer, "no access token could be had")
        .with_retryable(error.is_transient());
    // Until then the cache answers from its memory, and an attempt would be wasted.
    let failed = match error.retry_in() {
        Some(pause) => failed.with_asked_pause(pause),
        None => failed,
    };
    failed.with_source(error)
}
