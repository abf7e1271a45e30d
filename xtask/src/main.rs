//! `cargo xtask <task>`: the workspace's own tasks, one module each. No crate of the workspace depends on them.

#![forbid(unsafe_code)]

mod bench;
mod codegen;
mod release;
mod simulator;
mod tidy;
mod torture;

use std::path::Path;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Tasks of this workspace.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Make benchmark data, and measure
    Bench(bench::Args),
    /// Write record types, request bodies and column lists from docs/openapi.yaml
    Codegen(codegen::Args),
    /// Give all crates a version and the changelog its section, and prove that they can be packaged
    Release(release::Args),
    /// Kill syncs at seeded moments and at every named step, and prove that nothing is lost
    Torture(torture::Args),
    /// Check the layering of the workspace, the openings and names of its source files
    Tidy,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."));
    let done = match &cli.task {
        Task::Bench(args) => bench::run(args, root),
        Task::Codegen(args) => codegen::run(args, root),
        Task::Release(args) => release::run(args, root),
        Task::Torture(args) => torture::run(args, root),
        Task::Tidy => tidy::run(root),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}
