//! HTTPS with a certificate that is made on the spot, so that a client's option for a private authority is tested.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, SanType};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use crate::error::{Error, ErrorKind};

/// An authority of its own, and a server certificate from it for 127.0.0.1 and localhost. The authority's certificate
/// is written to `authority` as PEM; its key is forgotten.
pub(super) fn acceptor(authority: &Path) -> Result<TlsAcceptor, Error> {
    let (config, pem) = make().map_err(|cause| {
        Error::new(ErrorKind::Tls, "a certificate for HTTPS could not be made".to_owned()).caused(cause)
    })?;
    std::fs::write(authority, pem).map_err(|cause| {
        let why = format!("the authority's certificate could not be written to {}", authority.display());
        Error::new(ErrorKind::Tls, why).caused(cause)
    })?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

#[derive(Debug)]
struct Failed(String);

impl std::fmt::Display for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Failed {}

fn make() -> Result<(ServerConfig, String), Failed> {
    let failed = |cause: rcgen::Error| Failed(cause.to_string());
    let mut params = CertificateParams::new(Vec::new()).map_err(failed)?;
    params.distinguished_name.push(DnType::CommonName, "Backstory simulator");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().map_err(failed)?;
    let issuer = CertifiedIssuer::self_signed(params, key).map_err(failed)?;
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).map_err(failed)?;
    params.subject_alt_names.push(SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST)));
    let key = KeyPair::generate().map_err(failed)?;
    let certificate = params.signed_by(&key, &issuer).map_err(failed)?;
    let key = PrivateKeyDer::try_from(key.serialize_der()).map_err(|cause| Failed(cause.to_owned()))?;
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|config| {
            config.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key)
        })
        .map_err(|cause| Failed(cause.to_string()))?;
    Ok((config, issuer.pem()))
}
