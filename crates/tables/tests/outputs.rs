//! The files of every form and shape hold the same records.

mod examples;

use std::io;
use std::num::NonZeroUsize;

use arrow_array::RecordBatch;
use arrow_ipc::reader::{FileReader, StreamReader};
use arrow_select::concat::concat_batches;
use backstory_tables::{
    ArrowFile, ArrowOptions, BadRows, Compression, Conversion, ErrorKind, Output, OutputFormat,
    ParquetOptions, Resource, Shape, SourceFormat, explode, schema,
};
use examples::{ACTIVITIES, origin};

const CONTACTS: &str = "first_name,email,from_cc,total_inbound,shoe_size\nRin,rin@quillmark.example,True,12,43\n\
     \"S\"\"ol\",,,seven,\n";

fn activities() -> Conversion {
    Conversion::new(Resource::Activities, SourceFormat::JsonLines, origin())
}

fn write(conversion: Conversion, input: &str, output: &Output, resource: Resource) -> Vec<Vec<u8>> {
    let mut files = vec![Vec::new(); output.tables(resource).unwrap().len()];
    let writers: Vec<_> = files.iter_mut().collect();
    conversion.to_writers(input.as_bytes(), output, writers, &mut BadRows::fail()).unwrap();
    files
}

fn nested(export: &str) -> RecordBatch {
    let mut batches = Vec::new();
    let take = |batch| {
        batches.push(batch);
        Ok(())
    };
    activities().to_batches(export.as_bytes(), take, &mut BadRows::fail()).unwrap();
    concat_batches(&schema(Resource::Activities), &batches).unwrap()
}

fn read_file(file: &[u8]) -> RecordBatch {
    let reader = FileReader::try_new(io::Cursor::new(file), None).unwrap();
    let schema = reader.schema();
    let batches: Vec<_> = reader.map(Result::unwrap).collect();
    concat_batches(&schema, &batches).unwrap()
}

#[test]
fn arrow_files_and_streams_hold_the_nested_table_however_they_are_compressed() {
    let export = ACTIVITIES.repeat(700);
    let expected = nested(&export);
    let mut sizes = Vec::new();
    for compression in [Compression::None, Compression::Zstd(1), Compression::Zstd(9)] {
        let options = ArrowOptions::default().with_compression(compression);
        for threads in [1, 3] {
            let output = Output::new(OutputFormat::Arrow).with_arrow_options(options);
            let conversion = activities().with_threads(NonZeroUsize::new(threads).unwrap());
            let file = write(conversion, &export, &output, Resource::Activities).remove(0);
            assert_eq!(read_file(&file), expected);
            sizes.push(file.len());
        }
        let output = Output::new(OutputFormat::Arrow).with_arrow_options(options.as_stream());
        let stream = write(activities(), &export, &output, Resource::Activities).remove(0);
        let reader = StreamReader::try_new(&stream[..], None).unwrap();
        let batches: Vec<_> = reader.map(Result::unwrap).collect();
        assert_eq!(concat_batches(&expected.schema(), &batches).unwrap(), expected);
    }
    assert!(sizes[2] * 4 < sizes[0], "{sizes:?}");
}

#[test]
fn files_are_the_same_byte_for_byte_for_any_number_of_threads() {
    // Several batches and row groups; long rows, so that there are few of them.
    let long = "x".repeat(2_000);
    let lines = format!("{{\"uid\":\"a\",\"subject\":\"{long}\"}}\n{ACTIVITIES}").repeat(900);
    let csv = format!("{CONTACTS}{}", format!("{long},r@x,t,1,2\n").repeat(2_000));
    for format in OutputFormat::ALL {
        let on = |conversion: Conversion, threads: usize, input: &str, resource| {
            let output = Output::new(*format)
                .with_parquet_options(ParquetOptions::default().with_row_group_bytes(1 << 20));
            write(conversion.with_threads(NonZeroUsize::new(threads).unwrap()), input, &output, resource)
        };
        let contacts = || Conversion::new(Resource::Contacts, SourceFormat::Csv, origin());
        let (one, other) =
            (on(activities(), 1, &lines, Resource::Activities), on(contacts(), 1, &csv, Resource::Contacts));
        for threads in [2, 3] {
            assert!(on(activities(), threads, &lines, Resource::Activities) == one, "{format} {threads}");
            assert!(on(contacts(), threads, &csv, Resource::Contacts) == other, "{format} {threads}");
        }
    }
}

