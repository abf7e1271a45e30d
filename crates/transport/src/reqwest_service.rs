//! The adapter that sends requests over real sockets, by reqwest and rustls.
//!
//! No reqwest type appears in a public signature, so that the library behind the port can change. Bodies are handed on
//! as they come: decompression is the download's business, because only there can a cut be told from an end.

use std::error::Error as StdError;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use http::header::{AUTHORIZATION, CONTENT_LENGTH, COOKIE, LOCATION, PROXY_AUTHORIZATION, TRANSFER_ENCODING};
use http::{HeaderMap, Method, StatusCode, Uri, Version};
use http_body_util::BodyExt as _;
use reqwest::Url;
use tokio::time::timeout;

use crate::body::{Body, UnprovenEnd};
use crate::error::{Error, ErrorKind};
use crate::reqwest_failure::{Situation, body_failure, find, request_failure};
use crate::service::{HttpService, Request, Response};

/// How many redirects in a row are followed.
const REDIRECTS: u32 = 5;
/// For how long a connection without a request is kept: less than the minute after which load balancers close one, as often as
/// not just when it is used again. Less than the usual reply timeout, too: with no earlier timer in the runtime, each request's
/// own would wake a second thread (a twentieth of the time of a small call).
const IDLE: Duration = Duration::from_secs(50);
/// The variables that name a proxy for `http` addresses, and for `https` ones.
const HTTP_PROXIES: [&str; 4] = ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"];
const HTTPS_PROXIES: [&str; 4] = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];

/// Sends requests over HTTP/1.1 or HTTP/2. A cheap clone: all clones share their connections.
///
/// - TLS by rustls, with the machine's own CA certificates and those of [`ca_file`](ReqwestServiceBuilder::ca_file).
/// - A proxy from `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`, unless told otherwise.
/// - Redirects are followed for GET only, at most 5 in a row, never from https to http, and without `Authorization`,
///   cookies or any header marked as sensitive once they lead to another scheme, host or port (contract (j.22)). Any
///   other redirect is handed up as the response that it is.
/// - There is no total timeout: one for the connection, one for the head of the reply.
#[derive(Clone, Debug)]
pub struct ReqwestService {
    client: reqwest::Client,
    reply_timeout: Duration,
    follow_redirects: bool,
    situation: Situation,
}

/// Settings for a [`ReqwestService`].
#[derive(Clone, Debug)]
#[must_use]
pub struct ReqwestServiceBuilder {
    ca_files: Vec<PathBuf>,
    connect_timeout: Duration,
    reply_timeout: Duration,
    follow_redirects: bool,
    user_agent: String,
    proxy: Proxy,
}

#[derive(Clone)]
enum Proxy {
    FromEnvironment,
    None,
    At(String),
}

/// A proxy's address may hold a password.
impl std::fmt::Debug for Proxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::FromEnvironment => "from the environment",
            Self::None => "none",
            Self::At(_) => "given",
        })
    }
}

impl ReqwestService {
    /// The settings, to be changed where the defaults don't fit.
    pub fn builder() -> ReqwestServiceBuilder {
        ReqwestServiceBuilder {
            ca_files: Vec::new(),
            connect_timeout: Duration::from_secs(10),
            reply_timeout: Duration::from_secs(60),
            follow_redirects: true,
            user_agent: concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION")).to_owned(),
            proxy: Proxy::FromEnvironment,
        }
    }

    /// One exchange, no redirects.
    async fn exchange(
        &self,
        request: reqwest::Request,
        target: &(Method, Uri),
    ) -> Result<reqwest::Response, Error> {
        match timeout(self.reply_timeout, self.client.execute(request)).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => Err(request_failure(error, &self.situation, &target.1)),
            Err(_) => {
                let seconds = self.reply_timeout.as_secs_f64();
                Err(Error::new(ErrorKind::Timeout, format!("no reply began within {seconds} s")))
            }
        }
        .map_err(|error| error.with_target(&target.0, &target.1))
    }
}

