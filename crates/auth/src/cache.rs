//! The token cache: the state machine behind a lock, and the one task that fetches for everybody.
//!
//! The fetch runs in a task of its own, so that a caller who goes away neither ends nor repeats it. The task holds the
//! cache's inside and the cache holds the task: when the last clone of the cache goes, the task is aborted. The lock is
//! never held across an await, nor while anything foreign runs but the clock.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::{Either, select};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::clock::{Clock, SystemClock};
use crate::error::{Error, ErrorKind};
use crate::issuer::{IssuedToken, TokenIssuer};
use crate::jwt;
use crate::machine::{Answer, Flight, Landing, Machine, Served};
use crate::policy::{Chance, RefreshPolicy};
use crate::source::{Bearer, Token, TokenSource};

/// A fetch that was lost with the runtime it ran on is made up for by the next caller; not for ever, as this caller's own
/// runtime may be the one that is ending.
const FLIGHTS_TO_JOIN: u32 = 3;

/// Keeps one token alive for any number of callers.
///
/// - A token is served until its life, counted from its receipt on a monotonic clock, ends. Shortly before that (the
///   margin of [`RefreshPolicy`]) the next caller gets the old token and starts one fetch behind it.
/// - However many callers need a token, there is one fetch at a time, and all share its outcome. A caller that is
///   cancelled neither ends nor repeats it.
/// - A failed fetch never displaces a token that lives. It is remembered: until its pause has passed, callers without a
///   token get the same error at once ([`Error::retry_in`] says how long). It is never final.
/// - A 401 that was seen with a token takes that token out of use; one fetch heals, however many calls saw it.
/// - An issuer that serves one and the same token until it ends (contract (a.3)) is waited for, not hammered.
///
/// Have one cache for each token endpoint and each type of key: their tokens open different doors (contract (a.4),
/// (j.32)). Clones share one cache. Asking for a token needs a Tokio runtime with its timer enabled; nothing that the
/// cache starts outlives its last clone.
///
/// ```
/// use std::time::Duration;
/// use async_trait::async_trait;
/// use backstory_auth::{Error, IssuedToken, TokenCache, TokenIssuer, TokenSource as _};
///
/// struct Vault;
///
/// #[async_trait]
/// impl TokenIssuer for Vault {
///     async fn issue(&self) -> Result<IssuedToken, Error> {
///         Ok(IssuedToken::new("from-the-vault").with_expires_in(Duration::from_secs(7_200)))
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Error> {
/// let tokens = TokenCache::new(Vault);
/// assert_eq!(tokens.token().await?.value().expose(), "from-the-vault");
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct TokenCache(Arc<Owner>);

/// What all clones of a cache share; the last of them ends the fetch.
struct Owner(Arc<Shared>);

impl Drop for Owner {
    fn drop(&mut self) {
        let last_fetch = self.0.lock().last_fetch.take();
        if let Some(task) = last_fetch.and_then(|fetch| fetch.task) {
            task.abort();
        }
    }
}

/// What the cache and its fetching task share.
struct Shared {
    issuer: Box<dyn TokenIssuer>,
    clock: Box<dyn Clock>,
    fetch_timeout: Duration,
    state: Mutex<State>,
}

struct State {
    machine: Machine<Bearer, Error>,
    /// The last fetch; whether it is over is the machine's to know.
    last_fetch: Option<Fetch>,
}

struct Fetch {
    flight: Flight,
    outcome: watch::Receiver<Outcome>,
    task: Option<AbortHandle>,
}

/// Empty until the fetch is over.
type Outcome = Option<Result<Token, Error>>;

impl TokenCache {
    /// A cache that fetches from this issuer, with the [default policy](RefreshPolicy::default).
    pub fn new(issuer: impl TokenIssuer + 'static) -> Self {
        Self::builder(issuer).build()
    }

    /// A cache with other settings.
    pub fn builder(issuer: impl TokenIssuer + 'static) -> TokenCacheBuilder {
        TokenCacheBuilder {
            issuer: Box::new(issuer),
            clock: None,
            policy: RefreshPolicy::default(),
            fetch_timeout: Duration::from_secs(300),
        }
    }

    /// A token, or the outcome to wait for.
    fn ask(&self) -> Result<Either<Token, watch::Receiver<Outcome>>, Error> {
        let shared = &self.0.0;
        let runtime = Handle::try_current().map_err(|error| {
            Error::new(
                ErrorKind::NoRuntime,
                "a token cache fetches on a Tokio runtime, and this is not called on one",
            )
            .with_source(error)
        })?;
        let (flight, served, sender, receiver) = {
            let mut state = shared.lock();
            let (flight, served) = match state.machine.ask(shared.clock.monotonic()) {
                Answer::Serve(served) => return Ok(Either::Left(shared.token(served))),
                Answer::Fail(error, again_in) => return Err(error.remembered(again_in)),
                Answer::Wait => match &state.last_fetch {
                    Some(fetch) => return Ok(Either::Right(fetch.outcome.clone())),
                    // The machine and its shell always agree; if they ever did not, this would settle it.
                    None => return Err(lost()),
                },
                Answer::ServeAndFetch(served, flight) => (flight, Some(served)),
                Answer::Fetch(flight) => (flight, None),
            };
            let (sender, receiver) = watch::channel(None);
            state.last_fetch = Some(Fetch { flight, outcome: receiver.clone(), task: None });
            (flight, served, sender, receiver)
        };
        // Not under the lock: a runtime that is shutting down drops the task at once, and its guard takes the lock.
        let guard = FlightGuard { shared: Arc::clone(shared), flight, outcome: sender };
        let task = runtime.spawn(guard.fly()).abort_handle();
        let mut state = shared.lock();
        if let Some(fetch) = state.last_fetch.as_mut().filter(|fetch| fetch.flight == flight) {
            fetch.task = Some(task);
        }
        drop(state);
        Ok(served.map_or(Either::Right(receiver), |served| Either::Left(shared.token(served))))
    }
}

#[async_trait]
impl TokenSource for TokenCache {
    async fn token(&self) -> Result<Token, Error> {
        for _ in 0..FLIGHTS_TO_JOIN {
            let mut outcome = match self.ask()? {
                Either::Left(token) => return Ok(token),
                Either::Right(outcome) => outcome,
            };
            if let Ok(outcome) = outcome.wait_for(Option::is_some).await
                && let Some(outcome) = outcome.clone()
            {
                return outcome;
            }
        }
        Err(lost())
    }

    fn invalidate(&self, generation: u64) {
        let shared = &self.0.0;
        let mut state = shared.lock();
        state.machine.invalidate(generation, shared.clock.monotonic());
    }

    fn accepted(&self, generation: u64) {
        self.0.0.lock().machine.accepted(generation);
    }
}

fn lost() -> Error {
    Error::new(ErrorKind::NoRuntime, "the runtime that a token was fetched on ended before the token came")
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Only a clock of the user's own could panic under the lock, and it does so before anything has changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn token(&self, served: Served<Bearer>) -> Token {
        Token::from_bearer(served.value, served.generation).with_life(served.remaining, self.clock.wall())
    }

    /// One request to the issuer, which may take its time but not for ever.
    async fn issue(&self) -> Result<(Bearer, IssuedToken), Error> {
        let issue = self.issuer.issue();
        let timeout = self.clock.sleep(self.fetch_timeout);
        let issued = match select(issue, timeout).await {
            Either::Left((issued, _)) => issued?,
            Either::Right(_) => {
                let message = format!("no token came within {:.0} s", self.fetch_timeout.as_secs_f64());
                return Err(Error::new(ErrorKind::Unreachable, message));
            }
        };
        Ok((Bearer::new(issued.value.clone())?, issued))
    }
}

