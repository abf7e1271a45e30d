//! Time as the cache sees it: a monotonic clock that lives are counted on, and a wall clock that people read.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

/// A clock.
///
/// Lives of tokens and pauses are counted on [`monotonic`](Self::monotonic). [`wall`](Self::wall) is for people, and for
/// a token whose life is told by nothing but the `exp` inside it. Either may jump, in either direction, without harm: a
/// token that is thought alive for too long is healed at its first 401, one that is thought dead is fetched anew.
#[async_trait]
pub trait Clock: Send + Sync {
    /// The time since some fixed moment.
    fn monotonic(&self) -> Duration;

    /// The date and time of day.
    fn wall(&self) -> Timestamp;

    /// Waits until [`monotonic`](Self::monotonic) has moved on by this much.
    async fn sleep(&self, time: Duration);
}

/// The machine's clocks, by way of Tokio, so that a paused Tokio clock pauses this one.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    // Not shared between clocks: each paused Tokio runtime has a time of its own.
    start: tokio::time::Instant,
}

impl SystemClock {
    /// A clock whose monotonic time starts now.
    pub fn new() -> Self {
        Self { start: tokio::time::Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Clock for SystemClock {
    fn monotonic(&self) -> Duration {
        tokio::time::Instant::now().saturating_duration_since(self.start)
    }

    fn wall(&self) -> Timestamp {
        Timestamp::now()
    }

    async fn sleep(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }
}

#[async_trait]
impl<C: Clock + ?Sized> Clock for Arc<C> {
    fn monotonic(&self) -> Duration {
        (**self).monotonic()
    }

    fn wall(&self) -> Timestamp {
        (**self).wall()
    }

    async fn sleep(&self, time: Duration) {
        (**self).sleep(time).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_paused_tokio_clock_pauses_it_and_moves_it() {
        let clock = SystemClock::new();
        assert_eq!(clock.monotonic(), Duration::ZERO);
        clock.sleep(Duration::from_secs(7_200)).await;
        assert_eq!(clock.monotonic(), Duration::from_secs(7_200));
    }
}
