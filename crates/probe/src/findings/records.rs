//! What the records of the activities job told. It is a delta of one day that is over, so that the processing times in it
//! prove something: contract (j.24), (j.37), (j.41) to (j.44).

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use backstory_formats::{JsonLines, parse_timestamp};
use jiff::tz::Offset;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::Observed;
use crate::step::{Resource, Step};
use crate::transcript::Transcript;

/// So many rows of contacts without a repetition speak against repetitions in activities being of the same kind.
const ENOUGH_CONTACTS: usize = 50;

const DAY: SignedDuration = SignedDuration::from_hours(24);
/// A processing so near to midnight counts as one of the day: what is stamped and what is selected may be read from two
/// clocks.
const AT_MIDNIGHT: SignedDuration = SignedDuration::from_hours(1);

/// What was counted in the activities file.
#[derive(Default)]
struct Counted {
    records: usize,
    unreadable: usize,
    times: Vec<Timestamp>,
    /// Lines that stood there before.
    repeated_lines: usize,
    /// Keys that stood there before with another line.
    repeated_keys: usize,
    unknown_keys: usize,
    /// Processing times before, on and after the day that was asked for.
    before: usize,
    on: usize,
    after: usize,
}

fn counted(transcript: &Transcript) -> Result<Counted, Observed> {
    let step = Step::Whole(Resource::Activities);
    let Some(reply) = transcript.reply(step).filter(|reply| reply.status.is_success()) else {
        let created = transcript.reply(Step::Create(Resource::Activities)).is_some();
        let step = if created { step } else { Step::Create(Resource::Activities) };
        return Err(Observed::open(format!("no activities were had: {}", transcript.why_not(step))));
    };
    let (Some(plain), Some(day)) = (reply.body.plain(), transcript.day) else {
        return Err(Observed::open("the file is too large to be kept"));
    };
    let Ok(midnight) = Offset::UTC.to_timestamp(day.at(0, 0, 0, 0)) else {
        return Err(Observed::open("the day lies beyond the calendar"));
    };
    let mut counted = Counted::default();
    let mut lines: HashMap<u64, usize> = HashMap::new();
    let mut keys: HashMap<u64, u64> = HashMap::new();
    let hash = |bytes: &[u8]| {
        let mut hasher = DefaultHasher::new();
        bytes.hash(&mut hasher);
        hasher.finish()
    };
    let mut visit =
        |line: &[u8], activity: Result<backstory_formats::Activity<'_>, backstory_formats::Error>| {
            let Ok(activity) = activity else {
                counted.unreadable += 1;
                return;
            };
            counted.records += 1;
            counted.unknown_keys = counted.unknown_keys.max(activity.extra.len());
            let this = hash(line.trim_ascii_end());
            let seen = lines.entry(this).or_default();
            *seen += 1;
            let is_repetition = *seen > 1;
            counted.repeated_lines += usize::from(is_repetition);
            if let Some(uid) = &activity.uid
                && let Some(before) = keys.insert(hash(uid.as_bytes()), this)
            {
                counted.repeated_keys += usize::from(before != this && !is_repetition);
            }
            counted.times.extend(activity.timestamp.as_deref().and_then(parse_timestamp));
            let processed = activity.ingest_timestamp.as_deref().and_then(parse_timestamp);
            if let Some(processed) = processed {
                let side = if processed < midnight - AT_MIDNIGHT {
                    &mut counted.before
                } else if processed >= midnight + DAY + AT_MIDNIGHT {
                    &mut counted.after
                } else {
                    &mut counted.on
                };
                *side += 1;
            }
        };
    let mut decoder = JsonLines::new();
    let mut rows = decoder.feed(&plain);
    while let Some(row) = rows.next() {
        visit(row.raw(), row.activity());
    }
    if let Some(row) = decoder.finish() {
        visit(row.raw(), row.activity());
    }
    if counted.records == 0 {
        return Err(Observed::open(match counted.unreadable {
            0 => "the day has no activities; choose another with --day".to_owned(),
            lines => format!("none of {lines} lines could be read"),
        }));
    }
    Ok(counted)
}

/// Whether each record of a contacts file stands there once, by how many records; a repetition is one.
fn contacts_repeat(transcript: &Transcript) -> Option<(bool, usize)> {
    let reply =
        transcript.reply(Step::Whole(Resource::Contacts)).filter(|reply| reply.status.is_success())?;
    let (repeats, rows) = super::csv::repeats(&reply.body.plain().filter(|_| transcript.contacts_csv)?);
    Some((repeats > 0, rows))
}

