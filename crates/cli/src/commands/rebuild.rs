//! `backstory rebuild`: the tables anew from the kept raw files, without the service.

use std::path::PathBuf;

use backstory_sync::{Rebuilt, Stop, SyncOptions, rebuild};
use clap::Args;
use indicatif::HumanCount;

use crate::args::Common;
use crate::exit::{Exit, Failure};
use crate::interrupt::Interrupts;
use crate::settings::{Environment, clock};
use crate::stderr::StderrFormat;
use crate::{destination, output, sync_progress};

#[derive(Debug, Args)]
#[command(after_help = "Example:
  backstory rebuild --to lake

Nothing is sent. Deliveries whose raw files are gone are named; what the tables hold of them stays.")]
pub(crate) struct RebuildArgs {
    /// The destination
    #[arg(long, value_name = "DESTINATION")]
    to: String,
    /// Where the ledger and the raw files are [default: in the destination's folder]
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
    /// Wait for another run that holds the destination, instead of ending
    #[arg(long)]
    wait: bool,
}

pub(crate) async fn run(
    common: &Common,
    environment: &Environment,
    args: &RebuildArgs,
) -> Result<Exit, Failure> {
    // The tables may be gone altogether; what is kept makes them anew.
    let destination = destination::open_or_create(&args.to)?;
    let mut options = SyncOptions::new(clock(environment)?);
    options.state_dir.clone_from(&args.state_dir);
    options.wait_for_lock = args.wait;
    let stop = Stop::new();
    let mut interrupts = Interrupts::watch()?;
    let work = rebuild(destination, &options, sync_progress::observer(common, StderrFormat::Text), &stop);
    tokio::pin!(work);
    let rebuilt = tokio::select! {
        done = &mut work => done?,
        () = interrupts.next() => {
            stop.stop();
            work.await?
        }
    };
    if common.json {
        output::json(&rebuilt)?;
    } else if !common.quiet {
        output::line(as_text(&rebuilt))?;
    }
    Ok(if rebuilt.not_covered.is_empty() { Exit::Done } else { Exit::Partial })
}

fn as_text(rebuilt: &Rebuilt) -> String {
    let row = |table: &str, of: &backstory_sync::Before<backstory_destination::Digest>| {
        let verdict = match (&of.before, &of.after) {
            (Some(before), Some(after)) if before == after => "as before",
            (Some(_), Some(_)) => "DIFFERENT",
            _ => "",
        };
        let (count, hash) = of.after.as_ref().map_or(("?".to_owned(), "can't be told".to_owned()), |after| {
            (HumanCount(after.count).to_string(), after.content_hash.clone())
        });
        vec![table.to_owned(), count, hash, verdict.to_owned()]
    };
    let rows = [row("activities", &rebuilt.activities), row("contacts", &rebuilt.contacts)];
    let mut text = output::table(&["table", "current", "content hash", ""], &rows);
    text.push_str(&format!(
        "\n\n{} deliveries with {} rows were loaded anew",
        rebuilt.deliveries,
        HumanCount(rebuilt.rows)
    ));
    if !rebuilt.not_covered.is_empty() {
        text.push_str("\nnot covered, and left as they were:");
    }
    for missing in &rebuilt.not_covered {
        text.push_str(&format!("\n- {} (job {}): {}", missing.job, missing.job_id, missing.reason));
    }
    text
}
