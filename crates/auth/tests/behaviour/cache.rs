//! The token cache in virtual time: what its callers and its issuer see.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::doubles::{LIFE, SetClock, Vault, issued};
use backstory_auth::{Error, ErrorKind, RefreshPolicy, Token, TokenCache, TokenSource};
use futures_util::FutureExt as _;
use futures_util::future::{join_all, pending};
use tokio::time::{Instant, advance, sleep};

pub(crate) fn down() -> Error {
    Error::new(ErrorKind::Unreachable, "nobody answers")
}

pub(crate) async fn value(cache: &TokenCache) -> Result<String, Error> {
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

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn callers_that_come_and_go_on_many_threads_never_cause_two_fetches_at_once() {
    // The issuer asserts by itself that it is asked once at a time.
    let vault = Vault::new(|request| async move {
        for _ in 0..request % 7 {
            tokio::task::yield_now().await;
        }
        if request % 5 == 0 { Err(down()) } else { Ok(issued(format!("token-{request}"))) }
    });
    let policy = RefreshPolicy::default().with_pauses(Duration::from_millis(1), Duration::from_millis(1));
    let cache = TokenCache::builder(vault.clone()).refresh_policy(policy).build();
    let callers: Vec<_> = (0..2_000_u32)
        .map(|number| {
            let cache = cache.clone();
            let caller = tokio::spawn(async move {
                if let Ok(token) = cache.token().await {
                    assert_ne!(token.value().expose(), "");
                    cache.accepted(token.generation());
                    if number % 3 == 0 {
                        cache.invalidate(token.generation());
                    }
                }
            });
            if number % 4 == 0 {
                caller.abort();
            }
            caller
        })
        .collect();
    for caller in callers {
        assert!(caller.await.map_or_else(|lost| lost.is_cancelled(), |()| true), "a caller panicked");
    }
    assert!(vault.asked() > 1);
}
