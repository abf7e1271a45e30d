//! What the tables should reach, beside what they reach; and decoding alone, on one thread, beside other decoders.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use super::contenders::Contender;
use super::{Figures, call, report};

/// Decoding alone, in MB/s.
pub(crate) struct Decoding {
    figures: Vec<(String, f64)>,
}

/// Runs the decoders in turn, in one process.
pub(crate) fn decoding(
    root: &Path,
    activities: &Path,
    contacts: &Path,
    runs: usize,
) -> Result<Decoding, String> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), std::path::PathBuf::from);
    call(Command::new(cargo).current_dir(root).args([
        "build",
        "--quiet",
        "--release",
        "--package",
        "backstory-tables",
        "--example",
        "decoding_speed",
    ]))?;
    let program = target.join("release/examples/decoding_speed");
    let output = Command::new(&program).arg(runs.to_string()).args([activities, contacts]).output();
    let output = output.map_err(|error| format!("{} can't be run: {error}", program.display()))?;
    if !output.status.success() {
        return Err(format!("decoding failed: {}", String::from_utf8_lossy(&output.stderr)));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let figures = text.lines().filter_map(|line| {
        let (name, speed) = line.rsplit_once(' ')?;
        Some((name.to_owned(), speed.parse().ok()?))
    });
    Ok(Decoding { figures: figures.collect() })
}

impl Decoding {
    fn speed(&self, name: &str) -> f64 {
        self.figures.iter().find(|(known, _)| known == name).map_or(f64::NAN, |(_, speed)| *speed)
    }

    pub(crate) fn section(&self) -> String {
        let mut out =
            "\n## decoding alone, one thread, from memory\n\n| decoder | MB/s |\n|---|---|\n".to_owned();
        for (name, speed) in &self.figures {
            let _ = writeln!(out, "| {name} | {speed:.0} |");
        }
        out
    }
}

/// Each mark: what is compared, what it should come to, and what it comes to.
pub(crate) fn table(contenders: &[Contender], figures: &[Vec<Figures>], decoding: &Decoding) -> String {
    let find = |name: &str| contenders.iter().zip(figures).find(|(one, _)| one.name == name);
    let wall = |ours: &str, theirs: &str| {
        find(ours).zip(find(theirs)).map(|(ours, theirs)| report::wall(theirs.1) / report::wall(ours.1))
    };
    let processor = find("backstory")
        .zip(find("duckdb_nested"))
        .map(|(ours, theirs)| report::processor(ours.1) / report::processor(theirs.1));
    let size = find("backstory")
        .zip(find("duckdb_nested"))
        .map(|(ours, theirs)| report::size(ours.0) / report::size(theirs.0));
    let sizes: Vec<f64> = ["backstory (an eighth of it)", "backstory (all of it)", "backstory (repeated)"]
        .iter()
        .filter_map(|name| find(name))
        .map(|(_, figures)| report::memory(figures))
        .collect();
    let most = sizes.iter().copied().fold(0.0, f64::max);
    let growth = most / sizes.first().copied().unwrap_or(f64::NAN);
    let decoded = |ours: &str, theirs: &str| Some(decoding.speed(ours) / decoding.speed(theirs));
    let rows = [
        ("nested, speed against DuckDB", "≥ 3.0", wall("backstory", "duckdb_nested")),
        ("nested, processor time against DuckDB", "≤ 0.42", processor),
        ("nested, speed against ClickHouse", "≥ 3.0", wall("backstory", "chdb_nested")),
        ("nested, speed against Polars", "≥ 15", wall("backstory", "polars_nested")),
        ("nested, speed against dlt", "≥ 50", wall("backstory", "dlt_files")),
        ("relational, speed against DuckDB", "≥ 3.0", wall("backstory (flat)", "duckdb_relational")),
        ("peak memory, MiB", "≤ 128", Some(most)),
        ("its growth from the least input to the greatest", "≤ 1.10", Some(growth)),
        ("size of the nested file against DuckDB's", "≤ 1.05", size),
        (
            "decoding activities to batches against serde_json's borrowed structs",
            "≥ 1.8",
            decoded("activities, ours to batches", "activities, serde_json to borrowed structs"),
        ),
        (
            "decoding contacts to batches against arrow-csv",
            "≥ 3.0",
            decoded("contacts, ours to batches", "contacts, arrow-csv to batches"),
        ),
        (
            "contacts to Parquet, speed against DuckDB",
            "≥ 1.5",
            wall("backstory (contacts)", "duckdb_contacts"),
        ),
        ("nested, 2 threads against 1", "≥ 1.8", wall("backstory", "backstory, 1 thread")),
    ];
    let mut out = "\n## what should be reached\n\n| what | mark | reached |\n|---|---|---|\n".to_owned();
    for (what, mark, value) in rows {
        let value = value.map_or_else(|| "not measured".to_owned(), |value| format!("{value:.2}"));
        let _ = writeln!(out, "| {what} | {mark} | {value} |");
    }
    out
}
