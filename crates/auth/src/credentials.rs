//! API key pairs, and where they are read from: memory, a file, a program.

use std::fmt;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use zeroize::{Zeroize as _, Zeroizing};

use crate::error::{Error, ErrorKind};
use crate::secret::Secret;

/// A secret is a line of text; what is longer is likely another file.
pub(crate) const LONGEST_SECRET: u64 = 64 << 10;

/// An API key pair: the OAuth 2.0 client id and its secret (contract (a.4)).
///
/// The id may be shown; the secret never is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    client_id: String,
    client_secret: Secret,
}

impl Credentials {
    /// A pair as the vendor's key page shows it.
    pub fn new(client_id: impl Into<String>, client_secret: impl Into<Secret>) -> Self {
        Self { client_id: client_id.into(), client_secret: client_secret.into() }
    }

    /// The API key, sent as `client_id`.
    pub fn client_id(&self) -> &str {
        &self.client_id
    }

    /// The API secret, sent as `client_secret`.
    pub fn client_secret(&self) -> &Secret {
        &self.client_secret
    }
}

/// Where a key pair is read from.
///
/// It is read before the first token and kept while it works; when the token endpoint refuses it, it is read again, in
/// case it was changed meanwhile, before anybody gives up. Implement it for a vault of your own.
#[async_trait]
pub trait CredentialsSource: Send + Sync {
    /// The id of the pair, for messages, without reading the secret.
    fn client_id(&self) -> &str;

    /// Reads the pair as it is now.
    ///
    /// # Errors
    /// [`ErrorKind::Credentials`] when the secret can't be read. The error must not hold any part of it.
    async fn read(&self) -> Result<Credentials, Error>;
}

/// A pair that doesn't change.
#[async_trait]
impl CredentialsSource for Credentials {
    fn client_id(&self) -> &str {
        &self.client_id
    }

    async fn read(&self) -> Result<Credentials, Error> {
        Ok(self.clone())
    }
}

#[async_trait]
impl CredentialsSource for Box<dyn CredentialsSource> {
    fn client_id(&self) -> &str {
        (**self).client_id()
    }

    async fn read(&self) -> Result<Credentials, Error> {
        (**self).read().await
    }
}

/// A secret that stands in a file, such as one that an orchestrator mounts: the whole file, without its last line end.
#[derive(Clone, Debug)]
pub struct SecretFile {
    client_id: String,
    path: PathBuf,
}

impl SecretFile {
    /// The secret of `client_id` is in the file at `path`. Nothing is read yet.
    pub fn new(client_id: impl Into<String>, path: impl Into<PathBuf>) -> Self {
        Self { client_id: client_id.into(), path: path.into() }
    }
}

#[async_trait]
impl CredentialsSource for SecretFile {
    fn client_id(&self) -> &str {
        &self.client_id
    }

    async fn read(&self) -> Result<Credentials, Error> {
        let path = self.path.clone();
        // A mounted secret may hang on a network file system, and a named pipe waits for its writer.
        let text = tokio::task::spawn_blocking(move || read_file(&path)).await.map_err(|lost| {
            Error::new(ErrorKind::NoRuntime, "the runtime stopped while a secret was read").with_source(lost)
        })??;
        let secret = from_bytes(text, &format_args!("the file {}", self.path.display()))?;
        Ok(Credentials::new(&self.client_id, secret))
    }
}

fn read_file(path: &Path) -> Result<Zeroizing<Vec<u8>>, Error> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(4 << 10));
    std::fs::File::open(path)
        .and_then(|file| file.take(LONGEST_SECRET + 1).read_to_end(&mut bytes))
        .map_err(|error| {
            let message = format!("the secret could not be read from the file {}", path.display());
            Error::new(ErrorKind::Credentials, message)
                .with_hint("check that the file exists and that this user may read it")
                .with_source(error)
        })?;
    Ok(bytes)
}

/// What was read as a secret: UTF-8, not empty, not endless, without the line end that editors and `echo` add.
pub(crate) fn from_bytes(mut bytes: Zeroizing<Vec<u8>>, place: &dyn fmt::Display) -> Result<Secret, Error> {
    let refuse = |why: &str| Err(Error::new(ErrorKind::Credentials, format!("{place} {why}")));
    if bytes.len() as u64 > LONGEST_SECRET {
        return refuse("holds more than 64 KiB, which no API secret has; is it the right one?");
    }
    if bytes.ends_with(b"\n") {
        bytes.pop();
        if bytes.ends_with(b"\r") {
            bytes.pop();
        }
    }
    if bytes.is_empty() {
        return refuse("is empty; it should hold the API secret");
    }
    match String::from_utf8(std::mem::take(&mut *bytes)) {
        Ok(text) => Ok(Secret::new(text)),
        Err(not_text) => {
            not_text.into_bytes().zeroize();
            refuse("is not UTF-8 text; it should hold the API secret and nothing else")
        }
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use super::*;

    async fn read(content: &[u8]) -> Result<String, Error> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        std::fs::write(&path, content).unwrap();
        Ok(SecretFile::new("key", path).read().await?.client_secret().expose().to_owned())
    }

    #[tokio::test]
    async fn a_secret_file_loses_its_last_line_end_and_nothing_else() {
        assert_eq!(read(b"hunter2\n").await.unwrap(), "hunter2");
        assert_eq!(read(b"hunter2\r\n").await.unwrap(), "hunter2");
        assert_eq!(read(b" hunter2 \n\n").await.unwrap(), " hunter2 \n");
        assert_eq!(read(b"hunter2").await.unwrap(), "hunter2");
    }

    #[tokio::test]
    async fn a_file_that_holds_no_secret_is_refused_without_showing_what_it_holds() {
        for (content, why) in [
            (&b""[..], "is empty"),
            (b"\n", "is empty"),
            (b"hunter2\xff", "is not UTF-8"),
            (&[b'h'; 65 << 10], "more than 64 KiB"),
        ] {
            let error = read(content).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Credentials);
            assert!(error.to_string().contains(why), "{error}");
            assert!(!format!("{error:?}").contains("hunter2") && !format!("{error:?}").contains("hhh"));
        }
    }

    #[tokio::test]
    async fn a_missing_file_is_named() {
        let error = SecretFile::new("key", "/nowhere/secret").read().await.unwrap_err();
        assert_eq!(error.to_string(), "the secret could not be read from the file /nowhere/secret");
        assert!(error.source().unwrap().to_string().contains("No such file"));
        assert!(error.is_rejected() && !error.is_transient() && error.hint().is_some());
    }

    #[test]
    fn a_pair_shows_its_id_and_not_its_secret() {
        let shown = format!("{:?}", Credentials::new("my-key", "hunter2"));
        assert!(shown.contains("my-key") && !shown.contains("hunter2"), "{shown}");
    }
}
