//! Where the rows of a delivery come from.

use jiff::Timestamp;
use jiff::civil::Date;

/// Where the rows of a delivery come from. It becomes the columns that begin with `_`, and part of each row's version.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Origin {
    /// The export job; `None` for a file whose job isn't known.
    pub job_id: Option<String>,
    /// Which part of the job's file this is; 0 for the whole.
    pub fragment: u32,
    /// The first and the last UTC day of the job's window, both included.
    pub window: Option<(Date, Date)>,
    /// When the rows were fetched.
    pub extracted_at: Timestamp,
    /// When the job was created, by the server's clock (contract (c.2)).
    pub job_created_time: Option<Timestamp>,
    /// When the job began to run, by the server's clock (contract (c.2)).
    pub job_start_time: Option<Timestamp>,
}

impl Origin {
    /// The rows of an export job.
    pub fn of_job(job_id: impl Into<String>, window: (Date, Date), extracted_at: Timestamp) -> Self {
        Self { job_id: Some(job_id.into()), window: Some(window), ..Self::offline(extracted_at) }
    }

    /// The rows of a file of which nothing more is known than when it was fetched, or found.
    pub fn offline(extracted_at: Timestamp) -> Self {
        Self {
            job_id: None,
            fragment: 0,
            window: None,
            extracted_at,
            job_created_time: None,
            job_start_time: None,
        }
    }

    /// Says which part of the job's file this is.
    #[must_use]
    pub fn with_fragment(mut self, fragment: u32) -> Self {
        self.fragment = fragment;
        self
    }

    /// Adds the job's times by the server's clock. They order versions of a record; without them the time of extraction
    /// does.
    #[must_use]
    pub fn with_job_times(mut self, created: Option<Timestamp>, started: Option<Timestamp>) -> Self {
        self.job_created_time = created;
        self.job_start_time = started;
        self
    }

    /// The time by which the job's versions are ordered.
    pub(crate) fn job_time(&self) -> Timestamp {
        self.job_start_time.or(self.job_created_time).unwrap_or(self.extracted_at)
    }
}
