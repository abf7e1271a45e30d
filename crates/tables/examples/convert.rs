//! Converts an export on disk: `convert activities.jsonl out.parquet`, or `convert contacts.csv out.parquet`.
//! With `-` in place of the output, it only decodes, and says what it saw.

use std::error::Error;
use std::fs::File;

use backstory_tables::{BadRows, Conversion, Origin, ParquetOptions, Resource, SourceFormat};
use jiff::Timestamp;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [input, output] = arguments.as_slice() else { return Err("usage: convert INPUT OUTPUT".into()) };
    let (resource, format) = match input.rsplit('.').next() {
        Some("csv") => (Resource::Contacts, SourceFormat::Csv),
        Some("json") => (Resource::Contacts, SourceFormat::Json),
        _ => (Resource::Activities, SourceFormat::JsonLines),
    };
    let modified: Timestamp = std::fs::metadata(input)?.modified()?.try_into()?;
    let conversion = Conversion::new(resource, format, Origin::offline(modified)).with_file_name(input);
    let (reader, mut bad_rows) = (File::open(input)?, BadRows::fail());
    let summary = if output == "-" {
        conversion.to_batches(reader, |_| Ok(()), &mut bad_rows)?
    } else {
        conversion.to_parquet(reader, File::create(output)?, &ParquetOptions::default(), &mut bad_rows)?
    };
    println!("{} rows, {} participants, {} campaigns", summary.rows, summary.participants, summary.campaigns);
    Ok(())
}
