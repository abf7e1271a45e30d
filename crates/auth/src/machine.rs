//! The token cache as a pure state machine: events and the time go in, decisions come out.
//!
//! It knows no runtime, no lock and no HTTP, and what it holds as token and as error is the caller's choice, so every
//! interleaving of callers, replies and the clock can be enumerated in its tests. Times are readings of a monotonic
//! clock; all reckoning is by *age*, so a clock that jumps can make a token live longer or shorter, and nothing else.
//!
//! ```text
//!            a token lands                    its age passes the margin
//!   empty ────────────────────────▶ fresh ─────────────────────────────▶ ageing: served, one fetch behind it
//!     ▲ callers wait for one fetch    ▲ a token lands                        │
//!     │                               ├──────────────────────────────────────┤ its life ends
//!     │ a 401 was seen with it        │                                      ▼
//!     └─────────── any ◀──────────────┴────────────────────────────────── expired: callers wait for one fetch
//! ```
//!
//! A failed fetch is remembered beside the token that is held, and never takes its place.

use std::time::Duration;

use crate::policy::{Chance, RefreshPolicy};

/// The shortest life that a new token is believed to have: one that is told to have none is tried rather than fetched
/// again by every caller.
const SHORTEST_LIFE: Duration = Duration::from_secs(1);
/// How often in a row an expired token that is served again is waited for before its waiters are told.
const PATIENCE: u32 = 5;

/// Which fetch a reply belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Flight(u64);

/// The state: at most one token, at most one fetch under way, at most one remembered failure.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Machine<V, E> {
    policy: RefreshPolicy,
    held: Option<Held<V>>,
    flight: Option<Flight>,
    failure: Option<Failure<E>>,
    /// Failures in a row.
    failures: u32,
    /// How often in a row an expired token was served again.
    stale_replies: u32,
    last_generation: u64,
    last_flight: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Held<V> {
    value: V,
    generation: u64,
    obtained: Duration,
    life: Duration,
    /// The age at which it is renewed.
    ages_after: Duration,
    /// A 401 was seen with it: it is kept for comparison and served no more.
    refused: bool,
    /// It has opened something.
    proven: bool,
    /// How many tokens in a row were refused before this one without having opened anything.
    refused_before: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Failure<E> {
    error: E,
    since: Duration,
    pause: Duration,
}

/// A token to be served.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Served<V> {
    pub(crate) value: V,
    pub(crate) generation: u64,
    pub(crate) remaining: Duration,
}

/// What a caller who asks for a token gets.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Answer<V, E> {
    /// This token.
    Serve(Served<V>),
    /// This token; and a fetch must be started behind it.
    ServeAndFetch(Served<V>, Flight),
    /// A fetch must be started, and waited for.
    Fetch(Flight),
    /// The fetch under way is to be waited for.
    Wait,
    /// The failure of the last fetch, which is not repeated for this long.
    Fail(E, Duration),
}

/// What becomes of a token that a fetch brought.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Landing<V> {
    /// It is held; the fetch is over.
    Held(Served<V>),
    /// It is the expired token once more: fetch again after this time, as the same flight.
    FetchAgainAfter(Duration),
    /// It is the expired token too often in a row: the fetch is to be reported as failed.
    Stale,
    /// Nobody can be served with it; whoever waits asks again.
    Nothing,
}

impl<V: Clone + PartialEq, E: Clone> Machine<V, E> {
    pub(crate) fn new(policy: RefreshPolicy) -> Self {
        Self {
            policy,
            held: None,
            flight: None,
            failure: None,
            failures: 0,
            stale_replies: 0,
            last_generation: 0,
            last_flight: 0,
        }
    }

    /// A caller asks for a token.
    pub(crate) fn ask(&mut self, now: Duration) -> Answer<V, E> {
        let Some((served, ageing)) = self.usable(now) else {
            if self.flight.is_some() {
                return Answer::Wait;
            }
            return match self.paused(now) {
                Some((error, again_in)) => Answer::Fail(error, again_in),
                None => Answer::Fetch(self.take_off()),
            };
        };
        if ageing && self.flight.is_none() && self.paused(now).is_none() {
            return Answer::ServeAndFetch(served, self.take_off());
        }
        Answer::Serve(served)
    }

