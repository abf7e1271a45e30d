//! A faithful, fast, deterministic server of the Backstory (formerly People.ai) bulk export API, on loopback.
//!
//! The vendor has no sandbox: whoever writes against its API tests in production or not at all. This crate is the place
//! to test instead: the token endpoints with real signed tokens that expire, export jobs under the use limits with a
//! real queue, the documented errors, retention, a rate limit, a clock that can be moved, and a population of
//! activities and contacts that is computed from a seed and changes as time goes by. It also knows the
//! [truth](Sim::truth): what a client that did everything right would hold.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), backstory_sim::Error> {
//! use backstory_sim::{Sim, WindowKind};
//!
//! let sim = Sim::builder().seed(7).activities(2_000).now("2026-06-18T12:00:00Z".parse().unwrap()).start().await?;
//! // Point any client, in any language, at `sim.base_url()`, with the key `sim-key` and the secret `sim-secret`.
//! let (from, to) = ("2026-06-01".parse().unwrap(), "2026-06-14".parse().unwrap());
//! let due = sim.truth().window(WindowKind::Delta, None, from, to, sim.clock().now());
//! assert!(due.count > 0);
//! // A week goes by.
//! sim.clock().advance(jiff::SignedDuration::from_hours(7 * 24));
//! # Ok(())
//! # }
//! ```
//!
//! What no source says about the live service is a [`Switch`], named after its row in section (j) of the contract.
//!
//! With the feature `tls` it also serves HTTPS, with an authority of its own (`Builder::tls`).
//!
//! What it does *not* do: it plays neither REST v0 nor the Query API, it holds no data between runs, and it shares no
//! code with the client crates beside it, so that one misreading of the contract can't hide in both.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod auth;
mod clock;
mod error;
mod export;
mod faults;
mod jobs;
mod rate_limit;
mod report;
mod server;
mod settings;
mod switches;
mod truth;
mod world;

pub use auth::{Key, KeyType};
pub use clock::Clock;
pub use error::{Error, ErrorKind};
pub use faults::{FaultDecision, Faults};
pub use jobs::{JobReport, JobUse, Resource};
pub use report::{KeyReport, Report};
pub use server::{JobEnd, Jobs, Keys, Sim};
pub use settings::Builder;
pub use switches::{Switch, SwitchRow};
pub use truth::{Content, Truth, WindowKind};
pub use world::ActivityType;
