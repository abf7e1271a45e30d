//! What a script plays at the port and what a server plays over TCP ends the same: tests with scripted faults prove what
//! happens on a wire.

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use backstory_transport::{
    Download, ErrorKind, HttpService, NoPause, Request, ReqwestService, Resume, Scripted, ScriptedService,
};
use bytes::Bytes;

use crate::server::{End, Play, Server, play, reply};
use crate::tls::Authority;

const TEXT: &[u8] = b"{\"uid\":1}\n{\"uid\":2}\n{\"uid\":3}\n";

fn adapter() -> ReqwestService {
    ReqwestService::builder().no_proxy().build().unwrap()
}

/// How a call ended, by everything that a caller can branch on.
async fn call(service: &dyn HttpService, request: Request) -> String {
    match service.send(request).await {
        Ok(response) => format!("{}", response.status()),
        Err(error) => format!(
            "{:?}, retryable: {}, may have been sent: {}, connect: {}, timeout: {}",
            error.kind(),
            error.is_retryable(),
            error.may_have_been_sent(),
            error.is_connect(),
            error.is_timeout()
        ),
    }
}

/// How a download ended. What was on its way when a connection was reset may be lost, so bytes are counted only once it is
/// whole.
async fn download(service: Arc<dyn HttpService>, url: String, restarts: u32, resume: Resume) -> String {
    let request = move || http::Request::get(&url).body(Bytes::new()).unwrap();
    let download = Download::new(service, request).with_backoff(NoPause).restarts(restarts).resume(resume);
    match download.stall_timeout(Duration::from_secs(1)).to_writer(Vec::new()).await {
        Ok((downloaded, text)) => format!(
            "{} restarts, end proven: {}, {:?}",
            downloaded.restarts,
            downloaded.end_proven,
            String::from_utf8(text).unwrap()
        ),
        Err(error) => format!(
            "{:?}, retryable: {}, {} attempts, {:?}",
            error.kind(),
            error.is_retryable(),
            error.attempts(),
            error.refusal().map(|refusal| refusal.status)
        ),
    }
}

/// Downloads both, and holds the outcomes against each other.
async fn compare(name: &str, script: Vec<Scripted>, plays: Vec<Play>, resume: Resume) -> String {
    let restarts = u32::try_from(plays.len() - 1).unwrap();
    let scripted: Arc<dyn HttpService> = Arc::new(ScriptedService::new(script));
    let by_script = download(scripted, "http://api.test/data".to_owned(), restarts, resume).await;
    let server = Server::plain(plays).await;
    let by_tcp = download(Arc::new(adapter()), server.url("/data"), restarts, resume).await;
    assert_eq!(by_script, by_tcp, "{name}");
    by_tcp
}

/// A reply with a length, of which this much comes.
fn with_length(announced: usize, body: &[u8], end: End) -> Play {
    let mut bytes = format!("HTTP/1.1 200 OK\r\ncontent-length: {announced}\r\n\r\n").into_bytes();
    bytes.extend_from_slice(body);
    play(bytes, end)
}

/// A reply in chunks of a byte, which is not brought to its end.
fn torn_chunks(body: &[u8], end: End) -> Play {
    let mut bytes = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    for byte in body {
        bytes.extend_from_slice(&[b'1', b'\r', b'\n', *byte, b'\r', b'\n']);
    }
    play(bytes, end)
}

#[tokio::test]
async fn a_call_that_was_not_sent_or_was_broken_off_ends_the_same() {
    let post = |url: &str| http::Request::post(url).body("{}".into()).unwrap();
    let by_script = |scripted: Scripted| async move {
        call(&ScriptedService::new([scripted]), post("http://api.test/jobs")).await
    };
    // Nobody listens there once the listener is gone.
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let unsent = call(&adapter(), post(&format!("http://{gone}/jobs"))).await;
    assert_eq!(by_script(Scripted::fail_before_send()).await, unsent);

    for end in [End::Fin, End::Rst] {
        let server = Server::plain([play("", end)]).await;
        let broken = call(&adapter(), post(&server.url("/jobs"))).await;
        assert_eq!(by_script(Scripted::fail_after_send()).await, broken);
    }

    let server = Server::plain([reply("503 Busy", b"busy")]).await;
    let busy = call(&adapter(), post(&server.url("/jobs"))).await;
    assert_eq!(by_script(Scripted::reply(503, "busy")).await, busy);
}

