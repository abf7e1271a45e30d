//! `cargo xtask bench`: makes data and measures, with what other tools do beside it.

mod generate;

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;

/// Options of `cargo xtask bench`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
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

pub(crate) fn run(args: &Args) -> Result<(), String> {
    let What::Generate { resource, mebibytes, seed, out } = &args.what;
    let failed = |error: std::io::Error| format!("can't write {}: {error}", out.display());
    let mut file = BufWriter::with_capacity(1 << 20, File::create(out).map_err(failed)?);
    let bytes = mebibytes << 20;
    let rows = match resource {
        Resource::Activities => generate::activities(*seed, bytes, &mut file),
        Resource::Contacts => generate::contacts(*seed, bytes, &mut file),
    };
    let rows = rows.and_then(|rows| file.flush().map(|()| rows)).map_err(failed)?;
    println!("{rows} rows in {}", out.display());
    Ok(())
}
