//! The token cache when its issuer fails, hangs, panics or is lost with its runtime.

use std::time::Duration;

use backstory_auth::{Error, ErrorKind, TokenCache, TokenSource};
use futures_util::FutureExt as _;
use futures_util::future::{join_all, pending};
use tokio::time::{advance, sleep};

use crate::cache::{down, value};
use crate::doubles::{LIFE, Vault, issued};

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
fn who_waits_for_a_fetch_on_another_runtime_that_ends_fetches_for_itself() {
    let vault =
        Vault::new(|request| async move { if request == 1 { pending().await } else { Ok(issued("new")) } });
    let cache = TokenCache::new(vault.clone());
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let (first, second) = (runtime(), runtime());
    first.block_on(async {
        assert!(cache.token().now_or_never().is_none());
        while vault.asked() == 0 {
            tokio::task::yield_now().await;
        }
    });
    let token = second.block_on(async {
        let mut waiting = std::pin::pin!(value(&cache));
        assert!(waiting.as_mut().now_or_never().is_none());
        first.shutdown_background();
        waiting.await
    });
    assert_eq!(token.unwrap(), "new");
}

#[test]
fn outside_of_a_runtime_it_is_an_error_and_no_panic() {
    let cache = TokenCache::new(Vault::of_new_tokens());
    let error = cache.token().now_or_never().unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoRuntime);
}

#[tokio::test(start_paused = true)]
async fn a_token_that_cannot_stand_in_a_header_is_a_failure() {
    let cache = TokenCache::new(Vault::new(|_| async { Ok(issued("a\nb")) }));
    assert_eq!(cache.token().await.unwrap_err().kind(), ErrorKind::BadReply);
}
