//! Destination URLs: which destination, and where.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::error::{Error, ErrorKind};

/// Where a sync goes.
///
/// | URL | destination |
/// |---|---|
/// | `DIR`, `file://DIR` | a lake of Parquet files in a folder |
/// | `delta:DIR`, `delta+s3://…`, `delta+gs://…`, `delta+az://…` | Delta Lake |
/// | `sqlite:FILE`, `sqlite://FILE` | SQLite |
/// | `postgres://…`, `postgresql://…` | PostgreSQL |
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum DestinationUrl {
    /// A folder of Parquet files.
    Lake(PathBuf),
    /// Delta tables below a folder or an object store's URL (without `delta+`).
    Delta(String),
    /// A file of SQLite.
    Sqlite(PathBuf),
    /// A PostgreSQL database; the whole URL, which may hold a password.
    Postgres(String),
}

impl DestinationUrl {
    /// The destination's kind: `lake`, `delta`, `sqlite` or `postgres`.
    pub fn scheme(&self) -> &'static str {
        match self {
            Self::Lake(_) => "lake",
            Self::Delta(_) => "delta",
            Self::Sqlite(_) => "sqlite",
            Self::Postgres(_) => "postgres",
        }
    }
}

impl FromStr for DestinationUrl {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let refused = |why: &str| {
            // A URL may hold a password, so only its scheme is repeated.
            let scheme = text.split_once(':').map_or(text, |(scheme, _)| scheme);
            Error::new(ErrorKind::Usage, format!("the destination `{scheme}:…` {why}")).with_hint(
                "name a folder (or file://FOLDER), delta:FOLDER, delta+s3://…, sqlite:FILE or postgres://…",
            )
        };
        if text.is_empty() {
            return Err(Error::new(ErrorKind::Usage, "the destination is empty")
                .with_hint("name a folder, for example"));
        }
        let Some((scheme, rest)) = split_scheme(text) else {
            return Ok(Self::Lake(PathBuf::from(text)));
        };
        let path = rest.strip_prefix("//").unwrap_or(rest);
        match scheme.to_ascii_lowercase().as_str() {
            _ if path.is_empty() => Err(refused("names nothing")),
            "file" => Ok(Self::Lake(PathBuf::from(path))),
            "delta" => Ok(Self::Delta(path.to_owned())),
            "delta+s3" | "delta+gs" | "delta+az" => Ok(Self::Delta(text["delta+".len()..].to_owned())),
            "sqlite" => Ok(Self::Sqlite(PathBuf::from(path))),
            "postgres" | "postgresql" => Ok(Self::Postgres(text.to_owned())),
            _ => Err(refused("is of no kind that there is")),
        }
    }
}

/// The scheme of a URL; a path, such as one that begins with a Windows drive's letter, has none.
fn split_scheme(text: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = text.split_once(':')?;
    let of_scheme = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
    let is_scheme = scheme.len() > 1
        && scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.bytes().all(of_scheme);
    // `some.folder:2026` that exists is a folder all the same.
    (is_scheme && !Path::new(text).exists()).then_some((scheme, rest))
}

/// Without what may be secret.
impl fmt::Display for DestinationUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lake(path) => write!(f, "{}", path.display()),
            Self::Delta(at) if at.contains("://") => write!(f, "delta+{at}"),
            Self::Delta(at) => write!(f, "delta:{at}"),
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Self::Postgres(url) => {
                let (scheme, rest) = url.split_once("://").unwrap_or(("postgres", url));
                let place = rest.rsplit_once('@').map_or(rest, |(_, place)| place);
                let place = place.split_once('?').map_or(place, |(place, _)| place);
                write!(f, "{scheme}://{place}")
            }
        }
    }
}

impl fmt::Debug for DestinationUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DestinationUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<DestinationUrl, Error> {
        text.parse()
    }

    #[test]
    fn every_settled_form_is_understood() {
        let lake = |path: &str| DestinationUrl::Lake(PathBuf::from(path));
        assert_eq!(parse("data/lake").unwrap(), lake("data/lake"));
        assert_eq!(parse("./a:b").unwrap(), lake("./a:b"));
        assert_eq!(parse("C:\\lake").unwrap(), lake("C:\\lake"));
        assert_eq!(parse("file:///data/lake").unwrap(), lake("/data/lake"));
        assert_eq!(parse("delta:dir").unwrap(), DestinationUrl::Delta("dir".to_owned()));
        assert_eq!(parse("delta+s3://b/p").unwrap(), DestinationUrl::Delta("s3://b/p".to_owned()));
        assert_eq!(parse("sqlite:x.db").unwrap(), parse("sqlite://x.db").unwrap());
        assert_eq!(parse("postgres://u:p@h/d").unwrap().scheme(), "postgres");
    }

    #[test]
    fn an_unknown_scheme_is_refused_without_repeating_what_may_be_secret() {
        for text in ["mysql://user:hunter2@host/db", "s3://bucket/key", "sqlite:", "", "file://"] {
            let error = parse(text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Usage, "{text}");
            assert!(!error.to_string().contains("hunter2"));
        }
    }

    #[test]
    fn no_password_is_shown() {
        let url = parse("postgres://user:hunter2@host:5432/db?password=hunter2").unwrap();
        assert_eq!(url.to_string(), "postgres://host:5432/db");
        assert!(!format!("{url:?}").contains("hunter2"));
    }
}
