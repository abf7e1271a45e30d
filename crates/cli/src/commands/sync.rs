//! `backstory sync`: brings a destination up to date, once or for ever.

use std::sync::Arc;
use std::time::Duration;

use backstory_api::Client;
use backstory_destination::{DeliveryRecord, Destination};
use backstory_sync::{KeepRaw, Stop, SyncObserver, SyncOptions, SyncReport, SyncSettings, sync_with};
use clap::Args;
use indicatif::{HumanBytes, HumanCount};
use jiff::SignedDuration;
use serde_json::json;

use crate::args::{Common, ResourceArg};
use crate::commands::export::wait_policy;
use crate::connect::Connection;
use crate::exit::{Exit, Failure};
use crate::interrupt::Interrupts;
use crate::settings::{Environment, Keys, Settings};
use crate::stderr::StderrFormat;
use crate::sync_selection::SyncSelection;
use crate::{destination, duration, output, sync_progress};

const GO_ON: &str = "run the same command again; what is loaded is whole, and begun jobs are taken over";

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  backstory sync --to lake --since 2024-01-01
  backstory sync --to lake
  backstory sync --to lake --resources activities --through yesterday --json
  backstory sync --to /var/lib/backstory --every 1h

Run it whenever, stop it however: what is loaded is whole, and the next run goes on. The first run loads the
history, each later one what is new.")]
pub(crate) struct SyncArgs {
    /// Where to: a folder for a lake of Parquet files
    #[arg(long, value_name = "DESTINATION")]
    to: String,
    #[command(flatten)]
    selection: SyncSelection,
    /// For how long deliveries are kept as they came: forever, none, or a time such as 90d
    #[arg(long, value_name = "DURATION", default_value = "forever", value_parser = keep_raw)]
    keep_raw: KeepRaw,
    /// How many rows that can't be decoded may be set apart
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    max_bad_rows: u64,
    /// Wait for another run that holds the destination, instead of ending
    #[arg(long)]
    wait: bool,
    /// Keep running, and sync every so often, such as 1h
    #[arg(long, value_name = "DURATION", value_parser = every)]
    every: Option<Duration>,
    /// Make stderr one JSON object a line, for each step and whatever else is said
    #[arg(long)]
    log_json: bool,
    /// How long a new job may be missing from the service's list of jobs
    #[arg(long, value_name = "DURATION", default_value = "120s", value_parser = duration::parse)]
    list_lag: Duration,
}

fn keep_raw(text: &str) -> Result<KeepRaw, String> {
    match text {
        "forever" => Ok(KeepRaw::Forever),
        "none" => Ok(KeepRaw::No),
        time => duration::parse(time)
            .map(|time| KeepRaw::For(SignedDuration::try_from(time).unwrap_or(SignedDuration::MAX)))
            .map_err(|_| format!("`{text}` is neither forever, nor none, nor a time such as 90d")),
    }
}

/// Without a pause, the service would be asked without end.
fn every(text: &str) -> Result<Duration, String> {
    let every = duration::parse(text)?;
    if every < Duration::from_secs(1) {
        return Err(format!("`{text}` is too short: a pause of 1s is the least, and 1h is usual"));
    }
    Ok(every)
}

impl SyncArgs {
    /// How stderr is to be written.
    pub(crate) fn stderr(&self) -> StderrFormat {
        if self.log_json { StderrFormat::JsonLines } else { StderrFormat::Text }
    }
}

pub(crate) async fn run(
    common: &Common,
    environment: &Environment,
    args: &SyncArgs,
) -> Result<Exit, Failure> {
    let settings = Settings::read(common, environment)?;
    let client = client(&settings, &args.selection)?;
    let destination = destination::open_or_create(&args.to)?;
    let mut interrupts = Interrupts::watch()?;
    let options = options(&settings, args);
    let run = Run { common, args, settings: &settings, client, destination, options };
    let stop = Stop::new();
    let work = run.once_or_for_ever(&stop);
    tokio::pin!(work);
    tokio::select! {
        done = &mut work => return done,
        () = interrupts.next() => {}
    }
    if !common.quiet {
        args.stderr().note("stopping as soon as nothing is half done; once more stops at once");
    }
    stop.stop();
    tokio::select! {
        done = &mut work => done,
        () = interrupts.next() => Err(Failure::new(Exit::Interrupted, "interrupted").with_hint(GO_ON)),
    }
}

