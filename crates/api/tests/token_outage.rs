//! A token endpoint that is down: how often it is asked, what a call waits for, and what it says in the end.

mod service;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use backstory_api::{BaseUrl, Client, ErrorKind};
use backstory_auth::Credentials;
use backstory_transport::{NoPause, Scripted, ScriptedService};
use futures_util::future::join_all;
use service::{json, range, refusal};
use tokio::time::{Instant, sleep};

/// When the token endpoint was asked, in seconds from the beginning.
type Asked = Arc<Mutex<Vec<f64>>>;

/// A service whose token endpoint answers so at a time, and whose lists are empty.
fn with_outage(down: impl Fn(f64) -> Option<Scripted> + Send + 'static) -> (ScriptedService, Asked) {
    let (began, asked) = (Instant::now(), Asked::default());
    let told = Arc::clone(&asked);
    let service = ScriptedService::answering(move |request, _| {
        if request.uri().path() != "/auth/v1/tokens" {
            let is_creation = request.method() == "POST";
            return json(200, if is_creation { r#"{"job_id":"5"}"# } else { "[]" });
        }
        let now = began.elapsed().as_secs_f64();
        told.lock().unwrap().push(now);
        down(now).unwrap_or_else(|| json(200, r#"{"access_token":"one","expires_in":7200}"#))
    });
    (service, asked)
}

fn client(service: &ScriptedService) -> Client {
    Client::builder(BaseUrl::parse("http://service.example").unwrap())
        .adapter(service.clone())
        .credentials(Credentials::new("key", "secret"))
        .unwrap()
        .backoff(NoPause)
        .build()
        .unwrap()
}

#[tokio::test(start_paused = true)]
async fn it_is_asked_once_for_each_attempt_of_a_call_and_after_pauses_that_double() {
    for down in [|| refusal(503, "X", "down"), Scripted::fail_before_send, || refusal(429, "X", "slowly")] {
        let (service, asked) = with_outage(move |_| Some(down()));
        let error = client(&service).activities().list().await.unwrap_err();
        assert_eq!((error.kind(), error.attempts()), (ErrorKind::Unavailable, 5));
        let asked = asked.lock().unwrap().clone();
        assert_eq!((asked.len(), service.requests().len()), (5, 5));
        for (pair, least) in asked.windows(2).zip([0.5, 1.0, 2.0, 4.0]) {
            let pause = pair[1] - pair[0];
            assert!((least..=least * 2.0 + 0.01).contains(&pause), "{asked:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_hour_of_calls_asks_it_no_more_often_than_once_in_half_a_minute() {
    let (service, asked) = with_outage(|_| Some(refusal(503, "X", "down")));
    let client = client(&service);
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(3_600) {
        let call = Instant::now();
        let (activities, contacts) = (client.activities(), client.contacts().job("5"));
        let both = tokio::join!(activities.list(), contacts.poll());
        for error in [both.0.unwrap_err(), both.1.unwrap_err()] {
            assert_eq!(error.kind(), ErrorKind::Unavailable);
        }
        // Nor is a call kept for longer than a server's own wish would keep it.
        assert!(call.elapsed() <= Duration::from_secs(61), "{:?}", call.elapsed());
        sleep(Duration::from_millis(300)).await;
    }
    let asked = asked.lock().unwrap().clone();
    assert!(asked.len() <= 8 + 120, "{}", asked.len());
    for (failures, pair) in asked.windows(2).enumerate() {
        let least = [0.5, 1.0, 2.0, 4.0, 8.0, 16.0].get(failures).copied().unwrap_or(30.0);
        assert!(pair[1] - pair[0] >= least, "{pair:?} after {failures} failures before");
    }
}

#[tokio::test(start_paused = true)]
async fn a_short_outage_is_waited_out_by_every_call() {
    for _ in 0..20 {
        let (service, asked) = with_outage(|now| (now < 7.0).then(|| refusal(503, "X", "down")));
        let client = client(&service);
        let began = Instant::now();
        let api = client.activities();
        for listed in join_all((0..10).map(|_| api.list())).await {
            listed.unwrap();
        }
        assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
        assert!(asked.lock().unwrap().len() <= 5, "{asked:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_pause_that_it_asks_for_is_waited_for_and_a_long_one_is_the_callers_to_wait_for() {
    for (seconds, settled) in [(30, true), (90, false)] {
        let (service, asked) = with_outage(move |now| {
            let busy = refusal(429, "X", "slowly").header("retry-after", &seconds.to_string());
            (now < f64::from(seconds)).then_some(busy)
        });
        let began = Instant::now();
        let listed = client(&service).activities().list().await;
        assert_eq!(listed.is_ok(), settled);
        let (waited, times) = if settled { (30, 2) } else { (0, 1) };
        assert_eq!((began.elapsed().as_secs(), asked.lock().unwrap().len()), (waited, times));
    }
}

#[tokio::test(start_paused = true)]
async fn a_creation_waits_for_its_token_too_and_is_sent_once() {
    let (service, _) = with_outage(|now| (now < 3.0).then(|| refusal(502, "X", "down")));
    client(&service).contacts().export(range()).start_now().await.unwrap();
    let posts = service.requests().iter().filter(|request| request.uri().path().ends_with("/jobs")).count();
    assert_eq!(posts, 1);
}
