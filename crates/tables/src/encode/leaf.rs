//! One column chunk: values and levels gathered into pages, compressed, and put behind their dictionary.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef};
use arrow_schema::{DataType, TimeUnit};
use bytes::Bytes;
use parquet::basic::{Compression, Encoding, Type};
use parquet::bloom_filter::Sbbf;
use parquet::column::page::{CompressedPage, Page, PageWriter};
use parquet::column::writer::ColumnCloseResult;
use parquet::data_type::ByteArray;
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::statistics::{Statistics, ValueStatistics};
use parquet::file::writer::{SerializedPageWriter, TrackedWrite};
use parquet::schema::types::ColumnDescPtr;

use super::compression::Compressor;
use super::delta::{self, IntegerWidth};
use super::dictionary::{Dictionary, Interner};
use super::failed;
use super::hybrid;
use super::levels::Levels;
use crate::error::{Error, ErrorKind};

/// A page is ended at the end of the batch with which it reaches this size, or that many values.
const PAGE_BYTES: usize = 256 << 10;
const PAGE_VALUES: usize = 20_000;
/// A dictionary beyond this size is given up.
const DICTIONARY_BYTES: usize = 1 << 20;
/// Longer texts are not taken into statistics.
const STATISTICS_BYTES: usize = 64;
/// What the Bloom filter of a row group is made for; it is folded to what the row group turns out to need.
const BLOOM_VALUES: u64 = 1 << 16;
const BLOOM_FALSE_POSITIVES: f64 = 0.01;

/// Text columns whose values hardly ever come twice: no dictionary is tried.
const DISTINCT: &[&str] =
    &["_key", "uid", "source_id", "in_reply_to_source_id", "extra", "crm_status.crm_id", "crm_status_crm_id"];
/// Text columns whose values share long beginnings.
const COMMON_BEGINNINGS: &[&str] = &["_version"];
/// Text columns whose values repeat from row to row in a table of children.
const OF_THE_PARENT: &[&str] = &["_key", "uid", "_version"];
/// Integer columns of few distinct values that lie far apart.
const FEW_VALUES: &[&str] = &["duration", "time_spent", "participants.list.element.time_spent"];
/// The column in which single rows are looked up. Its values are all distinct, so statistics don't help.
const LOOKED_UP: &[&str] = &["uid"];

/// What a column is, and how it is encoded.
#[derive(Debug)]
pub(crate) struct LeafPlan {
    column: ColumnDescPtr,
    codec: Compression,
    method: Method,
    has_bloom_filter: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Method {
    /// Texts or integers by number, as long as that pays; then plain.
    Dictionary,
    PlainTexts,
    DeltaTexts,
    DeltaIntegers(IntegerWidth),
    Bits,
}

impl LeafPlan {
    pub(crate) fn of(column: &ColumnDescPtr, of_children: bool, codec: Compression) -> Self {
        let path = column.path().string();
        let listed = |list: &[&str]| list.contains(&path.as_str());
        let method = match column.physical_type() {
            Type::BOOLEAN => Method::Bits,
            Type::INT32 => Method::DeltaIntegers(IntegerWidth::Bits32),
            Type::INT64 if listed(FEW_VALUES) => Method::Dictionary,
            Type::INT64 => Method::DeltaIntegers(IntegerWidth::Bits64),
            _ if of_children && listed(OF_THE_PARENT) => Method::DeltaTexts,
            _ if listed(DISTINCT) => Method::PlainTexts,
            _ if listed(COMMON_BEGINNINGS) => Method::DeltaTexts,
            _ => Method::Dictionary,
        };
        Self {
            column: Arc::clone(column),
            codec,
            method,
            has_bloom_filter: !of_children && listed(LOOKED_UP),
        }
    }

    fn is_text(&self) -> bool {
        self.column.physical_type() == Type::BYTE_ARRAY
    }
}

/// A column chunk under way.
pub(crate) struct Leaf {
    plan: Arc<LeafPlan>,
    definition: Vec<u8>,
    repetition: Vec<u8>,
    values: Values,
    /// The dictionary that pages refer to, after it was given up.
    retired: Option<Dictionary>,
    pages: Vec<CompressedPage>,
    encodings: Vec<Encoding>,
    slots: u64,
    present: u64,
    range: Range,
    bloom_filter: Option<Sbbf>,
}

/// The values of the page under way.
enum Values {
    Dictionary { dictionary: Dictionary, numbers: Vec<u32> },
    Plain(Vec<u8>),
    Texts { bytes: Vec<u8>, ends: Vec<usize> },
    Integers(Vec<i64>, IntegerWidth),
    Bits { bytes: Vec<u8>, len: usize },
}

/// The least and the greatest value of a chunk, as far as they are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Range {
    Unknown,
    Integers(i64, i64),
    Booleans(bool, bool),
}

