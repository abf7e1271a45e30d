//! The adapter over real sockets: hand-written servers on loopback break connections in every way that the scripts of the
//! other tests do, and in some that only sockets know.

mod breaks;
mod http2;
mod program;
mod redirects;
mod same_outcomes;
mod server;
mod tls;
