//! The `backstory` binary: reads the command line, runs one command, and ends with an exit code that tells the truth.

#![deny(unsafe_code)]
#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::expect_used, clippy::panic))]
// They panic where nobody reads any more; `output` and `stderr` don't.
#![cfg_attr(not(test), warn(clippy::print_stdout, clippy::print_stderr))]

mod args;
mod commands;
mod connect;
mod coverage_map;
mod destination;
mod duration;
mod exit;
mod heap;
mod interrupt;
mod logging;
mod output;
mod progress;
mod selection;
mod settings;
mod stderr;
mod sync_progress;
mod sync_selection;

use std::process::ExitCode;

use clap::Parser as _;

use crate::args::{Cli, Command};
use crate::exit::{Exit, Failure};
use crate::settings::Environment;
use crate::stderr::StderrFormat;

fn main() -> ExitCode {
    heap::keep_flat();
    let cli = Cli::parse();
    let stderr = StderrFormat::of(&cli);
    let outcome = Environment::of_process().and_then(|environment| {
        logging::start(&cli.common, &environment, stderr);
        run(&cli, &environment)
    });
    let exit = outcome.unwrap_or_else(|failure| {
        stderr.failure(None, &failure);
        failure.exit
    });
    ExitCode::from(exit.code())
}

fn run(cli: &Cli, environment: &Environment) -> Result<Exit, Failure> {
    let common = &cli.common;
    match &cli.command {
        // These need no runtime.
        Command::Plan(args) => return commands::plan::run(common, environment, args),
        Command::Completions(args) => return commands::completions::run(args),
        Command::Schema(args) => return commands::schema::run(common, args),
        Command::Status(args) => return commands::status::run(common, environment, args),
        Command::Verify(args) => return commands::verify::run(common, args),
        Command::History(args) => return commands::history::run(common, args),
        Command::Lake(args) => return commands::lake::run(common, environment, args),
        _ => {}
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Exit::Failed, "the runtime can't be started").with_source(error))?;
    runtime.block_on(async {
        match &cli.command {
            Command::Demo(args) => commands::demo::run(common, environment, args).await,
            Command::Convert(args) => commands::convert::run(common, environment, args).await,
            Command::Export(args) => commands::export::run(common, environment, args).await,
            Command::Sync(args) => commands::sync::run(common, environment, args).await,
            Command::Rebuild(args) => commands::rebuild::run(common, environment, args).await,
            Command::Jobs(args) => commands::jobs::run(common, environment, args).await,
            Command::Auth(args) => commands::auth::run(common, environment, args).await,
            Command::Probe(args) => commands::probe::run(common, environment, args).await,
            Command::Sim(args) => commands::sim::run(common, args).await,
            Command::Plan(_)
            | Command::Completions(_)
            | Command::Schema(_)
            | Command::Status(_)
            | Command::Verify(_)
            | Command::History(_)
            | Command::Lake(_) => Ok(Exit::Done),
        }
    })
}