    /// The fetch brought a token that lives for `life` from now.
    pub(crate) fn landed(
        &mut self,
        flight: Flight,
        now: Duration,
        value: V,
        life: Duration,
        chance: Chance,
    ) -> Landing<V> {
        if self.flight != Some(flight) {
            return Landing::Nothing;
        }
        if self.is_dead_once_more(now, &value, life) {
            self.stale_replies += 1;
            if self.stale_replies > PATIENCE {
                return Landing::Stale;
            }
            // Even when it is told to have no life left: a server whose clock stands, or lags, must not make us spin.
            return Landing::FetchAgainAfter(life.max(self.policy.pause(self.stale_replies, chance)));
        }
        match self.held.take() {
            Some(held) if held.value == value && !held.refused => {
                // The server serves one token until it ends; asking again before that would bring the same once more.
                let prolonged = self.is_prolonged(&held, now, life);
                let ages_after = if prolonged { self.policy.ages_after(life, chance) } else { life };
                self.held = Some(Held { obtained: now, life, ages_after, ..held });
            }
            before => {
                let refused = before.filter(|held| held.refused);
                let life = life.max(SHORTEST_LIFE);
                self.last_generation += 1;
                self.held = Some(Held {
                    value,
                    generation: self.last_generation,
                    obtained: now,
                    life,
                    ages_after: self.policy.ages_after(life, chance),
                    refused: false,
                    proven: false,
                    refused_before: refused
                        .map_or(0, |held| if held.proven { 1 } else { held.refused_before + 1 }),
                });
            }
        }
        (self.flight, self.failure, self.failures, self.stale_replies) = (None, None, 0, 0);
        match self.usable(now) {
            Some((served, _)) => Landing::Held(served),
            // The token that is served already, with no life left.
            None => Landing::Nothing,
        }
    }

    /// The fetch failed; the issuer may have asked to be left alone for a while. Returns for how long it will be.
    pub(crate) fn failed(
        &mut self,
        flight: Flight,
        now: Duration,
        error: E,
        asked: Option<Duration>,
        chance: Chance,
    ) -> Duration {
        if self.flight != Some(flight) {
            return Duration::ZERO;
        }
        self.failures = self.failures.saturating_add(1);
        self.stale_replies = 0;
        let asked = self.policy.granted_pause(asked.unwrap_or_default());
        let pause = self.policy.pause(self.failures, chance).max(asked);
        self.failure = Some(Failure { error, since: now, pause });
        self.flight = None;
        pause
    }

    /// The fetch will never report: what it ran on is gone.
    pub(crate) fn lost(&mut self, flight: Flight) {
        if self.flight == Some(flight) {
            (self.flight, self.stale_replies) = (None, 0);
        }
    }

    /// Whether this is the fetch under way.
    pub(crate) fn is_under_way(&self, flight: Flight) -> bool {
        self.flight == Some(flight)
    }

    /// A 401 was seen with the token of this generation: it is served no more.
    ///
    /// Whoever reports a token that is not served any more changes nothing, so one fetch heals however many calls saw
    /// the 401. A token that replaced a refused one and has never opened anything is not the cure; it is replaced in its
    /// turn only after a pause, or else each refused call of a locked-out client would mint a token.
    pub(crate) fn invalidate(&mut self, generation: u64, now: Duration) {
        let policy = self.policy;
        if let Some(held) = self.held.as_mut().filter(|held| held.generation == generation) {
            let age = now.saturating_sub(held.obtained);
            if held.proven || age >= policy.full_pause(held.refused_before) {
                held.refused = true;
            }
        }
    }

    /// The token of this generation has opened something.
    pub(crate) fn accepted(&mut self, generation: u64) {
        if let Some(held) = self.held.as_mut().filter(|held| held.generation == generation) {
            held.proven = true;
        }
    }

    /// Whether a fetch brought the very token that can't be served any more, with so little life that waiting for its
    /// end and fetching again is the way to a living one (contract (a.3)).
    fn is_dead_once_more(&self, now: Duration, value: &V, life: Duration) -> bool {
        let Some(held) = self.held.as_ref().filter(|held| held.value == *value) else {
            return false;
        };
        if held.refused {
            // With more life than that the refusal has another reason than the token's end; let the caller see it.
            return life <= self.policy.margin(Duration::MAX);
        }
        now.saturating_sub(held.obtained) >= held.life && life <= self.policy.margin(held.life)
    }

    /// Whether the same token was given more life than it was believed to have, beyond what rounding explains.
    fn is_prolonged(&self, held: &Held<V>, now: Duration, life: Duration) -> bool {
        let end = now.saturating_sub(held.obtained).saturating_add(life);
        end > held.life.saturating_add(self.policy.margin(held.life))
    }

    /// The token that may be served, and whether it should be renewed behind the caller's back.
    fn usable(&self, now: Duration) -> Option<(Served<V>, bool)> {
        let held = self.held.as_ref().filter(|held| !held.refused)?;
        // A clock that went back makes the token younger, not older than it can be.
        let age = now.saturating_sub(held.obtained);
        let remaining = held.life.checked_sub(age).filter(|left| !left.is_zero())?;
        let served = Served { value: held.value.clone(), generation: held.generation, remaining };
        Some((served, age >= held.ages_after))
    }

    /// The failure that keeps the issuer from being asked, and for how much longer.
    fn paused(&self, now: Duration) -> Option<(E, Duration)> {
        let failure = self.failure.as_ref()?;
        // A clock that went back must not prolong the pause: ask, and count anew.
        let since = now.checked_sub(failure.since)?;
        let left = failure.pause.checked_sub(since).filter(|left| !left.is_zero())?;
        Some((failure.error.clone(), left))
    }

    fn take_off(&mut self) -> Flight {
        self.last_flight += 1;
        let flight = Flight(self.last_flight);
        self.flight = Some(flight);
        flight
    }
}

#[cfg(test)]
mod examples;
#[cfg(test)]
mod exhaustive;
