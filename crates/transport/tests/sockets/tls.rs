//! TLS and proxies over real sockets: who is trusted, what a refusal says, and what goes where.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use backstory_transport::{ErrorKind, HttpService, Request, ReqwestService};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use crate::server::{Server, reply};

/// An authority that nobody trusts who isn't told to.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: TempDir,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let folder = TempDir::new().unwrap();
        fs::write(folder.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { issuer, folder }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    pub(crate) fn acceptor(&self, name: &str, last_year: i32) -> TlsAcceptor {
        TlsAcceptor::from(Arc::new(self.config(name, last_year)))
    }

    /// For a server that speaks HTTP/2 and nothing else.
    pub(crate) fn http2_acceptor(&self) -> TlsAcceptor {
        let mut config = self.config("127.0.0.1", 4000);
        config.alpn_protocols = vec![b"h2".to_vec()];
        TlsAcceptor::from(Arc::new(config))
    }

    fn config(&self, name: &str, last_year: i32) -> ServerConfig {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_after = date_time_ymd(last_year, 1, 1);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap()
    }

    pub(crate) async fn server(&self) -> Server {
        Server::start(vec![reply("200 OK", b"secure")], Some(self.acceptor("127.0.0.1", 4000))).await
    }

    pub(crate) fn trusting(&self) -> ReqwestService {
        ReqwestService::builder().no_proxy().ca_file(self.file()).build().unwrap()
    }
}

fn get(url: &str) -> Request {
    http::Request::get(url).body("".into()).unwrap()
}

fn https(server: &Server) -> String {
    format!("https://{}/x", server.address)
}

#[tokio::test]
async fn a_ca_file_makes_its_servers_trusted() {
    let authority = Authority::new("ours");
    let server = authority.server().await;
    let response = authority.trusting().send(get(&https(&server))).await.unwrap();
    assert_eq!(response.into_body().collect(100).await.unwrap(), "secure");
}

#[tokio::test]
async fn an_unknown_authority_is_refused_with_what_to_do_and_nothing_was_sent() {
    let server = Authority::new("theirs").server().await;
    let stranger = Authority::new("ours");
    let error = stranger.trusting().send(get(&https(&server))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Tls);
    assert!(!error.may_have_been_sent() && !error.is_retryable() && error.is_connect());
    assert!(error.to_string().contains("not issued by an authority that is trusted here"), "{error}");
    assert!(error.to_string().contains("name the company's CA file"), "{error}");
    assert_eq!(server.heard().len(), 0);

    let error =
        ReqwestService::builder().no_proxy().build().unwrap().send(get(&https(&server))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Tls);
}

#[tokio::test]
async fn another_name_and_an_expired_certificate_are_told_apart() {
    let authority = Authority::new("ours");
    for (acceptor, said) in [
        (authority.acceptor("api.example", 4000), "is for another name"),
        (authority.acceptor("127.0.0.1", 2001), "has expired"),
    ] {
        let server = Server::start(vec![reply("200 OK", b"")], Some(acceptor)).await;
        let error = authority.trusting().send(get(&https(&server))).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Tls);
        assert!(error.to_string().contains(said), "{error}");
    }
}

#[tokio::test]
async fn plain_http_behind_an_https_address_is_told_apart() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _ = stream.read(&mut [0; 1000]).await;
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
    });
    let adapter = ReqwestService::builder().no_proxy().build().unwrap();
    let error = adapter.send(get(&format!("https://{address}/"))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Tls);
    assert!(error.to_string().contains("should the address begin with http://?"), "{error}");
}

#[tokio::test]
async fn a_redirect_from_https_to_plain_http_is_not_followed() {
    let authority = Authority::new("ours");
    let plain = Server::plain([reply("200 OK", b"open")]).await;
    let redirect = reply(&format!("302 F\r\nlocation: {}", plain.url("/open")), b"");
    let server = Server::start(vec![redirect], Some(authority.acceptor("127.0.0.1", 4000))).await;
    let error = authority.trusting().send(get(&https(&server))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Redirect);
    assert_eq!(plain.heard().len(), 0);
}

#[tokio::test]
async fn a_ca_file_that_is_none_is_named() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("empty.pem"), "").unwrap();
    fs::write(path("text.pem"), "no certificate").unwrap();
    fs::write(path("torn.pem"), "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
    for name in ["missing.pem", "empty.pem", "text.pem", "torn.pem"] {
        let error = ReqwestService::builder().ca_file(path(name)).build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Setup, "{name}");
        assert!(error.to_string().contains(name), "{error}");
    }
}

#[tokio::test]
async fn a_malformed_proxy_or_user_agent_is_a_mistake_in_setting_up_that_repeats_no_password() {
    let error = ReqwestService::builder().proxy("http://user:hunter2@[").build().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Setup);
    assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
    let error = ReqwestService::builder().user_agent("two\nlines").build().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Setup);
    assert!(error.to_string().contains(r#"with the user agent "two\nlines""#), "{error}");
    let settings = format!("{:?}", ReqwestService::builder().proxy("http://user:hunter2@proxy.test"));
    assert!(!settings.contains("hunter2"), "{settings}");
}

#[tokio::test]
async fn a_proxy_gets_plain_requests_whole() {
    let proxy = Server::plain([reply("200 OK", b"by the proxy")]).await;
    let adapter = ReqwestService::builder().proxy(proxy.url("")).build().unwrap();
    let response = adapter.send(get("http://api.test/x?y=1")).await.unwrap();
    assert_eq!(response.into_body().collect(100).await.unwrap(), "by the proxy");
    assert!(proxy.heard()[0].starts_with("GET http://api.test/x?y=1 HTTP/1.1\r\n"), "{:?}", proxy.heard());
}

#[tokio::test]
async fn a_proxy_tunnels_https_without_seeing_it() {
    let authority = Authority::new("ours");
    let server = authority.server().await;
    let target = server.address;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = listener.local_addr().unwrap();
    let tunnel = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        stream.write_all(b"HTTP/1.1 200 Connected\r\n\r\n").await.unwrap();
        let mut onward = TcpStream::connect(target).await.unwrap();
        let _ = copy_bidirectional(&mut stream, &mut onward).await;
        String::from_utf8(head).unwrap()
    });
    let adapter =
        ReqwestService::builder().ca_file(authority.file()).proxy(format!("http://{proxy}")).build().unwrap();
    let response = adapter.send(get(&https(&server))).await.unwrap();
    assert_eq!(response.into_body().collect(100).await.unwrap(), "secure");
    drop(adapter);
    assert!(tunnel.await.unwrap().starts_with(&format!("CONNECT {target} HTTP/1.1\r\n")));
}

#[tokio::test]
async fn a_proxy_that_refuses_or_is_not_there_is_pointed_at() {
    let refusing = Server::plain([reply("407 Proxy Authentication Required", b"")]).await;
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    for proxy in [refusing.url(""), format!("http://{gone}")] {
        let adapter = ReqwestService::builder().proxy(proxy).build().unwrap();
        let error = adapter.send(get("https://api.test/x")).await.unwrap_err();
        assert_eq!((error.kind(), error.may_have_been_sent()), (ErrorKind::Connect, false), "{error:?}");
        assert!(error.to_string().contains("a proxy is set by the settings"), "{error}");
    }
}
