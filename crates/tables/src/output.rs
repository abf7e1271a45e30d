//! What a conversion writes: the form of its files and the shape of its tables, for callers that let their users choose.

use std::fmt;
use std::io::{Read, Write};

use arrow_array::RecordBatch;

use crate::arrow_file::{ArrowFile, ArrowOptions};
use crate::bad_rows::BadRows;
use crate::conversion::Conversion;
use crate::csv_tables::CsvTables;
use crate::error::{Error, ErrorKind};
use crate::json_lines_file::JsonLinesFile;
use crate::parquet_file::{ParquetOptions, ParquetTables};
use crate::relational::explode;
use crate::resource::{Resource, SourceFormat};
use crate::row_group::Shape;
use crate::schema::schema;
use crate::summary::Summary;

/// The form of the files that a conversion writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OutputFormat {
    /// Parquet.
    Parquet,
    /// CSV, whose tables are always relational.
    Csv,
    /// One JSON object a line: activities as they were delivered, contacts by the API's own field names.
    JsonLines,
    /// Arrow IPC.
    Arrow,
}

impl OutputFormat {
    /// All of them, in the order in which they are shown.
    pub const ALL: &'static [Self] = &[Self::Parquet, Self::Csv, Self::JsonLines, Self::Arrow];

    /// Its name, and the ending of its files.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Parquet => "parquet",
            Self::Csv => "csv",
            Self::JsonLines => "jsonl",
            Self::Arrow => "arrow",
        }
    }
}

impl fmt::Display for OutputFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What a conversion writes, and how.
///
/// ```
/// use backstory_tables::{BadRows, Conversion, Origin, Output, OutputFormat, Resource, Shape, SourceFormat};
/// use jiff::Timestamp;
///
/// let output = Output::new(OutputFormat::Arrow).with_shape(Shape::Relational);
/// let tables = output.tables(Resource::Activities)?;
/// assert_eq!(tables, ["activities", "participants", "campaigns"]);
///
/// let mut files = vec![Vec::new(); tables.len()];
/// let export = &b"{\"uid\":\"em-1\",\"participants\":[{\"phone\":\"+15550100\"}]}\n"[..];
/// let summary = Conversion::new(Resource::Activities, SourceFormat::JsonLines, Origin::offline(Timestamp::UNIX_EPOCH))
///     .to_writers(export, &output, files.iter_mut().collect(), &mut BadRows::fail())?;
/// assert_eq!((summary.rows, summary.participants), (1, 1));
/// assert!(files.iter().all(|file| file.starts_with(b"ARROW1")));
/// # Ok::<(), backstory_tables::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Output {
    format: OutputFormat,
    shape: Option<Shape>,
    parquet: ParquetOptions,
    arrow: ArrowOptions,
}

impl Output {
    /// Files of a form, in its usual shape: CSV is relational, the others are nested.
    pub fn new(format: OutputFormat) -> Self {
        Self { format, shape: None, parquet: ParquetOptions::default(), arrow: ArrowOptions::default() }
    }

    /// Gives the tables another shape. Contacts have one table in either.
    #[must_use]
    pub fn with_shape(mut self, shape: Shape) -> Self {
        self.shape = Some(shape);
        self
    }

    /// Says how Parquet files are written.
    #[must_use]
    pub fn with_parquet_options(mut self, options: ParquetOptions) -> Self {
        self.parquet = options;
        self
    }

    /// Says how Arrow files are written.
    #[must_use]
    pub fn with_arrow_options(mut self, options: ArrowOptions) -> Self {
        self.arrow = options;
        self
    }

    /// The form of the files.
    pub fn format(&self) -> OutputFormat {
        self.format
    }

    /// The tables that a resource becomes, one file each; the first has a row for each record.
    ///
    /// # Errors
    /// [`ErrorKind::Format`] when the form can't hold the shape.
    pub fn tables(&self, resource: Resource) -> Result<&'static [&'static str], Error> {
        let refuse = |message: &str| Err(Error::new(ErrorKind::Format, message));
        match (resource, self.format, self.shape) {
            (Resource::Contacts, _, _) => Ok(&["contacts"]),
            (Resource::Activities, OutputFormat::Csv, Some(Shape::Nested)) => {
                refuse("CSV can't hold nested rows; its tables are relational")
            }
            (Resource::Activities, OutputFormat::JsonLines, Some(Shape::Relational)) => {
                refuse("JSON Lines hold the records as they were delivered, which are nested")
            }
            (Resource::Activities, OutputFormat::Csv, None) | (_, _, Some(Shape::Relational)) => {
                Ok(&["activities", "participants", "campaigns"])
            }
            (Resource::Activities, _, _) => Ok(&["activities"]),
        }
    }
}

