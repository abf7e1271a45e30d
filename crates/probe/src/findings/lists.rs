//! What the lists of jobs told: their shape, and what other programs' jobs prove about limits. Contract (j.2) to (j.7),
//! (j.26), (j.34), (j.39).

use http::StatusCode;
use jiff::Timestamp;
use jiff::tz::Offset;
use serde_json::Value;

use super::Observed;
use crate::step::Step;
use crate::transcript::{JobView, Reply, Transcript};

/// All activities jobs that a list showed.
fn listed(transcript: &Transcript) -> Vec<JobView> {
    let lists = transcript.replies(Step::List).chain(transcript.replies(Step::ListAgain));
    let lists = lists.filter(|reply| reply.status.is_success());
    lists.max_by_key(|reply| reply.body.bytes).and_then(Reply::jobs).unwrap_or_default()
}

fn no_list(transcript: &Transcript) -> Observed {
    Observed::open(format!("the list of activities jobs was not seen: {}", transcript.why_not(Step::List)))
}

/// The shape of the list, and its order where two jobs were created at different times.
pub(super) fn order(transcript: &Transcript) -> Observed {
    let replies: Vec<&Reply> = transcript
        .replies(Step::List)
        .chain(transcript.replies(Step::ListAgain))
        .filter(|reply| reply.status.is_success())
        .collect();
    let Some(shape) = replies.iter().rev().find_map(|reply| shape(&reply.json()?)) else {
        return no_list(transcript);
    };
    let times = |reply: &&Reply| -> Vec<Timestamp> {
        let jobs = reply.jobs().unwrap_or_default();
        jobs.iter().filter_map(|job| job.time("job_created_time")).collect()
    };
    let times = replies.iter().map(times).max_by_key(Vec::len).unwrap_or_default();
    let count = times.len();
    let order = if times.first() == times.last() && times.windows(2).all(|pair| pair[0] == pair[1]) {
        None
    } else if times.is_sorted_by(|a, b| a >= b) {
        Some("newest-first")
    } else if times.is_sorted() {
        Some("oldest-first")
    } else {
        Some("in no order")
    };
    match (shape, order) {
        ("array", None) => Observed::open(format!("a bare array; {count} jobs show no order")),
        ("array", Some(order)) => {
            Observed::told(order.replace(' ', "-"), format!("a bare array, {order}, by {count} jobs"))
        }
        (shape, order) => {
            let order = order.unwrap_or("of unknown order");
            Observed::told(
                shape,
                format!("an object with the array under `{shape}`, {order}, by {count} jobs"),
            )
        }
    }
}

fn shape(list: &Value) -> Option<&'static str> {
    match list {
        Value::Array(_) => Some("array"),
        Value::Object(object) => {
            ["jobs", "data"].into_iter().find(|key| object.get(*key).is_some_and(Value::is_array))
        }
        _ => None,
    }
}

/// Whether more activities jobs ever ran at once than one pool for all allows.
pub(super) fn scope(transcript: &Transcript) -> Observed {
    let jobs = listed(transcript);
    if jobs.is_empty() {
        return no_list(transcript);
    }
    let running = |job: &JobView| {
        let started = job.time("job_start_time")?;
        Some((started, job.time("job_end_time").unwrap_or(Timestamp::MAX)))
    };
    let spans: Vec<_> = jobs.iter().filter_map(running).collect();
    // Times are whole seconds: one that ends in the second in which another starts does not overlap it.
    let at_once = |at: &Timestamp| spans.iter().filter(|(start, end)| start <= at && at < end).count();
    let most = spans.iter().map(|(start, _)| at_once(start)).max().unwrap_or(0);
    let seen = format!("at most {most} of {} listed activities jobs ran at once", spans.len());
    if most > 2 {
        Observed::told("more-than-one-pool", format!("{seen}, more than one pool of 2 allows"))
    } else {
        Observed::open(format!(
            "{seen}, which proves nothing; it takes many jobs at once, which are not for a probe"
        ))
    }
}

