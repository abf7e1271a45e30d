//! Exports by the binary: what it brings, what a second run does, and what an interruption leaves.

mod program;

use std::process::{Command, Stdio};

use program::{Service, backstory, files, run};

const MONTHS: [&str; 4] = ["--from", "2025-04-01", "--to", "2026-06-18"];

#[test]
fn every_format_brings_the_same_rows_and_a_second_run_asks_for_none() {
    let service = Service::start(&[]);
    let folder = tempfile::tempdir().unwrap();
    let mut rows = Vec::new();
    for format in ["jsonl", "csv", "parquet"] {
        let out = folder.path().join(format);
        let export = || {
            let mut command = service.client();
            command
                .args(["export", "activities", "--format", format, "--json", "--out"])
                .arg(&out)
                .args(MONTHS);
            command
        };
        let report = run(&mut export()).ended_with(0).json();
        assert_eq!((&report["complete"], &report["reused_windows"]), (&true.into(), &0.into()));
        rows.push(report["rows"].as_u64().unwrap());
        let again = run(&mut export()).ended_with(0).json();
        assert_eq!((&again["reused_windows"], &again["rows"]), (&2.into(), &report["rows"]));
    }
    assert!(rows[0] > 100 && rows.iter().all(|count| *count == rows[0]), "{rows:?}");
}

#[test]
fn contacts_stand_beside_activities_in_one_folder() {
    let service = Service::start(&[]);
    let folder = tempfile::tempdir().unwrap();
    for resource in ["activities", "contacts"] {
        let mut command = service.client();
        command.args([
            "export",
            resource,
            "--format",
            "csv",
            "--from",
            "2026-05-01",
            "--to",
            "2026-06-18",
            "--out",
        ]);
        run(command.arg(folder.path())).ended_with(0);
    }
    let tables: Vec<String> = files(folder.path())
        .iter()
        .filter_map(|name| name.split_once('/'))
        .map(|(table, _)| table.to_owned())
        .collect();
    assert_eq!(tables, ["activities", "campaigns", "contacts", "participants"]);
}

#[test]
fn contacts_land_the_same_by_either_wire() {
    let service = Service::start(&[]);
    let landed = |wire: &str| {
        let folder = tempfile::tempdir().unwrap();
        let mut command = service.client();
        let range = ["--from", "2026-05-01", "--to", "2026-06-18"];
        command.args(["export", "contacts", "--include-existing", "--format", "jsonl", "--wire", wire]);
        run(command.args(range).arg("--out").arg(folder.path())).ended_with(0);
        let name = files(folder.path()).into_iter().find(|name| name.starts_with("contacts/")).unwrap();
        let text = std::fs::read_to_string(folder.path().join(name)).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<serde_json::Value>>()
    };
    let (csv, json) = (landed("csv"), landed("JSON"));
    assert!(!csv.is_empty());
    let emails =
        |rows: &[serde_json::Value]| -> Vec<_> { rows.iter().map(|row| row["email"].clone()).collect() };
    assert_eq!(emails(&csv), emails(&json));
}

#[test]
fn another_exports_folder_is_refused_unless_forced() {
    let service = Service::start(&[]);
    let folder = tempfile::tempdir().unwrap();
    let export = |to: &str, more: &[&str]| {
        let mut command = service.client();
        command.args([
            "export",
            "activities",
            "--format",
            "jsonl",
            "--from",
            "2026-05-01",
            "--to",
            to,
            "--out",
        ]);
        run(command.arg(folder.path()).args(more))
    };
    export("2026-05-31", &[]).ended_with(0);
    let before = files(folder.path());
    export("2026-06-01", &[]).ended_with(1).error_says("--force");
    assert_eq!(files(folder.path()), before);
    export("2026-06-01", &["--force"]).ended_with(0);
    assert_ne!(files(folder.path()), before);
}

