//! The OAuth 2.0 client credentials flow against one of the two token endpoints (contract (a.1)), with a stand-by pair.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use backstory_transport::{
    CallClass, Error as TransportError, ErrorKind as TransportErrorKind, HttpService, Refusal, Request,
    http_date,
};
use http::header::{ACCEPT, CONTENT_TYPE, DATE};
use http::{HeaderMap, StatusCode, Uri};
use jiff::Timestamp;

use crate::credentials::{Credentials, CredentialsSource};
use crate::endpoint::{KeyType, TokenEndpoint};
use crate::error::{Error, ErrorKind};
use crate::issuer::{IssuedToken, TokenIssuer};
use crate::{form, reply};

/// The longest reply that is read: a token is a few kilobytes at most.
const LONGEST_REPLY: usize = 64 << 10;
/// How much of an error body is kept: less than what is read of it by more than the length of a secret.
const KEPT_OF_REFUSAL: usize = 4 << 10;
/// For how long the rest of a reply is waited for once it has begun.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// Gets tokens for API key pairs from one of the vendor's token endpoints.
///
/// The pair is sent in the body, percent-encoded, always with `grant_type` (contract (a.1)). Only the status decides
/// what a reply means (contract (h.1)). It makes one attempt each time that it is asked: a [`TokenCache`](crate::TokenCache)
/// paces them by its backoff, which a service that retries would undercut.
///
/// A refused pair is read again from its source, in case it has changed. Then the [stand-by](Self::stand_by) pair has
/// its turn, and stays in use until it is refused in turn, so that pairs can be rotated by pausing or revoking one.
pub struct ClientCredentialsFlow {
    service: Box<dyn HttpService>,
    uri: Uri,
    key_type: Option<KeyType>,
    pairs: Vec<Pair>,
    /// The pair that worked last.
    preferred: AtomicUsize,
}

/// A key pair's source and, while it works, what was read from it.
struct Pair {
    source: Box<dyn CredentialsSource>,
    working: Mutex<Option<Credentials>>,
}

impl Pair {
    fn new(source: impl CredentialsSource + 'static) -> Self {
        Self { source: Box::new(source), working: Mutex::new(None) }
    }

    fn working(&self) -> Option<Credentials> {
        self.working.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_working(&self, credentials: Option<Credentials>) {
        *self.working.lock().unwrap_or_else(PoisonError::into_inner) = credentials;
    }
}

impl ClientCredentialsFlow {
    /// Asks `endpoint` below `base_url` by way of `service`.
    ///
    /// # Errors
    /// [`ErrorKind::Setup`] unless `base_url` is an absolute `http` or `https` address.
    pub fn new(
        service: impl HttpService + 'static,
        base_url: &Uri,
        endpoint: TokenEndpoint,
        credentials: impl CredentialsSource + 'static,
    ) -> Result<Self, Error> {
        Ok(Self {
            service: Box::new(service),
            uri: below(base_url, endpoint)?,
            key_type: None,
            pairs: vec![Pair::new(credentials)],
            preferred: AtomicUsize::new(0),
        })
    }

    /// Says which type of key the pairs are, for messages.
    #[must_use]
    pub fn key_type(mut self, key_type: KeyType) -> Self {
        self.key_type = Some(key_type);
        self
    }

    /// Adds a pair that stands by in case that the ones before it are refused.
    #[must_use]
    pub fn stand_by(mut self, credentials: impl CredentialsSource + 'static) -> Self {
        self.pairs.push(Pair::new(credentials));
        self
    }

    /// Gets a token for one pair; a pair that was read earlier is read again before its refusal is final.
    async fn issue_for(&self, pair: &Pair) -> Result<IssuedToken, Error> {
        let Some(known) = pair.working() else {
            let read = pair.source.read().await?;
            return self.issue_with(pair, read).await;
        };
        let refused = match self.issue_with(pair, known.clone()).await {
            Err(error) if error.kind() == ErrorKind::Rejected => error,
            settled => return settled,
        };
        match pair.source.read().await {
            Ok(changed) if changed != known => self.issue_with(pair, changed).await,
            // That it can't be read any more matters less than that it is refused; the log has both.
            Err(error) => {
                tracing::warn!(client_id = pair.source.client_id(), error = %error, "could not read a refused secret again");
                Err(refused)
            }
            Ok(_) => Err(refused),
        }
    }

