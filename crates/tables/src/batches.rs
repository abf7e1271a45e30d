//! Batches as an iterator over a reader, for those who have no use for a whole [`Conversion`](crate::Conversion).

use std::io::BufRead;

use arrow_array::RecordBatch;
use backstory_formats::{ContactsCsv, JsonLines};

use crate::bad_rows::BadRows;
use crate::batch::{ActivityBatchBuilder, ContactBatchBuilder};
use crate::error::{Error, ErrorKind};
use crate::origin::Origin;

/// How much of a reader's buffer is decoded at a time: a slice gives all that it has, and a batch must not grow with that.
const CHUNK: usize = 256 << 10;

/// The nested batches of a JSON Lines export of activities.
///
/// ```
/// use backstory_tables::{ActivityBatches, Origin};
/// use jiff::Timestamp;
///
/// let export = &b"{\"uid\":\"em-1\"}\n{\"uid\":\"em-2\"}\n"[..];
/// let mut rows = 0;
/// for batch in ActivityBatches::new(export, &Origin::offline(Timestamp::UNIX_EPOCH)) {
///     rows += batch?.num_rows();
/// }
/// assert_eq!(rows, 2);
/// # Ok::<(), backstory_tables::Error>(())
/// ```
///
/// A row that can't be decoded is an error, and ends the iteration; to go on without bad rows, use a
/// [`Conversion`](crate::Conversion).
#[derive(Debug)]
pub struct ActivityBatches<R>(Batches<R, JsonLines, ActivityBatchBuilder>);

/// The batches of a CSV export of contacts. Like [`ActivityBatches`].
#[derive(Debug)]
pub struct ContactBatches<R>(Batches<R, ContactsCsv, ContactBatchBuilder>);

#[derive(Debug)]
struct Batches<R, D, B> {
    reader: R,
    decoder: D,
    builder: B,
    ended: bool,
}

macro_rules! batches {
    ($batches:ident, $decoder:ident, $builder:ident, $push_rows:expr) => {
        impl<R: BufRead> $batches<R> {
            /// Reads one file or fragment, from its first byte.
            pub fn new(reader: R, origin: &Origin) -> Self {
                let (decoder, builder) = ($decoder::new(), $builder::new(origin));
                Self(Batches { reader, decoder, builder, ended: false })
            }

            fn read(&mut self) -> Result<Option<RecordBatch>, Error> {
                let Batches { reader, decoder, builder, ended } = &mut self.0;
                while !*ended && !builder.is_full() {
                    let chunk = reader.fill_buf().map_err(|error| {
                        Error::new(ErrorKind::Read, "can't read the export").with_source(error)
                    })?;
                    let len = chunk.len().min(CHUNK);
                    *ended = len == 0;
                    let mut rows = decoder.feed(&chunk[..len]);
                    loop {
                        if $push_rows(builder, &mut rows) > 0 {
                            continue;
                        }
                        let Some(row) = rows.next() else { break };
                        if let Err(error) = builder.push_row(&row) {
                            BadRows::fail().take("the export", error, row.raw())?;
                        }
                    }
                    reader.consume(len);
                }
                if *ended && let Some(row) = decoder.finish() {
                    if let Err(error) = builder.push_row(&row) {
                        BadRows::fail().take("the export", error, row.raw())?;
                    }
                }
                Ok(if builder.is_empty() { None } else { Some(builder.finish()) })
            }
        }

        impl<R: BufRead> Iterator for $batches<R> {
            type Item = Result<RecordBatch, Error>;

            fn next(&mut self) -> Option<Self::Item> {
                if self.0.ended {
                    return None;
                }
                let batch = self.read();
                self.0.ended |= batch.is_err();
                batch.transpose()
            }
        }
    };
}

batches!(ActivityBatches, JsonLines, ActivityBatchBuilder, |_: &mut _, _: &mut _| 0);
batches!(ContactBatches, ContactsCsv, ContactBatchBuilder, ContactBatchBuilder::push_rows);
