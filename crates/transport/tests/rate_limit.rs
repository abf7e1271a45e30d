//! The rate limit layer in virtual time: never more in any second, never more at once, and nothing held by who is gone.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use backstory_transport::{
    Body, Error, ErrorKind, HttpService, RateLimit, RateLimiter, RateLimits, Request, Response, Retry,
    Scripted, ScriptedService,
};
use futures_util::future::join_all;
use http_body::Body as _;
use proptest::prelude::*;
use tokio::time::{Instant, sleep, timeout};

fn get() -> Request {
    http::Request::get("http://api.test/").body("".into()).unwrap()
}

/// Notes when requests begin, and how many are under way.
#[derive(Clone, Default)]
struct Observed {
    begun: Arc<Mutex<Vec<Instant>>>,
    under_way: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
    takes: Duration,
}

#[async_trait]
impl HttpService for Observed {
    async fn send(&self, _: Request) -> Result<Response, Error> {
        self.begun.lock().unwrap().push(Instant::now());
        let under_way = self.under_way.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(under_way, Ordering::SeqCst);
        sleep(self.takes).await;
        self.under_way.fetch_sub(1, Ordering::SeqCst);
        Ok(Response::default())
    }
}

impl Observed {
    /// The most requests that began within any second.
    fn busiest_second(&self) -> usize {
        let begun = self.begun.lock().unwrap();
        let within = |from: &Instant| {
            begun.iter().filter(|at| *at >= from && at.duration_since(*from) < Duration::from_secs(1)).count()
        };
        begun.iter().map(within).max().unwrap_or(0)
    }
}

#[tokio::test(start_paused = true)]
async fn the_published_limits_hold_unless_said_otherwise() {
    let observed = Observed { takes: Duration::from_secs(30), ..Observed::default() };
    let limited = RateLimit::new(observed.clone(), RateLimiter::default());
    let began = Instant::now();
    join_all((0..30).map(|_| limited.send(get()))).await;
    assert_eq!(observed.busiest_second(), 5);
    assert_eq!(observed.most.load(Ordering::SeqCst), 10);
    assert_eq!(began.elapsed().as_secs(), 91);
}

#[tokio::test(start_paused = true)]
async fn requests_go_out_at_once_while_there_is_room() {
    let observed = Observed::default();
    let limited = RateLimit::new(observed.clone(), RateLimiter::default());
    let began = Instant::now();
    join_all((0..5).map(|_| limited.send(get()))).await;
    assert_eq!(began.elapsed(), Duration::ZERO);
    limited.send(get()).await.unwrap();
    assert_eq!(began.elapsed().as_secs(), 1);
}

#[tokio::test(start_paused = true)]
async fn stacks_that_share_a_limiter_share_its_limits() {
    let observed = Observed::default();
    let limiter = RateLimiter::new(RateLimits::default().requests_per_second(2));
    let first = RateLimit::new(observed.clone(), limiter.clone());
    let second = RateLimit::new(observed.clone(), limiter);
    join_all((0..4).flat_map(|_| [first.send(get()), second.send(get())])).await;
    assert_eq!(observed.busiest_second(), 2);
}

#[tokio::test(start_paused = true)]
async fn every_attempt_of_a_retried_call_counts() {
    let service = ScriptedService::answering(|_, _| Scripted::reply(503, ""));
    let limiter = RateLimiter::new(RateLimits::default().requests_per_second(1));
    let retry =
        Retry::new(RateLimit::new(service.clone(), limiter)).with_backoff(backstory_transport::NoPause);
    let began = Instant::now();
    retry.send(get()).await.unwrap();
    assert_eq!((service.requests().len(), began.elapsed().as_secs()), (5, 4));
}

#[tokio::test(start_paused = true)]
async fn a_long_reply_is_under_way_until_its_body_ends_or_is_dropped() {
    let service = ScriptedService::answering(|_, _| Scripted::ok("long").without_length());
    let limited = RateLimit::new(service, RateLimiter::new(RateLimits::default().concurrent(1)));
    let refused = || async { timeout(Duration::from_secs(60), limited.send(get())).await.is_err() };

    let mut body = limited.send(get()).await.unwrap().into_body();
    assert!(refused().await);
    while body.chunk().await.is_some() {}
    let second = limited.send(get()).await.unwrap();
    assert!(refused().await);
    drop(second);
    drop(limited.send(get()).await.unwrap());
    drop(body);
}

