//! What results told: how they are framed, compressed and redirected. Contract (j.16) to (j.23).

use http::header;
use serde_json::Value;

use super::Observed;
use crate::run::completed;
use crate::step::{Resource, Step};
use crate::transcript::{BodyEnd, Reply, Transcript};

pub(super) const BOTH: [Resource; 2] = [Resource::Activities, Resource::Contacts];

/// A whole result, if it was delivered.
pub(super) fn whole(transcript: &Transcript, resource: Resource) -> Option<&Reply> {
    transcript.reply(Step::Whole(resource)).filter(|reply| reply.status.is_success())
}

pub(super) fn no_result(transcript: &Transcript) -> Observed {
    let created = |resource: &Resource| transcript.reply(Step::Create(*resource)).is_some();
    let resource = BOTH.into_iter().find(created).unwrap_or(Resource::Activities);
    let step = if created(&resource) { Step::Whole(resource) } else { Step::Create(resource) };
    Observed::open(format!("no result was had: {}", transcript.why_not(step)))
}

pub(super) fn results_size(transcript: &Transcript) -> Observed {
    let mut compared = Vec::new();
    for resource in BOTH {
        let (Some(job), Some(reply)) = (completed(transcript, resource), whole(transcript, resource)) else {
            continue;
        };
        let (Some(size), Some(plain)) = (job.number("results_size"), reply.body.plain()) else { continue };
        let records = match resource {
            Resource::Activities => super::records::count_lines(&plain),
            Resource::Contacts if transcript.contacts_csv => super::csv::count_rows(&plain),
            Resource::Contacts => super::records::count_json(&plain),
        };
        if plain.is_empty() || records == Some(0) {
            continue;
        }
        let bytes = plain.len() as u64;
        let unit = match (size == bytes, records == Some(size)) {
            (true, false) => "bytes",
            (false, true) => "records",
            (true, true) => continue,
            (false, false) if reply.body.is_gzip() && size == reply.body.bytes => "compressed-bytes",
            (false, false) => "neither",
        };
        compared.push((
            unit,
            format!(
                "{size} for {bytes} bytes of {}",
                records.map_or("unknown records".to_owned(), |records| format!("{records} records"))
            ),
        ));
    }
    match compared.as_slice() {
        [] if BOTH.iter().any(|resource| whole(transcript, *resource).is_some()) => {
            Observed::open("no job stated a results_size that could be compared with its result")
        }
        [] => no_result(transcript),
        [(unit, seen)] => Observed::told(*unit, seen.clone()),
        [(unit, seen), (other, too), ..] if unit == other => Observed::told(*unit, format!("{seen}; {too}")),
        [(_, seen), (_, too), ..] => Observed::open(format!("the two jobs disagree: {seen}; {too}")),
    }
}

/// What a result without a record looks like: a listed one, or one of ours.
pub(super) fn empty(transcript: &Transcript) -> Observed {
    let ours = BOTH.into_iter().filter_map(|resource| {
        let reply = whole(transcript, resource)?;
        let empty = reply.body.bytes == 0
            || transcript.contacts_csv
                && resource == Resource::Contacts
                && reply.body.plain().is_some_and(|plain| super::csv::count_rows(&plain) == Some(0));
        empty.then_some(reply)
    });
    let listed = transcript.reply(Step::ListedEmpty).filter(|reply| reply.status.is_success());
    match listed.into_iter().chain(ours).next() {
        Some(reply) => {
            let what = if reply.body.bytes == 0 { "with no bytes" } else { "with a header alone" };
            Observed::told(reply.status.as_u16().to_string(), what)
        }
        None => Observed::open(format!("our results had records; {}", transcript.why_not(Step::ListedEmpty))),
    }
}

