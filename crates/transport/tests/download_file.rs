//! Downloads into files: the name appears only with the whole, whatever fails, whoever cancels, and another process can go on
//! from a partial file that is proven.

use std::fs;
use std::future::{Future, poll_fn};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use backstory_transport::{
    Download, ErrorKind, HttpService, NoPause, Request, Resume, Scripted, ScriptedService,
};
use bytes::Bytes;
use tempfile::TempDir;

const TEXT: &[u8] = b"{\"uid\":1}\n{\"uid\":2}\n{\"uid\":3}\n";

fn get() -> Request {
    http::Request::get("http://user:hunter2@api.test/jobs/7/data").body("".into()).unwrap()
}

fn download(service: &ScriptedService) -> Download {
    Download::new(Arc::new(service.clone()), get).with_backoff(NoPause)
}

fn scripted(script: impl IntoIterator<Item = Scripted>) -> Download {
    download(&ScriptedService::new(script))
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn target(folder: &TempDir) -> PathBuf {
    folder.path().join("data.jsonl")
}

#[tokio::test(start_paused = true)]
async fn a_whole_file_stands_alone_under_its_name_and_replaces_what_was_there() {
    let folder = TempDir::new().unwrap();
    fs::write(target(&folder), "an older, longer file that must not shine through at the end").unwrap();
    let downloaded = scripted([Scripted::ok(TEXT).in_chunks(7)]).to_file(target(&folder)).await.unwrap();
    assert_eq!(fs::read(target(&folder)).unwrap(), TEXT);
    assert_eq!(downloaded.bytes, 30);
    assert_eq!(names(folder.path()), ["data.jsonl"]);
}

#[tokio::test(start_paused = true)]
async fn an_empty_result_is_an_empty_file() {
    let folder = TempDir::new().unwrap();
    scripted([Scripted::reply(204, "")]).to_file(target(&folder)).await.unwrap();
    assert_eq!(fs::read(target(&folder)).unwrap(), b"");
}

/// The hash of what lies under the name.
fn hash(folder: &TempDir) -> String {
    use sha2::Digest as _;
    let digest = sha2::Sha256::digest(fs::read(target(folder)).unwrap());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test(start_paused = true)]
async fn the_hash_is_that_of_the_file_however_it_came() {
    let folder = TempDir::new().unwrap();
    let long: Vec<u8> = (0..300_000_u32).flat_map(u32::to_le_bytes).collect();
    let other = Scripted::ok(vec![b'x'; 200_000]).in_chunks(50_000).cut_at(150_000);
    for script in
        [vec![Scripted::ok(long.clone()).in_chunks(70_001)], vec![other, Scripted::ok(long.clone())]]
    {
        let downloaded = scripted(script).to_file(target(&folder)).await.unwrap();
        assert_eq!(fs::read(target(&folder)).unwrap(), long);
        assert_eq!(downloaded.sha256, hash(&folder));
    }
}

#[tokio::test(start_paused = true)]
async fn a_failed_download_leaves_the_folder_as_it_was() {
    let failing: [fn() -> Scripted; 4] = [
        || Scripted::ok(TEXT).in_chunks(3).cut_at(20),
        || Scripted::ok(TEXT).stall_at(20),
        || Scripted::reply(404, "gone"),
        || Scripted::fail_before_send(),
    ];
    for fail in failing {
        let folder = TempDir::new().unwrap();
        fs::write(target(&folder), "before").unwrap();
        let service = ScriptedService::answering(move |_, _| fail());
        download(&service).to_file(target(&folder)).await.unwrap_err();
        assert_eq!(names(folder.path()), ["data.jsonl"]);
        assert_eq!(fs::read(target(&folder)).unwrap(), b"before");
    }
}

#[tokio::test(start_paused = true)]
async fn a_restart_begins_the_file_again_even_with_other_bytes() {
    let folder = TempDir::new().unwrap();
    let first = Scripted::ok(&b"an older state of the export, which was longer than the one of today"[..]);
    let script = [first.in_chunks(9).cut_at(60), Scripted::ok(TEXT)];
    let downloaded = scripted(script).to_file(target(&folder)).await.unwrap();
    assert_eq!(fs::read(target(&folder)).unwrap(), TEXT);
    assert_eq!((downloaded.bytes, downloaded.restarts), (30, 1));
}

#[tokio::test(start_paused = true)]
async fn a_leftover_partial_file_is_written_over() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join(".data.jsonl.partial"), vec![b'x'; 100]).unwrap();
    fs::write(folder.path().join(".data.jsonl.partial.json"), "{}").unwrap();
    scripted([Scripted::ok(TEXT)]).to_file(target(&folder)).await.unwrap();
    assert_eq!(fs::read(target(&folder)).unwrap(), TEXT);
    assert_eq!(names(folder.path()), ["data.jsonl"]);
}

