//! The requests that a run may send, each with what it is for: what a dry run lists, and what the run is recorded by.

use std::fmt;

use serde::Serialize;

/// What a job exports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Resource {
    Activities,
    Contacts,
}

impl Resource {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Activities => "activities",
            Self::Contacts => "contacts",
        }
    }
}

/// One request, by its purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Step {
    Token(Resource),
    TokenAgain,
    TokenRefused,
    TokenV3,
    List,
    /// The list once more: behind other jobs, behind our own, or after a creation whose reply was lost.
    ListAgain,
    ListByOtherKey,
    ListByV3Token,
    ListContacts,
    Create(Resource),
    StatusAtOnce(Resource),
    Poll(Resource),
    DataEarly(Resource),
    Whole(Resource),
    Compressed,
    Range,
    /// A fragment by its number.
    Fragment(Resource, u32),
    MalformedId,
    ListedFailed,
    ListedEmpty,
    ListedJson,
    ExpiredStatus,
    ExpiredData,
}

/// A request that a run may send, as a dry run shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PlannedRequest {
    /// The method and the path below the base URL.
    pub request: String,
    /// How often it is sent at most; the budget of the whole run is smaller than the sum.
    pub at_most: u32,
    /// When it is sent, where that isn't always.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub when: Option<&'static str>,
    /// What it is asked for.
    pub purpose: &'static str,
    /// The rows of contract (j) that it bears on, and (a.3).
    pub rows: &'static [&'static str],
    /// Whether it creates an export job.
    pub creates_a_job: bool,
}

impl fmt::Display for PlannedRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.request, self.purpose)?;
        self.when.map_or(Ok(()), |when| write!(f, " ({when})"))
    }
}

/// What decides which requests a run may send.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Choice {
    pub(crate) activities: bool,
    pub(crate) contacts: bool,
    /// Two different keys, so that one can be tried on the other's resource.
    pub(crate) other_key: bool,
    pub(crate) refused_token: bool,
    pub(crate) expired_job: bool,
}

/// All requests that a run may send, in their order.
pub(crate) fn plan(choice: Choice) -> Vec<PlannedRequest> {
    let mut plan = Vec::new();
    let mut add = |wanted: bool, step: Step, at_most, when| {
        if wanted {
            plan.push(planned(step, at_most, when));
        }
    };
    let Choice { activities, contacts, other_key, refused_token, expired_job } = choice;
    let own_contacts_token = contacts && (other_key || !activities);
    add(activities, Step::Token(Resource::Activities), 2, None);
    add(own_contacts_token, Step::Token(Resource::Contacts), 2, None);
    add(true, Step::TokenAgain, 1, None);
    add(refused_token, Step::TokenRefused, 1, Some("because it was asked for"));
    add(activities, Step::List, 2, None);
    add(activities && other_key, Step::ListByOtherKey, 1, None);
    add(contacts, Step::ListContacts, 1, None);
    add(
        activities,
        Step::ListAgain,
        4,
        Some("while other jobs are queued or all places are taken, and before the second job"),
    );
    for (wanted, resource) in [(activities, Resource::Activities), (contacts, Resource::Contacts)] {
        add(wanted, Step::Create(resource), 1, Some("once no other job waits in the queue"));
        add(wanted, Step::StatusAtOnce(resource), 1, None);
        add(wanted, Step::DataEarly(resource), 1, Some("if the job is still queued or running"));
        add(
            wanted,
            Step::Poll(resource),
            6,
            Some("until the job has ended, each pause longer than the one before"),
        );
        add(wanted, Step::Whole(resource), 2, Some("once the job has completed; twice if it is cut"));
        let first = resource == Resource::Activities || !activities;
        add(wanted && first, Step::Compressed, 1, None);
        add(wanted && first, Step::Range, 1, None);
        add(wanted, Step::Fragment(resource, 0), 3, Some("for one of the jobs, the one with more fragments"));
    }
    add(expired_job, Step::ExpiredStatus, 1, Some("of the job that was named"));
    add(expired_job, Step::ExpiredData, 1, Some("of the job that was named"));
    add(true, Step::TokenV3, 1, Some("as far as the budget reaches"));
    add(true, Step::ListByV3Token, 1, Some("if the other endpoint gives a token"));
    add(activities, Step::ListedEmpty, 1, Some("if the list has a completed job without results"));
    add(activities, Step::ListedFailed, 1, Some("if the list has a job that failed or was canceled"));
    add(
        activities || contacts,
        Step::ListedJson,
        1,
        Some("if a list has a completed job in the JSON format"),
    );
    add(activities, Step::MalformedId, 1, Some("as far as the budget reaches"));
    plan
}

fn planned(step: Step, at_most: u32, when: Option<&'static str>) -> PlannedRequest {
    let creates_a_job = matches!(step, Step::Create(_));
    PlannedRequest {
        request: step.request(),
        at_most,
        when,
        purpose: step.purpose(),
        rows: step.rows(),
        creates_a_job,
    }
}

