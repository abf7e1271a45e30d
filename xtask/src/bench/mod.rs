//! `cargo xtask bench`: makes data and measures, with what other tools do beside it.

mod client;
mod export;
mod generate;
mod page;
mod process;
mod sim;
mod sync;
mod tables;

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

/// Options of `cargo xtask bench`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Downloads beside curl and small calls beside bare reqwest; its section of docs/benchmarks.md
    Client(client::Args),
    /// Convert generated exports, beside what other tools do; its section of docs/benchmarks.md
    Tables(tables::Args),
    /// Time and peak memory of whole exports against the simulator
    Export(export::Args),
    /// The simulator on one core: an export to curl, status calls by wrk, its start and memory; its section of
    /// docs/benchmarks.md
    Sim(sim::Args),
    /// A first sync beside its stages, a daily sync of a large lake, and the lake's views; its section of
    /// docs/benchmarks.md
    Sync(sync::Args),
    /// Write seeded benchmark data to a file
    Generate {
        /// What to write
        resource: Resource,
        /// How much of it
        #[arg(long, default_value_t = 1024)]
        mebibytes: u64,
        /// The same seed gives the same data
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Where to
        #[arg(long)]
        out: PathBuf,
    },
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Resource {
    Activities,
    Contacts,
}

pub(crate) fn run(args: &Args, root: &Path) -> Result<(), String> {
    match &args.what {
        What::Client(args) => client::run(args, root),
        What::Export(args) => export::run(args, root),
        What::Sim(args) => sim::run(args, root),
        What::Sync(args) => sync::run(args, root),
        What::Tables(args) => tables::run(args, root),
        What::Generate { resource, mebibytes, seed, out } => generate(*resource, *mebibytes, *seed, out),
    }
}

fn generate(resource: Resource, mebibytes: u64, seed: u64, out: &Path) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("can't write {}: {error}", out.display());
    let mut file = BufWriter::with_capacity(1 << 20, File::create(out).map_err(failed)?);
    let bytes = mebibytes << 20;
    let rows = match resource {
        Resource::Activities => generate::activities(seed, bytes, &mut file),
        Resource::Contacts => generate::contacts(seed, bytes, &mut file),
    };
    let rows = rows.and_then(|rows| file.flush().map(|()| rows)).map_err(failed)?;
    println!("{rows} rows in {}", out.display());
    Ok(())
}
