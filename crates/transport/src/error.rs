//! The crate's one error type: what was tried, on what, how often, for how long, and whether the request may have
//! reached the server.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use http::{Method, Uri};

use crate::refusal::Refusal;

/// Why a call or a download did not complete.
///
/// A reply with an error status is not an error of [`HttpService::send`](crate::HttpService::send); it is a response.
/// The type is opaque so that it can grow: branch on [`Error::kind`] and the predicates. `Display` tells this layer's
/// story only; the cause is in [`source`](StdError::source).
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    /// Without credentials.
    target: Option<(Method, Uri)>,
    attempts: u32,
    elapsed: Option<Duration>,
    may_have_been_sent: bool,
    retryable: bool,
    asked_pause: Option<Duration>,
    message: String,
    refusal: Option<Box<Refusal>>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// The classes of [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The client or the request could not be set up: a malformed address, header, proxy or certificate file.
    Setup,
    /// No connection came about: the name wasn't found, or nobody listens. Nothing was sent.
    Connect,
    /// The server's certificate was not accepted. Nothing was sent.
    Tls,
    /// No reply began within the time allowed.
    Timeout,
    /// The connection broke before the reply began. The server may have acted on the request.
    Interrupted,
    /// The server redirected in circles, to nowhere, or to where it is not safe to follow.
    Redirect,
    /// The body ended before it was whole, or its framing was torn.
    BodyCut,
    /// The body stopped flowing.
    BodyStalled,
    /// The body is longer than what was announced, or than what the caller allows.
    BodyTooLong,
    /// The body can't be decompressed, or restarted with other bytes than before.
    BodyCorrupt,
    /// A download was answered with an error status; [`Error::refusal`] has the reply.
    Refused,
    /// The place that a download is written to failed: a full disk, a missing folder.
    Destination,
    /// A layer stopped the request before it was sent: no token could be had, a budget is used up.
    Layer,
}

