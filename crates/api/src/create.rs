//! The creation of a job, the one call that must not be repeated blindly: what its outcome was, a full queue, and the
//! settlement of a creation whose reply was lost (contract (j.1), (j.5)).

use std::time::Duration;

use backstory_transport::{CallClass, Refusal};
use bytes::Bytes;
use http::{Method, Request, header};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::client::Client;
use crate::error::{Error, ErrorKind};
use crate::exchange;
use crate::generated::{ActivitiesExportRequest, ContactsExportRequest, Job, JobState};
use crate::job::ExportJob;
use crate::resource::Resource;
use crate::wait::WaitPolicy;

/// For how long a job may be missing from the list after its creation.
const LIST_LAG: Duration = Duration::from_secs(120);
/// The pauses between two looks at the list.
const FIRST_LOOK: Duration = Duration::from_secs(2);
const LONGEST_LOOK: Duration = Duration::from_secs(15);
/// How far two readings of one server's clock may disagree: times on the wire have whole seconds.
const RESOLUTION: SignedDuration = SignedDuration::from_secs(2);

/// The body of a creation, which knows its own job when it sees it.
pub(crate) trait CreationBody: Serialize {
    /// The first thing in which a job's echo differs from what was asked; nothing where the echo is silent.
    fn differs_from(&self, job: &Job) -> Option<String>;
    /// Whether a listed job has exactly the parameters that were asked.
    fn is_equal_to(&self, job: &Job) -> bool;
    /// The form that the result is asked for in.
    fn format(&self) -> &str;
}

impl CreationBody for ActivitiesExportRequest {
    fn differs_from(&self, job: &Job) -> Option<String> {
        differs("export_type", self.export_type.as_str(), job.export_type.as_deref())
            .or_else(|| differs("activity_type", self.activity_type.as_str(), job.activity_type.as_deref()))
            .or_else(|| differs("output_format", self.output_format.as_str(), job.output_format.as_deref()))
            .or_else(|| differs_in_range(self.start_date, self.end_date, job))
    }

    fn is_equal_to(&self, job: &Job) -> bool {
        let told = job.export_type.is_some()
            && job.activity_type.is_some()
            && job.start_date.is_some()
            && job.end_date.is_some();
        told && self.differs_from(job).is_none()
    }

    fn format(&self) -> &str {
        self.output_format.as_str()
    }
}

impl CreationBody for ContactsExportRequest {
    fn differs_from(&self, job: &Job) -> Option<String> {
        differs("output_format", self.output_format.as_str(), job.output_format.as_deref())
            .or_else(|| differs_in_range(self.start_date, self.end_date, job))
    }

    /// Contacts jobs can't be listed (contract (j.6)), so none is ever recognised.
    fn is_equal_to(&self, _: &Job) -> bool {
        false
    }

    fn format(&self) -> &str {
        self.output_format.as_str()
    }
}

/// The service echoes words in the case in which they were sent, or in its own.
fn differs(name: &str, asked: &str, echo: Option<&str>) -> Option<String> {
    let echo = echo?;
    (!echo.eq_ignore_ascii_case(asked)).then(|| format!("{name} `{echo}` instead of `{asked}`"))
}

fn differs_in_range(start: jiff::civil::Date, end: jiff::civil::Date, job: &Job) -> Option<String> {
    let day = |name, asked, echo: Option<jiff::civil::Date>| {
        let echo = echo?;
        (echo != asked).then(|| format!("{name} {echo} instead of {asked}"))
    };
    day("start_date", start, job.start_date).or_else(|| day("end_date", end, job.end_date))
}

/// Who finds out what came of a creation whose reply was lost.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum LostReply {
    /// This client, by the service's list where there is one.
    Settled,
    /// The caller, who is told that the outcome is unknown.
    Told,
}

