//! DuckDB, pyarrow and Polars read a lake while it is synced and compacted: every reading is right.
//!
//! It needs a Python that has all three: the one that `BACKSTORY_TEST_PYTHON` names, or `python3`. Under `CI` it makes an
//! environment of its own; elsewhere it says that it was skipped.

mod syncing;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use backstory_destination::Destination as _;
use jiff::SignedDuration;
use syncing::{Scene, world};

fn has_all(python: &Path) -> bool {
    let imports = ["-c", "import duckdb, polars, pyarrow, pytz"];
    Command::new(python).args(imports).output().is_ok_and(|output| output.status.success())
}

fn python() -> Option<PathBuf> {
    let named = std::env::var_os("BACKSTORY_TEST_PYTHON").map_or_else(|| "python3".into(), PathBuf::from);
    if has_all(&named) {
        return Some(named);
    }
    let environment = Path::new(env!("CARGO_TARGET_TMPDIR")).join("sync-readers");
    let own = environment.join("bin/python");
    if std::env::var_os("CI").is_some() && !has_all(&own) {
        let succeeds = |command: &mut Command| command.status().is_ok_and(|status| status.success());
        assert!(succeeds(Command::new(&named).args(["-m", "venv"]).arg(&environment)), "no environment");
        let install = ["-m", "pip", "install", "--quiet", "duckdb", "polars", "pyarrow", "pytz"];
        assert!(succeeds(Command::new(&own).args(install)), "can't install duckdb, polars and pyarrow");
    }
    if has_all(&own) {
        return Some(own);
    }
    assert!(std::env::var_os("CI").is_none(), "no Python with duckdb, polars and pyarrow");
    eprintln!(
        "skipped: no Python with duckdb, polars and pyarrow (set BACKSTORY_TEST_PYTHON to one that has them)"
    );
    None
}

#[tokio::test(flavor = "multi_thread")]
async fn every_reading_is_right_while_the_lake_is_synced_and_compacted() {
    let Some(python) = python() else { return };
    let scene = Scene::new(world()).await;
    // So that there are views to read.
    drop(scene.lake());
    let stop = scene.folder().with_file_name("stop");
    // Tells whether the clock leaps by more than a day, until what has been replaced for longer is gone, or is at rest.
    let clock = stop.with_file_name("clock");
    std::fs::write(&clock, "rest").unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sync_readers/read.py");
    let mut reader = Command::new(python);
    let reader =
        reader.arg(script).arg(scene.folder()).arg(&stop).stdout(Stdio::piped()).stderr(Stdio::piped());
    let reader = reader.spawn().unwrap();
    for hours in [0, 26, 50, 30] {
        std::fs::write(&clock, format!("leap {hours}")).unwrap();
        scene.sim.clock().advance(SignedDuration::from_hours(hours));
        let now = scene.sim.clock().now();
        scene.sync_until_whole().await;
        std::fs::write(&clock, format!("rest {hours}")).unwrap();
        // A sync and a compaction at once.
        scene.sim.clock().advance(SignedDuration::from_hours(1));
        let lake = scene.lake();
        let compaction = tokio::task::spawn_blocking(move || lake.compact(now).map(drop));
        let report = scene.sync_until_whole().await;
        let compacted = compaction.await.unwrap();
        assert!(compacted.is_ok(), "{compacted:?}; {report:?}");
    }
    std::fs::write(&stop, b"").unwrap();
    let output = tokio::task::spawn_blocking(move || reader.wait_with_output().unwrap()).await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told = String::from_utf8(output.stdout).unwrap();
    let told: Vec<u64> = told.split_whitespace().map(|number| number.parse().unwrap()).collect();
    let tables = scene.lake().tables().unwrap();
    assert!(told[0] > 3, "{told:?}");
    assert_eq!(told[1..], [tables["activities"], tables["contacts"]]);
}