pub(super) fn compression(transcript: &Transcript) -> Observed {
    let Some(reply) = transcript.reply(Step::Compressed).filter(|reply| reply.status.is_success()) else {
        let had = BOTH.iter().any(|resource| whole(transcript, *resource).is_some());
        return if had {
            Observed::open(transcript.why_not(Step::Compressed))
        } else {
            no_result(transcript)
        };
    };
    let unasked =
        BOTH.iter().any(|resource| whole(transcript, *resource).is_some_and(|reply| reply.body.is_gzip()));
    let label = reply.header(header::CONTENT_ENCODING).is_some();
    match (reply.body.is_gzip(), unasked, label) {
        _ if reply.body.bytes == 0 => Observed::open("the result has no bytes"),
        (true, true, _) => Observed::told("always-gzip", "compressed also when it was not asked for"),
        (true, false, true) => Observed::told("gzip", "compressed when the request accepts it"),
        (true, false, false) => {
            Observed::told("gzip", "compressed when the request accepts it, and not labelled so")
        }
        (false, ..) => Observed::told("none", "plain, though the request accepted gzip"),
    }
}

/// A strong validator of a reply, by which a part can be proven to be of the same thing.
fn has_validator(reply: &Reply) -> bool {
    let strong = reply.header(header::ETAG).is_some_and(|tag| tag.starts_with('"'));
    strong || reply.header(header::LAST_MODIFIED).is_some()
}

fn ranged(transcript: &Transcript) -> Option<(&Reply, &Reply)> {
    let range = transcript.reply(Step::Range)?;
    let whole = BOTH.into_iter().find_map(|resource| whole(transcript, resource))?;
    Some((range, whole))
}

/// Whether a download may resume by `Range`: the right bytes came, and a validator proves them.
pub(crate) fn resume_is_proven(transcript: &Transcript) -> bool {
    let Some((range, whole)) = ranged(transcript) else { return false };
    let right =
        range.body.all().zip(whole.body.all()).is_some_and(|(part, all)| all.get(1..=64) == Some(&part[..]));
    let stated = range.header(header::CONTENT_RANGE).is_some_and(|text| text.starts_with("bytes 1-64/"));
    range.status.as_u16() == 206 && right && stated && has_validator(range) && has_validator(whole)
}

pub(super) fn range(transcript: &Transcript) -> Observed {
    let Some((range, whole)) = ranged(transcript) else {
        let had = BOTH.iter().any(|resource| self::whole(transcript, *resource).is_some());
        return if had { Observed::open(transcript.why_not(Step::Range)) } else { no_result(transcript) };
    };
    let validator = match (has_validator(range), range.headers.contains_key(header::ACCEPT_RANGES)) {
        (true, _) => "with a validator",
        (false, true) => "without a validator, though it names Accept-Ranges",
        (false, false) => "without a validator, by which a download could prove what it resumes",
    };
    match range.status.as_u16() {
        206 if whole.body.bytes < 65 => {
            Observed::told("206", format!("{validator}; the result is too short to compare"))
        }
        206 => {
            let right = range
                .body
                .all()
                .zip(whole.body.all())
                .is_some_and(|(part, all)| all.get(1..=64) == Some(&part[..]));
            let bytes = if right { "the right bytes" } else { "not the bytes that were asked for" };
            Observed::told("206", format!("{bytes}, {validator}"))
        }
        200 => Observed::told("ignore", "HTTP 200 with all of the result"),
        status @ 400..=499 => Observed::told(status.to_string(), "a Range header is refused"),
        status => Observed::open(format!("the service answered with HTTP {status}")),
    }
}

pub(super) fn length(transcript: &Transcript) -> Observed {
    let Some(reply) = BOTH.into_iter().find_map(|resource| whole(transcript, resource)) else {
        return no_result(transcript);
    };
    let kind = reply.header(header::CONTENT_TYPE).map_or("no Content-Type".to_owned(), media_type);
    match (reply.header(header::CONTENT_LENGTH), reply.header(header::TRANSFER_ENCODING)) {
        (Some(_), _) => Observed::told("length", format!("Content-Length is there; {kind}")),
        (None, Some(_)) => Observed::told("chunked", format!("no Content-Length; {kind}")),
        (None, None) => Observed::told("not-stated", format!("neither Content-Length nor chunks; {kind}")),
    }
}