impl Conversion {
    /// Writes one file for each of [`Output::tables`].
    ///
    /// # Errors
    /// See [`ErrorKind`]; [`ErrorKind::Format`] when the form can't hold the shape, or there aren't as many writers as
    /// tables.
    pub fn to_writers<W: Write + Send>(
        self,
        reader: impl Read,
        output: &Output,
        writers: Vec<W>,
        bad_rows: &mut BadRows,
    ) -> Result<Summary, Error> {
        let tables = output.tables(self.resource)?;
        let as_delivered = self.format == SourceFormat::JsonLines || self.format == SourceFormat::Json;
        match (output.format, <[W; 3]>::try_from(writers)) {
            (OutputFormat::Parquet, Ok([activities, participants, campaigns])) if tables.len() == 3 => {
                let tables = ParquetTables::activities(activities, participants, campaigns);
                self.to_parquet_tables(reader, tables, &output.parquet, bad_rows)
            }
            (OutputFormat::Csv, Ok([activities, participants, campaigns])) if tables.len() == 3 => {
                self.to_csv(reader, CsvTables::activities(activities, participants, campaigns), bad_rows)
            }
            (OutputFormat::Arrow, Ok(writers)) if tables.len() == 3 => {
                self.write_arrow_tables(reader, writers, &output.arrow, bad_rows)
            }
            (format, Err(writers)) if tables.len() == 1 && writers.len() == 1 => {
                let mut writers = writers;
                let Some(writer) = writers.pop() else { return Err(wrong_number(tables, 0)) };
                match format {
                    OutputFormat::Parquet => self.to_parquet(reader, writer, &output.parquet, bad_rows),
                    OutputFormat::Csv => self.to_csv(reader, CsvTables::contacts(writer), bad_rows),
                    OutputFormat::Arrow => self.to_arrow(reader, writer, &output.arrow, bad_rows),
                    OutputFormat::JsonLines if as_delivered => self.copy_checked(reader, writer, bad_rows),
                    OutputFormat::JsonLines => self.write_json_lines(reader, writer, bad_rows),
                }
            }
            (_, Ok(_)) => Err(wrong_number(tables, 3)),
            (_, Err(writers)) => Err(wrong_number(tables, writers.len())),
        }
    }

    /// Writes the nested table as an Arrow IPC file or stream.
    ///
    /// # Errors
    /// See [`ErrorKind`].
    pub fn to_arrow(
        self,
        reader: impl Read,
        writer: impl Write,
        options: &ArrowOptions,
        bad_rows: &mut BadRows,
    ) -> Result<Summary, Error> {
        let mut file = ArrowFile::new(self.resource, writer, options)?;
        let summary = self.to_batches(reader, |batch| file.write(&batch), bad_rows)?;
        file.finish()?;
        Ok(summary)
    }

    fn write_arrow_tables<W: Write>(
        self,
        reader: impl Read,
        writers: [W; 3],
        options: &ArrowOptions,
        bad_rows: &mut BadRows,
    ) -> Result<Summary, Error> {
        let empty = explode(&RecordBatch::new_empty(schema(self.resource)))?.into_tables();
        let files = writers.into_iter().zip(&empty);
        let files = files.map(|(writer, table)| ArrowFile::of_schema(table.schema(), writer, options));
        let mut files = files.collect::<Result<Vec<_>, _>>()?;
        let write = |batch: RecordBatch| {
            let tables = explode(&batch)?.into_tables();
            files.iter_mut().zip(&tables).try_for_each(|(file, table)| file.write(table))
        };
        let summary = self.to_batches(reader, write, bad_rows)?;
        files.into_iter().try_for_each(ArrowFile::finish)?;
        Ok(summary)
    }

    /// Writes records that weren't delivered as JSON as if they had been.
    fn write_json_lines(
        self,
        reader: impl Read,
        writer: impl Write,
        bad_rows: &mut BadRows,
    ) -> Result<Summary, Error> {
        let mut file = JsonLinesFile::new(writer);
        let summary = self.to_batches(reader, |batch| file.write(&batch), bad_rows)?;
        file.finish()?;
        Ok(summary)
    }
}

fn wrong_number(tables: &[&str], writers: usize) -> Error {
    Error::new(ErrorKind::Format, format!("{} tables can't be written to {writers} writers", tables.len()))
}
