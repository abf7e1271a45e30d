//! The simulator's own paths, under `/_sim/`: truth, clock, report, jobs, switches, faults and keys. No token, no limits.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use http::{Method, Response};
use jiff::civil::{Date, DateTime};
use jiff::{SignedDuration, Span, SpanRelativeTo, Timestamp};
use serde_json::{Value, json};

use super::body::Body;
use super::job_control::{JobEnd, Jobs};
use super::reply;
use super::state::State;
use super::target;
use crate::auth::Standing;
use crate::clock;
use crate::export::ExportStream;
use crate::faults::Faults;
use crate::jobs::Resource;
use crate::switches::Switch;
use crate::truth::{Truth, WindowKind};
use crate::world::{ActivityType, Question};

/// Answers a request to one of the simulator's own paths.
pub(super) async fn respond(
    state: &Arc<State>,
    path: &str,
    head: &http::request::Parts,
    body: &[u8],
) -> Response<Body> {
    let query: BTreeMap<String, String> = target::query(&head.uri).collect();
    let path = path.strip_prefix("/_sim/").unwrap_or("");
    let answer = match (&head.method, path) {
        (&Method::GET, "truth/activities" | "truth/contacts" | "truth/window") => {
            truth(state, path, &query).await
        }
        (&Method::GET, "report") => {
            Ok(reply::json(200, &serde_json::to_value(state.report()).unwrap_or(Value::Null)))
        }
        (&Method::GET, "clock") => Ok(show_clock(state)),
        (&Method::POST, "clock") => turn(state, body).map(|()| show_clock(state)),
        (&Method::GET, "switches") => Ok(switches(state)),
        (&Method::POST, "switches") => set_switches(state, body).map(|()| switches(state)),
        (&Method::GET, "faults") => Ok(faults(state)),
        (&Method::POST, "faults") => set_faults(state, body).map(|()| faults(state)),
        (&Method::POST, "keys") => set_key(state, body),
        (&Method::GET, "jobs") => Ok(jobs(state)),
        (&Method::POST, "jobs") => set_jobs(state, body).map(|()| jobs(state)),
        _ => Ok(reply::error(
            404,
            "The simulator has GET /_sim/truth/activities, /_sim/truth/contacts, /_sim/truth/window, /_sim/report, \
             GET and POST /_sim/clock, /_sim/jobs, /_sim/switches, /_sim/faults, and POST /_sim/keys",
        )),
    };
    answer.unwrap_or_else(|why| reply::error(400, &why))
}

async fn truth(
    state: &Arc<State>,
    path: &str,
    query: &BTreeMap<String, String>,
) -> Result<Response<Body>, String> {
    let truth = Truth(Arc::clone(state));
    let known: &[&str] = match path {
        "truth/window" => &["kind", "type", "from", "to", "at", "records"],
        _ => &["at", "processed_through", "records"],
    };
    if let Some(unknown) = query.keys().find(|key| !known.contains(&key.as_str())) {
        return Err(format!("`{unknown}` is not known here; use {}", known.join(", ")));
    }
    let at = query.get("at").map_or(Ok(state.clock.now()), |text| read_time(text))?;
    let records = match query.get("records").map(String::as_str) {
        None | Some("false") => false,
        Some("true") => true,
        Some(_) => return Err("`records` is true or false".to_owned()),
    };
    let through = query.get("processed_through").map(|text| read_date(text)).transpose()?;
    let question = match path {
        "truth/activities" => truth.current(at, through),
        "truth/contacts" => truth.all_contacts(at, through),
        _ => window(&truth, query, at)?,
    };
    if records {
        let lines = truth.lines(question);
        let mut reply = Response::new(Body::plain(ExportStream::whole(&lines)));
        let content_type = http::HeaderValue::from_static("application/x-ndjson; charset=utf-8");
        reply.headers_mut().insert(http::header::CONTENT_TYPE, content_type);
        return Ok(reply);
    }
    // Hashing a large population takes seconds, which the other connections should not wait for.
    let stop = Arc::clone(&state.stopping);
    let content = tokio::task::spawn_blocking(move || truth.content(question, Some(&stop))).await;
    let content = content.map_err(|_| "the simulator is stopping".to_owned())?;
    Ok(reply::json(200, &json!({"count": content.count, "content_hash": content.content_hash})))
}

