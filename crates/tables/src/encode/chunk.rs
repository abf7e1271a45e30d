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
use super::dictionary::Dictionary;
use super::leaf::{BLOOM_FALSE_POSITIVES, Leaf, Range, Values};
use super::{EncodedColumn, failed};
use crate::error::Error;

/// Longer texts are not taken into statistics.
const STATISTICS_BYTES: usize = 64;
/// Room for a page's header, and for a dictionary; if it isn't enough there will be more.
const PAGE_HEADER: usize = 32;
const DICTIONARY_ROOM: usize = 256;

/// A text that is compared by its first eight bytes, which nearly always suffices, before a call compares all.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Sorted<'d> {
    beginning: [u8; 8],
    text: &'d [u8],
}

impl<'d> Sorted<'d> {
    fn of(text: &'d [u8]) -> Self {
        let mut beginning = [0; 8];
        match text.first_chunk() {
            Some(first) => beginning = *first,
            None => beginning[..text.len()].copy_from_slice(text),
        }
        Self { beginning, text }
    }
}

impl Leaf {
    /// Ends the chunk: its bytes, and what the footer says of it. The leaf goes on empty.
    pub(crate) fn finish(&mut self, compressor: &mut Compressor) -> Result<EncodedColumn, Error> {
        self.end_page(compressor)?;
        let next = self.successor();
        let done = std::mem::replace(self, next);
        let statistics = done.statistics();
        let mut sink = TrackedWrite::new(Vec::with_capacity(done.compressed_len()));
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
            (Type::INT64, _) => match self.whole_dictionary().and_then(|dictionary| {
                let integer = |number| dictionary.value(number).first_chunk().copied().unwrap_or_default();
                dictionary.range(|number| i64::from_le_bytes(integer(number)))
            }) {
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
                    .whole_dictionary()
                    .and_then(|dictionary| dictionary.range(|number| Sorted::of(dictionary.value(number))))
                    .filter(|(least, greatest)| short(least.text) && short(greatest.text));
                let (least, greatest) = range.unzip();
                Statistics::ByteArray(ValueStatistics::new(
                    least.map(|least| ByteArray::from(least.text.to_vec())),
                    greatest.map(|greatest| ByteArray::from(greatest.text.to_vec())),
                    None,
                    nulls,
                    false,
                ))
            }
        }
    }

    /// About how many bytes the chunk will have.
    fn compressed_len(&self) -> usize {
        let pages = self.pages.iter().map(|page| page.compressed_size() + PAGE_HEADER);
        pages.sum::<usize>() + DICTIONARY_ROOM
    }

    /// The dictionary of all values, unless one was given up.
    fn whole_dictionary(&self) -> Option<&Dictionary> {
        match &self.values {
            Values::Dictionary { dictionary, .. } => Some(dictionary),
            _ => None,
        }
    }
}
