//! Export jobs: what a client may ask for, and the queue that runs it within the use limits.

mod queue;
mod request;

pub(crate) use queue::{Full, Job, NewJob, Phase, Queue, Start};
pub(crate) use request::{ActivityExport, Output, Request, Resource, What};
