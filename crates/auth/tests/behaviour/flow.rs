//! The client credentials flow: what it sends to a token endpoint and what it makes of the replies.

use std::error::Error as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::doubles::{Server, reply, token_reply};
use async_trait::async_trait;
use backstory_auth::{
    ClientCredentialsFlow, Credentials, CredentialsSource, Error, ErrorKind, KeyType, SecretFile, TokenCache,
    TokenEndpoint, TokenIssuer as _, TokenSource as _,
};
use backstory_transport::{
    Body, CallClass, Error as TransportError, ErrorKind as TransportErrorKind, Request,
};
use bytes::Bytes;
use futures_util::stream;
use http::Uri;

fn base() -> Uri {
    Uri::from_static("https://api.people.ai")
}

fn flow(server: &Server) -> ClientCredentialsFlow {
    let pair = Credentials::new("key-1", "hunter2");
    ClientCredentialsFlow::new(server.clone(), &base(), TokenEndpoint::V1, pair).unwrap()
}

/// The client id and the secret of a request.
fn pair(request: &Request) -> (&str, &str) {
    let body = std::str::from_utf8(request.body()).unwrap();
    let (id, secret) = body
        .strip_prefix("grant_type=client_credentials&client_id=")
        .and_then(|rest| rest.split_once("&client_secret="))
        .unwrap();
    (id, secret)
}

