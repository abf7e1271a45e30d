//! The bulk export API under `/pull/v1/export/`: contract (c) and (d). Other APIs get a folder of their own beside it.

mod codings;
mod files;
mod jobs;
mod ranges;

use std::sync::Arc;

use http::{Method, Response};

pub(super) use files::{fragment, storage};
pub(super) use jobs::{Asker, submit};

use super::body::Body;
use super::state::State;
use super::wire::Control;
use crate::auth::KeyType;
use crate::faults::{Fault, JobEffect, RouteName};
use crate::jobs::Resource;

/// Days that a file, and a job's place in the list, is kept: contract (b).
const RETENTION_DAYS: i64 = 10;
/// Where every path of this API begins.
const PREFIX: &str = "/pull/v1/export/";

/// A path and method of this API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum BulkRoute {
    Create(Resource),
    List(Resource),
    Status(Resource, String),
    Data(Resource, String),
}

impl BulkRoute {
    pub(super) fn of(method: &Method, path: &str) -> Option<Self> {
        let (resource, rest) = path.strip_prefix(PREFIX)?.split_once('/')?;
        let resource = Resource::read(resource)?;
        let parts: Vec<&str> = rest.split('/').collect();
        match (method, parts.as_slice()) {
            (&Method::POST, ["jobs"]) => Some(Self::Create(resource)),
            (&Method::GET, ["jobs"]) => Some(Self::List(resource)),
            (&Method::GET, ["jobs", id]) if !id.is_empty() => Some(Self::Status(resource, (*id).to_owned())),
            (&Method::GET, ["jobs", id, "data"]) => Some(Self::Data(resource, (*id).to_owned())),
            _ => None,
        }
    }

    /// Whether a path belongs to this API, known or not.
    pub(super) fn is_below(path: &str) -> bool {
        path.starts_with(PREFIX)
    }

    pub(super) fn resource(&self) -> Resource {
        match self {
            Self::Create(resource) | Self::List(resource) => *resource,
            Self::Status(resource, _) | Self::Data(resource, _) => *resource,
        }
    }

    /// The id of the job in the path.
    pub(super) fn job_id(&self) -> Option<&str> {
        match self {
            Self::Create(_) | Self::List(_) => None,
            Self::Status(_, id) | Self::Data(_, id) => Some(id),
        }
    }

    /// The type of key that opens it, contract (a.4).
    pub(super) fn key_type(&self) -> KeyType {
        match self.resource() {
            Resource::Activities => KeyType::Activity,
            Resource::Contacts => KeyType::Object,
        }
    }

    /// What rules of the fault engine call it.
    pub(super) fn rule_name(&self) -> RouteName {
        match self {
            Self::Create(_) => RouteName::Create,
            Self::List(_) => RouteName::List,
            Self::Status(..) => RouteName::Status,
            Self::Data(..) => RouteName::Data,
        }
    }

    /// What the report calls it.
    pub(super) fn report_name(&self) -> &'static str {
        use Resource::{Activities, Contacts};
        match self {
            Self::Create(Activities) => "POST /pull/v1/export/activities/jobs",
            Self::Create(Contacts) => "POST /pull/v1/export/contacts/jobs",
            Self::List(Activities) => "GET /pull/v1/export/activities/jobs",
            Self::List(Contacts) => "GET /pull/v1/export/contacts/jobs",
            Self::Status(Activities, _) => "GET /pull/v1/export/activities/jobs/{id}",
            Self::Status(Contacts, _) => "GET /pull/v1/export/contacts/jobs/{id}",
            Self::Data(Activities, _) => "GET /pull/v1/export/activities/jobs/{id}/data",
            Self::Data(Contacts, _) => "GET /pull/v1/export/contacts/jobs/{id}/data",
        }
    }
}

/// A request that was let through.
pub(super) struct Asked<'a> {
    pub(super) head: &'a http::request::Parts,
    pub(super) body: &'a [u8],
    /// Whose key it is.
    pub(super) key: &'a str,
    pub(super) fate: &'a Fate<'a>,
    pub(super) control: &'a Control,
}

/// What the fault engine makes of a request that is acted on.
pub(super) struct Fate<'a> {
    pub(super) fault: Option<&'a Fault>,
    /// What happens to the job that it creates.
    pub(super) job: Option<JobEffect>,
    /// Whether the reply will be lost on its way.
    pub(super) reply_lost: bool,
}

/// Answers a request that was let through.
pub(super) async fn respond(state: &Arc<State>, route: &BulkRoute, asked: &Asked<'_>) -> Response<Body> {
    match route {
        BulkRoute::Create(resource) => jobs::create(state, *resource, asked).await,
        BulkRoute::List(resource) => jobs::list(state, *resource).await,
        BulkRoute::Status(resource, id) => match jobs::find(state, *resource, id) {
            Ok(job) => {
                state.queue().note_use(job.id, asked.key, |used| used.status_calls += 1);
                jobs::status(state, &job).await
            }
            Err(refused) => *refused,
        },
        BulkRoute::Data(resource, id) => match jobs::find(state, *resource, id) {
            Ok(job) => files::Download::of(state, &job, asked).answer().await,
            Err(refused) => *refused,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_are_told_apart_by_path_and_method() {
        let route = |method: &str, path: &str| BulkRoute::of(&method.parse().unwrap(), path);
        let jobs = "/pull/v1/export/activities/jobs";
        assert_eq!(route("POST", jobs), Some(BulkRoute::Create(Resource::Activities)));
        assert_eq!(route("GET", jobs), Some(BulkRoute::List(Resource::Activities)));
        assert_eq!(route("DELETE", &format!("{jobs}/1")), None);
        let contact = "/pull/v1/export/contacts/jobs/17/data";
        assert_eq!(route("GET", contact), Some(BulkRoute::Data(Resource::Contacts, "17".to_owned())));
        assert_eq!(route("GET", "/pull/v1/export/leads/jobs"), None);
        assert_eq!(route("GET", &format!("{jobs}/")), None);
        assert_eq!(route("GET", "/auth/v1/tokens"), None);
    }
}
