//! The REST rate limit: 5 requests a second and 10 at once, for the whole organisation, in real time.
//!
//! Sources: contract (b) and (j.34). A token bucket holds one second's worth, so a client that sends exactly five a
//! second is never refused, however its timer jitters. A refusal carries no `Retry-After`, as the service sends none.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// Requests per second, contract (b).
const PER_SECOND: f64 = 5.0;
/// What the bucket holds: a second's worth and one to spare for timers that run a hair fast.
const BURST: f64 = 6.0;
/// Requests at the same time, contract (b).
const AT_ONCE: usize = 10;

#[derive(Debug)]
pub(crate) struct RateLimit {
    on: bool,
    bucket: Mutex<Bucket>,
    running: Arc<AtomicUsize>,
}

#[derive(Debug)]
struct Bucket {
    level: f64,
    filled: Instant,
}

/// Holds one of the concurrent places until dropped; a download keeps its place until its body is done.
#[derive(Debug)]
pub(crate) struct Place(Option<Arc<AtomicUsize>>);

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(running) = &self.0 {
            running.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

impl RateLimit {
    pub(crate) fn new(on: bool) -> Self {
        Self {
            on,
            bucket: Mutex::new(Bucket { level: BURST, filled: Instant::now() }),
            running: Arc::new(AtomicUsize::new(0)),
        }
    }

    /// A place for one request, or `None` when the limit refuses it.
    pub(crate) fn admit(&self) -> Option<Place> {
        if !self.on {
            return Some(Place(None));
        }
        let place = Place(Some(Arc::clone(&self.running)));
        if self.running.fetch_add(1, Ordering::AcqRel) >= AT_ONCE {
            return None;
        }
        self.bucket.lock().unwrap_or_else(PoisonError::into_inner).take(Instant::now()).then_some(place)
    }
}

impl Bucket {
    fn take(&mut self, now: Instant) -> bool {
        let elapsed = now.saturating_duration_since(self.filled).as_secs_f64();
        self.filled = now;
        self.level = (self.level + elapsed * PER_SECOND).min(BURST);
        if self.level < 1.0 {
            return false;
        }
        self.level -= 1.0;
        true
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn five_a_second_are_never_refused_and_a_burst_is() {
        let start = Instant::now();
        let mut bucket = Bucket { level: BURST, filled: start };
        for n in 0..500 {
            assert!(bucket.take(start + Duration::from_millis(200) * n), "request {n}");
        }
        let burst = start + Duration::from_secs(200);
        assert_eq!((0..20).filter(|_| bucket.take(burst)).count(), 6);
    }

    #[test]
    fn the_eleventh_at_once_is_refused_until_a_place_is_free() {
        let limit = RateLimit::new(true);
        limit.bucket.lock().unwrap().level = 1_000.0;
        let refill = |limit: &RateLimit| limit.bucket.lock().unwrap().level = 6.0;
        let mut places = Vec::new();
        for _ in 0..10 {
            refill(&limit);
            places.push(limit.admit().expect("a place"));
        }
        refill(&limit);
        assert!(limit.admit().is_none());
        places.pop();
        refill(&limit);
        assert!(limit.admit().is_some());
    }
}
