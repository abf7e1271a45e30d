//! `sync`, `verify`, `rebuild` and `history` as users run them, against a simulator in another process.

mod program;

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use program::{SECRET, Said, Service, backstory, files, run};
use serde_json::Value;

fn sync(service: &Service, lake: &Path) -> Command {
    let mut command = service.client();
    command.env("BACKSTORY_NOW", "2026-06-18T12:00:00Z").args(["sync", "--to"]).arg(lake);
    command
}

fn on(command: &str, lake: &Path) -> Said {
    let mut program = backstory();
    program.env("BACKSTORY_NOW", "2026-06-18T12:00:00Z");
    run(program.arg(command).arg("--to").arg(lake).arg("--json"))
}

#[test]
fn a_lake_is_filled_kept_current_proven_and_made_anew() {
    let service = Service::start(&[]);
    let folder = tempfile::tempdir().unwrap();
    let lake = folder.path().join("lake");
    // From when on must be said once.
    run(&mut sync(&service, &lake)).ended_with(2).error_says("--since");
    let first = run(sync(&service, &lake).args(["--since", "2023-06-01", "--json"])).ended_with(0).json();
    assert_eq!((&first["outcome"], &first["watermark"]), (&"done".into(), &"2026-06-17".into()));
    assert!(first["committed"].as_array().unwrap().len() >= 8);
    let second = run(sync(&service, &lake).arg("--json")).ended_with(0).json();
    assert_eq!(second["committed"].as_array().unwrap().len(), 1, "today's delta");
    assert_eq!(second["committed"][0]["kind"], "delta");

    let verified = on("verify", &lake).ended_with(0).json();
    assert_eq!((&verified["ok"], &verified["findings"]), (&true.into(), &Value::Array(Vec::new())));
    assert!(verified["activities"]["count"].as_u64().unwrap() > 1_000);
    let rebuilt = on("rebuild", &lake).ended_with(0).json();
    assert_eq!(rebuilt["activities"]["before"], rebuilt["activities"]["after"]);
    let again = on("verify", &lake).ended_with(0).json();
    for table in ["activities", "contacts"] {
        assert_eq!(again[table], verified[table]);
    }

    // Without its data files, from what was kept.
    std::fs::remove_dir_all(lake.join("activities")).unwrap();
    on("rebuild", &lake).ended_with(0);
    assert_eq!(on("verify", &lake).ended_with(0).json()["activities"], verified["activities"]);

    // A raw file that isn't what it was is named, and so is what can't be covered without it.
    let raw = files(&lake.join("raw/activities"));
    let broken = raw.iter().find(|name| name.ends_with(".zst")).unwrap();
    std::fs::write(lake.join("raw/activities").join(broken), b"nonsense").unwrap();
    let found = on("verify", &lake).ended_with(1).json();
    assert_eq!(found["ok"], false);
    assert!(found["findings"][0]["what"].as_str().unwrap().ends_with(broken.as_str()), "{found}");
    let partly = on("rebuild", &lake).ended_with(5).json();
    assert_eq!(partly["not_covered"].as_array().unwrap().len(), 1);
}

#[test]
fn every_version_of_an_activity_is_shown() {
    let service = Service::start(&[]);
    let folder = tempfile::tempdir().unwrap();
    let lake = folder.path().join("lake");
    run(sync(&service, &lake).args([
        "--since",
        "2026-06-01",
        "--horizon",
        "1d",
        "--resources",
        "activities",
    ]))
    .ended_with(0);
    let raw = files(&lake.join("raw/activities"));
    let snapshot = raw.iter().find(|name| name.contains("snapshot") && name.ends_with(".zst")).unwrap();
    let bytes = std::fs::File::open(lake.join("raw/activities").join(snapshot)).unwrap();
    let lines = zstd::decode_all(bytes).unwrap();
    let line: Value = serde_json::from_slice(lines.split(|byte| *byte == b'\n').next().unwrap()).unwrap();
    let uid = line["uid"].as_str().unwrap();
    let told = run(backstory().args(["history", uid, "--json", "--to"]).arg(&lake)).ended_with(0).json();
    let versions = told["versions"].as_array().unwrap();
    assert_eq!(versions.iter().filter(|version| version["current"] == true).count(), 1);
    assert_eq!(versions[0]["record"]["uid"], uid);
    let text = run(backstory().args(["history", uid, "--to"]).arg(&lake)).ended_with(0).stdout;
    assert!(text.contains("current") && text.contains("line 1,"), "{text}");
    run(backstory().args(["history", "nobody", "--to"]).arg(&lake)).ended_with(1).error_says("nobody");
}

