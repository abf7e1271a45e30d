//! The port itself: what a sync needs of whatever it fills.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use backstory_tables::{BadRows, Conversion, Resource, Summary};
use jiff::Timestamp;
use jiff::civil::Date;
use serde::Serialize;

use crate::delivered::Delivered;
use crate::delivery::{Delivery, DeliveryRecord};
use crate::error::Error;
use crate::history::HistoryEntry;

/// What a sync fills. All methods block; a sync calls them on threads that may.
pub trait Destination: Send + Sync {
    /// Tells this destination from every other. It is made with the destination and stays with it.
    fn id(&self) -> &str;

    /// What people call it: its URL, without credentials.
    fn name(&self) -> &str;

    /// The folder in which the ledger and the quarantine (`_backstory/`) and the kept raw files (`raw/`) belong, for a
    /// destination that is a folder itself.
    fn home(&self) -> Option<&Path> {
        None
    }

    /// Every delivery whose rows are committed, in no particular order; each job once.
    ///
    /// # Errors
    /// [`ErrorKind::Read`](crate::ErrorKind::Read), and [`ErrorKind::Damaged`](crate::ErrorKind::Damaged).
    fn deliveries(&self) -> Result<Vec<DeliveryRecord>, Error>;

    /// Begins to take in a delivery. Nothing of it is seen by readers before [`Load::commit`]; dropped before that, it
    /// leaves nothing behind. A delivery that is there already is loaded again, and replaces itself.
    ///
    /// # Errors
    /// [`ErrorKind::Write`](crate::ErrorKind::Write).
    fn begin(&self, delivery: &Delivery) -> Result<Box<dyn Load>, Error>;

    /// Housekeeping after a run, and whatever pays now: what readers use is brought up to date, what has been superseded
    /// for long enough is removed. `now` is the client's wall clock. Safe at any time, and safe to be killed at any time.
    ///
    /// # Errors
    /// [`ErrorKind::Read`](crate::ErrorKind::Read), [`ErrorKind::Write`](crate::ErrorKind::Write).
    fn settle(&self, now: Timestamp) -> Result<(), Error>;

    /// The rows of each table in its current state: `activities`, `participants`, `campaigns`, `contacts`.
    ///
    /// # Errors
    /// [`ErrorKind::Read`](crate::ErrorKind::Read), [`ErrorKind::Damaged`](crate::ErrorKind::Damaged).
    fn tables(&self) -> Result<BTreeMap<String, u64>, Error>;

    /// The count and the content hash of the current records; with `processed_through`, of those activities whose current
    /// version was ingested up to the end of that UTC day.
    ///
    /// # Errors
    /// [`ErrorKind::Read`](crate::ErrorKind::Read), [`ErrorKind::Damaged`](crate::ErrorKind::Damaged).
    fn digest(&self, resource: Resource, processed_through: Option<Date>) -> Result<Digest, Error>;

    /// Every stored version of the activity with this `uid` (or `_key`), oldest first.
    ///
    /// # Errors
    /// [`ErrorKind::Read`](crate::ErrorKind::Read), [`ErrorKind::Damaged`](crate::ErrorKind::Damaged).
    fn history(&self, uid: &str) -> Result<Vec<HistoryEntry>, Error>;

    /// The deliveries of activities of which [`history`](Self::history) may lack versions, because what later versions have
    /// superseded isn't stored any more. All of them, where only the current state is stored.
    ///
    /// # Errors
    /// [`ErrorKind::Read`](crate::ErrorKind::Read), [`ErrorKind::Damaged`](crate::ErrorKind::Damaged).
    fn thinned(&self) -> Result<Vec<DeliveryRecord>, Error> {
        let deliveries = self.deliveries()?;
        Ok(deliveries.into_iter().filter(|record| record.delivery.resource == Resource::Activities).collect())
    }

    /// Proves what is stored against its own records: checksums, counts, one current row for each key.
    ///
    /// # Errors
    /// Only what keeps it from looking; what it finds is in the answer.
    fn verify(&self) -> Result<Vec<Finding>, Error>;

    /// Ends a rebuild: the named jobs have just been loaded anew from the kept raw files, so whatever else holds their rows
    /// (compacted files, say) is no longer needed for them and must not stand in their way.
    ///
    /// # Errors
    /// [`ErrorKind::Read`](crate::ErrorKind::Read), [`ErrorKind::Write`](crate::ErrorKind::Write).
    fn rebuilt(&self, job_ids: &[String], now: Timestamp) -> Result<(), Error>;
}

/// A delivery on its way in.
pub trait Load: Send {
    /// Takes in one fragment. `conversion` is set up for it (its resource, format, origin, file name, cancellation); the
    /// destination chooses the output. The fragment's checksum is asked of `delivered` at its end.
    ///
    /// # Errors
    /// [`ErrorKind::Rows`](crate::ErrorKind::Rows) with the tables' own error as its source when the bytes can't be read or
    /// decoded; [`ErrorKind::Write`](crate::ErrorKind::Write).
    fn fragment(
        &mut self,
        fragment: u32,
        conversion: Conversion,
        delivered: &mut dyn Delivered,
        bad_rows: &mut BadRows,
    ) -> Result<Summary, Error>;

    /// Commits the rows and the delivery's record, both or neither. A repetition is no error and changes nothing.
    ///
    /// # Errors
    /// [`ErrorKind::Write`](crate::ErrorKind::Write); nothing is committed then, or all of it.
    fn commit(self: Box<Self>) -> Result<Committed, Error>;
}

/// What a commit did.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Committed {
    /// The record that stands in the destination now.
    pub record: DeliveryRecord,
    /// Whether it stood there before.
    pub repeated: bool,
}

impl Committed {
    /// A commit of `record`.
    pub fn new(record: DeliveryRecord, repeated: bool) -> Self {
        Self { record, repeated }
    }
}

/// A count of records and their content hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Digest {
    /// How many records.
    pub count: u64,
    /// 32 hexadecimal digits; see [`ContentHash`](backstory_tables::ContentHash).
    pub content_hash: String,
}

/// Something that is not as its record says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Finding {
    /// The file or the table.
    pub what: PathBuf,
    /// The job concerned, where there is one.
    pub job_id: Option<String>,
    /// What is wrong with it, and what to do.
    pub problem: String,
}

impl Finding {
    /// A problem with a file or a table.
    pub fn new(what: impl Into<PathBuf>, problem: impl Into<String>) -> Self {
        Self { what: what.into(), job_id: None, problem: problem.into() }
    }

    /// Names the job concerned.
    #[must_use]
    pub fn of_job(mut self, job_id: impl Into<String>) -> Self {
        self.job_id = Some(job_id.into());
        self
    }
}
