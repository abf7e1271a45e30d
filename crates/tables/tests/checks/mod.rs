//! What must hold of a conversion of any bytes at all. The tests try it with bytes that look like exports, the fuzz target
//! with whatever it comes up with.

use std::io::{self, Read, Write};
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};

use arrow_array::RecordBatch;
use arrow_ipc::reader::FileReader;
use backstory_formats::Position;
use backstory_tables::{
    BadRows, ContentHash, Conversion, Error, ErrorKind, Origin, Output, OutputFormat, ParquetOptions,
    Resource, Shape, SourceFormat, Summary,
};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

/// What a conversion reports: what it saw, or which error there was and where; and its quarantine.
type Outcome = (Result<Summary, (ErrorKind, Option<Position>, String)>, Vec<u8>);

/// How a conversion is run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Way {
    pub(crate) threads: usize,
    /// How many bytes a read gives.
    pub(crate) piece: usize,
}

const STRAIGHT: Way = Way { threads: 1, piece: usize::MAX };

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("nobody panics with it").write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Gives its bytes in pieces of a size.
struct Pieces<'a>(&'a [u8], usize);

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = self.1.max(1).min(self.0.len()).min(buffer.len());
        buffer[..len].copy_from_slice(&self.0[..len]);
        self.0 = &self.0[len..];
        Ok(len)
    }
}

fn run(
    resource: Resource,
    format: SourceFormat,
    export: &[u8],
    way: Way,
    convert: impl FnOnce(Conversion, Pieces<'_>, &mut BadRows) -> Result<Summary, Error>,
) -> Outcome {
    let quarantine = Shared::default();
    let out = quarantine.clone();
    let mut bad_rows = BadRows::quarantine(1_000, move || Ok(Box::new(out)));
    let conversion = Conversion::new(resource, format, Origin::offline(jiff::Timestamp::UNIX_EPOCH))
        .with_max_row_bytes(4_000)
        .with_threads(NonZeroUsize::new(way.threads).unwrap_or(NonZeroUsize::MIN));
    let summary = convert(conversion, Pieces(export, way.piece), &mut bad_rows).map_err(|error| {
        let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
        (error.kind(), error.position(), format!("{error}: {cause}"))
    });
    let quarantined = quarantine.0.lock().expect("nobody panics with it").clone();
    (summary, quarantined)
}

/// The files that an output becomes.
fn files(
    resource: Resource,
    format: SourceFormat,
    export: &[u8],
    output: &Output,
    way: Way,
) -> (Vec<Vec<u8>>, Outcome) {
    let tables = output.tables(resource).expect("the output can hold its shape");
    let mut files = vec![Vec::new(); tables.len()];
    let outcome = run(resource, format, export, way, |conversion, reader, bad_rows| {
        conversion.to_writers(reader, output, files.iter_mut().collect(), bad_rows)
    });
    (files, outcome)
}

/// Every output, on any number of threads and however the bytes arrive, comes to the same end: the same rows, errors, bad
/// rows and files. What was written is read back as what it was.
pub(crate) fn check(resource: Resource, format: SourceFormat, export: &[u8], way: Way) {
    let mut batches = Vec::new();
    let straight = run(resource, format, export, STRAIGHT, |conversion, reader, bad_rows| {
        let take = |batch| {
            batches.push(batch);
            Ok(())
        };
        conversion.to_batches(reader, take, bad_rows)
    });
    let hash = hash_of(batches);
    let mut other = ContentHash::new();
    let outcome = run(resource, format, export, way, |conversion, reader, bad_rows| {
        conversion.to_batches(reader, |batch| other.update(&batch), bad_rows)
    });
    assert_eq!(outcome, straight, "{way:?}");
    if straight.0.is_ok() {
        assert_eq!(other, hash, "{way:?}");
    }

    // Row groups so small that there are several.
    let parquet = ParquetOptions::default().with_row_group_bytes(2_000);
    let mut outputs: Vec<Output> = OutputFormat::ALL.iter().map(|format| Output::new(*format)).collect();
    outputs.extend(
        [OutputFormat::Parquet, OutputFormat::Arrow]
            .map(|form| Output::new(form).with_shape(Shape::Relational)),
    );
    for output in outputs {
        let output = output.with_parquet_options(parquet.clone());
        let (one, outcome) = files(resource, format, export, &output, STRAIGHT);
        assert_eq!(outcome, straight, "{:?}", output.format());
        let (several, outcome) = files(resource, format, export, &output, way);
        assert_eq!(outcome, straight, "{:?} {way:?}", output.format());
        if outcome.0.is_err() {
            continue;
        }
        assert!(one == several, "{:?} {way:?}", output.format());
        match (output.format(), &one[..]) {
            (OutputFormat::Parquet, [file]) => assert_eq!(hash_of(read_parquet(file)), hash),
            (OutputFormat::Arrow, [file]) => assert_eq!(hash_of(read_arrow(file)), hash),
            (OutputFormat::Parquet | OutputFormat::Arrow, files) => {
                let summary = straight.0.as_ref().expect("it went well");
                let read = if output.format() == OutputFormat::Parquet { read_parquet } else { read_arrow };
                let rows =
                    files.iter().map(|file| read(file).iter().map(|batch| batch.num_rows() as u64).sum());
                let rows: Vec<u64> = rows.collect();
                assert_eq!(rows, [summary.rows, summary.participants, summary.campaigns]);
            }
            (OutputFormat::JsonLines, [file]) => check_lines(resource, file, straight.0.as_ref()),
            _ => {}
        }
    }
}

/// What was written as JSON Lines is whole: nothing in it is bad.
fn check_lines<E: std::fmt::Debug>(resource: Resource, lines: &[u8], summary: Result<&Summary, E>) {
    let format = if resource == Resource::Activities { SourceFormat::JsonLines } else { SourceFormat::Json };
    let again = Conversion::new(resource, format, Origin::offline(jiff::Timestamp::UNIX_EPOCH)).to_batches(
        lines,
        |_| Ok(()),
        &mut BadRows::quarantine(u64::MAX, || Ok(Box::new(io::sink()))),
    );
    if resource == Resource::Contacts && lines.starts_with(b"{}\n") {
        // A contact without a value shows nothing of a contact, and what begins with such a record may be any file.
        assert!(again.expect_err("the file is suspect").is_suspect_file());
        return;
    }
    let again = again.expect("what was written can be read");
    let empty = lines.split(|byte| *byte == b'\n').filter(|line| *line == b"{}").count() as u64;
    assert_eq!((again.rows + empty, again.bad_rows), (summary.expect("it went well").rows, empty));
}

fn hash_of(batches: impl IntoIterator<Item = RecordBatch>) -> ContentHash {
    let mut hash = ContentHash::new();
    for batch in batches {
        hash.update(&batch).expect("the batch is of the table");
    }
    hash
}

fn read_parquet(file: &[u8]) -> Vec<RecordBatch> {
    let file = bytes::Bytes::copy_from_slice(file);
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).and_then(|reader| reader.build());
    reader.expect("the file is whole").map(|batch| batch.expect("the row group is whole")).collect()
}

fn read_arrow(file: &[u8]) -> Vec<RecordBatch> {
    let reader = FileReader::try_new(io::Cursor::new(file), None).expect("the file is whole");
    reader.map(|batch| batch.expect("the batch is whole")).collect()
}