/// Creates a job, once.
pub(crate) async fn create<R: Resource>(
    client: &Client,
    body: &impl CreationBody,
    lost_reply: LostReply,
) -> Result<ExportJob<R>, Error> {
    let operation = format!("create an export job for {}", R::NAME);
    let request = request::<R>(client, &operation, body)?;
    let attempt = Attempt { server_time: client.time().fresh(), begun: Instant::now() };
    let job = match send::<R>(client, &operation, request).await {
        Outcome::Created(job) => *job,
        Outcome::Refused(error) => return Err(error),
        Outcome::Unknown(error) if R::LISTABLE && lost_reply == LostReply::Settled => {
            settle::<R>(client, &operation, body, &attempt, error).await?
        }
        Outcome::Unknown(error) if R::LISTABLE => {
            let message = "the reply was lost; the service's list of jobs will tell";
            return Err(Error::new(ErrorKind::OutcomeUnknown, operation, message).with_source(error));
        }
        Outcome::Unknown(error) => {
            let message = "the reply was lost, and the service has no list of such jobs to look into";
            return Err(Error::new(ErrorKind::OutcomeUnknown, operation, message).with_source(error));
        }
    };
    client.claim(&job.job_id);
    if let Some(difference) = body.differs_from(&job) {
        let message = format!("the service made a job with {difference}");
        return Err(Error::new(ErrorKind::EchoMismatch, operation, message).with_job(job));
    }
    Ok(ExportJob::created(client.clone(), job, body.format()))
}

/// Creates a job; while the queue is full, waits and asks again.
pub(crate) async fn create_when_there_is_room<R: Resource>(
    client: &Client,
    body: &impl CreationBody,
    patience: &WaitPolicy,
) -> Result<ExportJob<R>, Error> {
    let begun = Instant::now();
    let mut pauses = patience.pauses();
    loop {
        let error = match create::<R>(client, body, LostReply::Settled).await {
            Err(error) if error.kind() == ErrorKind::QueueFull => error,
            outcome => return outcome,
        };
        // No such header is known to come (contract (h.2)); should one come, it counts.
        let asked = error.refusal().and_then(Refusal::retry_delay).unwrap_or_default();
        let pause = pauses.next().max(asked.min(patience.longest_pause));
        if patience.deadline.is_some_and(|deadline| begun.elapsed() + pause > deadline) {
            return Err(error);
        }
        tracing::info!(pause_s = pause.as_secs_f64(), "the job queue is full; waiting");
        sleep(pause).await;
    }
}

fn request<R: Resource>(
    client: &Client,
    operation: &str,
    body: &impl CreationBody,
) -> Result<Request<Bytes>, Error> {
    let json = serde_json::to_vec(body).map_err(|error| {
        Error::new(ErrorKind::Setup, operation, "the request can't be written as JSON").with_source(error)
    })?;
    let mut request = Request::new(Bytes::from(json));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = client.base().jobs(R::ENDPOINT)?;
    request.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    request.extensions_mut().insert(CallClass::Once);
    Ok(request)
}

/// What is known after one attempt.
enum Outcome {
    Created(Box<Job>),
    /// Certainly not created.
    Refused(Error),
    /// Perhaps created.
    Unknown(Error),
}

async fn send<R: Resource>(client: &Client, operation: &str, request: Request<Bytes>) -> Outcome {
    let response = match exchange::send(client.service::<R>(), client.time(), request).await {
        Ok(response) => response,
        Err(error) => {
            let ambiguous = error.may_have_been_sent();
            let error = Error::from_transport(operation, error);
            return if ambiguous { Outcome::Unknown(error) } else { Outcome::Refused(error) };
        }
    };
    if !response.status().is_success() {
        let refusal = Refusal::read(response).await;
        let full = is_queue_full(&refusal);
        // A server that failed, or gave up on its own time, may have acted before that.
        let ambiguous = matches!(refusal.status.as_u16(), 408 | 500..=599);
        let error = Error::from_refusal(operation, refusal).about_no_job();
        return match (full, ambiguous) {
            (true, _) => Outcome::Refused(error.with_kind(ErrorKind::QueueFull)),
            (false, true) => Outcome::Unknown(error),
            (false, false) => Outcome::Refused(error),
        };
    }
    let whole = match response.into_body().collect(1 << 20).await {
        Ok(whole) => whole,
        Err(error) => return Outcome::Unknown(Error::from_transport(operation, error)),
    };
    let reply = serde_json::from_slice::<Value>(&whole).unwrap_or(Value::Null);
    match exchange::job(operation, reply) {
        Ok(job) => Outcome::Created(Box::new(job)),
        Err(error) => Outcome::Unknown(error),
    }
}

