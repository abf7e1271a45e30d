//! What jobs told: their creation, their visibility, their ids, their ends. Contract (j.1), (j.9) to (j.12), (j.33), (j.35),
//! (j.36).

use std::time::Duration;

use super::Observed;
use crate::step::{Resource, Step};
use crate::transcript::{Exchange, JobView, Reply, Transcript};

const BOTH: [Resource; 2] = [Resource::Activities, Resource::Contacts];

pub(super) fn queue_full(transcript: &Transcript) -> Observed {
    let refused = BOTH.into_iter().find_map(|resource| {
        transcript.reply(Step::Create(resource)).filter(|reply| reply.speaks_of_a_full_queue())
    });
    match refused {
        Some(reply) => Observed::told(
            reply.status.as_u16().to_string(),
            "a creation was refused in words that speak of a full queue",
        ),
        None => Observed::open("it takes a full queue, which a probe neither fills nor adds to"),
    }
}

/// How a result was refused while its job was under way: certain only where the job had not completed in between.
pub(super) fn early_data(transcript: &Transcript) -> Observed {
    let asked = |resource: &Resource| transcript.exchange(Step::DataEarly(*resource)).is_some();
    let resource = BOTH.into_iter().find(asked).unwrap_or(Resource::Activities);
    let step = Step::DataEarly(resource);
    let Some(reply) = transcript.reply(step) else {
        let why = match transcript.exchange(step) {
            Some(_) => transcript.why_not(step),
            None if transcript.reply(Step::Create(resource)).is_some() => {
                "the job was never seen under way, or the budget did not reach so far".to_owned()
            }
            None => transcript.why_not(Step::Create(resource)),
        };
        return Observed::open(why);
    };
    let status = reply.status.as_u16();
    match status {
        400 | 403..=407 | 409..=428 => {
            Observed::told(status.to_string(), "refused while the job was queued or running")
        }
        200 | 204 if reply.body.bytes == 0 => {
            let after =
                transcript.exchange(step).and_then(|exchange| next_poll(transcript, resource, exchange.at));
            let still = after.is_some_and(|job| job.state().is_some() && !job.has_completed());
            let later = transcript.reply(Step::Whole(resource));
            if still || later.is_some_and(|reply| reply.status.is_success() && reply.body.bytes > 0) {
                Observed::told(status.to_string(), "an empty body while the job was queued or running")
            } else {
                Observed::open("an empty body came, but the job may have completed just then")
            }
        }
        200..=299 => Observed::open("the job had completed when its result was asked for"),
        _ => {
            Observed::open(format!("the service answered with HTTP {status}, which may have another reason"))
        }
    }
}

fn next_poll(transcript: &Transcript, resource: Resource, after: Duration) -> Option<JobView> {
    let later = |exchange: &&Exchange| exchange.step == Step::Poll(resource) && exchange.at >= after;
    transcript.exchanges.iter().filter(later).find_map(|exchange| exchange.outcome.as_ref().ok()?.job())
}

pub(super) fn failed_data(transcript: &Transcript) -> Observed {
    match transcript.reply(Step::ListedFailed) {
        Some(reply) if !reply.status.is_server_error() => Observed::told(
            reply.status.as_u16().to_string(),
            "for the result of a listed job that failed or was canceled",
        ),
        _ => Observed::open(transcript.why_not(Step::ListedFailed)),
    }
}

pub(super) fn expired_data(transcript: &Transcript) -> Observed {
    let Some(reply) = transcript.reply(Step::ExpiredData) else {
        return Observed::open(transcript.why_not(Step::ExpiredData));
    };
    let shown = match transcript.reply(Step::ExpiredStatus).map(|reply| reply.status) {
        Some(status) if status.is_success() => "the job itself is still shown",
        Some(_) => "the job itself is not shown any more",
        None => "the job itself was not seen",
    };
    match reply.status.as_u16() {
        status @ (404 | 410) => {
            Observed::told(status.to_string(), format!("for the result of an old job; {shown}"))
        }
        200..=299 => Observed::open("the result of the old job is still there"),
        status => Observed::open(format!("the service answered with HTTP {status}")),
    }
}

pub(super) fn failure_reason(transcript: &Transcript) -> Observed {
    let listed = transcript.reply(Step::List).and_then(Reply::jobs).unwrap_or_default();
    let failed: Vec<&JobView> = listed.iter().filter(|job| job.is("state", "Failed")).collect();
    match failed.iter().map(|job| job.unknown_keys()).max() {
        None => Observed::open("no listed job has failed"),
        Some(0) => Observed::told(
            "none",
            format!("{} listed jobs failed, and none has a key that tells why", failed.len()),
        ),
        Some(keys) => Observed::told(
            "some",
            format!("a listed job that failed has {keys} keys that nobody has told of"),
        ),
    }
}