/// Sees to it that a fetch ends in the eyes of the cache, however it ends.
struct FlightGuard {
    shared: Arc<Shared>,
    flight: Flight,
    outcome: watch::Sender<Outcome>,
}

impl FlightGuard {
    async fn fly(self) {
        loop {
            let issued = self.shared.issue().await;
            match self.land(issued) {
                Some(wait) => self.shared.clock.sleep(wait).await,
                None => return,
            }
        }
    }

    /// Hands the issuer's answer to the machine and the outcome to the waiters. Returns how long to wait before the
    /// issuer is to be asked again.
    fn land(&self, issued: Result<(Bearer, IssuedToken), Error>) -> Option<Duration> {
        let shared = &*self.shared;
        let mut state = shared.lock();
        let now = shared.clock.monotonic();
        let (bearer, life) = match issued {
            Ok((bearer, issued)) => (bearer, jwt::life(&issued, shared.clock.wall())),
            Err(error) => {
                self.fail(state, now, error);
                return None;
            }
        };
        match state.machine.landed(self.flight, now, bearer, life, Chance::draw()) {
            Landing::Held(served) => {
                drop(state);
                tracing::debug!(
                    generation = served.generation,
                    life_s = served.remaining.as_secs(),
                    "got a token"
                );
                self.outcome.send_replace(Some(Ok(shared.token(served))));
                None
            }
            Landing::FetchAgainAfter(wait) => {
                drop(state);
                tracing::debug!(
                    wait_s = wait.as_secs_f64(),
                    "got the expired token once more, waiting for its end"
                );
                Some(wait)
            }
            Landing::Stale => {
                let error = Error::new(
                    ErrorKind::Stale,
                    "the token endpoint serves the same expired token over and over",
                )
                .with_hint("compare the clock of this machine with that of the server; then try again");
                self.fail(state, now, error);
                None
            }
            // The waiters, if any, see the channel close and ask again.
            Landing::Nothing => None,
        }
    }

