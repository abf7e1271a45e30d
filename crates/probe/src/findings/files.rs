//! What results told: how they are framed, compressed, cut into fragments and redirected. Contract (j.13) to (j.23).

use std::borrow::Cow;

use http::header;
use serde_json::Value;

use super::Observed;
use crate::run::completed;
use crate::step::{Resource, Step};
use crate::transcript::{BodyEnd, Reply, Transcript};

const BOTH: [Resource; 2] = [Resource::Activities, Resource::Contacts];

/// A whole result, if it was delivered.
fn whole(transcript: &Transcript, resource: Resource) -> Option<&Reply> {
    transcript.reply(Step::Whole(resource)).filter(|reply| reply.status.is_success())
}

fn no_result(transcript: &Transcript) -> Observed {
    let created = |resource: &Resource| transcript.reply(Step::Create(*resource)).is_some();
    let resource = BOTH.into_iter().find(created).unwrap_or(Resource::Activities);
    let step = if created(&resource) { Step::Whole(resource) } else { Step::Create(resource) };
    Observed::open(format!("no result was had: {}", transcript.why_not(step)))
}

/// The fragments that were asked for, of the one job: number and reply.
fn asked_fragments(transcript: &Transcript) -> Option<(Resource, Vec<(u32, &Reply)>)> {
    BOTH.into_iter().find_map(|resource| {
        let of = |number| Some((number, transcript.reply(Step::Fragment(resource, number))?));
        let asked: Vec<_> = (0..8).filter_map(of).collect();
        (!asked.is_empty()).then_some((resource, asked))
    })
}

pub(super) fn fragments(transcript: &Transcript) -> Observed {
    let Some((resource, asked)) = asked_fragments(transcript) else {
        return match whole(transcript, Resource::Activities).or_else(|| whole(transcript, Resource::Contacts))
        {
            Some(_) => Observed::open(transcript.why_not(Step::Fragment(Resource::Activities, 0))),
            None => no_result(transcript),
        };
    };
    let count = completed(transcript, resource).and_then(|job| job.number("fragments"));
    let there: Vec<(u32, &Reply)> =
        asked.iter().copied().filter(|(_, reply)| reply.status.is_success()).collect();
    let answers: Vec<String> =
        asked.iter().map(|(number, reply)| format!("{number}: HTTP {}", reply.status.as_u16())).collect();
    let answers = format!(
        "fragments {} of {} of a job of {}",
        answers.join(", "),
        count.map_or("an unstated number".to_owned(), |count| count.to_string()),
        resource.as_str()
    );
    let refused_in_passing =
        |(_, reply): &(u32, &Reply)| reply.status.is_server_error() || reply.status.as_u16() == 429;
    if asked.iter().any(refused_in_passing) {
        return Observed::open(format!("{answers}: not all were answered to the point"));
    }
    let plain = whole(transcript, resource).and_then(|reply| reply.body.plain());
    let is_whole = |reply: &Reply| plain.is_some() && reply.body.plain() == plain;
    if count.unwrap_or(0) > 1 && there.iter().any(|(_, reply)| is_whole(reply)) {
        return Observed::told("ignored", format!("{answers}; one of them is the whole result"));
    }
    let numbers: Vec<u32> = there.iter().map(|(number, _)| *number).collect();
    let base = match (numbers.as_slice(), asked.len()) {
        ([0, 1, ..], _) if count.unwrap_or(0) <= 1 => {
            return Observed::told(
                "ignored",
                format!("{answers}; there is one fragment, and two numbers get it"),
            );
        }
        ([0, ..], _) => "0",
        ([1, ..], _) if asked[0].0 == 0 => "1",
        _ => return Observed::open(format!("{answers}: no number was accepted that tells")),
    };
    Observed::told(base, format!("{answers}; {}", joined(plain.as_deref(), &there, count)))
}

/// Whether the fragments that were had are the whole, or its beginning.
fn joined(whole: Option<&[u8]>, there: &[(u32, &Reply)], count: Option<u64>) -> &'static str {
    let parts: Option<Vec<Cow<'_, [u8]>>> = there.iter().map(|(_, reply)| reply.body.plain()).collect();
    let (Some(whole), Some(parts)) = (whole, parts) else { return "too large to be compared with the whole" };
    let as_they_are: Vec<u8> = parts.concat();
    let header = whole.split_inclusive(|byte| *byte == b'\n').next().unwrap_or_default();
    let without_headers: Vec<u8> = parts
        .iter()
        .enumerate()
        .flat_map(|(at, part)| if at > 0 { part.strip_prefix(header).unwrap_or(part) } else { part })
        .copied()
        .collect();
    let all = parts.len() as u64 >= count.unwrap_or(0).max(1);
    let fits = |joined: &[u8]| if all { joined == whole } else { whole.starts_with(joined) };
    match (fits(&as_they_are), fits(&without_headers), all) {
        (true, _, true) => "together they are the whole, byte for byte",
        (true, _, false) => "those fetched are the beginning of the whole, byte for byte",
        (_, true, true) => "together they are the whole, but for repeated headers",
        (_, true, false) => "those fetched are the beginning of the whole, but for repeated headers",
        _ => "together they are not the whole",
    }
}

pub(super) fn small_fragments(transcript: &Transcript) -> Observed {
    let mut seen = None;
    for resource in BOTH {
        let Some(job) = completed(transcript, resource) else { continue };
        let bytes = whole(transcript, resource).map(|reply| reply.body.bytes);
        let of = format!(
            "for a result of {} bytes",
            bytes.map_or("unknown".to_owned(), |bytes| bytes.to_string())
        );
        match job.number("fragments") {
            Some(count @ (0 | 1)) if bytes != Some(0) => return Observed::told(count.to_string(), of),
            None => return Observed::told("absent", of),
            count => seen = count,
        }
    }
    match seen {
        Some(count) => {
            Observed::open(format!("no result was small and not empty; there were {count} fragments"))
        }
        None => no_result(transcript),
    }
}

/// Whether fragments behind the first begin with the header that the whole begins with.
pub(super) fn fragment_header(transcript: &Transcript) -> Observed {
    let Some((Resource::Contacts, asked)) = asked_fragments(transcript).filter(|_| transcript.contacts_csv)
    else {
        return Observed::open("it takes a contacts job in CSV with more than one fragment");
    };
    let there: Vec<&Reply> =
        asked.iter().map(|(_, reply)| *reply).filter(|reply| reply.status.is_success()).collect();
    let header = whole(transcript, Resource::Contacts).and_then(|reply| {
        let plain = reply.body.plain()?;
        plain.split_inclusive(|byte| *byte == b'\n').next().map(<[u8]>::to_vec)
    });
    let (Some(header), [_, later @ ..]) = (header, there.as_slice()) else {
        return Observed::open("the header, or a fragment behind the first, was not had");
    };
    let without_bom = header.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&header);
    let has = |reply: &&&Reply| {
        let plain = reply.body.plain().unwrap_or_default();
        plain.starts_with(&header) || plain.starts_with(without_bom)
    };
    match (later.iter().filter(has).count(), later.len()) {
        (_, 0) => Observed::open("it takes a contacts job in CSV with more than one fragment"),
        (0, all) => Observed::told("first", format!("none of {all} later fragments begins with the header")),
        (with, all) if with == all => {
            Observed::told("each", format!("each of {all} later fragments begins with the header"))
        }
        (with, all) => {
            Observed::told("some", format!("{with} of {all} later fragments begin with the header"))
        }
    }
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