#[test]
fn relational_arrow_files_hold_the_three_tables() {
    let output = Output::new(OutputFormat::Arrow).with_shape(Shape::Relational);
    let files = write(activities(), ACTIVITIES, &output, Resource::Activities);
    let tables = explode(&nested(ACTIVITIES)).unwrap();
    let expected = [tables.activities, tables.participants, tables.campaigns];
    assert_eq!(files.iter().map(|file| read_file(file)).collect::<Vec<_>>(), expected);
}

#[test]
fn an_empty_export_has_tables_without_rows() {
    let output = Output::new(OutputFormat::Arrow);
    let file = write(activities(), "", &output, Resource::Activities).remove(0);
    assert_eq!(
        FileReader::try_new(io::Cursor::new(&file), None).unwrap().schema(),
        schema(Resource::Activities)
    );
}

#[test]
fn contacts_become_json_lines_by_the_apis_own_names() {
    let contacts = Conversion::new(Resource::Contacts, SourceFormat::Csv, origin());
    let lines =
        write(contacts, CONTACTS, &Output::new(OutputFormat::JsonLines), Resource::Contacts).remove(0);
    assert_eq!(
        String::from_utf8(lines).unwrap(),
        concat!(
            r#"{"email":"rin@quillmark.example","first_name":"Rin","from_cc":true,"shoe_size":"43","total_inbound":12}"#,
            "\n",
            r#"{"first_name":"S\"ol","total_inbound":"seven"}"#,
            "\n"
        )
    );
}

#[test]
fn forms_that_cannot_hold_a_shape_are_refused() {
    for (format, shape) in [(OutputFormat::Csv, Shape::Nested), (OutputFormat::JsonLines, Shape::Relational)]
    {
        let output = Output::new(format).with_shape(shape);
        assert_eq!(output.tables(Resource::Activities).unwrap_err().kind(), ErrorKind::Format);
        // Contacts are one table in any shape.
        assert_eq!(output.tables(Resource::Contacts).unwrap(), ["contacts"]);
    }
    for format in OutputFormat::ALL {
        let output = Output::new(*format);
        let error = activities().to_writers(&b""[..], &output, vec![io::sink(); 2], &mut BadRows::fail());
        assert_eq!(error.unwrap_err().kind(), ErrorKind::Format);
    }
    for compression in [Compression::Snappy, Compression::Zstd(99)] {
        let options = ArrowOptions::default().with_compression(compression);
        let error = ArrowFile::new(Resource::Contacts, io::sink(), &options).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Format);
    }
}

#[test]
fn a_batch_of_another_table_is_refused() {
    for options in [ArrowOptions::default(), ArrowOptions::default().as_stream()] {
        let mut file = ArrowFile::new(Resource::Contacts, io::sink(), &options).unwrap();
        assert_eq!(file.write(&nested(ACTIVITIES)).unwrap_err().kind(), ErrorKind::Table);
    }
}

#[test]
fn a_disk_that_is_full_is_told() {
    struct Full;
    impl io::Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    for format in OutputFormat::ALL {
        let output = Output::new(*format);
        let writers = output.tables(Resource::Activities).unwrap().iter().map(|_| Full).collect();
        let error = activities().to_writers(ACTIVITIES.as_bytes(), &output, writers, &mut BadRows::fail());
        let error = error.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Write, "{format}");
        let mut cause = std::error::Error::source(&error);
        let is_full = |error: &io::Error| error.kind() == io::ErrorKind::StorageFull;
        while let Some(error) = cause.filter(|error| !error.downcast_ref().is_some_and(is_full)) {
            cause = error.source();
        }
        assert!(cause.is_some(), "{format} doesn't say why");
    }
}