#[test]
fn versions_that_a_compaction_has_dropped_are_shown_from_the_raw_files() {
    let service = Service::start(&[]);
    let folder = tempfile::tempdir().unwrap();
    let lake = folder.path().join("lake");
    let synced = |now: &str| {
        let mut command = sync(&service, &lake);
        command.args(["--since", "2026-05-01", "--resources", "activities", "--quiet"]);
        run(command.env("BACKSTORY_NOW", now)).ended_with(0);
    };
    // Today's delta brings again what the snapshot has brought.
    synced("2026-06-18T12:00:00Z");
    let raw = lake.join("raw/activities");
    let of = |kind: &str| {
        let name = files(&raw).into_iter().find(|name| name.contains(kind) && name.ends_with(".zst"));
        raw.join(name.unwrap())
    };
    let lines = zstd::decode_all(std::fs::File::open(of("delta")).unwrap()).unwrap();
    let line: Value = serde_json::from_slice(lines.split(|byte| *byte == b'\n').next().unwrap()).unwrap();
    let uid = line["uid"].as_str().unwrap();
    let history = || run(backstory().args(["history", uid, "--json", "--to"]).arg(&lake)).ended_with(0);
    let before = history().json();
    assert!(before["versions"].as_array().unwrap().len() > 1, "{before}");

    let mut compact = backstory();
    compact.env("BACKSTORY_NOW", "2026-06-18T13:00:00Z").args(["lake", "compact", "--to"]).arg(&lake);
    run(&mut compact).ended_with(0);
    // The files that it replaced go after a day.
    synced("2026-06-19T14:00:00Z");
    assert!(files(&lake.join("activities/snapshot")).is_empty());
    let after = history().json();
    let (before, after) = (before["versions"].as_array().unwrap(), after["versions"].as_array().unwrap());
    let told = |versions: &[Value]| -> Vec<Value> {
        versions.iter().map(|one| serde_json::json!([one["version"], one["record"], one["job_id"]])).collect()
    };
    assert_eq!(told(&after[..before.len()]), told(before));
    assert_eq!(after.iter().filter(|version| version["current"] == true).count(), 1);
    assert_eq!(after.last().unwrap()["current"], true);

    // The oldest one's: which of the two jobs is the older depends on which was created first.
    std::fs::remove_file(of(before[0]["job_id"].as_str().unwrap())).unwrap();
    let less = history();
    assert_eq!(less.json()["versions"].as_array().unwrap().len(), after.len() - 1);
    assert!(less.stderr.contains("older versions may be missing"), "{}", less.stderr);
    assert_eq!(less.json()["not_covered"].as_array().unwrap().len(), 1);
}

#[test]
fn a_destination_that_there_is_not_is_a_usage_error() {
    let service = Service::start(&[]);
    let folder = tempfile::tempdir().unwrap();
    for (url, words) in [
        ("mysql://user:pw@host/db", "no kind"),
        ("sqlite:x.db", "not built into"),
        ("postgres://u:pw@h/d", "not built into"),
    ] {
        let mut command = service.client();
        let said =
            run(command.args(["sync", "--since", "2026-01-01", "--to", url])).ended_with(2).error_says(words);
        assert!(!said.stderr.contains("pw"), "{}", said.stderr);
    }
    for command in ["verify", "status"] {
        run(backstory().args([command, "--to"]).arg(folder.path())).ended_with(2).error_says("no lake");
    }
}

