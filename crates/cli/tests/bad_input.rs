//! Bad input and bad luck: one clear message that says what to do, the right exit code, and nothing damaged.

mod program;

use program::{SECRET, Service, backstory, files, run};

const MAY: [&str; 4] = ["--from", "2026-05-01", "--to", "2026-05-31"];

fn export(service: &Service, out: &std::path::Path) -> std::process::Command {
    let mut command = service.client();
    command.args(["export", "activities", "--format", "jsonl", "--out"]).arg(out).args(MAY);
    command
}

#[test]
fn bad_usage_ends_with_2_and_says_what_is_allowed() {
    for (arguments, words) in [
        (
            vec!["export", "activities", "--from", "2026-02-01", "--to", "2026-01-01", "--out", "x"],
            "after its end",
        ),
        (
            vec!["export", "activities", "--from", "2026-02-30", "--to", "2026-03-01", "--out", "x"],
            "no such day",
        ),
        (
            vec![
                "export",
                "activities",
                "--type",
                "fax",
                "--from",
                "2026-02-01",
                "--to",
                "2026-03-01",
                "--out",
                "x",
            ],
            "email, meeting, call, all",
        ),
        (
            vec![
                "export",
                "activities",
                "--kind",
                "full",
                "--from",
                "2026-02-01",
                "--to",
                "2026-03-01",
                "--out",
                "x",
            ],
            "snapshot, delta",
        ),
        (
            vec![
                "export",
                "contacts",
                "--kind",
                "delta",
                "--from",
                "2026-02-01",
                "--to",
                "2026-03-01",
                "--out",
                "x",
            ],
            "for activities only",
        ),
        (
            vec![
                "export",
                "activities",
                "--country",
                "X",
                "--from",
                "2026-02-01",
                "--to",
                "2026-03-01",
                "--out",
                "x",
            ],
            "for contacts only",
        ),
        (
            vec![
                "export",
                "activities",
                "--wire",
                "json",
                "--from",
                "2026-02-01",
                "--to",
                "2026-03-01",
                "--out",
                "x",
            ],
            "--wire is for contacts only",
        ),
        (vec!["export", "deals"], "activities, contacts"),
        (vec!["sim", "--switch", "j99=1"], "no row `j99`"),
        (vec!["sim", "--key", "nonsense"], "TYPE:ID:SECRET"),
        (vec!["--base-url", "ftp://x.example", "auth", "check"], "https://"),
        (vec!["--config", "/nonexistent.toml", "auth", "check"], "configuration file"),
        (vec!["frobnicate"], "unrecognized subcommand"),
    ] {
        run(backstory().args(&arguments)).ended_with(2).error_says(words);
    }
}

#[test]
fn missing_credentials_end_with_2_and_say_where_they_belong() {
    run(backstory().args(["export", "activities", "--out", "x"]).args(MAY))
        .ended_with(2)
        .error_says("BACKSTORY_CLIENT_SECRET");
    run(backstory().args(["auth", "check"]).env("BACKSTORY_CLIENT_ID", "key"))
        .ended_with(2)
        .error_says("secret is not");
}

#[test]
fn wrong_credentials_end_with_3_and_hint_at_the_key_types() {
    let service = Service::start(&[]);
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    run(export(&service, &out).env("BACKSTORY_CLIENT_SECRET", "wrong"))
        .ended_with(3)
        .error_says("another API type");
    run(export(&service, &out).env("BACKSTORY_CLIENT_ID", "insight-key"))
        .ended_with(3)
        .error_says("Activity key");
    run(service.client().args(["auth", "check"]).env("BACKSTORY_CLIENT_SECRET", "wrong")).ended_with(3);
    assert!(files(&out).is_empty(), "nothing was begun, and nothing claims the folder");
    let mut without = service.client();
    without.env_remove("BACKSTORY_CLIENT_SECRET").env("BACKSTORY_CLIENT_SECRET_FILE", "/nonexistent/secret");
    run(without.args(["jobs", "list"])).ended_with(2).error_says("/nonexistent/secret");
}

#[test]
fn an_auth_check_looks_at_each_key_and_each_stand_by() {
    let service = Service::start(&[]);
    let check = || {
        let mut command = service.client();
        command.args(["auth", "check"]);
        command
    };
    let mut object = check();
    object.env("BACKSTORY_OBJECT_CLIENT_ID", "key").env("BACKSTORY_OBJECT_CLIENT_SECRET", "wrong");
    let said = run(&mut object).ended_with(3).error_says("the key key (object) gets no token");
    assert!(said.stdout.contains("key key (any): a token of"), "{}", said.stdout);
    let keys = run(object.arg("--json")).ended_with(3).json()["keys"].clone();
    let oks: Vec<&serde_json::Value> = keys.as_array().unwrap().iter().map(|key| &key["ok"]).collect();
    assert_eq!(oks, [true, false]);
    let mut stand_by = check();
    stand_by.env("BACKSTORY_CLIENT_ID_2", "insight-key").env("BACKSTORY_CLIENT_SECRET_2", "wrong");
    run(&mut stand_by).ended_with(3).error_says("insight-key");
    stand_by.env("BACKSTORY_CLIENT_SECRET_2", SECRET);
    assert!(run(&mut stand_by).ended_with(0).stdout.contains("(any, stand-by)"));
}

