//! One request and its reply: sending, reading bounded JSON, and remembering what time the server says it is.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use backstory_transport::{HttpService, Redaction, Refusal, Request, Response, http_date, request_id};
use http::HeaderMap;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use tokio::time::Instant;

use crate::error::{Error, ErrorKind};
use crate::generated::Job;

/// More than any job list of ten days can have.
const MAX_REPLY_BYTES: usize = 32 << 20;
/// How much of a reply that can't be understood is shown.
const SHOWN: usize = 200;

/// For how long the server's time, once told, is good enough to date an attempt by. The time since is counted on a clock that
/// may stand still while the machine sleeps.
const FRESH: Duration = Duration::from_secs(10);

/// The server's time as its last reply told it, and when that came.
#[derive(Debug, Default)]
pub(crate) struct ServerTime(Mutex<Option<(Timestamp, Instant)>>);

impl ServerTime {
    pub(crate) fn get(&self) -> Option<Timestamp> {
        self.last().map(|(time, _)| time)
    }

    /// What it is by now: as it was told last, and the time since.
    pub(crate) fn now(&self) -> Option<Timestamp> {
        let (time, told) = self.last()?;
        time.checked_add(SignedDuration::try_from(told.elapsed()).ok()?).ok()
    }

    /// As [`now`](Self::now), if it was told moments ago.
    pub(crate) fn fresh(&self) -> Option<Timestamp> {
        self.last().filter(|(_, told)| told.elapsed() < FRESH).and_then(|_| self.now())
    }

    fn last(&self) -> Option<(Timestamp, Instant)> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, headers: &HeaderMap) {
        let date = headers.get(http::header::DATE).and_then(|date| date.to_str().ok());
        if let Some(now) = date.and_then(http_date) {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((now, Instant::now()));
        }
    }
}

/// Sends a request; a reply of any status is a reply.
pub(crate) async fn send(
    service: &dyn HttpService,
    time: &ServerTime,
    request: Request,
) -> Result<Response, backstory_transport::Error> {
    let response = service.send(request).await?;
    time.note(response.headers());
    Ok(response)
}

/// Sends a request and reads its reply as JSON; an error status is an error.
pub(crate) async fn json(
    service: &dyn HttpService,
    time: &ServerTime,
    operation: &str,
    request: Request,
) -> Result<Value, Error> {
    let response =
        send(service, time, request).await.map_err(|error| Error::from_transport(operation, error))?;
    if !response.status().is_success() {
        return Err(Error::from_refusal(operation, Refusal::read(response).await));
    }
    let redaction = Redaction::of(response.extensions());
    let request_id = request_id(response.headers()).map(|id| redaction.apply(&id));
    let whole = response.into_body().collect(MAX_REPLY_BYTES).await;
    let whole =
        whole.map_err(|error| Error::from_transport(operation, error).with_kind(ErrorKind::Unavailable));
    let whole = whole.map_err(|error| error.with_request_id(request_id.clone()))?;
    serde_json::from_slice(&whole).map_err(|error| {
        let text = redaction.apply(&String::from_utf8_lossy(&whole));
        let shown: String = text.trim().chars().take(SHOWN).collect();
        let message = if shown.starts_with('<') {
            format!("the service answered with an HTML page instead of JSON, likely a gateway's or a proxy's: {shown}")
        } else {
            format!("the service's answer isn't JSON: {shown}")
        };
        Error::new(ErrorKind::BadReply, operation, message).with_source(error).with_request_id(request_id)
    })
}

/// Reads a job out of a reply.
pub(crate) fn job(operation: &str, reply: Value) -> Result<Job, Error> {
    let Value::Object(object) = reply else {
        return Err(Error::new(ErrorKind::BadReply, operation, "the service's answer isn't a job"));
    };
    Job::from_object(object)
        .ok_or_else(|| Error::new(ErrorKind::BadReply, operation, "the service's answer has no `job_id`"))
}

/// Reads a list of jobs out of a reply: a bare array, or an object with `jobs` or `data` (contract (j.7)). Newest first,
/// whatever the service's own order.
pub(crate) fn jobs(operation: &str, reply: Value) -> Result<Vec<Job>, Error> {
    let not_a_list =
        || Error::new(ErrorKind::BadReply, operation, "the service's answer isn't a list of jobs");
    let list = match reply {
        Value::Array(list) => list,
        Value::Object(mut object) => match object.remove("jobs").or_else(|| object.remove("data")) {
            Some(Value::Array(list)) => list,
            _ => return Err(not_a_list()),
        },
        _ => return Err(not_a_list()),
    };
    let mut jobs: Vec<Job> = list.into_iter().map(|reply| job(operation, reply)).collect::<Result<_, _>>()?;
    jobs.sort_by_key(|job| std::cmp::Reverse(job.job_created_time));
    Ok(jobs)
}
