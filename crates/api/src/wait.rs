//! How a job is waited for: how often it is asked about, and for how long.

use std::time::Duration;

/// For how long after its creation a job may be invisible, or visible without a state (contract (j.33)).
pub(crate) const VISIBILITY_GRACE: Duration = Duration::from_secs(120);

/// How often a job is asked about while it is waited for, and when to give up.
///
/// The first question comes soon, since small exports end quickly; then the pauses grow, since every question counts in
/// the rate limit (contract (j.34)).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct WaitPolicy {
    /// How long after its creation a job is first asked about: 1 s.
    pub first_poll: Duration,
    /// What the pauses grow to: 60 s.
    pub longest_pause: Duration,
    /// How much longer each pause is than the one before: 1.5 times.
    pub growth: f64,
    /// How long a job is waited for in all, in the queue and running; without end unless said. It is asked about once more at
    /// the deadline, and the answer is waited for up to 10 s longer.
    pub deadline: Option<Duration>,
    /// For how long polls may fail in a row before the wait is given up: 10 minutes. A failed poll is not a failed job.
    pub outage: Duration,
}

impl Default for WaitPolicy {
    fn default() -> Self {
        Self {
            first_poll: Duration::from_secs(1),
            longest_pause: Duration::from_secs(60),
            growth: 1.5,
            deadline: None,
            outage: Duration::from_secs(600),
        }
    }
}

impl WaitPolicy {
    /// Asks first after `pause`, and never pauses for less.
    #[must_use]
    pub fn with_first_poll(mut self, pause: Duration) -> Self {
        self.first_poll = pause;
        self.longest_pause = self.longest_pause.max(pause);
        self
    }

    /// Gives up `after` that long.
    #[must_use]
    pub fn with_deadline(mut self, after: Option<Duration>) -> Self {
        self.deadline = after;
        self
    }

    /// The pauses between questions, the first one included.
    pub(crate) fn pauses(&self) -> Pauses {
        Pauses { next: self.first_poll, longest: self.longest_pause, growth: self.growth.max(1.0) }
    }
}

/// Pauses that grow up to a bound.
#[derive(Clone, Debug)]
pub(crate) struct Pauses {
    next: Duration,
    longest: Duration,
    growth: f64,
}

impl Pauses {
    pub(crate) fn next(&mut self) -> Duration {
        let pause = self.next.min(self.longest);
        self.next = pause.mul_f64(self.growth).min(self.longest);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_from_the_first_poll_to_the_bound() {
        let mut pauses = WaitPolicy::default().pauses();
        let first: Vec<u128> = (0..4).map(|_| pauses.next().as_millis()).collect();
        assert_eq!(first, [1_000, 1_500, 2_250, 3_375]);
        assert_eq!((0..20).map(|_| pauses.next()).last(), Some(Duration::from_secs(60)));
    }
}