    async fn issue_with(&self, pair: &Pair, credentials: Credentials) -> Result<IssuedToken, Error> {
        let issued = self.ask(&credentials).await;
        match &issued {
            Ok(_) => pair.set_working(Some(credentials)),
            Err(error) if error.kind() == ErrorKind::Rejected => pair.set_working(None),
            Err(_) => {}
        }
        issued
    }

    async fn ask(&self, credentials: &Credentials) -> Result<IssuedToken, Error> {
        let response =
            self.service.send(self.request(credentials)?).await.map_err(|error| self.unreachable(error))?;
        if !response.status().is_success() {
            return Err(self.refused(Refusal::read(response).await, credentials));
        }
        let (head, body) = response.into_parts();
        let body = tokio::time::timeout(BODY_TIMEOUT, body.collect(LONGEST_REPLY)).await.map_err(|_| {
            let message =
                format!("the reply of {} began and did not end within {BODY_TIMEOUT:?}", self.shown());
            Error::new(ErrorKind::Unreachable, message)
        })?;
        let body = body.map_err(|error| self.unreachable(error))?;
        let issued = reply::read(body, credentials.client_secret()).map_err(|error| {
            let text = format!("{} answered with HTTP {}, but {error}", self.shown(), head.status.as_u16());
            Error::new(ErrorKind::BadReply, text).with_hint(WRONG_PLACE).with_status(head.status)
        })?;
        Ok(match date(&head.headers) {
            Some(server_time) => issued.with_server_time(server_time),
            None => issued,
        })
    }

    fn request(&self, credentials: &Credentials) -> Result<Request, Error> {
        http::Request::post(self.uri.clone())
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(ACCEPT, "application/json")
            .extension(CallClass::Idempotent)
            .extension(credentials.client_secret().redaction())
            .body(form::token_request(credentials))
            .map_err(|error| {
                Error::new(ErrorKind::Setup, format!("no request can be made to {}", self.shown()))
                    .with_source(error)
            })
    }

    fn unreachable(&self, error: TransportError) -> Error {
        let kind = match error.kind() {
            TransportErrorKind::Setup => ErrorKind::Setup,
            TransportErrorKind::BodyTooLong | TransportErrorKind::BodyCorrupt => ErrorKind::BadReply,
            _ => ErrorKind::Unreachable,
        };
        let transient = error.is_retryable();
        let hint = if kind == ErrorKind::Unreachable { UNREACHABLE } else { WRONG_PLACE };
        Error::new(kind, format!("no token came from {}", self.shown()))
            .with_transient(transient)
            .with_hint(hint)
            .with_source(error)
    }

    /// What a reply with an error status means: the status alone decides (contract (h.1)).
    fn refused(&self, refusal: Refusal, credentials: &Credentials) -> Error {
        // A server may echo what it was sent. Before anything is shortened, or a half secret would remain.
        let mut refusal = refusal.redacted(&credentials.client_secret().redaction());
        // The end of what was read may be half a secret, which is not always recognised as one.
        refusal.raw.truncate(refusal.raw.floor_char_boundary(KEPT_OF_REFUSAL));
        let status = refusal.status;
        let error = match status {
            StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                let kind =
                    self.key_type.map_or_else(|| "key".to_owned(), |key_type| format!("{key_type} key"));
                let id = credentials.client_id();
                let message = format!("{} refused the {kind} `{id}` with {refusal}", self.shown());
                Error::new(ErrorKind::Rejected, message).with_hint(REFUSED_KEY)
            }
            _ if status.is_server_error() || refusal.is_transient() => {
                let message = format!("{} can't issue a token now: {refusal}", self.shown());
                Error::new(ErrorKind::Unavailable, message)
                    .with_transient(refusal.is_transient())
                    .with_hint("wait and try again; if it lasts, see the vendor's status page")
            }
            _ => Error::new(ErrorKind::BadReply, format!("{} answered with {refusal}", self.shown()))
                .with_hint(WRONG_PLACE),
        };
        let error = error.with_status(status);
        match refusal.retry_delay() {
            Some(pause) => error.with_asked_pause(pause),
            None => error,
        }
    }