#[tokio::test(start_paused = true)]
async fn a_long_reply_is_under_way_between_its_chunks_and_says_what_it_says_without_the_layer() {
    /// Larger than what is over at its head; its length is known.
    const LENGTH: usize = 100_000;
    struct Large;
    #[async_trait]
    impl HttpService for Large {
        async fn send(&self, _: Request) -> Result<Response, Error> {
            Ok(Response::new(Body::from(vec![b'x'; LENGTH])))
        }
    }
    let limited = RateLimit::new(Large, RateLimiter::new(RateLimits::default().concurrent(1)));
    let body = limited.send(get()).await.unwrap().into_body();
    assert_eq!(body.size_hint().exact(), Some(LENGTH as u64));
    assert!(!body.is_end_stream());
    assert_eq!(body.collect(LENGTH).await.unwrap().len(), LENGTH);

    let service = ScriptedService::answering(|_, _| Scripted::ok("long").without_length().in_chunks(1));
    let limited = RateLimit::new(service, RateLimiter::new(RateLimits::default().concurrent(1)));
    let mut body = limited.send(get()).await.unwrap().into_body();
    for _ in 0..4 {
        assert!(timeout(Duration::from_secs(60), limited.send(get())).await.is_err());
        body.chunk().await.unwrap().unwrap();
    }
    assert!(body.chunk().await.is_none());
    assert!(timeout(Duration::from_secs(60), limited.send(get())).await.is_ok());

    // One that says that it has ended is over with its last chunk, not only when it is asked once more.
    let limited = RateLimit::new(Large, RateLimiter::new(RateLimits::default().concurrent(1)));
    let mut body = limited.send(get()).await.unwrap().into_body();
    while !body.is_end_stream() {
        body.chunk().await.unwrap().unwrap();
    }
    assert!(timeout(Duration::from_secs(60), limited.send(get())).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_body_that_breaks_is_no_longer_under_way() {
    let service = ScriptedService::answering(|_, _| Scripted::ok("long").without_length().cut_at(2));
    let limited = RateLimit::new(service, RateLimiter::new(RateLimits::default().concurrent(1)));
    let mut body = limited.send(get()).await.unwrap().into_body();
    while !matches!(body.chunk().await, Some(Err(_))) {}
    assert!(timeout(Duration::from_secs(60), limited.send(get())).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn small_replies_and_refusals_are_over_at_their_head() {
    let service = ScriptedService::answering(|_, number| match number {
        // Whoever holds a 401 may have to send for a token before letting go of it.
        0 => Scripted::reply(401, "no").without_length(),
        _ => Scripted::ok("small"),
    });
    // The scripted body hides its length, as a compressed one would; a whole one does not.
    struct Whole<S>(S);
    #[async_trait]
    impl<S: HttpService> HttpService for Whole<S> {
        async fn send(&self, request: Request) -> Result<Response, Error> {
            let response = self.0.send(request).await?;
            let (head, body) = response.into_parts();
            if head.status.is_success() {
                return Ok(Response::from_parts(head, Body::from(body.collect(100).await?)));
            }
            Ok(Response::from_parts(head, body))
        }
    }
    let limited = RateLimit::new(Whole(service), RateLimiter::new(RateLimits::default().concurrent(1)));
    let held = [limited.send(get()).await.unwrap(), limited.send(get()).await.unwrap()];
    let third = timeout(Duration::from_secs(60), limited.send(get())).await;
    assert_eq!(third.unwrap().unwrap().status(), 200);
    drop(held);
}

#[tokio::test(start_paused = true)]
async fn a_failed_request_is_no_longer_under_way() {
    let service = ScriptedService::answering(|_, _| Scripted::fail_after_send());
    let limited = RateLimit::new(service, RateLimiter::new(RateLimits::default().concurrent(1)));
    for _ in 0..3 {
        assert_eq!(limited.send(get()).await.unwrap_err().kind(), ErrorKind::Interrupted);
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_dropped_under_way_is_no_longer_under_way() {
    let service = ScriptedService::answering(|_, number| match number {
        0..3 => Scripted::never(),
        _ => Scripted::ok("served"),
    });
    let limited = RateLimit::new(service, RateLimiter::new(RateLimits::default().concurrent(1)));
    for _ in 0..3 {
        assert!(timeout(Duration::from_secs(60), limited.send(get())).await.is_err());
    }
    assert_eq!(limited.send(get()).await.unwrap().status(), 200);
}

#[tokio::test(start_paused = true)]
async fn callers_that_go_away_while_they_wait_leave_the_queue_as_it_was() {
    let observed = Observed::default();
    let limited = RateLimit::new(observed.clone(), RateLimiter::default());
    join_all((0..5).map(|_| limited.send(get()))).await;
    for _ in 0..100 {
        assert!(timeout(Duration::from_millis(1), limited.send(get())).await.is_err());
    }
    let began = Instant::now();
    limited.send(get()).await.unwrap();
    assert!(began.elapsed() <= Duration::from_secs(1), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn zero_limits_still_let_one_request_pass_and_unlimited_lets_all() {
    let observed = Observed::default();
    let limits = RateLimits::default().requests_per_second(0).concurrent(0);
    let limited = RateLimit::new(observed.clone(), RateLimiter::new(limits));
    join_all((0..3).map(|_| limited.send(get()))).await;
    assert_eq!((observed.busiest_second(), observed.most.load(Ordering::SeqCst)), (1, 1));

    let observed = Observed::default();
    let unlimited = RateLimit::new(observed.clone(), RateLimiter::unlimited());
    join_all((0..100).map(|_| unlimited.send(get()))).await;
    assert_eq!(observed.busiest_second(), 100);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_pattern_of_calls_exceeds_a_limit_and_all_are_served(
        per_second in 1_u32..8, concurrent in 1_u32..6, takes in 0_u64..1_500,
        starts in prop::collection::vec(0_u64..3_000, 1..40),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let observed = Observed { takes: Duration::from_millis(takes), ..Observed::default() };
            let limits = RateLimits::default().requests_per_second(per_second).concurrent(concurrent);
            let limited = RateLimit::new(observed.clone(), RateLimiter::new(limits));
            let (count, limited) = (starts.len(), &limited);
            join_all(starts.into_iter().map(|at| async move {
                sleep(Duration::from_millis(at)).await;
                limited.send(get()).await.unwrap();
            })).await;
            prop_assert!(observed.busiest_second() <= per_second as usize);
            prop_assert!(observed.most.load(Ordering::SeqCst) <= concurrent as usize);
            prop_assert_eq!(observed.begun.lock().unwrap().len(), count);
            Ok(())
        })?;
    }
}
