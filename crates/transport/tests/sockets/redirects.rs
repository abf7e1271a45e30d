//! Redirects over real sockets: followed for GET, a few times, and without secrets to anybody else.

use backstory_transport::{ErrorKind, HttpService, Request, ReqwestService};

use crate::server::{Play, Server, reply};

fn adapter() -> ReqwestService {
    ReqwestService::builder().no_proxy().build().unwrap()
}

fn get(url: &str) -> Request {
    let mut secret: http::HeaderValue = "k".parse().unwrap();
    secret.set_sensitive(true);
    http::Request::get(url)
        .header("authorization", "Bearer token-of-a-test")
        .header("cookie", "c=1")
        .header("x-secret", secret)
        .header("x-open", "o")
        .body("".into())
        .unwrap()
}

fn to(status: &str, location: &str) -> Play {
    reply(&format!("{status}\r\nlocation: {location}"), b"moved")
}

#[tokio::test]
async fn a_get_is_followed_on_the_same_server_with_all_its_headers() {
    for status in ["301 M", "302 F", "303 S", "307 T", "308 P"] {
        let server = Server::plain([to(status, "../there?x=1"), reply("200 OK", b"there")]).await;
        let response = adapter().send(get(&server.url("/a/b"))).await.unwrap();
        assert_eq!(response.into_body().collect(100).await.unwrap(), "there");
        let heard = server.heard();
        assert!(heard[1].starts_with("GET /there?x=1 "), "{}", heard[1]);
        assert!(
            heard[1].contains("authorization: Bearer token-of-a-test") && heard[1].contains("x-secret: k")
        );
    }
}

#[tokio::test]
async fn another_server_gets_no_authorization_cookie_or_sensitive_header_and_neither_does_the_next() {
    let storage = Server::plain([to("302 F", "/signed"), reply("200 OK", b"the file")]).await;
    let api = Server::plain([to("302 F", &storage.url("/bucket?signature=s"))]).await;
    let response = adapter().send(get(&api.url("/data"))).await.unwrap();
    assert_eq!(response.into_body().collect(100).await.unwrap(), "the file");
    assert!(api.heard()[0].contains("authorization: Bearer"));
    assert_eq!(storage.heard().len(), 2);
    for heard in storage.heard() {
        assert!(
            !heard.contains("authorization") && !heard.contains("cookie") && !heard.contains("x-secret"),
            "{heard}"
        );
        assert!(heard.contains("x-open: o"), "{heard}");
    }
}

#[tokio::test]
async fn what_is_not_a_get_is_never_followed() {
    for status in ["301 M", "302 F", "303 S", "307 T", "308 P"] {
        let server = Server::plain([to(status, "/there"), reply("200 OK", b"")]).await;
        let request = http::Request::post(server.url("/jobs")).body("{}".into()).unwrap();
        let response = adapter().send(request).await.unwrap();
        assert!(response.status().is_redirection());
        assert_eq!(server.heard().len(), 1);
    }
}

#[tokio::test]
async fn a_redirect_is_handed_up_when_none_are_to_be_followed() {
    let server = Server::plain([to("302 F", "/there"), reply("200 OK", b"there")]).await;
    let service = ReqwestService::builder().no_proxy().follow_redirects(false).build().unwrap();
    let response = service.send(get(&server.url("/data"))).await.unwrap();
    assert_eq!(
        (response.status().as_u16(), &response.headers()["location"]),
        (302, &"/there".parse().unwrap())
    );
    assert_eq!(server.heard().len(), 1);
}

#[tokio::test]
async fn a_redirect_without_an_address_and_a_304_are_handed_up() {
    for head in ["302 F", "304 N", "300 M\r\nlocation: /x"] {
        let server = Server::plain([reply(head, b"")]).await;
        assert!(adapter().send(get(&server.url("/"))).await.unwrap().status().is_redirection());
        assert_eq!(server.heard().len(), 1);
    }
}

#[tokio::test]
async fn circles_end_after_five_redirects() {
    let server = Server::plain([to("302 F", "/again")]).await;
    let error = adapter().send(get(&server.url("/"))).await.unwrap_err();
    assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Redirect, false));
    assert_eq!(server.heard().len(), 6);
}

#[tokio::test]
async fn nowhere_is_not_gone_to_and_its_query_is_not_told() {
    for location in ["ftp://127.0.0.1/x?signature=s3cret", "http://[broken?signature=s3cret"] {
        let server = Server::plain([to("302 F", location)]).await;
        let error = adapter().send(get(&server.url("/"))).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Redirect);
        assert!(!format!("{error} {error:?}").contains("s3cret"), "{error}");
    }
}

#[tokio::test]
async fn a_failure_after_a_redirect_names_the_server_that_failed() {
    // Nobody listens there once the listener is gone.
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let server = Server::plain([to("302 F", &format!("http://{gone}/signed?signature=s3cret"))]).await;
    let error = adapter().send(get(&server.url("/data"))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Connect);
    let expected = format!("GET {}: nobody answers at {gone}; is the address right?", server.url("/data"));
    assert_eq!(error.to_string(), expected);
    assert!(!format!("{error:?}").contains("s3cret"), "{error:?}");
}
