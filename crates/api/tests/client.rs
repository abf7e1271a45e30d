//! The client itself: what is under it can be a user's own, every facade can be mocked, clones share what they should, and
//! what its errors carry.

mod service;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use backstory_api::{
    ActivitiesApi, ActivitiesExport, BaseUrl, Client, ClientBuilder, ContactsApi, Error, ErrorKind,
    ExportJob, ExportResult, FragmentBytes, Fragments, JobState, JobStates, RecordStream, ResultBytes,
};
use backstory_auth::{Credentials, FixedToken, IssuedToken, Token, TokenCache, TokenIssuer, TokenSource};
use backstory_limits::ExportKind;
use backstory_transport::{
    Error as TransportError, HttpService, MockHttpService, NoPause, Request, Response, Scripted,
    ScriptedService,
};
use futures_util::TryStreamExt as _;
use service::{asked, builder, client, job, json, range, refusal};
use tokio::time::Instant;

#[test]
fn everything_can_be_sent_and_shared_between_threads() {
    fn check<T: Send + Sync>() {}
    fn check_sent<T: Send + Unpin>() {}
    check::<Client>();
    check::<ActivitiesApi>();
    check::<ContactsApi>();
    check::<ActivitiesExport>();
    check::<ExportJob<backstory_api::Activities>>();
    check::<ExportResult<backstory_api::Contacts>>();
    check::<Fragments<backstory_api::Contacts>>();
    check::<Error>();
    check_sent::<ClientBuilder>();
    check_sent::<JobStates<backstory_api::Activities>>();
    check_sent::<RecordStream<backstory_api::Activities>>();
    check_sent::<RecordStream<backstory_api::Contacts>>();
    check_sent::<FragmentBytes<backstory_api::Activities>>();
    check_sent::<ResultBytes>();
}

#[test]
fn a_clone_of_a_client_costs_a_pointer() {
    assert_eq!(size_of::<Client>(), size_of::<usize>());
}

/// A layer of a user's own.
struct Counted<S>(S, Arc<AtomicUsize>);

