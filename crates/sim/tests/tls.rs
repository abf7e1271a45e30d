//! HTTPS with a private authority. Needs the feature `tls`.
#![cfg(feature = "tls")]

mod support;

use std::sync::Arc;

use support::small;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

fn connector(authority: Option<&std::path::Path>) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    if let Some(authority) = authority {
        roots.add(CertificateDer::from_pem_file(authority).unwrap()).unwrap();
    }
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}

#[tokio::test]
async fn a_client_that_trusts_the_authority_is_served_and_another_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let authority = folder.path().join("authority.pem");
    let sim = small().tls(&authority).start().await.unwrap();
    let address = sim.base_url().strip_prefix("https://").unwrap().to_owned();
    for name in ["localhost", "127.0.0.1"] {
        let name = ServerName::try_from(name).unwrap();
        let connect = || tokio::net::TcpStream::connect(&address);
        let mut stream =
            connector(Some(&authority)).connect(name.clone(), connect().await.unwrap()).await.unwrap();
        let request = b"GET /_sim/clock HTTP/1.1\r\nhost: sim\r\nconnection: close\r\n\r\n";
        stream.write_all(request).await.unwrap();
        let mut reply = Vec::new();
        stream.read_to_end(&mut reply).await.unwrap();
        assert!(reply.starts_with(b"HTTP/1.1 200 OK"));
        assert!(connector(None).connect(name, connect().await.unwrap()).await.is_err());
    }
}

#[tokio::test]
async fn a_file_that_cannot_be_written_is_told_by_its_name() {
    let error = small().tls("/nowhere/authority.pem").start().await.unwrap_err();
    assert_eq!(error.kind(), backstory_sim::ErrorKind::Tls);
    assert!(error.to_string().contains("/nowhere/authority.pem"));
}
