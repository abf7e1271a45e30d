//! Downloads an address into a file, however often the connection breaks.
//!
//! ```sh
//! cargo run -p backstory-transport --example resilient_download -- https://example.com/export.jsonl export.jsonl
//! ```
//!
//! Run it again after an interruption, and it goes on where it stopped, if the server can prove that the rest belongs to
//! what is there. A token for the request may stand in `BEARER_TOKEN`; a company's CA file in `CA_FILE`.

use std::env;
use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;

use backstory_transport::{
    Download, HttpService, RateLimit, RateLimiter, Request, ReqwestService, Resume, Retry, Traced,
};
use http::header::AUTHORIZATION;
use http::{HeaderValue, Uri};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let [address, file] = arguments.as_slice() else {
        eprintln!("usage: resilient_download ADDRESS FILE");
        return ExitCode::from(2);
    };
    match run(address, file).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Each error says what went wrong at its own layer; the chain is the whole story.
            eprintln!("error: {error}");
            let mut cause = error.source();
            while let Some(error) = cause {
                eprintln!("  because: {error}");
                cause = error.source();
            }
            ExitCode::FAILURE
        }
    }
}

async fn run(address: &str, file: &str) -> Result<(), Box<dyn Error>> {
    let mut builder = ReqwestService::builder();
    if let Some(ca_file) = env::var_os("CA_FILE") {
        builder = builder.ca_file(ca_file);
    }
    let adapter = builder.build()?;
    let service: Arc<dyn HttpService> =
        Arc::new(Retry::new(RateLimit::new(Traced::new(adapter), RateLimiter::default())));

    let mut request = Request::new("".into());
    *request.uri_mut() = address.parse::<Uri>()?;
    if let Ok(token) = env::var("BEARER_TOKEN") {
        let mut value = HeaderValue::from_str(&format!("Bearer {token}"))?;
        value.set_sensitive(true);
        request.headers_mut().insert(AUTHORIZATION, value);
    }

    let downloaded =
        Download::new(service, move || request.clone()).resume(Resume::IfRange).to_file(file).await?;
    println!("{} bytes, sha256 {}, {} restarts", downloaded.bytes, downloaded.sha256, downloaded.restarts);
    Ok(())
}
