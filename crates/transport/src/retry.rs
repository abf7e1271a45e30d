//! The retry layer: repeats what its policy allows, after a pause, within a budget.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::{Method, Uri};
use tokio::time::Instant;

use crate::backoff::{Backoff, FullJitter, PauseInput};
use crate::call_class::CallClass;
use crate::error::Error;
use crate::refusal::retry_delay;
use crate::reply_watch::ReplyWatch;
use crate::retry_budget::RetryBudget;
use crate::retry_policy::{Advice, Attempt, RetryByClass, RetryPolicy, RetryPolicyExt as _};
use crate::service::{HttpService, Request, Response};

/// Repeats calls that failed in passing. The outermost layer: each attempt passes through all the others.
///
/// Unless told otherwise: [`RetryByClass`] with at most 5 attempts, [`FullJitter`] pauses, a [`RetryBudget`] of its own,
/// and `Retry-After` honoured up to 60 s, as is what a layer further in [asks for](Error::asked_pause). When attempts run out, the last outcome is handed up: a reply with its
/// [`Attempts`] among its extensions, an error with its [`attempts`](Error::attempts).
pub struct Retry<S> {
    service: S,
    policy: Arc<dyn RetryPolicy>,
    backoff: Arc<dyn Backoff>,
    budget: RetryBudget,
    retry_after_cap: Duration,
}

/// How often a call was tried until this reply came, and for how long; among the extensions of each reply that comes
/// through [`Retry`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Attempts {
    /// The number of attempts; at least 1.
    pub count: u32,
    /// The time from the start of the first attempt to the head of this reply, pauses included.
    pub elapsed: Duration,
}

impl<S: HttpService> Retry<S> {
    /// Puts the layer around a service.
    pub fn new(service: S) -> Self {
        Self {
            service,
            policy: Arc::new(RetryByClass.with_attempt_limit(5)),
            backoff: Arc::new(FullJitter::default()),
            budget: RetryBudget::default(),
            retry_after_cap: Duration::from_secs(60),
        }
    }

    /// Decides by this policy.
    #[must_use]
    pub fn with_policy(mut self, policy: impl RetryPolicy + 'static) -> Self {
        self.policy = Arc::new(policy);
        self
    }

    /// Pauses by this rule.
    #[must_use]
    pub fn with_backoff(mut self, backoff: impl Backoff + 'static) -> Self {
        self.backoff = Arc::new(backoff);
        self
    }

    /// Draws on this budget, which other layers may share.
    #[must_use]
    pub fn with_budget(mut self, budget: RetryBudget) -> Self {
        self.budget = budget;
        self
    }

    /// Never waits longer than this because of a `Retry-After`; nor, all attempts of a call together, because a layer further in
    /// [asks for a pause](Error::asked_pause).
    #[must_use]
    pub fn with_retry_after_cap(mut self, cap: Duration) -> Self {
        self.retry_after_cap = cap;
        self
    }

    /// The pause before the next attempt: what the server asks for (capped), and never less than the backoff's.
    ///
    /// What a layer further in asks for is waited for in full, as it would fail again before that without having tried. Where
    /// that is longer than what is left of the patience with them, there is no next attempt.
    fn pause(
        &self,
        input: &PauseInput,
        result: &Result<Response, Error>,
        patience: &mut Duration,
    ) -> Option<Duration> {
        let asked = match result {
            Ok(response) => retry_delay(response.headers()).map(|asked| asked.min(self.retry_after_cap)),
            Err(error) => error.asked_pause(),
        };
        let asked = asked.unwrap_or_default();
        if result.is_err() {
            *patience = patience.checked_sub(asked)?;
        }
        Some(asked.max(self.backoff.pause(input)))
    }

    /// Takes a repetition out of the budget, if there is one left.
    fn may_repeat(&self, method: &Method, uri: &Uri) -> bool {
        let affordable = self.budget.take();
        if !affordable {
            tracing::warn!(%method, path = uri.path(), "not tried again: the retry budget is used up");
        }
        affordable
    }
}

#[async_trait]
impl<S: HttpService> HttpService for Retry<S> {
    async fn send(&self, request: Request) -> Result<Response, Error> {
        let class = CallClass::of(&request);
        let (method, uri) = (request.method().clone(), request.uri().clone());
        let began = Instant::now();
        // Pauses are no silence of the server's, and each attempt has its own time.
        let watched = ReplyWatch::timeout_of(&request);
        let _held = ReplyWatch::hold(&request);
        self.budget.call_began();
        let mut number = 0;
        // For how long, in all, layers further in are waited for.
        let mut patience = self.retry_after_cap;
        loop {
            number += 1;
            let result = match watched {
                Some(limit) => ReplyWatch::send(&self.service, request.clone(), limit).await,
                None => self.service.send(request.clone()).await,
            };
            let elapsed = began.elapsed();
            let attempt = match &result {
                Ok(response) => Attempt::replied(class, &method, response.status(), response.headers()),
                Err(error) => Attempt::failed(class, &method, error),
            };
            if self.policy.advise(&attempt.at(number, elapsed)) != Advice::Retry {
                return hand_up(result, number, elapsed, &method, &uri);
            }
            let in_time = |pause: &Duration| {
                self.policy.time_limit().is_none_or(|limit| elapsed.saturating_add(*pause) < limit)
            };
            let pause = self.pause(&PauseInput::new(number, elapsed), &result, &mut patience).filter(in_time);
            let Some(pause) = pause.filter(|_| self.may_repeat(&method, &uri)) else {
                return hand_up(result, number, elapsed, &method, &uri);
            };
            tracing::debug!(%method, path = uri.path(), attempt = number, ?pause, "trying again");
            // The reply goes before the pause, so that no connection or permit is held through it.
            drop(result);
            tokio::time::sleep(pause).await;
        }
    }
}

/// Adds what was done to what came of it. A retry layer further in has counted already: its attempts are kept.
fn hand_up(
    result: Result<Response, Error>,
    count: u32,
    elapsed: Duration,
    method: &Method,
    uri: &Uri,
) -> Result<Response, Error> {
    match result {
        Ok(mut response) => {
            let inner = response.extensions().get::<Attempts>().map_or(1, |attempts| attempts.count);
            let count = (count - 1).saturating_add(inner);
            response.extensions_mut().insert(Attempts { count, elapsed });
            Ok(response)
        }
        Err(error) => {
            let count = (count - 1).saturating_add(error.attempts());
            let error = error.with_attempts(count, elapsed);
            // A layer that stops a request may not say which.
            Err(if error.target().is_none() { error.with_target(method, uri) } else { error })
        }
    }
}

impl<S> fmt::Debug for Retry<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Retry")
            .field("budget", &self.budget)
            .field("retry_after_cap", &self.retry_after_cap)
            .finish_non_exhaustive()
    }
}
