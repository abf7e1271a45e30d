//! Exports one range of activities into a file, and shows how far it is.
//!
//! `BACKSTORY_CLIENT_ID=… BACKSTORY_CLIENT_SECRET=… export_with_progress 2026-03-01..2026-03-14 march.jsonl`

use std::error::Error;

use backstory_api::{BaseUrl, Client, DEFAULT_BASE_URL, WaitPolicy};
use backstory_auth::Credentials;
use backstory_limits::{DateRange, ExportKind};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(range), Some(path)) = (arguments.next(), arguments.next()) else {
        return Err("usage: export_with_progress FROM..TO FILE".into());
    };
    let range: DateRange = range.parse()?;
    let variable = |name: &str| std::env::var(name).map_err(|_| format!("{name} is not set"));
    let base = variable("BACKSTORY_BASE_URL").unwrap_or_else(|_| DEFAULT_BASE_URL.to_owned());

    let credentials =
        Credentials::new(variable("BACKSTORY_CLIENT_ID")?, variable("BACKSTORY_CLIENT_SECRET")?);
    let client = Client::builder(BaseUrl::parse(&base)?).credentials(credentials)?.build()?;

    let job = client.activities().export(range).kind(ExportKind::Delta).start().await?;
    eprintln!("job {}", job.id());
    let show =
        |job: &backstory_api::Job| eprintln!("{}", job.state.as_ref().map_or("…", |state| state.as_str()));
    let done = job.wait_with(&WaitPolicy::default(), show).await?;

    let result = job.result_of(&done).on_progress(|progress| eprint!("\r{} bytes", progress.bytes));
    let downloaded = result.to_file(&path).await?;
    eprintln!("\r{} bytes, sha256 {}", downloaded.bytes, downloaded.sha256);
    Ok(())
}
