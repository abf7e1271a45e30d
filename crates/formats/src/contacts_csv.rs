//! Contacts as CSV, pushed in chunks: the bytes may be cut anywhere, the rows are the same.
//!
//! Quoting is `csv-core`'s: RFC 4180, so a quoted cell may hold commas, quotes and newlines. Columns are found by the
//! header's names, never by their place.

use crate::cell_index::CellIndex;
use crate::contact_header::Header;
use crate::contact_row::{CellText, Cells, ContactRow, Content};
use crate::contact_rows::ContactRows;
use crate::csv_row::RowBuffers;
use crate::json_lines::BOM;
use crate::row::{DEFAULT_MAX_ROW_BYTES, Position};

/// Splits a CSV export of contacts into rows (contract (d.3)).
///
/// A byte-order mark, blank lines, and rows that repeat the header are passed over; CRLF ends a row as LF does.
///
/// Of columns that have the same name, or are of the same field, the last cell that isn't blank counts. Another that isn't
/// empty and says something else is kept in [`extra`](crate::Contact::extra), under the column's name and number, from 1, as
/// in `email (column 3)`.
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
    pub(crate) reader: csv_core::Reader,
    pub(crate) max_row_bytes: usize,
    pub(crate) header: HeaderState,
    /// How many bytes of a byte-order mark have been seen; `None` once it can't come any more.
    mark: Option<usize>,
    pub(crate) row: RowBuffers,
    /// The row that was given out last still lies in the buffers.
    given: bool,
    /// Where the next row begins.
    pub(crate) next: Position,
    /// The next rows of the chunk, where they are plain.
    pub(crate) index: CellIndex,
}

#[derive(Clone, Debug)]
pub(crate) enum HeaderState {
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
            index: CellIndex::default(),
        }
    }

    /// Takes rows of at most `bytes` bytes, and never of more than 4 GiB; a longer one becomes an
    /// [`ErrorKind::TooLong`](crate::ErrorKind::TooLong).
    #[must_use]
    pub fn with_max_row_bytes(mut self, bytes: usize) -> Self {
        self.max_row_bytes = bytes.min(u32::MAX as usize);
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
        self.index.clear();
        ContactRows::new(self, chunk)
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
    pub(crate) fn forget_given(&mut self) {
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
    pub(crate) fn skip_leading<'c>(&mut self, mut chunk: &'c [u8]) -> &'c [u8] {
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
    pub(crate) fn complete(&mut self) -> Option<Shape> {
        self.row.end();
        let row = &self.row;
        if row.bytes > self.max_row_bytes {
            return Some(Shape::TooLong);
        }
        let (text, ends) = row.cells();
        match &self.header {
            HeaderState::Known(header)
                if row.cells == header.len() && header.is_repeated_by(text, row.cell_ends()) =>
            {
                None
            }
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
    pub(crate) fn advance(&mut self) -> (Position, Position) {
        self.given = true;
        let position = self.next;
        self.next.byte += self.row.bytes as u64;
        self.next.line += self.row.newlines;
        let passed_over = self.next;
        self.next.record += 1;
        (position, passed_over)
    }

    pub(crate) fn give<'d>(
        &'d self,
        shape: Shape,
        position: Position,
        piece: &'d [u8],
        is_terminated: bool,
    ) -> ContactRow<'d> {
        let raw = if self.row.partial.is_empty() { piece } else { &self.row.partial };
        let raw = &raw[..raw.len().min(self.max_row_bytes)];
        let (text, _) = self.row.cells();
        let content = match (shape, &self.header) {
            (Shape::Cells, HeaderState::Known(header)) => {
                let (text, ends) = (CellText::Bytes(text), self.row.cell_ends());
                Content::Cells(Cells { header, text, ends, count: self.row.cells })
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
pub(crate) enum Shape {
    Cells,
    NoHeader,
    TooLong,
    Cut,
}

fn trim_newline(raw: &[u8]) -> &[u8] {
    let raw = raw.strip_suffix(b"\n").unwrap_or(raw);
    raw.strip_suffix(b"\r").unwrap_or(raw)
}
