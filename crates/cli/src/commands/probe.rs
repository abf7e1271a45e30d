//! `backstory probe`: asks the live service, safely, what its documentation leaves open.

use std::path::PathBuf;
use std::time::Duration;

use backstory_api::ContactsFormat;
use backstory_probe::{End, ErrorKind, MOST_JOBS, MOST_REQUESTS, PlannedRequest, Probe, Report};
use clap::{Args, ValueEnum};
use jiff::civil::Date;
use serde_json::json;

use crate::args::Common;
use crate::connect::{adapter, source};
use crate::exit::{Exit, Failure};
use crate::interrupt::or_interrupted;
use crate::output;
use crate::settings::{Environment, Keys, Setting, Settings, write_profile};
use crate::stderr;

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  backstory probe --dry-run
  backstory probe --report probe.md --write-profile

At most 30 requests and two export jobs of one day, one of activities and one of contacts; nothing is created while other
jobs wait, and nothing is changed, cancelled or pushed. The report holds no id, name, address, token, host or content of
a record, so that it can be published.

Exit codes: 0 all was asked, 5 something could not be asked, 4 a use limit refused a job; what can't be told is said.")]
pub(crate) struct ProbeArgs {
    /// List the requests that would be sent, and send none
    #[arg(long)]
    dry_run: bool,
    /// The one UTC day that both jobs ask for [default: the latest weekday at least three days back]
    #[arg(long, value_name = "DATE", value_parser = day)]
    day: Option<Date>,
    /// The format of the contacts job; each tells what the other can't
    #[arg(long, value_enum, ignore_case = true, default_value = "csv")]
    contacts_format: Format,
    /// A completed activities job of more than ten days ago, to see how an expired file is refused
    #[arg(long, value_name = "JOB")]
    expired_job: Option<String>,
    /// Also ask for a token with a key that doesn't exist, to see what a refusal looks like; somebody may watch for such
    /// attempts
    #[arg(long)]
    refused_token: bool,
    /// Send fewer requests than 30
    #[arg(long, value_name = "N", default_value_t = MOST_REQUESTS,
          value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST_REQUESTS)))]
    requests: u32,
    /// Write a report that can be published, as Markdown
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Write the settings that follow into the profile of the configuration file
    #[arg(long)]
    write_profile: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Csv,
    Json,
}

fn day(text: &str) -> Result<Date, String> {
    backstory_limits::DateRange::parse_day(text).map_err(|error| error.to_string())
}

pub(crate) async fn run(
    common: &Common,
    environment: &Environment,
    args: &ProbeArgs,
) -> Result<Exit, Failure> {
    let settings = Settings::read(common, environment)?;
    let probe = probe(&settings, args)?;
    if args.dry_run {
        list(common, &probe.plan())?;
        return Ok(Exit::Done);
    }
    let work = async { probe.run().await.map_err(failure) };
    let report =
        or_interrupted(work, "a job that was created goes on at the service, and needs no care").await?;
    tell(common, &report)?;
    if let Some(path) = &args.report {
        std::fs::write(path, report.to_markdown()).map_err(|error| {
            Failure::new(Exit::Failed, format!("can't write the report {}", path.display()))
                .with_source(error)
        })?;
    }
    if args.write_profile {
        let settings = follow_up(&report);
        if settings.is_empty() {
            say(
                common,
                "nothing was written to the profile: no other settings than the defaults are called for",
            );
        } else {
            let path = write_profile(common, environment, settings)?;
            say(common, &format!("the settings that follow were written to {}", path.display()));
        }
    }
    Ok(exit(report.end))
}

fn probe(settings: &Settings, args: &ProbeArgs) -> Result<Probe, Failure> {
    let (activity, object) = (settings.keys.activity(), settings.keys.object());
    if activity.is_none() && object.is_none() {
        return Err(Keys::missing("activities"));
    }
    let limits = &settings.limits.use_limits;
    let mut probe = Probe::new(settings.base_url.clone(), adapter(settings, false)?, settings.clock()())
        .requests(args.requests)
        .requests_per_second(limits.requests_per_second)
        .refused_token(args.refused_token)
        .contacts_format(match args.contacts_format {
            Format::Csv => ContactsFormat::Csv,
            Format::Json => ContactsFormat::Json,
        });
    if let Some(keys) = activity {
        probe = probe.activities_key(source(&keys.first)?);
    }
    if let Some(keys) = object {
        probe = probe.contacts_key(source(&keys.first)?);
    }
    if let Some(day) = args.day {
        probe = probe.day(day);
    }
    if let Some(id) = &args.expired_job {
        probe = probe.expired_job(id);
    }
    if let Some(pause) = settings.poll_interval {
        probe = probe.first_poll(pause.max(Duration::from_millis(1)));
    }
    if let Some(deadline) = settings.deadline {
        probe = probe.deadline(deadline);
    }
    Ok(probe)
}

