//! `backstory history`: every version of one activity, and where it came from.

use std::path::PathBuf;

use backstory_sync::history;
use clap::Args;
use serde_json::json;

use crate::args::Common;
use crate::exit::{Exit, Failure};
use crate::stderr;
use crate::{destination, output};

#[derive(Debug, Args)]
#[command(after_help = "Example:
  backstory history em-2f6c1a --to lake

Nothing is sent. Versions that a compaction has dropped are read from the kept raw files.")]
pub(crate) struct HistoryArgs {
    /// The activity's uid; for an activity without one, its _key
    #[arg(value_name = "UID")]
    uid: String,
    /// The destination
    #[arg(long, value_name = "DESTINATION")]
    to: String,
    /// Where the raw files are [default: in the destination's folder]
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
}

pub(crate) fn run(common: &Common, args: &HistoryArgs) -> Result<Exit, Failure> {
    let destination = destination::open(&args.to)?;
    let found = history(&*destination, args.state_dir.as_deref(), &args.uid)?;
    if !found.not_covered.is_empty() {
        stderr::line(format_args!(
            "warning: older versions may be missing: {} deliveries were compacted, and their raw files can't be read",
            found.not_covered.len()
        ));
    }
    let versions = &found.versions;
    if versions.is_empty() {
        let message =
            format!("{} holds no version of an activity with the uid `{}`", destination.name(), args.uid);
        return Err(Failure::new(Exit::Failed, message)
            .with_hint("is the uid right? `backstory status` tells what is loaded"));
    }
    if common.json {
        output::json(&json!({"uid": args.uid, "versions": versions, "not_covered": found.not_covered}))?;
        return Ok(Exit::Done);
    }
    for version in versions {
        let from = match (&version.job_id, version.window) {
            (Some(job), Some(window)) => {
                format!("job {job} of {window}, fragment {}, line {}", version.fragment, version.line)
            }
            (Some(job), None) => format!("job {job}, fragment {}, line {}", version.fragment, version.line),
            _ => format!("line {}", version.line),
        };
        let mark = if version.current { ", current" } else { "" };
        output::line(format!(
            "version {}{mark}\n  {from}, fetched {}",
            version.version, version.extracted_at
        ))?;
        output::line(format!("  {}", version.record))?;
    }
    Ok(Exit::Done)
}
