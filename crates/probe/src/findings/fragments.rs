//! What fragments told: how they are numbered, and whether together they are the whole. Contract (j.13) to (j.15).

use std::borrow::Cow;

use super::Observed;
use super::files::{BOTH, no_result, whole};
use crate::run::completed;
use crate::step::{Resource, Step};
use crate::transcript::{Reply, Transcript};

/// The fragments that were asked for, of the one job: number and reply.
fn asked_fragments(transcript: &Transcript) -> Option<(Resource, Vec<(u32, &Reply)>)> {
    BOTH.into_iter().find_map(|resource| {
        let of = |number| Some((number, transcript.reply(Step::Fragment(resource, number))?));
        let asked: Vec<_> = (0..8).filter_map(of).collect();
        (!asked.is_empty()).then_some((resource, asked))
    })
}

pub(super) fn numbering(transcript: &Transcript) -> Observed {
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

pub(super) fn of_small_files(transcript: &Transcript) -> Observed {
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
pub(super) fn headers(transcript: &Transcript) -> Observed {
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
