//! Downloads under every scripted fault, in virtual time: what arrives is the whole, or an error says why not.

use std::future::{Future as _, poll_fn};
use std::io::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use backstory_transport::{
    Download, DownloadStream, Downloaded, Error, ErrorKind, FullJitter, HttpService, NoPause, Progress,
    Request, Resume, Retry, Scripted, ScriptedService,
};
use bytes::Bytes;
use futures_util::StreamExt as _;
use proptest::prelude::*;
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

const TEXT: &[u8] = b"{\"uid\":1}\n{\"uid\":2}\n{\"uid\":3}\n";

fn get() -> Request {
    http::Request::get("http://api.test/jobs/7/data").body("".into()).unwrap()
}

fn download(service: &ScriptedService) -> Download {
    Download::new(Arc::new(service.clone()), get).with_backoff(NoPause)
}

fn scripted(script: impl IntoIterator<Item = Scripted>) -> (ScriptedService, Download) {
    let service = ScriptedService::new(script);
    (service.clone(), download(&service))
}

async fn fetch(download: Download) -> Result<(Downloaded, Vec<u8>), Error> {
    download.to_writer(Vec::new()).await
}

async fn drain(mut stream: DownloadStream) -> (Vec<u8>, Result<Downloaded, Error>) {
    let mut text = Vec::new();
    while let Some(chunk) = stream.next().await {
        match chunk {
            Ok(chunk) => text.extend_from_slice(&chunk),
            Err(error) => {
                assert!(stream.next().await.is_none(), "a stream is over after its error");
                assert_eq!(stream.summary(), None);
                return (text, Err(error));
            }
        }
    }
    assert!(stream.next().await.is_none());
    (text, Ok(stream.summary().unwrap()))
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_whole_body_arrives_with_its_length_hash_id_and_date() {
    let reply = Scripted::ok(TEXT)
        .header("x-request-id", "r-1")
        .header("date", "Fri, 06 Mar 2026 00:00:00 GMT")
        .in_chunks(4);
    let (service, download) = scripted([reply]);
    let (downloaded, text) = fetch(download).await.unwrap();
    assert_eq!(text, TEXT);
    assert_eq!((downloaded.bytes, downloaded.wire_bytes, downloaded.restarts), (30, 30, 0));
    assert_eq!(downloaded.sha256, hex(TEXT));
    assert_eq!(downloaded.request_id.as_deref(), Some("r-1"));
    assert_eq!(downloaded.date.as_deref(), Some("Fri, 06 Mar 2026 00:00:00 GMT"));
    assert!(downloaded.end_proven);
    assert_eq!(service.requests()[0].headers()["accept-encoding"], "gzip");
}

#[tokio::test(start_paused = true)]
async fn an_empty_200_and_a_204_are_an_empty_file() {
    for reply in
        [Scripted::ok(""), Scripted::ok("").without_length(), Scripted::reply(204, "").without_length()]
    {
        let (_, download) = scripted([reply]);
        let (downloaded, text) = fetch(download).await.unwrap();
        assert_eq!((downloaded.bytes, downloaded.sha256, text.len()), (0, hex(b""), 0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_cut_at_any_byte_is_mended_and_nothing_is_given_out_twice() {
    for cut in 0..=TEXT.len() {
        // Without a length, only the framing tells of the cut.
        let (_, download) =
            scripted([Scripted::ok(TEXT).without_length().in_chunks(3).cut_at(cut), Scripted::ok(TEXT)]);
        let (text, summary) = drain(download.into_stream()).await;
        let summary = summary.unwrap();
        assert_eq!(text, TEXT);
        assert_eq!((summary.restarts, summary.sha256, summary.bytes), (1, hex(TEXT), 30));
        assert_eq!(summary.wire_bytes, (cut + TEXT.len()) as u64);
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_shorter_than_announced_is_a_cut_although_it_ends_cleanly() {
    let (_, download) = scripted([Scripted::ok(TEXT).announce_length(31), Scripted::ok(TEXT)]);
    assert_eq!(fetch(download).await.unwrap().0.restarts, 1);

    let (_, download) = scripted([Scripted::ok(TEXT).announce_length(31)]);
    let error = fetch(download.restarts(0)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BodyCut);
    assert!(error.is_retryable());
    assert_eq!(error.to_string(), "GET http://api.test/jobs/7/data: the download failed after 30 bytes");
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert_eq!(cause, "30 of the 31 bytes that the reply announced came");
}

#[tokio::test(start_paused = true)]
async fn a_body_longer_than_announced_is_not_taken() {
    let (_, download) = scripted([Scripted::ok(TEXT).announce_length(29)]);
    assert_eq!(fetch(download).await.unwrap_err().kind(), ErrorKind::BodyTooLong);
}

#[tokio::test(start_paused = true)]
async fn an_end_that_nothing_proves_is_accepted_only_when_asked_for() {
    let (service, download) = scripted([Scripted::ok(TEXT).unproven_end()]);
    let error = fetch(download).await.unwrap_err();
    assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::BodyCut, false));
    assert_eq!(service.requests().len(), 1);

    let (_, download) = scripted([Scripted::ok(TEXT).unproven_end()]);
    let (downloaded, text) = fetch(download.accept_unproven_end(true)).await.unwrap();
    assert_eq!((downloaded.end_proven, text.as_slice()), (false, TEXT));
}

#[tokio::test(start_paused = true)]
async fn a_gzip_trailer_proves_an_end_that_nothing_else_does() {
    let (_, download) =
        scripted([Scripted::ok(gzip(TEXT)).header("content-encoding", "gzip").unproven_end()]);
    let (downloaded, text) = fetch(download).await.unwrap();
    assert_eq!((downloaded.end_proven, text.as_slice()), (true, TEXT));
}

#[tokio::test(start_paused = true)]
async fn gzip_is_undone_by_its_label_and_by_its_first_bytes() {
    let wire = gzip(TEXT);
    for reply in [Scripted::ok(wire.clone()).header("content-encoding", "gzip"), Scripted::ok(wire.clone())] {
        let (_, download) = scripted([reply.in_chunks(1)]);
        let (downloaded, text) = fetch(download).await.unwrap();
        assert_eq!(text, TEXT);
        assert_eq!((downloaded.bytes, downloaded.wire_bytes), (30, wire.len() as u64));
        assert_eq!(downloaded.sha256, hex(TEXT));
    }
}

#[tokio::test(start_paused = true)]
async fn a_gzip_body_that_ends_early_within_good_framing_is_a_cut() {
    let wire = gzip(TEXT);
    let short = wire[..wire.len() - 4].to_vec();
    let (_, download) = scripted([Scripted::ok(short), Scripted::ok(wire)]);
    let (downloaded, text) = fetch(download).await.unwrap();
    assert_eq!((downloaded.restarts, text.as_slice()), (1, TEXT));
}

#[tokio::test(start_paused = true)]
async fn an_encoding_that_was_not_asked_for_is_not_guessed_at() {
    let (service, download) = scripted([Scripted::ok("?").header("content-encoding", "br")]);
    let error = fetch(download).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BodyCorrupt);
    assert!(
        error.to_string().contains("GET http://api.test/jobs/7/data") && error.to_string().contains("br"),
        "{error}"
    );
    assert_eq!(service.requests().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_stall_ends_after_its_timeout_and_a_slow_drip_never_does() {
    let began = Instant::now();
    let (_, download) = scripted([Scripted::ok(TEXT).stall_at(9), Scripted::ok(TEXT)]);
    assert_eq!(fetch(download).await.unwrap().0.restarts, 1);
    assert_eq!(began.elapsed().as_secs(), 60);

    let (_, download) = scripted([Scripted::ok(TEXT).stall_at(9)]);
    let error = fetch(download.stall_timeout(Duration::from_secs(5)).restarts(0)).await.unwrap_err();
    assert!(error.is_timeout());
    assert_eq!(error.kind(), ErrorKind::BodyStalled);

    // Thirty bytes, almost a minute each: half an hour in all.
    let (_, download) = scripted([Scripted::ok(TEXT).drip(1, Duration::from_secs(59))]);
    assert_eq!(fetch(download).await.unwrap().1, TEXT);
}

#[tokio::test(start_paused = true)]
async fn a_consumer_that_takes_its_time_is_no_stall() {
    let (_, download) = scripted([Scripted::ok(TEXT).in_chunks(10)]);
    let mut stream = download.restarts(0).into_stream();
    let mut text = Vec::new();
    while let Some(chunk) = stream.next().await {
        text.extend_from_slice(&chunk.unwrap());
        tokio::time::sleep(Duration::from_secs(3_600)).await;
    }
    assert_eq!(text, TEXT);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_final_unless_it_may_pass() {
    let gone = Scripted::reply(404, r#"{"error":"NotFoundException","message":"no such job"}"#);
    let (service, download) = scripted([gone]);
    let error = fetch(download).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert_eq!(error.refusal().unwrap().status.as_u16(), 404);
    assert_eq!(
        error.to_string(),
        "GET http://api.test/jobs/7/data: HTTP 404 (NotFoundException): no such job"
    );
    assert_eq!(service.requests().len(), 1);

    let (_, download) = scripted([Scripted::reply(503, "busy"), Scripted::ok(TEXT)]);
    assert_eq!(fetch(download).await.unwrap().0.restarts, 1);
}

#[tokio::test(start_paused = true)]
async fn a_success_without_the_resource_is_refused() {
    for status in [201, 202, 205, 206, 302, 304] {
        let (_, download) = scripted([Scripted::reply(status, r#"{"state":"Running"}"#)]);
        let error = fetch(download).await.unwrap_err();
        assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Refused, false), "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_restart_waits_as_long_as_the_server_asks() {
    let began = Instant::now();
    let (_, download) = scripted([Scripted::reply(503, "").header("retry-after", "30"), Scripted::ok(TEXT)]);
    fetch(download).await.unwrap();
    assert_eq!(began.elapsed().as_secs(), 30);

    // But not for a day.
    let began = Instant::now();
    let (_, download) =
        scripted([Scripted::reply(503, "").header("retry-after", "86400"), Scripted::ok(TEXT)]);
    fetch(download).await.unwrap();
    assert_eq!(began.elapsed().as_secs(), 60);
}

#[tokio::test(start_paused = true)]
async fn restarts_pause_longer_each_time() {
    let began = Instant::now();
    let (_, download) = scripted((0..3).map(|_| Scripted::ok(TEXT).cut_at(5)).chain([Scripted::ok(TEXT)]));
    fetch(download.with_backoff(FullJitter::default().with_random(|| 1.0))).await.unwrap();
    assert_eq!(began.elapsed().as_secs(), 1 + 2 + 4);
}

#[tokio::test(start_paused = true)]
async fn five_restarts_in_a_row_without_progress_are_enough() {
    let service = ScriptedService::answering(|_, _| Scripted::ok(TEXT).cut_at(20));
    let error = fetch(download(&service)).await.unwrap_err();
    assert_eq!((error.kind(), error.attempts()), (ErrorKind::BodyCut, 6));
    assert_eq!(service.requests().len(), 6);
    assert!(error.to_string().contains("after 20 bytes; 5 restarts in a row did not get further"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn progress_refills_the_allowance_and_standing_still_does_not() {
    const STEP: usize = 64 << 10;
    let body = Bytes::from(vec![b'x'; 12 * STEP]);
    // Each attempt gets one step further: eleven cuts, and it comes whole.
    let whole = body.clone();
    let service = ScriptedService::answering(move |_, number| {
        Scripted::ok(whole.clone()).in_chunks(STEP).cut_at((number + 1) * STEP)
    });
    let error = fetch(download(&service).restarts(1)).await.unwrap_err();
    // The twelfth attempt has all bytes, and is cut after the last one: from there on nothing is gained.
    assert_eq!((error.attempts(), service.requests().len()), (13, 13));

    // Each attempt gets one byte further: that is no progress.
    let service = ScriptedService::answering(move |_, number| {
        Scripted::ok(body.clone()).in_chunks(STEP).cut_at(STEP + number)
    });
    fetch(download(&service).restarts(3)).await.unwrap_err();
    assert_eq!(service.requests().len(), 1 + 3);
}

#[tokio::test(start_paused = true)]
async fn other_bytes_after_a_restart_are_never_spliced_on() {
    let other = b"{\"uid\":9}\n{\"uid\":2}\n{\"uid\":3}\n";
    let (service, download) =
        scripted([Scripted::ok(TEXT).in_chunks(5).cut_at(15), Scripted::ok(&other[..])]);
    let (text, summary) = drain(download.into_stream()).await;
    let error = summary.unwrap_err();
    assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::BodyCorrupt, false));
    assert_eq!((text.as_slice(), service.requests().len()), (&TEXT[..15], 2));
}

#[tokio::test(start_paused = true)]
async fn fewer_bytes_after_a_restart_are_an_error() {
    let (_, download) = scripted([Scripted::ok(TEXT).cut_at(15), Scripted::ok(&TEXT[..10])]);
    let (text, summary) = drain(download.into_stream()).await;
    assert_eq!((summary.unwrap_err().kind(), text.as_slice()), (ErrorKind::BodyCorrupt, &TEXT[..15]));
}

#[tokio::test(start_paused = true)]
async fn only_a_get_is_downloaded() {
    let service = ScriptedService::new([]);
    let post = || http::Request::post("http://api.test/jobs").body("".into()).unwrap();
    let error = fetch(Download::new(Arc::new(service.clone()), post)).await.unwrap_err();
    assert_eq!((error.kind(), service.requests().len()), (ErrorKind::Setup, 0));
}

#[tokio::test(start_paused = true)]
async fn what_a_retry_layer_has_given_up_on_before_the_first_byte_is_final() {
    for fail in [Scripted::fail_before_send as fn() -> Scripted, || Scripted::reply(503, "busy")] {
        let service = ScriptedService::answering(move |_, _| fail());
        let retry: Arc<dyn HttpService> = Arc::new(Retry::new(service.clone()).with_backoff(NoPause));
        let error = fetch(Download::new(retry, get).with_backoff(NoPause)).await.unwrap_err();
        assert_eq!((error.attempts(), service.requests().len()), (5, 5));
    }
}

#[tokio::test(start_paused = true)]
async fn after_the_first_byte_it_outlives_an_outage_that_exhausts_the_retry_layer() {
    let service = ScriptedService::answering(|_, number| match number {
        0 => Scripted::ok(TEXT).cut_at(10),
        1..8 => Scripted::fail_before_send(),
        _ => Scripted::ok(TEXT),
    });
    let retry: Arc<dyn HttpService> = Arc::new(Retry::new(service).with_backoff(NoPause));
    let (downloaded, text) = fetch(Download::new(retry, get).with_backoff(NoPause)).await.unwrap();
    assert_eq!((text.as_slice(), downloaded.restarts), (TEXT, 2));
}

#[tokio::test(start_paused = true)]
async fn progress_is_told_chunk_by_chunk_and_never_goes_back_in_a_stream() {
    let told: Arc<Mutex<Vec<Progress>>> = Arc::default();
    let teller = Arc::clone(&told);
    let (_, download) =
        scripted([Scripted::ok(TEXT).in_chunks(10).cut_at(20), Scripted::ok(TEXT).in_chunks(10)]);
    fetch(download.on_progress(move |progress| teller.lock().unwrap().push(progress))).await.unwrap();
    let told = told.lock().unwrap();
    let bytes: Vec<_> =
        told.iter().map(|progress| (progress.bytes, progress.wire_bytes, progress.restarts)).collect();
    assert_eq!(bytes, [(10, 10, 0), (20, 20, 0), (20, 30, 1), (20, 40, 1), (30, 50, 1)]);
    assert!(told.iter().all(|progress| progress.wire_total == Some(30)));
}

#[tokio::test(start_paused = true)]
async fn a_writer_that_fails_or_panics_ends_the_download_with_its_error() {
    struct Full;
    impl std::io::Write for Full {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let (_, download) = scripted([Scripted::ok(TEXT).in_chunks(1)]);
    let error = download.to_writer(Full).await.map(|_| ()).unwrap_err();
    assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Destination, false));
    let cause = std::error::Error::source(&error).unwrap().downcast_ref::<std::io::Error>().unwrap();
    assert_eq!(cause.kind(), std::io::ErrorKind::StorageFull);

    struct Broken;
    impl std::io::Write for Broken {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            panic!("a writer's own bug")
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let (_, download) = scripted([Scripted::ok(TEXT).in_chunks(1)]);
    let error = download.to_writer(Broken).await.map(|_| ()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Destination);
}

/// A server that honours ranges, and cuts each reply as told.
fn ranged(
    body: &'static [u8],
    tag: impl Fn(usize) -> &'static str + Send + 'static,
    cuts: &'static [usize],
) -> ScriptedService {
    ScriptedService::answering(move |request, number| {
        let from = request.headers().get("range").map(|range| {
            let range = range.to_str().unwrap().strip_prefix("bytes=").unwrap();
            range.strip_suffix('-').unwrap().parse::<usize>().unwrap()
        });
        let same = request.headers().get("if-range").is_some_and(|wanted| wanted == tag(number));
        let reply = match from {
            Some(from) if same => Scripted::reply(206, &body[from..])
                .header("content-range", &format!("bytes {from}-{}/{}", body.len() - 1, body.len())),
            _ => Scripted::ok(body),
        };
        let reply = reply.header("etag", tag(number)).in_chunks(5);
        match cuts.get(number) {
            Some(cut) => reply.cut_at(*cut),
            None => reply,
        }
    })
}

#[tokio::test(start_paused = true)]
async fn a_proven_rest_is_all_that_is_fetched_again() {
    let service = ranged(TEXT, |_| "\"v1\"", &[10, 7]);
    let (text, summary) = drain(download(&service).resume(Resume::IfRange).into_stream()).await;
    let summary = summary.unwrap();
    assert_eq!((text.as_slice(), summary.sha256), (TEXT, hex(TEXT)));
    assert_eq!((summary.restarts, summary.wire_bytes), (2, 30));
    let asked: Vec<_> =
        service.requests().iter().map(|request| request.headers().get("range").cloned()).collect();
    assert_eq!(asked, [None, Some("bytes=10-".parse().unwrap()), Some("bytes=17-".parse().unwrap())]);
    assert!(service.requests().iter().all(|request| request.headers()["accept-encoding"] == "identity"));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_not_a_part_to_go_on_from() {
    let service = ranged(TEXT, |_| "\"v1\"", &[0]);
    fetch(download(&service).resume(Resume::IfRange)).await.unwrap();
    assert!(service.requests().iter().all(|request| !request.headers().contains_key("range")));
}

#[tokio::test(start_paused = true)]
async fn without_opting_in_no_range_is_asked_for() {
    let service = ranged(TEXT, |_| "\"v1\"", &[10]);
    fetch(download(&service)).await.unwrap();
    assert!(service.requests().iter().all(|request| !request.headers().contains_key("range")));
}

#[tokio::test(start_paused = true)]
async fn a_resource_that_has_changed_starts_over_and_is_compared() {
    // The tag changes with each request; the bytes are the same, so the stream may go on.
    let service = ranged(TEXT, |number| if number == 0 { "\"v1\"" } else { "\"v2\"" }, &[10]);
    let (text, summary) = drain(download(&service).resume(Resume::IfRange).into_stream()).await;
    assert_eq!((text.as_slice(), summary.unwrap().wire_bytes), (TEXT, 40));
}

#[tokio::test(start_paused = true)]
async fn a_rest_that_is_not_proven_is_thrown_away() {
    let partial = |from: usize, range: &str, tag: &str| {
        Scripted::reply(206, &TEXT[from..]).header("content-range", range).header("etag", tag)
    };
    for wrong in [
        partial(10, "bytes 11-29/30", "\"v1\""),
        partial(10, "bytes 10-29/*", "\"v1\""),
        partial(10, "bytes 10-28/30", "\"v1\""),
        partial(10, "bytes 10-29/30", "\"v2\""),
        partial(10, "nonsense", "\"v1\""),
        Scripted::reply(206, &TEXT[10..]),
        Scripted::reply(416, ""),
    ] {
        let first = Scripted::ok(TEXT).header("etag", "\"v1\"").cut_at(10);
        let (service, download) = scripted([first, wrong, Scripted::ok(TEXT)]);
        let (text, summary) = drain(download.resume(Resume::IfRange).into_stream()).await;
        assert_eq!((text.as_slice(), summary.unwrap().restarts), (TEXT, 1));
        assert!(!service.requests()[2].headers().contains_key("range"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_compressed_or_unvalidated_reply_is_never_resumed() {
    let wire = gzip(TEXT);
    let compressed = || Scripted::ok(wire.clone()).header("etag", "\"v1\"").in_chunks(1);
    let weak = || Scripted::ok(TEXT).header("etag", "W/\"v1\"");
    for script in [[compressed().cut_at(28), compressed()], [weak().cut_at(10), weak()]] {
        let (service, download) = scripted(script);
        let (_, text) = fetch(download.resume(Resume::IfRange)).await.unwrap();
        assert_eq!(text, TEXT);
        assert!(!service.requests()[1].headers().contains_key("range"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_rest_that_is_compressed_all_of_a_sudden_is_thrown_away() {
    let first = Scripted::ok(TEXT).header("etag", "\"v1\"").cut_at(10);
    let compressed = Scripted::reply(206, &TEXT[10..])
        .header("content-range", "bytes 10-29/30")
        .header("etag", "\"v1\"")
        .header("content-encoding", "gzip");
    let (service, download) = scripted([first, compressed, Scripted::ok(TEXT)]);
    let (_, text) = fetch(download.resume(Resume::IfRange)).await.unwrap();
    assert_eq!((text.as_slice(), service.requests().len()), (TEXT, 3));
}

#[tokio::test(start_paused = true)]
async fn a_rest_that_happens_to_begin_like_gzip_is_left_as_it_is() {
    const BODY: &[u8] = b"0123456789\x1f\x8b\x08 is in the middle";
    let service = ranged(BODY, |_| "\"v1\"", &[10]);
    let (downloaded, text) = fetch(download(&service).resume(Resume::IfRange)).await.unwrap();
    assert_eq!((text.as_slice(), downloaded.restarts), (BODY, 1));
    assert!(service.requests()[1].headers().contains_key("range"));
}

#[tokio::test(start_paused = true)]
async fn a_rest_that_is_shorter_than_its_content_range_is_a_cut() {
    let first = Scripted::ok(TEXT).header("etag", "\"v1\"").cut_at(10);
    let short = Scripted::reply(206, &TEXT[10..20])
        .without_length()
        .header("content-range", "bytes 10-29/30")
        .header("etag", "\"v1\"");
    let (_, download) = scripted([first, short, Scripted::ok(TEXT)]);
    let (downloaded, text) = fetch(download.resume(Resume::IfRange)).await.unwrap();
    assert_eq!((downloaded.restarts, text.as_slice()), (2, TEXT));
}

#[derive(Clone, Debug)]
enum Act {
    Cut(usize),
    Stall(usize),
    Short(usize),
    Busy,
    Unsent,
    Broken,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        (0_usize..400).prop_map(Act::Cut),
        (0_usize..400).prop_map(Act::Stall),
        (0_usize..400).prop_map(Act::Short),
        Just(Act::Busy),
        Just(Act::Unsent),
        Just(Act::Broken),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn whatever_breaks_in_whatever_order_the_bytes_are_right(
        body in prop::collection::vec(any::<u8>().prop_filter("no gzip", |byte| *byte != 0x1f), 1..400),
        acts in prop::collection::vec(act(), 0..6), chunk in 1_usize..50, compressed: bool, ranges: bool,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let wire = if compressed { gzip(&body) } else { body.clone() };
            let service = ScriptedService::answering(move |request, number| {
                let from = request.headers().get("range").map_or(0, |range| {
                    range.to_str().unwrap().trim_matches(|c: char| !c.is_ascii_digit()).parse().unwrap()
                });
                let reply = if from > 0 {
                    let range = format!("bytes {from}-{}/{}", wire.len() - 1, wire.len());
                    Scripted::reply(206, wire[from..].to_vec()).header("content-range", &range)
                } else {
                    Scripted::ok(wire.clone())
                };
                let left = wire.len() - from;
                let reply = reply.header("etag", "\"v\"").in_chunks(chunk);
                match acts.get(number) {
                    // A fault beyond the end of the body comes after all of its bytes.
                    Some(Act::Cut(at)) => reply.without_length().cut_at((*at).min(left)),
                    Some(Act::Stall(at)) => reply.without_length().stall_at((*at).min(left)),
                    Some(Act::Short(by)) => reply.announce_length((left + 1 + by) as u64),
                    Some(Act::Busy) => Scripted::reply(503, "busy"),
                    Some(Act::Unsent) => Scripted::fail_before_send(),
                    Some(Act::Broken) => Scripted::fail_after_send(),
                    None => reply,
                }
            });
            let resume = if ranges { Resume::IfRange } else { Resume::Never };
            let (text, summary) = drain(download(&service).restarts(6).resume(resume).into_stream()).await;
            let summary = summary.unwrap();
            prop_assert_eq!(&text, &body);
            prop_assert_eq!(summary.sha256, hex(&body));
            Ok(())
        })?;
    }
}

/// Writes nothing until it is told to.
struct Blocked(std::sync::mpsc::Receiver<()>, Vec<u8>);

impl std::io::Write for Blocked {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        // When the sender is gone, writing is free.
        let _ = self.0.recv();
        self.1.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_blocked_writer_holds_up_the_reading_and_not_the_memory() {
    let (release, blocked) = std::sync::mpsc::channel();
    let read = Arc::new(AtomicU64::new(0));
    let told = Arc::clone(&read);
    let (_, download) = scripted([Scripted::ok(vec![b'x'; 16 << 20]).in_chunks(64 << 10)]);
    let download = download
        .on_progress(move |progress| told.store(progress.bytes, Ordering::SeqCst))
        .to_writer(Blocked(blocked, Vec::new()));
    let mut download = std::pin::pin!(download);
    // However often it is driven, it reads one batch ahead and no further.
    for _ in 0..10_000 {
        let polled = poll_fn(|context| Poll::Ready(download.as_mut().poll(context).map(drop))).await;
        assert!(polled.is_pending());
        tokio::task::yield_now().await;
    }
    let ahead = read.load(Ordering::SeqCst);
    assert!((2 << 20..3 << 20).contains(&ahead), "{ahead}");
    drop(release);
    let (downloaded, Blocked(_, written)) = download.await.unwrap();
    assert_eq!((downloaded.bytes, written.len()), (16 << 20, 16 << 20));
}

/// Shows what was written while more is on its way.
#[derive(Clone, Default)]
struct Watched(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Watched {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_drip_reaches_the_writer_as_it_comes() {
    let (_, download) = scripted([Scripted::ok(TEXT).drip(10, Duration::from_secs(10))]);
    let watched = Watched::default();
    let unfinished = tokio::time::timeout(Duration::from_secs(25), download.to_writer(watched.clone())).await;
    assert!(unfinished.is_err());
    assert_eq!(*watched.0.lock().unwrap(), TEXT[..20]);
}
