//! Contacts as CSV, pushed in chunks: the bytes may be cut anywhere, the rows are the same.
//!
//! Quoting is `csv-core`'s: RFC 4180, so a quoted cell may hold commas, quotes and newlines. Columns are found by the
//! header's names, never by their place.

use crate::contact_header::Header;
use crate::contact_row::{Cells, ContactRow, Content};
use crate::csv_row::{MAX_CELLS, RowBuffers};
use crate::json_lines::BOM;
use crate::row::{DEFAULT_MAX_ROW_BYTES, Position};
use crate::scan;

/// Splits a CSV export of contacts into rows (contract (d.3)).
///
/// A byte-order mark, blank lines, and rows that repeat the header are passed over; CRLF ends a row as LF does.
///
/// ```
/// use backstory_formats::ContactsCsv;
///
/// let mut csv = ContactsCsv::new();
/// let mut rows = csv.feed(b"email,total_inbound,shoe_size\r\nrin@quillmark.example,12,43\r\n");
/// let row = rows.next().unwrap();
/// let contact = row.contact()?;
/// assert_eq!(contact.email.as_deref(), Some("rin@quillmark.example"));
/// assert_eq!(contact.total_inbound, Some(12));
/// assert_eq!(contact.extra.get("shoe_size"), Some("\"43\""));
/// # Ok::<(), backstory_formats::Error>(())
/// ```
#[derive(Debug)]
pub struct ContactsCsv {
    reader: csv_core::Reader,
    max_row_bytes: usize,
    header: HeaderState,
    /// How many bytes of a byte-order mark have been seen; `None` once it can't come any more.
    mark: Option<usize>,
    row: RowBuffers,
    /// The row that was given out last still lies in the buffers.
    given: bool,
    /// Where the next row begins.
    next: Position,
}

#[derive(Clone, Debug)]
enum HeaderState {
    Awaited,
    Known(Header),
    /// The first row isn't a header.
    Missing,
}

impl Default for ContactsCsv {
    fn default() -> Self {
        Self::new()
    }
}

impl ContactsCsv {
    /// A splitter for one file or fragment, from its first byte, which is its header's.
    pub fn new() -> Self {
        Self {
            reader: csv_core::Reader::new(),
            max_row_bytes: DEFAULT_MAX_ROW_BYTES,
            header: HeaderState::Awaited,
            mark: Some(0),
            row: RowBuffers::default(),
            given: false,
            next: Position { record: 1, line: 1, byte: 0 },
        }
    }

    /// Takes rows of at most `bytes` bytes; a longer one becomes an [`ErrorKind::TooLong`](crate::ErrorKind::TooLong).
    #[must_use]
    pub fn with_max_row_bytes(mut self, bytes: usize) -> Self {
        self.max_row_bytes = bytes;
        self
    }

    /// Takes the columns of an earlier fragment's [`header`](Self::header). Nobody knows whether each fragment repeats it
    /// (contract (j.15)): a first row that does is passed over, any other is a contact.
    #[must_use]
    pub fn with_header(mut self, names: Vec<String>) -> Self {
        self.header = Header::from_names(names).map_or(HeaderState::Missing, HeaderState::Known);
        self
    }

    /// The header's names as delivered, once its row has been read.
    pub fn header(&self) -> Option<Vec<String>> {
        match &self.header {
            HeaderState::Known(header) => {
                Some(header.columns().iter().map(|column| column.name.clone()).collect())
            }
            HeaderState::Awaited | HeaderState::Missing => None,
        }
    }

    /// A splitter of the same columns for rows further on in the file, so that its parts can be decoded side by side:
    /// it begins at the beginning of a row ([`RowEnds`](crate::RowEnds) finds some), which stands at `position`.
    #[must_use]
    pub fn continued_at(&self, position: Position) -> Self {
        Self {
            max_row_bytes: self.max_row_bytes,
            header: self.header.clone(),
            mark: (position.byte == 0).then_some(0),
            next: position,
            ..Self::new()
        }
    }

    /// Reads the header from a part of the file, unless it is known already; `last` says that nothing follows. For a splitter
    /// that only serves to be [continued](Self::continued_at).
    pub fn learn_header(&mut self, part: &[u8], last: bool) {
        if matches!(self.header, HeaderState::Awaited) {
            let mut reader = self.continued_at(self.next);
            // The first row is drawn when the header has been read.
            let is_known = reader.feed(part).next().is_some();
            if !is_known && last {
                reader.finish();
            }
            self.header = reader.header;
            self.next.byte += part.len() as u64;
        }
    }

    /// Where the next row begins, as far as it is known: behind the last row.
    pub fn position(&self) -> Position {
        self.next
    }

