//! The crate's one error type: why no token could be had, and what to do about it.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;

/// Why no token could be had.
///
/// One failed fetch is shared by everybody who waited for it, so the type is cheap to clone. It is opaque so that it can
/// grow: branch on [`Error::kind`] and the predicates. `Display` tells this layer's story only, the cause is in
/// [`source`](StdError::source), and [`Error::hint`] says what to do. No secret and no token is ever in it.
#[derive(Clone)]
pub struct Error(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    message: String,
    hint: Option<Cow<'static, str>>,
    status: Option<StatusCode>,
    transient: bool,
    asked_pause: Option<Duration>,
    retry_in: Option<Duration>,
    /// It is told from memory: nothing was tried.
    remembered: bool,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

/// The classes of [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The base URL or a token can't be used as it is written.
    Setup,
    /// A secret could not be read from where it is kept.
    Credentials,
    /// The token endpoint refused every key pair (400, 401 or 403, contract (h.2)).
    Rejected,
    /// The token endpoint could not be reached, or broke off before its reply was whole.
    Unreachable,
    /// The token endpoint is there but can't serve now (429 or 5xx).
    Unavailable,
    /// Something answered that is not the token endpoint, or not in its words.
    BadReply,
    /// The token endpoint serves one and the same expired token again and again (contract (a.3)).
    Stale,
    /// The token can't be read as a JWT, so it has no claims to show.
    UnreadableToken,
    /// No Tokio runtime to fetch on, or it is shutting down.
    NoRuntime,
    /// The issuer of a user's own making failed.
    Issuer,
}