/// Whether another program's job was wider than the strictest count allows.
pub(super) fn counting(transcript: &Transcript) -> Observed {
    let jobs = listed(transcript);
    if jobs.is_empty() {
        return no_list(transcript);
    }
    let widest =
        |kind: &str| jobs.iter().filter(|job| job.is("export_type", kind)).filter_map(JobView::days).max();
    let (delta, snapshot) = (widest("delta").unwrap_or(0), widest("snapshot").unwrap_or(0));
    let seen = format!(
        "the widest listed delta has {delta} days, the widest snapshot {snapshot}, both ends counted"
    );
    match (delta, snapshot) {
        (15, _) => Observed::told("exclusive", format!("{seen}: the end does not count")),
        (16.., _) => Observed::told("wider", format!("{seen}: wider than the published limit by any count")),
        (_, 366) => Observed::told("366", format!("{seen}: a year has 366 days")),
        (_, 367..) => {
            Observed::told("exclusive", format!("{seen}: the end does not count, or the limit is wider"))
        }
        _ => Observed::open(format!("{seen}, which is legal by every count; a wider job is not for a probe")),
    }
}

/// Whether a listed contacts job was wider than a delta may be.
pub(super) fn contacts_range(transcript: &Transcript) -> Observed {
    let jobs = transcript.reply(Step::ListContacts).and_then(Reply::jobs).unwrap_or_default();
    match jobs.iter().filter_map(JobView::days).max() {
        Some(days) if days > 15 => Observed::told(
            "year",
            format!("a listed contacts job has {days} days, more than a delta may have"),
        ),
        Some(days) => Observed::open(format!(
            "the widest listed contacts job has {days} days; a wider one is not for a probe"
        )),
        None => Observed::open("a job wider than a day is not for a probe, and no list shows others'"),
    }
}

pub(super) fn contacts_list(transcript: &Transcript) -> Observed {
    let Some(reply) = transcript.reply(Step::ListContacts) else {
        return Observed::open(transcript.why_not(Step::ListContacts));
    };
    match (reply.status, reply.json().as_ref().and_then(shape)) {
        (StatusCode::NOT_FOUND, _) => Observed::told("404", "they can't be listed"),
        (status, Some(shape)) if status.is_success() => {
            let count = reply.jobs().unwrap_or_default().len();
            let under = if shape == "array" { String::new() } else { format!(" under `{shape}`") };
            Observed::told("array", format!("a list of {count} jobs{under}"))
        }
        (status, _) => Observed::open(format!("the service answered with HTTP {}", status.as_u16())),
    }
}

/// Whether a listed job asked for days after that of its creation, and was not refused for it.
pub(super) fn future(transcript: &Transcript) -> Observed {
    let jobs = listed(transcript);
    let ahead = |job: &&JobView| {
        let created = job.time("job_created_time").map(|time| Offset::UTC.to_datetime(time).date());
        created.zip(job.range()).is_some_and(|(created, (_, end))| end > created)
    };
    match jobs.iter().filter(ahead).count() {
        0 => Observed::open("no listed job reaches into the future, and our own ask for a day that is over"),
        count => {
            Observed::told("allowed", format!("{count} listed jobs ended after the day of their creation"))
        }
    }
}

pub(super) fn rate_limit(transcript: &Transcript) -> Observed {
    let notes = &transcript.notes;
    let headers = notes.rate_headers.iter().copied().collect::<Vec<_>>().join(", ");
    let headers = if headers.is_empty() {
        "no header told of a limit".to_owned()
    } else {
        format!("headers seen: {headers}")
    };
    match notes.rate_limited {
        0 if notes.sent == 0 => Observed::open("nothing was asked"),
        0 => Observed::open(format!(
            "{} requests met no limit; {headers}; provoking one is not for a probe",
            notes.sent
        )),
        count => Observed::told(
            "429",
            format!("{count} of {} requests were answered with 429; {headers}", notes.sent),
        ),
    }
}

pub(super) fn request_ids(transcript: &Transcript) -> Observed {
    let names: Vec<&str> = transcript.notes.request_id_headers.iter().copied().collect();
    if names.is_empty() {
        return Observed::open("no reply had a header of a known name with a request id");
    }
    Observed::told(names.join(","), "seen in replies")
}
