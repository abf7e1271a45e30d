//! Replies that are read whole, refusals and short bodies: bounded in bytes and in time, whatever a server does.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use backstory_transport::{
    Body, Download, ErrorKind, HttpService, NoPause, Refusal, Request, Response, Scripted, ScriptedService,
};
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::repeat;
use http_body::Body as _;
use http_body_util::BodyExt as _;
use tokio::time::{Instant, sleep};

fn get() -> Request {
    http::Request::get("http://api.test/jobs/7").body("".into()).unwrap()
}

async fn reply(scripted: Scripted) -> Response {
    ScriptedService::new([scripted]).send(get()).await.unwrap()
}

/// A body without end, and how many chunks of it were taken.
fn endless(chunk: &'static [u8]) -> (Body, Arc<AtomicUsize>) {
    let taken = Arc::new(AtomicUsize::new(0));
    let counts = Arc::clone(&taken);
    let chunks = repeat(chunk).map(move |chunk| {
        counts.fetch_add(1, Ordering::SeqCst);
        Ok(Bytes::from_static(chunk))
    });
    (Body::from_stream(chunks), taken)
}

#[tokio::test(start_paused = true)]
async fn no_more_of_an_endless_refusal_is_read_than_is_kept() {
    let (body, taken) = endless(&[b'x'; 1_000]);
    let mut response = Response::new(body);
    *response.status_mut() = http::StatusCode::BAD_GATEWAY;
    let refusal = Refusal::read(response).await;
    assert_eq!((refusal.raw.len(), refusal.body_error), (16 << 10, None));
    assert_eq!(taken.load(Ordering::SeqCst), 17);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_that_breaks_off_stalls_or_drips_leaves_what_came() {
    const BODY: &[u8] = br#"{"error":"X","message":"busy"}"#;
    for (fault, told, seconds) in [
        (Scripted::reply(503, BODY).cut_at(10), "cuts the body", 0),
        (Scripted::reply(503, BODY).stall_at(10), "had not ended after 60 s", 60),
        (Scripted::reply(503, BODY).drip(1, Duration::from_secs(6)), "had not ended after 60 s", 60),
    ] {
        let began = Instant::now();
        let refusal = Refusal::read(reply(fault).await).await;
        let why = refusal.body_error.unwrap();
        assert!(why.contains(told), "{why}");
        assert!((9..=10).contains(&refusal.raw.len()), "{}", refusal.raw);
        assert_eq!((refusal.status.as_u16(), began.elapsed().as_secs()), (503, seconds));
    }
    // One that takes its time and ends is understood.
    let slow = Scripted::reply(503, BODY).drip(1, Duration::from_secs(1));
    assert_eq!(Refusal::read(reply(slow).await).await.message.as_deref(), Some("busy"));
}

#[tokio::test(start_paused = true)]
async fn a_download_whose_refusal_never_ends_is_refused_all_the_same() {
    let refusal = || Scripted::reply(404, "no such job").stall_at(4);
    let service = ScriptedService::answering(move |_, _| refusal());
    let download = Download::new(Arc::new(service.clone()), get).with_backoff(NoPause);
    let error = download.to_writer(Vec::new()).await.map(drop).unwrap_err();
    assert_eq!((error.kind(), service.requests().len()), (ErrorKind::Refused, 1));
}

#[tokio::test(start_paused = true)]
async fn a_short_body_that_stalls_is_given_up_and_one_that_flows_is_not() {
    let began = Instant::now();
    let error =
        reply(Scripted::ok("0123456789").stall_at(4)).await.into_body().collect(10).await.unwrap_err();
    assert_eq!((error.kind(), began.elapsed().as_secs()), (ErrorKind::BodyStalled, 60));
    assert!(error.is_timeout() && error.is_retryable());

    let slow = reply(Scripted::ok("0123456789").drip(1, Duration::from_secs(59))).await;
    assert_eq!(slow.into_body().collect(10).await.unwrap(), "0123456789");
}

#[tokio::test(start_paused = true)]
async fn a_body_of_exactly_the_limit_is_taken_and_an_endless_one_is_left_at_it() {
    assert_eq!(reply(Scripted::ok("0123456789")).await.into_body().collect(10).await.unwrap(), "0123456789");
    let (body, taken) = endless(b"0123");
    let error = body.collect(10).await.unwrap_err();
    assert_eq!((error.kind(), taken.load(Ordering::SeqCst)), (ErrorKind::BodyTooLong, 3));
    assert!(error.to_string().contains("10 bytes"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_body_is_one_of_the_http_body_crate_too_with_its_length_and_its_end() {
    let mut whole = Body::from("0123");
    assert_eq!(whole.size_hint().exact(), Some(4));
    assert!(!whole.is_end_stream() && Body::default().is_end_stream());
    assert_eq!(whole.frame().await.unwrap().unwrap().into_data().unwrap(), "0123");
    assert!(whole.is_end_stream() && whole.frame().await.is_none());

    let (streamed, _) = endless(b"0123");
    assert_eq!((streamed.size_hint().exact(), streamed.is_end_stream()), (None, false));
}

#[tokio::test(start_paused = true)]
async fn who_takes_the_chunks_has_a_patience_of_their_own() {
    let mut body = reply(Scripted::ok("01").drip(1, Duration::from_secs(3_600))).await.into_body();
    assert_eq!(body.chunk().await.unwrap().unwrap(), "0");
    sleep(Duration::from_secs(3_600)).await;
    assert_eq!(body.chunk().await.unwrap().unwrap(), "1");
}