/// A client with a key for everything that is wanted.
fn client(settings: &Settings, selection: &SyncSelection) -> Result<Client, Failure> {
    let keys = &settings.keys;
    for (resource, key, other) in [
        (ResourceArg::Activities, keys.activity(), "contacts"),
        (ResourceArg::Contacts, keys.object(), "activities"),
    ] {
        if selection.wants(resource) && key.is_none() {
            let kind = if resource == ResourceArg::Contacts { "contacts" } else { "activities" };
            return Err(Keys::missing(kind)
                .with_further_hint(&format!("or leave {kind} out with --resources {other}")));
        }
    }
    let needed = if selection.wants(ResourceArg::Activities) {
        ResourceArg::Activities
    } else {
        ResourceArg::Contacts
    };
    Connection::open(settings)?.client(needed)
}

fn options(settings: &Settings, args: &SyncArgs) -> SyncOptions {
    let mut options = SyncOptions::new(settings.clock());
    options.state_dir.clone_from(&args.selection.state_dir);
    options.keep_raw = args.keep_raw;
    options.max_bad_rows = args.max_bad_rows;
    options.wait_for_lock = args.wait;
    options.wait = wait_policy(settings);
    options
}

struct Run<'a> {
    common: &'a Common,
    args: &'a SyncArgs,
    settings: &'a Settings,
    client: Client,
    destination: Arc<dyn Destination>,
    options: SyncOptions,
}

