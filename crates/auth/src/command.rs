//! A secret that a program prints, such as a password manager's command line.

use std::ffi::OsString;
use std::fmt;
use std::process::Stdio;
use std::time::Duration;

use async_trait::async_trait;
use tokio::io::AsyncReadExt as _;
use zeroize::Zeroizing;

use crate::credentials::{Credentials, CredentialsSource, LONGEST_SECRET, from_bytes};
use crate::error::{Error, ErrorKind};

/// A person may have to unlock the vault first.
const PATIENCE: Duration = Duration::from_secs(120);

/// A secret that a program prints to its standard output, such as `op read op://vault/backstory/secret`.
///
/// The program is run without a shell and without input; what it says on its standard error goes to ours, as it may ask
/// its user for something. It has two minutes.
#[derive(Clone)]
pub struct SecretCommand {
    client_id: String,
    program: OsString,
    arguments: Vec<OsString>,
}

impl SecretCommand {
    /// The secret of `client_id` is what `program` prints. Nothing is run yet.
    pub fn new(client_id: impl Into<String>, program: impl Into<OsString>) -> Self {
        Self { client_id: client_id.into(), program: program.into(), arguments: Vec::new() }
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<A: Into<OsString>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    async fn run(&self) -> Result<Zeroizing<Vec<u8>>, Error> {
        let failed = |why: String| Error::new(ErrorKind::Credentials, format!("{} {why}", self.named()));
        let mut child = tokio::process::Command::new(&self.program)
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| {
                failed("could not be started".to_owned())
                    .with_hint("check that it is installed and on the PATH")
                    .with_source(error)
            })?;
        let mut printed = Zeroizing::new(Vec::with_capacity(4 << 10));
        if let Some(stdout) = child.stdout.take() {
            let read = stdout.take(LONGEST_SECRET + 1).read_to_end(&mut printed).await;
            read.map_err(|error| failed("broke off".to_owned()).with_source(error))?;
        }
        if printed.len() as u64 > LONGEST_SECRET {
            // It would wait for ever for somebody to read the rest; the check of what was read says why it is refused.
            return Ok(printed);
        }
        let status = child.wait().await.map_err(|error| failed("was lost".to_owned()).with_source(error))?;
        if status.success() {
            return Ok(printed);
        }
        Err(failed(format!("failed ({status})")).with_hint("run it by hand to see what it says"))
    }

    fn named(&self) -> String {
        format!("the command `{}`, which should print the API secret,", self.program.display())
    }
}

#[async_trait]
impl CredentialsSource for SecretCommand {
    fn client_id(&self) -> &str {
        &self.client_id
    }

    async fn read(&self) -> Result<Credentials, Error> {
        let printed = tokio::time::timeout(PATIENCE, self.run()).await.map_err(|_| {
            let message = format!("{} did not end within {} s", self.named(), PATIENCE.as_secs());
            Error::new(ErrorKind::Credentials, message)
                .with_hint("run it by hand; it may wait for you to unlock something")
        })??;
        let place = format!("what the command `{}` printed", self.program.display());
        Ok(Credentials::new(&self.client_id, from_bytes(printed, &place)?))
    }
}

/// Shows the program and not its arguments: some take a secret there.
impl fmt::Debug for SecretCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretCommand")
            .field("client_id", &self.client_id)
            .field("program", &self.program)
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn shell(script: &str) -> SecretCommand {
        SecretCommand::new("key", "sh").args(["-c", script])
    }

    #[tokio::test]
    async fn what_the_program_prints_is_the_secret() {
        let pair = shell("echo hunter2").read().await.unwrap();
        assert_eq!((pair.client_id(), pair.client_secret().expose()), ("key", "hunter2"));
    }

    #[tokio::test]
    async fn a_program_that_fails_prints_nothing_or_is_missing_is_named() {
        let failed = shell("echo hunter2; exit 3").read().await.unwrap_err();
        assert!(failed.to_string().contains("`sh`") && failed.to_string().contains('3'), "{failed}");
        assert!(shell("true").read().await.unwrap_err().to_string().ends_with("should hold the API secret"));
        let missing = SecretCommand::new("key", "no-such-program-here").read().await.unwrap_err();
        assert!(missing.to_string().contains("could not be started"), "{missing}");
        for error in [failed, missing] {
            assert_eq!(error.kind(), ErrorKind::Credentials);
            assert!(!format!("{error:?}").contains("hunter2"));
        }
    }

    #[tokio::test]
    async fn a_program_that_prints_for_ever_is_refused_and_ended() {
        let endless = shell("yes hunter2").read().await.unwrap_err();
        assert!(endless.to_string().contains("more than 64 KiB"), "{endless}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_program_that_hangs_is_given_up() {
        // The clock is virtual, so the two minutes pass as soon as everybody waits.
        let hung = shell("sleep 600").read().await.unwrap_err();
        assert!(hung.to_string().contains("did not end within 120 s"), "{hung}");
    }

    #[test]
    fn arguments_are_not_shown() {
        assert!(!format!("{:?}", shell("echo hunter2")).contains("hunter2"));
    }
}
