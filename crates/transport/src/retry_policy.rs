//! Whether an attempt that failed may be repeated, and what that depends on.

use std::time::Duration;

use http::{HeaderMap, Method, StatusCode};

use crate::call_class::CallClass;
use crate::error::Error;
use crate::refusal::is_transient;

/// Decides after each attempt that may have failed whether another one follows.
///
/// A policy sees *every* outcome, successes included, and is the only judge of it; pauses and the budget are not its
/// business. Policies are decorated by [`RetryPolicyExt`].
pub trait RetryPolicy: Send + Sync {
    /// What to do after this attempt.
    fn advise(&self, attempt: &Attempt<'_>) -> Advice;

    /// How long after the beginning of the first attempt none may begin any more; nothing if that is never. A pause that
    /// would end then is not begun. Whoever decorates a policy hands its answer on.
    fn time_limit(&self) -> Option<Duration> {
        None
    }
}

/// An attempt that has ended, as a [`RetryPolicy`] sees it. It may grow: who makes one uses [`replied`](Self::replied) or
/// [`failed`](Self::failed).
///
/// ```
/// use backstory_transport::{Advice, Attempt, CallClass, RetryByClass, RetryPolicy};
/// use http::{HeaderMap, Method, StatusCode};
///
/// let (headers, get) = (HeaderMap::new(), Method::GET);
/// let attempt = Attempt::replied(CallClass::Safe, &get, StatusCode::BAD_GATEWAY, &headers);
/// assert_eq!(RetryByClass.advise(&attempt), Advice::Retry);
/// ```
///
/// ```compile_fail,E0638
/// # use backstory_transport::{Attempt, CallClass};
/// fn class(attempt: &Attempt<'_>) -> CallClass {
///     // Not without `..`, or a new field would break this.
///     let Attempt { class, method: _, number: _, elapsed: _, outcome: _ } = attempt;
///     *class
/// }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct Attempt<'a> {
    /// What may be done with the call.
    pub class: CallClass,
    /// The request's method.
    pub method: &'a Method,
    /// Which attempt it was; the first is 1.
    pub number: u32,
    /// The time since the first attempt began.
    pub elapsed: Duration,
    /// How it ended.
    pub outcome: Outcome<'a>,
}

/// How an attempt ended.
#[derive(Debug)]
#[non_exhaustive]
pub enum Outcome<'a> {
    /// A reply began, with any status.
    #[non_exhaustive]
    Reply {
        /// Its status.
        status: StatusCode,
        /// Its headers.
        headers: &'a HeaderMap,
    },
    /// No reply began.
    Failure(&'a Error),
}

/// What a [`RetryPolicy`] advises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Advice {
    /// Hand the outcome up, whatever it is.
    Stop,
    /// Try again, if the budget allows it.
    Retry,
}

impl<'a> Attempt<'a> {
    /// An attempt that got a reply.
    pub fn replied(class: CallClass, method: &'a Method, status: StatusCode, headers: &'a HeaderMap) -> Self {
        Self {
            class,
            method,
            number: 1,
            elapsed: Duration::ZERO,
            outcome: Outcome::Reply { status, headers },
        }
    }

    /// An attempt that got none.
    pub fn failed(class: CallClass, method: &'a Method, error: &'a Error) -> Self {
        Self { class, method, number: 1, elapsed: Duration::ZERO, outcome: Outcome::Failure(error) }
    }

    /// Says which attempt it was, and how much time has gone since the first one began.
    #[must_use]
    pub fn at(mut self, number: u32, elapsed: Duration) -> Self {
        self.number = number;
        self.elapsed = elapsed;
        self
    }
}

/// Repeats what is safe to repeat, judged by the call's class (contract (h.2), (j.5)).
///
/// | outcome | safe | idempotent | once |
/// |---|---|---|---|
/// | certainly not sent, and retryable | ✓ | ✓ | ✓ |
/// | other retryable failures | ✓ | ✓ | |
/// | 429, 500, 502, 503, 504 | ✓ | ✓ | |
/// | 408 | ✓ | | |
///
/// A once-call is never repeated on a status: a 429 to the creation of a job says that the queue is full (contract
/// (j.1)), and a gateway's 504 does not say that nothing was created. Without a decorator it never gives up.
#[derive(Clone, Copy, Debug, Default)]
pub struct RetryByClass;

impl RetryPolicy for RetryByClass {
    fn advise(&self, attempt: &Attempt<'_>) -> Advice {
        let again = match (&attempt.outcome, attempt.class) {
            (Outcome::Failure(error), CallClass::Once) => error.is_retryable() && !error.may_have_been_sent(),
            (Outcome::Failure(error), _) => error.is_retryable(),
            (Outcome::Reply { .. }, CallClass::Once) => false,
            (Outcome::Reply { status: StatusCode::REQUEST_TIMEOUT, .. }, class) => class == CallClass::Safe,
            (Outcome::Reply { status, .. }, _) => is_transient(*status),
        };
        if again { Advice::Retry } else { Advice::Stop }
    }
}

