//! Exports one range of activities into a file, and shows how far it is. With the id of a job behind the file's name, it goes
//! on with that job instead of creating one, after an interruption for instance.
//!
//! `BACKSTORY_CLIENT_ID=… BACKSTORY_CLIENT_SECRET=… export_with_progress 2026-03-01..2026-03-14 march.jsonl [JOB]`

use std::error::Error;
use std::process::ExitCode;

use backstory_api::{BaseUrl, Client, DEFAULT_BASE_URL, Job, WaitPolicy};
use backstory_auth::Credentials;
use backstory_limits::{DateRange, ExportKind};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let Err(error) = export().await else { return ExitCode::SUCCESS };
    eprintln!("error: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        eprintln!("  caused by: {error}");
        cause = error.source();
    }
    if let Some(hint) = error.downcast_ref::<backstory_api::Error>().and_then(backstory_api::Error::hint) {
        eprintln!("hint: {hint}");
    }
    ExitCode::FAILURE
}

async fn export() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(range), Some(path)) = (arguments.next(), arguments.next()) else {
        return Err("usage: export_with_progress FROM..TO FILE [JOB]".into());
    };
    let range: DateRange = range.parse()?;
    let variable = |name: &str| std::env::var(name).map_err(|_| format!("{name} is not set"));
    let base = variable("BACKSTORY_BASE_URL").unwrap_or_else(|_| DEFAULT_BASE_URL.to_owned());

    let credentials =
        Credentials::new(variable("BACKSTORY_CLIENT_ID")?, variable("BACKSTORY_CLIENT_SECRET")?);
    let client = Client::builder(BaseUrl::parse(&base)?).credentials(credentials)?.build()?;

    let job = match arguments.next() {
        Some(id) => client.activities().job(id),
        None => client.activities().export(range).kind(ExportKind::Delta).start().await?,
    };
    eprintln!("job {}", job.id());
    let show = |job: &Job| eprintln!("{}", job.state.as_ref().map_or("no state yet", |state| state.as_str()));
    job.wait_with(&WaitPolicy::default(), show).await?;

    let result = job.result().on_progress(|progress| eprint!("\r{} bytes", progress.bytes));
    let downloaded = result.to_file(&path).await?;
    eprintln!();
    println!("{path}: {} bytes, sha256 {}", downloaded.bytes, downloaded.sha256);
    Ok(())
}
