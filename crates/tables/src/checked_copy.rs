//! Copies a delivery as it is, without its bad rows.

use std::io::Write;

use crate::error::Error;

/// Copies the bytes of a delivery once it is known of each row whether it is good.
///
/// Rows are named by where they end, since everything between two good rows (blank lines, a header) is copied too. What
/// isn't decided yet is held: less than a row and a chunk.
pub(crate) struct CheckedCopy<W> {
    writer: W,
    /// Each good row goes to a line of its own, and nothing else is copied.
    bare_rows: bool,
    max_held: usize,
    /// Bytes that have been read but not copied, and where the first of them stands in the file.
    held: Vec<u8>,
    held_at: u64,
    /// Ranges of the file that are bad, and the end of all that has been decided. They wait for the end of the chunk, which
    /// is when its bytes are at hand.
    bad: Vec<(u64, u64)>,
    decided: u64,
    /// A bad row has been cut out up to the carriage return that ended it; the newline that may follow is part of its end.
    cut_at_return: bool,
}

impl<W: Write> CheckedCopy<W> {
    pub(crate) fn new(writer: W, bare_rows: bool, max_row_bytes: usize) -> Self {
        let (held, bad) = (Vec::new(), Vec::new());
        Self {
            writer,
            bare_rows,
            max_held: max_row_bytes,
            held,
            held_at: 0,
            bad,
            decided: 0,
            cut_at_return: false,
        }
    }

    /// A good row ended at this byte of the file.
    pub(crate) fn good(&mut self, end: u64, raw: &[u8]) -> Result<(), Error> {
        self.decided = end;
        if self.bare_rows {
            // Between the tokens of JSON a line end is mere space, and inside a text there is none.
            let mut line: Vec<u8> =
                raw.iter().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte }).collect();
            line.push(b'\n');
            self.writer.write_all(&line).map_err(failed)?;
        }
        Ok(())
    }

    /// A bad row took these bytes of the file.
    #[expect(clippy::unnecessary_wraps, reason = "the caller treats good and bad rows alike")]
    pub(crate) fn bad(&mut self, start: u64, end: u64) -> Result<(), Error> {
        self.bad.push((start, end));
        self.decided = end;
        Ok(())
    }

    /// All rows that end in the chunk have been decided.
    pub(crate) fn chunk(&mut self, chunk: &[u8]) -> Result<(), Error> {
        if self.bare_rows {
            return Ok(());
        }
        self.held.extend_from_slice(chunk);
        if std::mem::take(&mut self.cut_at_return) && chunk.starts_with(b"\n") {
            self.held.drain(..1);
            self.held_at += 1;
        }
        self.settle(self.decided)?;
        if self.held.len() > self.max_held.saturating_add(chunk.len()) {
            // Only an overlong row, which will be bad, goes undecided for so long.
            self.held_at += self.held.len() as u64;
            self.held.clear();
        }
        Ok(())
    }

    /// Copies what is held up to a byte of the file, without the bad rows.
    fn settle(&mut self, end: u64) -> Result<(), Error> {
        let clamp = |at: u64, copy: &Self| (at.saturating_sub(copy.held_at) as usize).min(copy.held.len());
        let mut from = 0;
        for (start, end) in std::mem::take(&mut self.bad) {
            let start = clamp(start, self);
            self.writer.write_all(&self.held[from..start.max(from)]).map_err(failed)?;
            from = clamp(end, self).max(from);
            // A carriage return ends a row of CSV by itself; the newline behind it would stay as a blank line.
            if self.held[..from].ends_with(b"\r") {
                self.cut_at_return = from == self.held.len();
                from += usize::from(self.held[from..].starts_with(b"\n"));
            }
        }
        let end = clamp(end, self).max(from);
        self.writer.write_all(&self.held[from..end]).map_err(failed)?;
        self.held.drain(..end);
        self.held_at += end as u64;
        Ok(())
    }

    /// The last row, too, has been decided.
    pub(crate) fn finish(mut self) -> Result<(), Error> {
        if !self.bare_rows {
            self.settle(u64::MAX)?;
        }
        self.writer.flush().map_err(failed)
    }
}

fn failed(error: std::io::Error) -> Error {
    Error::write("the copy", error)
}
