//! The port that callers take tokens from, and the token that it hands out.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::HeaderValue;
use jiff::Timestamp;
use zeroize::Zeroizing;

use crate::error::{Error, ErrorKind};
use crate::secret::Secret;

/// A bearer token, ready to be sent.
///
/// Cheap to clone. The header's copy of the token is marked as sensitive, is made once, and can't be zeroed.
#[derive(Clone)]
pub struct Token {
    bearer: Bearer,
    generation: u64,
    remaining: Option<Duration>,
    expires_at: Option<Timestamp>,
}

/// A token's text and its `Authorization` header.
#[derive(Clone)]
pub(crate) struct Bearer {
    value: Secret,
    authorization: HeaderValue,
}

impl Bearer {
    pub(crate) fn new(value: Secret) -> Result<Self, Error> {
        let header = Zeroizing::new(format!("Bearer {}", value.expose()));
        let mut authorization = HeaderValue::from_str(&header).map_err(|_| {
            // Which character it is would be a part of the token.
            Error::new(ErrorKind::BadReply, "the token holds characters that can't stand in a header")
        })?;
        if value.is_empty() {
            return Err(Error::new(ErrorKind::BadReply, "the token is empty"));
        }
        authorization.set_sensitive(true);
        Ok(Self { value, authorization })
    }
}

impl PartialEq for Bearer {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl Token {
    /// A token for a [`TokenSource`] of your own. `generation` tells it from the ones before it: a source must never give
    /// one number to two tokens.
    ///
    /// # Errors
    /// [`ErrorKind::BadReply`] if it is empty or can't stand in a header.
    pub fn new(value: impl Into<Secret>, generation: u64) -> Result<Self, Error> {
        Ok(Self::from_bearer(Bearer::new(value.into())?, generation))
    }

    pub(crate) fn from_bearer(bearer: Bearer, generation: u64) -> Self {
        Self { bearer, generation, remaining: None, expires_at: None }
    }

    /// Says how much life it has left, and when it ends by the wall clock.
    #[must_use]
    pub fn with_life(mut self, remaining: Duration, now: Timestamp) -> Self {
        self.remaining = Some(remaining);
        self.expires_at = now.checked_add(remaining).ok();
        self
    }

    /// The token itself.
    pub fn value(&self) -> &Secret {
        &self.bearer.value
    }

    /// Which of the source's tokens this is; for [`TokenSource::invalidate`].
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The life that it had left when it was handed out, where that is known.
    pub fn remaining(&self) -> Option<Duration> {
        self.remaining
    }

    /// When it ends by this machine's wall clock, where that is known: for people to read, not to reckon with.
    pub fn expires_at(&self) -> Option<Timestamp> {
        self.expires_at
    }

    /// The value of the `Authorization` header, marked as sensitive (contract (a.5)).
    pub fn authorization(&self) -> HeaderValue {
        self.bearer.authorization.clone()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("value", &self.bearer.value)
            .field("generation", &self.generation)
            .field("remaining", &self.remaining)
            .field("expires_at", &self.expires_at)
            .finish()
    }
}

/// Hands out tokens.
///
/// [`TokenCache`](crate::TokenCache) is one; implement it to bring tokens from elsewhere.
#[async_trait]
pub trait TokenSource: Send + Sync {
    /// A token that is believed to live.
    ///
    /// # Errors
    /// [`Error`] when there is none and none could be had.
    async fn token(&self) -> Result<Token, Error>;

    /// Reports that a call with the token of this generation was answered with 401.
    ///
    /// The next [`token`](Self::token) should be another one. A source that hands the same generation out again says that
    /// it has no better one.
    fn invalidate(&self, generation: u64);

    /// Reports that a call with the token of this generation succeeded.
    fn accepted(&self, generation: u64) {
        let _ = generation;
    }
}

macro_rules! delegate {
    ($pointer:ty) => {
        #[async_trait]
        impl<T: TokenSource + ?Sized> TokenSource for $pointer {
            async fn token(&self) -> Result<Token, Error> {
                (**self).token().await
            }

            fn invalidate(&self, generation: u64) {
                (**self).invalidate(generation);
            }

            fn accepted(&self, generation: u64) {
                (**self).accepted(generation);
            }
        }
    };
}

delegate!(Arc<T>);
delegate!(Box<T>);

/// A token from elsewhere, which nobody here can renew. A 401 is handed up as it is.
#[derive(Clone, Debug)]
pub struct FixedToken(Token);

impl FixedToken {
    /// This token, for ever.
    ///
    /// # Errors
    /// [`ErrorKind::BadReply`] if it is empty or can't stand in a header.
    pub fn new(value: impl Into<Secret>) -> Result<Self, Error> {
        Token::new(value, 0).map(Self)
    }
}

#[async_trait]
impl TokenSource for FixedToken {
    async fn token(&self) -> Result<Token, Error> {
        Ok(self.0.clone())
    }

    fn invalidate(&self, _generation: u64) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_shows_everything_but_itself() {
        let token = Token::new("hunter2", 3).unwrap();
        let token = token.with_life(Duration::from_secs(60), Timestamp::UNIX_EPOCH);
        assert_eq!(token.authorization().to_str().unwrap(), "Bearer hunter2");
        let shown = format!("{token:?} {:?}", token.authorization());
        assert!(shown.contains("1970-01-01T00:01:00Z") && !shown.contains("hunter2"), "{shown}");
    }

    #[test]
    fn what_cannot_stand_in_a_header_is_refused_without_being_shown() {
        for wrong in ["", "hunter2\r\nX-Evil: 1", "hunter2\u{7f}"] {
            let error = Token::new(wrong, 0).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::BadReply);
            assert!(!format!("{error:?} {error}").contains("hunter2"));
        }
    }
}
