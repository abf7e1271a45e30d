//! The retry layer in virtual time: which calls are repeated, after which pauses, within which budget, and what is handed up.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use backstory_transport::{
    Advice, Attempt, Attempts, Backoff, CallClass, ErrorKind, FullJitter, HttpService, NoPause, Outcome,
    PauseInput, Refusal, Request, Retry, RetryBudget, RetryByClass, RetryPolicy, RetryPolicyExt, Scripted,
    ScriptedService,
};
use tokio::time::Instant;

fn get() -> Request {
    http::Request::get("http://api.test/jobs/7").body("".into()).unwrap()
}

fn creation() -> Request {
    http::Request::post("http://api.test/jobs").body("{}".into()).unwrap()
}

/// Pauses of 1, 2, 4 … seconds exactly.
fn full_pauses() -> FullJitter {
    FullJitter::default().with_random(|| 1.0)
}

fn scripted(script: impl IntoIterator<Item = Scripted>) -> (ScriptedService, Retry<ScriptedService>) {
    let service = ScriptedService::new(script);
    (service.clone(), Retry::new(service).with_backoff(full_pauses()))
}

#[tokio::test(start_paused = true)]
async fn a_get_is_repeated_after_growing_pauses_until_it_succeeds() {
    let (service, retry) = scripted([
        Scripted::fail_before_send(),
        Scripted::fail_after_send(),
        Scripted::reply(503, "busy"),
        Scripted::ok("done"),
    ]);
    let began = Instant::now();
    let response = retry.send(get()).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(began.elapsed().as_secs(), 1 + 2 + 4);
    let attempts = response.extensions().get::<Attempts>().unwrap();
    assert_eq!((attempts.count, attempts.elapsed.as_secs()), (4, 7));
    assert_eq!(service.requests().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn each_attempt_sends_the_same_request() {
    let (service, retry) = scripted([Scripted::reply(500, ""), Scripted::ok("")]);
    let request =
        http::Request::put("http://api.test/x?y=1").header("x-one", "1").body("body".into()).unwrap();
    retry.send(request).await.unwrap();
    let requests = service.requests();
    assert_eq!(requests.len(), 2);
    for request in requests {
        assert_eq!(
            (request.method().as_str(), request.uri().to_string().as_str()),
            ("PUT", "http://api.test/x?y=1")
        );
        assert_eq!(
            (&request.headers()["x-one"], request.body().as_ref()),
            (&"1".parse().unwrap(), &b"body"[..])
        );
    }
}

#[tokio::test(start_paused = true)]
async fn after_five_attempts_the_last_reply_is_handed_up_with_its_attempts() {
    let (service, retry) = scripted((0..9).map(|_| Scripted::reply(502, "<html>bad gateway</html>")));
    let response = retry.send(get()).await.unwrap();
    let refusal = Refusal::read(response).await;
    assert_eq!((refusal.status.as_u16(), refusal.attempts), (502, 5));
    assert_eq!(service.requests().len(), 5);
}

#[tokio::test(start_paused = true)]
async fn after_five_attempts_the_last_error_says_how_often_and_how_long() {
    let (service, retry) = scripted((0..9).map(|_| Scripted::fail_before_send()));
    let error = retry.send(get()).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.attempts(), error.elapsed()),
        (ErrorKind::Connect, 5, Some(Duration::from_secs(15)))
    );
    assert_eq!(
        error.to_string(),
        "GET http://api.test/jobs/7: the script has nobody answer (5 attempts in 15.0 s)"
    );
    assert_eq!(service.requests().len(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_creation_that_may_have_been_sent_is_never_sent_again() {
    let (service, retry) = scripted([Scripted::fail_after_send(), Scripted::ok("")]);
    let error = retry.send(creation()).await.unwrap_err();
    assert!(error.may_have_been_sent());
    assert_eq!((error.attempts(), service.requests().len()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_creation_that_was_certainly_not_sent_is_sent_again() {
    let (service, retry) = scripted([Scripted::fail_before_send(), Scripted::ok("")]);
    assert_eq!(retry.send(creation()).await.unwrap().status(), 200);
    assert_eq!(service.requests().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_creation_that_meets_a_full_queue_is_handed_up_at_once() {
    let (service, retry) = scripted([Scripted::reply(429, "full"), Scripted::ok("")]);
    assert_eq!(retry.send(creation()).await.unwrap().status(), 429);
    assert_eq!(service.requests().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_class_in_the_extensions_makes_a_post_repeatable() {
    let (service, retry) =
        scripted([Scripted::fail_after_send(), Scripted::reply(500, ""), Scripted::ok("")]);
    let mut request = creation();
    request.extensions_mut().insert(CallClass::Idempotent);
    assert_eq!(retry.send(request).await.unwrap().status(), 200);
    assert_eq!(service.requests().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn retry_after_in_seconds_is_waited_for() {
    let (_, retry) = scripted([Scripted::reply(429, "").header("retry-after", "7"), Scripted::ok("")]);
    let began = Instant::now();
    retry.send(get()).await.unwrap();
    assert_eq!(began.elapsed().as_secs(), 7);
}

#[tokio::test(start_paused = true)]
async fn retry_after_as_a_date_is_waited_for_by_the_servers_clock() {
    let busy = Scripted::reply(503, "")
        .header("date", "Fri, 06 Mar 2026 12:00:00 GMT")
        .header("retry-after", "Fri, 06 Mar 2026 12:00:20 GMT");
    let (_, retry) = scripted([busy, Scripted::ok("")]);
    let began = Instant::now();
    retry.send(get()).await.unwrap();
    assert_eq!(began.elapsed().as_secs(), 20);
}

#[tokio::test(start_paused = true)]
async fn retry_after_is_capped() {
    let (_, retry) = scripted([Scripted::reply(429, "").header("retry-after", "86400"), Scripted::ok("")]);
    let began = Instant::now();
    retry.send(get()).await.unwrap();
    assert_eq!(began.elapsed().as_secs(), 60);

    let (_, retry) = scripted([Scripted::reply(429, "").header("retry-after", "86400"), Scripted::ok("")]);
    let began = Instant::now();
    retry.with_retry_after_cap(Duration::from_secs(9)).send(get()).await.unwrap();
    assert_eq!(began.elapsed().as_secs(), 9);
}

#[tokio::test(start_paused = true)]
async fn a_retry_after_shorter_than_the_backoff_does_not_shorten_it() {
    let busy = || Scripted::reply(503, "").header("retry-after", "0");
    let (_, retry) = scripted([busy(), busy(), Scripted::ok("")]);
    let began = Instant::now();
    retry.send(get()).await.unwrap();
    assert_eq!(began.elapsed().as_secs(), 1 + 2);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_down_sees_the_calls_and_the_budget_and_no_more() {
    let service = ScriptedService::answering(|_, _| Scripted::reply(503, ""));
    let budget = RetryBudget::new(10, 0.2);
    let first = Retry::new(service.clone()).with_backoff(NoPause).with_budget(budget.clone());
    let second = Retry::new(service.clone()).with_backoff(NoPause).with_budget(budget);
    for _ in 0..50 {
        // A call without budget is still made, and its reply handed up.
        assert_eq!(first.send(get()).await.unwrap().status(), 503);
        assert_eq!(second.send(get()).await.unwrap().status(), 503);
    }
    let (calls, repetitions) = (100, service.requests().len() - 100);
    // The first deposit meets a full reserve.
    assert!((10 + calls / 5 - 1..=10 + calls / 5).contains(&repetitions), "{repetitions}");
}

#[tokio::test(start_paused = true)]
async fn final_outcomes_cost_no_budget() {
    let service = ScriptedService::answering(|request, _| match request.method().as_str() {
        "POST" => Scripted::fail_after_send(),
        _ => Scripted::reply(404, ""),
    });
    let budget = RetryBudget::new(1, 0.0);
    let retry = Retry::new(service).with_budget(budget.clone());
    for _ in 0..5 {
        let _ = retry.send(get()).await;
        let _ = retry.send(creation()).await;
    }
    let flaky = ScriptedService::new([Scripted::reply(503, ""), Scripted::ok("")]);
    assert_eq!(Retry::new(flaky).with_budget(budget).send(get()).await.unwrap().status(), 200);
}

#[tokio::test(start_paused = true)]
async fn nested_layers_count_every_attempt() {
    let service = ScriptedService::answering(|_, _| Scripted::reply(503, ""));
    let inner =
        Retry::new(service.clone()).with_policy(RetryByClass.with_attempt_limit(2)).with_backoff(NoPause);
    let outer = Retry::new(inner).with_policy(RetryByClass.with_attempt_limit(1));
    let response = outer.send(get()).await.unwrap();
    assert_eq!(response.extensions().get::<Attempts>().unwrap().count, 2);
    assert_eq!(service.requests().len(), 2);

    let service = ScriptedService::answering(|_, _| Scripted::fail_before_send());
    let inner = Retry::new(service).with_policy(RetryByClass.with_attempt_limit(3)).with_backoff(NoPause);
    let error =
        Retry::new(inner).with_policy(RetryByClass.with_attempt_limit(1)).send(get()).await.unwrap_err();
    assert_eq!(error.attempts(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_policy_of_ones_own_sees_every_outcome() {
    /// Waits for a resource to appear.
    struct UntilFound;
    impl RetryPolicy for UntilFound {
        fn advise(&self, attempt: &Attempt<'_>) -> Advice {
            match &attempt.outcome {
                Outcome::Reply { status, .. } if status.as_u16() == 404 => Advice::Retry,
                _ => Advice::Stop,
            }
        }
    }
    let (service, retry) =
        scripted([Scripted::reply(404, ""), Scripted::reply(404, ""), Scripted::ok("there")]);
    assert_eq!(retry.with_policy(UntilFound).send(get()).await.unwrap().status(), 200);
    assert_eq!(service.requests().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_backoff_of_ones_own_is_told_which_repetition_comes_and_how_long_it_has_taken() {
    /// Pauses for a second, and keeps what it is told.
    #[derive(Clone, Default)]
    struct Told(Arc<Mutex<Vec<(u32, u64)>>>);
    impl Backoff for Told {
        fn pause(&self, input: &PauseInput) -> Duration {
            self.0.lock().unwrap().push((input.repetition, input.elapsed.as_secs()));
            Duration::from_secs(1)
        }
    }
    let service = ScriptedService::answering(|_, _| Scripted::reply(503, "").after(Duration::from_secs(2)));
    let told = Told::default();
    Retry::new(service).with_backoff(told.clone()).send(get()).await.unwrap();
    assert_eq!(*told.0.lock().unwrap(), [(1, 2), (2, 5), (3, 8), (4, 11)]);
}

#[tokio::test(start_paused = true)]
async fn no_attempt_begins_after_the_time_limit() {
    let service = ScriptedService::answering(|_, _| Scripted::reply(503, "").after(Duration::from_secs(3)));
    let policy = RetryByClass.with_time_limit(Duration::from_secs(10));
    let response = Retry::new(service).with_policy(policy).with_backoff(NoPause).send(get()).await.unwrap();
    assert_eq!(response.extensions().get::<Attempts>().unwrap().count, 4);
}

#[tokio::test(start_paused = true)]
async fn a_pause_that_ends_behind_the_time_limit_is_not_begun() {
    let limit = Duration::from_secs(10);
    for (asked, attempts) in [(60, 1), (10, 1), (9, 2)] {
        let service = ScriptedService::answering(move |_, _| {
            Scripted::reply(503, "").header("retry-after", &asked.to_string())
        });
        // Wherever the limit stands among the decorators.
        let innermost = RetryByClass.with_time_limit(limit).with_attempt_limit(9);
        let outermost = RetryByClass.with_time_limit(limit * 9).with_time_limit(limit);
        let retry = |service| Retry::new(service).with_backoff(NoPause);
        for retry in
            [retry(service.clone()).with_policy(innermost), retry(service.clone()).with_policy(outermost)]
        {
            let began = Instant::now();
            let response = retry.send(get()).await.unwrap();
            assert_eq!(response.extensions().get::<Attempts>().unwrap().count, attempts, "{asked}");
            assert!(began.elapsed() < limit, "{asked}: {:?}", began.elapsed());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_is_not_made_for_want_of_time_costs_no_budget() {
    let budget = RetryBudget::new(1, 0.0);
    let (_, late) = scripted([Scripted::reply(503, "").header("retry-after", "60")]);
    let policy = RetryByClass.with_time_limit(Duration::from_secs(10));
    late.with_policy(policy).with_budget(budget.clone()).send(get()).await.unwrap();
    let (_, flaky) = scripted([Scripted::reply(503, ""), Scripted::ok("")]);
    assert_eq!(flaky.with_budget(budget).send(get()).await.unwrap().status(), 200);
}

#[tokio::test(start_paused = true)]
async fn what_a_layer_asks_for_is_waited_for_in_full_or_not_at_all() {
    // 20 and 40 s are a minute in all, and no more than that is waited.
    for (pauses, attempts, seconds) in
        [([20, 40, 1], 3, 60), ([61, 1, 1], 1, 0), ([30, 31, 1], 2, 30), ([0, 60, 1], 3, 61)]
    {
        let service = ScriptedService::answering(move |_, number| {
            let failed = backstory_transport::Error::new(ErrorKind::Layer, "no token").with_retryable(true);
            Scripted::fail(failed.with_asked_pause(Duration::from_secs(pauses[number])))
        });
        let began = Instant::now();
        let retry = Retry::new(service.clone()).with_backoff(full_pauses());
        let error = retry.send(get()).await.unwrap_err();
        assert_eq!((error.attempts(), began.elapsed().as_secs()), (attempts, seconds), "{pauses:?}");
        assert_eq!(service.requests().len(), attempts as usize);
    }
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_call_sends_nothing_more() {
    let (service, retry) = scripted((0..9).map(|_| Scripted::reply(503, "")));
    let call = tokio::time::timeout(Duration::from_millis(1_500), retry.send(get())).await;
    assert!(call.is_err());
    let sent = service.requests().len();
    tokio::time::sleep(Duration::from_secs(3_600)).await;
    assert_eq!((sent, service.requests().len()), (2, 2));
}

#[test]
fn the_layers_are_shared_between_tasks() {
    fn shared<T: Send + Sync + 'static>() {}
    shared::<Retry<Arc<dyn HttpService>>>();
    shared::<backstory_transport::RateLimit<Arc<dyn HttpService>>>();
    shared::<backstory_transport::Traced<Arc<dyn HttpService>>>();
    shared::<backstory_transport::Download>();
    shared::<backstory_transport::Error>();
    shared::<RetryBudget>();
}

#[tokio::test(start_paused = true)]
async fn the_port_can_be_mocked() {
    let mut mock = backstory_transport::MockHttpService::new();
    mock.expect_send()
        .times(1)
        .returning(|_| Err(backstory_transport::Error::new(ErrorKind::Connect, "mocked")));
    mock.expect_send().times(1).returning(|_| Ok(backstory_transport::Response::new("mocked".into())));
    let response = Retry::new(mock).with_backoff(NoPause).send(get()).await.unwrap();
    assert_eq!(response.into_body().collect(100).await.unwrap(), "mocked");
}

#[tokio::test(start_paused = true)]
async fn no_reply_is_held_while_the_next_attempt_is_waited_for() {
    // The reply's body holds a clone for as long as it lives.
    let alive = Arc::new(());
    let held = Arc::clone(&alive);
    let mut mock = backstory_transport::MockHttpService::new();
    mock.expect_send().returning(move |_| {
        let held = Arc::clone(&held);
        let never = futures_util::stream::once(async move {
            let _held = held;
            std::future::pending().await
        });
        let mut response = backstory_transport::Response::new(backstory_transport::Body::from_stream(never));
        *response.status_mut() = http::StatusCode::SERVICE_UNAVAILABLE;
        Ok(response)
    });
    let retry = Retry::new(mock).with_backoff(full_pauses());
    let call = retry.send(get());
    tokio::pin!(call);
    assert!(tokio::time::timeout(Duration::from_millis(500), &mut call).await.is_err());
    // One is the test's, one the mock's.
    assert_eq!(Arc::strong_count(&alive), 2);
}

#[tokio::test(start_paused = true)]
async fn an_error_that_does_not_say_what_was_tried_is_told() {
    let mut mock = backstory_transport::MockHttpService::new();
    mock.expect_send()
        .returning(|_| Err(backstory_transport::Error::new(ErrorKind::Layer, "no token could be had")));
    let error = Retry::new(mock).send(get()).await.unwrap_err();
    assert_eq!(error.to_string(), "GET http://api.test/jobs/7: no token could be had");
}
