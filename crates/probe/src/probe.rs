//! How a run is set up: [`Probe`].

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use backstory_api::{BaseUrl, ContactsFormat};
use backstory_auth::CredentialsSource;
use backstory_transport::{Backoff, FullJitter, HttpService};
use jiff::Timestamp;
use jiff::civil::Date;

use crate::budget::MOST_REQUESTS;
use crate::error::Error;
use crate::report::Report;
use crate::run;
use crate::step::{Choice, PlannedRequest, plan};

/// Asks a service what its documentation leaves open. See the [crate's own page](crate).
#[must_use = "a probe asks nothing until `run` is awaited"]
pub struct Probe {
    pub(crate) base: BaseUrl,
    pub(crate) adapter: Arc<dyn HttpService>,
    pub(crate) now: Timestamp,
    pub(crate) activities: Option<Arc<dyn CredentialsSource>>,
    pub(crate) contacts: Option<Arc<dyn CredentialsSource>>,
    pub(crate) day: Option<Date>,
    pub(crate) contacts_format: ContactsFormat,
    pub(crate) expired_job: Option<String>,
    pub(crate) refused_token: bool,
    pub(crate) requests: u32,
    pub(crate) requests_per_second: u32,
    pub(crate) first_poll: Duration,
    pub(crate) deadline: Duration,
    pub(crate) backoff: Arc<dyn Backoff>,
}

impl Probe {
    /// A probe of the service at `base`, by way of `adapter`.
    ///
    /// The adapter must hand redirects up instead of following them (`ReqwestServiceBuilder::follow_redirects(false)`), or
    /// they are not seen, and not counted. `now` is the client's time, for a service that doesn't tell its own.
    pub fn new(base: BaseUrl, adapter: impl HttpService + 'static, now: Timestamp) -> Self {
        Self {
            base,
            adapter: Arc::new(adapter),
            now,
            activities: None,
            contacts: None,
            day: None,
            contacts_format: ContactsFormat::Csv,
            expired_job: None,
            refused_token: false,
            requests: MOST_REQUESTS,
            requests_per_second: 5,
            first_poll: Duration::from_secs(5),
            deadline: Duration::from_secs(30 * 60),
            backoff: Arc::new(FullJitter::default()),
        }
    }

    /// The key for activities (type Activity, contract (a.4)).
    pub fn activities_key(mut self, key: impl CredentialsSource + 'static) -> Self {
        self.activities = Some(Arc::new(key));
        self
    }

    /// The key for contacts (type Object). One with the same id as that for activities is taken for the same key.
    pub fn contacts_key(mut self, key: impl CredentialsSource + 'static) -> Self {
        self.contacts = Some(Arc::new(key));
        self
    }

    /// The one day that both jobs ask for; unless said, the latest weekday that lies at least three days back, so that
    /// records of it have been processed again since.
    pub fn day(mut self, day: Date) -> Self {
        self.day = Some(day);
        self
    }

    /// The format of the contacts job: CSV unless said, which tells about CSV (contract (j.15), (j.38)); JSON tells about
    /// the container of JSON instead (contract (j.23)).
    pub fn contacts_format(mut self, format: ContactsFormat) -> Self {
        self.contacts_format = format;
        self
    }

    /// A completed activities job of more than ten days ago, to see how an expired file is refused (contract (j.11)).
    pub fn expired_job(mut self, id: impl Into<String>) -> Self {
        self.expired_job = Some(id.into());
        self
    }

    /// Whether a token is also asked for with a key that doesn't exist, to see what a refusal looks like (contract
    /// (j.31)). Off unless said: somebody may watch for such attempts. A real key is never used with a wrong secret.
    pub fn refused_token(mut self, ask: bool) -> Self {
        self.refused_token = ask;
        self
    }

    /// Sends no more than this many requests; never more than [`MOST_REQUESTS`].
    pub fn requests(mut self, most: u32) -> Self {
        self.requests = most.min(MOST_REQUESTS);
        self
    }

    /// How many requests may begin within a second: 5 unless said (contract (b)).
    pub fn requests_per_second(mut self, requests: u32) -> Self {
        self.requests_per_second = requests;
        self
    }

    /// How long after its creation a job is first polled, and a busy queue looked at again: 5 s unless said. The pauses
    /// grow.
    pub fn first_poll(mut self, pause: Duration) -> Self {
        self.first_poll = pause;
        self
    }

    /// For how long the whole run may wait: 30 minutes unless said.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// How long to pause before a request that failed in passing is sent once more.
    pub fn backoff(mut self, backoff: impl Backoff + 'static) -> Self {
        self.backoff = Arc::new(backoff);
        self
    }

    /// The requests that a run may send, in their order. Their sum is larger than the budget: what comes last is left out
    /// when little is left.
    pub fn plan(&self) -> Vec<PlannedRequest> {
        plan(Choice {
            activities: self.activities.is_some(),
            contacts: self.contacts.is_some(),
            other_key: self.has_other_key(),
            refused_token: self.refused_token,
            expired_job: self.expired_job.is_some() && self.activities.is_some(),
        })
    }

    /// Whether contacts have another key than activities.
    pub(crate) fn has_other_key(&self) -> bool {
        match (&self.activities, &self.contacts) {
            (Some(activities), Some(contacts)) => activities.client_id() != contacts.client_id(),
            _ => false,
        }
    }

    /// Asks, and reports what was seen. Once a token was had, a run always ends with a report, which says what it could
    /// not tell and why.
    ///
    /// # Errors
    /// [`Setup`](crate::ErrorKind::Setup) without a key; [`Authentication`](crate::ErrorKind::Authentication) or
    /// [`Unavailable`](crate::ErrorKind::Unavailable) when no key gets a token.
    pub async fn run(self) -> Result<Report, Error> {
        run::run(self).await
    }
}

impl fmt::Debug for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Probe")
            .field("base", &self.base.as_str())
            .field("day", &self.day)
            .finish_non_exhaustive()
    }
}
