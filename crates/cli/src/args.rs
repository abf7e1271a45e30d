//! The command line: its commands and flags, each with its help.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use jiff::civil::Date;

use crate::commands;
use crate::duration;

/// Brings Backstory (formerly People.ai) activities and contacts out of the bulk export API, correct and whole.
#[derive(Debug, Parser)]
#[command(name = "backstory", version, about, arg_required_else_help = true, propagate_version = true)]
#[command(after_help = "Examples:
  backstory demo
  backstory export activities --from 2026-01-01 --to 2026-03-31 --format parquet --out exports

Credentials come from the environment or from backstory.toml, never from a flag:
  BACKSTORY_CLIENT_ID, BACKSTORY_CLIENT_SECRET (or BACKSTORY_CLIENT_SECRET_FILE)

Exit codes: 0 done, 1 failed, 2 bad usage or configuration, 3 authentication, 4 refused by a use limit,
5 partial (everything that landed is whole), 130 interrupted.")]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Flags of every command.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Common options")]
pub(crate) struct Common {
    /// Make stdout one JSON document (or JSON Lines for streams)
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Say nothing but results and errors
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
    /// Say more; twice for everything
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
    /// Where the service is [default: BACKSTORY_BASE_URL, else the live service]
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) base_url: Option<String>,
    /// The profile of the configuration file to use
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) profile: Option<String>,
    /// The configuration file [default: ./backstory.toml, else the user's own]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// How soon a job is first asked about; the pauses grow to 60 s [default: 1s]
    #[arg(long, global = true, value_name = "DURATION", value_parser = duration::parse)]
    pub(crate) poll_interval: Option<Duration>,
    /// How long each job is waited for, and for a free job slot; jobs themselves go on [default: without end; a service
    /// that is away is waited for 10 minutes at most]
    #[arg(long, global = true, value_name = "DURATION", value_parser = duration::parse)]
    pub(crate) deadline: Option<Duration>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the whole job against a simulated service on this machine
    Demo(commands::demo::DemoArgs),
    /// Show what an export or a sync would do, and prove it legal; sends nothing
    Plan(commands::plan::PlanArgs),
    /// Export one range of activities or contacts into files
    Export(commands::export::ExportArgs),
    /// Bring a destination up to date: the history first, then only what is new
    Sync(commands::sync::SyncArgs),
    /// Show how a destination stands: watermark, coverage, rows, runs, jobs; sends nothing
    Status(commands::status::StatusArgs),
    /// Prove offline that raw files, tables and delivery records of a destination agree
    Verify(commands::verify::VerifyArgs),
    /// Make a destination's tables anew from its kept raw files, offline
    Rebuild(commands::rebuild::RebuildArgs),
    /// Show every version of one activity, and where it came from
    History(commands::history::HistoryArgs),
    /// A lake's housekeeping, and plain files of its current state
    Lake(commands::lake::LakeArgs),
    /// Convert exports that are on disk into another form, offline
    Convert(commands::convert::ConvertArgs),
    /// Print the tables' columns, their types, and where each comes from
    Schema(commands::schema::SchemaArgs),
    /// The service's export jobs: list, show, wait, download
    Jobs(commands::jobs::JobsArgs),
    /// Credentials
    Auth(commands::auth::AuthArgs),
    /// Ask the live service, safely, what its documentation leaves open
    Probe(commands::probe::ProbeArgs),
    /// Serve a simulated Backstory service on this machine
    Sim(commands::sim::SimArgs),
    /// Print a completion script for a shell
    Completions(commands::completions::CompletionsArgs),
}

/// `activities` or `contacts`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ResourceArg {
    /// Emails, meetings and calls
    Activities,
    /// Enriched contacts
    Contacts,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum KindArg {
    /// By activity date: lays a base
    Snapshot,
    /// By processing date: brings a base up to date
    Delta,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum TypeArg {
    Email,
    Meeting,
    Call,
    All,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FormatArg {
    /// As the service delivered it, one JSON object a line
    Jsonl,
    /// Relational tables
    Csv,
    /// Nested tables
    Parquet,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum WireArg {
    /// CSV, the service's own default
    Csv,
    /// JSON
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum BadRowArg {
    /// End with an error at the first
    Fail,
    /// Set it apart with its position and raw bytes
    Quarantine,
}

/// What to export: shared by `plan` and `export`.
#[derive(Clone, Debug, Args)]
pub(crate) struct SelectionArgs {
    /// First UTC day, yyyy-MM-dd
    #[arg(long, value_name = "DATE", value_parser = day)]
    pub(crate) from: Date,
    /// Last UTC day, yyyy-MM-dd; included
    #[arg(long, value_name = "DATE", value_parser = day)]
    pub(crate) to: Date,
    #[command(flatten)]
    pub(crate) filter: FilterArgs,
}

/// Which records of a range to export.
#[derive(Clone, Debug, Args)]
pub(crate) struct FilterArgs {
    /// Which activities [default: all]
    #[arg(long = "type", value_enum, ignore_case = true, value_name = "TYPE", help_heading = "Activities")]
    pub(crate) activity_type: Option<TypeArg>,
    /// What the range selects on [default: snapshot]
    #[arg(long, value_enum, ignore_case = true, help_heading = "Activities")]
    pub(crate) kind: Option<KindArg>,
    /// Add contacts that match no account or opportunity
    #[arg(long, help_heading = "Contacts")]
    pub(crate) include_historical: bool,
    /// Add contacts that exist in the CRM already
    #[arg(long, help_heading = "Contacts")]
    pub(crate) include_existing: bool,
    /// Only contacts that Backstory created, and candidates that it generated
    #[arg(long, help_heading = "Contacts")]
    pub(crate) only_backstory: bool,
    /// Only contacts of this country, by its full name
    #[arg(long, value_name = "NAME", help_heading = "Contacts")]
    pub(crate) country: Option<String>,
    /// Only contacts of this state, by its full name
    #[arg(long, value_name = "NAME", help_heading = "Contacts")]
    pub(crate) state: Option<String>,
    /// Refuse a range that one job can't cover, instead of splitting it
    #[arg(long)]
    pub(crate) no_split: bool,
}

pub(crate) fn day(text: &str) -> Result<Date, String> {
    backstory_limits::DateRange::parse_day(text).map_err(|error| error.to_string())
}
