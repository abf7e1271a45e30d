//! A lake is read by others: DuckDB through its views, pandas, pyarrow and Polars from its files.
//!
//! The test needs a Python that has all four: the one that `BACKSTORY_TEST_PYTHON` names, or `python3`. Under `CI` it makes
//! an environment of its own; elsewhere it says that it was skipped.

mod deliver;

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use backstory_destination::Destination;
use backstory_lake::Lake;
use backstory_tables::{Resource, describe_relational};
use deliver::{activity, at, contacts, delta, folder, load};

fn has_all(python: &Path) -> bool {
    let imports = ["-c", "import duckdb, pandas, polars, pyarrow, pytz"];
    Command::new(python).args(imports).output().is_ok_and(|output| output.status.success())
}

/// Made once for all tests here: two that installed into one environment at a time would break each other's.
fn python() -> Option<PathBuf> {
    static PYTHON: OnceLock<Option<PathBuf>> = OnceLock::new();
    PYTHON.get_or_init(find_or_make_python).clone()
}

fn find_or_make_python() -> Option<PathBuf> {
    let named = std::env::var_os("BACKSTORY_TEST_PYTHON").map_or_else(|| "python3".into(), PathBuf::from);
    if has_all(&named) {
        return Some(named);
    }
    let environment = Path::new(env!("CARGO_TARGET_TMPDIR")).join("lake-readers");
    let own = environment.join("bin/python");
    if std::env::var_os("CI").is_some() && !has_all(&own) {
        let succeeds = |command: &mut Command| command.status().is_ok_and(|status| status.success());
        assert!(succeeds(Command::new(&named).args(["-m", "venv"]).arg(&environment)), "no environment");
        let install = ["-m", "pip", "install", "--quiet", "duckdb", "pandas", "polars", "pyarrow", "pytz"];
        assert!(
            succeeds(Command::new(&own).args(install)),
            "can't install duckdb, pandas, polars and pyarrow"
        );
    }
    if has_all(&own) {
        return Some(own);
    }
    assert!(std::env::var_os("CI").is_none(), "no Python with duckdb, pandas, polars and pyarrow");
    eprintln!(
        "skipped: no Python with duckdb, pandas, polars and pyarrow (set BACKSTORY_TEST_PYTHON to one that has them)"
    );
    None
}

/// What readers should find.
struct Expected {
    subjects: BTreeMap<String, Option<&'static str>>,
    versions: u64,
    observations: u64,
}

impl Expected {
    fn set(&mut self, key: &str, subject: &'static str) {
        self.subjects.insert(key.to_owned(), Some(subject));
    }

    fn is_found(&self, python: &Path, lake: &Lake) {
        let tables: Vec<_> =
            Resource::ALL.iter().flat_map(|resource| describe_relational(*resource)).collect();
        let columns: BTreeMap<_, Vec<_>> = tables
            .iter()
            .map(|table| (table.name, table.columns.iter().map(|column| column.name.as_str()).collect()))
            .collect();
        let expected = serde_json::json!({
            "tables": lake.tables().unwrap(),
            "columns": columns,
            "subjects": self.subjects,
            "versions": self.versions,
            "observations": self.observations,
        });
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/other_readers/check.py");
        let output = Command::new(python)
            .arg(script)
            .arg(lake.folder())
            .arg(expected.to_string())
            .current_dir("/")
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn duckdb_pandas_pyarrow_and_polars_agree_with_the_lake_in_every_state() {
    let Some(python) = python() else { return };
    let folder = folder();
    let lake = Lake::open_or_create(folder.path().join("it's a [lake]*?")).unwrap();
    let mut expected = Expected { subjects: BTreeMap::new(), versions: 0, observations: 0 };
    expected.is_found(&python, &lake);

    // No base yet.
    let lines = activity("a", 5, "a1") + &activity("b", 5, "b1") + &activity("c", 5, "c1");
    load(&lake, &delta("1", 1), &[&lines]).unwrap();
    load(&lake, &delta("2", 2), &[&(activity("a", 6, "a2") + "{\"source_id\":\"s\",\"type\":\"call\"}\n")])
        .unwrap();
    let set = "2026-11-20T00:00:00Z";
    load(&lake, &contacts("3", set, (1, 20), (1, 20)), &["email,from_cc\nx@x,True\n"]).unwrap();
    load(&lake, &contacts("4", "2026-11-21T00:00:00Z", (1, 20), (1, 20)), &["email\nx@x\ny@x\n"]).unwrap();
    expected.set("a", "a2");
    expected.set("b", "b1");
    expected.set("c", "c1");
    expected.subjects.insert("~call~s".to_owned(), None);
    (expected.versions, expected.observations) = (5, 3);
    let now = at("2026-11-22T00:00:00Z");
    lake.settle(now).unwrap();
    expected.is_found(&python, &lake);

    // A base alone.
    lake.compact(now).unwrap();
    expected.versions = 4;
    expected.is_found(&python, &lake);

    // Over the base: a newer version, an older one, the same one again, and a new key.
    let over = activity("a", 7, "a3") + &activity("b", 1, "b0") + &activity("d", 1, "d1");
    load(&lake, &delta("5", 5), &[&over]).unwrap();
    load(&lake, &delta("6", 6), &[&(activity("c", 5, "c1") + &activity("d", 0, "d0"))]).unwrap();
    expected.set("a", "a3");
    expected.set("d", "d1");
    expected.versions = 9;
    lake.settle(now).unwrap();
    let views = std::fs::read_to_string(lake.folder().join("views.duckdb.sql")).unwrap();
    assert!(views.contains("NOT IN ('b')"), "the row of the base is current");
    expected.is_found(&python, &lake);

    // Somewhere else.
    let elsewhere = folder.path().join("elsewhere");
    std::fs::rename(lake.folder(), &elsewhere).unwrap();
    let lake = Lake::open(&elsewhere).unwrap();
    expected.is_found(&python, &lake);
}

#[test]
fn readers_see_one_committed_state_after_another_while_a_sync_and_compactions_run() {
    let Some(python) = python() else { return };
    let folder = folder();
    let lake = Lake::open_or_create(folder.path().join("lake")).unwrap();
    let now = at("2026-11-16T00:00:00Z");
    let deliver = |number: i64| {
        let keys = 0..50 * (number + 1);
        let lines: String = keys.map(|key| activity(&format!("u{key}"), number, "s")).collect();
        load(&lake, &delta(&number.to_string(), number), &[&lines]).unwrap();
    };
    deliver(0);
    lake.settle(now).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/other_readers/watch.py");
    let mut reader = Command::new(python)
        .arg(script)
        .arg(lake.folder())
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(reader.stdout.take().unwrap()).lines();
    // The reader is at work once it has said how much it saw for the first time.
    assert_eq!(said.next().unwrap().unwrap(), "50");
    for number in 1..12 {
        deliver(number);
        if number % 2 == 0 {
            lake.compact(now).unwrap();
        }
        lake.settle(now).unwrap();
    }
    drop(reader.stdin.take());
    let last = said.map(Result::unwrap).last().unwrap();
    assert!(reader.wait().unwrap().success());
    assert_eq!(last, "600");
}
