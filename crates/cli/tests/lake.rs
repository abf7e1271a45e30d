//! `lake compact` and `lake export-current` by the binary, over a lake that a sync from the simulator has filled.

mod program;

use program::{Said, Service, backstory, run};

/// A lake with what the simulator has.
fn filled(folder: &std::path::Path) {
    let service = Service::start(&[]);
    let mut sync = service.client();
    sync.env("BACKSTORY_NOW", "2026-06-18T12:00:00Z");
    let said = run(sync.args(["sync", "--since", "2026-01-01", "--to"]).arg(folder));
    assert_eq!(said.code, 0, "{}", said.stderr);
}

fn lake(arguments: &[&str], folder: &std::path::Path) -> Said {
    run(backstory().args(["lake"]).args(arguments).arg("--to").arg(folder))
}

#[test]
fn a_synced_lake_is_compacted_and_its_current_state_exported() {
    let folder = tempfile::tempdir().unwrap();
    let (to, out) = (folder.path().join("lake"), folder.path().join("out"));
    filled(&to);
    let before =
        lake(&["export-current", "--json", "--format", "jsonl", "--out", out.to_str().unwrap()], &to);
    assert_eq!(before.code, 0, "{}", before.stderr);
    let before: serde_json::Value = serde_json::from_str(&before.stdout).unwrap();
    let activities = before["activities"].as_u64().unwrap();
    assert!(activities > 100, "{before}");
    let lines = std::fs::read_to_string(out.join("activities.jsonl")).unwrap();
    assert_eq!(lines.lines().count() as u64, activities);

    let compacted = lake(&["compact", "--json"], &to);
    assert_eq!(compacted.code, 0, "{}", compacted.stderr);
    let compacted: serde_json::Value = serde_json::from_str(&compacted.stdout).unwrap();
    assert_eq!((&compacted["rows"], &compacted["is_new"]), (&before["activities"], &true.into()));
    let again = lake(&["compact"], &to);
    assert!(again.stdout.starts_with("nothing to do"), "{}", again.stdout);

    for format in ["csv", "parquet", "jsonl"] {
        let said = lake(&["export-current", "--format", format, "--out", out.to_str().unwrap()], &to);
        assert_eq!(said.code, 0, "{}", said.stderr);
    }
    let mut after: Vec<_> =
        std::fs::read_to_string(out.join("activities.jsonl")).unwrap().lines().map(str::to_owned).collect();
    let mut before: Vec<_> = lines.lines().map(str::to_owned).collect();
    after.sort();
    before.sort();
    assert_eq!(after, before);
    assert!(out.join("participants.csv").is_file() && out.join("contacts.parquet").is_file());
}

#[test]
fn what_is_no_lake_and_what_would_spoil_one_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let none = lake(&["compact"], folder.path());
    assert_eq!(none.code, 2, "{}", none.stderr);
    assert!(none.stderr.contains("there is no lake in"), "{}", none.stderr);
    let other = run(backstory().args(["lake", "compact", "--to", "postgres://u:hunter2@host/db"]));
    assert_eq!(other.code, 2);
    assert!(other.stderr.contains("is no lake") && !other.stderr.contains("hunter2"), "{}", other.stderr);

    let to = folder.path().join("lake");
    filled(&to);
    let inside = to.join("activities/current");
    let said = lake(&["export-current", "--format", "parquet", "--out", inside.to_str().unwrap()], &to);
    assert_eq!(said.code, 2, "{}", said.stderr);
    assert!(said.stderr.contains("is in the lake itself"), "{}", said.stderr);
}