fn window(truth: &Truth, query: &BTreeMap<String, String>, at: Timestamp) -> Result<Question, String> {
    let date = |key: &str| {
        query.get(key).ok_or_else(|| format!("`{key}` is missing")).and_then(|text| read_date(text))
    };
    let kind = match query.get("kind").map(String::as_str) {
        Some("snapshot") => WindowKind::Snapshot,
        Some("delta") => WindowKind::Delta,
        Some("contacts") => WindowKind::Contacts,
        _ => return Err("`kind` is snapshot, delta or contacts".to_owned()),
    };
    let activity_type = match query.get("type").map(String::as_str) {
        None | Some("all") => None,
        Some(word) => {
            Some(ActivityType::read(word).ok_or("`type` is email, meeting, call or all".to_owned())?)
        }
    };
    if kind == WindowKind::Contacts && activity_type.is_some() {
        return Err("`type` is one of activities; contacts have none".to_owned());
    }
    Ok(truth.of_window(kind, activity_type, date("from")?, date("to")?, at))
}

fn read_date(text: &str) -> Result<Date, String> {
    text.parse().map_err(|_| format!("`{text}` is not a day such as 2026-06-18"))
}

/// An instant; without a zone it is UTC, and a day alone is its first moment.
fn read_time(text: &str) -> Result<Timestamp, String> {
    text.parse()
        .or_else(|_| {
            let time: Result<DateTime, _> = text.parse();
            time.or_else(|_| text.parse::<Date>().map(|date| date.at(0, 0, 0, 0)))
                .and_then(|time| jiff::tz::Offset::UTC.to_timestamp(time))
        })
        .map_err(|_: jiff::Error| format!("`{text}` is not an instant such as 2026-06-18T12:00:00Z"))
}

fn show_clock(state: &State) -> Response<Body> {
    reply::json(200, &json!({"now": state.clock.now().to_string(), "speed": state.clock.speed()}))
}

/// `{"now":TIME}`, `{"advance":"3d"}`, `{"speed":60}`, or several of them, in this order.
fn turn(state: &State, body: &[u8]) -> Result<(), String> {
    const ALLOWED: &str = "the body is {\"now\":TIME}, {\"advance\":\"3d\"} or {\"speed\":60}";
    let Ok(Value::Object(fields)) = serde_json::from_slice(body) else { return Err(ALLOWED.to_owned()) };
    if fields.is_empty() || fields.keys().any(|key| !["now", "advance", "speed"].contains(&key.as_str())) {
        return Err(ALLOWED.to_owned());
    }
    let now = match fields.get("now") {
        None => None,
        Some(value) => Some(read_time(value.as_str().ok_or(ALLOWED)?)?),
    };
    let advance = match fields.get("advance") {
        None => None,
        Some(value) => Some(read_duration(value.as_str().ok_or(ALLOWED)?)?),
    };
    let speed = match fields.get("speed") {
        None => None,
        Some(value) => Some(
            value
                .as_f64()
                .filter(|speed| (0.0..=1e7).contains(speed))
                .ok_or("`speed` is a number from 0 to 1e7")?,
        ),
    };
    let start = now.unwrap_or_else(|| state.clock.now());
    clock::check(start)?;
    if let Some(by) = advance {
        let far = if by.is_negative() { Timestamp::MIN } else { Timestamp::MAX };
        clock::check(start.checked_add(by).unwrap_or(far))?;
    }
    if let Some(now) = now {
        state.clock.set(now);
    }
    if let Some(by) = advance {
        state.clock.advance(by);
    }
    if let Some(speed) = speed {
        state.clock.set_speed(speed);
    }
    Ok(())
}

/// A span such as `3d`, `36h` or `1 day 2 hours`; a day has 24 hours, as in UTC.
fn read_duration(text: &str) -> Result<SignedDuration, String> {
    text.parse::<Span>()
        .and_then(|span| span.to_duration(SpanRelativeTo::days_are_24_hours()))
        .map_err(|_| format!("`{text}` is not a length of time such as 3d, 36h or 90m"))
}

fn switches(state: &State) -> Response<Body> {
    let positions: Vec<String> = state.switches().all().map(|switch| switch.to_string()).collect();
    let rows: Vec<Value> = Switch::list()
        .iter()
        .zip(positions)
        .map(|(row, position)| {
            let value = position.split_once('=').map_or("", |(_, value)| value);
            let values: Vec<Value> = row
                .values
                .iter()
                .map(|(value, meaning)| json!({"value": value, "meaning": meaning}))
                .collect();
            json!({"row": row.row, "about": row.about, "value": value, "values": values})
        })
        .collect();
    reply::json(200, &Value::Array(rows))
}

