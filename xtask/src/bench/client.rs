//! `cargo xtask bench client`: the two figures that the client is held to, each beside its peer: a download to a file beside
//! curl's, and small calls through all layers beside bare reqwest. The measuring is `backstory-transport`'s own bench.

use std::path::Path;
use std::process::{Command, Stdio};

use super::page;

/// Options of `cargo xtask bench client`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How much is downloaded, in MiB
    #[arg(long, default_value_t = 1024)]
    mebibytes: u64,
    /// How often each is measured, in turn with its peer
    #[arg(long, default_value_t = 7)]
    rounds: u32,
}

pub(crate) fn run(args: &Args, root: &Path) -> Result<(), String> {
    let output = Command::new("cargo")
        .args(["bench", "--quiet", "-p", "backstory-transport", "--bench", "client"])
        .env("BENCH_MIB", args.mebibytes.to_string())
        .env("BENCH_ROUNDS", args.rounds.to_string())
        .current_dir(root)
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("can't run cargo: {error}"))?;
    if !output.status.success() {
        return Err(format!("the benchmark ended with {}", output.status));
    }
    let table = String::from_utf8_lossy(&output.stdout);
    print!("{table}");
    page::put(root, &section(args, &table))
}

fn section(args: &Args, table: &str) -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!(
        "# Benchmarks of the client\n\n\
         Written by `cargo xtask bench client --mebibytes {} --rounds {}` on {cores} cores, server and client on the same machine:\n\
         medians of rounds that take turns, in brackets the slowest and the fastest. Every download is hashed on the way, which curl\n\
         doesn't do. Ratios hold within one run only.\n\n{}\n",
        args.mebibytes,
        args.rounds,
        table.trim_end(),
    )
}
