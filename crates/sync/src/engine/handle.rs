//! A job of either resource, behind one face.

use backstory_api::{
    Activities, ActivityType, Client, Contacts, Error, ExportJob, Job, JobId, ResultBytes, WaitPolicy,
};
use backstory_destination::{DeliveryKind, Window};
use backstory_limits::{DateRange, ExportKind};
use backstory_transport::Progress;
use futures_util::stream::{BoxStream, StreamExt as _};

use crate::error::{Error as SyncError, ErrorKind};
use crate::ledger::JobSpec;
use crate::slots::Request;

/// An export job at the service.
#[derive(Clone)]
pub(super) enum Handle {
    Activities(ExportJob<Activities>),
    Contacts(ExportJob<Contacts>),
}

/// A job's parameters, checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Parameters {
    pub(super) range: DateRange,
    /// Nothing for contacts.
    activities: Option<(ExportKind, ActivityType)>,
}

impl Parameters {
    /// Reads a specification, which may come from a ledger that a newer version has written.
    pub(super) fn of(spec: &JobSpec) -> Result<Self, SyncError> {
        let Window { from, to } = spec.window;
        let odd =
            || SyncError::new(ErrorKind::Ledger, format!("{spec} is nothing that this version can ask for"));
        let range = DateRange::new(from, to).map_err(|error| odd().with_source(error))?;
        let kind = match spec.kind {
            DeliveryKind::Snapshot => ExportKind::Snapshot,
            DeliveryKind::Delta => ExportKind::Delta,
            DeliveryKind::Contacts => return Ok(Self { range, activities: None }),
        };
        let activity_type = ActivityType::from_word(&spec.activity_type).ok_or_else(odd)?;
        Ok(Self { range, activities: Some((kind, activity_type)) })
    }

    /// How the job shows in the service's list; contacts don't.
    pub(super) fn listed_as(&self) -> Option<Request> {
        self.activities.map(|(kind, activity_type)| Request::new(self.range, kind, activity_type))
    }
}

impl Handle {
    /// Creates a job. A lost reply is an error, and not looked into.
    pub(super) async fn create(client: &Client, parameters: &Parameters) -> Result<Self, Error> {
        match parameters.activities {
            Some((kind, activity_type)) => {
                let export = client.activities().export(parameters.range);
                export.kind(kind).activity_type(activity_type).start_once().await.map(Self::Activities)
            }
            None => {
                let export = client.contacts().export(parameters.range);
                let everybody = export.include_historical(true).include_existing(true).only_backstory(false);
                everybody.start_now().await.map(Self::Contacts)
            }
        }
    }

    /// A job that exists already.
    pub(super) fn attach(client: &Client, kind: DeliveryKind, id: &str) -> Self {
        let id = JobId::from(id);
        match kind {
            DeliveryKind::Contacts => Self::Contacts(client.contacts().job(id)),
            DeliveryKind::Snapshot | DeliveryKind::Delta => Self::Activities(client.activities().job(id)),
        }
    }

    pub(super) fn id(&self) -> &JobId {
        match self {
            Self::Activities(job) => job.id(),
            Self::Contacts(job) => job.id(),
        }
    }

    /// What the service said when the job was created.
    pub(super) fn described(&self) -> Option<&Job> {
        match self {
            Self::Activities(job) => job.described(),
            Self::Contacts(job) => job.described(),
        }
    }

    pub(super) async fn poll(&self) -> Result<Job, Error> {
        match self {
            Self::Activities(job) => job.poll().await,
            Self::Contacts(job) => job.poll().await,
        }
    }

    /// Every answer about the job, as it is waited for.
    pub(super) fn states(&self, policy: WaitPolicy) -> BoxStream<'static, Result<Job, Error>> {
        match self.clone() {
            Self::Activities(job) => job.into_stream(policy).boxed(),
            Self::Contacts(job) => job.into_stream(policy).boxed(),
        }
    }

    /// The bytes of the result of the job, which was last described as `done`.
    pub(super) fn bytes(
        &self,
        done: &Job,
        show: impl Fn(Progress) + Send + Sync + 'static,
    ) -> Result<ResultBytes, Error> {
        match self {
            Self::Activities(job) => job.result_of(done).on_progress(show).bytes(),
            Self::Contacts(job) => job.result_of(done).on_progress(show).bytes(),
        }
    }
}
