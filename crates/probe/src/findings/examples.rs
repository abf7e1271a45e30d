//! Findings from exchanges made by hand: what the simulator can't be brought to show in a moment, and what a network does
//! to an observation.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::all;
use crate::report::Finding;
use crate::step::{Resource, Step};
use crate::transcript::{BodyEnd, BodyRead, Exchange, Reply, Transcript};

/// A reply with this body, which came whole.
fn reply(status: u16, body: impl Into<Bytes>) -> Reply {
    let kept: Bytes = body.into();
    let body = BodyRead { bytes: kept.len() as u64, kept, end: BodyEnd::Whole };
    Reply { status: StatusCode::from_u16(status).unwrap(), headers: HeaderMap::new(), redirect: None, body }
}

fn cut(mut reply: Reply) -> Reply {
    reply.body.end = BodyEnd::Cut;
    reply
}

fn with(mut reply: Reply, name: header::HeaderName, value: &'static str) -> Reply {
    reply.headers.insert(name, HeaderValue::from_static(value));
    reply
}

/// A transcript of these exchanges, a second apart.
fn transcript(exchanges: Vec<(Step, Reply)>) -> Transcript {
    let exchanges = exchanges.into_iter().enumerate().map(|(at, (step, reply))| {
        let at = Duration::from_secs(at as u64);
        Exchange { step, at, outcome: Ok(reply) }
    });
    let day = "2026-03-02".parse().ok();
    Transcript {
        exchanges: exchanges.collect(),
        day,
        contacts_csv: true,
        same_key: true,
        ..Transcript::default()
    }
}

fn finding(exchanges: Vec<(Step, Reply)>, row: &str) -> Finding {
    all(&transcript(exchanges)).into_iter().find(|finding| finding.row == row).unwrap()
}

fn observed(exchanges: Vec<(Step, Reply)>, row: &str) -> Option<String> {
    finding(exchanges, row).observed
}

