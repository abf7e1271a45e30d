//! What reqwest's errors mean: whether anything was sent, whether another attempt may help, and words for people.

use std::error::Error as StdError;
use std::time::Duration;
use std::{fmt, io};

use http::Uri;
use rustls::CertificateError;

use crate::error::{Error, ErrorKind};

/// What else may explain a failure.
#[derive(Clone, Debug)]
pub(crate) struct Situation {
    /// What names the proxy for `http` addresses, if one is set.
    pub(crate) http_proxy: Option<&'static str>,
    /// What names the proxy for `https` addresses, if one is set.
    pub(crate) https_proxy: Option<&'static str>,
    /// Whether the machine has no CA certificates at all.
    pub(crate) no_roots: bool,
    pub(crate) connect_timeout: Duration,
}

/// No reply began.
pub(crate) fn request_failure(error: reqwest::Error, situation: &Situation, uri: &Uri) -> Error {
    // After a redirect it is another server than the one that was asked for that fails.
    let host = Host::of(error.url(), uri);
    // The address may hold credentials; it is told, without them, by the error's target.
    let error = error.without_url();
    let (kind, message) = if error.is_builder() {
        (ErrorKind::Setup, "the request can't be sent as it is".to_owned())
    } else if !error.is_connect() {
        let message = "the connection broke before a reply began, or what came back is not HTTP";
        (ErrorKind::Interrupted, message.to_owned())
    } else if let Some(tls) = find::<rustls::Error>(&error) {
        (ErrorKind::Tls, tls_message(tls, situation, &host))
    } else {
        (ErrorKind::Connect, connect_message(&error, situation, &host))
    };
    Error::new(kind, message).with_source(error)
}

/// The body did not come whole.
pub(crate) fn body_failure(error: reqwest::Error) -> Error {
    Error::new(ErrorKind::BodyCut, "the connection broke before the body was whole")
        .with_source(error.without_url())
}

/// Whom a connection was meant for.
struct Host {
    name: String,
    port: u16,
    is_https: bool,
}

impl Host {
    fn of(url: Option<&reqwest::Url>, uri: &Uri) -> Self {
        let (scheme, name, port) = match url {
            Some(url) => (url.scheme(), url.host_str(), url.port()),
            None => (uri.scheme_str().unwrap_or("https"), uri.host(), uri.port_u16()),
        };
        let is_https = scheme != "http";
        let port = port.unwrap_or(if is_https { 443 } else { 80 });
        Self { name: name.unwrap_or_default().to_owned(), port, is_https }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.name, self.port)
    }
}

fn connect_message(error: &reqwest::Error, situation: &Situation, host: &Host) -> String {
    let mut message = if error.is_timeout() {
        format!("no connection to {host} within {} s", situation.connect_timeout.as_secs_f64())
    } else if error.is_dns() {
        format!("the name {} was not found; is the address right, and the network up?", host.name)
    } else if find::<io::Error>(error).is_some_and(|error| error.kind() == io::ErrorKind::ConnectionRefused) {
        format!("nobody answers at {host}; is the address right?")
    } else {
        format!("no connection to {host} came about")
    };
    let proxied_by = if host.is_https { situation.https_proxy } else { situation.http_proxy };
    if let Some(proxied_by) = proxied_by {
        message.push_str(&format!(" (a proxy is set by {proxied_by}: is it right?)"));
    }
    message
}

fn tls_message(error: &rustls::Error, situation: &Situation, host: &Host) -> String {
    if situation.no_roots {
        return format!(
            "the certificate of {host} can't be checked: this machine has no CA certificates; \
             install its package of them (often named ca-certificates), or name a CA file"
        );
    }
    match error {
        rustls::Error::InvalidCertificate(reason) => {
            let reason = match reason {
                CertificateError::UnknownIssuer => {
                    "was not issued by an authority that is trusted here; \
                     where a company's proxy re-signs traffic, name the company's CA file"
                }
                CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                    "has expired; is this machine's clock right?"
                }
                CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                    "is not valid yet; is this machine's clock right?"
                }
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                    "is for another name; is the address right?"
                }
                _ => "was not accepted",
            };
            format!("the certificate of {host} {reason}")
        }
        rustls::Error::InvalidMessage(_) => {
            format!("what answers at {host} does not speak TLS; should the address begin with http://?")
        }
        _ => format!("no secure connection to {host} came about"),
    }
}

/// The first error of a type in a chain. An [`io::Error`] hides the error that it was made of: its own
/// [`source`](StdError::source) is already the one after.
pub(crate) fn find<'e, T: StdError + 'static>(error: &'e (dyn StdError + 'static)) -> Option<&'e T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<T>() {
            return Some(found);
        }
        let hidden = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        if let Some(found) = hidden.and_then(|hidden| find::<T>(hidden)) {
            return Some(found);
        }
        next = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_has_its_schemes_port_unless_it_names_another() {
        for (address, host, is_https) in [
            ("http://a.test/x", "a.test:80", false),
            ("https://a.test/x", "a.test:443", true),
            ("https://a.test:8443/x", "a.test:8443", true),
        ] {
            let uri: Uri = address.parse().unwrap();
            let url = reqwest::Url::parse(address).unwrap();
            for found in [Host::of(None, &uri), Host::of(Some(&url), &Uri::from_static("http://other.test"))]
            {
                assert_eq!((found.to_string().as_str(), found.is_https), (host, is_https));
            }
        }
    }
}
