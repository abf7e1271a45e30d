//! How a destination stands: what it holds for sure, and what is under way. Read from the destination and its ledger;
//! nothing is sent, and nothing is changed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use backstory_destination::{DeliveryRecord, Destination};
use backstory_limits::Retention;
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::coverage::{ContactsRefresh, Coverage};
use crate::engine::{Holder, Lock, StatePlace};
use crate::error::Error;
use crate::forecast::is_delivered;
use crate::ledger::{LedgerFacts, LedgerJob, OthersSeen, RunRecord};
use crate::plan::{Attempt, SyncSettings};

/// How a destination stands.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Status {
    /// The destination's URL, without credentials.
    pub destination: String,
    /// When this was asked, by the client's clock.
    pub at: Timestamp,
    /// The last UTC day that is wholly loaded.
    pub watermark: Option<Date>,
    /// What is covered, day by day.
    pub coverage: Coverage,
    /// The rows of each table in its current state.
    pub tables: BTreeMap<String, u64>,
    /// The latest complete refresh of contacts.
    pub contacts: Option<ContactsStatus>,
    /// What has been delivered.
    pub deliveries: Delivered,
    /// Rows that couldn't be decoded.
    pub quarantine: QuarantineStatus,
    /// Who is using it now: a run, or a rebuild.
    pub in_use_by: Option<Holder>,
    /// The latest runs, newest first; empty without a ledger.
    pub runs: Vec<RunRecord>,
    /// Jobs under way at the service, as last noted.
    pub jobs_in_flight: Vec<JobInFlight>,
    /// Jobs that were given up and may still hold a slot, as last noted.
    pub jobs_given_up: Vec<LedgerJob>,
    /// Other programs' jobs, as last seen.
    pub others: Option<OthersSeen>,
}

/// The latest complete refresh of contacts.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct ContactsStatus {
    /// When it was begun.
    pub refreshed_at: Timestamp,
    /// The first day of its range.
    pub from: Date,
    /// The last day of its range.
    pub to: Date,
}

/// What has been delivered in all.
#[derive(Clone, Copy, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct Delivered {
    /// Deliveries.
    pub count: u64,
    /// Their rows, older versions and repetitions included.
    pub rows: u64,
    /// Their bytes as delivered, decompressed.
    pub bytes: u64,
}

/// Rows that couldn't be decoded.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct QuarantineStatus {
    /// How many, in all deliveries.
    pub rows: u64,
    /// Where they are, with their positions and raw bytes.
    pub folder: Option<PathBuf>,
}

/// A job under way.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct JobInFlight {
    /// The job.
    #[serde(flatten)]
    pub job: LedgerJob,
    /// In how many days its file is gone, counted from the job's creation, to be sure (contract (j.11)); negative when it
    /// should be gone already. `None` while the job isn't known to exist.
    pub expires_in_days: Option<f64>,
}

impl Status {
    /// Looks at a destination, as a sync with these settings would see it. The ledger is looked for in `state_dir`, or else
    /// in the destination's own folder.
    ///
    /// # Errors
    /// [`ErrorKind::Destination`](crate::ErrorKind::Destination) and [`ErrorKind::Ledger`](crate::ErrorKind::Ledger) when
    /// they can't be read. A ledger that isn't there is no error.
    pub fn of(
        destination: &dyn Destination,
        state_dir: Option<&Path>,
        settings: &SyncSettings,
        now: Timestamp,
    ) -> Result<Self, Error> {
        let deliveries = destination.deliveries().map_err(Error::from_destination)?;
        let place = StatePlace::new(destination, state_dir).ok();
        let facts = match &place {
            Some(place) => LedgerFacts::read(&place.ledger())?,
            None => None,
        };
        let attempts: Vec<Attempt> = facts.as_ref().map(LedgerFacts::attempts).unwrap_or_default();
        let coverage = Coverage::of(&deliveries, &attempts, settings, now);
        let tables = destination.tables().map_err(Error::from_destination)?;
        let facts = facts.unwrap_or_default();
        let (in_flight, given_up) = facts
            .open_jobs
            .into_iter()
            .filter(|job| !is_delivered(job, &deliveries))
            .partition::<Vec<_>, _>(LedgerJob::is_under_way);
        let retention = settings.limits.file_retention;
        let in_flight = in_flight.into_iter().map(|job| {
            let created = job.job_created_time.or_else(|| job.job_id.as_ref().map(|_| job.intended_at));
            let left = created.map(|created| match retention.at(created, now) {
                Retention::Left(left) => left,
                Retention::ExpiredSince(since) => -since,
            });
            JobInFlight { job, expires_in_days: left.map(days) }
        });
        let in_use_by = place.as_ref().and_then(|place| Lock::holder(place.lock()));
        let folder = place.map(|place| place.quarantine()).filter(|folder| folder.exists());
        Ok(Self {
            destination: destination.name().to_owned(),
            at: now,
            watermark: coverage.watermark(),
            contacts: coverage.contacts().map(ContactsStatus::of),
            coverage,
            tables,
            deliveries: Delivered::of(&deliveries),
            quarantine: QuarantineStatus {
                rows: deliveries.iter().map(DeliveryRecord::bad_rows).sum(),
                folder,
            },
            in_use_by,
            runs: facts.runs,
            jobs_in_flight: in_flight.collect(),
            jobs_given_up: given_up,
            others: facts.others,
        })
    }
}

/// With one decimal.
fn days(duration: SignedDuration) -> f64 {
    (duration.as_secs_f64() / 8_640.0).round() / 10.0
}

impl ContactsStatus {
    fn of(refresh: &ContactsRefresh) -> Self {
        Self { refreshed_at: refresh.begun, from: refresh.range.start(), to: refresh.range.end() }
    }
}

impl Delivered {
    fn of(deliveries: &[DeliveryRecord]) -> Self {
        deliveries.iter().fold(Self::default(), |sum, record| Self {
            count: sum.count + 1,
            rows: sum.rows + record.rows(),
            bytes: sum.bytes + record.bytes(),
        })
    }
}