fn failure(error: backstory_probe::Error) -> Failure {
    let exit = match error.kind() {
        ErrorKind::Setup => Exit::Usage,
        ErrorKind::Authentication => Exit::Authentication,
        _ => Exit::Failed,
    };
    let failure = Failure::new(exit, error.to_string());
    let failure = match error.hint() {
        Some(hint) => failure.with_hint(hint),
        None => failure,
    };
    failure.with_source(error)
}

fn exit(end: End) -> Exit {
    match end {
        End::Complete => Exit::Done,
        End::UseLimit => Exit::UseLimit,
        _ => Exit::Partial,
    }
}

fn list(common: &Common, plan: &[PlannedRequest]) -> Result<(), Failure> {
    if common.json {
        return output::json(&json!({
            "at_most_requests": MOST_REQUESTS, "at_most_jobs": MOST_JOBS, "requests": plan,
        }));
    }
    let rows: Vec<Vec<String>> = plan
        .iter()
        .map(|planned| {
            let purpose = match planned.when {
                Some(when) => format!("{} ({when})", planned.purpose),
                None => planned.purpose.to_owned(),
            };
            vec![planned.request.clone(), planned.at_most.to_string(), planned.rows.join(" "), purpose]
        })
        .collect();
    output::line(format!(
        "nothing is sent; a run sends at most {MOST_REQUESTS} of these, and creates at most {MOST_JOBS} export jobs\n\n{}",
        wrapped(&["request", "most", "rows", "for"], &rows, &[46, 4, 14, 60])
    ))
}

fn tell(common: &Common, report: &Report) -> Result<(), Failure> {
    if common.json {
        return output::json(report);
    }
    let (told, open): (Vec<_>, Vec<_>) =
        report.findings.iter().partition(|finding| finding.observed.is_some());
    let rows: Vec<Vec<String>> = told
        .iter()
        .map(|finding| {
            let observed = finding.observed.as_deref().unwrap_or_default();
            let seen = format!("{observed}: {}", finding.detail);
            vec![finding.row.to_owned(), finding.question.to_owned(), seen, finding.client.to_owned()]
        })
        .collect();
    let why: Vec<Vec<String>> = open
        .iter()
        .map(|finding| vec![finding.row.to_owned(), finding.question.to_owned(), finding.detail.clone()])
        .collect();
    output::line(format!(
        "{}\n\ncan't be told:\n\n{}\n\n{} of {} unknowns told by {} requests and {} export jobs; the run was {}\n\n\
         settings that follow, for backstory.toml:\n\n{}",
        wrapped(&["row", "unknown", "observed", "what the client does now"], &rows, &[5, 32, 48, 40]),
        wrapped(&["row", "unknown", "why"], &why, &[5, 32, 80]),
        told.len(),
        report.findings.len(),
        report.requests,
        report.jobs,
        report.end,
        report.profile.to_toml().trim_end(),
    ))
}

/// The settings that follow from a report, each with its reason.
fn follow_up(report: &Report) -> Vec<Setting> {
    let mut settings: Vec<Setting> = Vec::new();
    if let Some(resume) = report.profile.resume_downloads {
        let why = "Seen by `backstory probe`: a part of a result can be had by its bytes, and proven (j.19).";
        settings.push(("resume_downloads", resume.into(), why.to_owned()));
    }
    if let Some(seconds) = report.profile.poll_interval_seconds {
        let why =
            format!("Seen by `backstory probe`: the quickest job of one day took about {} s.", 2 * seconds);
        settings.push(("poll_interval", format!("{seconds}s").into(), why));
    }
    settings
}

fn say(common: &Common, line: &str) {
    if !common.quiet {
        stderr::line(line);
    }
}

/// A table whose cells are broken into lines of these widths.
fn wrapped(header: &[&str], rows: &[Vec<String>], widths: &[usize]) -> String {
    let rows: Vec<Vec<String>> = rows
        .iter()
        .flat_map(|row| {
            let cells: Vec<Vec<String>> =
                row.iter().zip(widths).map(|(cell, width)| lines(cell, *width)).collect();
            let height = cells.iter().map(Vec::len).max().unwrap_or(0);
            (0..height)
                .map(|line| cells.iter().map(|cell| cell.get(line).cloned().unwrap_or_default()).collect())
                .collect::<Vec<Vec<String>>>()
        })
        .collect();
    output::table(header, &rows)
}

fn lines(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let current = lines.last().map_or(0, |line| line.chars().count());
        match lines.last_mut() {
            Some(line) if current == 0 => line.push_str(word),
            Some(line) if current + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_broken_between_words_and_a_long_word_stays_whole() {
        let rows = vec![vec!["j.1".to_owned(), "a refusal of a creation".to_owned()]];
        assert_eq!(
            wrapped(&["row", "unknown"], &rows, &[5, 12]),
            "row  unknown\nj.1  a refusal of\n     a creation"
        );
        assert_eq!(lines("abcdefghij k", 4), ["abcdefghij", "k"]);
    }
}
