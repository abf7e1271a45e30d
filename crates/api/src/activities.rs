//! The facade of activities: export a range, attach to a job, list the jobs.

use backstory_limits::{DateRange, ExportKind};

use crate::client::Client;
use crate::create::{LostReply, create, create_when_there_is_room};
use crate::error::{Error, ErrorKind};
use crate::generated::{ActivitiesExportRequest, ActivitiesFormat, ActivityType, Job};
use crate::job::ExportJob;
use crate::resource::Activities;
use crate::wait::WaitPolicy;
use crate::wire::JobId;

/// Emails, meetings and calls. Made by [`Client::activities`].
#[derive(Clone, Debug)]
pub struct ActivitiesApi {
    client: Client,
}

impl ActivitiesApi {
    pub(crate) fn new(client: Client) -> Self {
        Self { client }
    }

    /// Begins an export of the activities of `range`: a snapshot of all types, unless said otherwise.
    pub fn export(&self, range: DateRange) -> ActivitiesExport {
        ActivitiesExport {
            client: self.client.clone(),
            request: ActivitiesExportRequest {
                start_date: range.start(),
                end_date: range.end(),
                activity_type: ActivityType::All,
                output_format: ActivitiesFormat::JsonLines,
                export_type: ExportKind::Snapshot,
            },
            range,
        }
    }

    /// A handle on a job that exists already, whoever created it. Sends nothing.
    pub fn job(&self, id: impl Into<JobId>) -> ExportJob<Activities> {
        ExportJob::attached(self.client.clone(), id.into())
    }

    /// The jobs of the last ten days, the organisation's other programs' included, newest first (contract (c), (j.7)).
    ///
    /// # Errors
    /// The errors of any call.
    pub async fn list(&self) -> Result<Vec<Job>, Error> {
        self.client.list::<Activities>().await
    }
}

/// An export of activities that has not been started. Made by [`ActivitiesApi::export`].
///
/// What the API doesn't take can't be written down:
///
/// ```
/// # use backstory_api::{ActivitiesExport, ActivityType, Client};
/// # use backstory_limits::{DateRange, ExportKind};
/// fn emails(client: &Client, range: DateRange) -> ActivitiesExport {
///     client.activities().export(range).kind(ExportKind::Delta).activity_type(ActivityType::Email)
/// }
/// ```
///
/// A range is required (and one that runs backwards can't be built).
///
/// ```compile_fail,E0061
/// # use backstory_api::{ActivitiesExport, Client};
/// fn all(client: &Client) -> ActivitiesExport {
///     client.activities().export()
/// }
/// ```
///
/// Activities come as lines of JSON and in no other form (contract (c.1)).
///
/// ```compile_fail,E0599
/// # use backstory_api::{ActivitiesExport, Client, ContactsFormat};
/// # use backstory_limits::DateRange;
/// fn as_csv(client: &Client, range: DateRange) -> ActivitiesExport {
///     client.activities().export(range).format(ContactsFormat::Csv)
/// }
/// ```
///
/// A job of one resource is no job of the other.
///
/// ```compile_fail,E0308
/// # use backstory_api::{Activities, Client, ExportJob};
/// fn attached(client: &Client) -> ExportJob<Activities> {
///     client.contacts().job("100042")
/// }
/// ```
#[derive(Clone, Debug)]
#[must_use = "an export does nothing until it is started"]
pub struct ActivitiesExport {
    client: Client,
    request: ActivitiesExportRequest,
    range: DateRange,
}

impl ActivitiesExport {
    /// What the range selects on: the activities' own dates, or when they were processed.
    pub fn kind(mut self, kind: ExportKind) -> Self {
        self.request.export_type = kind;
        self
    }

    /// Which activities.
    pub fn activity_type(mut self, activity_type: ActivityType) -> Self {
        self.request.activity_type = activity_type;
        self
    }

    /// Creates the job. While the queue is full, waits for up to an hour.
    ///
    /// A reply that is lost on the way is settled by the service's list of jobs, so that no job is created twice.
    ///
    /// # Errors
    /// [`ErrorKind::UseLimit`] when the range is too wide, before anything is sent; [`ErrorKind::QueueFull`],
    /// [`ErrorKind::EchoMismatch`], [`ErrorKind::OutcomeUnknown`], and the errors of any call.
    pub async fn start(self) -> Result<ExportJob<Activities>, Error> {
        let patience = WaitPolicy::default().with_deadline(Some(std::time::Duration::from_secs(3_600)));
        self.start_with(&patience).await
    }

    /// As [`start`](Self::start), with another patience towards a full queue.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn start_with(self, patience: &WaitPolicy) -> Result<ExportJob<Activities>, Error> {
        self.check()?;
        create_when_there_is_room(&self.client, &self.request, patience).await
    }

    /// As [`start`](Self::start), but a full queue is an error at once.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn start_now(self) -> Result<ExportJob<Activities>, Error> {
        self.check()?;
        create(&self.client, &self.request, LostReply::Settled).await
    }

    /// As [`start_now`](Self::start_now), but a lost reply is told at once, for a caller that keeps a record of its own of
    /// what it has asked for and settles the outcome itself, by the service's list.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn start_once(self) -> Result<ExportJob<Activities>, Error> {
        self.check()?;
        create(&self.client, &self.request, LostReply::Told).await
    }

    fn check(&self) -> Result<(), Error> {
        let limit = self.client.limits().range_limit(self.request.export_type);
        limit.check(self.range).map_err(|error| {
            let operation = "create an export job for activities";
            Error::new(ErrorKind::UseLimit, operation, "the range is too wide for one job").with_source(error)
        })
    }
}