/// `{"j1":"503"}`.
fn set_switches(state: &State, body: &[u8]) -> Result<(), String> {
    let Ok(Value::Object(fields)) = serde_json::from_slice(body) else {
        return Err("the body is an object such as {\"j1\":\"503\"}".to_owned());
    };
    let texts: Vec<String> = fields
        .iter()
        .map(|(row, value)| {
            format!("{row}={}", value.as_str().map_or_else(|| value.to_string(), str::to_owned))
        })
        .collect();
    state.set_switches(&texts).map_err(|error| error.to_string())
}

/// The plan in force, and the decisions so far.
fn faults(state: &State) -> Response<Body> {
    let plan = state.faults.plan();
    let seed = plan.seed().unwrap_or(state.seed);
    let answer = json!({
        "plan": plan.name(),
        "seed": seed,
        "rules": plan.rules().len(),
        "decisions": state.faults.log(),
    });
    reply::json(200, &answer)
}

/// A preset's name, or a plan as TOML.
fn set_faults(state: &State, body: &[u8]) -> Result<(), String> {
    let text = std::str::from_utf8(body).map_err(|_| "the body is not UTF-8".to_owned())?;
    let plan = match Faults::preset(text.trim()) {
        Ok(preset) => preset,
        Err(unknown) if !text.contains('=') => return Err(unknown.to_string()),
        Err(_) => Faults::from_toml(text).map_err(|error| {
            let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
            format!("{error}{}", cause.unwrap_or_default()).replace('\n', " ")
        })?,
    };
    state.set_faults(plan);
    Ok(())
}

/// `{"pause":ID}`, `{"unpause":ID}`, `{"revoke":ID}`.
fn set_key(state: &State, body: &[u8]) -> Result<Response<Body>, String> {
    const ALLOWED: &str = "the body is {\"pause\":ID}, {\"unpause\":ID} or {\"revoke\":ID}";
    let Ok(Value::Object(fields)) = serde_json::from_slice(body) else { return Err(ALLOWED.to_owned()) };
    if fields.is_empty() {
        return Err(ALLOWED.to_owned());
    }
    for (verb, id) in &fields {
        let standing = match verb.as_str() {
            "pause" => Standing::Paused,
            "unpause" => Standing::Active,
            "revoke" => Standing::Revoked,
            _ => return Err(ALLOWED.to_owned()),
        };
        let id = id.as_str().ok_or(ALLOWED)?;
        if !state.tokens.set_standing(id, standing) {
            return Err(format!("there is no key `{id}`, or it was revoked, which is for ever"));
        }
    }
    Ok(reply::json(200, &json!({"ok": true})))
}

fn jobs(state: &Arc<State>) -> Response<Body> {
    reply::json(200, &serde_json::to_value(Jobs(Arc::clone(state)).list()).unwrap_or(Value::Null))
}

/// `{"create":"activities","key":ID,"body":{…}}`, `{"end":JOB_ID,"state":"Canceled"}` or `{"job_time":"10m"}`.
fn set_jobs(state: &Arc<State>, body: &[u8]) -> Result<(), String> {
    const ALLOWED: &str = "the body is {\"create\":\"activities\",\"key\":ID,\"body\":{…}}, \
                           {\"end\":JOB_ID,\"state\":\"Canceled\"} or {\"job_time\":\"10m\"}";
    let Ok(Value::Object(fields)) = serde_json::from_slice(body) else { return Err(ALLOWED.to_owned()) };
    let jobs = Jobs(Arc::clone(state));
    let text = |name: &str| fields.get(name).and_then(Value::as_str).ok_or(ALLOWED);
    let mut names: Vec<&str> = fields.keys().map(String::as_str).collect();
    names.sort_unstable();
    match names[..] {
        ["body", "create", "key"] => {
            let resource = Resource::read(text("create")?).ok_or(ALLOWED)?;
            jobs.create(text("key")?, resource, &fields["body"].to_string())
                .map_err(|error| error.to_string())?;
        }
        ["end", "state"] => {
            let id = &fields["end"];
            let id = id.as_u64().or_else(|| id.as_str()?.parse().ok()).ok_or(ALLOWED)?;
            let how = JobEnd::read(text("state")?).ok_or("`state` is Completed, Failed or Canceled")?;
            if !jobs.end(id, how) {
                return Err(format!("there is no job {id}, or it has ended"));
            }
        }
        ["job_time"] => {
            let length = match &fields["job_time"] {
                Value::Null => None,
                value => Some(read_duration(value.as_str().ok_or(ALLOWED)?)?),
            };
            let length = length.map(Duration::try_from).transpose();
            jobs.set_job_time(length.map_err(|_| "`job_time` is not negative".to_owned())?);
        }
        _ => return Err(ALLOWED.to_owned()),
    }
    Ok(())
}
