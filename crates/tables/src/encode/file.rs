//! A Parquet file whose row groups arrive encoded: it puts them behind each other and notes where they stand.

use std::io::Write;

use parquet::errors::Result;
use parquet::file::metadata::{ColumnChunkMetaData, KeyValue, RowGroupMetaData};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::TrackedWrite;
use parquet::schema::types::SchemaDescPtr;

use super::footer::Footer;
use super::{EncodedColumn, failed};
use crate::error::Error;

/// The file, without the footer yet.
pub(crate) struct EncodedFile<W: Write> {
    writer: TrackedWrite<W>,
    schema: SchemaDescPtr,
    footer: Footer,
}

impl<W: Write> EncodedFile<W> {
    pub(crate) fn begin(writer: W, schema: SchemaDescPtr, properties: &WriterProperties) -> Result<Self> {
        let mut writer = TrackedWrite::new(writer);
        writer.write_all(b"PAR1")?;
        let key_values = properties.key_value_metadata().cloned().unwrap_or_default();
        let footer = Footer::new(schema.clone(), properties.created_by().to_owned(), key_values);
        Ok(Self { writer, schema, footer })
    }

    /// Appends a row group; one without rows is left out.
    pub(crate) fn append(&mut self, columns: Vec<EncodedColumn>) -> std::result::Result<(), Error> {
        match columns.first().map_or(0, |(_, column)| column.rows_written) {
            0 => Ok(()),
            rows => self.append_rows(rows, columns).map_err(failed),
        }
    }

    fn append_rows(&mut self, rows: u64, columns: Vec<EncodedColumn>) -> Result<()> {
        let begin = self.writer.bytes_written();
        let mut filters = Vec::new();
        let mut chunks = Vec::with_capacity(columns.len());
        for (bytes, column) in columns {
            let at = self.writer.bytes_written() as i64;
            self.writer.write_all(&bytes)?;
            let dictionary_at = column.metadata.dictionary_page_offset().map(|offset| offset + at);
            let data_at = column.metadata.data_page_offset() + at;
            let chunk = column.metadata.into_builder();
            chunks
                .push(chunk.set_dictionary_page_offset(dictionary_at).set_data_page_offset(data_at).build()?);
            filters.push(column.bloom_filter);
        }
        for (chunk, filter) in chunks.iter_mut().zip(filters) {
            if let Some(filter) = filter {
                let at = self.writer.bytes_written();
                filter.write(&mut self.writer)?;
                let length = self.writer.bytes_written() - at;
                *chunk = chunk
                    .clone()
                    .into_builder()
                    .set_bloom_filter_offset(Some(at as i64))
                    .set_bloom_filter_length(Some(length as i32))
                    .build()?;
            }
        }
        let group = RowGroupMetaData::builder(self.schema.clone())
            .set_total_byte_size(chunks.iter().map(ColumnChunkMetaData::uncompressed_size).sum())
            .set_column_metadata(chunks)
            .set_num_rows(rows as i64)
            .set_ordinal(self.footer.count() as i32)
            .set_file_offset(begin as i64)
            .build()?;
        self.footer.add(group)
    }

    /// Adds to what the footer says of the whole file.
    pub(crate) fn add_key_value(&mut self, entry: KeyValue) {
        self.footer.add_key_value(entry);
    }

    /// Hands everything that has been appended on to the writer.
    pub(crate) fn flush(&mut self) -> std::result::Result<(), Error> {
        self.writer.flush().map_err(|error| failed(error.into()))
    }

    /// Writes the footer.
    pub(crate) fn finish(mut self) -> std::result::Result<(), Error> {
        let written = self.footer.finish(&mut self.writer);
        written.and_then(|()| Ok(self.writer.flush()?)).map_err(failed)
    }
}
