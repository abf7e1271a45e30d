//! A request to stop, from outside a run.

use std::convert::Infallible;
use std::sync::Arc;

use tokio::sync::watch;

/// A request to stop, which a run heeds as soon as it can do so without leaving anything half done. Clones are one.
#[derive(Clone, Debug)]
pub struct Stop(Arc<watch::Sender<bool>>);

impl Default for Stop {
    fn default() -> Self {
        Self::new()
    }
}

impl Stop {
    /// Nobody wants to stop yet.
    pub fn new() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }

    /// Asks whoever holds a clone to stop.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }

    /// Whether it was asked to stop.
    pub fn is_stopped(&self) -> bool {
        *self.0.borrow()
    }

    /// Stops as soon as `other` does; for as long as this is waited for.
    pub(crate) async fn follow(&self, other: &Self) -> Infallible {
        other.stopped().await;
        self.stop();
        std::future::pending().await
    }

    /// Waits until it is asked to stop.
    pub async fn stopped(&self) {
        // The sender lives as long as this does.
        let _ = self.0.subscribe().wait_for(|stopped| *stopped).await;
    }
}
