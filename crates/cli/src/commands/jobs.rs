//! `backstory jobs`: the service's export jobs, by id, from any process.

use std::path::{Path, PathBuf};

use backstory_api::{Client, ContactsFormat, ErrorKind, ExportJob, Job, JobState, Resource};
use clap::{Args, Subcommand};
use indicatif::HumanBytes;
use serde_json::json;

use crate::args::{Common, ResourceArg};
use crate::commands::export::wait_policy;
use crate::connect::Connection;
use crate::exit::{Exit, Failure};
use crate::interrupt::or_interrupted;
use crate::output;
use crate::settings::{Environment, Settings};
use crate::stderr;

#[derive(Debug, Args)]
pub(crate) struct JobsArgs {
    #[command(subcommand)]
    command: JobsCommand,
}

#[derive(Debug, Subcommand)]
enum JobsCommand {
    /// List the activities jobs of the last ten days, newest first; contacts jobs can't be listed
    #[command(after_help = "Example:\n  backstory jobs list --json")]
    List,
    /// Show one job
    #[command(after_help = "Example:\n  backstory jobs show 100042")]
    Show(JobArgs),
    /// Wait until a job has ended
    #[command(after_help = "Example:\n  backstory jobs wait 100042 --deadline 2h")]
    Wait(JobArgs),
    /// Download the result of a completed job, as delivered
    #[command(after_help = "Examples:
  backstory jobs download 100042 --out march.jsonl
  backstory jobs download 100043 --resource contacts --out contacts.csv")]
    Download(DownloadArgs),
}

#[derive(Debug, Args)]
struct JobArgs {
    /// The job's id
    id: String,
    /// What the job exports
    #[arg(long, value_enum, default_value = "activities")]
    resource: ResourceArg,
}

#[derive(Debug, Args)]
struct DownloadArgs {
    #[command(flatten)]
    job: JobArgs,
    /// The file, or a folder for a file named after the job, or `-`, standard output [default: this folder]
    #[arg(long, value_name = "PATH", default_value = ".")]
    out: PathBuf,
    /// Only this part of the result
    #[arg(long, value_name = "N")]
    fragment: Option<u32>,
    /// Replace the file if it exists
    #[arg(long)]
    force: bool,
}

pub(crate) async fn run(
    common: &Common,
    environment: &Environment,
    args: &JobsArgs,
) -> Result<Exit, Failure> {
    let settings = Settings::read(common, environment)?;
    let resource = match &args.command {
        JobsCommand::List => ResourceArg::Activities,
        JobsCommand::Show(job) | JobsCommand::Wait(job) => job.resource,
        JobsCommand::Download(download) => download.job.resource,
    };
    let client = Connection::open(&settings)?.client(resource)?;
    let work = async {
        match (&args.command, resource) {
            (JobsCommand::List, _) => list(common, &client).await,
            (JobsCommand::Show(job), ResourceArg::Activities) => {
                show(&client.activities().job(&*job.id)).await
            }
            (JobsCommand::Show(job), ResourceArg::Contacts) => show(&client.contacts().job(&*job.id)).await,
            (JobsCommand::Wait(job), ResourceArg::Activities) => {
                wait(common, &settings, &client.activities().job(&*job.id)).await
            }
            (JobsCommand::Wait(job), ResourceArg::Contacts) => {
                wait(common, &settings, &client.contacts().job(&*job.id)).await
            }
            (JobsCommand::Download(args), ResourceArg::Activities) => {
                download(common, args, &client.activities().job(&*args.job.id)).await
            }
            (JobsCommand::Download(args), ResourceArg::Contacts) => {
                download(common, args, &client.contacts().job(&*args.job.id)).await
            }
        }
    };
    or_interrupted(work, "the job goes on at the service; run the same command again").await
}

async fn list(common: &Common, client: &Client) -> Result<Exit, Failure> {
    let jobs = client.activities().list().await?;
    if common.json {
        output::json(&jobs)?;
        return Ok(Exit::Done);
    }
    let text = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
    let rows: Vec<Vec<String>> = jobs
        .into_iter()
        .map(|job| {
            vec![
                job.job_id.to_string(),
                text(job.state.map(|state| state.to_string())),
                text(job.export_type),
                text(job.activity_type),
                text(job.start_date.map(|day| day.to_string())),
                text(job.end_date.map(|day| day.to_string())),
                text(job.job_created_time.map(|time| time.to_string())),
                text(job.job_end_time.map(|time| time.to_string())),
            ]
        })
        .collect();
    let header = ["job", "state", "kind", "type", "from", "to", "created", "ended"];
    output::line(output::table(&header, &rows))?;
    Ok(Exit::Done)
}

