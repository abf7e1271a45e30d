//! What follows from what was seen: for each unknown of contract (j), and (a.3), an observation or the reason why there
//! is none. Pure functions of the transcript, so that each can be tested with exchanges made by hand. Nothing that the
//! service sent goes into them but statuses, counts, and words of a fixed vocabulary.

mod csv;
#[cfg(test)]
mod examples;
mod files;
mod fragments;
mod jobs;
mod lists;
mod records;
mod tokens;

use crate::report::Finding;
use crate::transcript::Transcript;

pub(crate) use files::resume_is_proven;

/// What is known of a row after a run.
pub(crate) enum Observed {
    /// A word that stands for the observation, and what else was seen.
    Told(String, String),
    /// Why it can't be told.
    Open(String),
}

impl Observed {
    fn told(value: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::Told(value.into(), detail.into())
    }

    fn open(why: impl Into<String>) -> Self {
        Self::Open(why.into())
    }
}

/// A row: what is unknown, what the client does whichever way the truth lies, and how the transcript answers it.
struct Row {
    row: &'static str,
    question: &'static str,
    client: &'static str,
    answer: fn(&Transcript) -> Observed,
}

/// What a probe never asks, since the answer costs more than it is worth.
macro_rules! never {
    ($why:literal) => {
        |_| Observed::open($why)
    };
}

