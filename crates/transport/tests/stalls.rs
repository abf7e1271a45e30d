//! A download whose server doesn't answer: the time until the head of a reply counts as a stall, the time for which a request
//! waits its turn doesn't.

use std::sync::Arc;
use std::time::Duration;

use backstory_transport::{
    Download, Downloaded, Error, ErrorKind, HttpService, NoPause, RateLimit, RateLimiter, RateLimits,
    Request, Retry, Scripted, ScriptedService,
};
use futures_util::future::join;
use tokio::time::Instant;

const TEXT: &[u8] = b"{\"uid\":1}\n{\"uid\":2}\n";

fn get() -> Request {
    http::Request::get("http://api.test/jobs/7/data").body("".into()).unwrap()
}

/// A download that takes five seconds of silence for a stall.
fn download(service: impl HttpService + 'static) -> Download {
    Download::new(Arc::new(service), get).with_backoff(NoPause).stall_timeout(Duration::from_secs(5))
}

async fn fetch(download: Download) -> Result<(Downloaded, Vec<u8>), Error> {
    download.to_writer(Vec::new()).await
}

#[tokio::test(start_paused = true)]
async fn a_reply_that_does_not_begin_is_a_stall_of_its_attempt() {
    let service = ScriptedService::new([Scripted::never(), Scripted::ok(TEXT)]);
    let began = Instant::now();
    let (downloaded, text) = fetch(download(service.clone())).await.unwrap();
    assert_eq!((text.as_slice(), downloaded.restarts, service.requests().len()), (TEXT, 1, 2));
    assert_eq!(began.elapsed().as_secs(), 5);

    let service = ScriptedService::answering(|_, _| Scripted::never());
    let began = Instant::now();
    let error = fetch(download(service).restarts(2)).await.unwrap_err();
    assert!(error.is_timeout() && error.is_retryable(), "{error:?}");
    assert_eq!((error.attempts(), began.elapsed().as_secs()), (3, 15));
    assert_eq!(
        error.to_string(),
        "GET http://api.test/jobs/7/data: no reply began within 5 s (3 attempts in 15.0 s)"
    );

    // One that takes its time and then begins is none.
    let service = ScriptedService::new([Scripted::ok(TEXT).after(Duration::from_secs(4))]);
    assert_eq!(fetch(download(service)).await.unwrap().0.restarts, 0);
}

#[tokio::test(start_paused = true)]
async fn a_retry_layer_watches_each_of_its_attempts_and_its_pauses_are_no_stall() {
    let service = ScriptedService::answering(|_, number| match number {
        0 => Scripted::never(),
        1 => Scripted::reply(503, "").header("retry-after", "60"),
        _ => Scripted::ok(TEXT),
    });
    let retry = Retry::new(service.clone()).with_backoff(NoPause);
    let began = Instant::now();
    assert_eq!(fetch(download(retry)).await.unwrap().0.restarts, 0);
    assert_eq!((service.requests().len(), began.elapsed().as_secs()), (3, 65));

    // What it has given up on before the first byte is final here, too.
    let service = ScriptedService::answering(|_, _| Scripted::never());
    let retry = Retry::new(service.clone()).with_backoff(NoPause);
    let error = fetch(download(retry)).await.unwrap_err();
    assert_eq!((error.kind(), error.attempts(), service.requests().len()), (ErrorKind::Timeout, 5, 5));
}

#[tokio::test(start_paused = true)]
async fn waiting_for_a_turn_is_no_stall() {
    let limiter = RateLimiter::new(RateLimits::default().concurrent(1));
    let long = Scripted::ok(vec![b'x'; 100_000]).drip(1_000, Duration::from_secs(4));
    let service = ScriptedService::new([long, Scripted::never(), Scripted::ok(TEXT)]);
    let limited = Arc::new(RateLimit::new(service.clone(), limiter));
    let (first, second) = join(fetch(download(Arc::clone(&limited))), fetch(download(limited))).await;
    assert_eq!((first.unwrap().0.restarts, second.unwrap().0.restarts), (0, 1));
    assert_eq!(service.requests().len(), 3);
}