impl Error {
    /// An error of this kind; `message` says what was tried, on what, and why it failed.
    ///
    /// For issuers of your own ([`TokenIssuer`](crate::TokenIssuer)). Failures to reach or to be served are transient
    /// unless [said otherwise](Self::with_transient).
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        let transient = matches!(kind, ErrorKind::Unreachable | ErrorKind::Unavailable | ErrorKind::Stale);
        Self(Arc::new(Inner {
            kind,
            message: message.into(),
            hint: None,
            status: None,
            transient,
            asked_pause: None,
            retry_in: None,
            remembered: false,
            source: None,
        }))
    }

    fn change(self, change: impl FnOnce(&mut Inner)) -> Self {
        let mut inner = Arc::unwrap_or_clone(self.0);
        change(&mut inner);
        Self(Arc::new(inner))
    }

    /// Adds the cause.
    #[must_use]
    pub fn with_source(self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.change(|inner| inner.source = Some(Arc::new(source)))
    }

    /// Says what a person can do about it.
    #[must_use]
    pub fn with_hint(self, hint: impl Into<Cow<'static, str>>) -> Self {
        self.change(|inner| inner.hint = Some(hint.into()))
    }

    /// Overrides whether the same attempt may succeed later.
    #[must_use]
    pub fn with_transient(self, transient: bool) -> Self {
        self.change(|inner| inner.transient = transient)
    }

    /// Says for how long the issuer asks to be left alone.
    #[must_use]
    pub fn with_asked_pause(self, pause: Duration) -> Self {
        self.change(|inner| inner.asked_pause = Some(pause))
    }

    pub(crate) fn with_message(self, message: String) -> Self {
        self.change(|inner| inner.message = message)
    }

    pub(crate) fn with_status(self, status: StatusCode) -> Self {
        self.change(|inner| inner.status = Some(status))
    }

    pub(crate) fn with_retry_in(self, retry_in: Duration) -> Self {
        self.change(|inner| inner.retry_in = Some(retry_in))
    }

    /// The failure of an earlier attempt, and how long until there is another one.
    pub(crate) fn remembered(self, retry_in: Duration) -> Self {
        self.with_retry_in(retry_in).change(|inner| inner.remembered = true)
    }

    /// Which class of error this is.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// What a person can do about it, where that is known.
    pub fn hint(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// The status of the token endpoint's reply, where it replied.
    pub fn status(&self) -> Option<StatusCode> {
        self.0.status
    }

    /// For how long the issuer asked to be left alone (`Retry-After`).
    pub fn asked_pause(&self) -> Option<Duration> {
        self.0.asked_pause
    }

    /// How long until the cache asks the token endpoint again, where the failure comes from a cache.
    pub fn retry_in(&self) -> Option<Duration> {
        self.0.retry_in
    }

    /// Whether the credentials are at fault: refused, or not to be read. Trying again won't help before they change.
    ///
    /// *Troubleshooting:* see [`Error::hint`]: a secret that was not copied whole, a key that was paused or revoked.
    pub fn is_rejected(&self) -> bool {
        matches!(self.0.kind, ErrorKind::Rejected | ErrorKind::Credentials)
    }

    /// Whether the token endpoint could not be reached at all.
    ///
    /// *Troubleshooting:* check the base URL, the proxy and the CA bundle; the cause is in the source.
    pub fn is_unreachable(&self) -> bool {
        self.0.kind == ErrorKind::Unreachable
    }

    /// Whether the same attempt may succeed later without anybody doing anything.
    ///
    /// *Troubleshooting:* the cache goes on by itself with the next call, no more often than its backoff says.
    pub fn is_transient(&self) -> bool {
        self.0.transient
    }

    /// Finds this crate's error in the chain of another, such as the one that [`Authorised`](crate::Authorised) fails
    /// with.
    pub fn find<'e>(error: &'e (dyn StdError + 'static)) -> Option<&'e Self> {
        let mut link = Some(error);
        while let Some(error) = link {
            if let Some(found) = error.downcast_ref() {
                return Some(found);
            }
            link = error.source();
        }
        None
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)?;
        match self.0.retry_in.filter(|_| self.0.remembered) {
            Some(wait) => {
                write!(f, " (this happened before; it is tried again in {:.1} s)", wait.as_secs_f64())
            }
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("message", &self.0.message)
            .field("status", &self.0.status)
            .field("transient", &self.0.transient)
            .field("source", &self.0.source)
            .finish_non_exhaustive()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use backstory_transport as transport;

    use super::*;

    #[test]
    fn the_text_is_this_layers_only_and_the_cause_is_in_the_chain() {
        let cause = transport::Error::new(transport::ErrorKind::Connect, "nobody answers at 127.0.0.1:9");
        let error = Error::new(ErrorKind::Unreachable, "no reply from the token endpoint").with_source(cause);
        assert_eq!(error.to_string(), "no reply from the token endpoint");
        assert_eq!(error.source().unwrap().to_string(), "nobody answers at 127.0.0.1:9");
        assert!(error.is_transient() && error.is_unreachable() && !error.is_rejected());
    }

    #[test]
    fn it_is_found_in_the_chain_of_another_error() {
        let inner = Error::new(ErrorKind::Rejected, "refused");
        let outer =
            transport::Error::new(transport::ErrorKind::Layer, "no token could be had").with_source(inner);
        assert_eq!(Error::find(&outer).unwrap().kind(), ErrorKind::Rejected);
        assert!(Error::find(&std::fmt::Error).is_none());
    }

    #[test]
    fn a_remembered_failure_says_when_it_is_tried_again() {
        let error = Error::new(ErrorKind::Unavailable, "HTTP 503").with_retry_in(Duration::from_secs(3));
        assert_eq!(
            (error.to_string().as_str(), error.retry_in()),
            ("HTTP 503", Some(Duration::from_secs(3)))
        );
        let error = error.remembered(Duration::from_millis(2_500));
        assert_eq!(error.to_string(), "HTTP 503 (this happened before; it is tried again in 2.5 s)");
    }

    #[test]
    fn an_error_is_one_pointer() {
        assert_eq!(size_of::<Error>(), size_of::<usize>());
    }
}