impl Step {
    /// The method and path, with placeholders for what is known only later.
    pub(crate) fn request(self) -> String {
        let jobs = |resource: Resource| format!("/pull/v1/export/{}/jobs", resource.as_str());
        match self {
            Self::Token(_) | Self::TokenAgain | Self::TokenRefused => "POST /auth/v1/tokens".to_owned(),
            Self::TokenV3 => "POST /v3/auth/tokens".to_owned(),
            Self::List | Self::ListAgain | Self::ListByOtherKey | Self::ListByV3Token => {
                format!("GET {}", jobs(Resource::Activities))
            }
            Self::ListContacts => format!("GET {}", jobs(Resource::Contacts)),
            Self::Create(resource) => format!("POST {}", jobs(resource)),
            Self::StatusAtOnce(resource) | Self::Poll(resource) => format!("GET {}/{{job}}", jobs(resource)),
            Self::DataEarly(resource) | Self::Whole(resource) => {
                format!("GET {}/{{job}}/data", jobs(resource))
            }
            Self::Fragment(resource, _) => format!("GET {}/{{job}}/data?fragment={{n}}", jobs(resource)),
            Self::Compressed
            | Self::Range
            | Self::ListedFailed
            | Self::ListedEmpty
            | Self::ListedJson
            | Self::ExpiredData => {
                format!("GET {}/{{job}}/data", jobs(Resource::Activities))
            }
            Self::ExpiredStatus => format!("GET {}/{{job}}", jobs(Resource::Activities)),
            Self::MalformedId => format!("GET {}/not-a-job-id", jobs(Resource::Activities)),
        }
    }

    fn purpose(self) -> &'static str {
        match self {
            Self::Token(_) => "a token; the life that it is given",
            Self::TokenAgain => "whether asking again gives another token, and the first one lives on",
            Self::TokenRefused => "how a key that doesn't exist is refused",
            Self::TokenV3 => "a token of the other endpoint, for the next question",
            Self::List => "the jobs of the last ten days: whether there is room, and what they tell",
            Self::ListAgain => "whether there is room now; the order of the list",
            Self::ListByOtherKey => "how a key of another type is refused",
            Self::ListByV3Token => "whether a token of the other endpoint is accepted",
            Self::ListContacts => "whether contacts jobs can be listed",
            Self::Create(_) => "an export job for one day",
            Self::StatusAtOnce(_) => "whether a job is visible right after its creation; the type of its id",
            Self::Poll(_) => "how the job is coming along",
            Self::DataEarly(_) => "how a result is refused before the job has completed",
            Self::Whole(_) => {
                "the result: its headers, its size, the order of its records; what is in it is not kept"
            }
            Self::Compressed => "whether results come compressed",
            Self::Range => "whether a part of a result can be had by its bytes; a few bytes",
            Self::Fragment(..) => "how fragments are numbered, and whether together they are the whole",
            Self::MalformedId => "how an id that can't be one is refused",
            Self::ListedFailed => "how the result of a job that failed is refused",
            Self::ListedEmpty => "what an empty result looks like",
            Self::ListedJson => "the container of the JSON format; its first bytes",
            Self::ExpiredStatus => "whether a job is still shown after its file has expired",
            Self::ExpiredData => "how a file past its retention is refused",
        }
    }

    fn rows(self) -> &'static [&'static str] {
        match self {
            Self::Token(_) => &["a.3"],
            Self::TokenAgain => &["a.3"],
            Self::TokenRefused => &["j.31"],
            Self::TokenV3 | Self::ListByV3Token => &["j.32"],
            Self::List => &["j.2", "j.3", "j.7", "j.26", "j.36", "j.39"],
            Self::ListAgain => &["j.1", "j.7"],
            Self::ListByOtherKey => &["j.29"],
            Self::ListContacts => &["j.4", "j.6"],
            Self::Create(_) => &["j.1", "j.36"],
            Self::StatusAtOnce(_) => &["j.33", "j.36"],
            Self::Poll(_) => &["j.14", "j.16", "j.33", "j.35"],
            Self::DataEarly(_) => &["j.9"],
            Self::Whole(Resource::Activities) => {
                &["j.16", "j.20", "j.21", "j.22", "j.24", "j.37", "j.41", "j.42", "j.43", "j.44"]
            }
            Self::Whole(Resource::Contacts) => &["j.16", "j.20", "j.21", "j.22", "j.23", "j.38"],
            Self::Compressed => &["j.18"],
            Self::Range => &["j.19"],
            Self::Fragment(..) => &["j.13", "j.14", "j.15"],
            Self::MalformedId => &["j.36"],
            Self::ListedFailed => &["j.10", "j.12"],
            Self::ListedEmpty => &["j.17"],
            Self::ListedJson => &["j.23"],
            Self::ExpiredStatus | Self::ExpiredData => &["j.11"],
        }
    }
}
