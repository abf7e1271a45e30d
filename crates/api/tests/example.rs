//! The example program, run as a user runs it: its own process, its own environment, a service on a real socket.
#![cfg(feature = "reqwest")]

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};

const LINES: &str = "{\"uid\":\"a\"}\n{\"uid\":\"b\"}\n";

/// Where the example is. `cargo test` builds it beside the tests; where only some tests were asked for, it is built here.
fn program() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let folder = test.parent().unwrap().parent().unwrap().join("examples");
    let program = folder.join(format!("export_with_progress{}", std::env::consts::EXE_SUFFIX));
    if !program.exists() {
        let build =
            ["build", "--offline", "--package", env!("CARGO_PKG_NAME"), "--example", "export_with_progress"];
        assert!(Command::new(env!("CARGO")).args(build).status().unwrap().success());
    }
    program
}

/// A service with one job, which ends in this state. Remembers what was asked.
fn serve(end: &'static str) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&asked);
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = connection.unwrap();
            let Some(request) = read(&mut connection) else { continue };
            let first = request.lines().next().unwrap_or_default().to_owned();
            let body = if first.starts_with("POST /auth/v1/tokens ") {
                r#"{"access_token":"t0ken-value","expires_in":7200}"#.to_owned()
            } else if !request.contains("authorization: Bearer t0ken-value\r\n") {
                String::new()
            } else if first.starts_with("POST ") {
                r#"{"job_id":41,"state":"Queued"}"#.to_owned()
            } else if first.contains("/data") {
                LINES.to_owned()
            } else {
                format!(r#"{{"job_id":41,"state":"{end}"}}"#)
            };
            heard.lock().unwrap().push(first);
            let head =
                format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            connection.write_all(format!("{head}{body}").as_bytes()).unwrap();
        }
    });
    (base, asked)
}

/// One request: its head, and the body that its head announces.
fn read(connection: &mut TcpStream) -> Option<String> {
    let mut text = String::new();
    loop {
        let mut chunk = [0; 4096];
        let read = connection.read(&mut chunk).ok().filter(|read| *read > 0)?;
        text.push_str(&String::from_utf8_lossy(&chunk[..read]));
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                return Some(text);
            }
        }
    }
}

fn run(base: &str, arguments: &[&str]) -> Output {
    let mut example = Command::new(program());
    example.args(arguments).env_clear().env("NO_PROXY", "127.0.0.1").env("BACKSTORY_BASE_URL", base);
    example.env("BACKSTORY_CLIENT_ID", "key").env("BACKSTORY_CLIENT_SECRET", "hunter2").output().unwrap()
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

#[test]
fn it_creates_waits_downloads_and_goes_on_with_a_job_by_its_id() {
    let (base, asked) = serve("Completed");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("march.jsonl");
    let name = path.to_str().unwrap();
    let created = run(&base, &["2026-03-01..2026-03-14", name]);
    let (out, told) = (text(created.stdout), text(created.stderr));
    assert!(created.status.success(), "{told}");
    assert!(told.starts_with("job 41\nCompleted\n") && told.contains("\r24 bytes"), "{told}");
    assert!(out.starts_with(&format!("{name}: 24 bytes, sha256 ")), "{out}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), LINES);
    let jobs = "/pull/v1/export/activities/jobs";
    let calls = [
        "POST /auth/v1/tokens".to_owned(),
        format!("POST {jobs}"),
        format!("GET {jobs}/41"),
        format!("GET {jobs}/41/data"),
    ];
    assert_eq!(*asked.lock().unwrap(), calls.clone().map(|call| format!("{call} HTTP/1.1")));

    asked.lock().unwrap().clear();
    assert!(run(&base, &["2026-03-01..2026-03-14", name, "41"]).status.success());
    assert_eq!(asked.lock().unwrap().len(), 3, "it creates no job");
}

#[test]
fn a_job_that_fails_ends_in_a_message_with_its_id_and_a_hint_and_without_secrets() {
    let (base, _) = serve("Failed");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("march.jsonl");
    let output = run(&base, &["2026-03-01..2026-03-14", path.to_str().unwrap()]);
    let told = text(output.stderr);
    assert_eq!((output.status.code(), text(output.stdout)), (Some(1), String::new()));
    assert!(
        told.contains("error: can't wait for the activities export job (job 41): the job has failed"),
        "{told}"
    );
    assert!(told.contains("\nhint: create the job again"), "{told}");
    assert!(!told.contains("hunter2") && !told.contains("t0ken"), "{told}");
    assert!(!path.exists());
}

#[test]
fn an_illegal_range_is_refused_before_anything_is_sent() {
    let (base, asked) = serve("Completed");
    let told = text(run(&base, &["2026-03-01..2026-03-31", "x"]).stderr);
    assert!(told.contains("the range is too wide for one job") && told.contains("14 days"), "{told}");
    assert!(asked.lock().unwrap().is_empty());
}
