//! Records to Arrow batches, the straight way: a record is decoded, pushed, and forgotten.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMicrosecondType;
use arrow_array::{
    Array, ArrayRef, Date32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow_buffer::{Buffer, NullBuffer, OffsetBuffer};
use backstory_formats::{Activity, ActivityRow, Contact, ContactRow, ContactRows, Odd};

use crate::columns::RowColumns;
use crate::generated::{ActivityColumns, ContactColumns};
use crate::instant;
use crate::key;
use crate::origin::Origin;
use crate::resource::Resource;
use crate::schema::schema;
use crate::version::Versions;

/// A batch is full with this many rows, or with that many bytes, so that memory stays flat whatever the rows, and a batch
/// is still in the processor's cache when it is encoded.
const MAX_ROWS: usize = 8_192;
const MAX_BYTES: usize = 2 << 20;
/// How many rows are decoded to records, when they keep being odd, before one is tried the straight way again.
const LONGEST_PAUSE: u32 = 63;

/// Builds batches of the nested `activities` table.
///
/// ```
/// use backstory_formats::JsonLines;
/// use backstory_tables::{ActivityBatchBuilder, Origin};
/// use jiff::Timestamp;
///
/// let mut batches = ActivityBatchBuilder::new(&Origin::offline(Timestamp::UNIX_EPOCH));
/// let mut lines = JsonLines::new();
/// let mut rows = lines.feed(b"{\"uid\":\"em-1\",\"type\":\"email\"}\n");
/// while let Some(row) = rows.next() {
///     batches.push(&row.activity()?, row.position().line);
/// }
/// let batch = batches.finish();
/// assert_eq!(batch.num_rows(), 1);
/// assert!(batch.column_by_name("participants").is_some());
/// # Ok::<(), backstory_formats::Error>(())
/// ```
#[derive(Debug)]
pub struct ActivityBatchBuilder(BatchBuilder<ActivityColumns>);

/// Builds batches of the `contacts` table.
#[derive(Debug)]
pub struct ContactBatchBuilder(BatchBuilder<ContactColumns>);

macro_rules! batch_builder {
    ($builder:ident, $record:ident, $row:ident, $decode:ident, $word:literal) => {
        impl $builder {
            /// A builder for the rows of one delivery.
            pub fn new(origin: &Origin) -> Self {
                Self(BatchBuilder::new(origin))
            }

            #[doc = concat!("Takes in ", $word, " that stood on the given line, from 1.")]
            pub fn push(&mut self, record: &$record<'_>, line: u64) {
                self.0.push(record, line);
                self.0.bytes = self.0.columns.bytes();
            }

            #[doc = concat!("Takes in ", $word, " as it was delivered. That is quicker than decoding and ")]
            /// [`push`](Self::push), and comes to the same.
            ///
            /// # Errors
            /// Those of the row, which is then left out.
            pub fn push_row(&mut self, row: &$row<'_>) -> Result<(), backstory_formats::Error> {
                let line = row.position().line;
                if !self.0.push_straight(line, |at, columns| row.read_into(at, columns)) {
                    self.0.push(&row.$decode()?, line);
                }
                // Counting these is quicker than asking all columns.
                self.0.bytes += row.raw().len();
                Ok(())
            }

            /// How many rows have been taken in since the last batch.
            pub fn len(&self) -> usize {
                self.0.lines.len()
            }

            /// Whether no row has been taken in since the last batch.
            pub fn is_empty(&self) -> bool {
                self.0.lines.is_empty()
            }

            /// Whether it is time for [`finish`](Self::finish): the rows have reached 8,192, or 2 MiB.
            pub fn is_full(&self) -> bool {
                self.0.is_full()
            }

            /// The batch of the rows taken in, possibly none. The builder goes on empty.
            pub fn finish(&mut self) -> RecordBatch {
                self.0.finish()
            }
        }
    };
}

batch_builder!(ActivityBatchBuilder, Activity, ActivityRow, activity, "an activity");
batch_builder!(ContactBatchBuilder, Contact, ContactRow, contact, "a contact");

impl ContactBatchBuilder {
    /// Takes in the next rows of a CSV, column by column, until the batch becomes full or there is a row that can't be read this
    /// way. It comes to the same as drawing each of them for [`push_row`](Self::push_row), and takes less than half of the time.
    ///
    /// Returns how many rows were taken in. When none was, the next one is for `push_row`.
    ///
    /// ```
    /// use backstory_formats::ContactsCsv;
    /// use backstory_tables::{ContactBatchBuilder, Origin};
    /// use jiff::Timestamp;
    ///
    /// let mut batches = ContactBatchBuilder::new(&Origin::offline(Timestamp::UNIX_EPOCH));
    /// let mut csv = ContactsCsv::new();
    /// let mut rows = csv.feed(b"email,total_inbound\nrin@quillmark.example,12\nsol@quillmark.example,\n");
    /// loop {
    ///     if batches.push_rows(&mut rows) == 0 {
    ///         let Some(row) = rows.next() else { break };
    ///         batches.push_row(&row)?;
    ///     }
    /// }
    /// assert_eq!(batches.finish().num_rows(), 2);
    /// # Ok::<(), backstory_formats::Error>(())
    /// ```
    pub fn push_rows(&mut self, rows: &mut ContactRows<'_>) -> usize {
        let builder = &mut self.0;
        if builder.skip > 0 || builder.pause > 0 {
            return 0;
        }
        let row = builder.lines.len();
        // Where it becomes full is the same as row by row; who goes on with a full one isn't held up.
        let (most_rows, most_bytes) = match builder.is_full() {
            true => (MAX_ROWS, MAX_BYTES),
            false => (MAX_ROWS - row, MAX_BYTES - builder.bytes),
        };
        let read = rows.read_into(row, &mut builder.columns, most_rows.min(builder.run), most_bytes);
        builder.lines.extend(read.lines());
        builder.bytes += read.bytes();
        // What is read in vain is no more than what is read.
        builder.run = if read.stops_at_odd() { read.len().max(1) } else { (2 * builder.run).min(MAX_ROWS) };
        if read.stops_at_odd() {
            builder.columns.truncate(row + read.len());
        }
        read.len()
    }
}

/// The columns of a table.
pub(crate) trait TableColumns: RowColumns {
    const RESOURCE: Resource;

    /// Keys from the finished columns, which are in the order of the schema.
    fn keys(columns: &[ArrayRef]) -> StringArray;

    /// The finished column of `ingest_timestamp`, if the table has one.
    fn ingested(columns: &[ArrayRef]) -> Option<&TimestampMicrosecondArray>;
}

impl TableColumns for ActivityColumns {
    const RESOURCE: Resource = Resource::Activities;

    fn keys(columns: &[ArrayRef]) -> StringArray {
        key::of_activities(columns)
    }

    fn ingested(columns: &[ArrayRef]) -> Option<&TimestampMicrosecondArray> {
        let at = crate::schema::columns(Self::RESOURCE)
            .iter()
            .position(|column| column.name == "ingest_timestamp")?;
        columns.get(at)?.as_primitive_opt::<TimestampMicrosecondType>()
    }
}

impl TableColumns for ContactColumns {
    const RESOURCE: Resource = Resource::Contacts;

    fn keys(columns: &[ArrayRef]) -> StringArray {
        key::of_contacts(columns)
    }

    fn ingested(_: &[ArrayRef]) -> Option<&TimestampMicrosecondArray> {
        None
    }
}

/// Builds batches of any table.
#[derive(Debug)]
pub(crate) struct BatchBuilder<C> {
    columns: C,
    lines: Vec<u64>,
    /// How many bytes the rows take, roughly.
    bytes: usize,
    /// After how many rows the straight way is tried again, and how many of them are left.
    pause: u32,
    skip: u32,
    /// How many rows are read at once at most.
    run: usize,
    origin: Origin,
    versions: Versions,
}

impl<C: TableColumns> BatchBuilder<C> {
    pub(crate) fn new(origin: &Origin) -> Self {
        let versions = Versions::of(origin);
        Self {
            columns: C::default(),
            lines: Vec::new(),
            bytes: 0,
            pause: 0,
            skip: 0,
            run: MAX_ROWS,
            origin: origin.clone(),
            versions,
        }
    }

    pub(crate) fn push(&mut self, record: &C::Of<'_>, line: u64) {
        self.columns.push(self.lines.len(), record);
        self.lines.push(line);
    }

    /// Takes in a row that `read` reads into the columns, unless it turns out to be odd, or those before it were: then most
    /// others will be too, and only now and then one is tried. Returns whether the row has been taken in.
    fn push_straight(&mut self, line: u64, read: impl FnOnce(usize, &mut C) -> Result<(), Odd>) -> bool {
        if self.skip > 0 {
            self.skip -= 1;
            return false;
        }
        let row = self.lines.len();
        if read(row, &mut self.columns).is_err() {
            self.columns.truncate(row);
            self.pause = (self.pause * 2 + 1).min(LONGEST_PAUSE);
            self.skip = self.pause;
            return false;
        }
        self.pause /= 2;
        self.lines.push(line);
        true
    }

    pub(crate) fn is_full(&self) -> bool {
        self.lines.len() >= MAX_ROWS || self.bytes >= MAX_BYTES
    }

    pub(crate) fn finish(&mut self) -> RecordBatch {
        self.bytes = 0;
        let lines = std::mem::take(&mut self.lines);
        let rows = lines.len();
        let columns = self.columns.finish(rows);
        let ingested = C::ingested(&columns);
        let ingested =
            |row: usize| ingested.filter(|array| array.is_valid(row)).map(|array| array.value(row));
        let versions =
            self.versions.array(lines.iter().enumerate().map(|(row, &line)| (ingested(row), line)));
        let window = |day: Option<jiff::civil::Date>| -> ArrayRef {
            match day {
                Some(day) => Arc::new(Date32Array::from_value(instant::days_of(day), rows)),
                None => Arc::new(Date32Array::new_null(rows)),
            }
        };
        let extracted_at = self.origin.extracted_at.as_microsecond();
        let mut all: Vec<ArrayRef> = vec![Arc::new(C::keys(&columns))];
        all.extend(columns);
        all.extend([
            repeated(self.origin.job_id.as_deref(), rows),
            Arc::new(Int64Array::from_value(self.origin.fragment.into(), rows)),
            Arc::new(
                lines.into_iter().map(|line| i64::try_from(line).unwrap_or(i64::MAX)).collect::<Int64Array>(),
            ),
            window(self.origin.window.map(|window| window.0)),
            window(self.origin.window.map(|window| window.1)),
            Arc::new(TimestampMicrosecondArray::from_value(extracted_at, rows).with_timezone("UTC"))
                as ArrayRef,
            Arc::new(versions),
        ]);
        RecordBatch::try_new(schema(C::RESOURCE), all)
            .unwrap_or_else(|error| unreachable!("the builders make the columns of the schema: {error}"))
    }
}

/// A column that holds the same text in every row.
fn repeated(text: Option<&str>, rows: usize) -> ArrayRef {
    let Some(text) = text else { return Arc::new(StringArray::new_null(rows)) };
    let offsets = OffsetBuffer::from_repeated_length(text.len(), rows);
    Arc::new(StringArray::new(offsets, Buffer::from_vec(text.repeat(rows).into_bytes()), None::<NullBuffer>))
}
