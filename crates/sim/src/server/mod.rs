//! The server: sockets, routes and replies, over the world, the jobs and the clock.
//!
//! Each API has a folder of its own, with its routes and its answers: `bulk` is the only one that is played. The token
//! endpoints, the rate limit, the fault engine and the report lie before all of them, in `routes`.

mod body;
mod bulk;
mod control;
mod job_control;
mod oddities;
mod reply;
mod request_body;
mod routes;
mod sim;
mod state;
mod target;
#[cfg(feature = "tls")]
mod tls;
mod tokens;
mod wire;

pub use job_control::{JobEnd, Jobs};
pub use sim::{Keys, Sim};
pub(crate) use state::State;