impl Run<'_> {
    async fn once_or_for_ever(&self, stop: &Stop) -> Result<Exit, Failure> {
        let Some(every) = self.args.every else { return self.once(stop).await };
        loop {
            let outcome = self.once(stop).await;
            match outcome {
                _ if stop.is_stopped() => return told_to_stop(outcome, self.args.stderr()),
                // What is wrong with the command stays wrong.
                Err(failure) if failure.exit == Exit::Usage => return Err(failure),
                Err(failure) => {
                    self.args.stderr().failure(None, &failure);
                    self.args.stderr().note("the next run is tried all the same");
                }
                Ok(_) => {}
            }
            // A tenth up or down, so that many such programs don't all come at the same minute.
            let pause = every.mul_f64(rand::random_range(0.9..=1.1));
            tokio::select! {
                () = stop.stopped() => return told_to_stop(Ok(Exit::Done), self.args.stderr()),
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    async fn once(&self, stop: &Stop) -> Result<Exit, Failure> {
        let choose = |deliveries: &[DeliveryRecord]| self.sync_settings(deliveries);
        let observer: Arc<dyn SyncObserver> = sync_progress::observer(self.common, self.args.stderr());
        let destination = Arc::clone(&self.destination);
        let report = sync_with(&self.client, destination, choose, &self.options, observer, stop).await?;
        self.tell(&report)?;
        Ok(outcome(report, self.args.stderr()))
    }

    fn sync_settings(&self, deliveries: &[DeliveryRecord]) -> Result<SyncSettings, Failure> {
        let mut settings = self.args.selection.settings(deliveries, &self.settings.limits)?;
        settings.slots.list_lag =
            SignedDuration::try_from(self.args.list_lag).unwrap_or(settings.slots.list_lag);
        Ok(settings)
    }

    fn tell(&self, report: &SyncReport) -> Result<(), Failure> {
        if self.common.json {
            let report = as_json(self.destination.name(), report);
            // Runs without end make a stream: an object a line.
            return if self.args.every.is_some() {
                output::json_line(&report)
            } else {
                output::json(&report)
            };
        }
        if self.common.quiet {
            return Ok(());
        }
        let watermark = report.watermark.map_or_else(
            || "nothing is wholly loaded yet".to_owned(),
            |day| format!("everything processed up to the end of {day} UTC is loaded"),
        );
        output::line(format!(
            "{} rows in {}, {}, in {:.1} s; {watermark}",
            HumanCount(report.rows()),
            match report.committed.len() {
                1 => "1 delivery".to_owned(),
                more => format!("{more} deliveries"),
            },
            HumanBytes(report.bytes()),
            report.seconds
        ))
    }
}

/// How runs end that would go on for ever: whatever came of the last one, none follows it.
fn told_to_stop(last: Result<Exit, Failure>, stderr: StderrFormat) -> Result<Exit, Failure> {
    // A run that was itself interrupted has said how to go on.
    if last? != Exit::Interrupted {
        stderr.note(&format!("interrupted; {GO_ON}"));
    }
    Ok(Exit::Interrupted)
}

fn as_json(destination: &str, report: &SyncReport) -> serde_json::Value {
    let failures: Vec<_> = report
        .failures
        .iter()
        .map(|failure| json!({"job": failure.job, "error": chain(&failure.error)}))
        .collect();
    json!({
        "destination": destination,
        "outcome": report.outcome(),
        "watermark": report.watermark,
        "rows": report.rows(),
        "bad_rows": report.bad_rows(),
        "bytes": report.bytes(),
        "committed": report.committed,
        "failures": failures,
        "incomplete_days": report.incomplete_days,
        "whole_again_from": report.whole_again_from,
        "jobs": {
            "created": report.created,
            "adopted": report.adopted,
            "taken_over": report.taken_over,
        },
        "reloaded": report.reloaded,
        "seconds": report.seconds,
    })
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
fn outcome(report: SyncReport, stderr: StderrFormat) -> Exit {
    if report.bad_rows() > 0 {
        let rows = report.bad_rows();
        stderr.note(&format!("{rows} rows could not be decoded and were set apart in the quarantine"));
    }
    if !report.incomplete_days.is_empty() {
        let days: Vec<String> = report.incomplete_days.iter().take(10).map(ToString::to_string).collect();
        let more = if report.incomplete_days.len() > days.len() { ", …" } else { "" };
        let days = days.join(", ");
        let again = report.whole_again_from.map_or_else(
            || "the next sync asks for them again".to_owned(),
            |from| format!("syncs from {from:.0} on ask for them as a whole again"),
        );
        stderr.note(&format!("not whole: {days}{more}; {again}"));
    }
    let (complete, interrupted) = (report.is_complete(), report.interrupted);
    let landed = !report.committed.is_empty();
    let exits: Vec<Exit> = report
        .failures
        .into_iter()
        .map(|failure| {
            let job = failure.job.to_string();
            let failure = Failure::from(failure.error);
            stderr.failure(Some(&job), &failure);
            failure.exit
        })
        .collect();
    match exits.first() {
        _ if interrupted => {
            stderr.note(&format!("interrupted; {GO_ON}"));
            Exit::Interrupted
        }
        None if complete => Exit::Done,
        None => Exit::Partial,
        // Nothing came of it, and for one reason: that says more than that it is not all.
        Some(exit) if !landed && exits.iter().all(|other| other == exit) => *exit,
        Some(_) => {
            stderr.note("what is loaded is whole; run the same command again for the rest");
            Exit::Partial
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_keeps_running_ends_interrupted_even_where_its_last_run_was_whole() {
        for last in [Exit::Done, Exit::Partial, Exit::Interrupted] {
            assert_eq!(told_to_stop(Ok(last), StderrFormat::Text).ok(), Some(Exit::Interrupted));
        }
        let failed =
            told_to_stop(Err(Failure::new(Exit::Authentication, "the key is bad")), StderrFormat::Text);
        assert_eq!(failed.err().map(|failure| failure.exit), Some(Exit::Authentication));
    }
}