    /// Takes in the next bytes. The rows that they complete must be drawn with [`ContactRows::next`] until it gives
    /// `None`; dropping it earlier loses the rest of the chunk.
    pub fn feed<'d>(&'d mut self, chunk: &'d [u8]) -> ContactRows<'d> {
        ContactRows { csv: self, chunk, plain: 0 }
    }

    /// Says that no more bytes come. A last row without a newline is a row too, if it is whole: its
    /// [`ContactRow::contact`] is an [`ErrorKind::Unterminated`](crate::ErrorKind::Unterminated) otherwise.
    pub fn finish(&mut self) -> Option<ContactRow<'_>> {
        self.forget_given();
        if let Some(seen @ 1..) = self.mark.take() {
            self.take_as_content(seen);
        }
        if self.row.bytes == 0 {
            return None;
        }
        // A newline ends every row but one with an open quote, where it is one more byte of the cell.
        let (_, ended) = self.row.read(&mut self.reader, b"\n", self.max_row_bytes);
        let was_awaited = matches!(self.header, HeaderState::Awaited);
        let shape = self.complete();
        // A header that was cut off ends in half a name.
        let cut_header = match &self.header {
            HeaderState::Known(header) => was_awaited && !header.ends_in_field(),
            HeaderState::Awaited | HeaderState::Missing => false,
        };
        let shape = if !ended || cut_header { Shape::Cut } else { shape? };
        let (position, _) = self.advance();
        Some(self.give(shape, position, &[], false))
    }

    /// Says that the rest of the row under way, which is longer than a row may be, has been left out.
    pub fn finish_overlong(&mut self) -> Option<ContactRow<'_>> {
        self.forget_given();
        if self.row.bytes == 0 {
            return None;
        }
        let (position, _) = self.advance();
        Some(self.give(Shape::TooLong, position, &[], true))
    }

    /// Forgets the row that was given out last.
    fn forget_given(&mut self) {
        if std::mem::take(&mut self.given) {
            let row = &mut self.row;
            row.partial.clear();
            (row.bytes, row.newlines, row.text_len, row.ends_len, row.cells) = (0, 0, 0, 0, 0);
        }
    }

    /// Reads bytes that turned out to be no byte-order mark.
    fn take_as_content(&mut self, seen: usize) {
        self.row.read(&mut self.reader, &BOM[..seen], self.max_row_bytes);
        self.row.keep(&BOM[..seen], self.max_row_bytes);
        self.row.bytes += seen;
    }

    /// Passes over a byte-order mark and blank lines in front of a row. What is left may be empty.
    fn skip_leading<'c>(&mut self, mut chunk: &'c [u8]) -> &'c [u8] {
        while let (Some(seen), [first, rest @ ..]) = (self.mark, chunk) {
            if *first == BOM[seen] {
                chunk = rest;
                self.mark = (seen + 1 < BOM.len()).then_some(seen + 1);
                if self.mark.is_none() {
                    self.next.byte += BOM.len() as u64;
                }
            } else {
                self.mark = None;
                self.take_as_content(seen);
            }
        }
        if self.row.bytes == 0 {
            while let [newline @ (b'\n' | b'\r'), rest @ ..] = chunk {
                self.next.byte += 1;
                self.next.line += u64::from(*newline == b'\n');
                chunk = rest;
            }
        }
        chunk
    }

    /// What the row that has just ended is; `None` for a header, which is no contact.
    fn complete(&mut self) -> Option<Shape> {
        let row = &self.row;
        if row.bytes > self.max_row_bytes {
            return Some(Shape::TooLong);
        }
        let (text, ends) = row.cells();
        match &self.header {
            HeaderState::Known(header) if header.is_repeated_by(text, ends, 0) => None,
            HeaderState::Known(_) => Some(Shape::Cells),
            HeaderState::Missing => Some(Shape::NoHeader),
            HeaderState::Awaited => {
                let whole = ends.len() == row.cells;
                let header = if whole { Header::from_row(text, ends) } else { None };
                if let Some(header) = header {
                    self.header = HeaderState::Known(header);
                    return None;
                }
                self.header = HeaderState::Missing;
                Some(Shape::NoHeader)
            }
        }
    }

    /// Moves behind the row that has just ended. Returns where it stands and where it would, were it not a record.
    fn advance(&mut self) -> (Position, Position) {
        self.given = true;
        let position = self.next;
        self.next.byte += self.row.bytes as u64;
        self.next.line += self.row.newlines;
        let passed_over = self.next;
        self.next.record += 1;
        (position, passed_over)
    }

    fn give<'d>(
        &'d self,
        shape: Shape,
        position: Position,
        piece: &'d [u8],
        is_terminated: bool,
    ) -> ContactRow<'d> {
        let raw = if self.row.partial.is_empty() { piece } else { &self.row.partial };
        let raw = &raw[..raw.len().min(self.max_row_bytes)];
        let (text, ends) = self.row.cells();
        let content = match (shape, &self.header) {
            (Shape::Cells, HeaderState::Known(header)) => {
                Content::Cells(Cells { header, text, ends, gap: 0, count: self.row.cells })
            }
            (Shape::TooLong, _) => Content::TooLong(self.max_row_bytes),
            (Shape::Cut, _) => Content::Cut,
            (Shape::NoHeader | Shape::Cells, _) => Content::NoHeader,
        };
        ContactRow { position, raw: trim_newline(raw), end: self.next.byte, is_terminated, content }
    }
}

