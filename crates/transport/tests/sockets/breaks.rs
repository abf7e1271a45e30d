//! The adapter over real sockets: what each way of breaking becomes, and that a download over TCP ends as it does over a script.

use std::error::Error as _;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use backstory_transport::{
    CallClass, Download, Downloaded, Error, ErrorKind, HttpService, NoPause, Refusal, Request,
    ReqwestService, Retry, UnprovenEnd,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::server::{End, Play, Server, play, reply};

const TEXT: &[u8] = b"{\"uid\":1}\n{\"uid\":2}\n{\"uid\":3}\n";

fn adapter() -> ReqwestService {
    ReqwestService::builder().no_proxy().build().unwrap()
}

fn get(url: &str) -> Request {
    http::Request::get(url).body("".into()).unwrap()
}

fn post(url: &str) -> Request {
    http::Request::post(url).body("{}".into()).unwrap()
}

/// Downloads from a server that plays this, without restarts unless it has more than one play.
async fn download(plays: Vec<Play>) -> (Result<(Downloaded, Vec<u8>), Error>, Vec<String>) {
    let restarts = u32::try_from(plays.len() - 1).unwrap();
    let server = Server::plain(plays).await;
    let url = server.url("/jobs/7/data");
    let result = Download::new(Arc::new(adapter()), move || get(&url))
        .restarts(restarts)
        .with_backoff(NoPause)
        .to_writer(Vec::new())
        .await;
    (result, server.heard())
}

fn with_length(length: usize, body: &[u8], end: End) -> Play {
    let mut bytes = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n").into_bytes();
    bytes.extend_from_slice(body);
    play(bytes, end)
}

fn chunked(chunks: &str, end: End) -> Play {
    play(format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{chunks}"), end)
}

#[tokio::test]
async fn a_reply_of_any_status_is_a_response_with_its_head_and_body() {
    let server =
        Server::plain([reply("404 Not Found\r\nx-request-id: r-7", br#"{"error":"N","message":"gone"}"#)])
            .await;
    let response = adapter().send(get(&server.url("/x?y=1"))).await.unwrap();
    let refusal = Refusal::read(response).await;
    assert_eq!((refusal.status.as_u16(), refusal.message.as_deref()), (404, Some("gone")));
    assert_eq!(refusal.request_id.as_deref(), Some("r-7"));
    assert!(server.heard()[0].starts_with("GET /x?y=1 HTTP/1.1\r\n"));
    assert!(server.heard()[0].contains("user-agent: backstory-transport/"), "{:?}", server.heard());
}

#[tokio::test]
async fn method_headers_and_body_go_out_as_they_are() {
    let server = Server::plain([reply("200 OK", b"")]).await;
    let mut request = post(&server.url("/jobs"));
    request.headers_mut().insert("x-one", "1".parse().unwrap());
    adapter().send(request).await.unwrap();
    let heard = &server.heard()[0];
    assert!(
        heard.starts_with("POST /jobs ") && heard.contains("x-one: 1\r\n") && heard.ends_with("\r\n\r\n{}"),
        "{heard}"
    );
}

#[tokio::test]
async fn nobody_listening_is_told_apart_and_was_certainly_not_sent() {
    let server = Server::plain([reply("200 OK", b"")]).await;
    let url = server.url("/");
    let address = server.address;
    drop(server);
    // The listener's task ends when it is next polled; until then the port may still accept.
    let error = loop {
        tokio::task::yield_now().await;
        match adapter().send(post(&url)).await {
            Err(error) if error.kind() == ErrorKind::Connect => break error,
            _ => {}
        }
    };
    assert!(!error.may_have_been_sent() && error.is_retryable() && error.is_connect());
    assert_eq!(
        error.to_string(),
        format!("POST http://{address}/: nobody answers at {address}; is the address right?")
    );
    assert!(error.source().is_some());
}

#[tokio::test]
async fn a_name_that_nobody_has_is_told_apart() {
    let error = adapter().send(get("http://no-such-host.invalid/x")).await.unwrap_err();
    assert_eq!((error.kind(), error.may_have_been_sent()), (ErrorKind::Connect, false));
    assert!(error.to_string().contains("the name no-such-host.invalid was not found"), "{error}");
}

#[tokio::test]
async fn a_connection_that_never_comes_about_was_certainly_not_sent() {
    // An address for documentation, which no host has (RFC 5737).
    let adapter =
        ReqwestService::builder().no_proxy().connect_timeout(Duration::from_millis(50)).build().unwrap();
    let error = adapter.send(post("http://192.0.2.1:81/")).await.unwrap_err();
    assert_eq!((error.kind(), error.may_have_been_sent()), (ErrorKind::Connect, false));
}

#[tokio::test]
async fn a_connection_that_breaks_before_the_reply_leaves_it_open_whether_it_was_acted_on() {
    for end in [End::Fin, End::Rst] {
        for bytes in ["", "HTTP/1.1 200 OK\r\ncontent-le"] {
            let server = Server::plain([play(bytes, end)]).await;
            let error = adapter().send(post(&server.url("/jobs"))).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Interrupted);
            assert!(error.may_have_been_sent() && error.is_retryable());
            assert_eq!(server.heard().len(), 1);
        }
    }
}

#[tokio::test]
async fn what_is_not_http_is_an_interruption_and_not_a_panic() {
    let server = Server::plain([play("SSH-2.0-OpenSSH_9.2p1\r\n", End::Hold)]).await;
    let error = adapter().send(get(&server.url("/"))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Interrupted);
    assert!(error.to_string().contains("not HTTP"), "{error}");
}

#[tokio::test]
async fn a_reply_that_never_begins_is_a_timeout_and_may_have_been_acted_on() {
    let server = Server::plain([play("", End::Hold)]).await;
    let adapter =
        ReqwestService::builder().no_proxy().reply_timeout(Duration::from_millis(50)).build().unwrap();
    let error = adapter.send(post(&server.url("/jobs"))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(error.is_timeout() && error.may_have_been_sent());
    assert!(error.to_string().ends_with("no reply began within 0.05 s"), "{error}");
}

#[tokio::test]
async fn a_slow_body_is_not_held_to_the_timeout_of_the_head() {
    let server = Server::plain([with_length(TEXT.len(), &TEXT[..10], End::Hold)]).await;
    let adapter =
        ReqwestService::builder().no_proxy().reply_timeout(Duration::from_millis(300)).build().unwrap();
    let mut body = adapter.send(get(&server.url("/"))).await.unwrap().into_body();
    assert_eq!(body.chunk().await.unwrap().unwrap(), TEXT[..10]);
    // Nothing more comes, and nothing gives up but the caller.
    assert!(tokio::time::timeout(Duration::from_millis(600), body.chunk()).await.is_err());
}

#[tokio::test]
async fn the_retry_layer_mends_over_tcp_what_it_mends_over_a_script() {
    let server = Server::plain([
        play("", End::Rst),
        play("", End::Fin),
        reply("503 Busy", b""),
        reply("200 OK", b"done"),
    ])
    .await;
    let retry = Retry::new(adapter()).with_backoff(NoPause);
    let response = retry.send(get(&server.url("/"))).await.unwrap();
    assert_eq!(response.into_body().collect(100).await.unwrap(), "done");
    assert_eq!(server.heard().len(), 4);

    let server = Server::plain([play("", End::Rst), reply("200 OK", b"created twice")]).await;
    retry.send(post(&server.url("/jobs"))).await.unwrap_err();
    assert_eq!(server.heard().len(), 1);

    let server = Server::plain([play("", End::Rst), reply("200 OK", b"")]).await;
    let mut token = post(&server.url("/token"));
    token.extensions_mut().insert(CallClass::Idempotent);
    retry.send(token).await.unwrap();
    assert_eq!(server.heard().len(), 2);
}

#[tokio::test]
async fn a_connection_that_the_server_closed_while_idle_is_no_error() {
    let mut closing = reply("200 OK", b"");
    closing.end = End::Fin;
    let server = Server::plain([closing.clone(), closing.clone(), closing]).await;
    let adapter = adapter();
    for _ in 0..3 {
        adapter.send(get(&server.url("/"))).await.unwrap().into_body().collect(10).await.unwrap();
        // Lets the client see the end of the connection.
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_whole_body_over_tcp_arrives_in_either_framing() {
    let plays = [
        reply("200 OK", TEXT),
        chunked("5\r\n{\"uid\r\n19\r\n\":1}\n{\"uid\":2}\n{\"uid\":3}\n\r\n0\r\n\r\n", End::KeepAlive),
    ];
    for whole in plays {
        let (result, heard) = download(vec![whole]).await;
        let (downloaded, text) = result.unwrap();
        assert_eq!((text.as_slice(), downloaded.bytes, downloaded.end_proven), (TEXT, 30, true));
        assert!(heard[0].contains("accept-encoding: gzip\r\n"), "{heard:?}");
    }
}

#[tokio::test]
async fn every_kind_of_cut_over_tcp_is_a_cut() {
    let cuts = [
        ("FIN within a length", with_length(30, &TEXT[..20], End::Fin)),
        ("RST within a length", with_length(30, &TEXT[..20], End::Rst)),
        ("FIN within a chunk", chunked("1e\r\n{\"uid\":1}\n", End::Fin)),
        ("FIN between chunks", chunked("a\r\n{\"uid\":1}\n\r\n", End::Fin)),
        ("FIN within the last chunk's line", chunked("a\r\n{\"uid\":1}\n\r\n0\r\n", End::Fin)),
        ("a chunk whose length is torn", chunked("a\r\n{\"uid\":1}\n\r\nzz\r\n", End::Hold)),
    ];
    for (name, cut) in cuts {
        let (result, _) = download(vec![cut.clone()]).await;
        let error = result.unwrap_err();
        assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::BodyCut, true), "{name}: {error:?}");

        let (result, heard) = download(vec![cut, reply("200 OK", TEXT)]).await;
        let (downloaded, text) = result.unwrap();
        assert_eq!((text.as_slice(), downloaded.restarts, heard.len()), (TEXT, 1, 2), "{name}");
    }
}

#[tokio::test]
async fn a_body_that_stops_flowing_over_tcp_is_a_stall() {
    let server = Server::plain([with_length(30, &TEXT[..20], End::Hold)]).await;
    let url = server.url("/");
    let download = Download::new(Arc::new(adapter()), move || get(&url)).restarts(0);
    let error = download.stall_timeout(Duration::from_millis(500)).to_writer(Vec::new()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BodyStalled);
}

#[tokio::test]
async fn a_body_that_ends_with_its_connection_is_marked_and_not_taken_for_whole() {
    for head in
        ["HTTP/1.0 200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n"]
    {
        let mut bytes = head.as_bytes().to_vec();
        bytes.extend_from_slice(TEXT);
        let (result, heard) = download(vec![play(&bytes, End::Fin)]).await;
        assert_eq!(result.unwrap_err().kind(), ErrorKind::BodyCut, "{head}");
        assert_eq!(heard.len(), 1);

        let server = Server::plain([play(&bytes, End::Fin)]).await;
        let response = adapter().send(get(&server.url("/"))).await.unwrap();
        assert!(response.extensions().get::<UnprovenEnd>().is_some(), "{head}");
    }
    let server = Server::plain([play("HTTP/1.1 204 No Content\r\n\r\n", End::KeepAlive)]).await;
    let response = adapter().send(get(&server.url("/"))).await.unwrap();
    assert!(response.extensions().get::<UnprovenEnd>().is_none());
}

#[tokio::test]
async fn gzip_over_tcp_is_undone_once_and_its_bytes_are_counted_as_they_came() {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(TEXT).unwrap();
    let wire = encoder.finish().unwrap();
    for head in ["200 OK\r\ncontent-encoding: gzip", "200 OK"] {
        let (result, _) = download(vec![reply(head, &wire)]).await;
        let (downloaded, text) = result.unwrap();
        assert_eq!((text.as_slice(), downloaded.wire_bytes), (TEXT, wire.len() as u64));
    }
}

#[tokio::test]
async fn a_204_and_an_html_page_over_tcp_are_what_they_are() {
    let (result, _) = download(vec![play("HTTP/1.1 204 No Content\r\n\r\n", End::KeepAlive)]).await;
    assert_eq!(result.unwrap().0.bytes, 0);

    let (result, _) = download(vec![reply("403 Forbidden", b"<html>blocked by the proxy</html>")]).await;
    let error = result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(error.to_string().contains("HTML page"), "{error}");
}

#[tokio::test]
async fn an_address_that_is_no_whole_one_is_a_mistake_in_setting_up() {
    for address in ["/only/a/path", "ftp://127.0.0.1/x"] {
        let error = adapter().send(get(address)).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.may_have_been_sent()),
            (ErrorKind::Setup, false),
            "{address}: {error:?}"
        );
    }
}

#[tokio::test]
async fn credentials_in_an_address_reach_no_error() {
    let server = Server::plain([play("", End::Rst)]).await;
    let url = format!("http://user:hunter2@{}/x", server.address);
    let error = adapter().send(get(&url)).await.unwrap_err();
    let mut text = format!("{error} {error:?}");
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!("{error} {error:?}"));
        cause = error.source();
    }
    assert!(!text.contains("hunter2"), "{text}");
}

/// Accepts one connection, says when its request is there, answers with this, and waits until the client closes it.
async fn closed_after(answer: &'static [u8]) -> (String, oneshot::Receiver<()>, JoinHandle<()>) {
    let (seen, sees) = oneshot::channel();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let closed = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut buffer = [0; 4096];
        assert!(stream.read(&mut buffer).await.unwrap() > 0);
        stream.write_all(answer).await.unwrap();
        let _ = seen.send(());
        // An end or a reset: either way nobody is there any more.
        while matches!(stream.read(&mut buffer).await, Ok(1..)) {}
    });
    (url, sees, closed)
}

#[tokio::test]
async fn a_call_that_is_dropped_closes_its_connection() {
    let (url, seen, closed) = closed_after(b"").await;
    let adapter = adapter();
    tokio::select! {
        _ = adapter.send(get(&url)) => panic!("there is no reply"),
        seen = seen => seen.unwrap(),
    }
    closed.await.unwrap();
}

#[tokio::test]
async fn a_body_that_is_dropped_closes_its_connection() {
    let (url, _, closed) = closed_after(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n{").await;
    let adapter = adapter();
    drop(adapter.send(get(&url)).await.unwrap());
    closed.await.unwrap();
}
