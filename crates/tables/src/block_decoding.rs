//! What a thread does with a block: it decodes the rows to batches, and sets the bad ones apart.

use arrow_array::RecordBatch;
use backstory_formats::{ActivityRow, ContactRow, ContactsCsv, JsonLines};

use crate::batch::{ActivityBatchBuilder, ContactBatchBuilder};
use crate::block::Block;
use crate::origin::Origin;
use crate::summary::Summary;

/// What a block held.
pub(crate) struct DecodedBlock {
    pub(crate) batches: Vec<RecordBatch>,
    pub(crate) summary: Summary,
    /// Their records are counted from the beginning of the block.
    pub(crate) bad_rows: Vec<BadRow>,
    /// How many records there were, bad ones included.
    pub(crate) records: u64,
}

impl DecodedBlock {
    fn put(&mut self, batch: RecordBatch) {
        self.summary.count_batch(&batch);
        self.batches.push(batch);
    }
}

/// A row that can't be decoded.
pub(crate) struct BadRow {
    /// Its record is counted from the beginning of the block.
    pub(crate) error: backstory_formats::Error,
    pub(crate) raw: Vec<u8>,
}

/// What a thread decodes with.
pub(crate) struct Decoding {
    activities: ActivityBatchBuilder,
    contacts: ContactBatchBuilder,
    max_row_bytes: usize,
    max_bad_rows: usize,
}

impl Decoding {
    /// Of each block, no more than `max_bad_rows` bad rows are kept: the first one too many ends the conversion anyway.
    pub(crate) fn new(origin: &Origin, max_row_bytes: usize, max_bad_rows: usize) -> Self {
        Self {
            activities: ActivityBatchBuilder::new(origin),
            contacts: ContactBatchBuilder::new(origin),
            max_row_bytes,
            max_bad_rows,
        }
    }

    /// Decodes activities, or contacts where the block is of a CSV.
    pub(crate) fn decode(&mut self, block: &Block) -> DecodedBlock {
        let mut decoded = DecodedBlock {
            batches: Vec::new(),
            summary: Summary::default(),
            bad_rows: Vec::new(),
            records: 0,
        };
        let end = match &block.csv {
            None => self.decode_lines(block, &mut decoded),
            Some(csv) => self.decode_csv(block, csv.continued_at(block.start), &mut decoded),
        };
        decoded.records = end - block.start.record;
        decoded.summary = decoded.summary.settled();
        decoded
    }

    /// Returns the number of the record behind the last.
    fn decode_lines(&mut self, block: &Block, decoded: &mut DecodedBlock) -> u64 {
        let mut lines = JsonLines::new().with_max_row_bytes(self.max_row_bytes).starting_at(block.start);
        let mut rows = lines.feed(&block.bytes);
        while let Some(row) = rows.next() {
            self.take_activity(decoded, &row);
        }
        if let Some(row) = lines.finish() {
            self.take_activity(decoded, &row);
        }
        if !self.activities.is_empty() {
            decoded.put(self.activities.finish());
        }
        lines.position().record
    }

    fn take_activity(&mut self, decoded: &mut DecodedBlock, row: &ActivityRow<'_>) {
        if let Err(error) = self.activities.push_row(row) {
            // The whole line, which begins where the row is said to stand.
            self.set_apart(decoded, error, row.line());
        } else if self.activities.is_full() {
            decoded.put(self.activities.finish());
        }
    }

    fn decode_csv(&mut self, block: &Block, mut csv: ContactsCsv, decoded: &mut DecodedBlock) -> u64 {
        let mut rows = csv.feed(&block.bytes);
        loop {
            if self.contacts.push_rows(&mut rows) == 0 {
                let Some(row) = rows.next() else { break };
                self.take_contact(decoded, &row);
            } else if self.contacts.is_full() {
                decoded.put(self.contacts.finish());
            }
        }
        let last = if block.is_cut_short { csv.finish_overlong() } else { csv.finish() };
        if let Some(row) = last {
            self.take_contact(decoded, &row);
        }
        if !self.contacts.is_empty() {
            decoded.put(self.contacts.finish());
        }
        csv.position().record
    }

    fn take_contact(&mut self, decoded: &mut DecodedBlock, row: &ContactRow<'_>) {
        if let Err(error) = self.contacts.push_row(row) {
            self.set_apart(decoded, error, row.raw());
        } else if self.contacts.is_full() {
            decoded.put(self.contacts.finish());
        }
    }

    fn set_apart(&self, decoded: &mut DecodedBlock, error: backstory_formats::Error, raw: &[u8]) {
        if decoded.bad_rows.len() < self.max_bad_rows {
            decoded.bad_rows.push(BadRow { error, raw: raw.to_vec() });
        }
    }
}