/// Never repeats anything.
#[derive(Clone, Copy, Debug, Default)]
pub struct NeverRetry;

impl RetryPolicy for NeverRetry {
    fn advise(&self, _: &Attempt<'_>) -> Advice {
        Advice::Stop
    }
}

/// Limits for any [`RetryPolicy`].
pub trait RetryPolicyExt: RetryPolicy + Sized {
    /// Gives up after this many attempts in all.
    fn with_attempt_limit(self, attempts: u32) -> AttemptLimit<Self> {
        AttemptLimit { policy: self, attempts }
    }

    /// Begins no further attempt once this much time has passed since the first one began.
    fn with_time_limit(self, limit: Duration) -> TimeLimit<Self> {
        TimeLimit { policy: self, limit }
    }
}

impl<P: RetryPolicy> RetryPolicyExt for P {}

/// A policy that gives up after a number of attempts; see [`RetryPolicyExt::with_attempt_limit`].
#[derive(Clone, Debug)]
pub struct AttemptLimit<P> {
    policy: P,
    attempts: u32,
}

impl<P: RetryPolicy> RetryPolicy for AttemptLimit<P> {
    fn advise(&self, attempt: &Attempt<'_>) -> Advice {
        if attempt.number >= self.attempts { Advice::Stop } else { self.policy.advise(attempt) }
    }

    fn time_limit(&self) -> Option<Duration> {
        self.policy.time_limit()
    }
}

/// A policy that gives up after a time; see [`RetryPolicyExt::with_time_limit`].
#[derive(Clone, Debug)]
pub struct TimeLimit<P> {
    policy: P,
    limit: Duration,
}

impl<P: RetryPolicy> RetryPolicy for TimeLimit<P> {
    fn advise(&self, attempt: &Attempt<'_>) -> Advice {
        if attempt.elapsed >= self.limit { Advice::Stop } else { self.policy.advise(attempt) }
    }

    fn time_limit(&self) -> Option<Duration> {
        Some(self.policy.time_limit().map_or(self.limit, |limit| limit.min(self.limit)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    const CLASSES: [CallClass; 3] = [CallClass::Safe, CallClass::Idempotent, CallClass::Once];

    fn after_status(status: u16) -> [bool; 3] {
        let headers = HeaderMap::new();
        let status = StatusCode::from_u16(status).unwrap();
        CLASSES.map(|class| {
            let attempt = Attempt::replied(class, &Method::GET, status, &headers);
            RetryByClass.advise(&attempt) == Advice::Retry
        })
    }

    fn after_error(error: &Error) -> [bool; 3] {
        CLASSES
            .map(|class| RetryByClass.advise(&Attempt::failed(class, &Method::GET, error)) == Advice::Retry)
    }

    #[test]
    fn statuses_that_may_pass_are_repeated_unless_the_call_counts_once() {
        for status in [429, 500, 502, 503, 504] {
            assert_eq!(after_status(status), [true, true, false], "{status}");
        }
        assert_eq!(after_status(408), [true, false, false]);
    }

    #[test]
    fn successes_and_final_refusals_are_never_repeated() {
        for status in [200, 202, 204, 206, 301, 304, 400, 401, 403, 404, 409, 410, 416, 422, 501, 505] {
            assert_eq!(after_status(status), [false; 3], "{status}");
        }
    }

    #[test]
    fn a_once_call_is_repeated_only_when_it_was_certainly_not_sent() {
        assert_eq!(after_error(&Error::new(ErrorKind::Connect, "")), [true; 3]);
        assert_eq!(after_error(&Error::new(ErrorKind::Timeout, "")), [true, true, false]);
        assert_eq!(after_error(&Error::new(ErrorKind::Interrupted, "")), [true, true, false]);
        let unsent = Error::new(ErrorKind::Interrupted, "").with_may_have_been_sent(false);
        assert_eq!(after_error(&unsent), [true; 3]);
    }

    #[test]
    fn what_another_attempt_cannot_mend_is_not_repeated() {
        for kind in [ErrorKind::Setup, ErrorKind::Tls, ErrorKind::Layer] {
            assert_eq!(after_error(&Error::new(kind, "")), [false; 3], "{kind:?}");
        }
    }

    #[test]
    fn limits_stop_at_their_number_and_at_their_time() {
        let headers = HeaderMap::new();
        let attempt = |number, elapsed| {
            Attempt::replied(CallClass::Safe, &Method::GET, StatusCode::BAD_GATEWAY, &headers)
                .at(number, Duration::from_secs(elapsed))
        };
        let policy = RetryByClass.with_attempt_limit(3).with_time_limit(Duration::from_secs(10));
        assert_eq!(policy.advise(&attempt(2, 9)), Advice::Retry);
        assert_eq!(policy.advise(&attempt(3, 9)), Advice::Stop);
        assert_eq!(policy.advise(&attempt(2, 10)), Advice::Stop);
    }
}