/// Whether a job was seen right after its creation, and since when if not.
pub(super) fn visibility(transcript: &Transcript) -> Observed {
    let asked = |resource: &Resource| transcript.reply(Step::StatusAtOnce(*resource)).is_some();
    let Some(resource) = BOTH.into_iter().find(asked) else {
        let step = Step::StatusAtOnce(Resource::Activities);
        let created = transcript.reply(Step::Create(Resource::Activities)).is_some();
        return Observed::open(transcript.why_not(if created {
            step
        } else {
            Step::Create(Resource::Activities)
        }));
    };
    let looks = transcript.exchanges.iter().filter(
        |exchange| matches!(exchange.step, Step::StatusAtOnce(of) | Step::Poll(of) if of == resource),
    );
    let created = transcript.exchange(Step::Create(resource)).map_or(Duration::ZERO, |exchange| exchange.at);
    let mut hidden = None;
    for look in looks {
        let Ok(reply) = &look.outcome else { continue };
        let since = look.at.saturating_sub(created).as_secs_f64();
        let job = reply.job().filter(|_| reply.status.is_success());
        match (hidden, job) {
            (None, Some(job)) if job.state().is_some() => {
                return match look.step {
                    Step::StatusAtOnce(_) => {
                        Observed::told("visible", "seen with a state right after the creation")
                    }
                    _ => Observed::open(format!(
                        "seen with a state {since:.1} s after the creation, and not asked well before"
                    )),
                };
            }
            (None, Some(_)) => hidden = Some("stateless"),
            (None, None) if reply.status.as_u16() == 404 => hidden = Some("hidden"),
            // A refusal in passing says nothing about visibility.
            (None, None) => {}
            (Some(word), Some(job)) if job.state().is_some() => {
                return Observed::told(word, format!("seen with a state {since:.1} s after the creation"));
            }
            (Some(_), _) => {}
        }
    }
    match hidden {
        Some(word) => Observed::told(word, "and not seen with a state for as long as was asked"),
        None => Observed::open("the replies right after the creation told nothing"),
    }
}

/// What became of our jobs. That two of them ended doesn't prove that none is ever stuck.
pub(super) fn stuck(transcript: &Transcript) -> Observed {
    let mut ended = Vec::new();
    for resource in BOTH {
        let steps = [Step::Poll(resource), Step::StatusAtOnce(resource)];
        let last = steps.into_iter().find_map(|step| transcript.reply(step)?.job());
        let Some(job) = last else { continue };
        if job.has_completed() {
            ended.push(resource.as_str());
        } else if !job.has_failed() {
            let word = if job.is("state", "Queued") { "queued" } else { "running" };
            return Observed::told(
                word,
                format!("the job of {} had not ended when the run stopped asking", resource.as_str()),
            );
        }
    }
    match ended.as_slice() {
        [] => Observed::open(transcript.why_not(Step::Create(Resource::Activities))),
        ended => Observed::open(format!(
            "the jobs of {} completed, which doesn't prove that none is ever stuck",
            ended.join(" and ")
        )),
    }
}

pub(super) fn id_type(transcript: &Transcript) -> Observed {
    let listed = transcript.replies(Step::List).filter_map(Reply::jobs).flatten();
    let created = BOTH.into_iter().filter_map(|resource| transcript.reply(Step::Create(resource))?.job());
    let jobs: Vec<JobView> = listed.chain(created).collect();
    let numbers = jobs.iter().filter(|job| job.id_is_number).count();
    let digits = jobs.iter().all(|job| job.id.bytes().all(|byte| byte.is_ascii_digit()));
    let syntax = if digits { "digits only" } else { "not digits only" };
    let malformed = transcript.reply(Step::MalformedId).map_or(String::new(), |reply| {
        format!("; an id that can't be one is refused with HTTP {}", reply.status.as_u16())
    });
    match (jobs.len(), numbers) {
        (0, _) => Observed::open("no job was seen"),
        (all, 0) => Observed::told("string", format!("text in {all} jobs, {syntax}{malformed}")),
        (all, numbers) if numbers == all => {
            Observed::told("number", format!("a number in {all} jobs{malformed}"))
        }
        (all, numbers) => Observed::told("mixed", format!("a number in {numbers} of {all} jobs{malformed}")),
    }
}
