//! The row of a CSV that is under way: its raw bytes and its unquoted cells, in buffers that are used again and again.

use csv_core::ReadRecordResult;

use crate::cell_index::CellEnds;

/// The most cells that a row is split into; a row with more isn't a contact, and its cells cost memory.
pub(crate) const MAX_CELLS: usize = 1 << 14;

/// What is known of the row that is under way.
#[derive(Debug)]
pub(crate) struct RowBuffers {
    /// Its raw bytes from earlier chunks.
    pub(crate) partial: Vec<u8>,
    /// All its raw bytes, also those that lie in the present chunk or were not kept, and the newlines among them.
    pub(crate) bytes: usize,
    pub(crate) newlines: u64,
    /// Its cells, unquoted, one behind the other; and where each ends.
    pub(crate) text: Vec<u8>,
    pub(crate) text_len: usize,
    pub(crate) ends: Vec<usize>,
    pub(crate) ends_len: usize,
    /// The same as `ends`, as others want it, once the row has ended.
    cell_ends: Vec<u32>,
    /// All its cells, also those whose ends were not kept.
    pub(crate) cells: usize,
}

impl Default for RowBuffers {
    fn default() -> Self {
        Self {
            partial: Vec::new(),
            bytes: 0,
            newlines: 0,
            text: vec![0; 4096],
            text_len: 0,
            ends: vec![0; 64],
            ends_len: 0,
            cell_ends: Vec::new(),
            cells: 0,
        }
    }
}

impl RowBuffers {
    /// Lets `csv-core` read on until the input is used up or the row ends. Returns how many bytes were read and whether
    /// the row ended. The buffers grow with the row, up to the bound; behind it cells are counted, but not kept.
    pub(crate) fn read(
        &mut self,
        reader: &mut csv_core::Reader,
        input: &[u8],
        max_row_bytes: usize,
    ) -> (usize, bool) {
        let mut read = 0;
        loop {
            let (result, taken, written, cells) = reader.read_record(
                &input[read..],
                &mut self.text[self.text_len..],
                &mut self.ends[self.ends_len..],
            );
            read += taken;
            self.text_len += written;
            self.ends_len += cells;
            self.cells += cells;
            match result {
                ReadRecordResult::InputEmpty | ReadRecordResult::End => return (read, false),
                ReadRecordResult::Record => return (read, true),
                ReadRecordResult::OutputFull if self.text.len() > max_row_bytes => self.text_len = 0,
                ReadRecordResult::OutputFull => self.text.resize(self.text.len() * 2, 0),
                ReadRecordResult::OutputEndsFull if self.ends.len() >= MAX_CELLS => self.ends_len = 0,
                ReadRecordResult::OutputEndsFull => self.ends.resize(self.ends.len() * 2, 0),
            }
        }
    }

    /// Keeps raw bytes for the chunk after this one.
    pub(crate) fn keep(&mut self, piece: &[u8], max_row_bytes: usize) {
        let room = max_row_bytes.saturating_sub(self.partial.len());
        self.partial.extend_from_slice(&piece[..piece.len().min(room)]);
    }

    pub(crate) fn cells(&self) -> (&[u8], &[usize]) {
        (&self.text[..self.text_len], &self.ends[..self.ends_len])
    }

    /// Notes where each cell ends, now that the row has ended. No row is longer than 4 GiB.
    pub(crate) fn end(&mut self) {
        self.cell_ends.clear();
        self.cell_ends.extend(self.ends[..self.ends_len].iter().map(|&end| end as u32));
    }

    pub(crate) fn cell_ends(&self) -> CellEnds<'_> {
        CellEnds { ends: &self.cell_ends, start: 0, delivered: false }
    }
}
