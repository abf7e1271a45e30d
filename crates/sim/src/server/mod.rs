//! The server: sockets, routes and replies, over the world, the jobs and the clock.

mod body;
mod control;
mod downloads;
mod exports;
mod reply;
mod routes;
mod sim;
mod state;
#[cfg(feature = "tls")]
mod tls;
mod tokens;
mod wire;

pub use sim::{Keys, Sim};
pub(crate) use state::State;