#[test]
fn a_key_that_is_missing_or_bad_is_told_and_the_other_resource_comes() {
    let service = Service::start(&[]);
    let folder = tempfile::tempdir().unwrap();
    let lake = folder.path().join("lake");
    let mut one_key = sync(&service, &lake);
    one_key
        .env_remove("BACKSTORY_CLIENT_ID")
        .env_remove("BACKSTORY_CLIENT_SECRET")
        .env("BACKSTORY_ACTIVITY_CLIENT_ID", "key")
        .env("BACKSTORY_ACTIVITY_SECRET", program::SECRET);
    run(one_key.args(["--since", "2026-06-01"])).ended_with(2).error_says("--resources activities");
    let mut bad_key = sync(&service, &lake);
    bad_key.env("BACKSTORY_OBJECT_CLIENT_ID", "insight-key").env("BACKSTORY_OBJECT_SECRET", program::SECRET);
    let said = run(bad_key.args(["--since", "2026-06-01", "--json"])).ended_with(5).error_says("key");
    let report = said.json();
    assert_eq!((&report["outcome"], &report["watermark"]), (&"partial".into(), &"2026-06-17".into()));
    // And when nothing comes of it, the reason decides.
    let mut bad_key = sync(&service, &folder.path().join("other"));
    bad_key.env("BACKSTORY_CLIENT_ID", "insight-key");
    run(bad_key.args(["--since", "2026-06-01"])).ended_with(3);
}

#[test]
fn each_step_is_one_json_object_a_line() {
    let service = Service::start(&[]);
    let folder = tempfile::tempdir().unwrap();
    let lake = folder.path().join("lake");
    let said =
        run(sync(&service, &lake).args(["--since", "2026-06-01", "--log-json", "--json"])).ended_with(0);
    let events: Vec<Value> = said.stderr.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let names: Vec<&str> = events.iter().map(|event| event["event"].as_str().unwrap()).collect();
    for name in ["planned", "intended", "started", "state", "committed", "ended"] {
        assert!(names.contains(&name), "{name} is not in {names:?}");
    }
    assert_eq!((names[0], names[names.len() - 1]), ("planned", "ended"));
}

/// `script` gives the program a terminal.
#[cfg(target_os = "linux")]
#[test]
fn the_status_is_painted_on_a_terminal() {
    let service = Service::start(&[]);
    let folder = tempfile::tempdir().unwrap();
    let lake = folder.path().join("lake");
    run(sync(&service, &lake).args(["--since", "2026-06-01", "--resources", "activities"])).ended_with(0);
    let status = format!("{} status --to {}", env!("CARGO_BIN_EXE_backstory"), lake.display());
    let mut script = Command::new("script");
    script.args(["-q", "-e", "-c", &status, "/dev/null"]).env("TERM", "xterm").env_remove("NO_COLOR");
    let output = match script.stdin(Stdio::null()).output() {
        Err(error) if std::env::var_os("CI").is_none() => return eprintln!("skipped: no `script`: {error}"),
        output => output.unwrap(),
    };
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && said.contains("\u{1b}[32m"), "{said}");
    assert!(!said.contains("\\u{1b}"), "{said}");
}

