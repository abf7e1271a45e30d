//! One delivery, from its bytes to a table.

use std::fmt;
use std::io::{Read, Write};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use arrow_array::RecordBatch;
use backstory_formats::{
    ActivityRow, ContactRow, ContactsCsv, ContactsJson, DEFAULT_MAX_ROW_BYTES, JsonLines,
};
use parquet::file::writer::SerializedFileWriter;

use crate::bad_rows::BadRows;
use crate::batch::{ActivityBatchBuilder, ContactBatchBuilder};
use crate::checked_copy::CheckedCopy;
use crate::csv_tables::CsvTables;
use crate::encode::Layout;
use crate::error::{Error, ErrorKind};
use crate::origin::Origin;
use crate::parquet_file::{self, ParquetFile, ParquetOptions, ParquetTables};
use crate::relational::explode;
use crate::resource::{Resource, SourceFormat};
use crate::row_group::{EncodedRowGroup, RowGroupEncoder, Shape};
use crate::row_groups::{Conductor, write_row_groups};
use crate::schema::schema;
use crate::summary::Summary;

/// How much is read at a time.
const CHUNK: usize = 256 << 10;
const TWO: NonZeroUsize = NonZeroUsize::MIN.saturating_add(1);
/// Arrow counts a batch's text in 31 bits, so no row may come near that.
const LONGEST_ROW: usize = 1 << 30;

/// How far a conversion has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// Bytes read.
    pub bytes_in: u64,
    /// Rows that landed.
    pub rows: u64,
}

type OnProgress = Box<dyn FnMut(Progress) + Send>;

/// Converts one delivery: the whole file of an export job, or one fragment of it.
///
/// It blocks, and its memory doesn't grow with the input. What it writes to is the caller's, and isn't whole until the
/// conversion has returned without an error.
///
/// ```
/// use backstory_tables::{BadRows, Conversion, Origin, ParquetOptions, Resource, SourceFormat};
/// use jiff::{Timestamp, civil::date};
///
/// let export = br#"{"uid":"em-1","type":"email","timestamp":"2026-03-04T09:08:51","participants":[{"phone":"+15550100"}]}"#;
/// let origin = Origin::of_job("17", (date(2026, 3, 1), date(2026, 3, 31)), Timestamp::UNIX_EPOCH);
///
/// let mut parquet = Vec::new();
/// let summary = Conversion::new(Resource::Activities, SourceFormat::JsonLines, origin)
///     .with_file_name("march.jsonl")
///     .to_parquet(&export[..], &mut parquet, &ParquetOptions::default(), &mut BadRows::fail())?;
/// assert_eq!((summary.rows, summary.participants), (1, 1));
/// assert_eq!(&parquet[..4], b"PAR1");
/// # Ok::<(), backstory_tables::Error>(())
/// ```
pub struct Conversion {
    resource: Resource,
    format: SourceFormat,
    origin: Origin,
    file_name: String,
    max_row_bytes: usize,
    csv_header: Option<Vec<String>>,
    on_progress: Option<OnProgress>,
    cancelled: Option<Arc<AtomicBool>>,
    threads: NonZeroUsize,
}

impl fmt::Debug for Conversion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Conversion")
            .field("resource", &self.resource)
            .field("format", &self.format)
            .field("origin", &self.origin)
            .field("file_name", &self.file_name)
            .finish_non_exhaustive()
    }
}

impl Conversion {
    /// A conversion of one delivery.
    pub fn new(resource: Resource, format: SourceFormat, origin: Origin) -> Self {
        Self {
            resource,
            format,
            origin,
            file_name: "the export".to_owned(),
            max_row_bytes: DEFAULT_MAX_ROW_BYTES,
            csv_header: None,
            on_progress: None,
            cancelled: None,
            threads: thread::available_parallelism().map_or(NonZeroUsize::MIN, |cores| cores.min(TWO)),
        }
    }

    /// What errors and the quarantine call the input.
    #[must_use]
    pub fn with_file_name(mut self, name: impl Into<String>) -> Self {
        self.file_name = name.into();
        self
    }

    /// Takes rows of at most this many bytes, and never more than 1 GiB; a longer one is a bad row. 16 MiB unless said.
    #[must_use]
    pub fn with_max_row_bytes(mut self, bytes: usize) -> Self {
        self.max_row_bytes = bytes.min(LONGEST_ROW);
        self
    }