#[async_trait]
impl<S: HttpService> HttpService for Counted<S> {
    async fn send(&self, request: Request) -> Result<Response, TransportError> {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.send(request).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_layer_of_ones_own_sees_every_attempt_and_the_token_call() {
    let service = ScriptedService::new([
        json(200, r#"{"access_token":"one","expires_in":7200}"#),
        refusal(503, "X", "busy"),
        json(200, &job("5", "Running")),
    ]);
    let count = Arc::new(AtomicUsize::new(0));
    let client = Client::builder(BaseUrl::parse("http://service.example").unwrap())
        .adapter(Counted(service.clone(), Arc::clone(&count)))
        .credentials(Credentials::new("key", "secret"))
        .unwrap()
        .backoff(NoPause)
        .build()
        .unwrap();
    client.activities().job("5").poll().await.unwrap();
    assert_eq!(count.load(Ordering::Relaxed), 3);
    assert_eq!(service.requests()[2].headers()["authorization"], "Bearer one");
}

#[tokio::test(start_paused = true)]
async fn a_token_that_is_refused_is_healed_once_under_every_facade() {
    let service = ScriptedService::answering(|request, nth| match (request.uri().path(), nth) {
        ("/auth/v1/tokens", 0) => json(200, r#"{"access_token":"one","expires_in":7200}"#),
        ("/auth/v1/tokens", _) => json(200, r#"{"access_token":"two","expires_in":7200}"#),
        _ if request.headers()["authorization"] == "Bearer one" => refusal(401, "X", "no"),
        (_, _) if request.method() == "POST" => json(200, r#"{"job_id":"5","state":"Queued"}"#),
        _ => json(200, "[]"),
    });
    let client = Client::builder(BaseUrl::parse("http://service.example").unwrap())
        .adapter(service.clone())
        .credentials(Credentials::new("key", "secret"))
        .unwrap()
        .build()
        .unwrap();
    client.activities().export(range()).start().await.unwrap();
    client.activities().list().await.unwrap();
    let tokens = asked(&service).iter().filter(|call| call.contains("tokens")).count();
    assert_eq!((tokens, service.requests().len()), (2, 5));
}

/// Tokens that are numbered in the order in which they are asked for.
#[derive(Default)]
struct Numbered(AtomicU64);

#[async_trait]
impl TokenSource for Numbered {
    async fn token(&self) -> Result<Token, backstory_auth::Error> {
        let number = self.0.fetch_add(1, Ordering::Relaxed);
        Token::new(format!("{number}"), number)
    }

    fn invalidate(&self, _: u64) {}
}

#[tokio::test(start_paused = true)]
async fn each_attempt_has_a_token_of_its_own_and_counts_in_the_rate_limit_a_healed_one_too() {
    let service = ScriptedService::answering(|_, nth| match nth {
        0 => refusal(503, "X", "busy"),
        1 => refusal(401, "X", "no"),
        2 => Scripted::fail_after_send(),
        _ => json(200, "[]"),
    });
    let mut limits = backstory_limits::UseLimits::published();
    limits.requests_per_second = 1;
    let client = builder(&service).tokens(Numbered::default()).limits(limits).build().unwrap();
    let begun = Instant::now();
    client.activities().list().await.unwrap();
    assert_eq!(begun.elapsed().as_secs(), 3);
    let tokens: Vec<_> =
        service.requests().iter().map(|request| request.headers()["authorization"].clone()).collect();
    assert_eq!(tokens, ["Bearer 0", "Bearer 1", "Bearer 2", "Bearer 3"]);
}

#[tokio::test(start_paused = true)]
async fn both_resources_draw_on_one_retry_budget_and_one_rate_limit() {
    let service = ScriptedService::answering(|_, _| refusal(503, "X", "down"));
    let client = client(&service);
    let begun = Instant::now();
    for _ in 0..50 {
        client.activities().job("5").poll().await.unwrap_err();
        client.contacts().job("5").poll().await.unwrap_err();
    }
    let (calls, sent) = (100, service.requests().len());
    assert!(sent <= calls + 50 + calls / 5, "{sent} requests");
    assert!(begun.elapsed() >= Duration::from_secs(sent as u64 / 5 - 1), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn each_resource_has_its_own_tokens_and_a_refused_one_leaves_the_others_alone() {
    /// Issues `KEY-1`, `KEY-2` …
    struct Key(&'static str, Arc<AtomicUsize>);
    #[async_trait]
    impl TokenIssuer for Key {
        async fn issue(&self) -> Result<IssuedToken, backstory_auth::Error> {
            let number = self.1.fetch_add(1, Ordering::Relaxed) + 1;
            Ok(IssuedToken::new(format!("{}-{number}", self.0)).with_expires_in(Duration::from_secs(7_200)))
        }
    }
    let service =
        ScriptedService::answering(|request, _| match request.headers()["authorization"].to_str() {
            Ok("Bearer activity-1") => refusal(401, "X", "no"),
            Ok("Bearer activity-2") => json(200, &job("5", "Running")),
            Ok("Bearer object-1") => json(200, r#"{"job_id":"5"}"#),
            other => panic!("{other:?}"),
        });
    let (activity, object) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
    let client = Client::builder(BaseUrl::parse("http://service.example").unwrap())
        .adapter(service)
        .activities_tokens(TokenCache::new(Key("activity", Arc::clone(&activity))))
        .contacts_tokens(TokenCache::new(Key("object", Arc::clone(&object))))
        .build()
        .unwrap();
    for _ in 0..2 {
        client.contacts().job("5").poll().await.unwrap();
        client.activities().job("5").poll().await.unwrap();
    }
    assert_eq!((activity.load(Ordering::Relaxed), object.load(Ordering::Relaxed)), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_dropped_at_any_await_leaves_no_task_and_no_permit() {
    let mut limits = backstory_limits::UseLimits::published();
    (limits.concurrent_requests, limits.requests_per_second) = (1, 1_000);
    for milliseconds in (0..8_000).step_by(250) {
        // A token, a 401, a second token, a reply that is cut, a refusal, and the rest; each takes half a second.
        let service = ScriptedService::answering(|request, nth| {
            let reply = match (request.uri().path(), nth) {
                ("/auth/v1/tokens", _) => json(200, r#"{"access_token":"one","expires_in":7200}"#),
                (_, 1) => refusal(401, "X", "no"),
                (_, 3) => json(200, r#"[{"job_id":"1"}]"#).in_chunks(4).cut_at(8),
                (_, 4) => refusal(503, "X", "busy"),
                (path, _) if path.ends_with("/data") => {
                    Scripted::ok("{\"uid\":\"a\"}\n").without_length().drip(3, Duration::from_millis(400))
                }
                _ => json(200, &job("5", "Completed")),
            };
            reply.after(Duration::from_millis(500))
        });
        let client = Client::builder(BaseUrl::parse("http://service.example").unwrap())
            .adapter(service)
            .credentials(Credentials::new("key", "secret"))
            .unwrap()
            .limits(limits.clone())
            .build()
            .unwrap();
        let work = async {
            let api = client.activities();
            let _ = api.list().await;
            let _ = api.job("5").wait().await;
            let _ = api.job("5").result().to_writer(Vec::new()).await;
        };
        let _ = tokio::time::timeout(Duration::from_millis(milliseconds), work).await;
        // The one permit is free: whoever comes next is served.
        let next = client.activities();
        let next = async { next.job("5").poll().await };
        let served = tokio::time::timeout(Duration::from_secs(120), next).await;
        assert!(served.is_ok(), "cancelled after {milliseconds} ms it holds a permit");
        drop(client);
        tokio::task::yield_now().await;
        assert_eq!(tokio::runtime::Handle::current().metrics().num_alive_tasks(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn every_facade_can_be_mocked() {
    /// What a user's own code may do: contacts of the year, and whether any job is running.
    async fn users_code(client: &Client) -> Result<(usize, bool), Error> {
        let export = client.contacts().export("2026-01-01..2026-03-31".parse().unwrap());
        let contacts = export.include_existing(true).start().await?;
        contacts.wait().await?;
        let rows: Vec<_> = contacts.result().records()?.try_collect().await?;
        let jobs = client.activities().list().await?;
        Ok((rows.len(), jobs.iter().any(|job| job.state == Some(JobState::Running))))
    }

    let mut service = MockHttpService::new();
    service.expect_send().withf(|request| request.method() == "POST").times(1).returning(|request| {
        assert!(std::str::from_utf8(request.body()).unwrap().contains(r#""include_existing":true"#));
        Ok(Response::new(r#"{"job_id":"9","state":"Queued"}"#.into()))
    });
    service
        .expect_send()
        .withf(|request| request.uri().path().ends_with("/jobs/9"))
        .times(1)
        .returning(|_| Ok(Response::new(r#"{"job_id":"9","state":"Completed"}"#.into())));
    service
        .expect_send()
        .withf(|request| request.uri().path().ends_with("/data"))
        .times(1)
        .returning(|_| Ok(Response::new("email\na@x.example\nb@x.example\n".into())));
    service
        .expect_send()
        .withf(|request| request.uri().path().ends_with("/activities/jobs"))
        .times(1)
        .returning(|_| Ok(Response::new(r#"[{"job_id":"1","state":"Running"}]"#.into())));
    let client = Client::builder(BaseUrl::parse("http://mocked.example").unwrap())
        .adapter(service)
        .tokens(FixedToken::new("any").unwrap())
        .build()
        .unwrap();
    assert_eq!(users_code(&client).await.unwrap(), (2, true));
}

#[tokio::test(start_paused = true)]
async fn clones_share_the_rate_limit_and_what_the_server_said_of_its_time() {
    let service = ScriptedService::answering(|_, _| json(200, "[]"));
    let first = client(&service);
    let second = first.clone();
    assert_eq!(second.server_time(), None);
    let begun = Instant::now();
    for _ in 0..5 {
        first.activities().list().await.unwrap();
        second.activities().list().await.unwrap();
    }
    // 5 a second: the second five wait for the first.
    assert!(begun.elapsed() >= Duration::from_secs(1), "{:?}", begun.elapsed());
    assert_eq!(second.server_time(), "2026-03-06T12:00:00Z".parse().ok());
}

#[tokio::test(start_paused = true)]
async fn other_limits_are_the_ones_that_requests_are_held_to() {
    let service = ScriptedService::answering(|_, _| json(200, r#"{"job_id":"5"}"#));
    let mut limits = backstory_limits::UseLimits::published();
    limits.requests_per_second = 1_000;
    limits.contacts_range = limits.range_limit(ExportKind::Delta).clone();
    let client = builder(&service).limits(limits).build().unwrap();
    let begun = Instant::now();
    for _ in 0..50 {
        client.activities().job("5").poll().await.unwrap();
    }
    assert!(begun.elapsed() < Duration::from_secs(1));
    let error = client.contacts().export(range()).start().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UseLimit);
    assert_eq!(client.limits().requests_per_second, 1_000);
}

#[tokio::test(start_paused = true)]
async fn without_credentials_for_one_resource_the_other_works() {
    let service = ScriptedService::answering(|_, _| json(200, "[]"));
    let client = Client::builder(BaseUrl::parse("http://service.example").unwrap())
        .adapter(service.clone())
        .activities_tokens(FixedToken::new("any").unwrap())
        .build()
        .unwrap();
    client.activities().list().await.unwrap();
    let error = client.contacts().job("1").poll().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthorized);
    assert!(error.is_authentication() && !error.is_retryable());
    let cause = std::iter::successors(std::error::Error::source(&error), |error| error.source());
    let told: String = cause.map(ToString::to_string).collect();
    assert!(told.contains("contacts need a key of the type Object"), "{told}");
    assert_eq!(service.requests().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_error_carries_operation_job_request_id_attempts_and_a_hint() {
    let service = ScriptedService::answering(|_, _| refusal(503, "X", "busy").header("x-request-id", "r-1"));
    let error = client(&service).activities().job("5").poll().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(error.operation(), "ask for the state of the activities export job");
    assert_eq!(error.job_id().unwrap().as_str(), "5");
    assert_eq!(error.request_id(), Some("r-1"));
    assert_eq!((error.attempts(), service.requests().len()), (5, 5));
    assert_eq!(error.refusal().unwrap().status, 503);
    assert!(error.is_retryable() && !error.is_use_limit() && !error.is_authentication());
    assert!(error.hint().unwrap().contains("run it again later"));
    assert_eq!(
        error.to_string(),
        "can't ask for the state of the activities export job (job 5): the service answered HTTP 503 (X): busy [request r-1], after 5 attempts"
    );

    let broken = ScriptedService::answering(|_, _| Scripted::fail_after_send());
    let error = client(&broken).activities().job("5").poll().await.unwrap_err();
    assert_eq!((error.attempts(), error.request_id()), (5, None));
    let page = ScriptedService::new([json(200, "<html>").header("x-request-id", "r-2")]);
    let error = client(&page).activities().job("5").poll().await.unwrap_err();
    assert_eq!((error.kind(), error.request_id(), error.attempts()), (ErrorKind::BadReply, Some("r-2"), 1));
    let cut = ScriptedService::new([json(200, "{}").cut_at(1).header("x-request-id", "r-3")]);
    let error = client(&cut).activities().job("5").poll().await.unwrap_err();
    assert_eq!((error.kind(), error.request_id()), (ErrorKind::Unavailable, Some("r-3")));
}

#[tokio::test(start_paused = true)]
async fn a_status_has_one_meaning() {
    for (status, kind) in [
        (302, ErrorKind::BadReply),
        (400, ErrorKind::BadRequest),
        (401, ErrorKind::Unauthorized),
        (403, ErrorKind::Forbidden),
        (404, ErrorKind::JobNotFound),
        (410, ErrorKind::JobNotFound),
        (418, ErrorKind::BadRequest),
        (429, ErrorKind::Unavailable),
        (500, ErrorKind::Unavailable),
        (501, ErrorKind::Unavailable),
    ] {
        let service = ScriptedService::answering(move |_, _| refusal(status, "X", "no"));
        let error = client(&service).activities().job("5").poll().await.unwrap_err();
        assert_eq!(error.kind(), kind, "{status}");
        let once = error.attempts() == 1;
        assert_eq!(error.to_string().contains("attempts"), !once, "{error}");
        if kind == ErrorKind::BadRequest {
            assert!(error.hint().unwrap().contains("the job's id"), "{status}");
        }
    }
    let service = ScriptedService::new([refusal(400, "BadRequestException", "future")]);
    let error = client(&service).activities().export(range()).start().await.unwrap_err();
    assert!(error.hint().unwrap().contains("a narrower one, or one that ends today"));
}

#[tokio::test(start_paused = true)]
async fn a_failed_exchange_has_one_meaning() {
    use backstory_transport::ErrorKind as Below;
    for (below, kind) in [
        (Below::Setup, ErrorKind::Setup),
        (Below::Destination, ErrorKind::Destination),
        (Below::BodyTooLong, ErrorKind::BadDownload),
        (Below::BodyCorrupt, ErrorKind::BadDownload),
        (Below::BodyCut, ErrorKind::BadDownload),
        (Below::BodyStalled, ErrorKind::BadDownload),
        (Below::Connect, ErrorKind::Unavailable),
        (Below::Tls, ErrorKind::Unavailable),
        (Below::Timeout, ErrorKind::Unavailable),
        (Below::Layer, ErrorKind::Unavailable),
    ] {
        let service =
            ScriptedService::answering(move |_, _| Scripted::fail(TransportError::new(below, "broken")));
        let error = client(&service).activities().job("5").poll().await.unwrap_err();
        assert_eq!(error.kind(), kind, "{below:?}");
        assert!(std::error::Error::source(&error).unwrap().to_string().contains("broken"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_404_is_a_missing_job_only_where_a_job_was_named() {
    let service = ScriptedService::answering(|_, _| refusal(404, "NotFoundException", "HTTP 404 Not Found"));
    let api = client(&service).activities();
    for error in [api.list().await.unwrap_err(), api.export(range()).start().await.unwrap_err()] {
        assert_eq!((error.kind(), error.job_id()), (ErrorKind::Unsupported, None));
        assert!(error.hint().unwrap().contains("base URL"));
    }
    let error = api.job("5").poll().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::JobNotFound);
    assert!(error.hint().unwrap().contains("check the job's id"));
}