/// Whether a refusal means that there is no room: a 429, or one of the other likely statuses with a message that says so
/// (contract (j.1)). A body without a message is a gateway's, and its words are about something else: pages speak of a
/// `maximum-scale`.
fn is_queue_full(refusal: &Refusal) -> bool {
    match refusal.status.as_u16() {
        429 => true,
        400 | 403 | 409 | 503 => {
            let said = refusal.message.as_deref().or(refusal.error.as_deref()).unwrap_or_default();
            let said = said.to_ascii_lowercase();
            ["queue", "limit", "maximum"].iter().any(|word| said.contains(word)) && !said.contains("range")
        }
        _ => false,
    }
}

/// What was known when the creation was attempted.
struct Attempt {
    /// What time it was by the server's clock.
    server_time: Option<Timestamp>,
    begun: Instant,
}

impl Attempt {
    /// The earliest creation time that a job of this attempt can have, by the server's clock: what that was when the attempt
    /// began, as told just before, else as told by now, less the time since.
    fn earliest(&self, server_now: Option<Timestamp>) -> Option<Timestamp> {
        let since = self.server_time.or_else(|| {
            let elapsed = SignedDuration::try_from(self.begun.elapsed()).ok()?;
            server_now?.checked_sub(elapsed).ok()
        })?;
        since.checked_sub(RESOLUTION).ok()
    }
}

/// Looks for the job of a creation whose reply was lost, until the list can't lag behind any more.
async fn settle<R: Resource>(
    client: &Client,
    operation: &str,
    body: &impl CreationBody,
    attempt: &Attempt,
    lost: Error,
) -> Result<Job, Error> {
    tracing::warn!(error = %lost, "the reply to a job creation was lost; looking for the job in the list");
    let mut pause = FIRST_LOOK;
    loop {
        // Whether this look comes late enough to prove that there is no job.
        let conclusive = attempt.begun.elapsed() >= LIST_LAG;
        match client.list::<R>().await {
            Ok(jobs) => {
                let earliest = attempt.earliest(client.time().now());
                let mut undated = None;
                for job in jobs.into_iter().filter(|job| is_candidate(body, job)) {
                    match job.job_created_time.zip(earliest) {
                        Some((made, since)) if made >= since && client.claim(&job.job_id) => {
                            tracing::info!(job = %job.job_id, "found the job of the lost reply");
                            return Ok(job);
                        }
                        None if !client.has_claimed(&job.job_id) => undated = Some(job.job_id),
                        _ => {}
                    }
                }
                if let Some(id) = undated.filter(|_| conclusive) {
                    let message = format!(
                        "the reply was lost, and nothing tells whether job {id}, which asks for the same, came of it"
                    );
                    return Err(Error::new(ErrorKind::OutcomeUnknown, operation, message).with_source(lost));
                }
                if conclusive {
                    let message =
                        "the attempt broke off, and the service's list shows that no job came of it";
                    return Err(Error::new(ErrorKind::Unavailable, operation, message).with_source(lost));
                }
            }
            Err(error) if conclusive || !error.is_retryable() => {
                tracing::warn!(%error, "the job list can't be had either");
                let message = "the reply was lost, and the service's list of jobs can't be had";
                return Err(Error::new(ErrorKind::OutcomeUnknown, operation, message).with_source(lost));
            }
            Err(error) => tracing::warn!(%error, "the job list can't be had; trying again"),
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_LOOK);
    }
}

/// Whether a listed job may be the one that was asked for. One that ended badly is of no use.
fn is_candidate(body: &impl CreationBody, job: &Job) -> bool {
    body.is_equal_to(job) && !matches!(job.state, Some(JobState::Failed | JobState::Canceled))
}
