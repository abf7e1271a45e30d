//! The port to whatever issues tokens: the vendor's token endpoint, or a vault of one's own.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::error::Error;
use crate::secret::Secret;

/// A token as it was issued just now.
#[derive(Clone, Debug)]
pub struct IssuedToken {
    pub(crate) value: Secret,
    pub(crate) expires_in: Option<Duration>,
    pub(crate) server_time: Option<Timestamp>,
}

impl IssuedToken {
    /// A token of which nothing else is known. If it is a JWT its life is read from its `exp`; else it is believed to live
    /// for five minutes.
    pub fn new(value: impl Into<Secret>) -> Self {
        Self { value: value.into(), expires_in: None, server_time: None }
    }

    /// The life that it has left, counted from now (`expires_in`, contract (a.2)).
    #[must_use]
    pub fn with_expires_in(mut self, life: Duration) -> Self {
        self.expires_in = Some(life);
        self
    }

    /// The issuer's own time, which an `exp` is compared with rather than with this machine's clock.
    #[must_use]
    pub fn with_server_time(mut self, time: Timestamp) -> Self {
        self.server_time = Some(time);
        self
    }
}

/// Issues tokens.
///
/// A [`TokenCache`](crate::TokenCache) asks it when it needs a token: never twice at the same time, and after a failure
/// no more often than its backoff says. Implement it for a vault of your own.
#[async_trait]
pub trait TokenIssuer: Send + Sync {
    /// Fetches one token.
    ///
    /// # Errors
    /// [`Error`] when none could be had; [`Error::is_transient`] tells the callers whether asking again may help.
    async fn issue(&self) -> Result<IssuedToken, Error>;
}

#[async_trait]
impl<T: TokenIssuer + ?Sized> TokenIssuer for Arc<T> {
    async fn issue(&self) -> Result<IssuedToken, Error> {
        (**self).issue().await
    }
}

#[async_trait]
impl<T: TokenIssuer + ?Sized> TokenIssuer for Box<T> {
    async fn issue(&self) -> Result<IssuedToken, Error> {
        (**self).issue().await
    }
}
