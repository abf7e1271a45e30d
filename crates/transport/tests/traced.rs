//! What the layers tell `tracing`: enough to follow a call, and nothing that is anybody else's business.

use std::io;
use std::sync::{Arc, Mutex};

use backstory_transport::{
    Download, HttpService, NoPause, RateLimit, RateLimiter, Request, Retry, RetryBudget, Scripted,
    ScriptedService, Traced,
};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

fn request() -> Request {
    http::Request::get("http://user:hunter2@api.test/jobs/7/data?signature=hunter2")
        .header("authorization", "Bearer hunter2")
        .body("hunter2".into())
        .unwrap()
}

/// Everything that is told, at any level, while this runs.
async fn told(work: impl Future<Output = ()>) -> String {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_writer(log.clone())
        .with_max_level(LevelFilter::TRACE)
        .with_ansi(false)
        .finish();
    let guard = tracing::subscriber::set_default(subscriber);
    work.await;
    drop(guard);
    let bytes = log.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

#[tokio::test(start_paused = true)]
async fn each_attempt_is_told_with_method_path_status_time_and_request_id() {
    let service = ScriptedService::new([
        Scripted::fail_after_send(),
        Scripted::reply(503, "busy")
            .header("x-amzn-request-id", "r-1")
            .after(std::time::Duration::from_millis(250)),
        Scripted::ok("fine").header("x-request-id", "r-2"),
    ]);
    let retry =
        Retry::new(RateLimit::new(Traced::new(service), RateLimiter::default())).with_backoff(NoPause);
    let told = told(async {
        retry.send(request()).await.unwrap();
    })
    .await;
    let has = |wanted: &[&str]| told.lines().any(|line| wanted.iter().all(|part| line.contains(part)));
    let call = ["method=GET", "path=\"/jobs/7/data\""];
    assert!(has(&[&call[..], &["no reply", "kind=Interrupted"]].concat()), "{told}");
    assert!(has(&[&call[..], &["status=503", "milliseconds=250", "request_id=\"r-1\""]].concat()), "{told}");
    assert!(has(&[&call[..], &["status=200", "milliseconds=0", "request_id=\"r-2\""]].concat()), "{told}");
    assert!(has(&["trying again", "attempt=2"]), "{told}");
}

#[tokio::test(start_paused = true)]
async fn a_budget_that_is_used_up_is_told_of() {
    for (reserve, is_told) in [(0, true), (1, false)] {
        let service = ScriptedService::new([Scripted::reply(503, "busy"), Scripted::ok("fine")]);
        let budget = RetryBudget::new(reserve, 0.0);
        let retry = Retry::new(service).with_backoff(NoPause).with_budget(budget);
        let told = told(async {
            retry.send(request()).await.unwrap();
        })
        .await;
        assert_eq!(told.contains("the retry budget is used up"), is_told, "{told}");
    }
}

#[tokio::test(start_paused = true)]
async fn no_header_query_body_or_credential_is_ever_told() {
    let secrets =
        || Scripted::ok("hunter2").header("set-cookie", "hunter2").header("location", "http://x/?hunter2");
    let service = ScriptedService::answering(move |_, number| match number % 4 {
        0 => Scripted::reply(503, "hunter2"),
        1 => secrets().cut_at(3),
        2 => Scripted::fail_before_send(),
        _ => secrets(),
    });
    let retry: Arc<dyn HttpService> = Arc::new(
        Retry::new(RateLimit::new(Traced::new(service), RateLimiter::default())).with_backoff(NoPause),
    );
    let told = told(async {
        for _ in 0..4 {
            Download::new(Arc::clone(&retry), request)
                .with_backoff(NoPause)
                .to_writer(Vec::new())
                .await
                .unwrap();
        }
    })
    .await;
    assert!(told.contains("/jobs/7/data"));
    assert!(!told.contains("hunter2"), "{told}");
}
