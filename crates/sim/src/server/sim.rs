//! The running simulator: its listener, its connections and its handles.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

use super::job_control::Jobs;
use super::routes::respond;
use super::state::State;
use super::wire::{Control, Security};
use crate::auth::Standing;
use crate::clock::Clock;
use crate::error::{Error, ErrorKind};
use crate::faults::{FaultDecision, Faults};
use crate::report::Report;
use crate::settings::Builder;
use crate::switches::Switch;
use crate::truth::Truth;

/// A simulator that serves on loopback until it is dropped.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), backstory_sim::Error> {
/// use backstory_sim::Sim;
/// let sim = Sim::builder().seed(7).activities(500).now("2026-06-18T12:00:00Z".parse().unwrap()).start().await?;
/// assert!(sim.base_url().starts_with("http://127.0.0.1:"));
/// let truth = sim.truth().activities(sim.clock().now(), None);
/// assert!(truth.count > 400, "a few are still to come");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Sim {
    base_url: String,
    state: Arc<State>,
    accept: JoinHandle<()>,
}

impl Sim {
    /// Settings for a simulator, each with a default.
    pub fn builder() -> Builder {
        Builder::default()
    }

    pub(crate) async fn start(settings: Builder) -> Result<Self, Error> {
        // With a given instant the clock stands there; without one the world lives in the present.
        let speed = settings.speed.unwrap_or(if settings.now.is_some() { 0.0 } else { 1.0 });
        let clock = Clock::new(settings.now.unwrap_or_else(Timestamp::now), speed);
        let address = settings.address();
        let refuse = |cause| {
            Error::new(
                ErrorKind::Bind,
                format!("can't serve on {address}; is another program on this port? Port 0 takes a free one"),
            )
            .caused(cause)
        };
        let listener = TcpListener::bind(address).await.map_err(refuse)?;
        let local = listener.local_addr().map_err(refuse)?;
        let security = Security::of(&settings)?;
        let scheme = security.scheme();
        let base_url = format!("{scheme}://{local}");
        let state = Arc::new(State::new(&settings, clock, scheme, local.port()));
        let accept = tokio::spawn(serve(listener, security, Arc::clone(&state)));
        Ok(Self { base_url, state, accept })
    }

    /// Where it serves, such as `http://127.0.0.1:49152`.
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// The world's clock.
    pub fn clock(&self) -> &Clock {
        &self.state.clock
    }

    /// What the world's records are.
    pub fn truth(&self) -> Truth {
        Truth(Arc::clone(&self.state))
    }

    /// What happened so far.
    pub fn report(&self) -> Report {
        self.state.report()
    }

    /// Sets a switch from now on; jobs that already run keep their own.
    pub fn set_switch(&self, switch: Switch) {
        self.state.set_switch(switch);
    }

    /// Puts a plan of faults in force from now on, and sets its switches.
    pub fn set_faults(&self, faults: Faults) {
        self.state.set_faults(faults);
    }

    /// The decisions of the fault engine so far, the latest 10,000 of them.
    pub fn fault_log(&self) -> Vec<FaultDecision> {
        self.state.faults.log()
    }

    /// The export jobs, to be looked at, added and ended.
    pub fn jobs(&self) -> Jobs {
        Jobs(Arc::clone(&self.state))
    }

    /// The API keys, to be paused and revoked.
    pub fn keys(&self) -> Keys {
        Keys(Arc::clone(&self.state))
    }

    /// Stops, and waits until the port and every connection is closed. Dropping stops as well, but does not wait.
    pub async fn stop(mut self) {
        self.state.stopping.store(true, Ordering::Relaxed);
        self.accept.abort();
        // The task can only have been cancelled, which is what was wanted.
        let _ = (&mut self.accept).await;
    }
}

impl Drop for Sim {
    fn drop(&mut self) {
        self.state.stopping.store(true, Ordering::Relaxed);
        self.accept.abort();
    }
}

/// What an administrator can do to API keys, contract (a.4).
#[derive(Clone, Debug)]
pub struct Keys(Arc<State>);

impl Keys {
    /// Pauses a key: no new tokens, and its old ones die unless row j.30 is switched. False when there is no such key.
    pub fn pause(&self, id: &str) -> bool {
        self.0.tokens.set_standing(id, Standing::Paused)
    }

    /// Ends a pause. False when there is no such key, or it was revoked.
    pub fn unpause(&self, id: &str) -> bool {
        self.0.tokens.set_standing(id, Standing::Active)
    }

    /// Revokes a key for ever. False when there is no such key, or it was revoked before.
    pub fn revoke(&self, id: &str) -> bool {
        self.0.tokens.set_standing(id, Standing::Revoked)
    }
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").finish_non_exhaustive()
    }
}

/// Accepts connections. The set of their tasks lives in this task, so that none outlives it.
async fn serve(listener: TcpListener, security: Security, state: Arc<State>) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
        };
        let Ok((stream, _)) = accepted else {
            // Out of file descriptors, say: let others close theirs first.
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            continue;
        };
        // A small reply must not wait for the acknowledgement of the one before it.
        let _ = stream.set_nodelay(true);
        let state = Arc::clone(&state);
        let security = security.clone();
        connections.spawn(async move {
            let control = Control::default();
            // A handshake that fails leaves nobody to talk to.
            let Some(wire) = security.secure(stream, control.clone()).await else { return };
            let wire = TokioIo::new(wire);
            let service = service_fn(|request| respond(Arc::clone(&state), control.clone(), request));
            // A connection that breaks is the client's affair; the report counts what was sent.
            let _ = http1::Builder::new()
                .auto_date_header(false)
                .max_buf_size(256 * 1024)
                .serve_connection(wire, service)
                .await;
        });
    }
}
