//! `backstory sim` as a process: what it prints, how it ends, and its flags as clients meet them.

mod program;

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Stdio};

use program::{Service, backstory, run};

#[test]
fn the_base_url_alone_is_the_first_line_and_sigterm_ends_it_well() {
    let mut process = backstory()
        .args(["sim", "--port", "0"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut stdout = BufReader::new(process.stdout.take().unwrap());
    let mut url = String::new();
    stdout.read_line(&mut url).unwrap();
    let port = url.trim_end().strip_prefix("http://127.0.0.1:").expect("the base URL alone");
    std::net::TcpStream::connect(format!("127.0.0.1:{port}")).expect("it serves by then");
    terminate(&process);
    let ended = process.wait().unwrap();
    assert!(ended.success(), "{ended}");
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "", "nothing else goes to stdout");
}

/// Whoever has read the base URL may end the process at once, even where its next line finds no reader yet.
#[cfg(unix)]
#[test]
fn sigterm_right_behind_the_base_url_ends_it_well() {
    let (mut reader, stderr) = full_stream();
    let mut process = backstory()
        .args(["sim", "--port", "0"])
        .stdout(Stdio::piped())
        .stderr(std::os::fd::OwnedFd::from(stderr))
        .spawn()
        .unwrap();
    BufReader::new(process.stdout.take().unwrap()).read_line(&mut String::new()).unwrap();
    terminate(&process);
    // Only now can the process say what comes behind the URL.
    let mut said = Vec::new();
    reader.read_to_end(&mut said).unwrap();
    let ended = process.wait().unwrap();
    assert!(ended.success(), "{ended}");
    assert!(said.ends_with(b"Ctrl-C stops it\n"));
}

/// A stream of two ends whose writer has to wait until something is read.
#[cfg(unix)]
fn full_stream() -> (std::os::unix::net::UnixStream, std::os::unix::net::UnixStream) {
    use std::io::Write as _;
    let (reader, mut writer) = std::os::unix::net::UnixStream::pair().unwrap();
    writer.set_nonblocking(true).unwrap();
    let refused = loop {
        if let Err(error) = writer.write(&[b'.'; 1024]) {
            break error;
        }
    };
    assert_eq!(refused.kind(), std::io::ErrorKind::WouldBlock);
    writer.set_nonblocking(false).unwrap();
    (reader, writer)
}

fn terminate(process: &Child) {
    assert!(Command::new("kill").args(["-TERM", &process.id().to_string()]).status().unwrap().success());
}

#[test]
fn the_switches_are_listed_with_default_and_alternatives() {
    let text = run(backstory().args(["sim", "--list-switches"])).ended_with(0).stdout;
    assert!(text.contains("j1=429 (default): Too Many Requests") && text.contains("j1=503"), "{text}");
    let rows = run(backstory().args(["sim", "--list-switches", "--json"])).ended_with(0).json();
    let rows = rows.as_array().unwrap();
    assert!(rows.iter().any(|row| row["row"] == "j44" && row["values"].as_array().unwrap().len() == 2));
    for row in rows {
        for value in row["values"].as_array().unwrap() {
            let line = format!("{}={}", row["row"].as_str().unwrap(), value["value"].as_str().unwrap());
            assert!(text.contains(&line), "{line}");
        }
    }
}

#[test]
fn one_file_holds_switches_and_faults_and_a_flag_overrides_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("nasty.toml");
    let text = "[switches]\nj36 = \"number\"\nj31 = \"html\"\n[[rule]]\nroute = \"list\"\neffect = \"status\"\nstatus = 400";
    std::fs::write(&file, text).unwrap();
    let file = file.to_str().unwrap();
    let service = Service::start(&["--faults", file, "--switch", "j36=string", "-v"]);
    assert_eq!(asked(&service, "j31"), "html");
    assert_eq!(asked(&service, "j36"), "string");
    // The list is broken, and says so.
    run(service.client().args(["jobs", "list"])).ended_with(1).error_says("400");
    let service = Service::start(&["--switch", file]);
    assert_eq!(asked(&service, "j36"), "number");
    run(service.client().args(["jobs", "list"])).ended_with(0);
    run(backstory().args(["sim", "--switch", "/nowhere.toml"])).ended_with(2).error_says("/nowhere.toml");
}

/// How a switch stands, asked over a plain connection.
fn asked(service: &Service, row: &str) -> String {
    use std::io::Write as _;
    let address = service.url.strip_prefix("http://").unwrap();
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    stream.write_all(b"GET /_sim/switches HTTP/1.1\r\nhost: sim\r\nconnection: close\r\n\r\n").unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    let rows: serde_json::Value = serde_json::from_str(reply.split_once("\r\n\r\n").unwrap().1).unwrap();
    let row = rows.as_array().unwrap().iter().find(|known| known["row"] == row).unwrap();
    row["value"].as_str().unwrap().to_owned()
}

#[test]
fn a_token_lives_as_long_as_it_is_told_to() {
    let service = Service::start(&["--token-life", "5m"]);
    let said = run(service.client().args(["auth", "check", "--json"])).ended_with(0).stdout;
    assert!(said.contains("300"), "{said}");
}

#[cfg(feature = "sim-tls")]
#[test]
fn https_is_served_to_whoever_trusts_the_authority_that_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let authority = folder.path().join("authority.pem");
    let service = Service::start(&["--tls", authority.to_str().unwrap()]);
    assert!(service.url.starts_with("https://"));
    let out = folder.path().join("out");
    let range = ["--from", "2026-06-01", "--to", "2026-06-07", "--kind", "delta", "--format", "jsonl"];
    let export = |client: &mut std::process::Command| {
        run(client.args(["export", "activities"]).args(range).arg("--out").arg(&out))
    };
    export(service.client().env("BACKSTORY_CA_BUNDLE", &authority)).ended_with(0);

    // To whoever doesn't, the key isn't at fault.
    std::fs::remove_dir_all(&out).unwrap();
    for refused in [export(&mut service.client()), run(service.client().args(["auth", "check"]))] {
        let refused = refused.ended_with(1).error_says("trusted").error_says("CA bundle");
        assert!(!refused.stderr.contains("secret"), "{}", refused.stderr);
    }
}
