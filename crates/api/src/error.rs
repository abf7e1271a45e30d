//! The crate's one error type: which operation failed, on which job, why, and what to do next.

use std::error::Error as StdError;
use std::fmt;

use backstory_auth::ErrorKind as AuthKind;
use backstory_transport::{ErrorKind as TransportKind, Refusal};
use http::StatusCode;

use crate::generated::Job;
use crate::wire::JobId;

/// Why an operation of the client failed.
///
/// The type is opaque so that it can grow: branch on [`Error::kind`] and the predicates. `Display` says what was tried,
/// on which job and why it failed; [`Error::hint`] says what a person should do next; the cause is in
/// [`source`](StdError::source).
#[derive(thiserror::Error)]
#[error(transparent)]
pub struct Error(Box<Inner>);

#[derive(Debug, thiserror::Error)]
#[error("can't {operation}{}: {message}", in_brackets(.job_id.as_ref()))]
struct Inner {
    kind: ErrorKind,
    operation: String,
    job_id: Option<JobId>,
    message: String,
    job: Option<Box<Job>>,
    refusal: Option<Box<Refusal>>,
    request_id: Option<String>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// What it means for a call that no token could be had for it: only a refusal is the key's fault.
fn without_token(error: &backstory_auth::Error) -> ErrorKind {
    match error.kind() {
        AuthKind::Setup => ErrorKind::Setup,
        AuthKind::BadReply => ErrorKind::BadReply,
        AuthKind::Unreachable | AuthKind::Unavailable | AuthKind::NoRuntime => ErrorKind::Unavailable,
        _ if error.is_transient() => ErrorKind::Unavailable,
        _ => ErrorKind::Unauthorized,
    }
}

fn in_brackets(job_id: Option<&JobId>) -> String {
    job_id.map_or_else(String::new, |id| format!(" (job {id})"))
}

/// The classes of [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The client can't be set up: a malformed base URL, no credentials.
    Setup,
    /// The range is wider than one job may ask for. Nothing was sent.
    UseLimit,
    /// The key is refused, or its secret can't be read, or the service refuses its token (401).
    Unauthorized,
    /// The key may not do this (403): most likely it is of another API type (contract (a.4), (j.29)).
    Forbidden,
    /// The request was refused as malformed (400, 422).
    BadRequest,
    /// The job queue is full (contract (j.1)). Nothing was created; wait for a job to end.
    QueueFull,
    /// There is no such job (404).
    JobNotFound,
    /// The service doesn't know the call at all: a 404 on an address that names no job (contract (b)). The base URL may be
    /// wrong, or the key of another API type (contract (j.29)).
    Unsupported,
    /// The job was created moments ago and is not visible yet (contract (j.33)).
    NotVisibleYet,
    /// The job ended as `Failed`.
    JobFailed,
    /// The job ended as `Canceled`.
    JobCanceled,
    /// The job has not ended within the time that the caller allows. It goes on; attach to it again by its id.
    DeadlinePassed,
    /// The service created a job for something else than what was asked.
    EchoMismatch,
    /// It is not known whether the job was created, and the job list can't tell.
    OutcomeUnknown,
    /// The result was asked for before the job had completed.
    NotCompleted,
    /// The result file is gone: the service keeps it for 10 days (contract (j.11)).
    Expired,
    /// The service has no result for a job whose file should still be there.
    ResultMissing,
    /// The service's reply can't be understood.
    BadReply,
    /// A row of the result can't be decoded.
    BadRow,
    /// The service, or the network before it, doesn't answer properly: a 429, a 5xx, a broken connection. Another attempt may help.
    Unavailable,
    /// The place that a result is written to failed.
    Destination,
    /// The download arrived, but not whole or not as announced, in every attempt.
    BadDownload,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, operation: impl Into<String>, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            operation: operation.into(),
            job_id: None,
            message: message.into(),
            job: None,
            refusal: None,
            request_id: None,
            source: None,
        }))
    }

    /// The id that the service gave a request whose reply can't be used, though its status was a good one.
    pub(crate) fn with_request_id(mut self, id: Option<String>) -> Self {
        self.0.request_id = id;
        self
    }

    pub(crate) fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    pub(crate) fn with_job_id(mut self, id: &JobId) -> Self {
        self.0.job_id = Some(id.clone());
        self
    }

    pub(crate) fn with_job(mut self, job: Job) -> Self {
        self.0.job_id = Some(job.job_id.clone());
        self.0.job = Some(Box::new(job));
        self
    }

    /// What a failed exchange means.
    pub(crate) fn from_transport(operation: impl Into<String>, error: backstory_transport::Error) -> Self {
        let operation = operation.into();
        if let Some(refusal) = error.refusal() {
            return Self::from_refusal(operation, refusal.clone());
        }
        if let Some(auth) = backstory_auth::Error::find(&error) {
            let for_now = if auth.is_transient() { " for now" } else { "" };
            let message = format!("no token could be had{for_now}");
            return Self::new(without_token(auth), operation, message).with_source(error);
        }
        let (kind, message) = match error.kind() {
            TransportKind::Setup => (ErrorKind::Setup, "the request can't be sent"),
            TransportKind::Destination => (ErrorKind::Destination, "what arrived can't be written"),
            TransportKind::BodyTooLong | TransportKind::BodyCorrupt => {
                (ErrorKind::BadDownload, "what arrived isn't what was announced")
            }
            TransportKind::BodyCut | TransportKind::BodyStalled => {
                (ErrorKind::BadDownload, "the reply didn't arrive whole")
            }
            _ => (ErrorKind::Unavailable, "the service can't be reached"),
        };
        Self::new(kind, operation, message).with_source(error)
    }

    /// What a reply with an error status means, as far as the status alone tells (contract (h.2)).
    pub(crate) fn from_refusal(operation: impl Into<String>, refusal: Refusal) -> Self {
        let kind = match refusal.status {
            StatusCode::UNAUTHORIZED => ErrorKind::Unauthorized,
            StatusCode::FORBIDDEN => ErrorKind::Forbidden,
            StatusCode::NOT_FOUND | StatusCode::GONE => ErrorKind::JobNotFound,
            status if refusal.is_transient() || status.is_server_error() => ErrorKind::Unavailable,
            status if status.is_client_error() => ErrorKind::BadRequest,
            _ => ErrorKind::BadReply,
        };
        let tries = match refusal.attempts {
            0 | 1 => String::new(),
            attempts => format!(", after {attempts} attempts"),
        };
        let mut error = Self::new(kind, operation, format!("the service answered {refusal}{tries}"));
        error.0.refusal = Some(Box::new(refusal));
        error
    }

    pub(crate) fn with_kind(mut self, kind: ErrorKind) -> Self {
        self.0.kind = kind;
        self
    }

    /// What it means where the address names no job: a 404 can't be about a missing one then.
    pub(crate) fn about_no_job(self) -> Self {
        match self.kind() {
            ErrorKind::JobNotFound => self.with_kind(ErrorKind::Unsupported),
            _ => self,
        }
    }

    /// Which class of failure this is.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// What was being done, such as `create an export job for activities`.
    pub fn operation(&self) -> &str {
        &self.0.operation
    }

    /// The job that it was done on, where there is one: attach to it again by this id.
    pub fn job_id(&self) -> Option<&JobId> {
        self.0.job_id.as_ref()
    }

    /// The job as the service described it last, when it ended badly. No reason for a failure is documented
    /// (contract (j.12)), so look at [`Job::unknown`] too.
    pub fn job(&self) -> Option<&Job> {
        self.0.job.as_deref()
    }

    /// The reply with an error status, where that is what failed.
    pub fn refusal(&self) -> Option<&Refusal> {
        self.0.refusal.as_deref()
    }

    /// The id that the service gave the request (contract (j.39)), for a talk with its support.
    pub fn request_id(&self) -> Option<&str> {
        let refused = self.0.refusal.as_ref().and_then(|refusal| refusal.request_id.as_deref());
        refused.or(self.0.request_id.as_deref())
    }

    /// How often the request was tried; at least 1.
    pub fn attempts(&self) -> u32 {
        if let Some(refusal) = &self.0.refusal {
            return refusal.attempts;
        }
        let mut cause = self.source();
        while let Some(error) = cause {
            if let Some(error) = error.downcast_ref::<backstory_transport::Error>() {
                return error.attempts();
            }
            cause = error.source();
        }
        1
    }

    /// Whether the same operation may succeed later, without any change.
    ///
    /// *Troubleshooting:* the transport has repeated what may be repeated already. Wait, and run it again; a job that
    /// was created goes on meanwhile.
    pub fn is_retryable(&self) -> bool {
        matches!(
            self.0.kind,
            ErrorKind::Unavailable | ErrorKind::QueueFull | ErrorKind::NotVisibleYet | ErrorKind::BadDownload
        )
    }

    /// Whether the credentials are the problem.
    ///
    /// *Troubleshooting:* run `backstory auth check`; each key pair is bound to one API type (contract (a.4)).
    pub fn is_authentication(&self) -> bool {
        matches!(self.0.kind, ErrorKind::Unauthorized | ErrorKind::Forbidden)
    }

    /// Whether a use limit of the API is the reason.
    ///
    /// *Troubleshooting:* split the range, or wait for other jobs to end.
    pub fn is_use_limit(&self) -> bool {
        matches!(self.0.kind, ErrorKind::UseLimit | ErrorKind::QueueFull)
    }

    /// What a person should do next.
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self.0.kind {
            ErrorKind::BadRequest if self.0.job_id.is_some() => {
                "check the job's id and resource (activities or contacts)"
            }
            ErrorKind::Unauthorized => {
                "check the key and its secret with `backstory auth check`; the key may be paused, revoked, or of another API type (activities need an Activity key, contacts an Object key)"
            }
            ErrorKind::Forbidden => {
                "this key may be of another API type: activities need an Activity key, contacts an Object key"
            }
            ErrorKind::UseLimit => "ask for a narrower range, or let it be split",
            ErrorKind::QueueFull => "wait until some export jobs have ended; other programs share the queue",
            ErrorKind::JobNotFound => {
                "check the job's id and resource (activities or contacts), and that the key is of that type; jobs leave the list after 10 days"
            }
            ErrorKind::Unsupported => {
                "check the base URL, and that the key is of the right API type: activities need an Activity key, contacts an Object key"
            }
            ErrorKind::DeadlinePassed | ErrorKind::NotVisibleYet => {
                "the job goes on at the service; wait for it with `backstory jobs wait ID`, then `backstory jobs download ID`"
            }
            ErrorKind::JobFailed => "create the job again; if it fails again, ask for a narrower range",
            ErrorKind::JobCanceled => "somebody canceled the job; create it again",
            ErrorKind::Expired => "create the same export again; its result is kept for 10 days",
            ErrorKind::OutcomeUnknown => {
                "a job may be running for this; look at the service's own list of jobs before you create it again"
            }
            ErrorKind::BadRequest => {
                "if the service refuses the range, ask for a narrower one, or one that ends today"
            }
            ErrorKind::Unavailable => {
                "check the base URL, the network, the proxy and the CA bundle, and run it again later"
            }
            ErrorKind::NotCompleted => "wait for the job first",
            ErrorKind::ResultMissing => {
                "fetch the whole result instead of a fragment, or create the same export again"
            }
            ErrorKind::BadReply => {
                "check that the base URL is the API's own, with no gateway or proxy that answers in its place; look at the job with `backstory jobs show ID`"
            }
            ErrorKind::BadRow => "what the service sent can be looked at with `backstory jobs download ID`",
            ErrorKind::EchoMismatch => {
                "the job goes on at the service and can't be canceled; report this to the service's support"
            }
            ErrorKind::Setup => "correct the setting that is named",
            ErrorKind::Destination => "make room, or choose another folder, and run it again",
            ErrorKind::BadDownload => "run it again; the result is kept for 10 days",
        })
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("message", &format_args!("{self}"))
            .field("source", &self.0.source)
            .finish()
    }
}
