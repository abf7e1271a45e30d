//! `backstory lake`: housekeeping of a lake, and plain files of its current state.

use std::path::{Path, PathBuf};

use backstory_destination::DestinationUrl;
use backstory_lake::{Compacted, Lake};
use backstory_tables::OutputFormat;
use clap::{Args, Subcommand};
use indicatif::HumanCount;
use serde_json::json;

use crate::args::{Common, FormatArg};
use crate::exit::{Exit, Failure};
use crate::output;
use crate::settings::{Environment, clock};

#[derive(Debug, Args)]
pub(crate) struct LakeArgs {
    #[command(subcommand)]
    command: LakeCommand,
}

#[derive(Debug, Subcommand)]
enum LakeCommand {
    /// Merge what has been delivered into base files with one row for each activity
    ///
    /// Readers go on with the files that they know for 24 hours. `sync` does the same by itself when it pays.
    #[command(after_help = "Example:
  backstory lake compact --to lake")]
    Compact(CompactArgs),
    /// Write the current activities and contacts as plain files
    #[command(after_help = "Examples:
  backstory lake export-current --to lake --format parquet --out current
  backstory lake export-current --to lake --format csv --out current

Parquet and JSON Lines hold an activity with its participants and campaigns in it; CSV has a table of its own for each.")]
    ExportCurrent(ExportCurrentArgs),
}

#[derive(Debug, Args)]
struct CompactArgs {
    /// The lake's folder
    #[arg(long, value_name = "DIR")]
    to: String,
}

#[derive(Debug, Args)]
struct ExportCurrentArgs {
    /// The lake's folder
    #[arg(long, value_name = "DIR")]
    to: String,
    /// The form of the files
    #[arg(long, value_enum)]
    format: FormatArg,
    /// Where the files go; those of an earlier export are replaced
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

pub(crate) fn run(common: &Common, environment: &Environment, args: &LakeArgs) -> Result<Exit, Failure> {
    match &args.command {
        LakeCommand::Compact(args) => compact(common, environment, args),
        LakeCommand::ExportCurrent(args) => export_current(common, args),
    }
}

fn compact(common: &Common, environment: &Environment, args: &CompactArgs) -> Result<Exit, Failure> {
    let now = clock(environment)?();
    let compacted = open(&args.to)?.compact(now)?;
    if common.json {
        output::json(&json!({
            "generation": compacted.generation,
            "is_new": compacted.is_new,
            "files": compacted.files,
            "rows": compacted.rows,
            "superseded_versions": compacted.superseded_versions,
            "deliveries": compacted.deliveries,
        }))?;
    } else if !common.quiet {
        output::line(as_text(&compacted))?;
    }
    Ok(Exit::Done)
}

fn as_text(compacted: &Compacted) -> String {
    if !compacted.is_new {
        return format!(
            "nothing to do: all {} activities are in the base already",
            HumanCount(compacted.rows)
        );
    }
    format!(
        "base generation {}: {} activities in {} file{}; {} superseded versions left behind\n\
         the files that it replaces go after 24 hours, with a later sync",
        compacted.generation,
        HumanCount(compacted.rows),
        compacted.files,
        if compacted.files == 1 { "" } else { "s" },
        HumanCount(compacted.superseded_versions)
    )
}

fn export_current(common: &Common, args: &ExportCurrentArgs) -> Result<Exit, Failure> {
    let format = match args.format {
        FormatArg::Jsonl => OutputFormat::JsonLines,
        FormatArg::Csv => OutputFormat::Csv,
        FormatArg::Parquet => OutputFormat::Parquet,
    };
    let lake = open(&args.to)?;
    if is_inside(&args.out, lake.folder()) {
        return Err(Failure::usage(format!("{} is in the lake itself", args.out.display()))
            .with_hint("choose a folder outside; readers would take the files for data of the lake"));
    }
    let exported = lake.export_current(format, &args.out)?;
    if common.json {
        output::json(&json!({
            "files": exported.files,
            "activities": exported.activities,
            "contacts": exported.contacts,
        }))?;
    } else if !common.quiet {
        let files = exported.files.iter().map(|file| format!("\n  {}", file.display()));
        output::line(format!(
            "{} activities and {} contacts in{}",
            HumanCount(exported.activities),
            HumanCount(exported.contacts),
            files.collect::<String>()
        ))?;
    }
    Ok(Exit::Done)
}

fn open(url: &str) -> Result<Lake, Failure> {
    match url.parse()? {
        DestinationUrl::Lake(folder) => Ok(Lake::open(folder)?),
        other => Err(Failure::usage(format!("{other} is no lake, but of the kind `{}`", other.scheme()))
            .with_hint("name the folder of a lake")),
    }
}

/// Whether a folder, which need not be there yet, is another or lies in it.
fn is_inside(folder: &Path, other: &Path) -> bool {
    let Ok(absolute) = std::path::absolute(folder) else { return false };
    // The part that is there already tells where the rest will be.
    let there = absolute.ancestors().find_map(|part| part.canonicalize().ok().map(|real| (part, real)));
    there.is_some_and(|(part, real)| {
        let rest = absolute.strip_prefix(part).unwrap_or(Path::new(""));
        real.join(rest).starts_with(other)
    })
}
