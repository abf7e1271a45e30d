//! Ctrl-C and SIGTERM: the work in progress is dropped, which leaves nothing half-written, and the run ends with 130.

use std::future::Future;

use crate::exit::{Exit, Failure};

/// Runs `work` until it ends or the user interrupts. `how_to_go_on` tells the latter what was kept.
pub(crate) async fn or_interrupted<T>(
    work: impl Future<Output = Result<T, Failure>>,
    how_to_go_on: &str,
) -> Result<T, Failure> {
    tokio::select! {
        outcome = work => outcome,
        () = interrupted() => Err(Failure::new(Exit::Interrupted, "interrupted").with_hint(how_to_go_on)),
    }
}

/// Resolves at the first interrupt.
#[cfg(unix)]
pub(crate) async fn interrupted() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        let _ = tokio::signal::ctrl_c().await;
        return;
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}

/// Resolves at the first interrupt.
#[cfg(not(unix))]
pub(crate) async fn interrupted() {
    let _ = tokio::signal::ctrl_c().await;
}
