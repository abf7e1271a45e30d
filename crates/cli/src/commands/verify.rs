//! `backstory verify`: proves offline that what is stored is what was delivered.

use backstory_sync::{Verification, verify};
use clap::Args;
use indicatif::{HumanBytes, HumanCount};
use jiff::civil::Date;
use std::path::PathBuf;

use crate::args::{Common, day};
use crate::exit::{Exit, Failure};
use crate::{destination, output};

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  backstory verify --to lake
  backstory verify --to lake --processed-through 2026-06-17 --json

Nothing is sent, and nothing is changed but the views of a lake that was moved, which name its place. Exit code 1 when
something doesn't agree.")]
pub(crate) struct VerifyArgs {
    /// The destination
    #[arg(long, value_name = "DESTINATION")]
    to: String,
    /// Count and hash only the activities whose current version was ingested up to the end of this UTC day
    #[arg(long, value_name = "DATE", value_parser = day)]
    processed_through: Option<Date>,
    /// Where the ledger and the raw files are [default: in the destination's folder]
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
}

pub(crate) fn run(common: &Common, args: &VerifyArgs) -> Result<Exit, Failure> {
    let destination = destination::open(&args.to)?;
    let found = verify(&*destination, args.state_dir.as_deref(), args.processed_through)?;
    if common.json {
        output::json(&found)?;
    } else if !common.quiet {
        output::line(as_text(&found))?;
    }
    Ok(if found.ok { Exit::Done } else { Exit::Failed })
}

fn as_text(found: &Verification) -> String {
    let row = |table: &str, digest: &Option<backstory_destination::Digest>| match digest {
        Some(digest) => {
            vec![table.to_owned(), HumanCount(digest.count).to_string(), digest.content_hash.clone()]
        }
        None => vec![table.to_owned(), "?".to_owned(), "can't be told".to_owned()],
    };
    let rows = [row("activities", &found.activities), row("contacts", &found.contacts)];
    let mut text = output::table(&["table", "current", "content hash"], &rows);
    let raw = found.raw;
    text.push_str(&format!(
        "\n\n{} deliveries; {} of them are kept as they came ({}), and are what they were",
        found.deliveries,
        raw.proven,
        HumanBytes(raw.bytes)
    ));
    if raw.removed + raw.never_kept > 0 {
        text.push_str(&format!("; {} were removed by age, {} never kept", raw.removed, raw.never_kept));
    }
    if raw.lost > 0 {
        text.push_str(&format!("; gone: {}", raw.lost));
    }
    if found.ok {
        text.push_str("\nraw files, tables and delivery records agree");
    }
    for finding in &found.findings {
        let job = finding.job_id.as_ref().map(|id| format!(" (job {id})")).unwrap_or_default();
        text.push_str(&format!("\n- {}{job}: {}", finding.what.display(), finding.problem));
    }
    text
}
