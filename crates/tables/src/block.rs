//! JSON Lines cut into blocks of whole lines, so that each can be decoded apart from the others.
//!
//! Where the cuts are depends on the bytes alone, not on how they arrive.

use backstory_formats::Position;

use crate::error::Error;

/// A block becomes one batch; see there.
const BLOCK: usize = 2 << 20;
/// How much is read at a time of a line that is longer than a block.
const PIECE: usize = 256 << 10;

/// Whole lines of a file.
#[derive(Debug)]
pub(crate) struct Block {
    /// Where it begins; its first record is 1.
    pub(crate) start: Position,
    pub(crate) bytes: Vec<u8>,
}

/// Cuts an input into blocks.
#[derive(Debug)]
pub(crate) struct BlockCutter {
    max_row_bytes: usize,
    /// What has been read behind the last block, and where it stands.
    rest: Vec<u8>,
    next: Position,
    ended: bool,
}

impl BlockCutter {
    pub(crate) fn new(max_row_bytes: usize) -> Self {
        let next = Position { record: 1, line: 1, byte: 0 };
        Self { max_row_bytes, rest: Vec::new(), next, ended: false }
    }

    /// The next block, in a buffer that was used before. `read` fills the buffer that it is given, unless the input ends.
    pub(crate) fn next(
        &mut self,
        mut bytes: Vec<u8>,
        mut read: impl FnMut(&mut [u8]) -> Result<usize, Error>,
    ) -> Result<Option<Block>, Error> {
        bytes.clear();
        bytes.append(&mut self.rest);
        self.read_to(&mut bytes, BLOCK, &mut read)?;
        if bytes.is_empty() {
            return Ok(None);
        }
        let start = self.next;
        let mut dropped = 0;
        if !self.ended {
            match memchr::memrchr(b'\n', &bytes) {
                Some(newline) => self.rest.extend_from_slice(&bytes[newline + 1..]),
                None => dropped = self.read_line(&mut bytes, &mut read)?,
            }
            bytes.truncate(bytes.len() - self.rest.len());
        }
        self.next.byte += (bytes.len() as u64) + dropped;
        self.next.line += memchr::memchr_iter(b'\n', &bytes).count() as u64;
        Ok(Some(Block { start, bytes }))
    }

    fn read_to(
        &mut self,
        bytes: &mut Vec<u8>,
        len: usize,
        read: &mut impl FnMut(&mut [u8]) -> Result<usize, Error>,
    ) -> Result<(), Error> {
        let had = bytes.len();
        if self.ended || had >= len {
            return Ok(());
        }
        bytes.resize(len, 0);
        let got = read(&mut bytes[had..])?;
        self.ended = had + got < len;
        bytes.truncate(had + got);
        Ok(())
    }

    /// Reads on to the end of a line that is longer than a block. Of one that is longer than a row may be, only as much is
    /// kept as shows that it is. What stands behind its newline is put at the end of `bytes` and into `rest`. Returns how
    /// many bytes were dropped.
    fn read_line(
        &mut self,
        bytes: &mut Vec<u8>,
        read: &mut impl FnMut(&mut [u8]) -> Result<usize, Error>,
    ) -> Result<u64, Error> {
        let enough = self.max_row_bytes.saturating_add(1);
        let mut dropped = 0;
        loop {
            let from = bytes.len();
            self.read_to(bytes, from + PIECE, read)?;
            let newline = memchr::memchr(b'\n', &bytes[from..]).map(|at| from + at);
            if let Some(newline) = newline {
                self.rest.extend_from_slice(&bytes[newline + 1..]);
            }
            let line_end = newline.unwrap_or(bytes.len());
            if line_end > enough {
                bytes.drain(enough..line_end);
                dropped += (line_end - enough) as u64;
            }
            if newline.is_some() || self.ended {
                return Ok(dropped);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blocks(input: &[u8], max_row_bytes: usize) -> Vec<Block> {
        let (mut cutter, mut rest, mut blocks) = (BlockCutter::new(max_row_bytes), input, Vec::new());
        let mut read = |buffer: &mut [u8]| {
            let len = buffer.len().min(rest.len());
            buffer[..len].copy_from_slice(&rest[..len]);
            rest = &rest[len..];
            Ok(len)
        };
        while let Some(block) = cutter.next(Vec::new(), &mut read).unwrap() {
            assert!(block.bytes.len() <= BLOCK.max(max_row_bytes + PIECE + 2));
            blocks.push(block);
        }
        blocks
    }

    #[test]
    fn blocks_end_with_lines_and_give_the_input_back() {
        let input = b"0123456789abcdef0123456789abcdef!\n".repeat(200_000);
        let blocks = blocks(&input, 100);
        assert_eq!(blocks.len(), input.len().div_ceil(BLOCK - BLOCK % 34));
        assert_eq!(blocks.iter().flat_map(|block| block.bytes.clone()).collect::<Vec<_>>(), input);
        let mut lines = 1;
        for block in &blocks {
            assert_eq!((block.start.line, block.start.byte), (lines, (lines - 1) * 34));
            lines += block.bytes.len() as u64 / 34;
        }
    }

    #[test]
    fn of_a_line_longer_than_a_row_may_be_only_the_beginning_is_kept() {
        let long = vec![b'x'; 7 * BLOCK + 5];
        for (behind, after) in [(&b"\nyy\n"[..], Some(&b"yy\n"[..])), (b"\n", None), (b"", None)] {
            let input = [b"a\n", &long[..], behind].concat();
            let blocks = blocks(&input, 3_000_000);
            assert_eq!((&blocks[0].bytes[..], blocks[1].start.byte), (&b"a\n"[..], 2));
            let kept = blocks[1].bytes.strip_suffix(b"\n").unwrap_or(&blocks[1].bytes);
            assert_eq!((kept.len(), kept.len() < blocks[1].bytes.len()), (3_000_001, !behind.is_empty()));
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
    fn an_empty_input_has_no_block() {
        assert!(blocks(b"", 10).is_empty());
    }
}
