//! Export jobs: what a client may ask for, and the queue that runs it within the use limits.

mod queue;
mod record;
mod request;

pub(crate) use queue::{Full, Job, NewJob, Phase, Queue, Start};
pub use record::{JobReport, JobUse};
pub use request::Resource;
pub(crate) use request::{ActivityExport, Output, Request, What};
