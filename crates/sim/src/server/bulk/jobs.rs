//! Export jobs: create, list and status. Sources: contract (c.1), (c.2), (d.1), (d.2), (j).

use std::sync::Arc;

use http::Response;
use serde_json::{Map, Value, json};

use super::super::body::Body;
use super::super::reply;
use super::super::state::State;
use super::{Asked, RETENTION_DAYS};
use crate::clock::JobTime;
use crate::faults::JobEffect;
use crate::jobs::{Full, Job, NewJob, Phase, Request, Resource, What};
use crate::switches::Row;
use crate::world::day_at;

const NANOS_A_SECOND: JobTime = 1_000_000_000;

/// Why there is no job: the status and the message of the refusal.
#[derive(Debug)]
pub(in crate::server) struct Refused {
    status: u16,
    pub(in crate::server) message: String,
}

/// Who asks for a job, and what becomes of it.
pub(in crate::server) struct Asker<'a> {
    /// The id of the key.
    pub(in crate::server) key: &'a str,
    pub(in crate::server) effect: Option<JobEffect>,
    /// Whether the reply will be lost on its way.
    pub(in crate::server) reply_lost: bool,
}

/// Makes a job, or refuses to.
pub(in crate::server) fn submit(
    state: &State,
    resource: Resource,
    body: &[u8],
    asker: &Asker<'_>,
) -> Result<Job, Refused> {
    let switches = state.switches();
    let Asker { key, effect, reply_lost } = *asker;
    let today = day_at(state.clock.now().as_second());
    let (request, unknown) = Request::read(resource, body, &switches, today);
    for field in unknown {
        state.counters.finding(&format!("an unknown field in a create: {field}"));
    }
    let request = request.map_err(|refusal| {
        state.counters.refusal(key, &refusal.0);
        Refused { status: 400, message: refusal.0 }
    })?;
    let duration = state.duration_of(&request);
    let created = {
        let mut queue = state.queue();
        let now = state.clock.job_time();
        let new = NewJob { request, key, switches, duration, effect, reply_lost };
        queue.create(new, now, state).cloned()
    };
    match created {
        Ok(job) => {
            state.counters.job_created(key);
            Ok(job)
        }
        Err(Full) => {
            state.counters.refusal(key, "queue full");
            let message = "Export job queue is full: the limit is 10 queued jobs".to_owned();
            Err(Refused { status: switches.status(Row::J1), message })
        }
    }
}

/// Answers a create.
pub(super) async fn create(state: &Arc<State>, resource: Resource, asked: &Asked<'_>) -> Response<Body> {
    let effect = asked.fate.job;
    let asker = Asker { key: asked.key, effect, reply_lost: asked.fate.reply_lost };
    match submit(state, resource, asked.body, &asker) {
        Ok(job) => {
            let mut view = view(state, &job).await;
            if effect == Some(JobEffect::WrongEcho) {
                view.insert("start_date".to_owned(), json!("2001-01-01"));
                view.insert("end_date".to_owned(), json!("2001-01-02"));
            }
            reply::json(200, &Value::Object(view))
        }
        Err(refused) => reply::error(refused.status, &refused.message),
    }
}

/// Rows j.6 and j.7, and the look-back of contract (b).
pub(super) async fn list(state: &Arc<State>, resource: Resource) -> Response<Body> {
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
            let kept = age <= RETENTION_DAYS * 86_400;
            kept && job.request.resource() == resource && !is_invisible(state, job)
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
pub(super) async fn status(state: &Arc<State>, job: &Job) -> Response<Body> {
    let mut view = view(state, job).await;
    let age = state.clock.job_time() - job.created;
    if is_invisible(state, job) {
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

/// Whether the fault engine hides a job, from its list too: that may lag behind.
fn is_invisible(state: &State, job: &Job) -> bool {
    let age = state.clock.job_time() - job.created;
    matches!(job.quirk, Some(JobEffect::Invisible(seconds)) if age < JobTime::from(seconds) * NANOS_A_SECOND)
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
            put("export_type", json!(export.as_str()));
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