    /// The columns of the first fragment ([`Summary::csv_header`]), for a later fragment of a contacts CSV: nobody knows
    /// whether it repeats the header (contract (j.15)).
    #[must_use]
    pub fn with_csv_header(mut self, names: Vec<String>) -> Self {
        self.csv_header = Some(names);
        self
    }

    /// Calls back after each piece that has been read and decoded.
    #[must_use]
    pub fn with_progress(mut self, on_progress: impl FnMut(Progress) + Send + 'static) -> Self {
        self.on_progress = Some(Box::new(on_progress));
        self
    }

    /// Stops with [`ErrorKind::Cancelled`] soon after the flag has been set.
    #[must_use]
    pub fn with_cancellation(mut self, cancelled: Arc<AtomicBool>) -> Self {
        self.cancelled = Some(cancelled);
        self
    }

    /// Decodes and encodes on this many threads, where the work can be divided: from JSON Lines to Parquet. Two
    /// unless said, where there are two processors. What is written is the same for any number; each beyond the first needs
    /// the memory of a row group.
    #[must_use]
    pub fn with_threads(mut self, threads: NonZeroUsize) -> Self {
        self.threads = threads;
        self
    }

    /// Writes the nested table as a Parquet file.
    ///
    /// # Errors
    /// See [`ErrorKind`].
    pub fn to_parquet(
        self,
        reader: impl Read,
        writer: impl Write + Send,
        options: &ParquetOptions,
        bad_rows: &mut BadRows,
    ) -> Result<Summary, Error> {
        if (self.resource, self.format) == (Resource::Activities, SourceFormat::JsonLines) {
            let file = parquet_file::begin(&schema(self.resource), writer, options)?;
            return self.convert_row_groups(reader, vec![file], Shape::Nested, options, bad_rows);
        }
        let mut file = ParquetFile::new(self.resource, writer, options)?;
        let summary = self.to_batches(reader, |batch| file.write(&batch), bad_rows)?;
        file.finish()?;
        Ok(summary)
    }

    /// Writes the relational tables as Parquet files.
    ///
    /// # Errors
    /// See [`ErrorKind`]; [`ErrorKind::Format`] for contacts, which are one table: [`to_parquet`](Self::to_parquet) writes it.
    pub fn to_parquet_tables(
        self,
        reader: impl Read,
        tables: ParquetTables<'_>,
        options: &ParquetOptions,
        bad_rows: &mut BadRows,
    ) -> Result<Summary, Error> {
        if (self.resource, self.format) != (Resource::Activities, SourceFormat::JsonLines) {
            return Err(Error::new(
                ErrorKind::Format,
                format!("{} have no relational tables", self.resource),
            ));
        }
        let empty = explode(&RecordBatch::new_empty(schema(self.resource)))?.into_tables();
        let files = tables.writers.into_iter().zip(&empty);
        let files = files.map(|(writer, table)| parquet_file::begin(&table.schema(), writer, options));
        let files = files.collect::<Result<_, _>>()?;
        self.convert_row_groups(reader, files, Shape::Relational, options, bad_rows)
    }

    /// The way for JSON Lines: whole row groups on several threads.
    fn convert_row_groups<W: Write + Send>(
        self,
        reader: impl Read,
        files: Vec<(SerializedFileWriter<W>, Layout)>,
        shape: Shape,
        options: &ParquetOptions,
        bad_rows: &mut BadRows,
    ) -> Result<Summary, Error> {
        let (mut files, layouts): (Vec<_>, Vec<_>) = files.into_iter().unzip();
        let encoder = RowGroupEncoder {
            origin: self.origin.clone(),
            max_row_bytes: self.max_row_bytes,
            max_bad_rows: bad_rows.left().saturating_add(1),
            shape,
            layouts,
        };
        let threads = self.threads;
        let mut run = ThreadedRun { run: Run::new(self, bad_rows), reader, records: 0 };
        write_row_groups(threads, options.row_group_bytes(), &encoder, &mut run, &mut files)?;
        files.into_iter().try_for_each(parquet_file::end)?;
        Ok(run.run.finish())
    }

