//! Converts an export on disk: `convert [--threads N] [--relational] activities.jsonl out.parquet`, or
//! `convert contacts.csv out.parquet`. With `--relational`, activities become `out.parquet.activities`, `.participants` and
//! `.campaigns`; with `-` in place of the output, it only decodes. Compressed input is decompressed.

use std::error::Error;
use std::fs::File;

use backstory_tables::{
    BadRows, Conversion, Origin, ParquetOptions, ParquetTables, Resource, SourceFormat, decompressed,
};
use jiff::Timestamp;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let relational =
        arguments.iter().position(|argument| argument == "--relational").map(|at| arguments.remove(at));
    let threads = match arguments.iter().position(|argument| argument == "--threads") {
        Some(at) if at + 1 < arguments.len() => {
            Some(arguments.drain(at..at + 2).nth(1).unwrap_or_default().parse()?)
        }
        _ => None,
    };
    let [input, output] = arguments.as_slice() else {
        return Err("usage: convert [--threads N] [--relational] INPUT OUTPUT".into());
    };
    let name = input.trim_end_matches(".gz").trim_end_matches(".zst");
    let (resource, format) = match name.rsplit('.').next() {
        Some("csv") => (Resource::Contacts, SourceFormat::Csv),
        Some("json") => (Resource::Contacts, SourceFormat::Json),
        _ => (Resource::Activities, SourceFormat::JsonLines),
    };
    let modified: Timestamp = std::fs::metadata(input)?.modified()?.try_into()?;
    let mut conversion = Conversion::new(resource, format, Origin::offline(modified)).with_file_name(input);
    if let Some(threads) = threads {
        conversion = conversion.with_threads(threads);
    }
    let (reader, mut bad_rows) = (decompressed(File::open(input)?)?, BadRows::fail());
    let options = ParquetOptions::default();
    let summary = if output == "-" {
        conversion.to_batches(reader, |_| Ok(()), &mut bad_rows)?
    } else if relational.is_some() {
        let create = |table: &str| File::create(format!("{output}.{table}"));
        let tables =
            ParquetTables::activities(create("activities")?, create("participants")?, create("campaigns")?);
        conversion.to_parquet_tables(reader, tables, &options, &mut bad_rows)?
    } else {
        conversion.to_parquet(reader, File::create(output)?, &options, &mut bad_rows)?
    };
    println!("{} rows, {} participants, {} campaigns", summary.rows, summary.participants, summary.campaigns);
    Ok(())
}