impl ReqwestServiceBuilder {
    /// Trusts the certificates in this PEM file too: a company proxy's, or a test server's. May be repeated.
    pub fn ca_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.ca_files.push(path.into());
        self
    }

    /// For how long a connection may take to come about, TLS included; 10 s unless set.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// For how long a request may take until the head of its reply has come; 60 s unless set. The body has all the time
    /// that it needs: a [`Download`](crate::Download) watches whether it flows.
    pub fn reply_timeout(mut self, timeout: Duration) -> Self {
        self.reply_timeout = timeout;
        self
    }

    /// Whether redirects are followed, as [`ReqwestService`] says; they are unless told otherwise. Without it a redirect is
    /// handed up as the response that it is, for callers who want to see it.
    pub fn follow_redirects(mut self, follow: bool) -> Self {
        self.follow_redirects = follow;
        self
    }

    /// The `User-Agent` of each request.
    pub fn user_agent(mut self, user_agent: impl Into<String>) -> Self {
        self.user_agent = user_agent.into();
        self
    }

    /// Sends everything through this proxy, such as `http://proxy.example:3128`, whatever the environment says.
    pub fn proxy(mut self, url: impl Into<String>) -> Self {
        self.proxy = Proxy::At(url.into());
        self
    }

    /// Uses no proxy, whatever the environment says.
    pub fn no_proxy(mut self) -> Self {
        self.proxy = Proxy::None;
        self
    }

    /// Makes the service.
    ///
    /// # Errors
    /// [`ErrorKind::Setup`], naming the CA file that can't be read, or the proxy or user agent that is malformed.
    pub fn build(self) -> Result<ReqwestService, Error> {
        let certificates = self.certificates()?;
        let proxy = |variables: [&'static str; 4]| match &self.proxy {
            Proxy::None => None,
            Proxy::At(_) => Some("the settings"),
            Proxy::FromEnvironment => variables
                .into_iter()
                .find(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty())),
        };
        let mut situation = Situation {
            http_proxy: proxy(HTTP_PROXIES),
            https_proxy: proxy(HTTPS_PROXIES),
            no_roots: false,
            connect_timeout: self.connect_timeout,
        };
        let client = match self.client()?.tls_certs_merge(certificates.clone()).build() {
            // A machine without CA certificates, such as a bare container: plain HTTP must work there, and HTTPS must
            // say what is missing.
            Err(error) if certificates.is_empty() && find::<rustls::Error>(&error).is_some() => {
                situation.no_roots = true;
                self.client()?.tls_certs_only([]).build()
            }
            built => built,
        };
        let client = client.map_err(|error| {
            let message = match self.ca_files.as_slice() {
                [] => {
                    format!("the HTTP client could not be set up with the user agent {:?}", self.user_agent)
                }
                files => {
                    format!("the HTTP client could not be set up; are the certificates in {files:?} valid?")
                }
            };
            Error::new(ErrorKind::Setup, message).with_source(error)
        })?;
        Ok(ReqwestService {
            client,
            reply_timeout: self.reply_timeout,
            follow_redirects: self.follow_redirects,
            situation,
        })
    }

    fn client(&self) -> Result<reqwest::ClientBuilder, Error> {
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(self.connect_timeout)
            .pool_idle_timeout(IDLE)
            .user_agent(&self.user_agent);
        Ok(match &self.proxy {
            Proxy::FromEnvironment => client,
            Proxy::None => client.no_proxy(),
            Proxy::At(url) => {
                // The address is not repeated: it may hold a password.
                let malformed = |error: reqwest::Error| {
                    let message =
                        "the proxy's address is malformed; it should look like http://proxy.example:3128";
                    Error::new(ErrorKind::Setup, message).with_source(error.without_url())
                };
                client.proxy(reqwest::Proxy::all(url).map_err(malformed)?)
            }
        })
    }

    fn certificates(&self) -> Result<Vec<reqwest::Certificate>, Error> {
        let mut certificates = Vec::new();
        for file in &self.ca_files {
            certificates.extend(read_certificates(file)?);
        }
        Ok(certificates)
    }
}