impl Values {
    fn of(plan: &LeafPlan) -> Self {
        match plan.method {
            Method::Dictionary => {
                Self::Dictionary { dictionary: Dictionary::new(plan.is_text()), numbers: Vec::new() }
            }
            Method::PlainTexts => Self::Plain(Vec::new()),
            Method::DeltaTexts => Self::Texts { bytes: Vec::new(), ends: Vec::new() },
            Method::DeltaIntegers(width) => Self::Integers(Vec::new(), width),
            Method::Bits => Self::Bits { bytes: Vec::new(), len: 0 },
        }
    }

    fn bytes(&self) -> usize {
        match self {
            // As if half of them had to be written plainly.
            Self::Dictionary { numbers, .. } => numbers.len() * 4,
            Self::Plain(bytes) | Self::Texts { bytes, .. } | Self::Bits { bytes, .. } => bytes.len(),
            Self::Integers(values, _) => values.len() * 8,
        }
    }
}

impl Leaf {
    pub(crate) fn new(plan: Arc<LeafPlan>) -> Self {
        let values = Values::of(&plan);
        Self {
            plan,
            definition: Vec::new(),
            repetition: Vec::new(),
            values,
            retired: None,
            pages: Vec::new(),
            encodings: vec![Encoding::RLE],
            slots: 0,
            present: 0,
            range: Range::Unknown,
            bloom_filter: None,
        }
    }

    /// Takes in a column of a batch.
    pub(crate) fn append(&mut self, array: &ArrayRef, levels: &Levels, nullable: bool) -> Result<(), Error> {
        if let Values::Dictionary { dictionary, .. } = &self.values
            && !dictionary.has_room_for(array.len())
        {
            self.give_up_dictionary();
        }
        let before = self.definition.len();
        self.repetition.extend_from_slice(levels.repetition());
        let (nulls, rows) = (array.nulls(), array.len());
        let definition = &mut self.definition;
        let mut present = 0;
        match (&mut self.values, array.data_type()) {
            (Values::Dictionary { dictionary, numbers }, DataType::Utf8) => {
                let texts = array.as_string::<i32>();
                let mut interner = Interner::new(dictionary, numbers);
                levels.each(nulls, rows, nullable, definition, |row| {
                    interner.push(texts.value(row).as_bytes());
                    present += 1;
                });
                interner.flush();
            }
            (Values::Dictionary { dictionary, numbers }, DataType::Int64) => {
                let integers = array.as_primitive::<Int64Type>();
                levels.each(nulls, rows, nullable, definition, |row| {
                    numbers.push(dictionary.intern(&integers.value(row).to_le_bytes()));
                    present += 1;
                });
            }
            (Values::Plain(bytes), DataType::Utf8) => {
                let texts = array.as_string::<i32>();
                if self.plan.has_bloom_filter && self.bloom_filter.is_none() {
                    self.bloom_filter = Sbbf::new_with_ndv_fpp(BLOOM_VALUES, BLOOM_FALSE_POSITIVES).ok();
                }
                let mut filter = self.bloom_filter.as_mut();
                levels.each(nulls, rows, nullable, definition, |row| {
                    let text = texts.value(row);
                    bytes.extend_from_slice(&(text.len() as u32).to_le_bytes());
                    bytes.extend_from_slice(text.as_bytes());
                    if let Some(filter) = &mut filter {
                        filter.insert(text);
                    }
                    present += 1;
                });
            }
            (Values::Plain(bytes), DataType::Int64) => {
                let integers = array.as_primitive::<Int64Type>();
                levels.each(nulls, rows, nullable, definition, |row| {
                    bytes.extend_from_slice(&integers.value(row).to_le_bytes());
                    present += 1;
                });
            }
            (Values::Texts { bytes, ends }, DataType::Utf8) => {
                let texts = array.as_string::<i32>();
                levels.each(nulls, rows, nullable, definition, |row| {
                    bytes.extend_from_slice(texts.value(row).as_bytes());
                    ends.push(bytes.len());
                    present += 1;
                });
            }
            (Values::Integers(values, _), DataType::Int64) => {
                let integers = array.as_primitive::<Int64Type>().values();
                levels.each(nulls, rows, nullable, definition, |row| values.push(integers[row]));
            }
            (Values::Integers(values, _), DataType::Timestamp(TimeUnit::Microsecond, _)) => {
                let instants = array.as_primitive::<TimestampMicrosecondType>().values();
                levels.each(nulls, rows, nullable, definition, |row| values.push(instants[row]));
            }
            (Values::Integers(values, _), DataType::Date32) => {
                let days = array.as_primitive::<Date32Type>().values();
                levels.each(nulls, rows, nullable, definition, |row| values.push(days[row].into()));
            }
            (Values::Bits { bytes, len }, DataType::Boolean) => {
                let booleans = array.as_boolean();
                let range = &mut self.range;
                levels.each(nulls, rows, nullable, definition, |row| {
                    let value = booleans.value(row);
                    if *len % 8 == 0 {
                        bytes.push(0);
                    }
                    if let Some(last) = bytes.last_mut() {
                        *last |= u8::from(value) << (*len % 8);
                    }
                    *len += 1;
                    *range = match *range {
                        Range::Booleans(least, greatest) => Range::Booleans(least & value, greatest | value),
                        _ => Range::Booleans(value, value),
                    };
                    present += 1;
                });
            }
            (_, other) => {
                let path = self.plan.column.path().string();
                return Err(Error::new(
                    ErrorKind::Table,
                    format!("column `{path}` is of type {other} in the batch"),
                ));
            }
        }
        self.present += present;
        self.slots += (self.definition.len() - before) as u64;
        Ok(())
    }

