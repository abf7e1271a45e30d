//! Whatever the bytes are, a conversion ends in rows, bad rows or an error: never in a panic, and the same way for every
//! output.

mod examples;

use std::io;
use std::num::NonZeroUsize;

use backstory_tables::{
    BadRows, ContentHash, Conversion, CsvTables, Error, ErrorKind, ParquetOptions, ParquetTables, Resource,
    SourceFormat, Summary,
};
use examples::{ACTIVITIES, origin};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use proptest::prelude::*;

const CONTACTS: &str = "first_name,last_name,email,phone,from_cc,total_inbound,account_crm_id,shoe_size\n\
     Rin,Okafor,rin@quillmark.example,,true,12,001,\"4,3\"\r\n\"S\"\"ol\",Marchetti,,+15550100123,False,,,\n";
const CONTACTS_JSON: &str = r#"{"data":[{"email":"a@x.example","total_inbound":7,"x":[{"y":1}]}, {"phone":"+1555","from_cc":null}],"total":2}"#;

fn outcome(
    result: Result<Summary, Error>,
) -> Result<Summary, (ErrorKind, Option<backstory_formats::Position>)> {
    result.map_err(|error| (error.kind(), error.position()))
}

fn quarantine() -> BadRows {
    BadRows::quarantine(1_000, || Ok(Box::new(io::sink())))
}

fn check(resource: Resource, format: SourceFormat, export: &[u8]) -> Result<(), TestCaseError> {
    let conversion = || {
        Conversion::new(resource, format, origin()).with_max_row_bytes(4_000).with_threads(NonZeroUsize::MIN)
    };
    let mut hash = ContentHash::new();
    let batches = outcome(conversion().to_batches(export, |batch| hash.update(&batch), &mut quarantine()));
    let mut file = Vec::new();
    let options = ParquetOptions::default().with_row_group_bytes(2_000);
    let parquet = outcome(conversion().to_parquet(export, &mut file, &options, &mut quarantine()));
    prop_assert_eq!(&parquet, &batches);
    if parquet.is_ok() {
        let reader =
            ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(file)).unwrap().build().unwrap();
        let mut read = ContentHash::new();
        reader.for_each(|batch| read.update(&batch.unwrap()).unwrap());
        prop_assert_eq!(read, hash);
    }
    let csv = match resource {
        Resource::Contacts => CsvTables::contacts(io::sink()),
        _ => CsvTables::activities(io::sink(), io::sink(), io::sink()),
    };
    prop_assert_eq!(&outcome(conversion().to_csv(export, csv, &mut quarantine())), &batches);
    if resource == Resource::Activities {
        let tables = ParquetTables::activities(io::sink(), io::sink(), io::sink());
        let relational = conversion().to_parquet_tables(export, tables, &options, &mut quarantine());
        prop_assert_eq!(&outcome(relational), &batches);
    }
    let mut copy = Vec::new();
    let copied = outcome(conversion().copy_checked(export, &mut copy, &mut quarantine()));
    prop_assert_eq!(&copied, &batches);
    // What was copied is whole: nothing in it is bad.
    if let Ok(summary) = copied
        && format != SourceFormat::Csv
    {
        let again = conversion().to_batches(&copy[..], |_| Ok(()), &mut BadRows::fail()).unwrap();
        prop_assert_eq!(again.rows, summary.rows);
    }
    Ok(())
}

/// The text with some bytes overwritten, put in or taken out.
fn mutated(text: &'static str) -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![
        prop::sample::select(b"\"\\{}[],:\n\r \0tfn0-.eu\xff\xc3\xef\xbb\xbf".to_vec()),
        any::<u8>()
    ];
    let mutation = (any::<prop::sample::Index>(), 0..3_u8, byte);
    prop::collection::vec(mutation, 0..6).prop_map(move |mutations| {
        let mut bytes = text.as_bytes().to_vec();
        for (at, kind, byte) in mutations {
            let at = at.index(bytes.len());
            match kind {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ => drop(bytes.remove(at)),
            }
        }
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn of_activities(export in mutated(ACTIVITIES)) {
        check(Resource::Activities, SourceFormat::JsonLines, &export)?;
    }

    #[test]
    fn of_contacts_as_csv(export in mutated(CONTACTS)) {
        check(Resource::Contacts, SourceFormat::Csv, &export)?;
    }

    #[test]
    fn of_contacts_as_json(export in mutated(CONTACTS_JSON)) {
        check(Resource::Contacts, SourceFormat::Json, &export)?;
    }
}