#[tokio::test]
async fn two_downloads_to_one_file_do_not_write_into_each_other() {
    let folder = TempDir::new().unwrap();
    let (begun, release) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let (begin, held) = (Arc::clone(&begun), Arc::clone(&release));
    let first = scripted([Scripted::ok(TEXT).in_chunks(1)]).on_progress(move |_| {
        begin.store(true, Ordering::SeqCst);
        while !held.load(Ordering::SeqCst) {
            std::thread::yield_now();
        }
    });
    let path = target(&folder);
    let other_path = path.clone();
    let other = std::thread::spawn(move || {
        while !begun.load(Ordering::SeqCst) {
            std::thread::yield_now();
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let result = runtime.block_on(scripted([Scripted::ok("other")]).to_file(&other_path));
        release.store(true, Ordering::SeqCst);
        result
    });
    first.to_file(&path).await.unwrap();
    let error = other.join().unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Destination);
    assert!(error.to_string().contains("another download"), "{error}");
    assert_eq!(fs::read(&path).unwrap(), TEXT);
    assert_eq!(names(folder.path()), ["data.jsonl"]);
}

#[tokio::test(start_paused = true)]
async fn places_that_cannot_be_written_to_are_named_with_what_to_look_at() {
    let folder = TempDir::new().unwrap();
    let missing = folder.path().join("missing").join("data.jsonl");
    let error = scripted([Scripted::ok(TEXT)]).to_file(&missing).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Destination);
    assert!(error.to_string().contains("does its folder exist?"), "{error}");

    for folder_itself in [folder.path(), Path::new("/"), Path::new("..")] {
        let error = scripted([]).to_file(folder_itself).await.unwrap_err();
        assert!(error.to_string().contains("is a folder"), "{error}");
    }

    fs::create_dir(folder.path().join(".data.jsonl.partial")).unwrap();
    let error = scripted([Scripted::ok(TEXT)]).to_file(target(&folder)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Destination);
}

#[tokio::test(start_paused = true)]
async fn a_name_that_is_taken_at_the_last_moment_is_an_error_and_leaves_nothing() {
    let folder = TempDir::new().unwrap();
    let path = target(&folder);
    let taken = path.clone();
    let download = scripted([Scripted::ok(TEXT)]).on_progress(move |_| {
        let _ = fs::create_dir(&taken);
    });
    let error = download.to_file(&path).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Destination);
    assert_eq!(names(folder.path()), ["data.jsonl"]);
    assert!(path.is_dir());
}

/// Polls a future a number of times, then lets go of it.
async fn polled<F: Future>(times: usize, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut left = times;
    poll_fn(move |context| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        future.as_mut().poll(context).map(Some)
    })
    .await
}

#[test]
fn cancelled_at_any_await_it_leaves_nothing_or_the_whole() {
    let mut finished = false;
    let mut times = 0;
    while !finished {
        let folder = TempDir::new().unwrap();
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        let script = [
            Scripted::ok(TEXT).drip(4, Duration::from_secs(1)).cut_at(20).after(Duration::from_secs(1)),
            Scripted::ok(TEXT).drip(6, Duration::from_secs(1)),
        ];
        let download = scripted(script).with_backoff(backstory_transport::FullJitter::default());
        finished = runtime.block_on(polled(times, download.to_file(target(&folder)))).is_some();
        assert_eq!(runtime.metrics().num_alive_tasks(), 0);
        // The runtime waits for the blocking work that has begun, and drops everything else.
        drop(runtime);
        match names(folder.path()).as_slice() {
            [] => assert!(!finished),
            [name] if name == "data.jsonl" => assert_eq!(fs::read(target(&folder)).unwrap(), TEXT),
            other => panic!("cancelled after {times} polls it left {other:?}"),
        }
        times += 1;
    }
    assert!(times > 10, "the download must have had awaits to be cancelled at: {times}");
}

#[test]
fn a_cancelled_file_is_gone_at_once_not_some_time_later() {
    let folder = TempDir::new().unwrap();
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let download = scripted([Scripted::ok(TEXT).stall_at(20)]).stall_timeout(Duration::from_secs(1_000));
        let path = target(&folder);
        assert!(tokio::time::timeout(Duration::from_secs(500), download.to_file(&path)).await.is_err());
        assert_eq!(names(folder.path()), Vec::<String>::new());
    });
}