    /// Ends the page if it is big enough.
    pub(crate) fn end_batch(&mut self, compressor: &mut Compressor) -> Result<(), Error> {
        if self.values.bytes() >= PAGE_BYTES || self.definition.len() >= PAGE_VALUES {
            self.end_page(compressor)?;
        }
        Ok(())
    }

    fn end_page(&mut self, compressor: &mut Compressor) -> Result<(), Error> {
        let slots = self.definition.len();
        if slots == 0 {
            return Ok(());
        }
        let mut body = Vec::with_capacity(self.values.bytes() + slots / 4 + 64);
        write_levels(&self.repetition, self.plan.column.max_rep_level(), &mut body);
        write_levels(&self.definition, self.plan.column.max_def_level(), &mut body);
        self.give_up_dictionary_that_does_not_pay();
        let encoding = self.write_values(&mut body);
        if !self.encodings.contains(&encoding) {
            self.encodings.push(encoding);
        }
        let compressed = compressor.compress(&body)?;
        let page = Page::DataPage {
            buf: Bytes::copy_from_slice(compressed),
            num_values: slots as u32,
            encoding,
            def_level_encoding: Encoding::RLE,
            rep_level_encoding: Encoding::RLE,
            statistics: None,
        };
        self.pages.push(CompressedPage::new(page, body.len()));
        self.definition.clear();
        self.repetition.clear();
        Ok(())
    }

    /// Appends the values of the page and forgets them.
    fn write_values(&mut self, body: &mut Vec<u8>) -> Encoding {
        match &mut self.values {
            Values::Dictionary { dictionary, numbers } => {
                let width = hybrid::bit_width(dictionary.len().saturating_sub(1) as u64).max(1);
                body.push(width as u8);
                hybrid::encode(numbers, width, body);
                numbers.clear();
                Encoding::RLE_DICTIONARY
            }
            Values::Plain(bytes) => {
                body.append(bytes);
                Encoding::PLAIN
            }
            Values::Texts { bytes, ends } => {
                delta::encode_texts(bytes, ends, body);
                bytes.clear();
                ends.clear();
                Encoding::DELTA_BYTE_ARRAY
            }
            Values::Integers(values, width) => {
                self.present += values.len() as u64;
                for &value in values.iter() {
                    self.range = match self.range {
                        Range::Integers(least, greatest) => {
                            Range::Integers(least.min(value), greatest.max(value))
                        }
                        _ => Range::Integers(value, value),
                    };
                }
                delta::encode_integers(values, *width, body);
                values.clear();
                Encoding::DELTA_BINARY_PACKED
            }
            Values::Bits { bytes, len } => {
                body.append(bytes);
                *len = 0;
                Encoding::PLAIN
            }
        }
    }

    /// Goes on plainly when nearly all values are new, or the dictionary has grown too big. A first page that would have needed
    /// the dictionary is written plainly too.
    fn give_up_dictionary_that_does_not_pay(&mut self) {
        let Values::Dictionary { dictionary, numbers } = &self.values else { return };
        let is_first = self.pages.is_empty();
        let too_big = dictionary.plain().len() > DICTIONARY_BYTES;
        let mostly_new = dictionary.len() > 64 && dictionary.len() * 10 > numbers.len() * 9;
        let does_not_pay = too_big || (is_first && mostly_new);
        if !does_not_pay {
            return;
        }
        self.give_up_dictionary();
    }

    /// Writes plainly from the page under way on.
    fn give_up_dictionary(&mut self) {
        let Values::Dictionary { dictionary, numbers } = &self.values else { return };
        let is_text = self.plan.is_text();
        let mut bytes = Vec::new();
        for &number in numbers {
            let value = dictionary.value(number as usize);
            if is_text {
                bytes.extend_from_slice(&(value.len() as u32).to_le_bytes());
            }
            bytes.extend_from_slice(value);
        }
        if let Values::Dictionary { dictionary, .. } =
            std::mem::replace(&mut self.values, Values::Plain(bytes))
            && !self.pages.is_empty()
        {
            self.retired = Some(dictionary);
        }
    }

    /// Ends the chunk: its bytes, and what the footer says of it. The leaf goes on empty.
    pub(crate) fn finish(
        &mut self,
        rows: u64,
        compressor: &mut Compressor,
    ) -> Result<(Bytes, ColumnCloseResult), Error> {
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
            rows_written: rows,
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

fn write_levels(levels: &[u8], max: i16, body: &mut Vec<u8>) {
    if max <= 0 {
        return;
    }
    let len_at = body.len();
    body.extend_from_slice(&[0; 4]);
    hybrid::encode(levels, hybrid::bit_width(max as u64), body);
    let len = (body.len() - len_at - 4) as u32;
    body[len_at..len_at + 4].copy_from_slice(&len.to_le_bytes());
}