    /// The address without what may stand before its host.
    fn shown(&self) -> String {
        let host = self.uri.authority().map_or("", |authority| authority.as_str());
        let host = host.rsplit('@').next().unwrap_or_default();
        format!("{}://{host}{}", self.uri.scheme_str().unwrap_or_default(), self.uri.path())
    }
}

const REFUSED_KEY: &str = "check that id and secret belong together and were copied whole, and that the key was not \
    paused or revoked (Settings > API Key Management); a key opens only the API type that it was made for: Activity \
    keys the activities, Object keys the contacts, Insight keys the Query API";
const UNREACHABLE: &str = "check the base URL, the network, the proxy and the CA bundle";
const WRONG_PLACE: &str = "check the base URL, and whether a proxy or a gateway stands in between";

#[async_trait]
impl TokenIssuer for ClientCredentialsFlow {
    async fn issue(&self) -> Result<IssuedToken, Error> {
        let first = self.preferred.load(Ordering::Relaxed);
        let mut order = (0..self.pairs.len()).map(|step| (first + step) % self.pairs.len()).peekable();
        let mut failures = Vec::new();
        while let Some(at) = order.next() {
            let pair = &self.pairs[at];
            let error = match self.issue_for(pair).await {
                Ok(issued) => {
                    self.preferred.store(at, Ordering::Relaxed);
                    return Ok(issued);
                }
                // Another pair would meet with the same.
                Err(error) if !error.is_rejected() => return Err(error),
                Err(error) => error,
            };
            if let Some(next) = order.peek() {
                tracing::warn!(
                    client_id = pair.source.client_id(),
                    stand_by = self.pairs[*next].source.client_id(),
                    error = %error,
                    "a key pair can't be used any more; moving to the pair that stands by"
                );
            }
            failures.push(error);
        }
        Err(all_refused(failures))
    }
}

/// One error for all pairs; a refusal by the server weighs more than a secret that could not be read.
fn all_refused(mut failures: Vec<Error>) -> Error {
    let main = failures.iter().position(|error| error.kind() == ErrorKind::Rejected).unwrap_or_default();
    if failures.len() < 2 {
        return failures
            .pop()
            .unwrap_or_else(|| Error::new(ErrorKind::Setup, "there is no key pair to get a token with"));
    }
    let message = failures.iter().map(Error::to_string).collect::<Vec<_>>().join("; and ");
    let main = failures.swap_remove(main);
    main.with_message(format!("none of the key pairs can be used: {message}"))
}

fn below(base_url: &Uri, endpoint: TokenEndpoint) -> Result<Uri, Error> {
    let path = format!("{}{}", base_url.path().trim_end_matches('/'), endpoint.path());
    match (base_url.scheme_str(), base_url.authority()) {
        (Some(scheme @ ("http" | "https")), Some(authority)) => {
            Uri::builder().scheme(scheme).authority(authority.clone()).path_and_query(path).build().map_err(
                |error| {
                    Error::new(ErrorKind::Setup, "the base URL can't be used for the token endpoint")
                        .with_source(error)
                },
            )
        }
        _ => Err(Error::new(ErrorKind::Setup, "the base URL is not absolute")
            .with_hint("write it with its scheme, such as https://api.people.ai")),
    }
}

/// The server's time, from its `Date` header.
fn date(headers: &HeaderMap) -> Option<Timestamp> {
    http_date(headers.get(DATE)?.to_str().ok()?)
}

impl fmt::Debug for ClientCredentialsFlow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids: Vec<_> = self.pairs.iter().map(|pair| pair.source.client_id()).collect();
        f.debug_struct("ClientCredentialsFlow")
            .field("endpoint", &self.shown())
            .field("key_type", &self.key_type)
            .field("client_ids", &ids)
            .finish_non_exhaustive()
    }
}
