//! The export endpoints: create, list and status. Sources: contract (c), (d), (j).

use std::sync::Arc;

use http::Response;
use serde_json::{Map, Value, json};

use super::body::Body;
use super::downloads::Download;
use super::reply;
use super::routes::Route;
use super::state::State;
use super::wire::Control;
use crate::clock::JobTime;
use crate::faults::{Effect, Fault, JobEffect};
use crate::jobs::{ActivityExport, Full, Job, NewJob, Phase, Request, Resource, What};
use crate::switches::Row;
use crate::world::day_at;

/// Days that a file, and a job's place in the list, is kept: contract (b).
pub(super) const RETENTION_DAYS: i64 = 10;
const NANOS_A_SECOND: JobTime = 1_000_000_000;

/// A request that was let through.
pub(super) struct Asked<'a> {
    pub(super) head: &'a http::request::Parts,
    pub(super) body: &'a [u8],
    /// Whose key it is.
    pub(super) key: &'a str,
    pub(super) fault: Option<&'a Fault>,
    pub(super) control: &'a Control,
}

/// Answers a request that was let through.
pub(super) async fn respond(state: &Arc<State>, route: &Route, asked: &Asked<'_>) -> Response<Body> {
    match route {
        Route::Create(resource) => create(state, *resource, asked).await,
        Route::List(resource) => list(state, *resource).await,
        Route::Status(resource, id) => match find(state, *resource, id) {
            Ok(job) => status(state, &job).await,
            Err(refused) => *refused,
        },
        Route::Data(resource, id) => match find(state, *resource, id) {
            Ok(job) => {
                let Asked { head, fault, control, .. } = *asked;
                Download { state, job: &job, head, fault, control, at_api: true }.answer().await
            }
            Err(refused) => *refused,
        },
        Route::Token(_) | Route::Unknown => reply::not_found(),
    }
}

async fn create(state: &Arc<State>, resource: Resource, asked: &Asked<'_>) -> Response<Body> {
    let switches = state.switches();
    let today = day_at(state.clock.now().as_second());
    let (request, unknown) = Request::read(resource, asked.body, &switches, today);
    for field in unknown {
        state.counters.finding(&format!("an unknown field in a create: {field}"));
    }
    let request = match request {
        Ok(request) => request,
        Err(refusal) => {
            state.counters.refusal(&refusal.0);
            return reply::error(400, &refusal.0);
        }
    };
    let duration = state.duration_of(&request);
    let effect = match asked.fault.map(|fault| &fault.effect) {
        Some(Effect::Job(effect)) => Some(*effect),
        _ => None,
    };
    let created = {
        let mut queue = state.queue();
        let now = state.clock.job_time();
        let new = NewJob { request, key: asked.key, switches, duration, effect };
        queue.create(new, now, &**state).cloned()
    };
    match created {
        Ok(job) => {
            state.counters.count(|report| *report.jobs_created.entry(asked.key.to_owned()).or_default() += 1);
            let mut view = view(state, &job).await;
            if effect == Some(JobEffect::WrongEcho) {
                view.insert("start_date".to_owned(), json!("2001-01-01"));
                view.insert("end_date".to_owned(), json!("2001-01-02"));
            }
            reply::json(200, &Value::Object(view))
        }
        Err(Full) => {
            state.counters.refusal("queue full");
            let message = "Export job queue is full: the limit is 10 queued jobs";
            reply::error(switches.status(Row::J1), message)
        }
    }
}