/// A server of a body that honours ranges of one state of it.
fn ranged(body: Bytes, tag: &'static str, cut: Option<usize>) -> ScriptedService {
    ScriptedService::answering(move |request, _| {
        let range = request.headers().get("range").map(|range| range.to_str().unwrap().to_owned());
        let from: Option<usize> =
            range.as_deref().and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok());
        let same = request.headers().get("if-range").is_some_and(|wanted| wanted == tag);
        let reply = match from {
            Some(from) if same => Scripted::reply(206, body.slice(from..))
                .header("content-range", &format!("bytes {from}-{}/{}", body.len() - 1, body.len())),
            _ => Scripted::ok(body.clone()),
        };
        let reply = reply.header("etag", tag).in_chunks(1 << 20);
        cut.map_or_else(
            || reply.header("x", ""),
            |cut| Scripted::ok(body.clone()).header("etag", tag).in_chunks(4).cut_at(cut),
        )
    })
}

async fn leave_partial(folder: &TempDir) {
    let cut = ranged(TEXT.into(), "\"v1\"", Some(28));
    let error = download(&cut).restarts(0).resume(Resume::IfRange).to_file(target(folder)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BodyCut);
    assert_eq!(names(folder.path()), [".data.jsonl.partial", ".data.jsonl.partial.json"]);
}

/// Downloads again, as another process would, and says where from.
async fn go_on(folder: &TempDir, service: &ScriptedService) -> Option<String> {
    let downloaded = download(service).resume(Resume::IfRange).to_file(target(folder)).await.unwrap();
    assert_eq!(fs::read(target(folder)).unwrap(), TEXT);
    assert_eq!(downloaded.bytes, 30);
    let whole = scripted([Scripted::ok(TEXT)]).to_writer(Vec::new()).await.unwrap().0;
    assert_eq!(downloaded.sha256, whole.sha256);
    assert_eq!(names(folder.path()), ["data.jsonl"]);
    service.requests()[0].headers().get("range").map(|range| range.to_str().unwrap().to_owned())
}

#[tokio::test(start_paused = true)]
async fn another_process_goes_on_where_a_failed_one_stopped() {
    let folder = TempDir::new().unwrap();
    leave_partial(&folder).await;
    let journal = fs::read_to_string(folder.path().join(".data.jsonl.partial.json")).unwrap();
    assert!(!journal.contains("hunter2"), "{journal}");
    assert_eq!(go_on(&folder, &ranged(TEXT.into(), "\"v1\"", None)).await.as_deref(), Some("bytes=28-"));
}

#[tokio::test(start_paused = true)]
async fn a_partial_file_of_another_state_of_the_resource_starts_over() {
    let folder = TempDir::new().unwrap();
    leave_partial(&folder).await;
    assert_eq!(go_on(&folder, &ranged(TEXT.into(), "\"v2\"", None)).await.as_deref(), Some("bytes=28-"));
}

#[tokio::test(start_paused = true)]
async fn bytes_beyond_the_journal_are_cut_off_before_going_on() {
    let folder = TempDir::new().unwrap();
    leave_partial(&folder).await;
    let partial = folder.path().join(".data.jsonl.partial");
    let mut bytes = fs::read(&partial).unwrap();
    bytes.extend_from_slice(b"what a crash has torn");
    fs::write(&partial, bytes).unwrap();
    assert_eq!(go_on(&folder, &ranged(TEXT.into(), "\"v1\"", None)).await.as_deref(), Some("bytes=28-"));
}

#[tokio::test(start_paused = true)]
async fn a_partial_file_that_its_journal_does_not_prove_starts_over() {
    type Spoil = fn(&Path, &Path);
    let spoilt: [Spoil; 6] = [
        |partial, _| fs::write(partial, "{\"uid\":7}\n{\"uid\":7}\n").unwrap(),
        |partial, _| fs::write(partial, "short").unwrap(),
        |partial, _| fs::remove_file(partial).unwrap(),
        |_, journal| fs::write(journal, "torn {").unwrap(),
        |_, journal| {
            let text = fs::read_to_string(journal).unwrap();
            fs::write(journal, text.replace("/jobs/7/", "/jobs/8/")).unwrap();
        },
        |_, journal| {
            let text = fs::read_to_string(journal).unwrap();
            fs::write(journal, text.replace("\"form\":1", "\"form\":2")).unwrap();
        },
    ];
    for spoil in spoilt {
        let folder = TempDir::new().unwrap();
        leave_partial(&folder).await;
        spoil(&folder.path().join(".data.jsonl.partial"), &folder.path().join(".data.jsonl.partial.json"));
        assert_eq!(go_on(&folder, &ranged(TEXT.into(), "\"v1\"", None)).await, None);
    }
}

