//! The plan of a sync: its jobs and why each is there, what it would take over, how long it should take, and the proof that
//! it is complete and legal.

use backstory_destination::Destination;
use backstory_sync::{Forecast, LedgerFacts, PlannedJob, StatePlace, SyncPlan, forecast};
use indicatif::HumanDuration;
use jiff::Timestamp;
use jiff::civil::Date;
use serde_json::json;

use crate::args::Common;
use crate::exit::{Exit, Failure};
use crate::settings::Environment;
use crate::sync_selection::SyncSelection;
use crate::{destination, output, settings};

pub(super) fn run(
    common: &Common,
    environment: &Environment,
    to: &str,
    selection: &SyncSelection,
) -> Result<Exit, Failure> {
    let limits = settings::limits(common, environment)?;
    let now: Timestamp = settings::clock(environment)?();
    let destination = destination::look(to)?;
    let deliveries = match &destination {
        Some(destination) => destination.deliveries()?,
        None => Vec::new(),
    };
    let facts = match &destination {
        Some(destination) => facts(&**destination, selection)?,
        None => None,
    };
    let settings = selection.settings(&deliveries, &limits)?;
    let forecast = forecast(&deliveries, facts.as_ref(), &settings, now)?;
    let name = destination.as_ref().map_or(to, |destination| destination.name());
    let told = if common.json {
        output::json(&as_json(name, &forecast))
    } else {
        output::line(as_text(name, destination.is_none(), &forecast))
    };
    told.map(|()| Exit::Done)
}

/// What the ledger tells, where there is one.
fn facts(destination: &dyn Destination, selection: &SyncSelection) -> Result<Option<LedgerFacts>, Failure> {
    match StatePlace::new(destination, selection.state_dir.as_deref()) {
        Ok(place) => Ok(LedgerFacts::read(&place.ledger())?),
        // A destination without a place for a ledger has none yet.
        Err(_) => Ok(None),
    }
}

fn as_json(name: &str, forecast: &Forecast) -> serde_json::Value {
    let plan = &forecast.plan;
    let jobs: Vec<_> = plan.jobs().iter().map(job_as_json).collect();
    json!({
        "destination": name,
        "watermark": plan.watermark(),
        "watermark_after": plan.watermark_after(),
        "jobs": jobs,
        "taken_over": forecast.taken_over,
        "requests_at_least": plan.requests_at_least(),
        "expected_seconds": forecast.expected_time.map(|time| time.as_secs_f64()),
        "choices": plan.choices(),
        "proof": plan.proof(),
        "legal": plan.proof().holds(),
    })
}

fn job_as_json(job: &PlannedJob) -> serde_json::Value {
    json!({
        "kind": job.kind,
        "type": job.activity_type,
        "from": job.window.start(),
        "to": job.window.end(),
        "days": job.window.days(),
        "part_of": job.part_of,
        "provisional": job.provisional,
        "reason": job.reason.as_str(),
        "why": job.reason.to_string(),
    })
}

fn as_text(name: &str, is_new: bool, forecast: &Forecast) -> String {
    let plan = &forecast.plan;
    let mut text = format!("sync to {name}");
    if is_new {
        text.push_str(" (which would be made)");
    }
    match plan.jobs().len() {
        0 => text.push_str(": no job is needed"),
        1 => text.push_str(&format!(": 1 export job, at least {} requests", plan.requests_at_least())),
        jobs => {
            text.push_str(&format!(": {jobs} export jobs, at least {} requests", plan.requests_at_least()));
        }
    }
    if let Some(time) = forecast.expected_time.filter(|_| !plan.is_empty()) {
        text.push_str(&format!(", about {}", HumanDuration(time.unsigned_abs())));
    }
    text.push_str("; nothing has been sent\n");
    if !plan.is_empty() {
        text.push_str(&format!("\n{}\n", jobs_as_table(plan)));
    }
    let others = forecast.taken_over.iter().map(|job| {
        let id = job.job_id.as_deref().unwrap_or("whose id is not known yet");
        format!("goes on with job {id}: {}, asked for at {}", job.spec, job.intended_at)
    });
    let notes: Vec<String> = others.chain(plan.choices().iter().cloned()).collect();
    if !notes.is_empty() {
        text.push_str(&format!("\nnotes:\n  {}\n", notes.join("\n  ")));
    }
    let day = |day: Option<Date>| day.map_or_else(|| "none".to_owned(), |day| day.to_string());
    text.push_str(&format!(
        "\nwatermark: {} now, {} afterwards\n\nproof:\n{}",
        day(plan.watermark()),
        day(plan.watermark_after()),
        plan.proof()
    ));
    text
}

fn jobs_as_table(plan: &SyncPlan) -> String {
    let rows: Vec<Vec<String>> = plan
        .jobs()
        .iter()
        .enumerate()
        .map(|(at, job)| {
            let what = match job.export_kind() {
                Some(_) => format!("{} ({})", job.kind.as_str(), job.activity_type),
                None => job.kind.as_str().to_owned(),
            };
            vec![
                (at + 1).to_string(),
                what,
                job.window.start().to_string(),
                job.window.end().to_string(),
                job.window.days().to_string(),
                job.reason.to_string(),
            ]
        })
        .collect();
    output::table(&["job", "of", "from", "to", "days", "why"], &rows)
}
