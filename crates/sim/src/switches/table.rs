//! The table of switches: each row of contract section (j) that has alternatives, its default first.

use super::SwitchRow;

/// The rows, in the order of [`ROWS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Row {
    A3,
    J1,
    J2,
    J3,
    J4,
    J6,
    J7,
    J9,
    J11,
    J13,
    J14,
    J15,
    J16,
    J17,
    J18,
    J19,
    J20,
    J21,
    J22,
    J23,
    J24,
    J26,
    J29,
    J30,
    J31,
    J32,
    J33,
    J35,
    J36,
    J38,
    J41,
    J42,
    J43,
    J44,
}

const fn row(
    row: &'static str,
    about: &'static str,
    values: &'static [(&'static str, &'static str)],
) -> SwitchRow {
    SwitchRow { row, about, values }
}

pub(super) const ROWS: &[SwitchRow] = &[
    row(
        "a3",
        "a call for a token while one is alive",
        &[("new", "a new token; the old one lives on"), ("same", "the same token with its remaining life")],
    ),
    row(
        "j1",
        "the status of a create when 10 jobs are queued",
        &[
            ("429", "Too Many Requests"),
            ("400", "Bad Request"),
            ("403", "Forbidden"),
            ("409", "Conflict"),
            ("503", "Service Unavailable"),
        ],
    ),
    row(
        "j2",
        "who shares the limits of 2 running and 10 queued jobs",
        &[
            ("organisation", "all keys and both kinds of job"),
            ("resource", "activities and contacts have a pool each"),
            ("key", "each key has a pool"),
        ],
    ),
    row(
        "j3",
        "how a range's days are counted against 14 and 366",
        &[
            ("inclusive", "both ends count; a year has 366 days"),
            ("exclusive", "the end does not count; a year has 366 days"),
            ("365", "both ends count; a year has 365 days"),
        ],
    ),
    row(
        "j4",
        "the range limit of contacts",
        &[("year", "as a snapshot of activities"), ("14-days", "as a delta")],
    ),
    row(
        "j6",
        "whether contacts jobs can be listed",
        &[("404", "no"), ("array", "yes, as activities jobs are")],
    ),
    row(
        "j7",
        "the order and the shape of the job list",
        &[
            ("newest-first", "a bare array"),
            ("oldest-first", "a bare array"),
            ("jobs", "an object with the array under `jobs`"),
            ("data", "an object with the array under `data`"),
        ],
    ),
    row(
        "j9",
        "the status of /data before the job has completed",
        &[
            ("404", "Not Found"),
            ("400", "Bad Request"),
            ("409", "Conflict"),
            ("425", "Too Early"),
            ("200", "OK with an empty body"),
        ],
    ),
    row("j11", "the status of /data past retention", &[("404", "Not Found"), ("410", "Gone")]),
    row("j13", "the number of the first fragment", &[("0", "from 0"), ("1", "from 1")]),
    row(
        "j14",
        "`fragments` of a small file",
        &[("1", "1, and 0 for an empty one"), ("0", "0"), ("absent", "no such key")],
    ),
    row(
        "j15",
        "the CSV header of fragments after the first",
        &[("each", "each fragment has it"), ("first", "only the first has it")],
    ),
    row("j16", "the unit of `results_size`", &[("bytes", "bytes of the file"), ("records", "records")]),
    row(
        "j17",
        "the status of an empty result",
        &[("200", "OK with nothing but a header"), ("204", "No Content")],
    ),
    row("j18", "compression", &[("none", "never"), ("gzip", "gzip when the request accepts it")]),
    row(
        "j19",
        "a Range header",
        &[("ignore", "200 with all of the file"), ("206", "Partial Content with what was asked for")],
    ),
    row("j20", "the length of a file", &[("chunked", "not stated"), ("length", "stated by Content-Length")]),
    row("j21", "the last chunk of a file", &[("sent", "as HTTP has it"), ("missing", "cut after the data")]),
    row(
        "j22",
        "a redirect of /data to storage",
        &[("none", "no"), ("302", "to another origin that takes no token")],
    ),
    row(
        "j23",
        "the container of the JSON output format",
        &[
            ("array", "one array"),
            ("object", "an object with the array under `data`"),
            ("lines", "JSON Lines"),
        ],
    ),
    row(
        "j24",
        "the order of a file's records, and repeats",
        &[
            ("sorted", "by time, each once"),
            ("shuffled", "in no order"),
            ("duplicated", "by time, some twice"),
        ],
    ),
    row(
        "j26",
        "whether a range may end after today; a start after its end is always 400",
        &[("allowed", "yes"), ("future-400", "400")],
    ),
    row(
        "j29",
        "the status when a key of another type is used",
        &[("403", "Forbidden"), ("401", "Unauthorized"), ("404", "Not Found")],
    ),
    row(
        "j30",
        "tokens of a key that was paused or revoked",
        &[("dead", "die at once"), ("live", "live until they expire")],
    ),
    row(
        "j31",
        "the body of a refusal by a token endpoint",
        &[
            ("message", "`error` and `message`"),
            ("description", "`error` and `error_description`"),
            ("html", "a page of HTML"),
        ],
    ),
    row(
        "j32",
        "a token of the other endpoint's",
        &[("rejected", "401"), ("accepted", "as good as the right one")],
    ),
    row(
        "j33",
        "whether a job's status is visible right after it was created",
        &[
            ("visible", "at once"),
            ("hidden:SECONDS", "404 for so long"),
            ("stateless:SECONDS", "without `state` for so long"),
        ],
    ),
    row(
        "j35",
        "jobs that are stuck",
        &[("never", "none"), ("queued", "new jobs stay queued"), ("running", "new jobs run for ever")],
    ),
    row("j36", "the JSON type of job_id", &[("string", "digits in quotes"), ("number", "a number")]),
    row(
        "j38",
        "the dialect of CSV",
        &[
            ("plain", "RFC 4180, comma, `true` and `false`, no BOM"),
            ("bom", "the same with a BOM"),
            ("title-booleans", "`True` and `False`"),
        ],
    ),
    row(
        "j41",
        "`ingest_timestamp` of a record that is processed again",
        &[("processing", "the time of that processing"), ("first", "stays at the first ingestion")],
    ),
    row(
        "j42",
        "the state of a record in a delta",
        &[("start", "as at the job's start"), ("processing", "as at its processing in the window")],
    ),
    row(
        "j43",
        "a record that was processed twice in a delta's window",
        &[("once", "once, the latest"), ("each", "once per processing")],
    ),
    row(
        "j44",
        "whether a record that was processed again leaves the delta of its earlier day",
        &[("every", "listed under every day it was processed on"), ("latest", "only under the latest")],
    ),
];