#[tokio::test(start_paused = true)]
async fn without_opting_in_a_journal_is_not_followed() {
    let folder = TempDir::new().unwrap();
    leave_partial(&folder).await;
    let service = ranged(TEXT.into(), "\"v1\"", None);
    download(&service).to_file(target(&folder)).await.unwrap();
    assert!(!service.requests()[0].headers().contains_key("range"));
    assert_eq!(names(folder.path()), ["data.jsonl"]);
}

#[tokio::test(start_paused = true)]
async fn a_partial_file_outlives_a_failure_to_reach_the_server() {
    let folder = TempDir::new().unwrap();
    leave_partial(&folder).await;
    let down = ScriptedService::answering(|_, _| Scripted::fail_before_send());
    let error = download(&down).resume(Resume::IfRange).to_file(target(&folder)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Connect);
    assert!(error.to_string().contains("failed after 28 bytes; 5 restarts in a row"), "{error}");
    assert_eq!(go_on(&folder, &ranged(TEXT.into(), "\"v1\"", None)).await.as_deref(), Some("bytes=28-"));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_resumed_is_not_kept() {
    let folder = TempDir::new().unwrap();
    let service = ScriptedService::answering(|_, _| Scripted::ok(TEXT).cut_at(20));
    download(&service).resume(Resume::IfRange).to_file(target(&folder)).await.unwrap_err();
    assert_eq!(names(folder.path()), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn nothing_is_not_a_part_that_is_kept() {
    let folder = TempDir::new().unwrap();
    let service = ScriptedService::answering(|_, _| Scripted::ok(TEXT).header("etag", "\"v1\"").cut_at(0));
    download(&service).resume(Resume::IfRange).to_file(target(&folder)).await.unwrap_err();
    assert_eq!(names(folder.path()), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_partial_file_outlives_a_download_that_was_cancelled_before_anything_came() {
    let folder = TempDir::new().unwrap();
    leave_partial(&folder).await;
    let silent = ScriptedService::answering(|_, _| Scripted::never());
    let going_on = download(&silent).resume(Resume::IfRange).to_file(target(&folder));
    tokio::time::timeout(Duration::from_secs(1), going_on).await.unwrap_err();
    assert_eq!(go_on(&folder, &ranged(TEXT.into(), "\"v1\"", None)).await.as_deref(), Some("bytes=28-"));
}

#[tokio::test(start_paused = true)]
async fn what_was_kept_and_then_started_over_is_no_longer_kept() {
    let folder = TempDir::new().unwrap();
    leave_partial(&folder).await;
    // The server has no validator any more: nothing of what comes now could be continued.
    let service = ScriptedService::answering(|_, _| Scripted::ok(TEXT).cut_at(20));
    download(&service).resume(Resume::IfRange).to_file(target(&folder)).await.unwrap_err();
    assert_eq!(names(folder.path()), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_killed_download_loses_at_most_sixteen_mebibytes() {
    let folder = TempDir::new().unwrap();
    let body = Bytes::from(vec![b'x'; 24 << 20]);
    let stalls = ScriptedService::answering({
        let body = body.clone();
        move |_, _| Scripted::ok(body.clone()).header("etag", "\"v1\"").in_chunks(1 << 20).stall_at(23 << 20)
    });
    let download_of = |service: &ScriptedService| {
        download(service).resume(Resume::IfRange).stall_timeout(Duration::from_secs(1_000))
    };
    let cancelled =
        tokio::time::timeout(Duration::from_secs(500), download_of(&stalls).to_file(target(&folder))).await;
    assert!(cancelled.is_err());
    assert_eq!(names(folder.path()), [".data.jsonl.partial", ".data.jsonl.partial.json"]);

    let service = ranged(body.clone(), "\"v1\"", None);
    let downloaded = download_of(&service).to_file(target(&folder)).await.unwrap();
    assert_eq!(service.requests()[0].headers()["range"], "bytes=16777216-");
    assert_eq!((downloaded.bytes, downloaded.wire_bytes), (24 << 20, 8 << 20));
    assert_eq!(fs::read(target(&folder)).unwrap(), body);
}

#[test]
fn a_download_can_be_spawned() {
    fn spawnable<F: Future + Send + 'static>(_: F) {}
    let service: Arc<dyn HttpService> = Arc::new(ScriptedService::new([]));
    spawnable(Download::new(Arc::clone(&service), get).to_file("x"));
    spawnable(Download::new(service, get).to_writer(Vec::new()));
}
