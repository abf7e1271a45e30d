//! The plan of an export: its windows, and why they are legal.

use backstory_sync::ExportPlan;
use serde_json::json;

use crate::args::{Common, ResourceArg, SelectionArgs};
use crate::exit::{Exit, Failure};
use crate::settings::Environment;
use crate::{output, selection, settings};

pub(super) fn run(
    common: &Common,
    environment: &Environment,
    resource: ResourceArg,
    args: &SelectionArgs,
) -> Result<Exit, Failure> {
    let limits = settings::limits(common, environment)?;
    let plan = selection::plan(resource, args, &limits)?;
    let told = if common.json { output::json(&as_json(&plan)) } else { output::line(as_text(&plan)) };
    told.map(|()| Exit::Done)
}

fn as_json(plan: &ExportPlan) -> serde_json::Value {
    let windows: Vec<_> = plan
        .windows()
        .iter()
        .map(|window| json!({"from": window.start(), "to": window.end(), "days": window.days()}))
        .collect();
    json!({
        "selection": plan.selection(),
        "from": plan.range().start(),
        "to": plan.range().end(),
        "days": plan.range().days(),
        "jobs": windows.len(),
        "windows": windows,
        "requests_at_least": plan.requests_at_least(),
        "proof": plan.proof(),
        "legal": plan.proof().holds(),
    })
}

fn as_text(plan: &ExportPlan) -> String {
    let rows: Vec<Vec<String>> = plan
        .windows()
        .iter()
        .enumerate()
        .map(|(at, window)| {
            let (from, to) = (window.start().to_string(), window.end().to_string());
            vec![(at + 1).to_string(), from, to, window.days().to_string()]
        })
        .collect();
    format!(
        "{} of {} ({} days): {} export job{}, at least {} requests; nothing has been sent\n\n{}\n\nproof:\n{}",
        plan.selection().resource(),
        plan.range(),
        plan.range().days(),
        rows.len(),
        if rows.len() == 1 { "" } else { "s" },
        plan.requests_at_least(),
        output::table(&["job", "from", "to", "days"], &rows),
        plan.proof(),
    )
}
