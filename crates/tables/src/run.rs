//! A conversion under way: reading, decoding, and what becomes of bad rows, whatever the rows are turned into.

use std::io::Read;
use std::sync::atomic::Ordering;

use backstory_formats::{ActivityRow, ContactRow, ContactsCsv, ContactsJson, JsonLines};

use crate::bad_rows::BadRows;
use crate::conversion::{Conversion, Progress};
use crate::error::{Error, ErrorKind};
use crate::resource::{Resource, SourceFormat};
use crate::row_groups::Conductor;
use crate::summary::Summary;
use crate::tasks::BlockReport;

/// How much is read at a time.
const CHUNK: usize = 256 << 10;

/// What a delivery is made of, as it is read.
pub(crate) enum Item<'a> {
    /// All rows that ended in the chunk have been given.
    ChunkEnd(&'a [u8]),
    Activity(ActivityRow<'a>),
    Contact(ContactRow<'a>),
}

/// A conversion under way.
pub(crate) struct Run<'b> {
    conversion: Conversion,
    bad_rows: &'b mut BadRows,
    bad_before: u64,
    pub(crate) summary: Summary,
}

impl<'b> Run<'b> {
    pub(crate) fn new(conversion: Conversion, bad_rows: &'b mut BadRows) -> Self {
        let bad_before = bad_rows.count();
        Self { conversion, bad_rows, bad_before, summary: Summary::default() }
    }

    pub(crate) fn bad_row(&mut self, error: backstory_formats::Error, raw: &[u8]) -> Result<(), Error> {
        self.bad_rows.take(&self.conversion.file_name, error, raw)
    }

    /// Reads the input to its end and gives each row.
    pub(crate) fn rows(
        &mut self,
        reader: impl Read,
        mut take: impl FnMut(&mut Self, Item<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let max = self.conversion.max_row_bytes;
        match (self.conversion.resource, self.conversion.format) {
            (Resource::Activities, SourceFormat::JsonLines) => {
                let mut lines = JsonLines::new().with_max_row_bytes(max);
                self.chunks(reader, |run, chunk| {
                    let mut rows = lines.feed(chunk);
                    while let Some(row) = rows.next() {
                        take(run, Item::Activity(row))?;
                    }
                    take(run, Item::ChunkEnd(chunk))
                })?;
                lines.finish().map_or(Ok(()), |row| take(self, Item::Activity(row)))
            }
            (Resource::Contacts, SourceFormat::Csv) => {
                let mut csv = ContactsCsv::new().with_max_row_bytes(max);
                if let Some(names) = self.conversion.csv_header.take() {
                    csv = csv.with_header(names);
                }
                self.chunks(reader, |run, chunk| {
                    let mut rows = csv.feed(chunk);
                    while let Some(row) = rows.next() {
                        take(run, Item::Contact(row))?;
                    }
                    take(run, Item::ChunkEnd(chunk))
                })?;
                csv.finish().map_or(Ok(()), |row| take(self, Item::Contact(row)))?;
                self.summary.csv_header = csv.header();
                Ok(())
            }
            (Resource::Contacts, SourceFormat::Json) => {
                let mut json = ContactsJson::new().with_max_row_bytes(max);
                self.chunks(reader, |run, chunk| {
                    let mut rows = json.feed(chunk);
                    while let Some(row) = rows.next() {
                        take(run, Item::Contact(row))?;
                    }
                    take(run, Item::ChunkEnd(chunk))
                })?;
                json.finish().map_or(Ok(()), |row| take(self, Item::Contact(row)))
            }
            (resource, format) => {
                let message = format!("{resource} are never delivered as {format:?}");
                Err(Error::new(ErrorKind::Format, message))
            }
        }
    }

    fn chunks(
        &mut self,
        mut reader: impl Read,
        mut take: impl FnMut(&mut Self, &[u8]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut buffer = vec![0; CHUNK];
        loop {
            let read = self.read(&mut reader, &mut buffer)?;
            if read == 0 {
                return Ok(());
            }
            take(self, &buffer[..read])?;
            self.report();
        }
    }

    /// Fills the buffer, unless the input ends.
    pub(crate) fn read(&mut self, reader: &mut impl Read, buffer: &mut [u8]) -> Result<usize, Error> {
        let mut len = 0;
        while len < buffer.len() {
            if self.conversion.cancelled.as_ref().is_some_and(|cancelled| cancelled.load(Ordering::Relaxed)) {
                let message = format!("cancelled while {} was read", self.conversion.file_name);
                return Err(Error::new(ErrorKind::Cancelled, message));
            }
            match reader.read(&mut buffer[len..]) {
                Ok(0) => break,
                Ok(read) => len += read,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => {
                    let message = format!("can't read {}", self.conversion.file_name);
                    return Err(Error::new(ErrorKind::Read, message).with_source(error));
                }
            }
        }
        self.summary.bytes_in += len as u64;
        Ok(len)
    }

    pub(crate) fn report(&mut self) {
        let progress = Progress { bytes_in: self.summary.bytes_in, rows: self.summary.rows };
        if let Some(on_progress) = &mut self.conversion.on_progress {
            on_progress(progress);
        }
    }

    pub(crate) fn finish(mut self) -> Summary {
        self.summary.bad_rows = self.bad_rows.count() - self.bad_before;
        self.summary.settled()
    }
}

/// A conversion under way whose rows are decoded on other threads.
pub(crate) struct ThreadedRun<'b, R> {
    pub(crate) run: Run<'b>,
    pub(crate) reader: R,
    /// How many records stand before the next block.
    pub(crate) records: u64,
}

impl<R: Read> Conductor for ThreadedRun<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        let read = self.run.read(&mut self.reader, buffer)?;
        self.run.report();
        Ok(read)
    }

    fn decoded(&mut self, block: BlockReport) -> Result<(), Error> {
        for bad in block.bad_rows {
            self.run.bad_row(bad.error.behind_records(self.records), &bad.raw)?;
        }
        self.records += block.records;
        self.run.summary.add(&block.summary);
        self.run.report();
        Ok(())
    }
}