    /// Writes the relational tables as CSV files.
    ///
    /// # Errors
    /// See [`ErrorKind`]; [`ErrorKind::Format`] when the files are of another resource.
    pub fn to_csv(
        self,
        reader: impl Read,
        mut tables: CsvTables<'_>,
        bad_rows: &mut BadRows,
    ) -> Result<Summary, Error> {
        if tables.resource() != self.resource {
            let message =
                format!("{} can't be written as the tables of {}", self.resource, tables.resource());
            return Err(Error::new(ErrorKind::Format, message));
        }
        let summary = self.to_batches(reader, |batch| tables.write(&batch), bad_rows)?;
        tables.finish()?;
        Ok(summary)
    }

    /// Gives the rows as batches of the nested table, whose schema is [`schema`](crate::schema()), in the order of the
    /// delivery.
    ///
    /// # Errors
    /// See [`ErrorKind`]; also the first error of `take`.
    pub fn to_batches(
        self,
        reader: impl Read,
        mut take: impl FnMut(RecordBatch) -> Result<(), Error>,
        bad_rows: &mut BadRows,
    ) -> Result<Summary, Error> {
        let mut activities = ActivityBatchBuilder::new(&self.origin);
        let mut contacts = ContactBatchBuilder::new(&self.origin);
        let mut run = Run::new(self, bad_rows);
        run.rows(reader, |run, item| {
            match item {
                Item::Activity(row) => match row.activity() {
                    Ok(activity) => {
                        activities.push_row(&activity, row.position().line, row.raw().len());
                        run.summary.count_activity(&activity);
                    }
                    Err(error) => run.bad_row(error, row.raw())?,
                },
                Item::Contact(row) => match row.contact() {
                    Ok(contact) => {
                        contacts.push_row(&contact, row.position().line, row.raw().len());
                        run.summary.rows += 1;
                    }
                    Err(error) => run.bad_row(error, row.raw())?,
                },
                Item::ChunkEnd(_) => {}
            }
            if activities.is_full() {
                take(activities.finish())?;
            } else if contacts.is_full() {
                take(contacts.finish())?;
            }
            Ok(())
        })?;
        if !activities.is_empty() {
            take(activities.finish())?;
        }
        if !contacts.is_empty() {
            take(contacts.finish())?;
        }
        Ok(run.finish())
    }

    /// Copies the delivery as it is, once each row has been decoded: the good rows byte for byte, without the bad ones.
    ///
    /// Contacts delivered as JSON have no lines to copy (contract (j.23)); they become JSON Lines, one contact a line.
    ///
    /// # Errors
    /// See [`ErrorKind`].
    pub fn copy_checked(
        self,
        reader: impl Read,
        writer: impl Write,
        bad_rows: &mut BadRows,
    ) -> Result<Summary, Error> {
        let mut copy = CheckedCopy::new(writer, self.format, self.max_row_bytes);
        let mut run = Run::new(self, bad_rows);
        run.rows(reader, |run, item| match item {
            Item::Activity(row) => match row.activity() {
                Ok(activity) => {
                    run.summary.count_activity(&activity);
                    copy.good(row.end(), row.raw())
                }
                Err(error) => {
                    run.bad_row(error, row.raw())?;
                    copy.bad(row.position().byte, row.end())
                }
            },
            Item::Contact(row) => match row.contact() {
                Ok(_) => {
                    run.summary.rows += 1;
                    copy.good(row.end(), row.raw())
                }
                Err(error) => {
                    run.bad_row(error, row.raw())?;
                    copy.bad(row.position().byte, row.end())
                }
            },
            Item::ChunkEnd(chunk) => copy.chunk(chunk),
        })?;
        copy.finish()?;
        Ok(run.finish())
    }
}

