//! The token cache under both readings of contract (a.3), with clocks that jump, stand or lag.

use std::time::Duration;

use backstory_auth::{ErrorKind, IssuedToken, TokenCache, TokenSource};
use futures_util::future::join_all;
use tokio::time::{Instant, advance, sleep};

use crate::cache::value;
use crate::doubles::{LIFE, SetClock, Vault};

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
