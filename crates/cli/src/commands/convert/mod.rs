//! `backstory convert`: exports that are already on disk, in another form. Offline.

mod flags;
mod piped;
mod progress;
mod report;
mod run;

use std::path::PathBuf;

use backstory_tables::Compression;
use clap::{Args, ValueEnum};

use crate::args::{BadRowArg, Common, ResourceArg};
use crate::exit::{Exit, Failure};
use crate::settings::Environment;

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  backstory convert activities.jsonl --format parquet --out tables
  backstory convert exports/**/*.jsonl.gz contacts.csv --format csv --out tables
  zstd -dc march.jsonl.zst | backstory convert - --format arrow --out - | python3 read.py

In a folder, an input becomes DIR/<table>/<table>_<name of the input>.<format>, and its bad rows, if they are set apart,
DIR/quarantine/quarantine_<resource>_<name of the input>.jsonl. A file appears when it is whole, and replaces an earlier one.")]
pub(crate) struct ConvertArgs {
    /// The exports: JSON Lines, CSV or JSON, plain or compressed by gzip or Zstandard; `-` is standard input
    #[arg(required = true, value_name = "FILE")]
    inputs: Vec<PathBuf>,
    /// What the inputs are exports of [default: told from their rows, header or name]
    #[arg(long, value_enum, ignore_case = true)]
    resource: Option<ResourceArg>,
    /// The form of the files [default: told from the ending of --out, else parquet]
    #[arg(long, value_enum, ignore_case = true)]
    format: Option<ConvertFormat>,
    /// One table with everything in it, or activities, participants and campaigns [default: relational for csv, else nested]
    #[arg(long, value_enum, ignore_case = true)]
    shape: Option<ShapeArg>,
    /// The folder that the files go to; or the one file; or `-`, standard output. A name that ends in .parquet, .csv, .jsonl
    /// or .arrow is a file's
    #[arg(long, value_name = "DIR|FILE|-", default_value = ".")]
    out: PathBuf,
    /// How many threads decode and encode [default: 2]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: Option<u16>,
    /// End a Parquet row group at this size, uncompressed, such as 64MiB; it bounds the memory [default: 32MiB]
    #[arg(long, value_name = "BYTES", value_parser = flags::row_group_bytes)]
    row_group_bytes: Option<usize>,
    /// How Parquet and Arrow files are compressed: zstd, zstd:LEVEL, snappy (Parquet only) or none [default: zstd:1 for
    /// parquet, none for arrow]
    #[arg(long, value_name = "CODEC", value_parser = flags::compression)]
    compression: Option<Compression>,
    /// What becomes of a row that can't be decoded
    #[arg(long, value_enum, ignore_case = true, default_value = "fail")]
    on_bad_row: BadRowArg,
    /// How many rows may be set apart in all
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    max_bad_rows: u64,
}

/// The form of the files that `convert` writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ConvertFormat {
    /// Parquet
    Parquet,
    /// CSV; its tables are relational
    Csv,
    /// One JSON object a line: activities as delivered
    Jsonl,
    /// Arrow IPC: files, and a stream on standard output
    Arrow,
}

/// The shape of the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ShapeArg {
    /// One row a record, with everything in it
    Nested,
    /// Participants and campaigns as tables of their own
    Relational,
}

pub(crate) async fn run(
    common: &Common,
    environment: &Environment,
    args: &ConvertArgs,
) -> Result<Exit, Failure> {
    let asked = flags::Asked::of(common, args)?;
    run::run(common, environment, args, asked).await
}
