//! `backstory export`: one range into files.

use std::path::PathBuf;

use backstory_api::{ContactsFormat, WaitPolicy};
use backstory_sync::{BadRowPolicy, ExportOptions, OutputFormat, Report, export};
use clap::Args;
use indicatif::{HumanBytes, HumanCount};
use serde_json::json;

use crate::args::{BadRowArg, Common, FormatArg, ResourceArg, SelectionArgs, WireArg};
use crate::connect::Connection;
use crate::exit::{Exit, Failure};
use crate::interrupt::or_interrupted;
use crate::settings::{Environment, Settings};
use crate::stderr::{self, StderrFormat};
use crate::{output, progress, selection};

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  backstory export activities --from 2025-01-01 --to 2026-03-31 --format parquet --out exports
  backstory export activities --kind delta --type email --from 2026-03-01 --to 2026-03-14 --format jsonl --out delta
  backstory export contacts --from 2026-01-01 --to 2026-03-31 --include-existing --format csv --out exports

Run the same command again to go on after an interruption: what is whole is kept, and only the rest is fetched.")]
pub(crate) struct ExportArgs {
    /// What to export
    #[arg(value_enum)]
    resource: ResourceArg,
    #[command(flatten)]
    selection: SelectionArgs,
    /// The form of the files
    #[arg(long, value_enum, ignore_case = true, default_value = "parquet")]
    format: FormatArg,
    /// The form in which the service is asked for contacts; what lands is the same [default: what is nearest to --format]
    #[arg(long, value_enum, ignore_case = true, help_heading = "Contacts")]
    wire: Option<WireArg>,
    /// The folder that the files go to
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Replace another export's files, and fetch everything anew
    #[arg(long)]
    force: bool,
    /// What becomes of a row that can't be decoded
    #[arg(long, value_enum, ignore_case = true, default_value = "quarantine")]
    on_bad_row: BadRowArg,
    /// How many rows may be set apart in all
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    max_bad_rows: u64,
}

pub(crate) async fn run(
    common: &Common,
    environment: &Environment,
    args: &ExportArgs,
) -> Result<Exit, Failure> {
    if args.wire.is_some() && args.resource == ResourceArg::Activities {
        return Err(Failure::usage("--wire is for contacts only; activities come in one form"));
    }
    let settings = Settings::read(common, environment)?;
    let plan = selection::plan(args.resource, &args.selection, &settings.limits)?;
    let client = Connection::open(&settings)?.client(args.resource)?;
    let format = match args.format {
        FormatArg::Jsonl => OutputFormat::JsonLines,
        FormatArg::Csv => OutputFormat::Csv,
        FormatArg::Parquet => OutputFormat::Parquet,
    };
    let clock = settings.clock();
    let mut options = ExportOptions::new(&args.out, format, clock);
    options.overwrite = args.force;
    options.contacts_wire = args.wire.map(|wire| match wire {
        WireArg::Csv => ContactsFormat::Csv,
        WireArg::Json => ContactsFormat::Json,
    });
    options.wait = wait_policy(&settings);
    options.slots = settings.limits.slots;
    options.bad_rows = match args.on_bad_row {
        BadRowArg::Fail => BadRowPolicy::Fail,
        BadRowArg::Quarantine => BadRowPolicy::Quarantine { most: args.max_bad_rows },
    };
    let observer = progress::observer(common, plan.windows().len());
    let work = async { Ok(export(&client, &plan, &options, observer).await?) };
    let how_to_go_on = if args.force {
        "run it again without --force; what is whole is kept, and begun jobs are taken over"
    } else {
        "run the same command again; what is whole is kept, and begun jobs are taken over"
    };
    let report = or_interrupted(work, how_to_go_on).await?;
    tell(common, &report)?;
    Ok(outcome(report))
}

/// How jobs are waited for, as the settings say.
pub(crate) fn wait_policy(settings: &Settings) -> WaitPolicy {
    let policy = WaitPolicy::default().with_deadline(settings.deadline);
    match settings.poll_interval {
        Some(interval) => policy.with_first_poll(interval),
        None => policy,
    }
}

fn tell(common: &Common, report: &Report) -> Result<(), Failure> {
    if common.json {
        let failures: Vec<_> = report
            .failures
            .iter()
            .map(|error| {
                let window = error.window().map(|window| json!({"from": window.start(), "to": window.end()}));
                json!({"window": window, "error": chain(error)})
            })
            .collect();
        return output::json(&json!({
            "folder": report.folder.to_string_lossy(),
            "complete": report.is_complete(),
            "rows": report.rows(),
            "bad_rows": report.bad_rows(),
            "bytes": report.bytes(),
            "tables": report.rows_by_table(),
            "reused_windows": report.reused,
            "windows": report.windows,
            "failures": failures,
        }));
    }
    if common.quiet || report.windows.is_empty() {
        return Ok(());
    }
    let tables: Vec<Vec<String>> = report
        .rows_by_table()
        .into_iter()
        .map(|(table, rows)| vec![table, HumanCount(rows).to_string()])
        .collect();
    output::line(format!(
        "{}\n\n{} delivered in {} window{}, {} of them whole before; files and checksums: {}",
        output::table(&["table", "rows"], &tables),
        HumanBytes(report.bytes()),
        report.windows.len(),
        if report.windows.len() == 1 { "" } else { "s" },
        report.reused,
        report.folder.join(backstory_sync::MANIFEST).display(),
    ))
}

fn chain(error: &backstory_sync::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// The exit code, and each failure on stderr.
fn outcome(report: Report) -> Exit {
    if report.bad_rows() > 0 {
        let folder = report.folder.join("quarantine");
        stderr::line(format_args!(
            "{} rows could not be decoded and were set apart in {}",
            report.bad_rows(),
            folder.display()
        ));
    }
    let landed = !report.windows.is_empty();
    let complete = report.is_complete();
    let exits: Vec<Exit> = report
        .failures
        .into_iter()
        .map(|error| {
            let failure = Failure::from(error);
            StderrFormat::Text.failure(None, &failure);
            failure.exit
        })
        .collect();
    match exits.first() {
        None if complete => Exit::Done,
        None => Exit::Partial,
        Some(_) if landed => {
            stderr::line("what landed is whole; run the same command again to fetch the rest");
            Exit::Partial
        }
        // Nothing came of it: the reason says more than that it is not all.
        Some(exit) => *exit,
    }
}