/// With `--log-json`, programs read all of stderr, failures and warnings too.
#[test]
fn with_json_logs_whatever_is_said_is_an_object_on_a_line() {
    let service = Service::start(&["--faults", "flaky"]);
    let folder = tempfile::tempdir().unwrap();
    let lake = folder.path().join("lake");
    let lines = |said: &Said| -> Vec<Value> {
        said.stderr.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
    };
    let mut bad = sync(&service, &lake);
    bad.env("BACKSTORY_CLIENT_SECRET", "wrong").args(["--since", "2026-06-01", "--log-json"]);
    let refused = lines(&run(&mut bad).ended_with(3));
    let last = refused.last().unwrap();
    assert_eq!((&last["event"], &last["exit_code"]), (&"error".into(), &3.into()), "{last}");
    assert!(last["causes"].is_array() && last["message"].is_string() && last["hint"].is_string(), "{last}");

    // One resource fails, the other is loaded, and at this level the libraries have something to say too.
    let mut half = sync(&service, &lake);
    half.env("BACKSTORY_OBJECT_CLIENT_ID", "insight-key").env("BACKSTORY_OBJECT_CLIENT_SECRET", SECRET);
    half.args(["--since", "2026-06-01", "--log-json", "-vv"]);
    let told = lines(&run(&mut half).ended_with(5));
    let failed = told.iter().find(|line| line["event"] == "error").unwrap();
    assert!(failed["job"].as_str().unwrap().contains("contacts"), "{failed}");
    assert!(told.iter().any(|line| line["level"] == "DEBUG" && line["message"].is_string()));
    assert!(told.iter().any(|line| line["event"] == "note"));
    assert!(told.iter().all(|line| line["event"].is_string() || line["level"].is_string()));

    let mut unknown = sync(&service, &lake);
    unknown.args(["--since", "2099-01-01", "--log-json"]);
    assert_eq!(lines(&run(&mut unknown).ended_with(2)).last().unwrap()["event"], "error");
}

#[test]
fn another_service_is_refused_by_a_destination_that_it_has_not_filled() {
    let folder = tempfile::tempdir().unwrap();
    let lake = folder.path().join("lake");
    run(sync(&Service::start(&[]), &lake).args(["--since", "2025-01-01"])).ended_with(0);
    let status = || {
        let status = on("status", &lake).ended_with(0).json();
        ["watermark", "coverage", "tables", "deliveries"].map(|part| status[part].clone())
    };
    let before = status();
    // It numbers its jobs from one on again, as a simulator that is started anew does.
    let other = Service::start(&[]);
    let said = run(&mut sync(&other, &lake)).ended_with(2).error_says("this looks like another service");
    assert!(!said.stdout.contains("is loaded"), "{}", said.stdout);
    assert_eq!(status(), before);
    assert_eq!(on("verify", &lake).ended_with(0).json()["ok"], true);
}

