//! `plan` of a sync and `status`: what is told before, between and after syncs, of destinations in every state, and that
//! neither sends or changes anything.

mod program;

use std::path::Path;
use std::process::Command;

use program::{Service, backstory, files, run};
use serde_json::{Value, json};

fn asked(command: &str, to: &Path, now: &str) -> Command {
    let mut asked = backstory();
    // Whoever sends something from here reaches nobody.
    asked.env("BACKSTORY_BASE_URL", "http://127.0.0.1:9").env("BACKSTORY_NOW", now);
    asked.args([command, "--to"]).arg(to);
    asked
}

fn json_of(command: &str, to: &Path, now: &str) -> Value {
    run(asked(command, to, now).arg("--json")).ended_with(0).json()
}

fn windows(plan: &Value) -> Vec<String> {
    let jobs = plan["jobs"].as_array().unwrap();
    let word = |job: &Value, name: &str| job[name].as_str().unwrap().to_owned();
    jobs.iter()
        .map(|job| format!("{} {}..{}", word(job, "kind"), word(job, "from"), word(job, "to")))
        .collect()
}

const NOW: &str = "2026-06-18T12:00:00Z";

#[test]
fn the_plan_of_a_first_sync_needs_no_destination_no_key_and_no_service() {
    let folder = tempfile::tempdir().unwrap();
    let lake = folder.path().join("lake");
    let mut command = asked("plan", &lake, NOW);
    let said = run(command.args(["--since", "2025-01-01"])).ended_with(0);
    for words in [
        "8 export jobs, at least 32 requests; nothing has been sent",
        "nothing of the history from 2025-01-01 to 2027-06-18 is loaded",
        "2026-06-18 is not closed",
        "contacts have never been loaded completely",
        "watermark: none now, 2026-06-17 afterwards",
        "no day is missing and contacts are complete: yes",
        "every window is legal however the service counts: yes; snapshot 365 of at most 365 days",
        "never more than 4 jobs of ours outstanding at once, of 10 in the whole organisation",
    ] {
        // The two windows of contacts make up the number.
        let words = words.replace("8 export jobs, at least 32", "6 export jobs, at least 24");
        assert!(said.stdout.contains(&words), "`{words}` is not in:\n{}", said.stdout);
    }
    assert!(!lake.exists());
    // Fewer of everything.
    let mut command = asked("plan", &lake, NOW);
    command.args(["--since", "2026-01-01", "--resources", "activities", "--through", "yesterday", "--json"]);
    let plan = run(command.args(["--horizon", "10d"])).ended_with(0).json();
    assert_eq!(windows(&plan), ["snapshot 2026-01-01..2026-06-28"]);
    assert_eq!(
        (&plan["legal"], &plan["watermark"], &plan["expected_seconds"]),
        (&json!(true), &json!(null), &json!(null))
    );
}

#[test]
fn a_proof_speaks_of_what_is_selected_only() {
    let folder = tempfile::tempdir().unwrap();
    let lake = folder.path().join("lake");
    for (selected, days, contacts, words) in [
        ("contacts", json!(null), json!(true), "delivered, contacts are complete: yes"),
        ("activities", json!(true), json!(null), "delivered, no day is missing: yes"),
    ] {
        let plan = || {
            let mut plan = asked("plan", &lake, NOW);
            plan.args(["--since", "2026-01-01", "--resources", selected]);
            plan
        };
        let told = run(plan().arg("--json")).ended_with(0).json();
        let proof = (&told["proof"]["no_day_is_missing"], &told["proof"]["contacts_are_complete"]);
        assert_eq!((proof, &told["legal"]), ((&days, &contacts), &json!(true)));
        let said = run(&mut plan()).ended_with(0).stdout;
        assert!(said.contains(words), "`{words}` is not in:\n{said}");
        run(asked("plan", &lake, NOW).args(["--resources", selected]))
            .ended_with(2)
            .error_says(&format!("from when on {selected} are wanted"));
    }
}

#[test]
fn flags_of_an_export_and_of_a_sync_dont_mix_and_each_mistake_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let lake = folder.path().join("lake");
    run(&mut asked("plan", &lake, NOW)).ended_with(2).error_says("say so with --since");
    run(&mut asked("plan", Path::new("2026-03-31"), NOW))
        .ended_with(2)
        .error_says("the first day is missing");
    run(asked("plan", &lake, NOW).args(["--from", "2026-01-01"])).ended_with(2).error_says("is not a date");
    run(asked("plan", &lake, NOW).args(["--since", "2026-01-01", "--kind", "delta"]))
        .ended_with(2)
        .error_says("--kind is for the plan of an export");
    run(asked("plan", &lake, NOW).args(["--since", "2027-01-01"]))
        .ended_with(2)
        .error_says("the history can't begin on 2027-01-01, since today is 2026-06-18");
    run(asked("plan", Path::new("2026-03-31"), NOW).args(["--from", "2026-01-01", "--since", "2026-01-01"]))
        .ended_with(2)
        .error_says("cannot be used with");
    run(&mut asked("plan", Path::new("mysql://host/db"), NOW)).ended_with(2).error_says("mysql");
    run(&mut asked("plan", Path::new("sqlite:x.db"), NOW))
        .ended_with(2)
        .error_says("not built into this binary");
    run(&mut asked("status", &lake, NOW)).ended_with(2).error_says("there is no lake");
}

