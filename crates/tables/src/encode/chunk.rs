//! The end of a column chunk: its pages behind their dictionary, and what the footer says of them.

use std::sync::Arc;

use bytes::Bytes;
use parquet::basic::{Encoding, Type};
use parquet::column::page::{CompressedPage, Page, PageWriter};
use parquet::column::writer::ColumnCloseResult;
use parquet::data_type::ByteArray;
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::statistics::{Statistics, ValueStatistics};
use parquet::file::writer::{SerializedPageWriter, TrackedWrite};

use super::compression::Compressor;
use super::leaf::{BLOOM_FALSE_POSITIVES, Leaf, Range, Values};
use super::{EncodedColumn, failed};
use crate::error::Error;

/// Longer texts are not taken into statistics.
const STATISTICS_BYTES: usize = 64;

impl Leaf {
    /// Ends the chunk: its bytes, and what the footer says of it. The leaf goes on empty.
    pub(crate) fn finish(&mut self, compressor: &mut Compressor) -> Result<EncodedColumn, Error> {
        self.end_page(compressor)?;
        let done = std::mem::replace(self, Self::new(Arc::clone(&self.plan)));
        let statistics = done.statistics();
        let mut sink = TrackedWrite::new(Vec::new());
        let mut writer = SerializedPageWriter::new(&mut sink);
        let mut encodings = done.encodings;
        let mut uncompressed = 0;
        let mut dictionary_at = None;
        let dictionary = match &done.values {
            Values::Dictionary { dictionary, .. } if !done.pages.is_empty() => Some(dictionary),
            _ => done.retired.as_ref(),
        };
        if let Some(dictionary) = dictionary {
            let page = Page::DictionaryPage {
                buf: Bytes::copy_from_slice(compressor.compress(dictionary.plain())?),
                num_values: dictionary.len() as u32,
                encoding: Encoding::PLAIN,
                is_sorted: false,
            };
            let written =
                writer.write_page(CompressedPage::new(page, dictionary.plain().len())).map_err(failed)?;
            uncompressed += written.uncompressed_size;
            dictionary_at = Some(written.offset as i64);
            if !encodings.contains(&Encoding::PLAIN) {
                encodings.push(Encoding::PLAIN);
            }
        }
        let mut data_at = None;
        for page in done.pages {
            let written = writer.write_page(page).map_err(failed)?;
            uncompressed += written.uncompressed_size;
            data_at.get_or_insert(written.offset as i64);
        }
        let bytes = sink.into_inner().map_err(failed)?;
        let metadata = ColumnChunkMetaData::builder(Arc::clone(&done.plan.column))
            .set_compression(done.plan.codec)
            .set_encodings(encodings)
            .set_num_values(done.slots as i64)
            .set_total_compressed_size(bytes.len() as i64)
            .set_total_uncompressed_size(uncompressed as i64)
            .set_data_page_offset(data_at.unwrap_or_default())
            .set_dictionary_page_offset(dictionary_at)
            .set_statistics(statistics)
            .build()
            .map_err(failed)?;
        let mut bloom_filter = done.bloom_filter;
        if let Some(filter) = &mut bloom_filter {
            filter.fold_to_target_fpp(BLOOM_FALSE_POSITIVES);
        }
        let close = ColumnCloseResult {
            bytes_written: bytes.len() as u64,
            rows_written: done.rows,
            metadata,
            bloom_filter,
            column_index: None,
            offset_index: None,
        };
        Ok((Bytes::from(bytes), close))
    }

    fn statistics(&self) -> Statistics {
        let nulls = Some(self.slots - self.present);
        match (self.plan.column.physical_type(), self.range) {
            (Type::INT64, Range::Integers(least, greatest)) => {
                Statistics::Int64(ValueStatistics::new(Some(least), Some(greatest), None, nulls, false))
            }
            (Type::INT64, _) => match self
                .dictionary_range(|value| Some(i64::from_le_bytes(*value.first_chunk::<8>()?)))
            {
                Some((least, greatest)) => {
                    Statistics::Int64(ValueStatistics::new(Some(least), Some(greatest), None, nulls, false))
                }
                None => Statistics::Int64(ValueStatistics::new(None, None, None, nulls, false)),
            },
            (Type::INT32, Range::Integers(least, greatest)) => Statistics::Int32(ValueStatistics::new(
                Some(least as i32),
                Some(greatest as i32),
                None,
                nulls,
                false,
            )),
            (Type::INT32, _) => Statistics::Int32(ValueStatistics::new(None, None, None, nulls, false)),
            (Type::BOOLEAN, Range::Booleans(least, greatest)) => {
                Statistics::Boolean(ValueStatistics::new(Some(least), Some(greatest), None, nulls, false))
            }
            (Type::BOOLEAN, _) => Statistics::Boolean(ValueStatistics::new(None, None, None, nulls, false)),
            _ => {
                let short = |value: &[u8]| value.len() <= STATISTICS_BYTES;
                let range = self
                    .dictionary_range(|value| Some(value.to_vec()))
                    .filter(|(least, greatest)| short(least) && short(greatest));
                let (least, greatest) = range.unzip();
                Statistics::ByteArray(ValueStatistics::new(
                    least.map(ByteArray::from),
                    greatest.map(ByteArray::from),
                    None,
                    nulls,
                    false,
                ))
            }
        }
    }

    /// The range of the values of a dictionary that was never given up.
    fn dictionary_range<'d, V: Ord>(&'d self, read: impl Fn(&'d [u8]) -> Option<V>) -> Option<(V, V)> {
        let Values::Dictionary { dictionary, .. } = &self.values else { return None };
        let least = dictionary.values().filter_map(&read).min()?;
        Some((least, dictionary.values().filter_map(&read).max()?))
    }
}
