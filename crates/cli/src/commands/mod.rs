//! The commands, one file each: flags in, library calls, results out.

pub(crate) mod auth;
pub(crate) mod completions;
pub(crate) mod convert;
pub(crate) mod demo;
pub(crate) mod export;
pub(crate) mod history;
pub(crate) mod jobs;
pub(crate) mod lake;
pub(crate) mod plan;
pub(crate) mod probe;
pub(crate) mod rebuild;
pub(crate) mod schema;
pub(crate) mod sim;
pub(crate) mod status;
pub(crate) mod sync;
pub(crate) mod verify;