impl Error {
    /// An error of this kind; `message` says what went wrong and, where there is a remedy, what to do.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        let retryable = matches!(
            kind,
            ErrorKind::Connect
                | ErrorKind::Timeout
                | ErrorKind::Interrupted
                | ErrorKind::BodyCut
                | ErrorKind::BodyStalled
        );
        let unsent =
            matches!(kind, ErrorKind::Setup | ErrorKind::Connect | ErrorKind::Tls | ErrorKind::Layer);
        Self(Box::new(Inner {
            kind,
            target: None,
            attempts: 1,
            elapsed: None,
            may_have_been_sent: !unsent,
            retryable,
            asked_pause: None,
            message: message.into(),
            refusal: None,
            source: None,
        }))
    }

    /// Adds the cause.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Says what was tried. Credentials inside the address are left out.
    #[must_use]
    pub fn with_target(mut self, method: &Method, uri: &Uri) -> Self {
        self.0.target = Some((method.clone(), without_credentials(uri)));
        self
    }

    /// Says how often it was tried, and for how long in all.
    #[must_use]
    pub fn with_attempts(mut self, attempts: u32, elapsed: Duration) -> Self {
        self.0.attempts = attempts;
        self.0.elapsed = Some(elapsed);
        self
    }

    /// Overrides whether another attempt may help.
    #[must_use]
    pub fn with_retryable(mut self, retryable: bool) -> Self {
        self.0.retryable = retryable;
        self
    }

    /// Says for how long another attempt is of no use: the layer that failed would fail again at once.
    #[must_use]
    pub fn with_asked_pause(mut self, pause: Duration) -> Self {
        self.0.asked_pause = Some(pause);
        self
    }

    /// Overrides whether the server may have received the request.
    #[must_use]
    pub fn with_may_have_been_sent(mut self, may_have_been_sent: bool) -> Self {
        self.0.may_have_been_sent = may_have_been_sent;
        self
    }

    /// A download that was answered with an error status.
    pub fn refused(refusal: Refusal) -> Self {
        let mut error = Self::new(ErrorKind::Refused, refusal.to_string());
        error.0.retryable = refusal.is_transient();
        error.0.refusal = Some(Box::new(refusal));
        error
    }

    /// Which class of error this is.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// How often the request was tried; at least 1.
    pub fn attempts(&self) -> u32 {
        self.0.attempts
    }

    /// How long all attempts took together, pauses included, where a layer has measured it.
    pub fn elapsed(&self) -> Option<Duration> {
        self.0.elapsed
    }

    /// For how long another attempt is of no use, where the layer that failed says so.
    pub fn asked_pause(&self) -> Option<Duration> {
        self.0.asked_pause
    }

    /// The method and address that were tried, where known; the address without credentials.
    pub fn target(&self) -> Option<(&Method, &Uri)> {
        self.0.target.as_ref().map(|(method, uri)| (method, uri))
    }

    /// The reply, when a download was answered with an error status.
    pub fn refusal(&self) -> Option<&Refusal> {
        self.0.refusal.as_deref()
    }

    /// Whether the server may have received the request, and so may have acted on it.
    ///
    /// *Troubleshooting:* when this is true for a call that is not safe to repeat, look at what the server has before
    /// you send it again.
    pub fn may_have_been_sent(&self) -> bool {
        self.0.may_have_been_sent
    }

    /// Whether the same call may succeed when it is sent again, as far as the failure itself tells; whether it *may* be
    /// sent again is the call's class.
    ///
    /// *Troubleshooting:* the retry layer has tried already; look at the network, the proxy, and the vendor's status
    /// page, and run the command again.
    pub fn is_retryable(&self) -> bool {
        self.0.retryable
    }

    /// Whether it took too long: no reply in time, or a body that stopped flowing.
    ///
    /// *Troubleshooting:* a proxy or a firewall that holds connections open looks like this.
    pub fn is_timeout(&self) -> bool {
        matches!(self.0.kind, ErrorKind::Timeout | ErrorKind::BodyStalled)
    }

    /// Whether no connection came about at all.
    ///
    /// *Troubleshooting:* check the base URL, `HTTPS_PROXY`, and, for [`ErrorKind::Tls`], the CA bundle.
    pub fn is_connect(&self) -> bool {
        matches!(self.0.kind, ErrorKind::Connect | ErrorKind::Tls)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((method, uri)) = &self.0.target {
            write!(f, "{method} {uri}: ")?;
        }
        f.write_str(&self.0.message)?;
        match (self.0.attempts, self.0.elapsed) {
            (attempts @ 2.., Some(elapsed)) => {
                write!(f, " ({attempts} attempts in {:.1} s)", elapsed.as_secs_f64())
            }
            (attempts @ 2.., None) => write!(f, " ({attempts} attempts)"),
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("message", &format_args!("{self}"))
            .field("may_have_been_sent", &self.0.may_have_been_sent)
            .field("source", &self.0.source)
            .finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

/// An address without what may stand before its host.
fn without_credentials(uri: &Uri) -> Uri {
    let Some((_, host)) = uri.authority().and_then(|authority| authority.as_str().rsplit_once('@')) else {
        return uri.clone();
    };
    let mut parts = uri.clone().into_parts();
    parts.authority = host.parse().ok();
    // What stands behind the `@` of an address is a host. If it ever were none, no address is better than the whole one.
    Uri::from_parts(parts).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_names_the_call_the_failure_and_the_attempts_but_no_credentials() {
        let uri: Uri = "http://user:hunter2@127.0.0.1:9/pull/v1?fragment=1".parse().unwrap();
        let error = Error::new(ErrorKind::Connect, "nobody answers")
            .with_target(&Method::GET, &uri)
            .with_attempts(3, Duration::from_millis(1_250));
        assert_eq!(
            error.to_string(),
            "GET http://127.0.0.1:9/pull/v1?fragment=1: nobody answers (3 attempts in 1.2 s)"
        );
        assert!(!format!("{error:?}").contains("hunter2"));
        assert!(error.is_retryable() && error.is_connect() && !error.may_have_been_sent());
    }

    #[test]
    fn no_form_of_address_keeps_its_credentials() {
        for (with, without) in [
            ("http://user:hunter2@host.test:8080/x?y=a@b", "http://host.test:8080/x?y=a@b"),
            ("https://hunter2@[::1]:9", "https://[::1]:9/"),
            ("user:hunter2@host.test:443", "host.test:443"),
            ("http://host.test/@", "http://host.test/@"),
            ("/pull/v1?a=b@c", "/pull/v1?a=b@c"),
            ("*", "*"),
        ] {
            let error = Error::new(ErrorKind::Connect, "").with_target(&Method::GET, &with.parse().unwrap());
            assert_eq!(error.target().unwrap(), (&Method::GET, &without.parse().unwrap()));
            assert_eq!(error.to_string(), format!("GET {without}: "));
        }
    }
}
