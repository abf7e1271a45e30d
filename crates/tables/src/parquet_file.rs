//! Parquet: the nested tables as files that other engines read well.

use std::fmt;
use std::io::Write;

use arrow_array::RecordBatch;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowRowGroupWriterFactory;
use parquet::basic::{Compression as Codec, Encoding, ZstdLevel};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::ColumnPath;

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
    /// Row groups of 32 MiB, Zstandard level 1.
    fn default() -> Self {
        Self { row_group_bytes: 32 << 20, compression: Compression::Zstd(1), metadata: Vec::new() }
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
        let mut properties = WriterProperties::builder()
            .set_created_by(concat!("backstory ", env!("CARGO_PKG_VERSION")).to_owned())
            .set_compression(codec)
            .set_statistics_enabled(EnabledStatistics::Chunk)
            // Looking up one activity is the commonest search; a column whose values are all distinct has no statistics
            // that help there.
            .set_column_bloom_filter_enabled(ColumnPath::from("uid"), true)
            .set_max_row_group_row_count(None)
            .set_key_value_metadata(Some(metadata));
        for (path, encoding) in DISTINCT {
            let path = ColumnPath::from(path.split('.').map(str::to_owned).collect::<Vec<_>>());
            properties = properties
                .set_column_dictionary_enabled(path.clone(), false)
                .set_column_encoding(path, *encoding);
        }
        Ok(properties.build())
    }
}

/// Columns whose values hardly ever come twice. Building a dictionary for them costs a quarter of the writer's time, and
/// is thrown away in the end. Instants and line numbers are small steps apart; versions share long beginnings.
const DISTINCT: &[(&str, Encoding)] = &[
    ("_key", Encoding::PLAIN),
    ("uid", Encoding::PLAIN),
    ("source_id", Encoding::PLAIN),
    ("in_reply_to_source_id", Encoding::PLAIN),
    ("followed_meeting_source_id", Encoding::PLAIN),
    ("follow_up_email_source_id", Encoding::PLAIN),
    ("subject", Encoding::PLAIN),
    ("summary", Encoding::PLAIN),
    ("extra", Encoding::PLAIN),
    ("crm_status.crm_id", Encoding::PLAIN),
    ("timestamp", Encoding::DELTA_BINARY_PACKED),
    ("ingest_timestamp", Encoding::DELTA_BINARY_PACKED),
    ("created", Encoding::DELTA_BINARY_PACKED),
    ("start_time", Encoding::DELTA_BINARY_PACKED),
    ("end_time", Encoding::DELTA_BINARY_PACKED),
    ("crm_status.push_time", Encoding::DELTA_BINARY_PACKED),
    ("_line", Encoding::DELTA_BINARY_PACKED),
    ("_version", Encoding::DELTA_BYTE_ARRAY),
];

/// Writes the batches of one nested table to a Parquet file.
pub struct ParquetFile<W: Write + Send> {
    writer: ArrowWriter<W>,
    row_group_bytes: usize,
    in_group: usize,
}

impl<W: Write + Send> ParquetFile<W> {
    /// Begins a file.
    ///
    /// # Errors
    /// [`ErrorKind::Write`], and [`ErrorKind::Format`] for a compression level that doesn't exist.
    pub fn new(resource: Resource, writer: W, options: &ParquetOptions) -> Result<Self, Error> {
        let writer = ArrowWriter::try_new(writer, schema(resource), Some(options.properties()?))
            .map_err(|error| Error::write("the Parquet file", error))?;
        Ok(Self { writer, row_group_bytes: options.row_group_bytes, in_group: 0 })
    }

    /// The parts of a file whose row groups are encoded elsewhere.
    pub(crate) fn into_parts(self) -> Result<(SerializedFileWriter<W>, ArrowRowGroupWriterFactory), Error> {
        self.writer.into_serialized_writer().map_err(|error| Error::write("the Parquet file", error))
    }

    /// Writes a batch.
    ///
    /// # Errors
    /// [`ErrorKind::Write`], also when the batch isn't of the table's schema.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<(), Error> {
        self.writer.write(batch).map_err(|error| Error::write("the Parquet file", error))?;
        self.in_group += batch
            .columns()
            .iter()
            .map(|column| column.to_data().get_slice_memory_size().unwrap_or(0))
            .sum::<usize>();
        if self.in_group >= self.row_group_bytes {
            self.writer.flush().map_err(|error| Error::write("the Parquet file", error))?;
            self.in_group = 0;
        }
        Ok(())
    }

    /// Writes the footer. Without it the file isn't one.
    ///
    /// # Errors
    /// [`ErrorKind::Write`].
    pub fn finish(self) -> Result<(), Error> {
        let mut writer = self.writer.into_inner().map_err(|error| Error::write("the Parquet file", error))?;
        writer.flush().map_err(|error| Error::write("the Parquet file", error))
    }
}

impl<W: Write + Send> fmt::Debug for ParquetFile<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ParquetFile").field("row_group_bytes", &self.row_group_bytes).finish_non_exhaustive()
    }
}
