//! Ctrl-C and SIGTERM: the work in progress is dropped, which leaves nothing half-written, and the run ends with 130.

use std::future::Future;
use std::io;

#[cfg(unix)]
use tokio::signal::unix::{Signal, SignalKind, signal};
#[cfg(windows)]
use tokio::signal::windows::{CtrlC, ctrl_c};

use crate::exit::{Exit, Failure};

/// Runs `work` until it ends or the user interrupts. `how_to_go_on` tells the latter what was kept.
pub(crate) async fn or_interrupted<T>(
    work: impl Future<Output = Result<T, Failure>>,
    how_to_go_on: &str,
) -> Result<T, Failure> {
    let mut interrupts = Interrupts::watch()?;
    tokio::select! {
        outcome = work => outcome,
        () = interrupts.next() => Err(Failure::new(Exit::Interrupted, "interrupted").with_hint(how_to_go_on)),
    }
}

/// The user's interrupts from [`watch`](Self::watch) on. One that arrives while nobody waits for it is kept for
/// [`next`](Self::next).
pub(crate) struct Interrupts {
    #[cfg(unix)]
    ctrl_c: Signal,
    #[cfg(unix)]
    terminate: Signal,
    #[cfg(windows)]
    ctrl_c: CtrlC,
}

impl Interrupts {
    /// From here on an interrupt no longer ends the process by itself. Belongs before the first thing that others can
    /// see of the work, since they may interrupt as soon as they see it.
    pub(crate) fn watch() -> Result<Self, Failure> {
        Self::registered().map_err(|error| {
            Failure::new(Exit::Failed, "the system doesn't let this process watch for Ctrl-C and SIGTERM")
                .with_source(error)
        })
    }

    #[cfg(unix)]
    fn registered() -> io::Result<Self> {
        Ok(Self { ctrl_c: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    #[cfg(windows)]
    fn registered() -> io::Result<Self> {
        Ok(Self { ctrl_c: ctrl_c()? })
    }

    /// Resolves at the next interrupt.
    #[cfg(unix)]
    pub(crate) async fn next(&mut self) {
        tokio::select! {
            _ = self.ctrl_c.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }

    /// Resolves at the next interrupt.
    #[cfg(windows)]
    pub(crate) async fn next(&mut self) {
        self.ctrl_c.recv().await;
    }
}
