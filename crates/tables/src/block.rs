//! An export cut into blocks of whole rows, so that each can be decoded apart from the others.
//!
//! Where the cuts are depends on the bytes alone, not on how they arrive.

use backstory_formats::{ContactsCsv, Position, RowEnds};

use crate::error::Error;

/// A block becomes one batch; see there.
const BLOCK: usize = 2 << 20;
/// Nor has it more rows than that, so that many short ones don't take many times the memory as columns.
const MAX_ROWS: usize = 8_192;
/// How much is read at a time of a row that is longer than a block.
const PIECE: usize = 256 << 10;
/// What may stand before the first row.
const MARK: &[u8] = b"\xef\xbb\xbf";

/// Whole rows of a file.
#[derive(Debug)]
pub(crate) struct Block {
    /// Where it begins; its first record is 1.
    pub(crate) start: Position,
    pub(crate) bytes: Vec<u8>,
    /// It is one row, longer than a row may be, of which this is the beginning.
    pub(crate) is_cut_short: bool,
    /// What its rows are split with, if it is one of a CSV.
    pub(crate) csv: Option<Box<ContactsCsv>>,
}

impl Block {
    /// A block without rows.
    pub(crate) fn empty() -> Self {
        Self { start: Position::default(), bytes: Vec::new(), is_cut_short: false, csv: None }
    }
}

/// Cuts an input into blocks.
#[derive(Debug)]
pub(crate) struct BlockCutter {
    max_row_bytes: usize,
    block_bytes: usize,
    /// Knows the columns, as soon as they have been read.
    csv: Option<ContactsCsv>,
    /// What has been read behind the last block, and where it stands.
    rest: Vec<u8>,
    next: Position,
    ended: bool,
}

impl BlockCutter {
    /// For JSON Lines.
    pub(crate) fn new(max_row_bytes: usize) -> Self {
        let next = Position { record: 1, line: 1, byte: 0 };
        Self { max_row_bytes, block_bytes: BLOCK, csv: None, rest: Vec::new(), next, ended: false }
    }

    /// For a CSV, whose first row will be split with this.
    pub(crate) fn of_csv(csv: ContactsCsv, max_row_bytes: usize) -> Self {
        Self { csv: Some(csv), ..Self::new(max_row_bytes) }
    }

    /// Cuts smaller blocks.
    pub(crate) fn with_block_bytes(mut self, bytes: usize) -> Self {
        self.block_bytes = bytes.clamp(1, BLOCK);
        self
    }

    /// The columns of a CSV, once all has been cut.
    pub(crate) fn csv_header(&self) -> Option<Vec<String>> {
        self.csv.as_ref().and_then(ContactsCsv::header)
    }

