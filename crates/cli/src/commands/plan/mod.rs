//! `backstory plan`: what an export or a sync would do, and the proof that it is legal. Sends nothing.

mod export;
mod sync;

use clap::Args;
use jiff::civil::Date;

use crate::args::{Common, FilterArgs, ResourceArg, SelectionArgs, day};
use crate::exit::{Exit, Failure};
use crate::settings::Environment;
use crate::sync_selection::SyncSelection;

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  backstory plan activities --from 2024-01-01 --to 2025-03-31
  backstory plan --to lake --since 2024-01-01
  backstory plan --to lake --json

With --from, the plan is of an export of the days from --from to --to; without it, of a sync to the destination
that --to names, from what that holds already.")]
pub(crate) struct PlanArgs {
    /// What would be exported [default: activities]
    #[arg(value_enum, requires = "from")]
    resource: Option<ResourceArg>,
    /// First UTC day of an export, yyyy-MM-dd
    #[arg(long, value_name = "DATE", value_parser = day)]
    #[arg(conflicts_with_all = SYNC_FLAGS)]
    from: Option<Date>,
    /// Of an export: the last UTC day, included. Of a sync: the destination, such as a folder
    #[arg(long, value_name = "DATE|DESTINATION")]
    to: String,
    #[command(flatten)]
    filter: FilterArgs,
    #[command(flatten, next_help_heading = "Sync")]
    sync: SyncSelection,
}

const SYNC_FLAGS: [&str; 7] =
    ["since", "horizon", "through", "resources", "contacts_every", "reserve", "state_dir"];

pub(crate) fn run(common: &Common, environment: &Environment, args: &PlanArgs) -> Result<Exit, Failure> {
    let last = day(&args.to);
    match args.from {
        Some(from) => {
            let to = last.map_err(|why| Failure::usage(format!("--to: {why}")))?;
            let selection = SelectionArgs { from, to, filter: args.filter.clone() };
            export::run(common, environment, args.resource.unwrap_or(ResourceArg::Activities), &selection)
        }
        None if last.is_ok() => {
            Err(Failure::usage(format!("--to {} is a day, and the first day is missing", args.to))
                .with_hint("name it with --from; or name a destination with --to, for the plan of a sync"))
        }
        None => match of_an_export(&args.filter) {
            Some(flag) => Err(Failure::usage(format!("{flag} is for the plan of an export"))
                .with_hint("name its days with --from and --to; a sync takes everything")),
            None => sync::run(common, environment, &args.to, &args.sync),
        },
    }
}

/// A flag that means nothing to a sync.
fn of_an_export(filter: &FilterArgs) -> Option<&'static str> {
    let flags = [
        (filter.activity_type.is_some(), "--type"),
        (filter.kind.is_some(), "--kind"),
        (filter.include_historical, "--include-historical"),
        (filter.include_existing, "--include-existing"),
        (filter.only_backstory, "--only-backstory"),
        (filter.country.is_some(), "--country"),
        (filter.state.is_some(), "--state"),
        (filter.no_split, "--no-split"),
    ];
    flags.into_iter().find(|(given, _)| *given).map(|(_, flag)| flag)
}
