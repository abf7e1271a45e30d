//! What the callers of this crate, a token endpoint and an API see, in virtual time.

mod cache;
#[path = "../doubles/mod.rs"]
mod doubles;
mod failures;
mod flow;
mod healing;
mod reissue;
