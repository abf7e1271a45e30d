//! What is written is read by others: pyarrow and DuckDB, from PyPI.
//!
//! The test needs a Python that has both: the one that `BACKSTORY_TEST_PYTHON` names, or `python3`. Under `CI` it makes an
//! environment of its own; elsewhere it says that it was skipped.

mod examples;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use backstory_tables::{
    ArrowOptions, BadRows, Compression, Conversion, ParquetOptions, Resource, SourceFormat,
};
use examples::{ACTIVITIES, origin};

fn succeeds(command: &mut Command) -> bool {
    command.status().is_ok_and(|status| status.success())
}

fn has_both(python: &Path) -> bool {
    Command::new(python)
        .args(["-c", "import duckdb, pyarrow"])
        .output()
        .is_ok_and(|output| output.status.success())
}

fn python() -> Option<PathBuf> {
    let named = std::env::var_os("BACKSTORY_TEST_PYTHON").map_or_else(|| "python3".into(), PathBuf::from);
    if has_both(&named) {
        return Some(named);
    }
    let environment = Path::new(env!("CARGO_TARGET_TMPDIR")).join("other-readers");
    let own = environment.join("bin/python");
    if std::env::var_os("CI").is_some() && !has_both(&own) {
        assert!(
            succeeds(Command::new(&named).args(["-m", "venv"]).arg(&environment)),
            "can't make a Python environment"
        );
        let install = ["-m", "pip", "install", "--quiet", "duckdb", "pyarrow", "pytz"];
        assert!(succeeds(Command::new(&own).args(install)), "can't install duckdb and pyarrow");
    }
    has_both(&own).then_some(own)
}

#[test]
fn pyarrow_and_duckdb_read_what_was_delivered() {
    let Some(python) = python() else {
        assert!(std::env::var_os("CI").is_none(), "no Python with duckdb and pyarrow");
        eprintln!(
            "skipped: no Python with duckdb and pyarrow (set BACKSTORY_TEST_PYTHON to one that has them)"
        );
        return;
    };
    let mut export = ACTIVITIES.to_owned();
    for row in 0..3_000 {
        let people = (0..row % 4)
            .map(|at| format!(r#"{{"name":"n{}","time_spent":{},"mood":"é{at}"}}"#, row % 50, row * at));
        let _ = writeln!(
            export,
            r#"{{"uid":"u{row}","timestamp":"2026-0{}-01T00:00:0{}","subject":"{}","all_day":{},"duration":{},"participants":[{}],"tags":{},"stats":{{"total_participants":{}}},"new":{{"a":[{row}]}}}}"#,
            row % 9 + 1,
            row % 10,
            "s\\\"".repeat(row % 7),
            row % 3 == 0,
            row as i64 * 77_777_777_777 - 5,
            people.collect::<Vec<_>>().join(","),
            if row % 2 == 0 { r#"["a","ü"]"# } else { "[]" },
            row % 5,
        );
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let (lines, parquet) = (folder.join("other-readers.jsonl"), folder.join("other-readers.parquet"));
    std::fs::write(&lines, &export).unwrap();
    let file = std::fs::File::create(&parquet).unwrap();
    let options = ParquetOptions::default().with_row_group_bytes(300_000);
    Conversion::new(Resource::Activities, SourceFormat::JsonLines, origin())
        .to_parquet(export.as_bytes(), file, &options, &mut BadRows::fail())
        .unwrap();
    let mut arrow = Vec::new();
    for (name, options) in [
        ("plain.arrow", ArrowOptions::default()),
        ("compressed.arrow", ArrowOptions::default().with_compression(Compression::Zstd(3))),
        ("stream.arrows", ArrowOptions::default().as_stream()),
    ] {
        let path = folder.join(format!("other-readers-{name}"));
        let file = std::fs::File::create(&path).unwrap();
        Conversion::new(Resource::Activities, SourceFormat::JsonLines, origin())
            .to_arrow(export.as_bytes(), file, &options, &mut BadRows::fail())
            .unwrap();
        arrow.push(path);
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/other_readers/check.py");
    let output = Command::new(python).arg(script).args([lines, parquet]).args(arrow).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
