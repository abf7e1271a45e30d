//! What an export is of, and the form in which it was delivered.

use std::fmt;

/// What an export is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Resource {
    /// Emails, meetings and calls (contract (c)).
    Activities,
    /// Enriched contacts (contract (d)).
    Contacts,
}

impl Resource {
    /// Both, in the order in which they are shown.
    pub const ALL: &'static [Self] = &[Self::Activities, Self::Contacts];

    /// Its name in paths, table names and messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Activities => "activities",
            Self::Contacts => "contacts",
        }
    }

    /// Reads [`as_str`](Self::as_str)'s word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|known| known.as_str() == word)
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The form in which an export was delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SourceFormat {
    /// One JSON object a line; activities (contract (c.3)).
    JsonLines,
    /// CSV with a header; contacts (contract (d.3)).
    Csv,
    /// JSON in any likely wrapping; contacts (contract (j.23)).
    Json,
}
