//! The layer that puts a token on each attempt and heals a 401: what the server and the callers see.

use std::error::Error as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::doubles::{Server, Vault, bearer, issued, reply};
use backstory_auth::{Authorised, Error, ErrorKind, FixedToken, TokenCache, TokenSource};
use backstory_transport::{
    CallClass, Download, Error as TransportError, ErrorKind as TransportErrorKind, HttpService, Request,
    Response,
};
use bytes::Bytes;
use futures_util::future::join_all;
use tokio::time::{advance, sleep};

fn get(path: &str) -> Request {
    http::Request::get(path).body(Bytes::new()).unwrap()
}

async fn text(response: Response) -> String {
    let body = response.into_body().collect(1 << 20).await.unwrap();
    String::from_utf8(body.to_vec()).unwrap()
}

/// A server that takes one token, which the test can change.
fn server_of(taken: &Arc<Mutex<String>>) -> Server {
    let taken = Arc::clone(taken);
    Server::new(move |_, request| {
        let good = bearer(request) == *taken.lock().unwrap();
        reply(if good { 200 } else { 401 }, if good { "rows" } else { "expired" })
    })
}

/// An issuer whose tokens the server takes as soon as they are issued.
fn vault_for(taken: &Arc<Mutex<String>>) -> Vault {
    let taken = Arc::clone(taken);
    Vault::new(move |request| {
        let taken = Arc::clone(&taken);
        async move {
            sleep(Duration::from_millis(100)).await;
            let token = format!("token-{request}");
            taken.lock().unwrap().clone_from(&token);
            Ok(issued(token))
        }
    })
}

#[tokio::test(start_paused = true)]
async fn each_request_carries_a_token_that_no_debug_print_shows() {
    let server = Server::new(|_, _| reply(200, ""));
    let calls = Authorised::new(server.clone(), FixedToken::new("t0ken").unwrap());
    let mut request = get("/rows?fragment=1");
    request.headers_mut().insert("authorization", "Basic of-another-kind".parse().unwrap());
    calls.send(request).await.unwrap();
    let sent = &server.requests()[0];
    assert_eq!((bearer(sent), sent.uri().to_string().as_str()), ("t0ken", "/rows?fragment=1"));
    assert!(sent.headers()["authorization"].is_sensitive());
    assert_eq!(sent.headers().get_all("authorization").iter().count(), 1);
    assert!(!format!("{sent:?}").contains("t0ken"));
}

#[tokio::test(start_paused = true)]
async fn a_401_before_expiry_refreshes_exactly_once_however_many_calls_saw_it() {
    let taken = Arc::new(Mutex::new(String::new()));
    let (server, vault) = (server_of(&taken), vault_for(&taken));
    let calls = Arc::new(Authorised::new(server.clone(), TokenCache::new(vault.clone())));
    assert_eq!(calls.send(get("/rows")).await.unwrap().status(), 200);

    for death in 1..=3 {
        *taken.lock().unwrap() = "none".to_owned();
        let outcomes = join_all((0..1_000).map(|_| {
            let calls = Arc::clone(&calls);
            tokio::spawn(async move { calls.send(get("/rows")).await.unwrap().status() })
        }));
        assert!(outcomes.await.into_iter().all(|status| status.unwrap() == 200));
        assert_eq!(vault.asked(), 1 + death);
        assert_eq!(server.asked(), 1 + death * 2_000);
    }
}

#[tokio::test(start_paused = true)]
async fn a_source_that_is_shared_heals_as_often_as_the_cache_itself() {
    let taken = Arc::new(Mutex::new(String::new()));
    let (server, vault) = (server_of(&taken), vault_for(&taken));
    let shared: Arc<dyn TokenSource> = Arc::new(TokenCache::new(vault.clone()));
    let calls = Authorised::new(server, shared);
    calls.send(get("/rows")).await.unwrap();
    // Each token has opened something, so that each may be replaced at once.
    for death in 1..=4 {
        *taken.lock().unwrap() = "none".to_owned();
        assert_eq!(calls.send(get("/rows")).await.unwrap().status(), 200);
        assert_eq!(vault.asked(), 1 + death);
    }
}

