//! API key pairs and what each type of key opens. Source: contract (a.4), (j.29).

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, ErrorKind};

/// What a key pair may be used for. Source: contract (a.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KeyType {
    /// Opens `…/export/activities`.
    Activity,
    /// Opens `…/export/contacts`.
    Object,
    /// Opens the Query API, and so no export.
    Insight,
    /// Opens everything; no such type is documented, it is a convenience of the simulator.
    Any,
}

impl KeyType {
    /// The word that [`FromStr`] reads.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Activity => "activity",
            Self::Object => "object",
            Self::Insight => "insight",
            Self::Any => "any",
        }
    }

    pub(crate) fn opens(self, wanted: KeyType) -> bool {
        self == Self::Any || self == wanted
    }
}

impl fmt::Display for KeyType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for KeyType {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        [Self::Activity, Self::Object, Self::Insight, Self::Any]
            .into_iter()
            .find(|known| known.as_str().eq_ignore_ascii_case(text))
            .ok_or_else(|| {
                Error::new(
                    ErrorKind::InvalidKey,
                    format!("`{text}` is not a type of key; use activity, object, insight or any"),
                )
            })
    }
}

/// An API key pair: an id, its secret, and the type that says what it opens.
#[derive(Clone, PartialEq, Eq)]
pub struct Key {
    key_type: KeyType,
    id: String,
    secret: String,
}

impl Key {
    /// A key pair of type `key_type`.
    pub fn new(key_type: KeyType, id: impl Into<String>, secret: impl Into<String>) -> Self {
        Self { key_type, id: id.into(), secret: secret.into() }
    }

    /// What the key opens.
    pub fn key_type(&self) -> KeyType {
        self.key_type
    }

    /// The key's id, which a client sends as `client_id`.
    pub fn id(&self) -> &str {
        &self.id
    }

    pub(crate) fn is_secret(&self, given: &str) -> bool {
        self.secret == given
    }

    /// The keys that a simulator has unless it is given others: `sim-activity`, `sim-object`, `sim-insight`, and
    /// `sim-key`, which opens everything. The secret of each is `sim-secret`.
    pub fn defaults() -> Vec<Key> {
        [
            (KeyType::Activity, "sim-activity"),
            (KeyType::Object, "sim-object"),
            (KeyType::Insight, "sim-insight"),
            (KeyType::Any, "sim-key"),
        ]
        .map(|(key_type, id)| Key::new(key_type, id, "sim-secret"))
        .into()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("key_type", &self.key_type)
            .field("id", &self.id)
            .field("secret", &"***")
            .finish()
    }
}

impl FromStr for Key {
    type Err = Error;

    /// Reads `TYPE:ID:SECRET`; the secret may hold colons. The refused text is not repeated, as it may hold a secret.
    fn from_str(text: &str) -> Result<Self, Error> {
        let mut parts = text.splitn(3, ':');
        match (parts.next(), parts.next(), parts.next()) {
            (Some(kind), Some(id), Some(secret)) if !id.is_empty() && !secret.is_empty() => {
                Ok(Self::new(kind.parse()?, id, secret))
            }
            _ => Err(Error::new(
                ErrorKind::InvalidKey,
                "a key is written TYPE:ID:SECRET, such as activity:my-key:my-secret",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_from_its_text_and_never_shows_its_secret() {
        let key: Key = "object:k1:a:b".parse().unwrap();
        assert_eq!((key.key_type(), key.id()), (KeyType::Object, "k1"));
        assert!(key.is_secret("a:b"));
        assert!(!format!("{key:?}").contains("a:b"));
        for wrong in ["object:k1", "object::s", "nonsense:k:hunter2"] {
            let error = wrong.parse::<Key>().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidKey);
            assert!(!error.to_string().contains("hunter2"));
        }
    }
}
