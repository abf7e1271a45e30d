//! The tracing layer: one span and one event for each attempt that reaches the adapter.

use async_trait::async_trait;
use tokio::time::Instant;
use tracing::Instrument as _;

use crate::error::Error;
use crate::redaction::Redaction;
use crate::refusal::request_id;
use crate::service::{HttpService, Request, Response};

/// Tells `tracing` of each request: method, path, status, time to the head of the reply, request id. Directly around the
/// adapter, so that the time is the server's and not that of a queue.
///
/// Queries, headers and bodies are never told: they may hold secrets or people's data.
#[derive(Clone, Copy, Debug)]
pub struct Traced<S> {
    service: S,
}

impl<S: HttpService> Traced<S> {
    /// Puts the layer around a service.
    pub fn new(service: S) -> Self {
        Self { service }
    }
}

#[async_trait]
impl<S: HttpService> HttpService for Traced<S> {
    async fn send(&self, request: Request) -> Result<Response, Error> {
        let span = tracing::debug_span!("request", method = %request.method(), path = request.uri().path());
        let redaction = Redaction::of(request.extensions());
        async {
            let began = Instant::now();
            let result = self.service.send(request).await;
            let milliseconds = began.elapsed().as_millis();
            match &result {
                Ok(response) => {
                    let request_id = request_id(response.headers()).map(|id| redaction.apply(&id));
                    tracing::debug!(status = response.status().as_u16(), milliseconds, request_id, "reply");
                }
                Err(error) => tracing::debug!(kind = ?error.kind(), milliseconds, "no reply"),
            }
            result
        }
        .instrument(span)
        .await
    }
}