#[tokio::test]
async fn a_body_that_is_cut_at_any_byte_ends_the_same() {
    for cut in 0..TEXT.len() {
        for end in [End::Fin, End::Rst] {
            let torn = || vec![Scripted::ok(TEXT).cut_at(cut)];
            let plays = vec![with_length(TEXT.len(), &TEXT[..cut], end)];
            let outcome = compare("a length", torn(), plays, Resume::Never).await;
            assert!(outcome.starts_with("BodyCut, retryable: true"), "{outcome}");

            let script = vec![Scripted::ok(TEXT).without_length().cut_at(cut), Scripted::ok(TEXT)];
            let plays = vec![torn_chunks(&TEXT[..cut], end), reply("200 OK", TEXT)];
            let outcome = compare("chunks without an end", script, plays, Resume::Never).await;
            assert!(outcome.starts_with("1 restarts, end proven: true"), "{outcome}");
        }
    }
}

#[tokio::test]
async fn tls_and_a_proxy_in_between_change_nothing() {
    let authority = Authority::new("ours");
    let torn = |cut: usize| vec![Scripted::ok(TEXT).cut_at(cut), Scripted::ok(TEXT)];
    for cut in [0, 1, 29] {
        for end in [End::Fin, End::Rst] {
            let plays = vec![with_length(TEXT.len(), &TEXT[..cut], end), reply("200 OK", TEXT)];
            let script: Arc<dyn HttpService> = Arc::new(ScriptedService::new(torn(cut)));
            let by_script = download(script, "http://api.test/data".to_owned(), 1, Resume::Never).await;

            let secure = Server::start(plays.clone(), Some(authority.acceptor("127.0.0.1", 4000))).await;
            let url = format!("https://{}/data", secure.address);
            let by_tls = download(Arc::new(authority.trusting()), url, 1, Resume::Never).await;
            assert_eq!(by_script, by_tls, "{cut}");

            let proxy = Server::plain(plays).await;
            let proxied = ReqwestService::builder().proxy(proxy.url("")).build().unwrap();
            let url = "http://api.test/data".to_owned();
            let by_proxy = download(Arc::new(proxied), url, 1, Resume::Never).await;
            assert_eq!(by_script, by_proxy, "{cut}");
            assert!(proxy.heard().iter().all(|heard| heard.starts_with("GET http://api.test/data ")));
        }
    }
}

#[tokio::test]
async fn a_body_that_stalls_or_has_a_wrong_length_ends_the_same() {
    for at in [0, 12] {
        let plays = vec![with_length(TEXT.len(), &TEXT[..at], End::Hold)];
        let outcome = compare("a stall", vec![Scripted::ok(TEXT).stall_at(at)], plays, Resume::Never).await;
        assert!(outcome.starts_with("BodyStalled"), "{outcome}");
    }
    let short = vec![Scripted::ok(TEXT).announce_length(31), Scripted::ok(TEXT)];
    let plays = vec![with_length(31, TEXT, End::Fin), reply("200 OK", TEXT)];
    compare("shorter than announced", short, plays, Resume::Never).await;
}

#[tokio::test]
async fn a_slow_drip_ends_the_same() {
    // A second and a half in all, of which no single pause is a stall.
    let pause = Duration::from_millis(50);
    let script = vec![Scripted::ok(TEXT).drip(1, pause)];
    let mut whole = with_length(TEXT.len(), TEXT, End::KeepAlive);
    whole.drip = Some((TEXT.len(), pause));
    let outcome = compare("a slow drip", script, vec![whole], Resume::Never).await;
    assert!(outcome.starts_with("0 restarts, end proven: true"), "{outcome}");
}

