//! Parquet: the nested tables as files that other engines read well.

use std::fmt;
use std::io::Write;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use parquet::arrow::{ArrowSchemaConverter, add_encoded_arrow_schema_to_metadata};
use parquet::basic::{Compression as Codec, ZstdLevel};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::schema::types::ColumnPath;

use crate::encode::{EncodedFile, Layout, RowGroupWriter};
use crate::error::{Error, ErrorKind};
use crate::resource::Resource;
use crate::schema::schema;

/// How pages of a Parquet file are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Compression {
    /// Zstandard of a level from 1 to 22.
    Zstd(i32),
    /// Snappy.
    Snappy,
    /// Not at all.
    None,
}

/// How a Parquet file is written.
#[derive(Clone, Debug)]
pub struct ParquetOptions {
    row_group_bytes: usize,
    compression: Compression,
    metadata: Vec<(String, String)>,
}

impl Default for ParquetOptions {
    /// Row groups of 40 MiB, Zstandard level 1. Greater ones make smaller files, since their dictionaries serve more rows, but
    /// take more memory: with 64 MiB, a file of activities is 4 % smaller and writing it takes 8 MiB more. Most columns have a
    /// page or two in such a row group, which the row group's own statistics let readers skip, so there is no page index.
    fn default() -> Self {
        Self { row_group_bytes: 40 << 20, compression: Compression::Zstd(1), metadata: Vec::new() }
    }
}

impl ParquetOptions {
    /// Ends a row group when its rows take this many bytes, uncompressed: as delivered when JSON Lines are converted, in
    /// memory otherwise. It bounds the writer's memory.
    #[must_use]
    pub fn with_row_group_bytes(mut self, bytes: usize) -> Self {
        self.row_group_bytes = bytes.max(1);
        self
    }

    /// Compresses pages in another way.
    #[must_use]
    pub fn with_compression(mut self, compression: Compression) -> Self {
        self.compression = compression;
        self
    }

    /// Adds an entry to the file's own metadata, which stands in its footer.
    #[must_use]
    pub fn with_metadata(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.metadata.push((key.into(), value.into()));
        self
    }

    pub(crate) fn row_group_bytes(&self) -> usize {
        self.row_group_bytes
    }

    pub(crate) fn properties(&self) -> Result<WriterProperties, Error> {
        let codec = match self.compression {
            Compression::Zstd(level) => Codec::ZSTD(ZstdLevel::try_new(level).map_err(|error| {
                Error::new(ErrorKind::Format, format!("there is no Zstandard level {level}"))
                    .with_source(error)
            })?),
            Compression::Snappy => Codec::SNAPPY,
            Compression::None => Codec::UNCOMPRESSED,
        };
        let metadata =
            self.metadata.iter().map(|(key, value)| KeyValue::new(key.clone(), value.clone())).collect();
        Ok(WriterProperties::builder()
            .set_created_by(concat!("backstory ", env!("CARGO_PKG_VERSION")).to_owned())
            .set_compression(codec)
            .set_key_value_metadata(Some(metadata))
            .build())
    }
}

/// Writes the batches of one nested table to a Parquet file.
pub struct ParquetFile<W: Write + Send> {
    file: EncodedFile<W>,
    row_group_bytes: usize,
    in_group: usize,
    group: RowGroupWriter,
}

impl<W: Write + Send> ParquetFile<W> {
    /// Begins a file.
    ///
    /// # Errors
    /// [`ErrorKind::Write`], and [`ErrorKind::Format`] for a compression level that doesn't exist.
    pub fn new(resource: Resource, writer: W, options: &ParquetOptions) -> Result<Self, Error> {
        let (file, layout) = begin(&schema(resource), writer, options)?;
        let group = RowGroupWriter::new(&layout)?;
        Ok(Self { file, row_group_bytes: options.row_group_bytes, in_group: 0, group })
    }

    /// Writes a batch.
    ///
    /// # Errors
    /// [`ErrorKind::Write`], and [`ErrorKind::Table`] when the batch isn't of the table's [`schema`](crate::schema()).
    pub fn write(&mut self, batch: &RecordBatch) -> Result<(), Error> {
        self.group.write(batch)?;
        let sizes =
            batch.columns().iter().map(|column| column.to_data().get_slice_memory_size().unwrap_or(0));
        self.in_group += sizes.sum::<usize>();
        if self.in_group >= self.row_group_bytes {
            self.end_row_group()?;
        }
        Ok(())
    }

    /// Ends the row group, if any rows have been written since the last one, whatever its size.
    ///
    /// # Errors
    /// [`ErrorKind::Write`].
    pub fn end_row_group(&mut self) -> Result<(), Error> {
        self.in_group = 0;
        self.file.append(self.group.finish()?)
    }

    /// Hands everything that has been encoded on to the writer: all row groups that have ended.
    ///
    /// # Errors
    /// [`ErrorKind::Write`].
    pub fn flush(&mut self) -> Result<(), Error> {
        self.file.flush()
    }

    /// Adds an entry to the file's own metadata, for what is known only once the rows have been written.
    pub fn add_metadata(&mut self, key: impl Into<String>, value: impl Into<String>) {
        self.file.add_key_value(KeyValue::new(key.into(), value.into()));
    }

    /// Writes the footer. Without it the file isn't one.
    ///
    /// # Errors
    /// [`ErrorKind::Write`].
    pub fn finish(mut self) -> Result<(), Error> {
        self.end_row_group()?;
        self.file.finish()
    }
}

/// The Parquet files of the relational tables that activities become.
pub struct ParquetTables<'w> {
    /// In the order `activities`, `participants`, `campaigns`.
    pub(crate) writers: Vec<Box<dyn Write + Send + 'w>>,
}

impl<'w> ParquetTables<'w> {
    /// A file for each of the tables `activities`, `participants` and `campaigns`.
    pub fn activities(
        activities: impl Write + Send + 'w,
        participants: impl Write + Send + 'w,
        campaigns: impl Write + Send + 'w,
    ) -> Self {
        Self { writers: vec![Box::new(activities), Box::new(participants), Box::new(campaigns)] }
    }
}

impl fmt::Debug for ParquetTables<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ParquetTables").finish_non_exhaustive()
    }
}

/// Begins a file whose row groups are encoded apart from it.
pub(crate) fn begin<W: Write + Send>(
    schema: &SchemaRef,
    writer: W,
    options: &ParquetOptions,
) -> Result<(EncodedFile<W>, Layout), Error> {
    let failed = |error| Error::write("the Parquet file", error);
    let mut properties = options.properties()?;
    // Readers that know Arrow find its types there: the time zone above all.
    add_encoded_arrow_schema_to_metadata(schema, &mut properties);
    let codec = properties.compression(&ColumnPath::from("uid"));
    let columns = Arc::new(ArrowSchemaConverter::new().convert(schema).map_err(failed)?);
    let file = EncodedFile::begin(writer, Arc::clone(&columns), &properties).map_err(failed)?;
    let layout = Layout::of(&columns, codec);
    Ok((file, layout))
}

impl<W: Write + Send> fmt::Debug for ParquetFile<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ParquetFile").field("row_group_bytes", &self.row_group_bytes).finish_non_exhaustive()
    }
}