/// A server that takes some pairs and answers 401 to all others.
fn server_for(pairs: &'static [(&'static str, &'static str)]) -> Server {
    Server::new(move |_, request| match pairs.contains(&pair(request)) {
        true => token_reply("t"),
        false => reply(401, r#"{"error":"invalid_client","message":"no such key"}"#),
    })
}

fn ids(server: &Server) -> Vec<String> {
    server.requests().iter().map(|request| pair(request).0.to_owned()).collect()
}

async fn refusal(status: u16, body: &'static str) -> Error {
    flow(&Server::new(move |_, _| reply(status, body))).issue().await.unwrap_err()
}

#[tokio::test(start_paused = true)]
async fn the_request_is_the_form_that_the_contract_wants() {
    let server = Server::new(|_, _| token_reply("t"));
    flow(&server).issue().await.unwrap();
    let sent = &server.requests()[0];
    assert_eq!(
        (sent.method().as_str(), sent.uri().to_string().as_str()),
        ("POST", "https://api.people.ai/auth/v1/tokens")
    );
    assert_eq!(sent.headers()["content-type"], "application/x-www-form-urlencoded");
    assert_eq!(sent.headers()["accept"], "application/json");
    assert!(!sent.headers().contains_key("authorization"), "credentials go in the body only");
    assert_eq!(CallClass::of(sent), CallClass::Idempotent);
    assert_eq!(pair(sent), ("key-1", "hunter2"));
}

#[tokio::test(start_paused = true)]
async fn the_endpoint_stands_below_the_base_url() {
    for (base, endpoint, whole) in [
        ("http://127.0.0.1:8080", TokenEndpoint::V3, "http://127.0.0.1:8080/v3/auth/tokens"),
        ("https://gate.example/people/", TokenEndpoint::V1, "https://gate.example/people/auth/v1/tokens"),
    ] {
        let server = Server::new(|_, _| token_reply("t"));
        let pair = Credentials::new("k", "s");
        let flow =
            ClientCredentialsFlow::new(server.clone(), &base.parse().unwrap(), endpoint, pair).unwrap();
        flow.issue().await.unwrap();
        assert_eq!(server.requests()[0].uri().to_string(), whole);
    }
    for wrong in ["/only/a/path", "ftp://host", "host:80"] {
        let pair = Credentials::new("k", "s");
        let server = Server::new(|_, _| token_reply("t"));
        let error =
            ClientCredentialsFlow::new(server, &wrong.parse().unwrap(), TokenEndpoint::V1, pair).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Setup, "{wrong}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_key_is_named_with_its_type_and_a_hint() {
    let server = Server::new(|_, _| reply(401, r#"{"error":"invalid_client","message":"no such key"}"#));
    let error = flow(&server).key_type(KeyType::Object).issue().await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "https://api.people.ai/auth/v1/tokens refused the Object key `key-1` with HTTP 401 (invalid_client): no such key"
    );
    assert_eq!((error.kind(), error.status().unwrap().as_u16()), (ErrorKind::Rejected, 401));
    assert!(error.is_rejected() && !error.is_transient());
    let hint = error.hint().unwrap();
    assert!(hint.contains("paused or revoked") && hint.contains("API type"), "{hint}");
    assert_eq!(server.asked(), 1, "the pair was read just now, so it is not read again");
}

#[tokio::test(start_paused = true)]
async fn the_status_alone_decides_what_a_refusal_means() {
    let oauth = r#"{"error":"invalid_client"}"#;
    for (status, kind, transient) in [
        (400, ErrorKind::Rejected, false),
        (401, ErrorKind::Rejected, false),
        (403, ErrorKind::Rejected, false),
        (404, ErrorKind::BadReply, false),
        (302, ErrorKind::BadReply, false),
        (407, ErrorKind::BadReply, false),
        (408, ErrorKind::Unavailable, true),
        (429, ErrorKind::Unavailable, true),
        (500, ErrorKind::Unavailable, true),
        (501, ErrorKind::Unavailable, false),
        (503, ErrorKind::Unavailable, true),
    ] {
        for body in [oauth, "<html>Bad gateway</html>", ""] {
            let error = refusal(status, body).await;
            assert_eq!((error.kind(), error.is_transient()), (kind, transient), "{status}");
            assert_eq!(error.status().unwrap().as_u16(), status);
            assert!(
                error.hint().is_some() && error.to_string().contains("https://api.people.ai/auth/v1/tokens")
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_that_is_no_json_is_shown_by_its_beginning() {
    let error = refusal(502, "<html>the gateway is asleep</html>").await;
    assert!(error.to_string().contains("HTML page") && error.to_string().contains("the gateway is asleep"));
}

#[tokio::test(start_paused = true)]
async fn a_200_that_holds_no_token_is_no_success() {
    for body in [oauth_error(), "<html>Sign in to the wifi</html>", "", "[]"] {
        let error = refusal(200, body).await;
        assert_eq!(error.kind(), ErrorKind::BadReply);
        assert!(
            error
                .to_string()
                .starts_with("https://api.people.ai/auth/v1/tokens answered with HTTP 200, but ")
        );
    }
}

fn oauth_error() -> &'static str {
    r#"{"error":"invalid_client","message":"no"}"#
}

#[tokio::test(start_paused = true)]
async fn failures_below_are_told_as_unreachable_with_their_cause() {
    let server =
        Server::new(|_, _| Err(TransportError::new(TransportErrorKind::Connect, "nobody answers at host:9")));
    let error = flow(&server).issue().await.unwrap_err();
    assert_eq!(error.to_string(), "no token came from https://api.people.ai/auth/v1/tokens");
    assert_eq!(error.source().unwrap().to_string(), "nobody answers at host:9");
    assert!(error.is_unreachable() && error.is_transient());
    assert!(error.hint().unwrap().contains("the network, the proxy and the CA bundle"));
    let server = Server::new(|_, _| Err(TransportError::new(TransportErrorKind::BodyTooLong, "endless")));
    assert!(flow(&server).issue().await.unwrap_err().hint().unwrap().contains("a gateway stands in between"));
    let server = Server::new(|_, _| Err(TransportError::new(TransportErrorKind::Tls, "unknown issuer")));
    assert!(!flow(&server).issue().await.unwrap_err().is_transient());
    let server = Server::new(|_, _| Err(TransportError::new(TransportErrorKind::Setup, "bad proxy")));
    assert_eq!(flow(&server).issue().await.unwrap_err().kind(), ErrorKind::Setup);
}

#[tokio::test(start_paused = true)]
async fn a_reply_that_stalls_breaks_off_or_never_ends_is_given_up() {
    let body = |chunks: Vec<Result<Bytes, TransportError>>, stalls: bool| {
        let chunks = stream::iter(chunks);
        let body = match stalls {
            true => Body::from_stream(futures_util::StreamExt::chain(chunks, stream::pending())),
            false => Body::from_stream(chunks),
        };
        Ok(http::Response::new(body))
    };
    let begun = || Ok(Bytes::from_static(br#"{"access_to"#));
    let stalled = Server::new(move |_, _| body(vec![begun()], true));
    let error = flow(&stalled).issue().await.unwrap_err();
    assert!(error.is_unreachable() && error.is_transient(), "{error:?}");
    let cut = Server::new(move |_, _| {
        body(vec![begun(), Err(TransportError::new(TransportErrorKind::BodyCut, "cut"))], false)
    });
    assert!(flow(&cut).issue().await.unwrap_err().is_unreachable());
    let endless = Server::new(move |_, _| body(vec![Ok(Bytes::from(vec![b' '; 65 << 10]))], true));
    assert_eq!(flow(&endless).issue().await.unwrap_err().kind(), ErrorKind::BadReply);
}

#[tokio::test(start_paused = true)]
async fn a_pause_that_the_server_asks_for_is_understood_in_both_forms() {
    let asked = |headers: &'static [(&'static str, &'static str)]| async move {
        let server = Server::new(move |_, _| {
            let reply = headers.iter().fold(http::Response::builder().status(429), |reply, (name, value)| {
                reply.header(*name, *value)
            });
            Ok(reply.body(Body::default()).unwrap())
        });
        flow(&server).issue().await.unwrap_err().asked_pause()
    };
    const DATE: (&str, &str) = ("date", "Fri, 06 Mar 2026 00:00:00 GMT");
    assert_eq!(asked(&[("retry-after", "7")]).await, Some(Duration::from_secs(7)));
    assert_eq!(
        asked(&[DATE, ("retry-after", "Fri, 06 Mar 2026 00:01:30 GMT")]).await,
        Some(Duration::from_secs(90))
    );
    assert_eq!(asked(&[DATE, ("retry-after", "Thu, 05 Mar 2026 00:00:00 GMT")]).await, Some(Duration::ZERO));
    assert_eq!(asked(&[("retry-after", "soon")]).await, None);
    assert_eq!(asked(&[]).await, None);
}

#[tokio::test(start_paused = true)]
async fn a_refused_pair_moves_to_the_one_that_stands_by_which_then_stays_in_use() {
    let server = server_for(&[("key-2", "s2")]);
    let flow = flow(&server).stand_by(Credentials::new("key-2", "s2"));
    flow.issue().await.unwrap();
    flow.issue().await.unwrap();
    assert_eq!(ids(&server), ["key-1", "key-2", "key-2"]);
}

#[tokio::test(start_paused = true)]
async fn when_the_stand_by_is_refused_in_turn_the_first_pair_has_its_turn_again() {
    let revoked = Arc::new(AtomicUsize::new(1));
    let server = Server::new({
        let revoked = Arc::clone(&revoked);
        move |_, request| match pair(request).0.ends_with(&revoked.load(Ordering::SeqCst).to_string()) {
            true => reply(401, oauth_error()),
            false => token_reply("t"),
        }
    });
    let flow = flow(&server).stand_by(Credentials::new("key-2", "s2"));
    flow.issue().await.unwrap();
    revoked.store(2, Ordering::SeqCst);
    flow.issue().await.unwrap();
    assert_eq!(ids(&server), ["key-1", "key-2", "key-2", "key-1"]);
}

#[tokio::test(start_paused = true)]
async fn when_all_pairs_are_refused_each_is_named() {
    let server = server_for(&[]);
    let error = flow(&server).stand_by(Credentials::new("key-2", "s2")).issue().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Rejected);
    assert_eq!(error.status().unwrap().as_u16(), 401);
    let text = error.to_string();
    assert!(
        text.starts_with("none of the key pairs can be used: ")
            && text.contains("`key-1`")
            && text.contains("`key-2`")
    );
    assert!(error.hint().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_down_is_no_reason_to_change_pairs() {
    let server = Server::new(|_, _| reply(503, ""));
    flow(&server).stand_by(Credentials::new("key-2", "s2")).issue().await.unwrap_err();
    assert_eq!(ids(&server), ["key-1"]);
}

#[tokio::test]
async fn a_server_that_is_down_is_no_reason_to_read_a_secret_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    std::fs::write(&path, "old").unwrap();
    let server = Server::new(|number, _| if number == 2 { reply(503, "") } else { token_reply("t") });
    let file = SecretFile::new("key-1", &path);
    let flow = ClientCredentialsFlow::new(server.clone(), &base(), TokenEndpoint::V1, file).unwrap();
    flow.issue().await.unwrap();
    std::fs::write(&path, "changed while it was down").unwrap();
    flow.issue().await.unwrap_err();
    flow.issue().await.unwrap();
    let sent: Vec<_> = server.requests().iter().map(|request| pair(request).1.to_owned()).collect();
    assert_eq!(sent, ["old", "old", "old"]);
}

#[tokio::test]
async fn a_secret_file_is_read_again_before_anybody_gives_up() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    std::fs::write(&path, "old\n").unwrap();
    let current = Arc::new(std::sync::Mutex::new("old"));
    let server = Server::new({
        let current = Arc::clone(&current);
        move |_, request| match pair(request).1 == *current.lock().unwrap() {
            true => token_reply("t"),
            false => reply(401, oauth_error()),
        }
    });
    let file = SecretFile::new("key-1", &path);
    let flow = ClientCredentialsFlow::new(server.clone(), &base(), TokenEndpoint::V1, file).unwrap();
    flow.issue().await.unwrap();
    *current.lock().unwrap() = "new";
    std::fs::write(&path, "new\n").unwrap();
    flow.issue().await.unwrap();
    let sent: Vec<_> = server.requests().iter().map(|request| pair(request).1.to_owned()).collect();
    assert_eq!(sent, ["old", "old", "new"], "kept while it worked, read again when it was refused");

    *current.lock().unwrap() = "newer";
    assert!(flow.issue().await.unwrap_err().is_rejected());
    assert_eq!(server.asked(), 4, "a file that hasn't changed is not sent twice");
    std::fs::remove_file(&path).unwrap();
    assert_eq!(flow.issue().await.unwrap_err().kind(), ErrorKind::Credentials);
}

/// A vault that can't be opened, or only once.
struct Vanishing(AtomicUsize, usize);

#[async_trait]
impl CredentialsSource for Vanishing {
    fn client_id(&self) -> &str {
        "key-1"
    }

    async fn read(&self) -> Result<Credentials, Error> {
        match self.0.fetch_add(1, Ordering::SeqCst) < self.1 {
            true => Ok(Credentials::new("key-1", "s1")),
            false => Err(Error::new(ErrorKind::Credentials, "the vault is locked")),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_cannot_be_read_moves_to_the_stand_by_too() {
    let server = server_for(&[("key-2", "s2")]);
    let locked = Vanishing(AtomicUsize::new(0), 0);
    let flow = ClientCredentialsFlow::new(server.clone(), &base(), TokenEndpoint::V1, locked).unwrap();
    flow.stand_by(Credentials::new("key-2", "s2")).issue().await.unwrap();
    assert_eq!(ids(&server), ["key-2"]);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_weighs_more_than_a_secret_that_cannot_be_read_again() {
    let server =
        Server::new(|request, _| if request == 1 { token_reply("t") } else { reply(401, oauth_error()) });
    let once = Vanishing(AtomicUsize::new(0), 1);
    let flow = ClientCredentialsFlow::new(server, &base(), TokenEndpoint::V1, once).unwrap();
    flow.issue().await.unwrap();
    assert_eq!(flow.issue().await.unwrap_err().kind(), ErrorKind::Rejected);
}

#[tokio::test(start_paused = true)]
async fn without_expires_in_the_life_of_a_jwt_is_counted_by_the_servers_own_date() {
    // {"typ":"JWT","alg":"HS256"} . {"iat":1000000000,"exp":1000000500}
    let jwt = "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9.eyJpYXQiOjEwMDAwMDAwMDAsImV4cCI6MTAwMDAwMDUwMH0.c2ln";
    let server = Server::new(move |_, _| {
        let reply = http::Response::builder().header("date", "Sun, 09 Sep 2001 01:48:20 GMT");
        Ok(reply.body(Body::from(format!(r#"{{"access_token":"{jwt}"}}"#))).unwrap())
    });
    let token = TokenCache::new(flow(&server)).token().await.unwrap();
    assert_eq!(token.remaining(), Some(Duration::from_secs(400)));
}

#[tokio::test(start_paused = true)]
async fn of_several_failures_the_refusal_by_the_server_counts() {
    let locked = Vanishing(AtomicUsize::new(0), 0);
    let flow = ClientCredentialsFlow::new(server_for(&[]), &base(), TokenEndpoint::V1, locked).unwrap();
    let error = flow.stand_by(Credentials::new("key-2", "s2")).issue().await.unwrap_err();
    assert_eq!((error.kind(), error.status().unwrap().as_u16()), (ErrorKind::Rejected, 401));
    assert!(error.to_string().contains("the vault is locked; and ") && error.to_string().contains("`key-2`"));
}
