//! Prints an `Authorization` header for `curl`, in the form that its `--header @-` reads, so that the token stands
//! neither in the process list nor in the shell's history:
//!
//! ```text
//! export BACKSTORY_CLIENT_ID=… BACKSTORY_CLIENT_SECRET=…
//! token_for_curl | curl --header @- https://api.people.ai/pull/v1/export/activities/jobs
//! ```

use std::error::Error;
use std::process::ExitCode;

use backstory_auth::{
    ClientCredentialsFlow, Credentials, CredentialsSource, Error as AuthError, SecretFile, TokenCache,
    TokenEndpoint, TokenSource as _,
};
use backstory_transport::{ReqwestService, Retry};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match header().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let error: &(dyn Error + 'static) = &*error;
            eprintln!("error: {error}");
            let mut cause = error.source();
            while let Some(error) = cause {
                eprintln!("  caused by: {error}");
                cause = error.source();
            }
            if let Some(hint) = AuthError::find(error).and_then(AuthError::hint) {
                eprintln!("hint: {hint}");
            }
            ExitCode::FAILURE
        }
    }
}

async fn header() -> Result<(), Box<dyn Error>> {
    let base_url = variable("BACKSTORY_BASE_URL").unwrap_or_else(|| "https://api.people.ai".to_owned());
    let service = Retry::new(ReqwestService::builder().build()?);
    let flow = ClientCredentialsFlow::new(service, &base_url.parse()?, TokenEndpoint::V1, pair()?)?;
    let token = TokenCache::new(flow).token().await?;
    println!("Authorization: Bearer {}", token.value().expose());
    if let Some(end) = token.expires_at() {
        eprintln!("good until {end}");
    }
    Ok(())
}

/// The key pair that the environment names; the secret may stand in a file.
fn pair() -> Result<Box<dyn CredentialsSource>, &'static str> {
    let id = variable("BACKSTORY_CLIENT_ID").ok_or("BACKSTORY_CLIENT_ID is not set")?;
    if let Some(secret) = variable("BACKSTORY_CLIENT_SECRET") {
        return Ok(Box::new(Credentials::new(id, secret)));
    }
    let file = variable("BACKSTORY_CLIENT_SECRET_FILE")
        .ok_or("neither BACKSTORY_CLIENT_SECRET nor BACKSTORY_CLIENT_SECRET_FILE is set")?;
    Ok(Box::new(SecretFile::new(id, file)))
}

/// An empty variable counts as missing.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
