//! The example program, run as a user runs it: its own process, its own environment.

use std::path::PathBuf;
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::server::{End, Play, Server, play, reply};

const TEXT: &[u8] = b"{\"uid\":1}\n{\"uid\":2}\n{\"uid\":3}\n";

/// Where the example is. `cargo test` builds it beside the tests; where only some tests were asked for, it is built here.
fn program() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let built = test.parent().unwrap().parent().unwrap().join("examples");
    let program = built.join(format!("resilient_download{}", std::env::consts::EXE_SUFFIX));
    if !program.exists() {
        let build =
            ["build", "--offline", "--package", env!("CARGO_PKG_NAME"), "--example", "resilient_download"];
        assert!(Command::new(env!("CARGO")).args(build).status().unwrap().success());
    }
    program
}

/// The example with this environment and no other proxy or CA settings.
fn command(address: &str, folder: &TempDir, environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(program());
    command.args([address, folder.path().join("data.jsonl").to_str().unwrap()]);
    for name in [
        "HTTPS_PROXY",
        "HTTP_PROXY",
        "ALL_PROXY",
        "NO_PROXY",
        "https_proxy",
        "http_proxy",
        "all_proxy",
        "no_proxy",
    ] {
        command.env_remove(name);
    }
    command.envs(environment.iter().copied());
    command
}

/// Runs the example to its end.
async fn run(address: &str, folder: &TempDir, environment: &[(&str, &str)]) -> Output {
    let mut command = command(address, folder, environment);
    // The server of the test runs on this very runtime, so its thread must stay free.
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn it_mends_a_cut_sends_its_token_and_prints_what_came() {
    let folder = TempDir::new().unwrap();
    let cut = play(b"HTTP/1.1 200 OK\r\netag: \"v\"\r\ncontent-length: 30\r\n\r\n{\"uid\":1}\n", End::Rst);
    let server = Server::plain([cut, reply("200 OK\r\netag: \"v\"", TEXT)]).await;
    let output = run(&server.url("/data"), &folder, &[("BEARER_TOKEN", "t0ken")]).await;
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(text(&output.stdout).starts_with("30 bytes, sha256 "), "{}", text(&output.stdout));
    assert_eq!(std::fs::read(folder.path().join("data.jsonl")).unwrap(), TEXT);
    assert!(
        server.heard()[1].contains("range: bytes=10-")
            && server.heard()[1].contains("authorization: Bearer t0ken")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn it_obeys_the_proxy_of_its_environment_and_the_exceptions() {
    let proxy = Server::plain([reply("200 OK", b"by the proxy")]).await;
    let proxy_url = proxy.url("");
    let folder = TempDir::new().unwrap();
    let output = run("http://api.test/x", &folder, &[("HTTP_PROXY", &proxy_url)]).await;
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(proxy.heard()[0].starts_with("GET http://api.test/x "));

    let server = Server::plain([reply("200 OK", b"directly")]).await;
    let output =
        run(&server.url("/x"), &folder, &[("HTTP_PROXY", &proxy_url), ("NO_PROXY", "127.0.0.1")]).await;
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!((proxy.heard().len(), server.heard().len()), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_machine_without_ca_certificates_http_works_and_https_says_what_is_missing() {
    let folder = TempDir::new().unwrap();
    let none = folder.path().join("no-certificates.pem");
    std::fs::write(&none, "").unwrap();
    let bare = [("SSL_CERT_FILE", none.to_str().unwrap()), ("SSL_CERT_DIR", folder.path().to_str().unwrap())];
    let server = Server::plain([reply("200 OK", TEXT)]).await;
    let output = run(&server.url("/x"), &folder, &bare).await;
    assert!(output.status.success(), "{}", text(&output.stderr));

    let secure = crate::tls::Authority::new("ours").server().await;
    let output = run(&format!("https://{}/x", secure.address), &folder, &bare).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("this machine has no CA certificates"), "{}", text(&output.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn it_tells_the_whole_story_of_a_failure_but_not_the_token() {
    let folder = TempDir::new().unwrap();
    let server = Server::plain([Play {
        end: End::Fin,
        ..reply("404 Not Found", br#"{"error":"NotFoundException","message":"gone"}"#)
    }])
    .await;
    let output = run(&server.url("/data"), &folder, &[("BEARER_TOKEN", "t0ken")]).await;
    assert_eq!(output.status.code(), Some(1));
    let told = text(&output.stderr);
    assert!(told.contains("HTTP 404 (NotFoundException): gone"), "{told}");
    assert!(!told.contains("t0ken"), "{told}");

    let output = run("", &folder, &[]).await;
    assert_eq!(output.status.code(), Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_kill_another_process_goes_on_from_the_journal() {
    let folder = TempDir::new().unwrap();
    let whole: Vec<u8> = (0..5_u32 << 20).flat_map(u32::to_le_bytes).collect();
    let mut stalls =
        format!("HTTP/1.1 200 OK\r\netag: \"v\"\r\ncontent-length: {}\r\n\r\n", whole.len()).into_bytes();
    stalls.extend_from_slice(&whole[..18 << 20]);
    let server = Server::plain([play(stalls, End::Hold)]).await;
    let mut first = command(&server.url("/data"), &folder, &[]).spawn().unwrap();
    let journal = folder.path().join(".data.jsonl.partial.json");
    while !journal.exists() {
        assert!(first.try_wait().unwrap().is_none(), "it has ended by itself");
        tokio::task::yield_now().await;
    }
    first.kill().unwrap();
    first.wait().unwrap();

    let journal = std::fs::read_to_string(journal).unwrap();
    let from =
        journal.split_once("\"bytes\":").unwrap().1.split_once(',').unwrap().0.parse::<usize>().unwrap();
    assert!((16 << 20..=18 << 20).contains(&from), "{journal}");
    let range = format!("bytes {from}-{}/{}", whole.len() - 1, whole.len());
    let head = format!("206 Partial Content\r\netag: \"v\"\r\ncontent-range: {range}");
    server.then(reply(&head, &whole[from..]));
    let output = run(&server.url("/data"), &folder, &[]).await;
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(server.heard()[1].contains(&format!("range: bytes={from}-\r\n")), "{}", server.heard()[1]);
    assert!(std::fs::read(folder.path().join("data.jsonl")).unwrap() == whole);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}