#[tokio::test]
async fn what_is_whole_unproven_compressed_or_refused_ends_the_same() {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(TEXT).unwrap();
    let wire = encoder.finish().unwrap();
    let chunked = [&torn_chunks(TEXT, End::KeepAlive).bytes[..], b"0\r\n\r\n"].concat();
    let unproven = [b"HTTP/1.1 200 OK\r\n\r\n", TEXT].concat();
    let gzip = |scripted: Scripted| scripted.header("content-encoding", "gzip");
    for (name, scripted, played) in [
        ("a length", Scripted::ok(TEXT), reply("200 OK", TEXT)),
        ("chunks", Scripted::ok(TEXT).without_length(), play(chunked, End::KeepAlive)),
        ("an end that nothing proves", Scripted::ok(TEXT).unproven_end(), play(unproven, End::Fin)),
        (
            "gzip by its label",
            gzip(Scripted::ok(wire.clone())),
            reply("200 OK\r\ncontent-encoding: gzip", &wire),
        ),
        ("gzip by its first bytes", Scripted::ok(wire.clone()), reply("200 OK", &wire)),
        ("a refusal", Scripted::reply(404, "no such job"), reply("404 Not Found", b"no such job")),
        ("one that may pass", Scripted::reply(503, "busy"), reply("503 Busy", b"busy")),
        (
            "nothing",
            Scripted::reply(204, "").without_length(),
            play("HTTP/1.1 204 No Content\r\n\r\n", End::KeepAlive),
        ),
    ] {
        compare(name, vec![scripted], vec![played], Resume::Never).await;
    }
}

#[tokio::test]
async fn a_rest_that_is_asked_for_ends_the_same() {
    let tagged = |scripted: Scripted| scripted.header("etag", "\"v1\"");
    let cut = || tagged(Scripted::ok(TEXT)).cut_at(10);
    let cut_play = || {
        let mut bytes = b"HTTP/1.1 200 OK\r\netag: \"v1\"\r\ncontent-length: 30\r\n\r\n".to_vec();
        bytes.extend_from_slice(&TEXT[..10]);
        play(bytes, End::Fin)
    };
    for (name, tag, range) in [
        ("proven", "\"v1\"", "bytes 10-29/30"),
        ("of another state", "\"v2\"", "bytes 10-29/30"),
        ("of another place", "\"v1\"", "bytes 11-29/30"),
    ] {
        let rest = Scripted::reply(206, &TEXT[10..]).header("etag", tag).header("content-range", range);
        let rest_play =
            reply(&format!("206 Partial Content\r\netag: {tag}\r\ncontent-range: {range}"), &TEXT[10..]);
        let script = vec![cut(), rest, Scripted::ok(TEXT)];
        let plays = vec![cut_play(), rest_play, reply("200 OK", TEXT)];
        let outcome = compare(name, script, plays, Resume::IfRange).await;
        assert!(outcome.starts_with("1 restarts, end proven: true"), "{name}: {outcome}");
    }
}

#[tokio::test]
async fn a_reply_that_never_begins_is_a_timeout_in_both() {
    let server = Server::plain([play("", End::Hold)]).await;
    let patient =
        ReqwestService::builder().no_proxy().reply_timeout(Duration::from_millis(50)).build().unwrap();
    let get = |url: &str| http::Request::get(url).body(Bytes::new()).unwrap();
    let by_tcp = call(&patient, get(&server.url("/"))).await;
    let timeout = Scripted::fail(backstory_transport::Error::new(ErrorKind::Timeout, "no reply began"));
    assert_eq!(call(&ScriptedService::new([timeout]), get("http://api.test/")).await, by_tcp);
}
