//! Named steps between two durable writes, at which a test can have the process killed. Without the feature `fail-points`
//! they cost nothing and do nothing.

/// A step of which a crash must leave nothing wrong. With the feature `fail-points`, a process whose environment has
/// `BACKSTORY_FAIL_AT=name` is killed when it comes here, without a chance to tidy up; `name:3` means the third time.
#[cfg(not(feature = "fail-points"))]
#[inline]
pub fn fail_point(_: &str) {}

/// A step of which a crash must leave nothing wrong. A process whose environment has `BACKSTORY_FAIL_AT=name` is killed
/// when it comes here, without a chance to tidy up; `name:3` means the third time.
#[cfg(feature = "fail-points")]
pub fn fail_point(name: &str) {
    use std::sync::atomic::{AtomicU64, Ordering};

    static PASSED: AtomicU64 = AtomicU64::new(0);
    let Ok(wanted) = std::env::var("BACKSTORY_FAIL_AT") else { return };
    let (wanted, time) = match wanted.rsplit_once(':') {
        Some((wanted, time)) => (wanted, time.parse().unwrap_or(1)),
        None => (wanted.as_str(), 1),
    };
    if wanted != name || PASSED.fetch_add(1, Ordering::SeqCst) + 1 != time {
        return;
    }
    // A signal that can't be caught, so that no destructor runs. `abort` would do where there is no `kill`.
    let killed = std::process::Command::new("kill").args(["-9", &std::process::id().to_string()]).status();
    if killed.is_ok_and(|status| status.success()) {
        loop {
            std::thread::park();
        }
    }
    std::process::abort();
}