    /// The next block, in a buffer that was used before. `read` fills the buffer that it is given, unless the input ends.
    pub(crate) fn next(
        &mut self,
        mut bytes: Vec<u8>,
        mut read: impl FnMut(&mut [u8]) -> Result<usize, Error>,
    ) -> Result<Option<Block>, Error> {
        // What is left in the buffer is overwritten, which is quicker than to fill it with zeros first.
        let had = self.rest.len();
        if bytes.len() < had {
            bytes.resize(had, 0);
        }
        bytes[..had].copy_from_slice(&self.rest);
        self.rest.clear();
        self.read_to(&mut bytes, had, self.block_bytes, &mut read)?;
        if bytes.is_empty() {
            return Ok(None);
        }
        let start = self.next;
        let mut ends = if self.csv.is_some() { RowEnds::of_csv() } else { RowEnds::of_lines() };
        if start.byte == 0 && bytes.starts_with(MARK) {
            ends = ends.beginning_at(MARK.len());
        }
        let (mut end, mut rows, mut rows_are_left) = (0, 0, true);
        if self.csv.is_none() && !self.ended && bytes.len() == self.block_bytes {
            let lines = memchr::memchr_iter(b'\n', &bytes).count();
            if lines <= MAX_ROWS
                && let Some(newline) = memchr::memrchr(b'\n', &bytes)
            {
                // As nearly always: there is no need to find the others.
                self.next.byte += newline as u64 + 1;
                self.next.line += lines as u64;
                self.rest.extend_from_slice(&bytes[newline + 1..]);
                bytes.truncate(newline + 1);
                return Ok(Some(Block { start, bytes, is_cut_short: false, csv: None }));
            }
        }
        while rows < MAX_ROWS {
            match ends.next(&bytes, self.ended) {
                // A long row in front may have brought more than a block.
                Some(next) if next > self.block_bytes && rows > 0 => break,
                Some(next) => (end, rows) = (next, rows + 1),
                None => {
                    rows_are_left = false;
                    break;
                }
            }
        }
        let mut is_cut_short = false;
        if rows == 0 && !self.ended {
            is_cut_short = self.read_row(&mut bytes, &mut ends, &mut read)?;
        } else if self.ended && !rows_are_left {
            self.pass(&bytes);
        } else {
            self.pass(&bytes[..end]);
            self.rest.extend_from_slice(&bytes[end..]);
            bytes.truncate(end);
        }
        let csv = self.csv.as_ref().map(|csv| Box::new(csv.continued_at(start)));
        if let Some(csv) = &mut self.csv
            && !is_cut_short
        {
            csv.learn_header(&bytes, self.ended && self.rest.is_empty());
        }
        Ok(Some(Block { start, bytes, is_cut_short, csv }))
    }

    /// Moves behind these bytes.
    fn pass(&mut self, bytes: &[u8]) {
        self.next.byte += bytes.len() as u64;
        self.next.line += memchr::memchr_iter(b'\n', bytes).count() as u64;
    }

    /// Reads until there are `len` bytes, of which there are `had`.
    fn read_to(
        &mut self,
        bytes: &mut Vec<u8>,
        had: usize,
        len: usize,
        read: &mut impl FnMut(&mut [u8]) -> Result<usize, Error>,
    ) -> Result<(), Error> {
        let mut have = had;
        if !self.ended && had < len {
            bytes.resize(len, 0);
            have += read(&mut bytes[had..])?;
            self.ended = have < len;
        }
        bytes.truncate(have);
        Ok(())
    }

