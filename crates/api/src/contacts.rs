//! The facade of contacts: export a range, attach to a job. Contacts jobs can't be listed (contract (j.6)).

use std::time::Duration;

use backstory_limits::DateRange;

use crate::client::Client;
use crate::create::{LostReply, create, create_when_there_is_room};
use crate::error::{Error, ErrorKind};
use crate::generated::{ContactsExportRequest, ContactsFormat};
use crate::job::ExportJob;
use crate::resource::Contacts;
use crate::wait::WaitPolicy;
use crate::wire::JobId;

/// Enriched contacts. Made by [`Client::contacts`].
#[derive(Clone, Debug)]
pub struct ContactsApi {
    client: Client,
}

impl ContactsApi {
    pub(crate) fn new(client: Client) -> Self {
        Self { client }
    }

    /// Begins an export of the contacts of `range`, as CSV unless said otherwise. Which date of a contact the range
    /// selects on is not known (contract (d.1)).
    pub fn export(&self, range: DateRange) -> ContactsExport {
        ContactsExport {
            client: self.client.clone(),
            request: ContactsExportRequest {
                start_date: range.start(),
                end_date: range.end(),
                include_historical: false,
                include_existing: false,
                is_sourced_by_people_ai: false,
                output_format: ContactsFormat::Csv,
                country: None,
                state: None,
            },
            range,
        }
    }

    /// A handle on a job that exists already, whoever created it. Sends nothing.
    pub fn job(&self, id: impl Into<JobId>) -> ExportJob<Contacts> {
        ExportJob::attached(self.client.clone(), id.into())
    }
}

/// An export of contacts that has not been started. Made by [`ContactsApi::export`].
///
/// What the API doesn't take can't be written down:
///
/// ```
/// # use backstory_api::{Client, ContactsExport, ContactsFormat};
/// # use backstory_limits::DateRange;
/// fn of_one_country(client: &Client, range: DateRange) -> ContactsExport {
///     client.contacts().export(range).country("Iceland").include_existing(true).format(ContactsFormat::Json)
/// }
/// ```
///
/// Contacts have neither snapshots and deltas nor types (contract (d.1)).
///
/// ```compile_fail,E0599
/// # use backstory_api::{Client, ContactsExport};
/// # use backstory_limits::{DateRange, ExportKind};
/// fn of_one_kind(client: &Client, range: DateRange) -> ContactsExport {
///     client.contacts().export(range).kind(ExportKind::Delta)
/// }
/// ```
///
/// They come as CSV or JSON, by name; a word that the API may not know is no format.
///
/// ```compile_fail,E0308
/// # use backstory_api::{Client, ContactsExport};
/// # use backstory_limits::DateRange;
/// fn as_lines(client: &Client, range: DateRange) -> ContactsExport {
///     client.contacts().export(range).format("JSONLines")
/// }
/// ```
///
/// Their jobs can't be listed (contract (j.6)).
///
/// ```compile_fail,E0599
/// # use backstory_api::{Client, Error, Job};
/// async fn listed(client: &Client) -> Result<Vec<Job>, Error> {
///     client.contacts().list().await
/// }
/// ```
#[derive(Clone, Debug)]
#[must_use = "an export does nothing until it is started"]
pub struct ContactsExport {
    client: Client,
    request: ContactsExportRequest,
    range: DateRange,
}

impl ContactsExport {
    /// Whether to add contacts that match no account or opportunity.
    pub fn include_historical(mut self, include: bool) -> Self {
        self.request.include_historical = include;
        self
    }

    /// Whether to add contacts that exist in the CRM already.
    pub fn include_existing(mut self, include: bool) -> Self {
        self.request.include_existing = include;
        self
    }

    /// Whether to leave out all but the contacts that Backstory created, and candidates that it generated
    /// (`is_sourced_by_people_ai`).
    pub fn only_backstory(mut self, only: bool) -> Self {
        self.request.is_sourced_by_people_ai = only;
        self
    }

    /// Only contacts of this country; its full name, such as `United States`.
    pub fn country(mut self, country: impl Into<String>) -> Self {
        self.request.country = Some(country.into());
        self
    }

    /// Only contacts of this state; its full name, such as `New York`.
    pub fn state(mut self, state: impl Into<String>) -> Self {
        self.request.state = Some(state.into());
        self
    }

    /// The form in which the service writes the result.
    pub fn format(mut self, format: ContactsFormat) -> Self {
        self.request.output_format = format;
        self
    }

    /// Creates the job. While the queue is full, waits for up to an hour.
    ///
    /// # Errors
    /// [`ErrorKind::UseLimit`] when the range is too wide, before anything is sent; [`ErrorKind::OutcomeUnknown`] when the
    /// reply is lost, since contacts jobs can't be listed; [`ErrorKind::QueueFull`], [`ErrorKind::EchoMismatch`], and the
    /// errors of any call.
    pub async fn start(self) -> Result<ExportJob<Contacts>, Error> {
        let patience = WaitPolicy::default().with_deadline(Some(Duration::from_secs(3_600)));
        self.start_with(&patience).await
    }

    /// As [`start`](Self::start), with another patience towards a full queue.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn start_with(self, patience: &WaitPolicy) -> Result<ExportJob<Contacts>, Error> {
        self.check()?;
        create_when_there_is_room(&self.client, &self.request, patience).await
    }

    /// As [`start`](Self::start), but a full queue is an error at once.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn start_now(self) -> Result<ExportJob<Contacts>, Error> {
        self.check()?;
        create(&self.client, &self.request, LostReply::Settled).await
    }

    fn check(&self) -> Result<(), Error> {
        self.client.limits().contacts_range.check(self.range).map_err(|error| {
            let operation = "create an export job for contacts";
            Error::new(ErrorKind::UseLimit, operation, "the range is too wide for one job").with_source(error)
        })
    }
}
