//! A process that is killed at any named step leaves a lake that readers read right, and that the next run brings in order.
//!
//! The test runs itself as a child with `BACKSTORY_FAIL_AT`, so it needs the feature `fail-points`.

#![cfg(feature = "fail-points")]

mod deliver;

use std::path::Path;
use std::process::Command;

use backstory_destination::Destination;
use backstory_lake::Lake;
use deliver::{activity, at, data_files, delta, digest, folder, load};

/// The folder of a child's lake.
const LAKE: &str = "BACKSTORY_LAKE_TEST_FOLDER";

/// What every child does: delivers, compacts, delivers more in two fragments, compacts again, and settles when all grace is
/// over.
fn life(folder: &Path) {
    let lake = Lake::open_or_create(folder).unwrap();
    load(&lake, &delta("1", 1), &[&first()]).unwrap();
    lake.compact(at("2026-11-16T00:00:00Z")).unwrap();
    let (one, two) = second();
    load(&lake, &delta("2", 2), &[&one, &two]).unwrap();
    lake.compact(at("2026-11-17T12:00:00Z")).unwrap();
    lake.settle(at("2026-11-20T00:00:00Z")).unwrap();
}

fn first() -> String {
    (0..50).map(|number| activity(&format!("u{number}"), 1, "first")).collect()
}

fn second() -> (String, String) {
    (activity("u1", 2, "second") + &activity("new", 2, "second"), activity("u2", 0, "late"))
}

#[test]
#[ignore = "run by the other tests of this file, in a process of its own"]
fn child() {
    if let Some(folder) = std::env::var_os(LAKE) {
        life(Path::new(&folder));
    }
}

/// Lives a life that ends at a step. Returns whether it came to that.
fn killed_at(step: &str, folder: &Path) -> bool {
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "child", "--quiet"])
        .env(LAKE, folder)
        .env("BACKSTORY_FAIL_AT", step)
        .stdout(std::process::Stdio::null())
        .status()
        .unwrap();
    !status.success()
}

#[test]
fn a_kill_at_any_step_leaves_the_lake_right_and_the_next_run_mends_it() {
    let unharmed = folder();
    life(unharmed.path());
    let unharmed = Lake::open(unharmed.path()).unwrap();
    let whole = digest(&unharmed);
    let mut killed = 0;
    for step in [
        "lake-loaded",
        "lake-fragment-landed",
        "lake-committed",
        "lake-rows-divided",
        "lake-base-file-built",
        "lake-base-built",
        "lake-base-named",
        "lake-base-committed",
        "lake-superseded-removed",
    ] {
        for time in 1.. {
            let folder = folder();
            if !killed_at(&format!("{step}:{time}"), folder.path()) {
                assert!(time > 1, "{step} is no step of a life");
                break;
            }
            killed += 1;
            let lake = Lake::open(folder.path()).unwrap();
            // What is there is right: each delivery wholly or not at all, and every reader's file is there.
            let rows = match lake.deliveries().unwrap().len() {
                0 => 0,
                1 => 50,
                _ => 51,
            };
            assert_eq!(digest(&lake).0, rows, "{step}:{time}");
            let views = std::fs::read_to_string(folder.path().join("views.duckdb.sql")).unwrap();
            let named = views.split('\'').filter(|part| part.ends_with(".parquet"));
            named.for_each(|file| assert!(Path::new(file).is_file(), "{step}:{time}: {file} is gone"));

            life(folder.path());
            assert_eq!(digest(&lake), whole, "{step}:{time}");
            assert_eq!(lake.verify().unwrap(), [], "{step}:{time}");
            assert_eq!(lake.deliveries().unwrap().len(), 2);
            lake.settle(at("2026-11-22T00:00:00Z")).unwrap();
            let left = data_files(folder.path());
            assert!(
                left.iter().all(|file| file.to_str().unwrap().contains("/base/")),
                "{step}:{time}: {left:?}"
            );
            let own = std::fs::read_dir(folder.path().join("_backstory")).unwrap();
            let own: Vec<_> = own.map(|entry| entry.unwrap().file_name()).collect();
            assert!(!own.contains(&"compaction".into()), "{step}:{time}: {own:?}");
        }
    }
    assert!(killed >= 12, "{killed}");
}
