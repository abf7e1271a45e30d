//! One delivery, from its bytes to a table.

use std::fmt;
use std::io::{Read, Write};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;

use arrow_array::RecordBatch;
use backstory_formats::{ContactsCsv, DEFAULT_MAX_ROW_BYTES};
use parquet::file::metadata::KeyValue;

use crate::bad_rows::BadRows;
use crate::batch::ContactBatchBuilder;
use crate::block::BlockCutter;
use crate::block_decoding::{DecodedBlock, Decoding};
use crate::checked_copy::CheckedCopy;
use crate::csv_tables::CsvTables;
use crate::encode::{EncodedFile, Layout};
use crate::error::{Error, ErrorKind};
use crate::origin::Origin;
use crate::parallel_batches::BlockDecoder;
use crate::parquet_file::{self, ParquetFile, ParquetOptions, ParquetTables};
use crate::relational::explode;
use crate::resource::{Resource, SourceFormat};
use crate::row_group::Shape;
use crate::row_groups::{Plan, write_row_groups};
use crate::run::{Item, Run, ThreadedRun};
use crate::schema::schema;
use crate::summary::Summary;
use crate::tasks::Tools;

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
type AtEnd = Box<dyn FnOnce(&Summary) -> Vec<(String, String)> + Send>;

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
    pub(crate) resource: Resource,
    pub(crate) format: SourceFormat,
    pub(crate) origin: Origin,
    pub(crate) file_name: String,
    pub(crate) max_row_bytes: usize,
    pub(crate) csv_header: Option<Vec<String>>,
    pub(crate) on_progress: Option<OnProgress>,
    pub(crate) cancelled: Option<Arc<AtomicBool>>,
    pub(crate) threads: NonZeroUsize,
    pub(crate) metadata_at_end: Option<AtEnd>,
    bare_rows: bool,
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
            metadata_at_end: None,
            bare_rows: false,
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

    /// Decodes on this many threads, where the work can be divided: JSON Lines and CSV. On the way to Parquet they encode
    /// too. Two unless said, where there are two processors. What is written is the same for any number; each beyond the
    /// first needs a few MiB.
    #[must_use]
    pub fn with_threads(mut self, threads: NonZeroUsize) -> Self {
        self.threads = threads;
        self
    }

    /// Copies the rows alone, each on a line, where the delivery would be [copied](Self::copy_checked) byte for byte: for one
    /// that has been made into lines on its way, so that what is between them isn't as it was delivered anyway.
    #[must_use]
    pub fn with_bare_rows(mut self) -> Self {
        self.bare_rows = true;
        self
    }

    /// Adds entries to a Parquet file's own metadata that are known only at the end. `describe` is called once the input has
    /// been read to its end, and everything but the footer is in the writer. Other outputs have no use for it.
    #[must_use]
    pub fn with_metadata_at_end(
        mut self,
        describe: impl FnOnce(&Summary) -> Vec<(String, String)> + Send + 'static,
    ) -> Self {
        self.metadata_at_end = Some(Box::new(describe));
        self
    }

    /// Writes the nested table as a Parquet file.
    ///
    /// # Errors
    /// See [`ErrorKind`].
    pub fn to_parquet(
        mut self,
        reader: impl Read,
        writer: impl Write + Send,
        options: &ParquetOptions,
        bad_rows: &mut BadRows,
    ) -> Result<Summary, Error> {
        if self.is_divisible() {
            let file = parquet_file::begin(&schema(self.resource), writer, options)?;
            return self.convert_row_groups(reader, vec![file], Shape::Nested, options, bad_rows);
        }
        let describe = self.metadata_at_end.take();
        let mut file = ParquetFile::new(self.resource, writer, options)?;
        let summary = self.to_batches(reader, |batch| file.write(&batch), bad_rows)?;
        file.end_row_group()?;
        file.flush()?;
        for (key, value) in describe.map(|describe| describe(&summary)).unwrap_or_default() {
            file.add_metadata(key, value);
        }
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

    /// Whether the input can be cut into blocks that are decoded side by side.
    fn is_divisible(&self) -> bool {
        matches!(
            (self.resource, self.format),
            (Resource::Activities, SourceFormat::JsonLines) | (Resource::Contacts, SourceFormat::Csv)
        )
    }

    fn cutter(&mut self) -> BlockCutter {
        if self.format == SourceFormat::JsonLines {
            return BlockCutter::new(self.max_row_bytes);
        }
        let mut csv = ContactsCsv::new().with_max_row_bytes(self.max_row_bytes);
        if let Some(names) = self.csv_header.take() {
            csv = csv.with_header(names);
        }
        BlockCutter::of_csv(csv, self.max_row_bytes)
    }

    /// The way for an input that can be divided.
    fn convert_row_groups<W: Write + Send>(
        mut self,
        reader: impl Read,
        files: Vec<(EncodedFile<W>, Layout)>,
        shape: Shape,
        options: &ParquetOptions,
        bad_rows: &mut BadRows,
    ) -> Result<Summary, Error> {
        let (mut files, layouts): (Vec<_>, Vec<_>) = files.into_iter().unzip();
        let (origin, max_row_bytes) = (self.origin.clone(), self.max_row_bytes);
        let max_bad_rows = bad_rows.left().saturating_add(1);
        let tools = || {
            let decoding = Decoding::new(&origin, max_row_bytes, max_bad_rows);
            Ok(Tools { decoding, compressor: layouts[0].compressor()? })
        };
        let (threads, row_group_bytes) = (self.threads, options.row_group_bytes());
        let plan = Plan { threads, row_group_bytes, shape, layouts: &layouts };
        let cutter = self.cutter();
        let describe = self.metadata_at_end.take();
        let mut run = ThreadedRun { run: Run::new(self, bad_rows), reader, records: 0 };
        run.run.summary.csv_header = write_row_groups(&plan, cutter, tools, &mut run, &mut files)?;
        let summary = run.run.finish();
        if let Some(describe) = describe {
            files.iter_mut().try_for_each(EncodedFile::flush)?;
            for (key, value) in describe(&summary) {
                let entry = KeyValue::new(key, value);
                files.iter_mut().for_each(|file| file.add_key_value(entry.clone()));
            }
        }
        files.into_iter().try_for_each(EncodedFile::finish)?;
        Ok(summary)
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
        if self.is_divisible() {
            return self.batches_of_blocks(reader, take, bad_rows);
        }
        // Only contacts as JSON are left.
        let mut contacts = ContactBatchBuilder::new(&self.origin);
        let mut run = Run::new(self, bad_rows);
        run.rows(reader, |run, item| {
            let Item::Contact(row) = item else { return Ok(()) };
            match contacts.push_row(&row) {
                Ok(()) => run.summary.rows += 1,
                Err(error) => run.bad_row(error, row.raw())?,
            }
            if contacts.is_full() { take(contacts.finish()) } else { Ok(()) }
        })?;
        if !contacts.is_empty() {
            take(contacts.finish())?;
        }
        Ok(run.finish())
    }

    /// The way for an input that can be divided. A block becomes the same batches on any thread, also on the only one.
    fn batches_of_blocks(
        mut self,
        mut reader: impl Read,
        mut take: impl FnMut(RecordBatch) -> Result<(), Error>,
        bad_rows: &mut BadRows,
    ) -> Result<Summary, Error> {
        let max_bad_rows = bad_rows.left().saturating_add(1);
        let (threads, max_row_bytes, origin) = (self.threads, self.max_row_bytes, self.origin.clone());
        let mut cutter = self.cutter();
        let mut run = Run::new(self, bad_rows);
        let mut records = 0;
        let mut take_block = |run: &mut Run<'_>, block: DecodedBlock| {
            for bad in block.bad_rows {
                run.bad_row(bad.error.behind_records(records), &bad.raw)?;
            }
            records += block.records;
            run.summary.add(&block.summary);
            run.report();
            block.batches.into_iter().try_for_each(&mut take)
        };
        if threads == NonZeroUsize::MIN {
            let mut decoding = Decoding::new(&origin, max_row_bytes, max_bad_rows);
            let mut buffer = Vec::new();
            while let Some(block) = cutter.next(buffer, |buffer| run.read(&mut reader, buffer))? {
                take_block(&mut run, decoding.decode(&block))?;
                buffer = block.bytes;
            }
            run.summary.csv_header = cutter.csv_header();
            return Ok(run.finish());
        }
        let mut decoder = BlockDecoder::start(threads, cutter, &origin, max_row_bytes, max_bad_rows);
        while let Some(block) = decoder.next_block(|buffer| run.read(&mut reader, buffer))? {
            take_block(&mut run, block)?;
        }
        run.summary.csv_header = decoder.csv_header();
        Ok(run.finish())
    }

    /// Copies the delivery as it is, once each row has been decoded: the good rows byte for byte, without the bad ones,
    /// unless only [bare rows](Self::with_bare_rows) are wanted.
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
        let bare_rows = self.bare_rows || self.format == SourceFormat::Json;
        let mut copy = CheckedCopy::new(writer, bare_rows, self.max_row_bytes);
        let mut run = Run::new(self, bad_rows);
        run.rows(reader, |run, item| match item {
            Item::Activity(row) => match row.activity() {
                Ok(activity) => {
                    run.summary.count_activity(&activity);
                    copy.good(row.end(), row.raw())
                }
                Err(error) => {
                    run.bad_row(error, row.line())?;
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