#[test]
fn an_auth_check_shows_claims_and_life_but_never_the_token() {
    let service = Service::start(&[]);
    let said = run(service.client().args(["auth", "check", "--json"])).ended_with(0);
    let key = &said.json()["keys"][0];
    assert_eq!((&key["remaining_seconds"], &key["claims"]["sub"]), (&7_200.into(), &"key".into()));
    assert!(!said.stdout.contains("eyJ"), "a JWT begins like this");
}

#[test]
fn a_range_beyond_the_limit_ends_with_4_and_names_the_limit() {
    let arguments =
        ["export", "activities", "--no-split", "--out", "x", "--from", "2024-01-01", "--to", "2024-12-31"];
    run(backstory().args(arguments)).ended_with(4).error_says("1 year").error_says("leap year's 366 days");
    let delta =
        ["plan", "activities", "--kind", "delta", "--no-split", "--from", "2026-01-01", "--to", "2026-01-15"];
    run(backstory().args(delta)).ended_with(4).error_says("14 days");
}

#[test]
fn a_folder_that_cannot_be_written_ends_with_1_before_any_job_is_created() {
    let service = Service::start(&[]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a-file");
    std::fs::write(&file, "x").unwrap();
    run(&mut export(&service, &file.join("out")))
        .ended_with(1)
        .error_says("can't make the folder")
        .error_says("what to do");
    let jobs = run(service.client().args(["jobs", "list", "--json"])).ended_with(0).json();
    assert_eq!(jobs.as_array().unwrap().len(), 0);
}

/// Linux lets a path hold any bytes.
#[cfg(target_os = "linux")]
#[test]
fn a_path_that_is_no_text_is_as_good_as_another() {
    use std::os::unix::ffi::OsStrExt as _;
    let service = Service::start(&[]);
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &[u8]| folder.path().join(std::ffi::OsStr::from_bytes(name));
    let out = path(b"g\xff");
    let exported = run(export(&service, &out).arg("--json")).ended_with(0).json();
    assert!(exported["folder"].as_str().unwrap().ends_with("g\u{fffd}"), "{exported}");
    // A key that is none isn't "not set".
    let mut odd = service.client();
    odd.env("BACKSTORY_CLIENT_ID", std::ffi::OsStr::from_bytes(b"k\xff")).args(["jobs", "list"]);
    run(&mut odd).ended_with(2).error_says("BACKSTORY_CLIENT_ID is not UTF-8");
    let id = exported["windows"][0]["job"]["id"].as_str().unwrap().to_owned();
    let mut download = service.client();
    download.args(["jobs", "download", &id, "--json", "--out"]).arg(path(b"d\xff.jsonl"));
    run(&mut download).ended_with(0);
}

#[test]
fn a_result_may_go_to_standard_output_and_one_that_there_is_not_is_no_download() {
    let service = Service::start(&[]);
    let folder = tempfile::tempdir().unwrap();
    let exported = run(export(&service, folder.path()).arg("--json")).ended_with(0).json();
    let id = exported["windows"][0]["job"]["id"].as_str().unwrap().to_owned();
    let file = folder.path().join(exported["windows"][0]["files"][0]["path"].as_str().unwrap());
    let download = |id: &str| {
        let mut command = service.client();
        command.args(["jobs", "download", id, "--out", "-"]);
        command
    };
    let said = run(&mut download(&id)).ended_with(0).error_says("sha256");
    assert_eq!(said.stdout, std::fs::read_to_string(file).unwrap());
    run(download(&id).arg("--json")).ended_with(2);
    let faults = folder.path().join("faults.toml");
    std::fs::write(&faults, "[[rule]]\nroute = \"create\"\neffect = \"job-fails\"").unwrap();
    let service = Service::start(&["--faults", faults.to_str().unwrap()]);
    let other = tempfile::tempdir().unwrap();
    let failed = run(export(&service, other.path()).arg("--json")).ended_with(1).json();
    let jobs = run(service.client().args(["jobs", "list", "--json"])).ended_with(0).json();
    let id = jobs[0]["job_id"].as_str().unwrap_or_else(|| panic!("{jobs} {failed}")).to_owned();
    let mut download = service.client();
    download.args(["jobs", "download", &id, "--out"]).arg(other.path().join("x"));
    run(&mut download).ended_with(1).error_says("its state is Failed");
}

#[test]
fn a_job_that_never_ends_is_given_up_at_its_deadline_with_its_id() {
    let service = Service::start(&["--switch", "j35=running"]);
    let folder = tempfile::tempdir().unwrap();
    let said = run(export(&service, folder.path()).args(["--deadline", "100ms"])).ended_with(5);
    let said = said.error_says("its state is Running").error_says("backstory jobs wait");
    assert!(said.stderr.contains("(job "), "{}", said.stderr);
    assert_eq!(files(folder.path()), ["manifest.json"]);
}

#[test]
fn a_cut_download_lands_nothing() {
    let service = Service::start(&["--switch", "j21=missing"]);
    let folder = tempfile::tempdir().unwrap();
    let mut command = export(&service, folder.path());
    // Only the attempts of one window, whose pauses are at most some seconds together.
    run(command.args(["--type", "call"])).ended_with(1).error_says("didn't arrive whole");
    assert_eq!(files(folder.path()), ["manifest.json"]);
}

#[test]
fn a_service_that_speaks_no_api_is_named_as_such() {
    use std::io::{Read as _, Write as _};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let gateway = std::thread::spawn(move || {
        // One answer is enough: a refusal that no retry can mend.
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = [0; 4096];
        let _ = stream.read(&mut request).unwrap();
        let page = "<html><body>Please sign in</body></html>";
        write!(
            stream,
            "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: {}\r\n\r\n{page}",
            page.len()
        )
        .unwrap();
    });
    let mut command = backstory();
    command.args(["auth", "check"]).env("BACKSTORY_BASE_URL", format!("http://{address}"));
    command.env("BACKSTORY_CLIENT_ID", "key").env("BACKSTORY_CLIENT_SECRET", SECRET);
    let said = run(&mut command);
    gateway.join().unwrap();
    assert!(said.code == 1 || said.code == 3, "{}", said.code);
    assert!(said.stderr.contains("HTML") || said.stderr.contains("JSON"), "{}", said.stderr);
}

#[test]
fn no_secret_and_no_token_is_told_at_any_level_of_logging() {
    let service = Service::start(&[]);
    let folder = tempfile::tempdir().unwrap();
    // `run` checks every run for the secret; here the token is looked for too, with everything switched on.
    let said = run(export(&service, folder.path()).arg("-vvv").env("BACKSTORY_LOG", "trace")).ended_with(0);
    assert!(said.stderr.contains("/pull/v1/export/activities/jobs"), "nothing was logged: {}", said.stderr);
    assert!(!said.stderr.contains("eyJ"), "a JWT begins like this: {}", said.stderr);
    for name in files(folder.path()) {
        let content = std::fs::read(folder.path().join(name)).unwrap();
        assert!(!String::from_utf8_lossy(&content).contains(SECRET));
    }
}

/// The reader of a pipe may end early, as in `2>&1 | head -n 1`.
#[cfg(unix)]
#[test]
fn where_nobody_reads_stderr_the_exit_code_is_what_it_is_otherwise() {
    let service = Service::start(&[]);
    let folder = tempfile::tempdir().unwrap();
    let bad = folder.path().join("activities.jsonl");
    std::fs::write(&bad, "{\"uid\":\"a\"}\nnonsense\n").unwrap();
    let lake = folder.path().join("lake");
    let unread = |command: &mut std::process::Command| {
        let (reader, stderr) = std::os::unix::net::UnixStream::pair().unwrap();
        drop(reader);
        command.stderr(std::os::fd::OwnedFd::from(stderr)).output().unwrap().status.code()
    };
    let mut convert = backstory();
    convert
        .arg("convert")
        .arg(&bad)
        .args(["--on-bad-row", "quarantine", "--out"])
        .arg(folder.path().join("out"));
    assert_eq!(unread(&mut convert), Some(5));
    assert_eq!(unread(service.client().args(["jobs", "list", "-vv"])), Some(0));
    assert_eq!(unread(service.client().args(["sync", "--to"]).arg(&lake)), Some(2));
    for more in [&[][..], &["--log-json"]] {
        let mut sync = service.client();
        sync.env("BACKSTORY_NOW", "2026-06-18T12:00:00Z").args(["sync", "--since", "2026-06-01", "--to"]);
        assert_eq!(unread(sync.arg(&lake).args(more)), Some(0), "{more:?}");
    }
    let mut export = export(&service, &folder.path().join("exports"));
    assert_eq!(unread(&mut export), Some(0));
    assert_eq!(unread(backstory().args(["no-such-command"])), Some(2));
}
