//! The two token endpoints and the three types of keys.

use std::fmt;

/// A token endpoint (contract (a.1)).
///
/// Their tokens are not interchangeable (contract (j.32)): have one cache for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TokenEndpoint {
    /// `POST /auth/v1/tokens`: for the bulk export (`/pull/v1/…`) and REST (`/v0/public/…`).
    V1,
    /// `POST /v3/auth/tokens`: for the beta APIs (`/v3/beta/…`).
    V3,
}

impl TokenEndpoint {
    /// The path below the base URL.
    pub fn path(self) -> &'static str {
        match self {
            Self::V1 => "/auth/v1/tokens",
            Self::V3 => "/v3/auth/tokens",
        }
    }
}

/// What a key pair was made for (contract (a.4)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyType {
    /// Opens the export of activities.
    Activity,
    /// Opens the export of contacts.
    Object,
    /// Opens the Query API.
    Insight,
}

impl KeyType {
    /// The vendor's word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Activity => "Activity",
            Self::Object => "Object",
            Self::Insight => "Insight",
        }
    }
}

impl fmt::Display for KeyType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