    fn fail(&self, mut state: MutexGuard<'_, State>, now: Duration, error: Error) {
        let asked = error.asked_pause();
        let pause = state.machine.failed(self.flight, now, error.clone(), asked, Chance::draw());
        drop(state);
        tracing::warn!(error = %error, pause_s = pause.as_secs_f64(), "could not get a token");
        self.outcome.send_replace(Some(Err(error.with_retry_in(pause))));
    }
}

impl Drop for FlightGuard {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        if !state.machine.is_under_way(self.flight) {
            return;
        }
        if std::thread::panicking() {
            // Told to the waiters and remembered like any failure, so that they don't have it panic again at once.
            let now = self.shared.clock.monotonic();
            self.fail(state, now, Error::new(ErrorKind::Issuer, "the token issuer panicked"));
        } else {
            state.machine.lost(self.flight);
        }
    }
}

impl fmt::Debug for TokenCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenCache").finish_non_exhaustive()
    }
}

/// Settings of a [`TokenCache`].
pub struct TokenCacheBuilder {
    issuer: Box<dyn TokenIssuer>,
    clock: Option<Box<dyn Clock>>,
    policy: RefreshPolicy,
    fetch_timeout: Duration,
}

impl TokenCacheBuilder {
    /// Counts lives and pauses on this clock rather than on the machine's.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Some(Box::new(clock));
        self
    }

    /// When tokens are renewed, and how failures are paced.
    #[must_use]
    pub fn refresh_policy(mut self, policy: RefreshPolicy) -> Self {
        self.policy = policy;
        self
    }

    /// How long one request to the issuer may take, with all the attempts that it makes by itself; five minutes unless
    /// said otherwise. It keeps an issuer that never answers from holding its waiters for ever.
    #[must_use]
    pub fn fetch_timeout(mut self, timeout: Duration) -> Self {
        self.fetch_timeout = timeout;
        self
    }

    /// The cache. Nothing is fetched before the first caller.
    pub fn build(self) -> TokenCache {
        let state = State { machine: Machine::new(self.policy), last_fetch: None };
        TokenCache(Arc::new(Owner(Arc::new(Shared {
            issuer: self.issuer,
            clock: self.clock.unwrap_or_else(|| Box::new(SystemClock::new())),
            fetch_timeout: self.fetch_timeout,
            state: Mutex::new(state),
        }))))
    }
}

impl fmt::Debug for TokenCacheBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenCacheBuilder")
            .field("policy", &self.policy)
            .field("fetch_timeout", &self.fetch_timeout)
            .finish_non_exhaustive()
    }
}