/// What a delivery is made of, as it is read.
enum Item<'a> {
    /// All rows that ended in the chunk have been given.
    ChunkEnd(&'a [u8]),
    Activity(ActivityRow<'a>),
    Contact(ContactRow<'a>),
}

/// A conversion under way.
struct Run<'b> {
    conversion: Conversion,
    bad_rows: &'b mut BadRows,
    bad_before: u64,
    summary: Summary,
}

impl<'b> Run<'b> {
    fn new(conversion: Conversion, bad_rows: &'b mut BadRows) -> Self {
        let bad_before = bad_rows.count();
        Self { conversion, bad_rows, bad_before, summary: Summary::default() }
    }

    fn bad_row(&mut self, error: backstory_formats::Error, raw: &[u8]) -> Result<(), Error> {
        self.bad_rows.take(&self.conversion.file_name, error, raw)
    }

    /// Reads the input to its end and gives each row.
    fn rows(
        &mut self,
        reader: impl Read,
        mut take: impl FnMut(&mut Self, Item<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let max = self.conversion.max_row_bytes;
        match (self.conversion.resource, self.conversion.format) {
            (Resource::Activities, SourceFormat::JsonLines) => {
                let mut lines = JsonLines::new().with_max_row_bytes(max);
                self.chunks(reader, |run, chunk| {
                    let mut rows = lines.feed(chunk);
                    while let Some(row) = rows.next() {
                        take(run, Item::Activity(row))?;
                    }
                    take(run, Item::ChunkEnd(chunk))
                })?;
                lines.finish().map_or(Ok(()), |row| take(self, Item::Activity(row)))
            }
            (Resource::Contacts, SourceFormat::Csv) => {
                let mut csv = ContactsCsv::new().with_max_row_bytes(max);
                if let Some(names) = self.conversion.csv_header.take() {
                    csv = csv.with_header(names);
                }
                self.chunks(reader, |run, chunk| {
                    let mut rows = csv.feed(chunk);
                    while let Some(row) = rows.next() {
                        take(run, Item::Contact(row))?;
                    }
                    take(run, Item::ChunkEnd(chunk))
                })?;
                csv.finish().map_or(Ok(()), |row| take(self, Item::Contact(row)))?;
                self.summary.csv_header = csv.header();
                Ok(())
            }
            (Resource::Contacts, SourceFormat::Json) => {
                let mut json = ContactsJson::new().with_max_row_bytes(max);
                self.chunks(reader, |run, chunk| {
                    let mut rows = json.feed(chunk);
                    while let Some(row) = rows.next() {
                        take(run, Item::Contact(row))?;
                    }
                    take(run, Item::ChunkEnd(chunk))
                })?;
                json.finish().map_or(Ok(()), |row| take(self, Item::Contact(row)))
            }
            (resource, format) => {
                let message = format!("{resource} are never delivered as {format:?}");
                Err(Error::new(ErrorKind::Format, message))
            }
        }
    }

    fn chunks(
        &mut self,
        mut reader: impl Read,
        mut take: impl FnMut(&mut Self, &[u8]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut buffer = vec![0; CHUNK];
        loop {
            let read = self.read(&mut reader, &mut buffer)?;
            if read == 0 {
                return Ok(());
            }
            take(self, &buffer[..read])?;
            self.report();
        }
    }

    /// Fills the buffer, unless the input ends.
    fn read(&mut self, reader: &mut impl Read, buffer: &mut [u8]) -> Result<usize, Error> {
        let mut len = 0;
        while len < buffer.len() {
            if self.conversion.cancelled.as_ref().is_some_and(|cancelled| cancelled.load(Ordering::Relaxed)) {
                let message = format!("cancelled while {} was read", self.conversion.file_name);
                return Err(Error::new(ErrorKind::Cancelled, message));
            }
            match reader.read(&mut buffer[len..]) {
                Ok(0) => break,
                Ok(read) => len += read,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => {
                    let message = format!("can't read {}", self.conversion.file_name);
                    return Err(Error::new(ErrorKind::Read, message).with_source(error));
                }
            }
        }
        self.summary.bytes_in += len as u64;
        Ok(len)
    }

    fn report(&mut self) {
        let progress = Progress { bytes_in: self.summary.bytes_in, rows: self.summary.rows };
        if let Some(on_progress) = &mut self.conversion.on_progress {
            on_progress(progress);
        }
    }

    fn finish(mut self) -> Summary {
        self.summary.bad_rows = self.bad_rows.count() - self.bad_before;
        self.summary
    }
}

/// A conversion under way whose rows are decoded on other threads.
struct ThreadedRun<'b, R> {
    run: Run<'b>,
    reader: R,
    /// How many records stand before the next row group.
    records: u64,
}

impl<R: Read> Conductor for ThreadedRun<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        let read = self.run.read(&mut self.reader, buffer)?;
        self.run.report();
        Ok(read)
    }

    fn encoded(&mut self, group: &mut EncodedRowGroup) -> Result<(), Error> {
        for bad in group.bad_rows.drain(..) {
            self.run.bad_row(bad.error.behind_records(self.records), &bad.raw)?;
        }
        self.records += group.records;
        self.run.summary.add(&group.summary);
        self.run.report();
        Ok(())
    }
}