#[tokio::test(start_paused = true)]
async fn stragglers_that_saw_the_old_token_refused_do_not_refresh_again() {
    let taken = Arc::new(Mutex::new(String::new()));
    let (server, vault) = (server_of(&taken), vault_for(&taken));
    let cache = TokenCache::new(vault.clone());
    let calls = Arc::new(Authorised::new(server, cache.clone()));
    calls.send(get("/rows")).await.unwrap();
    let old = cache.token().await.unwrap().generation();
    *taken.lock().unwrap() = "none".to_owned();
    for _ in 0..20 {
        // Each of them took its token before the first 401, and gets its own 401 later.
        let calls = Arc::clone(&calls);
        tokio::spawn(async move { calls.send(get("/rows")).await.unwrap() });
        sleep(Duration::from_millis(7)).await;
    }
    sleep(Duration::from_secs(1)).await;
    cache.invalidate(old);
    assert_eq!(calls.send(get("/rows")).await.unwrap().status(), 200);
    assert_eq!(vault.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_second_401_is_handed_up_as_the_response() {
    let server = Server::new(|request, _| reply(401, format!("no {request}")));
    let vault = Vault::of_new_tokens();
    let calls = Authorised::new(server.clone(), TokenCache::new(vault.clone()));
    let response = calls.send(get("/rows")).await.unwrap();
    assert_eq!(response.status(), 401);
    assert_eq!(text(response).await, "no 2");
    let sent: Vec<_> = server.requests().iter().map(|request| bearer(request).to_owned()).collect();
    assert_eq!(sent, ["token-1", "token-2"]);
    assert_eq!(vault.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_is_locked_out_does_not_mint_a_token_for_each_call() {
    let server = Server::new(|_, _| reply(401, ""));
    let vault = Vault::new(|request| async move { Ok(issued(format!("token-{request}"))) });
    let calls = Authorised::new(server.clone(), TokenCache::new(vault.clone()));
    for _ in 0..1_000 {
        assert_eq!(calls.send(get("/rows")).await.unwrap().status(), 401);
        sleep(Duration::from_millis(50)).await;
    }
    // 100 s: at 0, then after 1, 2, 4, 8, 16, 32 s.
    assert!(vault.asked() <= 8, "{} tokens", vault.asked());
}

#[tokio::test(start_paused = true)]
async fn a_request_is_sent_again_as_it_was_whatever_its_class() {
    let server = Server::new(|request, _| reply(if request == 1 { 401 } else { 200 }, ""));
    let calls = Authorised::new(server.clone(), TokenCache::new(Vault::of_new_tokens()));
    let create = http::Request::post("/jobs").header("x-own", "1").extension(CallClass::Once);
    calls.send(create.body(Bytes::from("{}")).unwrap()).await.unwrap();
    for sent in server.requests() {
        assert_eq!(
            (sent.method().as_str(), sent.uri().path(), &sent.body()[..]),
            ("POST", "/jobs", &b"{}"[..])
        );
        assert_eq!(sent.headers()["x-own"], "1");
        assert_eq!(CallClass::of(&sent), CallClass::Once);
    }
}

#[tokio::test(start_paused = true)]
async fn other_statuses_and_failures_are_handed_up_and_refresh_nothing() {
    let statuses = [200, 204, 302, 400, 403, 404, 429, 500, 503];
    let server = Server::new(move |request, _| match statuses.get(request - 1) {
        Some(status) => reply(*status, ""),
        None => Err(TransportError::new(TransportErrorKind::Interrupted, "cut")),
    });
    let vault = Vault::of_new_tokens();
    let calls = Authorised::new(server, TokenCache::new(vault.clone()));
    for status in statuses {
        assert_eq!(calls.send(get("/rows")).await.unwrap().status(), status);
    }
    let error = calls.send(get("/rows")).await.unwrap_err();
    assert_eq!(error.kind(), TransportErrorKind::Interrupted);
    assert!(error.may_have_been_sent());
    assert_eq!(vault.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_token_from_elsewhere_is_not_renewed_and_its_401_is_handed_up() {
    let server = Server::new(|_, _| reply(401, ""));
    let calls = Authorised::new(server.clone(), FixedToken::new("t").unwrap());
    assert_eq!(calls.send(get("/rows")).await.unwrap().status(), 401);
    assert_eq!(server.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn without_a_token_nothing_is_sent_and_the_chain_says_why() {
    for (kind, retryable) in [(ErrorKind::Rejected, false), (ErrorKind::Unreachable, true)] {
        let server = Server::new(|_, _| reply(200, ""));
        let vault = Vault::new(move |_| async move { Err(Error::new(kind, "the key was refused")) });
        let calls = Authorised::new(server.clone(), TokenCache::new(vault));
        let error = calls.send(get("http://host/rows")).await.unwrap_err();
        assert_eq!(error.to_string(), "GET http://host/rows: no access token could be had");
        assert_eq!(error.source().unwrap().to_string(), "the key was refused");
        assert_eq!((error.kind(), error.is_retryable()), (TransportErrorKind::Layer, retryable));
        assert!(!error.may_have_been_sent());
        assert_eq!(Error::find(&error).unwrap().kind(), kind);
        assert_eq!(server.asked(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_that_takes_its_time_is_no_stall_of_a_download() {
    let server = Server::new(|_, _| reply(200, "rows"));
    let vault = Vault::new(|_| async move {
        sleep(Duration::from_secs(200)).await;
        Ok(issued("t"))
    });
    let calls: Arc<dyn HttpService> = Arc::new(Authorised::new(server.clone(), TokenCache::new(vault)));
    let download = Download::new(calls, || get("http://host/rows")).stall_timeout(Duration::from_secs(5));
    let (downloaded, rows) = download.to_writer(Vec::new()).await.unwrap();
    assert_eq!((downloaded.restarts, rows.as_slice(), server.asked()), (0, &b"rows"[..], 1));
}

#[tokio::test(start_paused = true)]
async fn a_call_without_a_token_is_told_for_how_long_another_attempt_is_of_no_use() {
    let vault = Vault::new(|_| async {
        let down = Error::new(ErrorKind::Unavailable, "HTTP 503");
        Err(down.with_asked_pause(Duration::from_secs(20)))
    });
    let calls = Authorised::new(Server::new(|_, _| reply(200, "")), TokenCache::new(vault.clone()));
    for (left, told) in
        [(20, "HTTP 503"), (13, "HTTP 503 (this happened before; it is tried again in 13.0 s)")]
    {
        let error = calls.send(get("/rows")).await.unwrap_err();
        assert_eq!(error.asked_pause(), Some(Duration::from_secs(left)));
        assert_eq!(error.source().unwrap().to_string(), told);
        advance(Duration::from_secs(7)).await;
    }
    assert_eq!(vault.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_key_that_was_paused_ends_in_the_auth_error_and_not_in_a_loop() {
    let server = Server::new(|_, _| reply(401, ""));
    let vault = Vault::new(|request| async move {
        if request == 1 { Ok(issued("t")) } else { Err(Error::new(ErrorKind::Rejected, "the key is paused")) }
    });
    let calls = Authorised::new(server.clone(), TokenCache::new(vault.clone()));
    let error = calls.send(get("/rows")).await.unwrap_err();
    assert!(Error::find(&error).unwrap().is_rejected());
    assert_eq!((server.asked(), vault.asked()), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_cancelled_in_mid_healing_leaves_the_healing_to_the_others() {
    let taken = Arc::new(Mutex::new(String::new()));
    let (server, vault) = (server_of(&taken), vault_for(&taken));
    let calls = Arc::new(Authorised::new(server, TokenCache::new(vault.clone())));
    calls.send(get("/rows")).await.unwrap();
    *taken.lock().unwrap() = "none".to_owned();
    let cancelled = tokio::spawn({
        let calls = Arc::clone(&calls);
        async move { calls.send(get("/rows")).await }
    });
    // After its 401 at 50 ms, before the new token at 150 ms.
    sleep(Duration::from_millis(100)).await;
    cancelled.abort();
    assert_eq!(calls.send(get("/rows")).await.unwrap().status(), 200);
    assert_eq!(vault.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_token_that_outlives_its_healing_is_healed_again_at_its_next_death() {
    let good = Arc::new(AtomicUsize::new(0));
    let server = Server::new({
        let good = Arc::clone(&good);
        move |_, request| {
            let token = format!("token-{}", good.load(Ordering::SeqCst));
            reply(if bearer(request) == token { 200 } else { 401 }, "")
        }
    });
    let calls = Authorised::new(server, TokenCache::new(Vault::of_new_tokens()));
    for death in 1..5 {
        good.store(death, Ordering::SeqCst);
        assert_eq!(calls.send(get("/rows")).await.unwrap().status(), 200, "death {death}");
        advance(Duration::from_secs(5)).await;
    }
}
