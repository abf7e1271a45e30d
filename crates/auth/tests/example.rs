//! The example program against a token endpoint on a real socket.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::{Command, Output};

/// The example, beside the folder that this test was built into. `cargo test` builds it; where only some tests were asked
/// for, it is built here.
fn example() -> Command {
    let test = std::env::current_exe().unwrap();
    let folder = test.parent().unwrap().parent().unwrap();
    let program = folder.join("examples").join(format!("token_for_curl{}", std::env::consts::EXE_SUFFIX));
    if !program.exists() {
        let build =
            ["build", "--offline", "--package", env!("CARGO_PKG_NAME"), "--example", "token_for_curl"];
        assert!(Command::new(env!("CARGO")).args(build).status().unwrap().success());
    }
    let mut example = Command::new(program);
    example.env_clear().env("NO_PROXY", "127.0.0.1");
    example
}

/// Runs the example against a server that gives one reply. Returns what it sent, too.
fn run(status: &str, body: &str) -> (Output, String) {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let base_url = format!("http://{}", server.local_addr().unwrap());
    let reply =
        format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
    let received = std::thread::spawn(move || {
        let (mut connection, _) = server.accept().unwrap();
        let mut received = Vec::new();
        // The form is the last thing that is sent, and its last field is the secret.
        while !received.ends_with(b"client_secret=hunter2") {
            let mut chunk = [0; 4096];
            let read = connection.read(&mut chunk).unwrap();
            assert!(read > 0, "the client has gone: {}", String::from_utf8_lossy(&received));
            received.extend_from_slice(&chunk[..read]);
        }
        connection.write_all(reply.as_bytes()).unwrap();
        String::from_utf8(received).unwrap()
    });
    let output = example()
        .env("BACKSTORY_BASE_URL", base_url)
        .env("BACKSTORY_CLIENT_ID", "my-key")
        .env("BACKSTORY_CLIENT_SECRET", "hunter2")
        .output()
        .unwrap();
    (output, received.join().unwrap())
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn it_prints_a_header_for_curl() {
    let (output, sent) = run("200 OK", r#"{"access_token":"eyJ","token_type":"bearer","expires_in":7200}"#);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(text(&output.stdout), "Authorization: Bearer eyJ\n");
    assert!(text(&output.stderr).starts_with("good until "));
    assert!(sent.starts_with("POST /auth/v1/tokens HTTP/1.1\r\n"), "{sent}");
    assert!(
        sent.ends_with("\r\n\r\ngrant_type=client_credentials&client_id=my-key&client_secret=hunter2"),
        "{sent}"
    );
}

#[test]
fn a_refused_key_ends_in_a_message_with_a_hint_and_without_the_secret() {
    let (output, _) = run("401 Unauthorized", r#"{"error":"invalid_client","message":"not hunter2"}"#);
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(1), ""));
    let said = text(&output.stderr);
    assert!(said.contains("refused the key `my-key` with HTTP 401 (invalid_client): not ***"), "{said}");
    assert!(said.contains("\nhint: check that id and secret belong together"), "{said}");
    assert!(!said.contains("hunter2"), "{said}");
}

#[test]
fn without_a_key_it_says_which_variable_is_missing() {
    let output = example().env("BACKSTORY_CLIENT_ID", "").output().unwrap();
    assert_eq!(text(&output.stderr), "error: BACKSTORY_CLIENT_ID is not set\n");
}