#[cfg(unix)]
#[test]
fn one_run_at_a_time_and_a_run_that_is_told_to_stop_says_how_to_go_on() {
    let service = Service::start(&["--job-time", "30s"]);
    let folder = tempfile::tempdir().unwrap();
    let lake = folder.path().join("lake");
    let mut first = sync(&service, &lake);
    let mut first =
        first.args(["--since", "2026-06-01", "--log-json"]).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(first.stderr.take().unwrap()).lines();
    lines.find(|line| line.as_ref().unwrap().contains(r#""event":"started""#)).unwrap().unwrap();
    let holder = format!("process {} on ", first.id());
    // What to go on with is asked of a destination that nobody else is filling.
    for arguments in [&[][..], &["--since", "2026-06-01"]] {
        run(sync(&service, &lake).args(arguments)).ended_with(1).error_says(&holder);
    }
    let mut waiting = sync(&service, &lake);
    let mut waiting = waiting.args(["--wait", "--log-json"]).stderr(Stdio::piped()).spawn().unwrap();
    let mut told = BufReader::new(waiting.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(told.next().unwrap().contains(&holder), "it waits for the first");
    Command::new("kill").args(["-TERM", &waiting.id().to_string()]).status().unwrap();
    assert_eq!(waiting.wait().unwrap().code(), Some(130));
    let told: Vec<String> = told.collect();
    assert!(told.last().unwrap().contains("run the same command again"), "{told:?}");
    run(backstory().args(["rebuild", "--to"]).arg(&lake)).ended_with(1).error_says("in use");
    let status = || run(backstory().args(["status", "--to"]).arg(&lake)).ended_with(0).stdout;
    let now = status();
    for words in [format!("in use by process {} on ", first.id()), format!("running (process {}", first.id())]
    {
        assert!(now.contains(&words), "`{words}` is not in:\n{now}");
    }
    let told = Command::new("kill").args(["-TERM", &first.id().to_string()]).status().unwrap();
    assert!(told.success());
    assert_eq!(first.wait().unwrap().code(), Some(130));
    let rest: Vec<String> = lines.map(Result::unwrap).collect();
    assert!(rest.iter().any(|line| line.contains("run the same command again")), "{rest:?}");

    // One that is killed can't say so; the status does.
    let mut third = sync(&service, &lake);
    let mut third =
        third.args(["--since", "2026-06-01", "--log-json"]).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(third.stderr.take().unwrap()).lines();
    lines.find(|line| line.as_ref().unwrap().contains(r#""event":"planned""#)).unwrap().unwrap();
    assert!(!status().contains("killed"));
    third.kill().unwrap();
    third.wait().unwrap();
    let afterwards = status();
    assert!(afterwards.contains("killed") && !afterwards.contains("in use"), "{afterwards}");
}

#[cfg(unix)]
#[test]
fn one_that_waits_for_the_first_sync_goes_on_with_the_history_which_that_has_begun() {
    let service = Service::start(&["--job-time", "300ms"]);
    let folder = tempfile::tempdir().unwrap();
    let lake = folder.path().join("lake");
    let mut first = sync(&service, &lake);
    let mut first =
        first.args(["--since", "2026-06-01", "--log-json"]).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(first.stderr.take().unwrap()).lines().map(Result::unwrap);
    lines.find(|line| line.contains(r#""event":"started""#)).unwrap();
    let second = run(sync(&service, &lake).args(["--wait", "--json"])).ended_with(0);
    assert!(second.stderr.contains("waiting for it to end"), "{}", second.stderr);
    assert_eq!(second.json()["committed"].as_array().unwrap().len(), 1, "today's delta");
    assert!(lines.last().unwrap().contains(r#""event":"ended""#));
    assert_eq!(first.wait().unwrap().code(), Some(0));
}

#[cfg(unix)]
#[test]
fn one_that_keeps_running_syncs_again_and_ends_when_it_is_told_to() {
    let service = Service::start(&[]);
    let folder = tempfile::tempdir().unwrap();
    // JSON takes this character as it is.
    let lake = folder.path().join("lake\u{7f}");
    let mut command = sync(&service, &lake);
    command.args(["--since", "2026-06-01", "--resources", "activities", "--every", "1s", "--log-json"]);
    let mut process = command.arg("--json").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(process.stderr.take().unwrap()).lines().map(Result::unwrap);
    for _ in 0..2 {
        lines.find(|line| line.contains(r#""event":"ended""#)).unwrap();
    }
    let told = Command::new("kill").args(["-TERM", &process.id().to_string()]).status().unwrap();
    assert!(told.success());
    let rest: Vec<String> = lines.collect();
    assert_eq!(process.wait().unwrap().code(), Some(130));
    assert!(rest.last().unwrap().contains("run the same command again"), "{rest:?}");
    let reports = BufReader::new(process.stdout.take().unwrap()).lines().map(Result::unwrap);
    let reports: Vec<Value> = reports.map(|line| serde_json::from_str(&line).expect(&line)).collect();
    assert!(reports.len() >= 2, "a report a line: {reports:?}");
    assert!(reports[..2].iter().all(|report| report["outcome"] == "done"), "{reports:?}");
    run(sync(&service, &lake).args(["--every", "0s"])).ended_with(2).error_says("too short");
}