fn read_certificates(file: &Path) -> Result<Vec<reqwest::Certificate>, Error> {
    let failed = |what: &str, source: Box<dyn StdError + Send + Sync>| {
        Error::new(ErrorKind::Setup, format!("the CA file {} {what}", file.display())).with_source(source)
    };
    let pem = std::fs::read(file).map_err(|error| failed("can't be read", error.into()))?;
    let certificates = reqwest::Certificate::from_pem_bundle(&pem)
        .map_err(|error| failed("is not a PEM file of certificates", error.into()))?;
    if certificates.is_empty() {
        let message = format!("the CA file {} holds no certificate; it should be PEM text", file.display());
        return Err(Error::new(ErrorKind::Setup, message));
    }
    Ok(certificates)
}

#[async_trait]
impl HttpService for ReqwestService {
    async fn send(&self, request: Request) -> Result<Response, Error> {
        let target = (request.method().clone(), request.uri().clone());
        let mut request = reqwest::Request::try_from(request).map_err(|error| {
            let message =
                "the request can't be sent; is the address a whole one, such as https://api.example/path?";
            Error::new(ErrorKind::Setup, message)
                .with_source(error.without_url())
                .with_target(&target.0, &target.1)
        })?;
        let mut redirects = 0;
        loop {
            // Only a request that may be redirected is kept; its body is empty, so that the copy costs little.
            let may_redirect = self.follow_redirects && target.0 == Method::GET;
            let kept = may_redirect.then(|| request.try_clone()).flatten();
            let response = self.exchange(request, &target).await?;
            let Some((mut next, location)) = kept.zip(location(&response)) else {
                return Ok(into_response(response, &target));
            };
            redirects += 1;
            let next_url = next_hop(response.url(), &location, redirects).map_err(|message| {
                Error::new(ErrorKind::Redirect, message).with_target(&target.0, &target.1)
            })?;
            if next_url.origin() != response.url().origin() {
                drop_secrets(next.headers_mut());
            }
            *next.url_mut() = next_url;
            request = next;
        }
    }
}

/// Where a reply sends the client, if it is a redirect.
fn location(response: &reqwest::Response) -> Option<String> {
    let followed = [
        StatusCode::MOVED_PERMANENTLY,
        StatusCode::FOUND,
        StatusCode::SEE_OTHER,
        StatusCode::TEMPORARY_REDIRECT,
        StatusCode::PERMANENT_REDIRECT,
    ];
    let location = response.headers().get(LOCATION).filter(|_| followed.contains(&response.status()))?;
    location.to_str().ok().map(str::to_owned)
}

/// The next address, or why it is not gone to. Its query is never told: storage services put signatures there.
fn next_hop(from: &Url, location: &str, redirects: u32) -> Result<Url, String> {
    if redirects > REDIRECTS {
        return Err(format!("the server redirected more than {REDIRECTS} times in a row"));
    }
    let next = from.join(location).map_err(|_| "the server redirected to a malformed address".to_owned())?;
    let host = next.host_str().unwrap_or_default();
    match (from.scheme(), next.scheme()) {
        ("https", "http") => {
            Err(format!("the server redirected from https to plain http at {host}; that is not followed"))
        }
        (_, "http" | "https") => Ok(next),
        (_, scheme) => Err(format!("the server redirected to an address that is not HTTP ({scheme})")),
    }
}

/// Takes out what another server must not learn.
fn drop_secrets(headers: &mut HeaderMap) {
    let sensitive = headers.iter().filter(|(_, value)| value.is_sensitive()).map(|(name, _)| name.clone());
    let secret: Vec<_> = sensitive.chain([AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION]).collect();
    for name in secret {
        headers.remove(name);
    }
}

fn into_response(response: reqwest::Response, target: &(Method, Uri)) -> Response {
    let mut response: http::Response<reqwest::Body> = response.into();
    let headers = response.headers();
    let framed = headers.contains_key(CONTENT_LENGTH) || headers.contains_key(TRANSFER_ENCODING);
    let bodiless = matches!(response.status(), StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    if response.version() <= Version::HTTP_11 && !framed && !bodiless {
        response.extensions_mut().insert(UnprovenEnd);
    }
    let target = target.clone();
    response.map(|body| {
        Body::new(body.map_err(move |error| body_failure(error).with_target(&target.0, &target.1)))
    })
}