#[test]
fn between_syncs_the_plan_and_the_status_tell_what_is_there_and_what_is_next() {
    let service = Service::start(&[]);
    let folder = tempfile::tempdir().unwrap();
    let lake = folder.path().join("lake");
    let sync = || {
        let mut command = service.client();
        command.env("BACKSTORY_NOW", NOW).args(["sync", "--json", "--to"]).arg(&lake);
        command
    };
    let report = run(sync().args(["--since", "2025-01-01"])).ended_with(0).json();
    assert_eq!(report["watermark"], "2026-06-17");
    let before = files(&lake);

    // Right after: today, once more, and nothing else.
    let plan = json_of("plan", &lake, NOW);
    assert_eq!(windows(&plan), ["delta 2026-06-18..2026-06-18"]);
    assert_eq!(
        (&plan["jobs"][0]["provisional"], &plan["jobs"][0]["reason"]),
        (&json!(true), &json!("open-days"))
    );
    assert!(plan["expected_seconds"].as_f64().unwrap() >= 0.0);
    // Three weeks later, by a clock that has not asked anybody.
    let plan = json_of("plan", &lake, "2026-07-09T12:00:00Z");
    let expected = [
        "delta 2026-06-17..2026-06-30",
        "delta 2026-07-01..2026-07-09",
        "contacts 2025-01-01..2025-12-31",
        "contacts 2026-01-01..2026-07-09",
    ];
    assert_eq!(windows(&plan), expected);
    assert_eq!((&plan["watermark"], &plan["watermark_after"]), (&json!("2026-06-17"), &json!("2026-07-08")));

    let status = json_of("status", &lake, "2026-06-20T12:00:00Z");
    assert_eq!(status["watermark"], "2026-06-17");
    let days = &status["coverage"]["days"];
    assert_eq!(days[0], json!({"from": "2025-01-01", "to": "2026-06-17", "days": 533, "state": "closed"}));
    assert_eq!(days[1]["state"], "provisional");
    assert_eq!(days[2], json!({"from": "2026-06-19", "to": "2026-06-20", "days": 2, "state": "missing"}));
    assert_eq!(status["coverage"]["history"], json!({"from": "2025-01-01", "to": "2027-06-18"}));
    assert_eq!(status["contacts"]["from"], "2025-01-01");
    let rows: u64 = status["tables"].as_object().unwrap().values().map(|rows| rows.as_u64().unwrap()).sum();
    assert!(status["tables"]["activities"].as_u64().unwrap() > 100 && rows > 1_000, "{status}");
    assert_eq!(status["runs"][0]["outcome"], "done");
    assert_eq!((&status["quarantine"]["rows"], &status["jobs_in_flight"]), (&json!(0), &json!([])));

    let said = run(&mut asked("status", &lake, "2026-06-20T12:00:00Z")).ended_with(0).stdout;
    for words in [
        "everything processed up to the end of 2026-06-17 UTC is loaded",
        "2025-01  ███ 17 months, all closed, to 2026-05",
        "2026-06  █████████████████▒··",
        "█ closed (533)   ▒ provisional (1)   · missing (2)",
        "last runs",
    ] {
        assert!(said.contains(words), "`{words}` is not in:\n{said}");
    }
    assert!(!said.contains('\u{1b}'), "colours are for terminals");

    // Without its ledger, the destination still knows everything but how it came there.
    std::fs::remove_file(lake.join("_backstory/ledger.sqlite")).unwrap();
    let without = json_of("status", &lake, "2026-06-20T12:00:00Z");
    for same in ["watermark", "coverage", "tables", "contacts", "deliveries"] {
        assert_eq!(without[same], status[same], "{same}");
    }
    assert_eq!(without["runs"], json!([]));
    assert_eq!(windows(&json_of("plan", &lake, "2026-07-09T12:00:00Z")), expected);
    let after: Vec<String> =
        before.into_iter().filter(|name| !name.starts_with("_backstory/ledger")).collect();
    let left: Vec<String> =
        files(&lake).into_iter().filter(|name| !name.starts_with("_backstory/ledger")).collect();
    assert_eq!(left, after, "asking has changed something");
}

#[test]
fn jobs_that_an_earlier_run_has_left_are_told_with_their_time_and_are_not_planned_again() {
    let service = Service::start(&["--job-time", "10h"]);
    let folder = tempfile::tempdir().unwrap();
    let lake = folder.path().join("lake");
    let mut sync = service.client();
    // A job that was seen running at its deadline would be given up, so none is asked about.
    sync.env("BACKSTORY_NOW", NOW)
        .args(["sync", "--since", "2026-01-01", "--deadline", "300ms", "--poll-interval", "1h", "--to"])
        .arg(&lake);
    run(&mut sync).ended_with(5);

    let status = json_of("status", &lake, NOW);
    let jobs = status["jobs_in_flight"].as_array().unwrap();
    assert!(!jobs.is_empty() && jobs.iter().all(|job| job["expires_in_days"] == 10.0), "{status}");
    assert_eq!((&status["watermark"], &status["coverage"]["days"]), (&json!(null), &json!([])));
    let said = run(&mut asked("status", &lake, NOW)).ended_with(0).stdout;
    assert!(
        said.contains("nothing is loaded yet") && said.contains("its file is kept for 10 more days"),
        "{said}"
    );

    let mut plan = asked("plan", &lake, NOW);
    let plan = run(plan.args(["--since", "2026-01-01", "--json"])).ended_with(0).json();
    let taken_over = plan["taken_over"].as_array().unwrap();
    assert_eq!(taken_over.len(), jobs.len());
    let planned = plan["jobs"].as_array().unwrap();
    assert_eq!(planned.len() + taken_over.len(), 4, "{plan}");
    assert_eq!((&plan["legal"], &plan["watermark_after"]), (&json!(true), &json!("2026-06-17")));
    assert_eq!(plan["watermark"], json!(null), "nothing is loaded yet");
}
