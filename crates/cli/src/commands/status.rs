//! `backstory status`: how a destination stands, from what it holds and what its ledger tells. Sends nothing.

use std::io::IsTerminal as _;
use std::path::PathBuf;

use backstory_sync::{Coverage, Holder, JobInFlight, RunRecord, Stage, Status, SyncSettings};
use clap::Args;
use indicatif::{HumanBytes, HumanCount};
use jiff::civil::Date;

use crate::args::{Common, day};
use crate::coverage_map::{self, Paint};
use crate::exit::{Exit, Failure};
use crate::output::without_controls;
use crate::settings::Environment;
use crate::{destination, output, settings};

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  backstory status --to lake
  backstory status --to lake --json

Nothing is sent, and nothing is changed but the views of a lake that was moved, which name its place. The watermark is the
last UTC day up to which everything is loaded. Days before the first sync stand as snapshots cover them by activity date,
later ones as deltas cover them by processing date.
Colours are shown on a terminal only, and never when NO_COLOR is set.")]
pub(crate) struct StatusArgs {
    /// The destination
    #[arg(long, value_name = "DESTINATION")]
    to: String,
    /// The day with which the coverage begins [default: where the history begins]
    #[arg(long, value_name = "DATE", value_parser = day)]
    since: Option<Date>,
    /// Where the ledger is [default: in the destination's folder]
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
}

pub(crate) fn run(common: &Common, environment: &Environment, args: &StatusArgs) -> Result<Exit, Failure> {
    let destination = destination::open(&args.to)?;
    let now = settings::clock(environment)?();
    let since = match args.since {
        Some(since) => since,
        // Nothing has been asked for yet, so no day is missing.
        None => Coverage::since_of(&destination.deliveries()?).unwrap_or(Date::MAX),
    };
    let mut wanted = SyncSettings::new(since);
    wanted.limits = settings::limits(common, environment)?.use_limits;
    let status = Status::of(&*destination, args.state_dir.as_deref(), &wanted, now)?;
    if common.json {
        output::json(&status)?;
        return Ok(Exit::Done);
    }
    let is_coloured = std::io::stdout().is_terminal()
        && environment.text("NO_COLOR").is_none()
        && environment.text("TERM").is_none_or(|terminal| terminal != "dumb");
    output::painted(&as_text(&status, if is_coloured { Paint::Colour } else { Paint::Plain }))?;
    Ok(Exit::Done)
}

fn as_text(status: &Status, paint: Paint) -> String {
    let mut parts = vec![headline(status), tables(status)];
    if !status.runs.is_empty() {
        let row = |run| run_as_row(run, status.in_use_by.as_ref());
        let rows: Vec<Vec<String>> = status.runs.iter().take(5).map(row).collect();
        parts.push(output::table(&["last runs", "outcome", "jobs", "rows", "took"], &rows));
    }
    let in_flight = status.jobs_in_flight.iter().map(in_flight);
    let given_up = status.jobs_given_up.iter().map(|job| {
        let id = job.job_id.as_deref().unwrap_or("of unknown id");
        format!("job {id} ({}) was given up, and may hold a slot until it has ended", job.spec)
    });
    let others = status.others.map(|others| {
        format!("{} of other programs were outstanding at {}", jobs(others.outstanding), others.seen_at)
    });
    let notes: Vec<String> = in_flight.chain(given_up).chain(others).collect();
    parts.extend(Some(notes.join("\n")).filter(|notes| !notes.is_empty()));
    // Only the map steers the terminal; what a service or a file says mustn't.
    let mut parts: Vec<String> = parts.iter().map(|part| without_controls(part).into_owned()).collect();
    let map = coverage_map::draw(&status.coverage, paint);
    if !map.is_empty() {
        parts.insert(1, map);
    }
    parts.join("\n\n")
}

fn headline(status: &Status) -> String {
    let mut lines = vec![match status.watermark {
        Some(day) => {
            format!("{}: everything processed up to the end of {day} UTC is loaded", status.destination)
        }
        None if status.deliveries.count == 0 => format!("{}: nothing is loaded yet", status.destination),
        None => format!("{}: the history is not complete, so there is no watermark yet", status.destination),
    }];
    if let Some(history) = status.coverage.history() {
        lines.push(format!("activities dated {} to {}", history.start(), history.end()));
    }
    if let Some(contacts) = &status.contacts {
        lines.push(format!("contacts as at {}", contacts.refreshed_at));
    }
    if let Some(holder) = &status.in_use_by {
        lines.push(format!("in use by {holder}"));
    }
    lines.join("\n")
}

fn tables(status: &Status) -> String {
    let rows: Vec<Vec<String>> = status
        .tables
        .iter()
        .map(|(table, rows)| vec![table.clone(), HumanCount(*rows).to_string()])
        .collect();
    let mut text = output::table(&["table", "rows"], &rows);
    let delivered = status.deliveries;
    text.push_str(&format!(
        "\n\n{} deliveries, {} rows and {} in all",
        HumanCount(delivered.count),
        HumanCount(delivered.rows),
        HumanBytes(delivered.bytes)
    ));
    match (&status.quarantine.folder, status.quarantine.rows) {
        (_, 0) => {}
        (Some(folder), rows) => {
            text.push_str(&format!("; {} in quarantine, in {}", HumanCount(rows), folder.display()));
        }
        (None, rows) => {
            text.push_str(&format!("; {} were set apart, and are no longer kept", HumanCount(rows)));
        }
    }
    text
}

fn run_as_row(run: &RunRecord, in_use_by: Option<&Holder>) -> Vec<String> {
    let runs = in_use_by.is_some_and(|holder| (holder.pid, &holder.host) == (run.pid, &run.host));
    let outcome = match &run.outcome {
        Some(outcome) => outcome.clone(),
        None if runs => format!("running (process {} on {})", run.pid, run.host),
        None => "killed".to_owned(),
    };
    let took = run.seconds.map_or_else(|| "-".to_owned(), |seconds| format!("{seconds:.1} s"));
    vec![
        run.started.to_string(),
        outcome,
        HumanCount(run.jobs).to_string(),
        HumanCount(run.rows).to_string(),
        took,
    ]
}

fn in_flight(flight: &JobInFlight) -> String {
    let job = &flight.job;
    let Some(id) = &job.job_id else {
        return format!("{} was about to be asked for at {}; no reply is known", job.spec, job.intended_at);
    };
    let stage = match job.stage {
        Stage::Completed => "has a result",
        _ => "is under way",
    };
    let left = match flight.expires_in_days {
        Some(days) if days > 0.0 => format!("; its file is kept for {days} more days"),
        Some(_) => "; its file should be gone".to_owned(),
        None => String::new(),
    };
    format!("job {id} ({}) {stage}{left}", job.spec)
}

fn jobs(count: u64) -> String {
    if count == 1 { "1 job".to_owned() } else { format!("{count} jobs") }
}
