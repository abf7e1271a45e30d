//! One column chunk: values and levels gathered into pages, compressed, and put behind their dictionary.

use std::sync::Arc;

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, Int64Type, TimestampMicrosecondType};
use arrow_schema::{DataType, TimeUnit};
use bytes::Bytes;
use parquet::basic::Encoding;
use parquet::bloom_filter::Sbbf;
use parquet::column::page::{CompressedPage, Page};

use super::LeafColumn;
use super::compression::Compressor;
use super::delta::{self, IntegerWidth};
use super::dictionary::{Dictionary, Interner};
use super::hybrid;
use super::plan::{LeafPlan, Method};
use crate::error::{Error, ErrorKind};

/// A page is ended at the end of the batch with which it reaches this size, or that many values.
const PAGE_BYTES: usize = 256 << 10;
const PAGE_VALUES: usize = 20_000;
/// A dictionary beyond this size is given up.
const DICTIONARY_BYTES: usize = 2 << 20;
/// For so many row groups no dictionary is tried where one hasn't paid for a single page.
const PAUSE: u32 = 15;
/// What the Bloom filter of a row group is made for; it is folded to what the row group turns out to need.
const BLOOM_VALUES: u64 = 1 << 16;
pub(crate) const BLOOM_FALSE_POSITIVES: f64 = 0.01;

/// A column chunk under way.
pub(crate) struct Leaf {
    pub(crate) plan: Arc<LeafPlan>,
    pub(crate) definition: Vec<u8>,
    pub(crate) repetition: Vec<u8>,
    pub(crate) values: Values,
    /// The dictionary that pages refer to, after it was given up.
    pub(crate) retired: Option<Dictionary>,
    pub(crate) pages: Vec<CompressedPage>,
    pub(crate) encodings: Vec<Encoding>,
    pub(crate) rows: u64,
    pub(crate) slots: u64,
    pub(crate) present: u64,
    pub(crate) range: Range,
    pub(crate) bloom_filter: Option<Sbbf>,
    /// For how many row groups, this one included, no dictionary is tried, since the last one didn't pay at all.
    pause: u32,
}

/// The values of the page under way.
pub(crate) enum Values {
    Dictionary { dictionary: Dictionary, numbers: Vec<u32> },
    Plain(Vec<u8>),
    Texts { bytes: Vec<u8>, ends: Vec<usize> },
    Integers(Vec<i64>, IntegerWidth),
    Bits { bytes: Vec<u8>, len: usize },
}

/// The least and the greatest value of a chunk, as far as they are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Range {
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
            rows: 0,
            slots: 0,
            present: 0,
            range: Range::Unknown,
            bloom_filter: None,
            pause: 0,
        }
    }

    /// The leaf of the next row group. It takes over the buffers, and what has been learned of the column.
    pub(crate) fn successor(&mut self) -> Self {
        let mut next = Self::new(Arc::clone(&self.plan));
        next.definition = std::mem::take(&mut self.definition);
        next.repetition = std::mem::take(&mut self.repetition);
        let never_paid = self.plan.method == Method::Dictionary && self.retired.is_none();
        next.values = match &mut self.values {
            Values::Dictionary { dictionary, numbers } => {
                Values::Dictionary { dictionary: dictionary.successor(), numbers: std::mem::take(numbers) }
            }
            Values::Plain(bytes) if never_paid && self.pause != 1 => {
                next.pause = self.pause.checked_sub(1).unwrap_or(PAUSE);
                Values::Plain(std::mem::take(bytes))
            }
            Values::Plain(_) if self.plan.method == Method::Dictionary => return next,
            Values::Plain(bytes) => Values::Plain(std::mem::take(bytes)),
            Values::Texts { bytes, ends } => {
                Values::Texts { bytes: std::mem::take(bytes), ends: std::mem::take(ends) }
            }
            Values::Integers(values, width) => Values::Integers(std::mem::take(values), *width),
            Values::Bits { bytes, .. } => Values::Bits { bytes: std::mem::take(bytes), len: 0 },
        };
        next
    }

    /// Takes in a column of a batch.
    pub(crate) fn append(&mut self, column: &LeafColumn) -> Result<(), Error> {
        let LeafColumn { array, levels, nullable, rows: batch_rows } = column;
        let nullable = *nullable;
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
                let bytes: Vec<[u8; 8]> =
                    integers.values().iter().map(|integer| integer.to_le_bytes()).collect();
                let mut interner = Interner::new(dictionary, numbers);
                levels.each(nulls, rows, nullable, definition, |row| {
                    interner.push(&bytes[row]);
                    present += 1;
                });
                interner.flush();
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
        self.rows += *batch_rows as u64;
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

    pub(crate) fn end_page(&mut self, compressor: &mut Compressor) -> Result<(), Error> {
        let slots = self.definition.len();
        if slots == 0 {
            return Ok(());
        }
        let mut body = compressor.page();
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
        compressor.keep(body);
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
                if let Some(&first) = values.first() {
                    let (least, greatest) = match self.range {
                        Range::Integers(least, greatest) => (least, greatest),
                        _ => (first, first),
                    };
                    let widen =
                        |(least, greatest): (i64, i64), &value: &i64| (least.min(value), greatest.max(value));
                    let (least, greatest) = values.iter().fold((least, greatest), widen);
                    self.range = Range::Integers(least, greatest);
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
}

fn write_levels(levels: &[u8], max: i16, body: &mut Vec<u8>) {
    if max <= 0 {
        return;
    }
    let len_at = body.len();
    body.extend_from_slice(&[0; 4]);
    hybrid::encode_levels(levels, hybrid::bit_width(max as u64), body);
    let len = (body.len() - len_at - 4) as u32;
    body[len_at..len_at + 4].copy_from_slice(&len.to_le_bytes());
}