/// A content type without parameters that nobody expects.
fn media_type(text: &str) -> String {
    let (kind, parameters) = text.split_once(';').unwrap_or((text, ""));
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "/.+-".contains(letter);
    if !kind.trim().chars().all(plain) {
        return "a Content-Type that is malformed".to_owned();
    }
    let charset =
        if parameters.to_ascii_lowercase().contains("charset=utf-8") { ", UTF-8" } else { ", no charset" };
    format!("{}{charset}", kind.trim())
}

/// Whether results end as they should: a body that broke off twice at one byte, with its last line whole, was never
/// ended.
pub(super) fn last_chunk(transcript: &Transcript) -> Observed {
    let mut broken = false;
    for resource in BOTH {
        let replies: Vec<&Reply> =
            transcript.replies(Step::Whole(resource)).filter(|reply| reply.status.is_success()).collect();
        if replies.iter().any(|reply| reply.body.end == BodyEnd::Whole) {
            return Observed::told("sent", "a result ended as HTTP has it");
        }
        if replies.iter().any(|reply| reply.body.end == BodyEnd::Unproven) {
            return Observed::told(
                "missing",
                "a result ended with the connection, without a length or chunks",
            );
        }
        broken |= !replies.is_empty();
        if let [first, second, ..] = replies.as_slice()
            && first.body.bytes == second.body.bytes
            && second.body.bytes > 0
            && second
                .body
                .plain()
                .is_some_and(|plain| plain.ends_with(b"\n") || plain.ends_with(b"]") || plain.ends_with(b"}"))
        {
            return Observed::told(
                "missing",
                "a result broke off twice at the same byte, behind a whole record",
            );
        }
    }
    if broken {
        Observed::open("results broke off, and not twice at the same byte")
    } else {
        no_result(transcript)
    }
}

pub(super) fn redirect(transcript: &Transcript) -> Observed {
    let data = |exchange: &&crate::transcript::Exchange| {
        matches!(exchange.step, Step::Whole(_) | Step::ListedEmpty | Step::ListedJson)
    };
    let mut replies =
        transcript.exchanges.iter().filter(data).filter_map(|exchange| exchange.outcome.as_ref().ok());
    match replies.clone().find_map(|reply| reply.redirect) {
        Some(redirect) => {
            let to = if redirect.other_origin {
                "another origin, which was sent no token"
            } else {
                "the same origin"
            };
            Observed::told(redirect.status.as_u16().to_string(), format!("to {to}"))
        }
        None if replies.any(|reply| reply.status.is_success()) => {
            Observed::told("none", "results come from the API itself")
        }
        None => no_result(transcript),
    }
}

pub(super) fn json_container(transcript: &Transcript) -> Observed {
    let ours = whole(transcript, Resource::Contacts).filter(|_| !transcript.contacts_csv);
    let listed = transcript.reply(Step::ListedJson).filter(|reply| reply.status.is_success());
    let Some(reply) = ours.or(listed) else {
        return Observed::open(format!(
            "our jobs had other formats; {}",
            transcript.why_not(Step::ListedJson)
        ));
    };
    let text = reply.body.kept.trim_ascii();
    let lines = || text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty());
    let is_object = |line: &[u8]| matches!(serde_json::from_slice(line), Ok(Value::Object(_)));
    match text.first() {
        None => Observed::open("the result is empty"),
        Some(b'[') => Observed::told("array", "one array"),
        Some(b'{') if lines().nth(1).is_some() && lines().take(1).all(is_object) => {
            Observed::told("lines", "one object a line")
        }
        Some(b'{') => {
            let array = ["data", "contacts", "records", "results"].into_iter().find(|key| {
                let start = format!("{{\"{key}\":[");
                let squeezed: Vec<u8> =
                    text.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).take(64).collect();
                squeezed.starts_with(start.as_bytes())
            });
            match array {
                Some(key) => Observed::told("object", format!("an object with the array under `{key}`")),
                None => Observed::told("lone-object", "one object that does not begin with an array"),
            }
        }
        Some(_) => Observed::open("the result is no JSON"),
    }
}
