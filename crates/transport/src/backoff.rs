//! How long to pause between attempts.

use std::fmt;
use std::time::Duration;

/// Decides how long to pause before an attempt is repeated.
pub trait Backoff: Send + Sync {
    /// The pause before the next attempt.
    fn pause(&self, input: &PauseInput) -> Duration;
}

impl<T: Backoff + ?Sized> Backoff for std::sync::Arc<T> {
    fn pause(&self, input: &PauseInput) -> Duration {
        (**self).pause(input)
    }
}

/// What a [`Backoff`] is told. It may grow: it is made by [`new`](Self::new) only.
///
/// ```
/// use std::time::Duration;
/// use backstory_transport::{Backoff, NoPause, PauseInput};
///
/// assert_eq!(NoPause.pause(&PauseInput::new(1, Duration::ZERO)), Duration::ZERO);
/// ```
///
/// ```compile_fail,E0639
/// # use backstory_transport::PauseInput;
/// let input = PauseInput { repetition: 1, elapsed: std::time::Duration::ZERO };
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PauseInput {
    /// Which repetition comes next: 1 before the second attempt, 2 before the third.
    pub repetition: u32,
    /// The time since the first attempt began.
    pub elapsed: Duration,
}

impl PauseInput {
    /// The input before this repetition (1 is the second attempt).
    pub fn new(repetition: u32, elapsed: Duration) -> Self {
        Self { repetition, elapsed }
    }
}

/// Exponential backoff with full jitter: any time between nothing and a ceiling that doubles with each repetition.
///
/// Clients that failed together do not come back together. The default's ceiling starts at 1 s and ends at 60 s
/// (contract (h.2)).
pub struct FullJitter {
    first: Duration,
    cap: Duration,
    random: Box<dyn Fn() -> f64 + Send + Sync>,
}

impl FullJitter {
    /// A ceiling of `first` before the second attempt, doubled for each further one, never above `cap`.
    pub fn new(first: Duration, cap: Duration) -> Self {
        Self { first, cap, random: Box::new(rand::random) }
    }

    /// Draws from this source instead of the thread's generator: a number from 0 up to 1 each time.
    #[must_use]
    pub fn with_random(mut self, random: impl Fn() -> f64 + Send + Sync + 'static) -> Self {
        self.random = Box::new(random);
        self
    }
}

impl Default for FullJitter {
    fn default() -> Self {
        Self::new(Duration::from_secs(1), Duration::from_secs(60))
    }
}

impl fmt::Debug for FullJitter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FullJitter")
            .field("first", &self.first)
            .field("cap", &self.cap)
            .finish_non_exhaustive()
    }
}

impl Backoff for FullJitter {
    fn pause(&self, input: &PauseInput) -> Duration {
        // Beyond 2^31 every ceiling has long met its cap, and a shift must not overflow.
        let doublings = input.repetition.saturating_sub(1).min(31);
        let ceiling = self.first.saturating_mul(1 << doublings).min(self.cap);
        // A source that breaks its promise must not break the cap (or the multiplication: NaN becomes 0).
        let share = (self.random)().clamp(0.0, 1.0);
        ceiling.mul_f64(if share.is_nan() { 0.0 } else { share })
    }
}

/// No pause at all: for tests, and for servers that do their own pacing.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoPause;

impl Backoff for NoPause {
    fn pause(&self, _: &PauseInput) -> Duration {
        Duration::ZERO
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pause(backoff: &FullJitter, repetition: u32) -> Duration {
        backoff.pause(&PauseInput::new(repetition, Duration::ZERO))
    }

    #[test]
    fn the_ceiling_doubles_from_one_second_and_stops_at_sixty() {
        let highest = FullJitter::default().with_random(|| 1.0);
        let ceilings = [1, 2, 3, 4, 5, 6, 7, 8].map(|repetition| pause(&highest, repetition).as_secs());
        assert_eq!(ceilings, [1, 2, 4, 8, 16, 32, 60, 60]);
    }

    #[test]
    fn the_whole_range_down_to_nothing_is_used() {
        assert_eq!(pause(&FullJitter::default().with_random(|| 0.0), 5), Duration::ZERO);
        assert_eq!(pause(&FullJitter::default().with_random(|| 0.25), 3), Duration::from_secs(1));
    }

    #[test]
    fn a_shared_backoff_is_the_same_and_no_pause_is_none() {
        let shared = std::sync::Arc::new(FullJitter::default().with_random(|| 1.0));
        let third = PauseInput::new(3, Duration::ZERO);
        assert_eq!((shared.pause(&third).as_secs(), NoPause.pause(&third)), (4, Duration::ZERO));
        assert_eq!(format!("{shared:?}"), "FullJitter { first: 1s, cap: 60s, .. }");
    }

    #[test]
    fn a_random_source_that_gives_no_number_pauses_not_at_all() {
        assert_eq!(pause(&FullJitter::default().with_random(|| f64::NAN), 3), Duration::ZERO);
    }

    proptest! {
        #[test]
        fn no_input_and_no_random_source_exceeds_the_cap(
            repetition: u32, random in prop::num::f64::ANY, first in 0_u64..100_000, cap in 0_u64..100_000,
        ) {
            let cap = Duration::from_millis(cap);
            let backoff = FullJitter::new(Duration::from_millis(first), cap).with_random(move || random);
            prop_assert!(pause(&backoff, repetition) <= cap);
        }
    }
}