/// What a row is, apart from its content.
#[derive(Clone, Copy)]
enum Shape {
    Cells,
    NoHeader,
    TooLong,
    Cut,
}

/// The rows that a chunk completes. Made by [`ContactsCsv::feed`].
#[derive(Debug)]
pub struct ContactRows<'d> {
    csv: &'d mut ContactsCsv,
    chunk: &'d [u8],
    /// How many bytes of the chunk there are before the next quote or carriage return; what has been looked through need
    /// not be looked through again.
    plain: usize,
}

impl<'d> ContactRows<'d> {
    /// The next row, which borrows from the chunk or the splitter, or `None` when the chunk is used up.
    #[expect(
        clippy::should_implement_trait,
        reason = "a row borrows from the splitter, which an iterator can't express"
    )]
    pub fn next(&mut self) -> Option<ContactRow<'_>> {
        loop {
            self.csv.forget_given();
            let rest = self.csv.skip_leading(self.chunk);
            self.advance(self.chunk.len() - rest.len());
            if self.chunk.is_empty() {
                return None;
            }
            if let Some(line) = self.plain_line() {
                let position = self.csv.pass_plain(line);
                let Some(position) = position else { continue };
                return Some(self.csv.give_plain(line, position));
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

    fn advance(&mut self, bytes: usize) {
        self.chunk = &self.chunk[bytes..];
        self.plain = self.plain.saturating_sub(bytes);
    }

    /// A whole row without quotes and carriage returns, but for one before its newline: the usual row, which needs no
    /// unquoting. Without this way, and the copying that it saves, decoding takes twice as long.
    fn plain_line(&mut self) -> Option<&'d [u8]> {
        let csv = &*self.csv;
        if csv.row.bytes > 0 || !matches!(csv.header, HeaderState::Known(_)) {
            return None;
        }
        let newline = memchr::memchr(b'\n', self.chunk)?;
        if self.plain <= newline {
            self.plain += memchr::memchr2(b'"', b'\r', &self.chunk[self.plain..])
                .unwrap_or(self.chunk.len() - self.plain);
        }
        let ends_in_return = self.plain + 1 == newline && self.chunk[self.plain] == b'\r';
        if (self.plain < newline && !ends_in_return) || newline >= csv.max_row_bytes {
            return None;
        }
        // A carriage return ends the row by itself, as it does for `csv-core`; the newline is passed over as a blank line is.
        let line = &self.chunk[..=newline.min(self.plain)];
        self.advance(line.len());
        Some(line)
    }
}

impl ContactsCsv {
    /// Splits a plain row at its commas. Returns where it stands, or `None` for a row that repeats the header.
    fn pass_plain(&mut self, line: &[u8]) -> Option<Position> {
        let row = &mut self.row;
        row.ends_len = 0;
        row.cells = 1;
        let text = trim_newline(line);
        scan::each_comma(text, |comma| {
            if row.ends_len + 1 < MAX_CELLS {
                row.put_end(comma);
            }
            row.cells += 1;
        });
        row.put_end(text.len());
        self.given = true;
        let position = self.next;
        self.next.byte += line.len() as u64;
        self.next.line += u64::from(line.ends_with(b"\n"));
        let HeaderState::Known(header) = &self.header else { return None };
        if header.is_repeated_by(text, &self.row.ends[..self.row.ends_len], 1) {
            return None;
        }
        self.next.record += 1;
        Some(position)
    }

    fn give_plain<'d>(&'d self, line: &'d [u8], position: Position) -> ContactRow<'d> {
        let text = trim_newline(line);
        let content = match &self.header {
            HeaderState::Known(header) => {
                let (ends, count) = (&self.row.ends[..self.row.ends_len], self.row.cells);
                Content::Cells(Cells { header, text, ends, gap: 1, count })
            }
            HeaderState::Awaited | HeaderState::Missing => Content::NoHeader,
        };
        ContactRow { position, raw: text, end: self.next.byte, is_terminated: true, content }
    }
}

fn trim_newline(raw: &[u8]) -> &[u8] {
    let raw = raw.strip_suffix(b"\n").unwrap_or(raw);
    raw.strip_suffix(b"\r").unwrap_or(raw)
}