const ROWS: &[Row] = &[
    Row {
        row: "a.3",
        question: "a call for a token while one is alive",
        client: "counts the life from expires_in at receipt; right under both readings",
        answer: tokens::reissue,
    },
    Row {
        row: "j.1",
        question: "the refusal of a creation while the queue is full",
        client: "takes 429, and 400/403/409/503 that speak of a queue, for a full queue; waits for room",
        answer: jobs::queue_full,
    },
    Row {
        row: "j.2",
        question: "who shares the limits of 2 running and 10 queued jobs",
        client: "assumes one pool for all programs, keys and kinds of job",
        answer: lists::scope,
    },
    Row {
        row: "j.3",
        question: "how a range's days are counted",
        client: "14 and 365 days, both ends counted: legal by every count",
        answer: lists::counting,
    },
    Row {
        row: "j.4",
        question: "the range limit of contacts",
        client: "a year, unless limits.contacts_days says otherwise",
        answer: lists::contacts_range,
    },
    Row {
        row: "j.5",
        question: "a creation that is repeated after a lost reply",
        client: "never repeats it; adopts the job from the list",
        answer: never!("asking could create a job too many"),
    },
    Row {
        row: "j.6",
        question: "whether contacts jobs can be listed",
        client: "doesn't list them; keeps the ids",
        answer: lists::contacts_list,
    },
    Row {
        row: "j.7",
        question: "the order and the shape of the job list",
        client: "sorts by job_created_time; takes an array, or one under jobs or data",
        answer: lists::order,
    },
    Row {
        row: "j.8",
        question: "whether a job can be cancelled",
        client: "has no such call",
        answer: never!("trying it could cancel a job"),
    },
    Row {
        row: "j.9",
        question: "/data before the job has completed",
        client: "asks only after Completed",
        answer: jobs::early_data,
    },
    Row {
        row: "j.10",
        question: "/data of a job that failed or was canceled",
        client: "reports the state; no download",
        answer: jobs::failed_data,
    },
    Row {
        row: "j.11",
        question: "/data past retention",
        client: "takes 404 and 410 for expired by the job's age; creates the job again",
        answer: jobs::expired_data,
    },
    Row {
        row: "j.12",
        question: "the reason of a failure",
        client: "shows the whole job",
        answer: jobs::failure_reason,
    },
    Row {
        row: "j.13",
        question: "how fragments are numbered",
        client: "takes the whole file; fragments on request only",
        answer: fragments::numbering,
    },
    Row {
        row: "j.14",
        question: "`fragments` of a small file",
        client: "takes null, 0 and 1 for one whole file",
        answer: fragments::of_small_files,
    },
    Row {
        row: "j.15",
        question: "the CSV header of fragments after the first",
        client: "drops a first row that equals the header",
        answer: fragments::headers,
    },
    Row {
        row: "j.16",
        question: "the unit of results_size",
        client: "takes it as information only",
        answer: files::results_size,
    },
    Row {
        row: "j.17",
        question: "an empty result",
        client: "takes an empty 200 and a 204 for no records",
        answer: files::empty,
    },
    Row {
        row: "j.18",
        question: "compression",
        client: "asks for gzip, decodes it, and looks for it in bodies labelled plain",
        answer: files::compression,
    },
    Row {
        row: "j.19",
        question: "a Range header",
        client: "resumes by Range only with resume_downloads, and only what is proven to be the rest",
        answer: files::range,
    },
    Row {
        row: "j.20",
        question: "whether the length of a file is stated",
        client: "takes a cut for a failure either way",
        answer: files::length,
    },
    Row {
        row: "j.21",
        question: "the last chunk of a file",
        client: "refuses a file whose end isn't proven",
        answer: files::last_chunk,
    },
    Row {
        row: "j.22",
        question: "a redirect of /data to storage",
        client: "follows it, without the token on another host",
        answer: files::redirect,
    },
    Row {
        row: "j.23",
        question: "the container of the JSON format",
        client: "takes an array, an object with one, a lone object, and lines",
        answer: files::json_container,
    },
    Row {
        row: "j.24",
        question: "the order of a file's records, and repeats",
        client: "relies on neither",
        answer: records::order,
    },
    Row {
        row: "j.25",
        question: "activities that were deleted or cancelled, in a delta",
        client: "promises nothing about deletions",
        answer: never!("it takes somebody who deletes one"),
    },
    Row {
        row: "j.26",
        question: "whether a range may end after today",
        client: "takes today as provisional; ends there after a 400",
        answer: lists::future,
    },
    Row {
        row: "j.27",
        question: "a creation without export_type",
        client: "always sends it",
        answer: never!("asking could create a job of unknown kind"),
    },
    Row {
        row: "j.28",
        question: "unknown fields in a creation",
        client: "sends none",
        answer: never!("asking would create a job for nothing else"),
    },
    Row {
        row: "j.29",
        question: "a key of another type",
        client: "says on 401, 403 and 404 that the key may be of another type",
        answer: tokens::wrong_type,
    },
    Row {
        row: "j.30",
        question: "tokens of a key that was paused or revoked",
        client: "gets one new token after a 401, then stops",
        answer: never!("it takes an administrator who pauses a key"),
    },
    Row {
        row: "j.31",
        question: "the body of a refusal by the token endpoint",
        client: "goes by the status; reads message and error_description",
        answer: tokens::refusal,
    },
    Row {
        row: "j.32",
        question: "a token of the other endpoint",
        client: "keeps the tokens of the two apart",
        answer: tokens::other_endpoint,
    },
    Row {
        row: "j.33",
        question: "whether a job is visible right after its creation",
        client: "tolerates a 404 or a missing state for 120 s",
        answer: jobs::visibility,
    },
    Row {
        row: "j.34",
        question: "whether polls count in a rate limit",
        client: "keeps to 5 requests a second and 10 at once over all calls",
        answer: lists::rate_limit,
    },
    Row {
        row: "j.35",
        question: "jobs that are stuck",
        client: "waits as long as --deadline says, and leaves the job alone",
        answer: jobs::stuck,
    },
    Row {
        row: "j.36",
        question: "the JSON type of job_id",
        client: "takes text and numbers; keeps text",
        answer: jobs::id_type,
    },
    Row {
        row: "j.37",
        question: "fields of activities that nobody has told of",
        client: "keeps them in `extra`",
        answer: records::unknown_fields,
    },
    Row {
        row: "j.38",
        question: "the dialect of CSV, and further columns",
        client: "strips a BOM; maps columns by name; reads booleans in any case",
        answer: csv::dialect,
    },
    Row {
        row: "j.39",
        question: "headers with request ids",
        client: "tells any *request-id* with an error",
        answer: lists::request_ids,
    },
    Row {
        row: "j.40",
        question: "paging in REST while data is written",
        client: "doesn't read REST",
        answer: never!("this probe asks the bulk API only"),
    },
    Row {
        row: "j.41",
        question: "ingest_timestamp of a record that is processed again",
        client: "orders versions by ingest_timestamp, then by the job's time",
        answer: records::ingest_timestamp,
    },
    Row {
        row: "j.42",
        question: "the state of a record in a delta",
        client: "the same order of versions",
        answer: records::state_in_delta,
    },
    Row {
        row: "j.43",
        question: "a record that was processed twice in a delta's window",
        client: "merges by the order of versions",
        answer: records::twice_in_window,
    },
    Row {
        row: "j.44",
        question: "whether a record that was processed again leaves the delta of its earlier day",
        client: "never takes a row back because a window lacks it",
        answer: records::earlier_day,
    },
];

/// A finding for every row, in their order.
pub(crate) fn all(transcript: &Transcript) -> Vec<Finding> {
    ROWS.iter()
        .map(|row| {
            let (observed, detail) = match (row.answer)(transcript) {
                Observed::Told(value, detail) => (Some(value), detail),
                Observed::Open(why) => (None, why),
            };
            Finding { row: row.row, question: row.question, observed, detail, client: row.client }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transcript_of_nothing_tells_nothing_and_says_why_for_every_row() {
        let findings = all(&Transcript::default());
        assert_eq!(findings.len(), 45);
        for finding in &findings {
            assert!(finding.observed.is_none() && !finding.detail.is_empty(), "{finding:?}");
        }
        let rows: Vec<_> = findings.iter().skip(1).map(|finding| finding.row).collect();
        let expected: Vec<_> = (1..=44).map(|row| format!("j.{row}")).collect();
        assert_eq!(rows, expected);
    }
}
