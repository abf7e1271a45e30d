//! What is said on stderr beside the steps of the work: lines for people, or one JSON object a line for programs.

use std::fmt;
use std::io::Write as _;

use serde::Serialize;

use crate::args::{Cli, Command};
use crate::exit::Failure;
use crate::output::without_controls;
use crate::progress::above_bars;

/// How stderr is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StderrFormat {
    Text,
    /// Each line is a JSON object, whose `event` says what it tells.
    JsonLines,
}

/// What is said that is no step of the work.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Said<'a> {
    Note {
        text: &'a str,
    },
    Error {
        /// The job that it concerns, where it isn't the whole run.
        #[serde(skip_serializing_if = "Option::is_none")]
        job: Option<&'a str>,
        message: &'a str,
        causes: &'a [String],
        #[serde(skip_serializing_if = "Option::is_none")]
        hint: Option<&'a str>,
        exit_code: u8,
    },
}

impl StderrFormat {
    /// As a command line asks for it.
    pub(crate) fn of(cli: &Cli) -> Self {
        match &cli.command {
            Command::Sync(args) => args.stderr(),
            _ => Self::Text,
        }
    }

    /// Says something that is no failure.
    pub(crate) fn note(self, text: &str) {
        match self {
            Self::Text => line(text),
            Self::JsonLines => write_json(&Said::Note { text }),
        }
    }

    /// Says that the run has failed, or one `job` of it.
    pub(crate) fn failure(self, job: Option<&str>, failure: &Failure) {
        match (self, job) {
            (Self::Text, None) => line(format_args!("error: {failure}")),
            (Self::Text, Some(job)) => line(format_args!("error: {job}: {failure}")),
            (Self::JsonLines, _) => write_json(&Said::Error {
                job,
                message: failure.message(),
                causes: &failure.causes(),
                hint: failure.hint(),
                exit_code: failure.exit.code(),
            }),
        }
    }
}

/// Writes one object on a line of its own.
pub(crate) fn write_json(value: &impl Serialize) {
    if let Ok(object) = serde_json::to_string(value) {
        write(&object);
    }
}

/// Writes a text and a line end, above the progress bars. That nobody listens any more is no failure of the work.
pub(crate) fn line(text: impl fmt::Display) {
    write(&without_controls(&text.to_string()));
}

fn write(text: &str) {
    let line = format!("{text}\n");
    let _ = above_bars(|| std::io::stderr().lock().write_all(line.as_bytes()));
}