/// The list with jobs of these fields, each with an id.
fn list(jobs: &[&str]) -> Vec<(Step, Reply)> {
    let jobs: Vec<String> =
        jobs.iter().enumerate().map(|(id, fields)| format!(r#"{{"job_id":"{id}",{fields}}}"#)).collect();
    vec![(Step::List, reply(200, format!("[{}]", jobs.join(","))))]
}

#[test]
fn three_jobs_that_ran_at_once_are_more_than_one_pool() {
    let ran = |from: &str, to: &str| {
        format!(r#""job_start_time":"2026-03-01T{from}Z","job_end_time":"2026-03-01T{to}Z""#)
    };
    let jobs = [ran("10:00:00", "10:00:09"), ran("10:00:02", "10:00:05"), ran("10:00:05", "10:00:09")];
    let jobs: Vec<&str> = jobs.iter().map(String::as_str).collect();
    // The third began when the second had ended.
    assert_eq!(observed(list(&jobs), "j.2"), None);
    let more = ran("10:00:04", "10:00:06");
    let jobs = [jobs[0], jobs[1], &more];
    assert_eq!(observed(list(&jobs), "j.2").as_deref(), Some("more-than-one-pool"));
}

#[test]
fn wide_jobs_of_others_show_how_days_are_counted() {
    let job = |kind: &str, from: &str, to: &str| {
        format!(r#""export_type":"{kind}","start_date":"{from}","end_date":"{to}""#)
    };
    let of = |kind, from, to| observed(list(&[job(kind, from, to).as_str()]), "j.3");
    assert_eq!(of("delta", "2026-01-01", "2026-01-14"), None);
    assert_eq!(of("Delta", "2026-01-01", "2026-01-15").as_deref(), Some("exclusive"));
    assert_eq!(of("snapshot", "2025-01-01", "2025-12-31"), None);
    assert_eq!(of("snapshot", "2025-01-01", "2026-01-01").as_deref(), Some("366"));
}

#[test]
fn a_listed_contacts_job_of_a_month_shows_that_contacts_may_be_wider_than_a_delta() {
    let list = |params: &str| {
        let params = serde_json::Value::from(params);
        vec![(Step::ListContacts, reply(200, format!(r#"[{{"job_id":7,"params":{params}}}]"#)))]
    };
    let month = list(r#"{"start_date":"2026-01-01","end_date":"2026-01-31"}"#);
    assert_eq!(observed(month, "j.4").as_deref(), Some("year"));
    assert_eq!(observed(list(r#"{"start_date":"2026-01-01","end_date":"2026-01-07"}"#), "j.4"), None);
    assert_eq!(observed(list("not json"), "j.4"), None);
}

#[test]
fn an_order_takes_two_times_and_a_shape_takes_none() {
    let jobs = |times: &[&str]| {
        let jobs: Vec<String> = times
            .iter()
            .map(|time| format!(r#"{{"job_id":"1","job_created_time":"2026-03-01T10:00:{time}Z"}}"#))
            .collect();
        jobs.join(",")
    };
    let of = |body: String| observed(vec![(Step::List, reply(200, body))], "j.7");
    assert_eq!(of(format!("[{}]", jobs(&["07", "05", "05"]))).as_deref(), Some("newest-first"));
    assert_eq!(of(format!("[{}]", jobs(&["05", "07"]))).as_deref(), Some("oldest-first"));
    assert_eq!(of(format!("[{}]", jobs(&["05", "07", "06"]))).as_deref(), Some("in-no-order"));
    assert_eq!(of(format!("[{}]", jobs(&["05", "05"]))), None);
    assert_eq!(of(r#"{"jobs":[]}"#.to_owned()).as_deref(), Some("jobs"));
    assert_eq!(observed(vec![(Step::List, reply(502, "<html>"))], "j.7"), None);
}

fn activity(uid: &str, processed: &str) -> String {
    format!(
        "{{\"uid\":\"{uid}\",\"type\":\"call\",\"timestamp\":\"2026-03-02T1{uid}:00:00\",\"ingest_timestamp\":\"{processed}\"}}\n"
    )
}

fn activities(lines: &[String]) -> Vec<(Step, Reply)> {
    vec![(Step::Whole(Resource::Activities), reply(200, lines.concat()))]
}

#[test]
fn processing_times_around_the_deltas_day_tell_how_records_are_processed_again() {
    let on = || activity("1", "2026-03-02T10:00:00Z");
    let later = activities(&[on(), activity("2", "2026-03-04T10:00:00Z")]);
    let told = all(&transcript(later));
    let word = |row: &str| told.iter().find(|finding| finding.row == row).unwrap().observed.clone();
    assert_eq!(word("j.41").as_deref(), Some("processing"));
    assert_eq!((word("j.42").as_deref(), word("j.44").as_deref()), (Some("start"), Some("every")));
    let earlier = || activities(&[on(), activity("2", "2026-02-27T10:00:00Z")]);
    assert_eq!(observed(earlier(), "j.41").as_deref(), Some("first"));
    assert_eq!(observed(earlier(), "j.44"), None);
    // So near to midnight it may be the other day by another clock.
    let near =
        activities(&[on(), activity("2", "2026-03-03T00:30:00Z"), activity("3", "2026-03-01T23:30:00Z")]);
    assert_eq!(observed(near, "j.41"), None);
}

#[test]
fn a_key_that_comes_again_in_another_state_is_not_a_repeat() {
    let twice = [activity("1", "2026-03-02T10:00:00Z"), activity("1", "2026-03-02T11:00:00Z")];
    assert_eq!(observed(activities(&twice), "j.43").as_deref(), Some("each"));
    let repeated = [twice[0].clone(), twice[0].clone()];
    assert_eq!(observed(activities(&repeated), "j.43"), None);
    assert_eq!(observed(activities(&repeated), "j.24"), None);
}

#[test]
fn a_body_that_breaks_off_at_different_bytes_says_nothing_of_its_last_chunk() {
    let step = Step::Whole(Resource::Activities);
    let cuts = |first: &'static str, second: &'static str| {
        vec![(step, cut(reply(200, first))), (step, cut(reply(200, second)))]
    };
    assert_eq!(observed(cuts("{}\n", "{}\n{}\n"), "j.21"), None);
    assert_eq!(observed(cuts("{}\n{\"a", "{}\n{\"a"), "j.21"), None);
    assert_eq!(observed(cuts("{}\n", "{}\n"), "j.21").as_deref(), Some("missing"));
    assert_eq!(
        observed(vec![(step, cut(reply(200, "{}"))), (step, reply(200, "{}\n"))], "j.21").as_deref(),
        Some("sent")
    );
}

#[test]
fn an_empty_early_answer_counts_only_if_the_job_had_not_completed_just_then() {
    let of = Resource::Activities;
    let status = |state: &str| reply(200, format!(r#"{{"job_id":"1","state":"{state}"}}"#));
    let asked = |then: Reply| {
        vec![
            (Step::Create(of), status("Queued")),
            (Step::DataEarly(of), reply(200, "")),
            (Step::Poll(of), then),
        ]
    };
    assert_eq!(observed(asked(status("Running")), "j.9").as_deref(), Some("200"));
    assert_eq!(observed(asked(status("Completed")), "j.9"), None);
    let refused = vec![(Step::DataEarly(of), reply(503, ""))];
    assert_eq!(observed(refused, "j.9"), None);
}

#[test]
fn a_failed_look_right_after_the_creation_does_not_make_a_job_hidden() {
    let of = Resource::Activities;
    let created = || (Step::Create(of), reply(200, r#"{"job_id":"1"}"#));
    let seen = || reply(200, r#"{"job_id":"1","state":"Queued"}"#);
    let looks = |first: Reply| vec![created(), (Step::StatusAtOnce(of), first), (Step::Poll(of), seen())];
    assert_eq!(observed(looks(reply(503, "")), "j.33"), None);
    let hidden = finding(looks(reply(404, "")), "j.33");
    assert_eq!((hidden.observed.as_deref(), hidden.detail.contains("2.0 s")), (Some("hidden"), true));
    assert_eq!(observed(looks(reply(200, r#"{"job_id":"1"}"#)), "j.33").as_deref(), Some("stateless"));
    assert_eq!(observed(looks(seen()), "j.33").as_deref(), Some("visible"));
}

#[test]
fn resuming_follows_only_from_the_right_bytes_with_a_validator() {
    let text: Vec<u8> = (0..200).collect();
    let asked = |part: std::ops::Range<usize>, tagged: bool| {
        let part = with(reply(206, text[part].to_vec()), header::CONTENT_RANGE, "bytes 1-64/200");
        let tag = |reply: Reply| if tagged { with(reply, header::ETAG, "\"v1\"") } else { reply };
        let whole = (Step::Whole(Resource::Activities), tag(reply(200, text.clone())));
        transcript(vec![whole, (Step::Range, tag(part))])
    };
    assert!(super::resume_is_proven(&asked(1..65, true)));
    assert!(!super::resume_is_proven(&asked(1..65, false)), "no validator");
    assert!(!super::resume_is_proven(&asked(0..64, true)), "other bytes");
}

#[test]
fn a_queue_that_is_full_is_told_by_the_status_of_the_creation() {
    let refused = |status, message: &str| {
        let body = format!(r#"{{"error":"x","message":"{message}"}}"#);
        observed(vec![(Step::Create(Resource::Activities), reply(status, body))], "j.1")
    };
    assert_eq!(refused(409, "Export job queue is full").as_deref(), Some("409"));
    assert_eq!(refused(400, "Invalid date range: the maximum is 14 days"), None);
    assert_eq!(refused(403, "HTTP 403 Forbidden"), None);
}

#[test]
fn a_failed_job_in_the_list_tells_whether_a_reason_is_given() {
    assert_eq!(observed(list(&[r#""state":"Failed""#]), "j.12").as_deref(), Some("none"));
    assert_eq!(observed(list(&[r#""state":"Failed","failure":"x""#]), "j.12").as_deref(), Some("some"));
    assert_eq!(observed(list(&[r#""state":"Completed""#]), "j.12"), None);
}

#[test]
fn nothing_that_the_service_sent_is_in_any_finding() {
    let secret = "hunter2";
    let evil = |status| {
        with(
            reply(status, format!(r#"{{"error":"{secret}","message":"{secret}"}}"#)),
            header::CONTENT_TYPE,
            "hunter2 x",
        )
    };
    let steps = [
        Step::List,
        Step::ListContacts,
        Step::ListByOtherKey,
        Step::ListByV3Token,
        Step::Create(Resource::Activities),
        Step::StatusAtOnce(Resource::Activities),
        Step::DataEarly(Resource::Activities),
        Step::Whole(Resource::Activities),
        Step::Whole(Resource::Contacts),
        Step::Compressed,
        Step::Range,
        Step::Fragment(Resource::Activities, 0),
        Step::ListedFailed,
        Step::ListedJson,
        Step::ExpiredData,
        Step::MalformedId,
    ];
    for status in [200, 206, 302, 400, 401, 404, 429, 500] {
        for step in steps {
            for finding in all(&transcript(vec![(step, evil(status))])) {
                assert!(!format!("{finding:?}").contains(secret), "{step:?} with {status}: {finding:?}");
            }
        }
    }
}
