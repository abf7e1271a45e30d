//! The export endpoints: create, list, status and data. Sources: contract (c), (d), (j).

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, Response, header};
use serde_json::{Map, Value, json};

use super::body::{Body, End, Sending};
use super::reply;
use super::routes::{Route, STORAGE, text};
use super::state::State;
use super::wire::Control;
use crate::clock::JobTime;
use crate::export::{Export, ExportStream, Layout, Measure};
use crate::faults::{Effect, Fault, JobEffect};
use crate::jobs::{ActivityExport, Full, Job, Phase, Request, Resource, What};
use crate::switches::Row;
use crate::world::day_at;

/// Days that a file, and a job's place in the list, is kept: contract (b).
const RETENTION_DAYS: i64 = 10;
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
            Ok(job) => data(state, &job, asked.head, asked.fault, asked.control, true).await,
            Err(refused) => *refused,
        },
        Route::Token(_) | Route::Unknown => reply::not_found(),
    }
}

/// Serves a file at the place that /data redirects to (row j.22). It takes no token: who sends one gives it away.
pub(super) async fn storage(
    state: &Arc<State>,
    head: &http::request::Parts,
    control: &Control,
) -> Response<Body> {
    if head.headers.contains_key(header::AUTHORIZATION) {
        state.counters.finding("a token was sent to the storage that /data redirects to");
    }
    let path = head.uri.path().strip_prefix(STORAGE).unwrap_or("");
    let (resource, id) = match path.split_once('/') {
        Some(("activities", id)) => (Resource::Activities, id),
        Some(("contacts", id)) => (Resource::Contacts, id),
        _ => return reply::not_found(),
    };
    match find(state, resource, id) {
        Ok(job) => data(state, &job, head, None, control, false).await,
        Err(refused) => *refused,
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
        queue.create(request, asked.key, switches, duration, effect, now, &**state).cloned()
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
fn find(state: &State, resource: Resource, id: &str) -> Result<Job, Box<Response<Body>>> {
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

/// The file of a job, or a fragment of it: contract (c.3), rows j.9 to j.24. `redirect`: row j.22 applies.
async fn data(
    state: &Arc<State>,
    job: &Job,
    head: &http::request::Parts,
    fault: Option<&Fault>,
    control: &Control,
    redirect: bool,
) -> Response<Body> {
    let switches = &job.switches;
    let effect = fault.map(|fault| &fault.effect);
    let fragment = match fragment(head) {
        Ok(fragment) => fragment,
        Err(refused) => return *refused,
    };
    let (Phase::Completed, Some(export), Some(ended)) = (job.phase, &job.export, job.ended) else {
        if job.phase.is_terminal() {
            return reply::not_found();
        }
        state.counters.finding("GET /data before the job was Completed");
        return match switches.status(Row::J9) {
            200 => reply::bytes(200, content_type(Layout::Lines), ""),
            404 => reply::not_found(),
            status => reply::error(status, "The job has not completed yet"),
        };
    };
    let age = state.clock.now().as_second() - state.clock.world_at(ended).as_second();
    if age > RETENTION_DAYS * 86_400 || effect == Some(&Effect::Expired) {
        return match switches.status(Row::J11) {
            404 => reply::not_found(),
            status => reply::error(status, "The file is past its retention of 10 days"),
        };
    }
    if redirect && (switches.is(Row::J22, "302") || effect == Some(&Effect::Redirect)) {
        return to_storage(state, job, head);
    }
    let twisted = match effect {
        Some(Effect::Records(effect)) if fragment.is_none() => Some(Arc::new(export.twisted(*effect))),
        _ => None,
    };
    let export = twisted.as_ref().unwrap_or(export);
    let measure = export.measure().await;
    if measure.records == 0 && switches.is(Row::J17, "204") {
        return reply::empty(204);
    }
    let mut sending = Sending { control: control.clone(), ..Sending::default() };
    if let Some(fault) = fault {
        let parts = if fragment.is_some() { measure.parts.len().max(1) as u64 } else { 1 };
        apply(fault, measure.bytes / parts, &mut sending);
    }
    file(job, export, &measure, fragment, head, effect, sending, state)
}

/// What a fault does to the sending of a file of about `size` bytes.
fn apply(fault: &Fault, size: u64, sending: &mut Sending) {
    match &fault.effect {
        Effect::Cut { at, close, .. } => sending.end = Some((fault.byte(*at, size), End::Break(*close))),
        Effect::Torn(at) => sending.end = Some((fault.byte(*at, size), End::Clean)),
        Effect::Long => sending.long = true,
        Effect::NoLastChunk => sending.no_last_chunk = true,
        Effect::Stall { at, seconds } => {
            sending.stall = Some((fault.byte(*at, size), Duration::from_secs_f64(*seconds)));
        }
        Effect::Drip(rate) => sending.drip = Some(*rate),
        Effect::Gzip { .. } => sending.gzip = true,
        _ => {}
    }
}

/// The redirect of row j.22: another host for clients, this server in truth.
fn to_storage(state: &State, job: &Job, head: &http::request::Parts) -> Response<Body> {
    let resource = match job.request.resource() {
        Resource::Activities => "activities",
        Resource::Contacts => "contacts",
    };
    let query = head.uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let location = format!("http://localhost:{}{STORAGE}{resource}/{}{query}", state.port, job.id);
    let mut reply = reply::empty(302);
    if let Ok(location) = HeaderValue::from_str(&location) {
        reply.headers_mut().insert(header::LOCATION, location);
    }
    reply
}

/// The `fragment` of a query; parameters that the contract does not know are ignored and counted.
pub(super) fn fragment(head: &http::request::Parts) -> Result<Option<u64>, Box<Response<Body>>> {
    let mut fragment = None;
    for (key, value) in
        head.uri.query().unwrap_or("").split('&').filter_map(|pair| pair.split_once('=').or(Some((pair, ""))))
    {
        if key == "fragment" {
            let number =
                value.parse().map_err(|_| reply::error(400, "Invalid parameter format: fragment"))?;
            fragment = Some(number);
        }
    }
    Ok(fragment)
}

#[allow(clippy::too_many_arguments)]
fn file(
    job: &Job,
    export: &Arc<Export>,
    measure: &Measure,
    fragment: Option<u64>,
    head: &http::request::Parts,
    effect: Option<&Effect>,
    mut sending: Sending,
    state: &Arc<State>,
) -> Response<Body> {
    let switches = &job.switches;
    let mut status = 200;
    let mut content_range = None;
    sending.no_last_chunk |= switches.is(Row::J21, "missing");
    let stream = match fragment {
        Some(number) => {
            let first = u64::from(switches.is(Row::J13, "1"));
            let index = number.checked_sub(first).and_then(|index| usize::try_from(index).ok());
            match index.and_then(|index| ExportStream::fragment(export, measure, index)) {
                Some(stream) => stream,
                None => return reply::not_found(),
            }
        }
        None => {
            let stated = matches!(effect, Some(Effect::Cut { stated: true, .. } | Effect::Long));
            let cut_short = matches!(effect, Some(Effect::Torn(_)));
            let length = stated || switches.is(Row::J20, "length");
            sending.length = (length && !cut_short && export.is_measured_exactly()).then_some(measure.bytes);
            let asked = text(head, header::RANGE).filter(|_| switches.is(Row::J19, "206"));
            match asked.and_then(|range| read_range(range, measure.bytes)) {
                Some((start, end)) => {
                    status = 206;
                    sending.length = Some(end - start + 1);
                    content_range = Some(format!("bytes {start}-{end}/{}", measure.bytes));
                    ExportStream::from_byte(export, measure, start)
                }
                None => ExportStream::whole(export),
            }
        }
    };
    let accepts = |coding: &str| {
        text(head, header::ACCEPT_ENCODING)
            .is_some_and(|text| text.split(',').any(|part| part.trim().starts_with(coding)))
    };
    if status == 200 && switches.is(Row::J18, "gzip") && accepts("gzip") {
        sending.gzip = true;
    }
    let mut labelled = sending.gzip;
    if sending.gzip {
        sending.length = None;
        labelled = effect != Some(&Effect::Gzip { labelled: false });
    }
    let mut reply = Response::new(Body::file(state, stream, sending));
    *reply.status_mut() = http::StatusCode::from_u16(status).unwrap_or(http::StatusCode::OK);
    let headers = reply.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type(export.layout())));
    if labelled {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    if let Some(range) = content_range.and_then(|range| HeaderValue::from_str(&range).ok()) {
        headers.insert(header::CONTENT_RANGE, range);
    }
    reply
}

/// `bytes=K-` and `bytes=K-L`; anything else is ignored, as a server may.
fn read_range(text: &str, size: u64) -> Option<(u64, u64)> {
    let (start, end) = text.strip_prefix("bytes=")?.split_once('-')?;
    let start: u64 = start.parse().ok()?;
    let end = if end.is_empty() {
        size.checked_sub(1)?
    } else {
        end.parse::<u64>().ok()?.min(size.checked_sub(1)?)
    };
    (start <= end).then_some((start, end))
}

/// With its charset: a client that others wrote guesses it otherwise, at a crawl (contract (l)).
fn content_type(layout: Layout) -> &'static str {
    match layout {
        Layout::Lines => "application/x-ndjson; charset=utf-8",
        Layout::Array | Layout::Object => "application/json; charset=utf-8",
        Layout::Csv => "text/csv; charset=utf-8",
    }
}