#[test]
fn jobs_are_the_services_and_can_be_taken_up_by_another_process() {
    let service = Service::start(&[]);
    let folder = tempfile::tempdir().unwrap();
    let mut export = service.client();
    export.args([
        "export",
        "activities",
        "--format",
        "jsonl",
        "--from",
        "2026-05-01",
        "--to",
        "2026-05-31",
        "--out",
    ]);
    run(export.arg(folder.path().join("export"))).ended_with(0);

    let jobs = run(service.client().args(["jobs", "list", "--json"])).ended_with(0).json();
    let id = jobs[0]["job_id"].as_str().unwrap().to_owned();
    let shown = run(service.client().args(["jobs", "show", &id])).ended_with(0).json();
    assert_eq!(shown["state"], "Completed");
    run(service.client().args(["jobs", "wait", &id])).ended_with(0).error_says("Completed");

    let file = folder.path().join("again.jsonl");
    let mut download = service.client();
    download.args(["jobs", "download", &id, "--out"]).arg(&file);
    run(&mut download).ended_with(0);
    let delivered = std::fs::read(&file).unwrap();
    let exported = files(&folder.path().join("export/activities"));
    assert_eq!(std::fs::read(folder.path().join("export/activities").join(&exported[0])).unwrap(), delivered);
    run(&mut download).ended_with(1).error_says("exists already");
}

/// Starts an export, waits for a line on its stderr, sends it a signal, and returns how it ended and what it said.
#[cfg(unix)]
fn interrupt(command: &mut Command, line: &str, signal: &str) -> (Option<i32>, String) {
    use std::io::{BufRead as _, BufReader, Read as _};
    let mut process = command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let mut stderr = BufReader::new(process.stderr.take().unwrap());
    let mut said = String::new();
    while !said.contains(line) {
        assert_ne!(stderr.read_line(&mut said).unwrap(), 0, "it ended too early: {said}");
    }
    let pid = process.id().to_string();
    assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    stderr.read_to_string(&mut said).unwrap();
    (process.wait().unwrap().code(), said)
}

#[cfg(unix)]
#[test]
fn an_interrupted_or_killed_export_leaves_no_half_file_and_the_next_run_takes_its_jobs_over() {
    for (signal, code) in [("-INT", Some(130)), ("-TERM", Some(130)), ("-KILL", None)] {
        let service = Service::start(&["--job-time", "1h"]);
        let folder = tempfile::tempdir().unwrap();
        let export = || {
            let mut command = service.client();
            command.args([
                "export",
                "activities",
                "--format",
                "parquet",
                "--from",
                "2026-05-01",
                "--to",
                "2026-05-31",
            ]);
            command.arg("--out").arg(folder.path());
            command
        };
        let (ended, said) = interrupt(&mut export(), "created", signal);
        assert_eq!(ended, code, "{signal}");
        if signal != "-KILL" {
            assert!(said.contains("run the same command again"), "{said}");
        }
        assert_eq!(files(folder.path()), ["manifest.json"], "{signal}");
        // The job is still the same one, an hour of it still to go.
        run(export().args(["--deadline", "50ms"])).ended_with(5).error_says("going on with job");
        let jobs = run(service.client().args(["jobs", "list", "--json"])).ended_with(0).json();
        assert_eq!(jobs.as_array().unwrap().len(), 1, "{signal}");
    }
}

#[test]
fn the_demo_ends_well_and_counts_the_same_as_the_simulator() {
    let folder = tempfile::tempdir().unwrap();
    let mut demo = backstory();
    demo.args(["demo", "--json", "--activities", "2000", "--out"]).arg(folder.path().join("demo"));
    let report = run(&mut demo).ended_with(0).json();
    for table in ["activities", "contacts"] {
        assert_eq!(report["tables"][table]["equal"], true);
    }
    assert_ne!(report["watermark"], serde_json::Value::Null);
    let brought = |run: usize| report["runs"][run]["rows"].as_u64().unwrap();
    assert!(brought(1) > 0 && brought(1) < brought(0), "the second run brings only what is new");
}

#[test]
fn a_plan_is_shown_and_proved_without_credentials() {
    let plan = run(backstory().args(["plan", "--json"]).args(MONTHS)).ended_with(0).json();
    assert_eq!((&plan["jobs"], &plan["legal"]), (&2.into(), &true.into()));
    let text = run(backstory().args(["plan", "contacts"]).args(MONTHS)).ended_with(0).stdout;
    assert!(text.contains("nothing has been sent"), "{text}");
}

#[test]
fn completions_are_printed() {
    let script = run(backstory().args(["completions", "bash"])).ended_with(0).stdout;
    assert!(script.contains("backstory__subcmd__export") || script.contains("backstory__export"));
}
