//! From flags to a plan: what was asked, checked.

use backstory_api::ActivityType;
use backstory_limits::{DateRange, ExportKind};
use backstory_sync::{ContactFilter, ExportPlan, Selection};

use crate::args::{FilterArgs, KindArg, ResourceArg, SelectionArgs, TypeArg};
use crate::exit::Failure;
use crate::settings::Limits;

/// The plan that the flags ask for, within these limits.
pub(crate) fn plan(
    resource: ResourceArg,
    args: &SelectionArgs,
    limits: &Limits,
) -> Result<ExportPlan, Failure> {
    let range = DateRange::new(args.from, args.to).map_err(|error| Failure::usage(error.to_string()))?;
    let selection = match resource {
        ResourceArg::Activities => activities(&args.filter)?,
        ResourceArg::Contacts => contacts(&args.filter)?,
    };
    let plan = ExportPlan::new(selection, range, !args.filter.no_split, &limits.use_limits, limits.slots)?;
    Ok(plan)
}

fn activities(args: &FilterArgs) -> Result<Selection, Failure> {
    let foreign = [
        (args.include_historical, "--include-historical"),
        (args.include_existing, "--include-existing"),
        (args.only_backstory, "--only-backstory"),
        (args.country.is_some(), "--country"),
        (args.state.is_some(), "--state"),
    ];
    refuse_foreign(&foreign, "contacts")?;
    let kind = match args.kind {
        Some(KindArg::Delta) => ExportKind::Delta,
        Some(KindArg::Snapshot) | None => ExportKind::Snapshot,
    };
    let activity_type = match args.activity_type {
        Some(TypeArg::Email) => ActivityType::Email,
        Some(TypeArg::Meeting) => ActivityType::Meeting,
        Some(TypeArg::Call) => ActivityType::Call,
        Some(TypeArg::All) | None => ActivityType::All,
    };
    Ok(Selection::Activities { kind, activity_type })
}

fn contacts(args: &FilterArgs) -> Result<Selection, Failure> {
    refuse_foreign(
        &[(args.kind.is_some(), "--kind"), (args.activity_type.is_some(), "--type")],
        "activities",
    )?;
    Ok(Selection::Contacts(ContactFilter {
        include_historical: args.include_historical,
        include_existing: args.include_existing,
        only_backstory: args.only_backstory,
        country: args.country.clone(),
        state: args.state.clone(),
    }))
}

fn refuse_foreign(flags: &[(bool, &str)], theirs: &str) -> Result<(), Failure> {
    match flags.iter().find(|(given, _)| *given) {
        Some((_, flag)) => Err(Failure::usage(format!("{flag} is for {theirs} only"))),
        None => Ok(()),
    }
}
