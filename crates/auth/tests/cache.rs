//! The token cache in virtual time: what its callers and its issuer see.

mod doubles;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use backstory_auth::{Error, ErrorKind, IssuedToken, RefreshPolicy, Token, TokenCache, TokenSource};
use doubles::{LIFE, SetClock, Vault, issued};
use futures_util::FutureExt as _;
use futures_util::future::{join_all, pending};
use tokio::time::{Instant, advance, sleep};

fn down() -> Error {
    Error::new(ErrorKind::Unreachable, "nobody answers")
}

async fn value(cache: &TokenCache) -> Result<String, Error> {
    cache.token().await.map(|token| token.value().expose().to_owned())
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_callers_at_expiry_cause_one_fetch() {
    let vault = Vault::of_new_tokens();
    let cache = TokenCache::new(vault.clone());
    assert_eq!(value(&cache).await.unwrap(), "token-1");
    advance(LIFE).await;
    let callers = (0..10_000).map(|_| {
        let cache = cache.clone();
        tokio::spawn(async move { cache.token().await.unwrap().generation() })
    });
    let generations = join_all(callers).await;
    assert!(generations.into_iter().all(|generation| generation.unwrap() == 2));
    assert_eq!(vault.asked(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn callers_on_many_threads_cause_one_fetch() {
    let vault = Vault::new(|request| async move {
        tokio::task::yield_now().await;
        Ok(issued(format!("token-{request}")))
    });
    let cache = TokenCache::new(vault.clone());
    let callers = (0..1_000).map(|_| {
        let cache = cache.clone();
        tokio::spawn(async move { cache.token().await.unwrap().generation() })
    });
    assert!(join_all(callers).await.into_iter().all(|generation| generation.unwrap() == 1));
    assert_eq!(vault.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_ageing_token_is_served_without_waiting_while_one_fetch_runs_behind_it() {
    let vault = Vault::of_new_tokens();
    let cache = TokenCache::new(vault.clone());
    value(&cache).await.unwrap();
    advance(LIFE - Duration::from_secs(60)).await;
    let before = Instant::now();
    for _ in 0..1_000 {
        assert_eq!(value(&cache).await.unwrap(), "token-1");
    }
    assert_eq!(Instant::now(), before, "nobody has waited");
    sleep(Duration::from_secs(2)).await;
    assert_eq!(value(&cache).await.unwrap(), "token-2");
    assert_eq!(vault.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn life_is_counted_from_the_receipt_of_the_token() {
    let cache = TokenCache::new(Vault::of_new_tokens());
    let start = Instant::now();
    let token = cache.token().await.unwrap();
    assert_eq!((start.elapsed(), token.remaining()), (Duration::from_secs(1), Some(LIFE)));
    advance(Duration::from_secs(200)).await;
    assert_eq!(cache.token().await.unwrap().remaining(), Some(LIFE - Duration::from_secs(200)));
}

#[tokio::test(start_paused = true)]
async fn refreshes_ahead_are_spread_by_chance_within_a_tenth_of_the_margin() {
    let mut ahead = Vec::new();
    for _ in 0..40 {
        let (vault, clock) = (Vault::of_new_tokens(), SetClock::default());
        let cache = TokenCache::builder(vault.clone()).clock(clock.clone()).build();
        value(&cache).await.unwrap();
        for left in (0..80_000).rev().step_by(100) {
            clock.set_monotonic(7_200_000 - left);
            value(&cache).await.unwrap();
            tokio::task::yield_now().await;
            if vault.asked() == 2 {
                ahead.push(left);
                break;
            }
        }
    }
    assert_eq!(ahead.len(), 40);
    assert!(ahead.iter().all(|left| (59_900..=66_000).contains(left)), "{ahead:?}");
    assert!(ahead.iter().any(|left| *left != ahead[0]), "all came at the same moment: {ahead:?}");
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_caller_neither_ends_nor_repeats_the_fetch() {
    let vault = Vault::of_new_tokens();
    let cache = TokenCache::new(vault.clone());
    let first = tokio::spawn({
        let cache = cache.clone();
        async move { value(&cache).await }
    });
    sleep(Duration::from_millis(500)).await;
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    let before = Instant::now();
    assert_eq!(value(&cache).await.unwrap(), "token-1");
    assert_eq!(before.elapsed(), Duration::from_millis(500), "the fetch had gone on");
    assert_eq!(vault.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_fetch_that_everybody_has_left_still_serves_the_next_caller() {
    let vault = Vault::of_new_tokens();
    let cache = TokenCache::new(vault.clone());
    assert!(cache.token().now_or_never().is_none());
    sleep(Duration::from_secs(10)).await;
    assert!(cache.token().now_or_never().is_some());
    assert_eq!(vault.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn nothing_outlives_the_last_clone_of_the_cache() {
    struct Watched(Arc<AtomicBool>);
    impl Drop for Watched {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }
    let ended = Arc::new(AtomicBool::new(false));
    let vault = Vault::new({
        let ended = Arc::clone(&ended);
        move |_| {
            let watched = Watched(Arc::clone(&ended));
            async move {
                let _watched = watched;
                pending().await
            }
        }
    });
    let cache = TokenCache::new(vault.clone());
    let clone = cache.clone();
    assert!(cache.token().now_or_never().is_none());
    tokio::task::yield_now().await;
    drop(cache);
    tokio::task::yield_now().await;
    assert!(vault.asked() == 1 && !ended.load(Ordering::SeqCst), "a clone still wants the token");
    drop(clone);
    tokio::task::yield_now().await;
    assert!(ended.load(Ordering::SeqCst));
    assert_eq!(tokio::runtime::Handle::current().metrics().num_alive_tasks(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_shared_by_its_waiters_and_remembered_for_its_pause() {
    let vault = Vault::new(|request| async move {
        sleep(Duration::from_secs(1)).await;
        if request == 1 { Err(down()) } else { Ok(issued("new")) }
    });
    let cache = TokenCache::new(vault.clone());
    let outcomes = join_all((0..1_000).map(|_| cache.token())).await;
    assert!(outcomes.iter().all(|outcome| outcome.as_ref().unwrap_err().is_unreachable()));
    assert_eq!(vault.asked(), 1);

    let remembered = cache.token().now_or_never().unwrap().unwrap_err();
    let pause = remembered.retry_in().unwrap();
    assert!((Duration::from_millis(500)..=Duration::from_secs(1)).contains(&pause), "{pause:?}");
    assert!(
        remembered.is_transient()
            && remembered.to_string().starts_with("nobody answers (this happened before")
    );
    advance(pause).await;
    assert_eq!(value(&cache).await.unwrap(), "new");
}

#[tokio::test(start_paused = true)]
async fn refused_credentials_are_remembered_too_and_are_not_final() {
    let vault = Vault::new(|request| async move {
        if request < 4 { Err(Error::new(ErrorKind::Rejected, "HTTP 401")) } else { Ok(issued("new")) }
    });
    let cache = TokenCache::new(vault.clone());
    for failures in 1..4 {
        assert!(cache.token().await.unwrap_err().is_rejected());
        assert_eq!(vault.asked(), failures);
        let pause = cache.token().await.unwrap_err().retry_in().unwrap();
        assert_eq!(vault.asked(), failures);
        advance(pause).await;
    }
    assert_eq!(value(&cache).await.unwrap(), "new", "somebody has unpaused the key");
}

#[tokio::test(start_paused = true)]
async fn a_failed_refresh_displaces_no_living_token_and_the_next_one_heals() {
    let vault = Vault::new(|request| async move {
        match request {
            1 => Ok(issued("old")),
            2 | 3 => Err(down()),
            _ => Ok(issued("new")),
        }
    });
    let cache = TokenCache::new(vault.clone());
    value(&cache).await.unwrap();
    advance(LIFE - Duration::from_secs(60)).await;
    let mut last = String::new();
    for _ in 0..59 {
        last = value(&cache).await.unwrap();
        sleep(Duration::from_secs(1)).await;
    }
    assert_eq!((last.as_str(), vault.asked()), ("new", 4));
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_is_down_is_asked_no_more_often_than_the_backoff_says() {
    let vault =
        Vault::new(|request| async move { if request <= 66 { Err(down()) } else { Ok(issued("new")) } });
    let cache = TokenCache::new(vault.clone());
    // An hour of 10 calls a second, which a server that never comes back would see as 36,000 requests.
    let mut first_success = None;
    for call in 0..36_000 {
        if value(&cache).await.is_ok() {
            first_success.get_or_insert(call);
        }
        sleep(Duration::from_millis(100)).await;
    }
    // 1 + 2 + 4 + 8 + 16 + 32 s, then a minute each; half of each pause is chance.
    let seconds = first_success.expect("a failure is never final") / 10;
    assert!((63 / 2 + 30 * 60..=63 + 60 * 60).contains(&seconds), "{seconds} s");
    assert_eq!(vault.asked(), 67);
}

#[tokio::test(start_paused = true)]
async fn an_issuer_that_asks_for_a_pause_gets_it() {
    let vault = Vault::new(|_| async { Err(down().with_asked_pause(Duration::from_secs(90))) });
    let cache = TokenCache::new(vault.clone());
    cache.token().await.unwrap_err();
    assert_eq!(cache.token().await.unwrap_err().retry_in(), Some(Duration::from_secs(90)));
    advance(Duration::from_secs(89)).await;
    cache.token().await.unwrap_err();
    assert_eq!(vault.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_issuer_that_never_answers_fails_its_waiters_in_the_end() {
    let vault =
        Vault::new(|request| async move { if request == 1 { pending().await } else { Ok(issued("new")) } });
    let cache = TokenCache::builder(vault).fetch_timeout(Duration::from_secs(7)).build();
    let error = cache.token().await.unwrap_err();
    assert_eq!(error.to_string(), "no token came within 7 s");
    assert!(error.is_transient());
    sleep(Duration::from_secs(1)).await;
    assert_eq!(value(&cache).await.unwrap(), "new");
}

#[tokio::test(start_paused = true)]
async fn an_issuer_that_panics_is_a_failure_like_any_other() {
    let vault = Vault::new(|request| async move {
        assert_ne!(request, 1, "this panic belongs to the test");
        Ok(issued("new"))
    });
    let cache = TokenCache::new(vault.clone());
    let outcomes = join_all((0..3).map(|_| cache.token())).await;
    assert!(outcomes.iter().all(|outcome| outcome.as_ref().unwrap_err().kind() == ErrorKind::Issuer));
    sleep(Duration::from_secs(1)).await;
    assert_eq!((value(&cache).await.unwrap().as_str(), vault.asked()), ("new", 2));
}

#[test]
fn a_fetch_that_is_lost_with_its_runtime_is_made_up_for_on_another() {
    let vault =
        Vault::new(|request| async move { if request == 1 { pending().await } else { Ok(issued("new")) } });
    let cache = TokenCache::new(vault.clone());
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let first = runtime();
    let waiting = first.spawn({
        let cache = cache.clone();
        async move { value(&cache).await }
    });
    first.block_on(async {
        while vault.asked() == 0 {
            tokio::task::yield_now().await;
        }
    });
    assert!(!waiting.is_finished());
    drop(first);
    assert_eq!(runtime().block_on(value(&cache)).unwrap(), "new");
    assert_eq!(vault.asked(), 2);
}

#[test]
fn outside_of_a_runtime_it_is_an_error_and_no_panic() {
    let cache = TokenCache::new(Vault::of_new_tokens());
    let error = cache.token().now_or_never().unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoRuntime);
}

/// An issuer under the other reading of contract (a.3): it serves one token with its remaining life until that has ended.
fn reissuing(life: Duration, lag: Duration) -> (Vault, impl Fn() -> usize) {
    let start = Instant::now();
    let vault = Vault::new(move |_| async move {
        let age = start.elapsed().saturating_sub(lag);
        let number = age.as_secs() / life.as_secs();
        let remaining = life - Duration::from_secs(age.as_secs() % life.as_secs());
        Ok(IssuedToken::new(format!("token-{number}")).with_expires_in(remaining))
    });
    let asked = {
        let vault = vault.clone();
        move || vault.asked()
    };
    (vault, asked)
}

#[tokio::test(start_paused = true)]
async fn the_same_nearly_dead_token_served_again_and_again_is_not_spun_on() {
    let (vault, asked) = reissuing(LIFE, Duration::from_secs(2));
    let cache = TokenCache::new(vault);
    let mut tokens = std::collections::BTreeMap::new();
    // Five lives, with a call a second.
    for _ in 0..5 * LIFE.as_secs() {
        *tokens.entry(value(&cache).await.unwrap()).or_insert(0) += 1;
        sleep(Duration::from_secs(1)).await;
    }
    assert!(tokens.len() >= 5, "{tokens:?}");
    // For each life: once ahead, which brings the same; once at its end; once more as the server lags behind.
    assert!(asked() <= 1 + 3 * tokens.len(), "{} requests for {} tokens", asked(), tokens.len());
}

#[tokio::test(start_paused = true)]
async fn a_server_whose_clock_stands_is_given_up_for_now_and_not_spun_on() {
    let vault = Vault::new(|request| async move {
        let life = if request == 1 { LIFE } else { Duration::ZERO };
        Ok(IssuedToken::new("the-same").with_expires_in(life))
    });
    let cache = TokenCache::new(vault.clone());
    value(&cache).await.unwrap();
    advance(LIFE).await;
    let start = Instant::now();
    let error = cache.token().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Stale);
    assert!(error.is_transient() && error.hint().is_some());
    assert_eq!(vault.asked(), 7);
    assert!(start.elapsed() >= Duration::from_secs(15), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_token_that_was_waited_out_comes_to_all_its_waiters() {
    let (vault, asked) = reissuing(LIFE, Duration::from_secs(5));
    let cache = TokenCache::new(vault);
    value(&cache).await.unwrap();
    advance(LIFE).await;
    let waiters = join_all((0..100).map(|_| value(&cache))).await;
    assert!(waiters.into_iter().all(|token| token.unwrap() == "token-1"));
    assert_eq!(asked(), 3);
}

#[tokio::test(start_paused = true)]
async fn clocks_that_jump_harm_nothing() {
    let (vault, clock) = (Vault::of_new_tokens(), SetClock::default());
    let cache = TokenCache::builder(vault.clone()).clock(clock.clone()).build();
    clock.set_monotonic(1_000_000_000);
    assert_eq!(value(&cache).await.unwrap(), "token-1");
    clock.set_wall(4_000_000_000);
    assert_eq!(value(&cache).await.unwrap(), "token-1", "the wall clock has no say");
    clock.set_wall(0);
    clock.set_monotonic(0);
    assert_eq!(value(&cache).await.unwrap(), "token-1");
    clock.set_monotonic(1 << 60);
    assert_eq!(value(&cache).await.unwrap(), "token-2", "one fetch and no more");
    assert_eq!(value(&cache).await.unwrap(), "token-2");
    assert_eq!(vault.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn without_expires_in_the_jwts_own_exp_counts() {
    // {"typ":"JWT","alg":"HS256"} . {"iat":1000000000,"exp":1000000500}
    let jwt = "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9.eyJpYXQiOjEwMDAwMDAwMDAsImV4cCI6MTAwMDAwMDUwMH0.c2ln";
    let vault = Vault::new(move |_| async move { Ok(IssuedToken::new(jwt)) });
    let clock = SetClock::default();
    clock.set_wall(1_000_000_200);
    let cache = TokenCache::builder(vault).clock(clock).build();
    let token = cache.token().await.unwrap();
    assert_eq!(token.remaining(), Some(Duration::from_secs(300)));
    assert_eq!(token.expires_at().unwrap().as_second(), 1_000_000_500);
}

#[tokio::test(start_paused = true)]
async fn a_token_that_cannot_stand_in_a_header_is_a_failure() {
    let cache = TokenCache::new(Vault::new(|_| async { Ok(issued("a\nb")) }));
    assert_eq!(cache.token().await.unwrap_err().kind(), ErrorKind::BadReply);
}

#[tokio::test(start_paused = true)]
async fn caches_are_separate() {
    let (one, other) = (Vault::of_new_tokens(), Vault::new(|_| async { Err(down()) }));
    let (activity, object) = (TokenCache::new(one.clone()), TokenCache::new(other.clone()));
    let generation = activity.token().await.unwrap().generation();
    object.token().await.unwrap_err();
    object.invalidate(generation);
    assert_eq!(value(&activity).await.unwrap(), "token-1");
    assert_eq!((one.asked(), other.asked()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn the_policy_can_be_set() {
    let policy = RefreshPolicy::default()
        .with_longest_margin(Duration::from_secs(600))
        .with_pauses(Duration::from_secs(100), Duration::from_secs(100));
    let vault =
        Vault::new(|request| async move { if request == 1 { Ok(issued("old")) } else { Err(down()) } });
    let cache = TokenCache::builder(vault.clone()).refresh_policy(policy).build();
    value(&cache).await.unwrap();
    advance(LIFE - Duration::from_secs(600)).await;
    for _ in 0..49 {
        value(&cache).await.unwrap();
        sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(vault.asked(), 2);
}

#[test]
fn what_is_shared_can_be_shared() {
    fn shared<T: Clone + Send + Sync + 'static>() {}
    shared::<TokenCache>();
    shared::<Token>();
    shared::<Error>();
    shared::<backstory_auth::Secret>();
}