pub(super) fn order(transcript: &Transcript) -> Observed {
    let counted = match counted(transcript) {
        Ok(counted) => counted,
        Err(open) => return open,
    };
    let contacts = contacts_repeat(transcript);
    let told = format!("{} records", counted.records);
    if contacts.is_some_and(|(repeat, _)| repeat) {
        let again = counted.repeated_lines;
        return Observed::told(
            "duplicated",
            format!("{again} of {told} occur again, and contacts repeat too"),
        );
    }
    if counted.repeated_lines > 0 && contacts.is_none_or(|(_, rows)| rows < ENOUGH_CONTACTS) {
        return Observed::open(format!(
            "{} of {told} occur again: repeats, or once for each processing (j.43)",
            counted.repeated_lines
        ));
    }
    let distinct = counted.times.windows(2).any(|pair| pair[0] != pair[1]);
    match counted.times.is_sorted() || counted.times.is_sorted_by(|a, b| a >= b) {
        _ if !distinct || counted.times.len() < 3 => {
            Observed::open(format!("too few to tell an order: {told}"))
        }
        true => Observed::told("sorted", format!("by `timestamp`, {told}")),
        false => Observed::told("shuffled", format!("not by `timestamp`, {told}")),
    }
}

pub(super) fn unknown_fields(transcript: &Transcript) -> Observed {
    match counted(transcript) {
        Ok(counted) => {
            let (records, unreadable) = (counted.records, counted.unreadable);
            let detail =
                format!("the most in one of {records} records; {unreadable} lines could not be read");
            Observed::told(counted.unknown_keys.to_string(), detail)
        }
        Err(open) => open,
    }
}

/// A record of a delta whose processing time lies before its day keeps its first; one behind its day shows its latest.
pub(super) fn ingest_timestamp(transcript: &Transcript) -> Observed {
    let counted = match counted(transcript) {
        Ok(counted) => counted,
        Err(open) => return open,
    };
    let Counted { before, on, after, .. } = counted;
    let seen = format!("{before} before the delta's day, {on} on it, {after} after it");
    match (before, after) {
        (0, 1..) => Observed::told("processing", format!("{seen}: it moves on with each processing")),
        (1.., 0) => Observed::told("first", format!("{seen}: it stays at an earlier processing")),
        (0, 0) => Observed::open(format!("{seen}, which fits both readings")),
        _ => Observed::open(format!("{seen}, which fits neither reading")),
    }
}

pub(super) fn state_in_delta(transcript: &Transcript) -> Observed {
    match counted(transcript) {
        Ok(Counted { after: after @ 1.., .. }) => {
            Observed::told("start", format!("{after} records show a processing after the delta's day"))
        }
        Ok(_) => {
            Observed::open("no record shows a processing after the delta's day, which fits both readings")
        }
        Err(open) => open,
    }
}

pub(super) fn twice_in_window(transcript: &Transcript) -> Observed {
    let counted = match counted(transcript) {
        Ok(counted) => counted,
        Err(open) => return open,
    };
    if counted.repeated_keys > 0 {
        return Observed::told(
            "each",
            format!("{} keys come again with another state", counted.repeated_keys),
        );
    }
    match (counted.repeated_lines, contacts_repeat(transcript)) {
        (0, _) => Observed::open("no record comes twice, and none need have been processed twice that day"),
        (lines, Some((false, rows))) if rows >= ENOUGH_CONTACTS => {
            Observed::told("each", format!("{lines} records come again, while none of {rows} contacts does"))
        }
        (lines, _) => {
            Observed::open(format!("{lines} records come again: repeats (j.24), or once for each processing"))
        }
    }
}

pub(super) fn earlier_day(transcript: &Transcript) -> Observed {
    match counted(transcript) {
        Ok(Counted { after: after @ 1.., .. }) => Observed::told(
            "every",
            format!("{after} records were processed again later, and are still in the earlier delta"),
        ),
        Ok(_) => Observed::open(
            "no record shows a later processing than the delta's day, which fits both readings",
        ),
        Err(open) => open,
    }
}

/// How many lines hold something.
pub(super) fn count_lines(plain: &[u8]) -> Option<u64> {
    Some(plain.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty()).count() as u64)
}

/// How many records a JSON container holds.
pub(super) fn count_json(plain: &[u8]) -> Option<u64> {
    match serde_json::from_slice(plain) {
        Ok(Value::Array(records)) => Some(records.len() as u64),
        Ok(Value::Object(object)) => {
            let array = object.values().find_map(Value::as_array);
            Some(array.map_or(1, |records| records.len() as u64))
        }
        Ok(_) => None,
        Err(_) => count_lines(plain),
    }
}