async fn show<R: Resource>(job: &ExportJob<R>) -> Result<Exit, Failure> {
    let job = job.poll().await?;
    output::json(&job)?;
    Ok(Exit::Done)
}

async fn wait<R: Resource>(
    common: &Common,
    settings: &Settings,
    job: &ExportJob<R>,
) -> Result<Exit, Failure> {
    let mut last = None;
    let done = job
        .wait_with(&wait_policy(settings), |job: &Job| {
            if last != job.state && !common.quiet {
                let state = job.state.as_ref().map_or("no state yet", |state| state.as_str());
                stderr::line(format_args!("job {}: {state}", job.job_id));
                last.clone_from(&job.state);
            }
        })
        .await?;
    output::json(&done)?;
    Ok(Exit::Done)
}

async fn download<R: Resource>(
    common: &Common,
    args: &DownloadArgs,
    job: &ExportJob<R>,
) -> Result<Exit, Failure> {
    let to_stdout = args.out == Path::new("-");
    if to_stdout && common.json {
        return Err(Failure::usage("--json and the result don't both fit into standard output"));
    }
    let described = job.poll().await?;
    if matches!(described.state, Some(JobState::Failed | JobState::Canceled)) {
        let (id, state) = (&described.job_id, described.state.as_ref().map_or("", |state| state.as_str()));
        return Err(Failure::new(Exit::Failed, format!("job {id} has no result; its state is {state}"))
            .with_hint("create the export again"));
    }
    let path = if args.out.is_dir() {
        args.out.join(file_name::<R>(&described, args.fragment))
    } else {
        args.out.clone()
    };
    if !to_stdout && path.exists() && !args.force {
        let message = format!("{} exists already", path.display());
        return Err(Failure::new(Exit::Failed, message)
            .with_hint("name another file with --out, or replace it with --force"));
    }
    if !described.has_ended() {
        let state = described.state.as_ref().map_or("not known", |state| state.as_str());
        let id = described.job_id;
        return Err(Failure::new(Exit::Failed, format!("job {id} has not ended yet; its state is {state}"))
            .with_hint(format!("wait for it first: backstory jobs wait {id}")));
    }
    let mut result = job.result_of(&described);
    if let Some(fragment) = args.fragment {
        result = result.fragment(fragment);
    }
    let downloaded = if to_stdout {
        result.to_writer(output::Stdout).await.map(|(downloaded, _)| downloaded)
    } else {
        result.to_file(&path).await
    };
    let downloaded = downloaded.map_err(not_whole)?;
    if args.fragment.is_none()
        && let Some(stated) = described.results_size.and_then(|size| u64::try_from(size).ok())
        && downloaded.bytes < stated
    {
        stderr::line(format_args!(
            "warning: the service states a size of {stated}, and the result ended after {} bytes; it may not be whole",
            downloaded.bytes
        ));
    }
    if common.json {
        output::json(&json!({
            "job_id": described.job_id,
            "file": path.to_string_lossy(),
            "bytes": downloaded.bytes,
            "sha256": downloaded.sha256,
            "restarts": downloaded.restarts,
        }))?;
    } else if to_stdout {
        if !common.quiet {
            stderr::line(format_args!("{}, sha256 {}", HumanBytes(downloaded.bytes), downloaded.sha256));
        }
    } else {
        output::line(format!(
            "{}: {}, sha256 {}",
            path.display(),
            HumanBytes(downloaded.bytes),
            downloaded.sha256
        ))?;
    }
    Ok(Exit::Done)
}

fn not_whole(error: backstory_api::Error) -> Failure {
    let expired = error.kind() == ErrorKind::Expired;
    let failure = Failure::from(error);
    if expired { failure.with_hint("create the export again; results are kept for 10 days") } else { failure }
}

/// Named after the job and the form in which it was delivered.
fn file_name<R: Resource>(job: &Job, fragment: Option<u32>) -> String {
    let format = job.output_format.as_deref();
    let ending = match format.and_then(ContactsFormat::from_word) {
        Some(ContactsFormat::Json) => "json",
        Some(_) => "csv",
        None if R::LISTABLE => "jsonl",
        None => "csv",
    };
    // An id may hold anything; a file name may not.
    let id: String = job
        .job_id
        .as_str()
        .chars()
        .map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '_' })
        .collect();
    let part = fragment.map_or_else(String::new, |fragment| format!("_part{fragment}"));
    format!("{}_{id}{part}.{ending}", R::NAME)
}
