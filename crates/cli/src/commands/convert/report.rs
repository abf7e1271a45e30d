//! What the conversions have brought, for people and for machines, and how the run ends.

use std::collections::BTreeMap;
use std::path::Path;

use backstory_convert::{Converted, ConvertedFile, Error, ErrorKind};
use backstory_tables::Resource;
use indicatif::{HumanBytes, HumanCount};
use serde_json::{Value, json};

use crate::args::Common;
use crate::exit::{Exit, Failure};
use crate::output;
use crate::stderr::{self, StderrFormat};

/// All conversions of a run.
#[derive(Default)]
pub(super) struct Report {
    pub(super) done: Vec<Done>,
    pub(super) failed: Vec<(String, Error)>,
    /// Inputs that weren't begun, because they would have failed for the same reason.
    pub(super) left: usize,
    pub(super) seconds: f64,
    /// The rows went to standard output, so nothing else may.
    pub(super) takes_stdout: bool,
}

/// One that has brought its files.
pub(super) struct Done {
    pub(super) name: String,
    pub(super) resource: Resource,
    /// Its size as it lies on disk.
    pub(super) bytes: u64,
    pub(super) converted: Converted,
}

impl Report {
    pub(super) fn bad_rows(&self) -> u64 {
        self.done.iter().map(|done| done.converted.summary.bad_rows).sum()
    }

    fn files(&self) -> impl Iterator<Item = &ConvertedFile> {
        self.done.iter().flat_map(|done| &done.converted.files)
    }

    fn bytes_in(&self) -> u64 {
        self.done.iter().map(|done| done.bytes).sum()
    }

    fn rows(&self) -> u64 {
        self.done.iter().map(|done| done.converted.summary.rows).sum()
    }

    pub(super) fn tell(&self, common: &Common) -> Result<(), Failure> {
        if common.json {
            return output::json(&self.to_json());
        }
        if common.quiet || self.done.is_empty() {
            return Ok(());
        }
        let files: Vec<Vec<String>> = self
            .files()
            .map(|file| {
                let size = HumanBytes(file.bytes).to_string();
                vec![file.path.display().to_string(), HumanCount(file.rows).to_string(), size]
            })
            .collect();
        if !self.takes_stdout {
            output::line(output::table(&["file", "rows", "size"], &files))?;
        }
        stderr::line(self.in_short());
        Ok(())
    }

    /// What it took, in a sentence.
    pub(super) fn in_short(&self) -> String {
        let rate = self.bytes_in() as f64 / self.seconds.max(0.001);
        format!(
            "{} rows from {} in {:.1} s ({}/s)",
            HumanCount(self.rows()),
            HumanBytes(self.bytes_in()),
            self.seconds,
            HumanBytes(rate as u64)
        )
    }

    fn to_json(&self) -> Value {
        let mut tables: BTreeMap<&str, u64> = BTreeMap::new();
        for file in self.files() {
            *tables.entry(file.table).or_default() += file.rows;
        }
        let file = |file: &ConvertedFile| json!({"table": file.table, "path": path_text(&file.path), "rows": file.rows, "bytes": file.bytes, "sha256": file.sha256});
        let inputs: Vec<Value> = self
            .done
            .iter()
            .map(|done| {
                let (summary, files) = (&done.converted.summary, &done.converted.files);
                json!({
                    "input": done.name,
                    "resource": done.resource.as_str(),
                    "bytes": done.bytes,
                    "rows": summary.rows,
                    "bad_rows": summary.bad_rows,
                    "files": files.iter().map(file).collect::<Vec<_>>(),
                })
            })
            .collect();
        let failures: Vec<Value> =
            self.failed.iter().map(|(name, error)| json!({"input": name, "error": chain(error)})).collect();
        json!({
            "complete": self.failed.is_empty() && self.left == 0 && self.bad_rows() == 0,
            "rows": self.rows(),
            "bad_rows": self.bad_rows(),
            "bytes": self.bytes_in(),
            "seconds": self.seconds,
            "tables": tables,
            "inputs": inputs,
            "failures": failures,
        })
    }

    /// The exit code, with each failure and the bad rows on stderr.
    pub(super) fn outcome(self) -> Exit {
        for done in &self.done {
            for file in done.converted.files.iter().filter(|file| file.table == "quarantine") {
                let (rows, path) = (HumanCount(file.rows), file.path.display());
                stderr::line(format_args!(
                    "{rows} rows of {} could not be decoded and were set apart in {path}",
                    done.name
                ));
            }
        }
        let (landed, bad_rows) = (!self.done.is_empty(), self.bad_rows());
        let failures: Vec<Failure> = self.failed.into_iter().map(|(_, error)| failure(error)).collect();
        failures.iter().for_each(|failure| StderrFormat::Text.failure(None, failure));
        if self.left > 0 {
            stderr::line(format_args!(
                "{} more inputs were not begun; they would have failed in the same way",
                self.left
            ));
        }
        match failures.first() {
            None if bad_rows == 0 => Exit::Done,
            None => Exit::Partial,
            Some(_) if landed => {
                stderr::line("what was converted is whole");
                Exit::Partial
            }
            // Nothing came of it: the reason says more than that it is not all.
            Some(failure) => failure.exit,
        }
    }
}

/// A failed conversion as people are told of it.
pub(super) fn failure(error: Error) -> Failure {
    let exit = match error.kind() {
        ErrorKind::Usage | ErrorKind::Unrecognised => Exit::Usage,
        ErrorKind::Cancelled => Exit::Interrupted,
        _ => Exit::Failed,
    };
    let (message, hint) = (error.to_string(), error.hint());
    let failure = Failure::new(exit, message).with_source(error);
    match hint {
        Some(hint) => failure.with_hint(hint),
        None => failure,
    }
}

fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

fn path_text(path: &Path) -> String {
    path.display().to_string()
}
