//! The rows of one chunk of a CSV, one by one or many at once.

use crate::cell_index::{IndexedRow, Stop};
use crate::columns::Columns;
use crate::contact_columns;
use crate::contact_header::Header;
use crate::contact_row::{CellText, Cells, ContactRow, Content};
use crate::contacts_csv::{ContactsCsv, HeaderState};
use crate::generated::Contact;
use crate::row::Position;

/// How much of the chunk is looked through at once, in bytes.
const WINDOW: usize = 64 << 10;

/// The rows that a chunk completes. Made by [`ContactsCsv::feed`].
#[derive(Debug)]
pub struct ContactRows<'d> {
    csv: &'d mut ContactsCsv,
    /// What is left of the chunk: from the first row of the index on, while there is one.
    chunk: &'d [u8],
    /// How much of that is known to be UTF-8. The index is of this text.
    valid: &'d str,
    /// Where the text of the index begins.
    base: Position,
}

impl<'d> ContactRows<'d> {
    pub(crate) fn new(csv: &'d mut ContactsCsv, chunk: &'d [u8]) -> Self {
        let base = csv.next;
        Self { csv, chunk, valid: "", base }
    }

    /// The next row, which borrows from the chunk or the splitter, or `None` when the chunk is used up.
    #[expect(
        clippy::should_implement_trait,
        reason = "a row borrows from the splitter, which an iterator can't express"
    )]
    pub fn next(&mut self) -> Option<ContactRow<'_>> {
        loop {
            if self.find_rows() {
                return Some(self.give_found());
            }
            if self.chunk.is_empty() {
                return None;
            }
            let csv = &mut *self.csv;
            let (read, ended) = csv.row.read(&mut csv.reader, self.chunk, csv.max_row_bytes);
            let piece = &self.chunk[..read];
            csv.row.bytes += read;
            csv.row.newlines += memchr::memchr_iter(b'\n', piece).count() as u64;
            if !ended || !csv.row.partial.is_empty() {
                csv.row.keep(piece, csv.max_row_bytes);
            }
            self.advance(read);
            if !ended {
                continue;
            }
            let csv = &mut *self.csv;
            let shape = csv.complete();
            let (position, passed_over) = csv.advance();
            match shape {
                Some(shape) => return Some(self.csv.give(shape, position, piece, true)),
                None => csv.next = passed_over,
            }
        }
    }

    /// Reads the next rows straight into columns, from the row `row` on, column by column: at most `most_rows`, and none
    /// after `most_bytes` or more have been read. The columns then hold what they would if [`ContactRow::contact`] of each had
    /// been taken in.
    ///
    /// No row may have been read, though there are some: then it is one for [`next`](Self::next). When what has been read
    /// [stops at an odd row](RowsRead::stops_at_odd), the columns may hold more than has been read, which must be taken back.
    pub fn read_into<C>(
        &mut self,
        row: usize,
        columns: &mut C,
        most_rows: usize,
        most_bytes: usize,
    ) -> RowsRead<'_>
    where
        C: Columns<Record = Contact<'static>>,
    {
        let found = self.find_rows();
        let header = match &self.csv.header {
            HeaderState::Known(header) if found && header.has_each_field_once() => header,
            _ => return RowsRead { rows: &[], first_line: 0, stops_at_odd: false },
        };
        let index = &self.csv.index;
        let (mut offered, mut bytes) = (0, 0);
        for found in index.rest().iter().take(most_rows) {
            if bytes >= most_bytes {
                break;
            }
            bytes += found.end - found.start;
            offered += 1;
        }
        let taken =
            contact_columns::read_rows(index, (self.valid, self.chunk), header, offered, row, columns);
        if let Some(last) = taken.checked_sub(1).and_then(|last| index.rest().get(last).copied()) {
            self.pass(taken, last);
        }
        RowsRead {
            rows: self.csv.index.given(taken),
            first_line: self.base.line,
            stops_at_odd: taken < offered,
        }
    }

    /// Looks for rows that are plain, unless some are found already. Returns whether the next row is one.
    fn find_rows(&mut self) -> bool {
        self.csv.forget_given();
        let index = &self.csv.index;
        if !index.rest().is_empty() {
            return true;
        }
        let passed = index.last().map_or(0, |last| last.end + 1);
        self.csv.index.clear();
        self.advance(passed);
        let rest = self.csv.skip_leading(self.chunk);
        self.advance(self.chunk.len() - rest.len());
        if self.csv.row.bytes > 0 || self.chunk.is_empty() {
            return false;
        }
        self.base = self.csv.next;
        let ContactsCsv { index, header: HeaderState::Known(header), max_row_bytes, .. } = &mut *self.csv
        else {
            return false;
        };
        let stop = index.find(self.valid, self.chunk, header, *max_row_bytes);
        if index.rest().is_empty() && stop == Stop::End {
            self.valid = valid_beginning(&self.chunk[..self.chunk.len().min(WINDOW)]);
            index.find(self.valid, self.chunk, header, *max_row_bytes);
        }
        !index.rest().is_empty()
    }

    fn give_found(&mut self) -> ContactRow<'_> {
        let found = self.csv.index.rest()[0];
        let Position { record, .. } = self.csv.next;
        self.pass(1, found);
        let position = Position {
            record,
            line: self.base.line + found.line as u64,
            byte: self.base.byte + found.start as u64,
        };
        let content = match &self.csv.header {
            HeaderState::Known(header) => Content::Cells(self.cells(header)),
            HeaderState::Awaited | HeaderState::Missing => Content::NoHeader,
        };
        let raw = &self.chunk[found.start..found.end];
        ContactRow { position, raw, end: self.csv.next.byte, is_terminated: true, content }
    }

    fn cells<'r>(&'r self, header: &'r Header) -> Cells<'r> {
        let (text, ends) = (CellText::Utf8(self.valid), self.csv.index.last_given());
        Cells { header, text, ends, count: header.len() }
    }

    /// Moves behind rows of the index, the last of which is `last`.
    fn pass(&mut self, rows: usize, last: IndexedRow) {
        self.csv.index.give(rows);
        self.csv.next = Position {
            record: self.csv.next.record + rows as u64,
            line: self.base.line + last.next_line as u64,
            byte: self.base.byte + last.end as u64 + 1,
        };
    }

    fn advance(&mut self, bytes: usize) {
        self.chunk = &self.chunk[bytes..];
        self.valid = self.valid.get(bytes..).unwrap_or_default();
    }
}

/// The UTF-8 with which bytes begin.
fn valid_beginning(bytes: &[u8]) -> &str {
    match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => std::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default(),
    }
}

/// The rows that [`ContactRows::read_into`] has read.
#[derive(Clone, Copy, Debug)]
pub struct RowsRead<'a> {
    rows: &'a [IndexedRow],
    /// The line on which the text of the index begins.
    first_line: u64,
    stops_at_odd: bool,
}

impl<'a> RowsRead<'a> {
    /// How many rows have been read.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether none has been.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The line of the file on which each begins, from 1.
    pub fn lines(&self) -> impl ExactSizeIterator<Item = u64> + use<'a> {
        let first_line = self.first_line;
        self.rows.iter().map(move |row| first_line + row.line as u64)
    }

    /// How many bytes they have, without their newlines.
    pub fn bytes(&self) -> usize {
        self.rows.iter().map(|row| row.end - row.start).sum()
    }

    /// Whether the next row can't be read this way.
    pub fn stops_at_odd(&self) -> bool {
        self.stops_at_odd
    }
}
