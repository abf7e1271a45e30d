//! Switches: one for each unknown of the contract that has alternatives, section (j), named after its row.
//!
//! A switch is written `jN=VALUE`. The default of each row is what the simulator plays unless told otherwise; the other
//! values let a client be tested against what the live service might do instead. `a3` is the one conflict between
//! official sources that is not a row of (j).

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, ErrorKind};

/// One row's setting, read from `jN=VALUE` by [`Switch::parse`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Switch {
    row: usize,
    choice: Choice,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Choice {
    value: usize,
    /// For the values that end in `:SECONDS`.
    seconds: u32,
}

/// A row of the switch table: what it is about, the default and the alternatives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SwitchRow {
    /// The row of contract section (j), such as `j1`; `a3` is section (a.3).
    pub row: &'static str,
    /// What the row leaves open.
    pub about: &'static str,
    /// The values allowed and what each stands for; the first is the default. `SECONDS` stands for a number.
    pub values: &'static [(&'static str, &'static str)],
}

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

const ROWS: &[SwitchRow] = &[
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

impl Switch {
    /// Reads `jN=VALUE`.
    ///
    /// ```
    /// use backstory_sim::Switch;
    /// assert!(Switch::parse("j36=number").is_ok());
    /// let error = Switch::parse("j36=roman").unwrap_err();
    /// assert_eq!(error.to_string(), "switch `j36=roman`: j36 (the JSON type of job_id) takes string or number");
    /// ```
    ///
    /// # Errors
    /// An unknown row or value ([`ErrorKind::InvalidSwitch`]); the text lists what is allowed.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let refuse = |why: String| Error::new(ErrorKind::InvalidSwitch, format!("switch `{text}`: {why}"));
        let (name, value) = text
            .split_once('=')
            .ok_or_else(|| refuse("a switch is written jN=VALUE, such as j36=number".to_owned()))?;
        let (name, value) = (name.trim().to_ascii_lowercase(), value.trim().to_ascii_lowercase());
        let row = ROWS.iter().position(|known| known.row == name).ok_or_else(|| {
            let rows: Vec<&str> = ROWS.iter().map(|row| row.row).collect();
            refuse(format!("there is no row `{name}`; the rows are {}", join(&rows, "and")))
        })?;
        let choice = ROWS[row].values.iter().enumerate().find_map(|(index, (known, _))| {
            match known.strip_suffix("SECONDS") {
                Some(prefix) => value.strip_prefix(prefix)?.parse().ok(),
                None => (*known == value).then_some(0),
            }
            .map(|seconds| Choice { value: index, seconds })
        });
        choice.map(|choice| Self { row, choice }).ok_or_else(|| {
            let values: Vec<&str> = ROWS[row].values.iter().map(|(value, _)| *value).collect();
            refuse(format!("{name} ({}) takes {}", ROWS[row].about, join(&values, "or")))
        })
    }

    /// The table of all switches.
    pub fn list() -> &'static [SwitchRow] {
        ROWS
    }
}

fn join(words: &[&str], last: &str) -> String {
    match words {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [most @ .., end] => format!("{} {last} {end}", most.join(", ")),
    }
}

impl FromStr for Switch {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::parse(text)
    }
}

impl fmt::Display for Switch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let row = &ROWS[self.row];
        let value = row.values[self.choice.value].0;
        match value.strip_suffix("SECONDS") {
            Some(prefix) => write!(f, "{}={prefix}{}", row.row, self.choice.seconds),
            None => write!(f, "{}={value}", row.row),
        }
    }
}

/// The position of every switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Switches([Choice; ROWS.len()]);

impl Default for Switches {
    fn default() -> Self {
        Self([Choice::default(); ROWS.len()])
    }
}

impl Switches {
    pub(crate) fn apply(&mut self, switch: Switch) {
        self.0[switch.row] = switch.choice;
    }

    /// Every switch as it stands.
    pub(crate) fn all(&self) -> impl Iterator<Item = Switch> {
        self.0.iter().enumerate().map(|(row, choice)| Switch { row, choice: *choice })
    }

    /// Whether a row stands at a value, written as in the table.
    pub(crate) fn is(&self, row: Row, value: &str) -> bool {
        self.value(row) == value
    }

    /// The value of a row, as in the table.
    pub(crate) fn value(&self, row: Row) -> &'static str {
        ROWS[row as usize].values[self.0[row as usize].value].0
    }

    /// The number of a row whose values are HTTP statuses.
    pub(crate) fn status(&self, row: Row) -> u16 {
        self.value(row).parse().unwrap_or(500)
    }

    /// The seconds of a row's value that has some.
    pub(crate) fn seconds(&self, row: Row) -> u32 {
        self.0[row as usize].seconds
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_listed_value_is_read_and_written_back() {
        for row in Switch::list() {
            for (value, _) in row.values {
                let text = format!("{}={}", row.row, value.replace("SECONDS", "30"));
                assert_eq!(Switch::parse(&text).unwrap().to_string(), text);
            }
        }
    }

    #[test]
    fn every_row_is_named_as_in_the_table() {
        let rows =
            [(Row::A3, "a3"), (Row::J9, "j9"), (Row::J26, "j26"), (Row::J38, "j38"), (Row::J44, "j44")];
        for (row, name) in rows {
            assert_eq!(ROWS[row as usize].row, name);
        }
        assert_eq!(Row::J44 as usize + 1, ROWS.len());
    }

    #[test]
    fn an_unknown_switch_names_the_rows_and_an_unknown_value_the_values() {
        let row = Switch::parse("j99=1").unwrap_err().to_string();
        assert!(row.contains("j1, j2, j3") && row.contains("j36"), "{row}");
        let value = Switch::parse("j1=418").unwrap_err().to_string();
        assert!(value.contains("429, 400, 403, 409 or 503"), "{value}");
        assert!(Switch::parse("j33=hidden").is_err());
        assert!(Switch::parse("nonsense").is_err());
    }
}