    /// Reads on to the end of a row that is longer than a block, and moves behind it. Of one that is longer than a row may
    /// be, only as much is kept as shows that it is. Returns whether the row's end isn't among what is kept.
    fn read_row(
        &mut self,
        bytes: &mut Vec<u8>,
        ends: &mut RowEnds,
        read: &mut impl FnMut(&mut [u8]) -> Result<usize, Error>,
    ) -> Result<bool, Error> {
        let enough = self.max_row_bytes.saturating_add(MARK.len() + 1);
        let mut passed = 0;
        loop {
            let from = bytes.len();
            self.read_to(bytes, from, from + PIECE, read)?;
            let found = ends.next(bytes, self.ended);
            if found.is_none() && !self.ended {
                let forgotten = ends.forget_behind(enough);
                if forgotten > 0 {
                    self.pass(&bytes[passed..enough + forgotten]);
                    bytes.drain(enough..enough + forgotten);
                    passed = enough;
                }
                continue;
            }
            let end = found.unwrap_or(bytes.len());
            self.pass(&bytes[passed..end]);
            self.rest.extend_from_slice(&bytes[end..]);
            let is_cut_short = end > enough;
            bytes.truncate(end.min(enough));
            return Ok(is_cut_short && found.is_some());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(mut cutter: BlockCutter, input: &[u8]) -> Vec<Block> {
        let (mut rest, mut blocks) = (input, Vec::new());
        let mut read = |buffer: &mut [u8]| {
            let len = buffer.len().min(rest.len());
            buffer[..len].copy_from_slice(&rest[..len]);
            rest = &rest[len..];
            Ok(len)
        };
        while let Some(block) = cutter.next(Vec::new(), &mut read).unwrap() {
            assert!(block.bytes.len() <= BLOCK.max(cutter.max_row_bytes + PIECE + 2));
            blocks.push(block);
        }
        blocks
    }

    fn blocks(input: &[u8], max_row_bytes: usize) -> Vec<Block> {
        cut(BlockCutter::new(max_row_bytes), input)
    }

    #[test]
    fn blocks_end_with_rows_and_give_the_input_back() {
        let row = [&[b'x'; 339][..], b"\n"].concat();
        let short = b"0123456789abcdef!\n";
        let input = [row.repeat(20_000), short.repeat(20_000)].concat();
        let blocks = blocks(&input, 1_000);
        assert_eq!(blocks.iter().flat_map(|block| block.bytes.clone()).collect::<Vec<_>>(), input);
        let (mut line, mut byte) = (1, 0);
        for block in &blocks {
            assert_eq!((block.start.line, block.start.byte), (line, byte));
            let rows = memchr::memchr_iter(b'\n', &block.bytes).count();
            assert!(rows <= MAX_ROWS && block.bytes.ends_with(b"\n"));
            (line, byte) = (line + rows as u64, byte + block.bytes.len() as u64);
        }
        assert_eq!(blocks[0].bytes.len(), BLOCK - BLOCK % row.len());
        assert_eq!(blocks[blocks.len() - 2].bytes.len(), MAX_ROWS * short.len());
    }

    #[test]
    fn of_a_line_longer_than_a_row_may_be_only_the_beginning_is_kept() {
        let long = vec![b'x'; 7 * BLOCK + 5];
        for (behind, after) in [(&b"\nyy\n"[..], Some(&b"yy\n"[..])), (b"\n", None), (b"", None)] {
            let input = [b"a\n", &long[..], behind].concat();
            let blocks = blocks(&input, 3_000_000);
            assert_eq!((&blocks[0].bytes[..], blocks[1].start.byte), (&b"a\n"[..], 2));
            let kept = (blocks[1].bytes.len(), blocks[1].is_cut_short);
            assert_eq!(kept, (3_000_004, !behind.is_empty()));
            let last = blocks.get(2).map(|block| (&block.bytes[..], block.start.line, block.start.byte));
            assert_eq!(last, after.map(|after| (after, 3, long.len() as u64 + 3)));
        }
    }

    #[test]
    fn a_long_line_that_may_be_a_row_is_kept_whole() {
        let input = [&vec![b'x'; 2 * BLOCK][..], b"\nb\n"].concat();
        let blocks = blocks(&input, 16 << 20);
        assert_eq!(blocks.iter().map(|block| block.bytes.len()).collect::<Vec<_>>(), [2 * BLOCK + 1, 2]);
    }

    #[test]
    fn a_csv_is_not_cut_in_a_quoted_cell() {
        let cell = format!("\"{}\"\n", "line\n".repeat(60));
        let input = format!("email\nplain\n{}", cell.repeat(30));
        let cutter = || BlockCutter::of_csv(ContactsCsv::new(), 1_000).with_block_bytes(400);
        let blocks = cut(cutter(), input.as_bytes());
        assert_eq!(blocks.iter().flat_map(|block| block.bytes.clone()).collect::<Vec<_>>(), input.as_bytes());
        assert!(blocks.len() > 20 && blocks.iter().all(|block| block.bytes.ends_with(b"\"\n")));
        assert_eq!(blocks[2].start.line, 2 + 1 + 61 * 2);

        // A quote that nobody closes would be the rest of the file.
        let open = format!("email\na\n\"{}", "line\n".repeat(400_000));
        let blocks = cut(cutter(), open.as_bytes());
        assert_eq!(blocks.iter().map(|block| block.bytes.len()).collect::<Vec<_>>(), [8, 1_004]);
    }

    #[test]
    fn an_empty_input_has_no_block() {
        assert!(blocks(b"", 10).is_empty());
    }
}
