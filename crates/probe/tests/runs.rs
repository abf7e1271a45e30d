//! Runs against scripted replies, in virtual time: what the list, a lost reply, a full queue and a busy one make of them.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use backstory_api::BaseUrl;
use backstory_auth::Credentials;
use backstory_probe::{End, ErrorKind, Probe, Report};
use backstory_transport::{NoPause, Request, Scripted, ScriptedService};

const JOBS: &str = "/pull/v1/export/activities/jobs";
const DATE: &str = "Thu, 05 Mar 2026 12:00:00 GMT";

/// How a service behaves: a reply to each request, told by method and path.
type Answer = dyn Fn(&str, &str) -> Option<Scripted> + Send + Sync;

/// A service that knows one key, has no other jobs, and completes each job at once, but where `answer` has its own way.
fn service(answer: impl Fn(&str, &str) -> Option<Scripted> + Send + Sync + 'static) -> ScriptedService {
    let answer: Arc<Answer> = Arc::new(answer);
    ScriptedService::answering(move |request: &Request, _| {
        let (method, path) = (request.method().as_str().to_owned(), request.uri().path().to_owned());
        let reply = answer(&method, &path).unwrap_or_else(|| match (method.as_str(), path.as_str()) {
            ("POST", "/auth/v1/tokens") => Scripted::ok(r#"{"access_token":"t","expires_in":7200}"#),
            ("GET", JOBS) => Scripted::ok("[]"),
            ("POST", path) if path.ends_with("/jobs") => {
                Scripted::ok(r#"{"job_id":"100042","state":"Queued"}"#)
            }
            ("GET", path) if path.ends_with("/100042") => {
                Scripted::ok(r#"{"job_id":"100042","state":"Completed","fragments":1}"#)
            }
            ("GET", path) if path.ends_with("/100042/data") => {
                Scripted::ok("{\"uid\":\"1\",\"type\":\"call\",\"subject\":\"Project Falcon\"}\n")
            }
            _ => Scripted::reply(404, r#"{"error":"NotFoundException","message":"HTTP 404 Not Found"}"#),
        });
        reply.header("date", DATE)
    })
}

fn probe(service: &ScriptedService) -> Probe {
    let now = "2026-03-05T12:00:00Z".parse().unwrap();
    Probe::new(BaseUrl::parse("https://api.example").unwrap(), service.clone(), now)
        .activities_key(Credentials::new("the-key", "hunter2"))
        .contacts_key(Credentials::new("the-key", "hunter2"))
        .backoff(NoPause)
}

async fn run(service: &ScriptedService) -> Report {
    let report = probe(service).run().await.unwrap();
    let shown = format!("{}{report:?}", report.to_markdown());
    for secret in ["the-key", "hunter2", "100042", "Falcon", "api.example"] {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
    assert!(report.requests <= 30 && report.requests as usize == service.requests().len());
    report
}

/// How often a method and a path were asked for.
fn count(service: &ScriptedService, method: &str, path: &str) -> usize {
    service
        .requests()
        .iter()
        .filter(|request| request.method() == method && request.uri().path() == path)
        .count()
}

#[tokio::test(start_paused = true)]
async fn a_run_on_a_quiet_service_is_complete() {
    let service = service(|_, _| None);
    let report = run(&service).await;
    assert_eq!((report.end, report.jobs), (End::Complete, 2));
    let created = service
        .requests()
        .into_iter()
        .find(|request| request.method() == "POST" && request.uri().path() == JOBS);
    let body: serde_json::Value = serde_json::from_slice(created.unwrap().body()).unwrap();
    // The server's Thursday, less three days.
    assert_eq!((&body["start_date"], &body["end_date"]), (&"2026-03-02".into(), &"2026-03-02".into()));
    assert_eq!((&body["export_type"], &body["output_format"]), (&"delta".into(), &"JSONLines".into()));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_created_while_other_jobs_wait() {
    let waiting = r#"[{"job_id":"9","state":"Queued"},{"job_id":"8","state":"Running"}]"#;
    let service =
        service(move |method, path| (method == "GET" && path == JOBS).then(|| Scripted::ok(waiting)));
    let report = run(&service).await;
    assert_eq!((report.end, report.jobs), (End::Busy, 0));
    assert_eq!(
        service
            .requests()
            .iter()
            .filter(|request| request.uri().path() == "/pull/v1/export/contacts/jobs"
                && request.method() == "POST")
            .count(),
        0
    );
    // It looked again, politely, and says why there was no job.
    assert!((3..=9).contains(&count(&service, "GET", JOBS)), "{}", count(&service, "GET", JOBS));
    assert!(report.finding("j.16").unwrap().detail.contains("in the way (1 running, 1 waiting)"));
}

#[tokio::test(start_paused = true)]
async fn a_job_is_created_once_the_queue_is_free() {
    let looks = Mutex::new(0);
    let service = service(move |method, path| {
        (method == "GET" && path == JOBS).then(|| {
            let mut looks = looks.lock().unwrap();
            *looks += 1;
            Scripted::ok(if *looks <= 2 { r#"[{"job_id":"9","state":"Queued"}]"# } else { "[]" })
        })
    });
    let report = run(&service).await;
    assert_eq!((report.end, report.jobs), (End::Complete, 2));
}

#[tokio::test(start_paused = true)]
async fn a_lost_reply_to_a_creation_is_never_answered_by_another_and_its_job_is_found() {
    let listed = r#"[{"job_id":"100042","state":"Running","export_type":"delta","activity_type":"all",
        "start_date":"2026-03-02","end_date":"2026-03-02","job_created_time":"2026-03-05T12:00:00Z"}]"#;
    let created = Mutex::new(false);
    let service = service(move |method, path| {
        let mut created = created.lock().unwrap();
        match (method, path) {
            ("POST", JOBS) => {
                *created = true;
                Some(Scripted::fail_after_send())
            }
            ("GET", JOBS) if *created => Some(Scripted::ok(listed)),
            _ => None,
        }
    });
    let report = run(&service).await;
    assert_eq!((count(&service, "POST", JOBS), report.jobs), (1, 2));
    assert_eq!(report.finding("j.20").unwrap().observed.as_deref(), Some("length"));
    assert_eq!(report.end, End::Partial);
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_is_told_and_not_asked_again() {
    let service = service(|method, path| {
        let refused = || Scripted::reply(409, r#"{"error":"x","message":"Export job queue is full"}"#);
        (method == "POST" && path.ends_with("/jobs")).then(refused)
    });
    let report = run(&service).await;
    assert_eq!(report.end, End::UseLimit);
    assert_eq!(report.finding("j.1").unwrap().observed.as_deref(), Some("409"));
    assert_eq!(count(&service, "POST", JOBS), 1);
}

#[tokio::test(start_paused = true)]
async fn a_job_that_never_ends_is_left_alone_within_the_budget() {
    let service = service(|_, path| {
        path.ends_with("/100042").then(|| Scripted::ok(r#"{"job_id":"100042","state":"Running"}"#))
    });
    let report = run(&service).await;
    assert_eq!(report.end, End::Deadline);
    assert_eq!(report.finding("j.35").unwrap().observed.as_deref(), Some("running"));
    assert!(count(&service, "GET", &format!("{JOBS}/100042")) <= 7);
}

#[tokio::test(start_paused = true)]
async fn a_service_that_only_fails_is_asked_a_few_times_and_nothing_is_claimed() {
    let service =
        service(|_, path| (path != "/auth/v1/tokens").then(|| Scripted::reply(503, "<html>busy</html>")));
    let report = run(&service).await;
    assert_eq!((report.end, report.jobs), (End::Partial, 0));
    let told: Vec<_> = report
        .findings
        .iter()
        .filter(|finding| finding.observed.is_some())
        .map(|finding| finding.row)
        .collect();
    assert_eq!(told, ["a.3"]);
}

#[tokio::test(start_paused = true)]
async fn a_smaller_budget_is_kept_and_says_what_it_left_out() {
    let service = service(|_, _| None);
    for most in 1..=30 {
        let before = service.requests().len();
        let report = probe(&service).requests(most).run().await;
        assert!(service.requests().len() - before <= most as usize);
        if let Ok(report) = report {
            assert_eq!(report.requests as usize, service.requests().len() - before);
        }
    }
    let report = probe(&service).requests(5).run().await.unwrap();
    assert!(report.finding("j.16").unwrap().detail.contains("budget"), "{:?}", report.finding("j.16"));
}

#[tokio::test(start_paused = true)]
async fn without_a_key_or_a_token_the_error_says_what_to_do() {
    let service = service(|_, path| {
        (path == "/auth/v1/tokens")
            .then(|| Scripted::reply(401, r#"{"error":"invalid_client","message":"no"}"#))
    });
    let error = probe(&service).run().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Authentication);
    assert!(error.hint().unwrap().contains("paused"), "{error}");
    assert_eq!(service.requests().len(), 1);
    let now = "2026-03-05T12:00:00Z".parse().unwrap();
    let nobody = Probe::new(BaseUrl::parse("https://api.example").unwrap(), service.clone(), now);
    assert_eq!(nobody.run().await.unwrap_err().kind(), ErrorKind::Setup);
}

#[tokio::test(start_paused = true)]
async fn a_redirect_is_followed_once_without_the_token_and_counted() {
    let service = service(|method, path| match (method, path) {
        ("GET", "/file") => Some(Scripted::ok("{\"uid\":\"1\"}\n")),
        ("GET", path) if path.ends_with("/data") => {
            Some(Scripted::reply(302, "").header("location", "https://storage.example/file?sig=1"))
        }
        _ => None,
    });
    let report = run(&service).await;
    let finding = report.finding("j.22").unwrap();
    assert_eq!((finding.observed.as_deref(), finding.detail.contains("no token")), (Some("302"), true));
    let requests = service.requests();
    let stored: Vec<_> =
        requests.iter().filter(|request| request.uri().host() == Some("storage.example")).collect();
    assert!(
        !stored.is_empty() && stored.iter().all(|request| !request.headers().contains_key("authorization"))
    );
}

#[tokio::test(start_paused = true)]
async fn the_deadline_ends_a_wait_of_hours() {
    let service = service(|_, path| {
        path.ends_with("/100042").then(|| Scripted::ok(r#"{"job_id":"100042","state":"Queued"}"#))
    });
    let begun = tokio::time::Instant::now();
    let report = probe(&service).deadline(Duration::from_secs(60)).run().await.unwrap();
    assert_eq!(report.end, End::Deadline);
    assert!(begun.elapsed() <= Duration::from_secs(70), "{:?}", begun.elapsed());
}