/// Rows j.6 and j.7, and the look-back of contract (b).
async fn list(state: &Arc<State>, resource: Resource) -> Response<Body> {
    let switches = state.switches();
    if resource == Resource::Contacts && switches.is(Row::J6, "404") {
        state.counters.finding("GET /pull/v1/export/contacts/jobs, which no source knows");
        return reply::not_found();
    }
    let now = state.clock.now().as_second();
    let mut jobs: Vec<Job> = {
        let queue = state.queue();
        let listed = |job: &&Job| {
            let age = now - state.clock.world_at(job.created).as_second();
            job.request.resource() == resource && age <= RETENTION_DAYS * 86_400
        };
        queue.jobs().iter().filter(listed).cloned().collect()
    };
    if !switches.is(Row::J7, "oldest-first") {
        jobs.reverse();
    }
    let mut views = Vec::with_capacity(jobs.len());
    for job in &jobs {
        views.push(Value::Object(view(state, job).await));
    }
    let views = Value::Array(views);
    reply::json(
        200,
        &match switches.value(Row::J7) {
            "jobs" => json!({ "jobs": views }),
            "data" => json!({ "data": views }),
            _ => views,
        },
    )
}

/// The job of an id in a path; a malformed one is a 400 (contract (c.2), (j.36)).
pub(super) fn find(state: &State, resource: Resource, id: &str) -> Result<Job, Box<Response<Body>>> {
    if !id.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Box::new(reply::error(400, "Invalid parameter format: jobId")));
    }
    let queue = state.queue();
    let job = id.parse().ok().and_then(|id| queue.job(id));
    job.filter(|job| job.request.resource() == resource).cloned().ok_or_else(|| Box::new(reply::not_found()))
}

/// Row j.33: just after its creation a job may not be seen.
async fn status(state: &Arc<State>, job: &Job) -> Response<Body> {
    let mut view = view(state, job).await;
    let age = state.clock.job_time() - job.created;
    if let Some(JobEffect::Invisible(seconds)) = job.quirk
        && age < JobTime::from(seconds) * NANOS_A_SECOND
    {
        return reply::not_found();
    }
    if age < JobTime::from(job.switches.seconds(Row::J33)) * NANOS_A_SECOND {
        match job.switches.value(Row::J33) {
            "hidden:SECONDS" => return reply::not_found(),
            "stateless:SECONDS" => drop(view.remove("state")),
            _ => {}
        }
    }
    reply::json(200, &Value::Object(view))
}

/// A job as the wire shows it, contract (c.2), (d.2).
async fn view(state: &State, job: &Job) -> Map<String, Value> {
    let switches = &job.switches;
    let request = &job.request;
    let mut view = Map::new();
    view.insert(
        "job_id".to_owned(),
        if switches.is(Row::J36, "number") { json!(job.id) } else { json!(job.id.to_string()) },
    );
    let mut put = |key: &str, value: Value| drop(view.insert(key.to_owned(), value));
    let unheard_of = job.quirk == Some(JobEffect::UnknownState) && !job.phase.is_terminal();
    put("state", json!(if unheard_of { "Archiving" } else { job.phase.as_str() }));
    put("output_format", json!(request.output.as_str()));
    match &request.what {
        What::Activities { export, kind } => {
            let export = match export {
                ActivityExport::Snapshot => "snapshot",
                ActivityExport::Delta => "delta",
            };
            put("export_type", json!(export));
            put("activity_type", json!(kind.map_or("all", crate::ActivityType::as_str)));
            put("start_date", json!(request.from.to_string()));
            put("end_date", json!(request.to.to_string()));
        }
        What::Contacts { params, .. } => put("params", json!(params)),
    }
    let time = |at: JobTime| json!(state.clock.world_at(at).strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
    put("job_created_time", time(job.created));
    if let Some(started) = job.started {
        put("job_start_time", time(started));
    }
    if let Some(ended) = job.ended {
        put("job_end_time", time(ended));
    }
    if let (Phase::Completed, Some(export)) = (job.phase, &job.export) {
        let measure = export.measure().await;
        let size = if switches.is(Row::J16, "records") { measure.records } else { measure.bytes };
        put("results_size", json!(size));
        let fragments = measure.parts.len();
        match switches.value(Row::J14) {
            "absent" if fragments <= 1 => {}
            "0" if fragments <= 1 => put("fragments", json!(0)),
            _ => put("fragments", json!(fragments)),
        }
    }
    view
}
