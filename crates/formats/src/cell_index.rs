//! Where the cells of a CSV lie, for many rows at once, so that they can be read column by column: one column's cells are
//! all of one type and much the same length, which is what a processor guesses well. Rows to columns this way take less
//! than half of the time that they take row by row.
//!
//! It sees the rows that an export nearly always has. At the first that is otherwise (a quote inside quotes, another
//! number of cells, the header once more) it stops, and `csv-core` reads that one.

use crate::contact_header::Header;
use crate::scan::{self, CsvMarks, MARKS};

/// The most rows at once, and the most cells; what they take must lie in the processor's cache with their text.
pub(crate) const MAX_ROWS: usize = 256;
const MAX_CELLS: usize = 16_384;

/// Where a cell lies in the text around it, without its quotes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Span {
    start: u32,
    end: u32,
}

impl Span {
    #[inline]
    pub(crate) fn new(start: usize, end: usize) -> Self {
        // Neither a part that is looked through at once nor a row is longer than that.
        Self { start: start as u32, end: end as u32 }
    }

    #[inline]
    pub(crate) fn start(self) -> usize {
        self.start as usize
    }

    #[inline]
    pub(crate) fn range(self) -> std::ops::Range<usize> {
        self.start as usize..self.end as usize
    }

    #[inline]
    pub(crate) fn len(self) -> usize {
        self.end.wrapping_sub(self.start) as usize
    }
}

/// A row that has been found. Lines are counted from the beginning of the text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct IndexedRow {
    pub(crate) start: usize,
    /// Where its newline or carriage return stands.
    pub(crate) end: usize,
    pub(crate) line: usize,
    /// The line behind it.
    pub(crate) next_line: usize,
}

/// Why no more rows were found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// There is no room for more.
    Full,
    /// The text ends, perhaps within a row.
    End,
    /// The next row is one for `csv-core`.
    Odd,
}

/// The rows that have been found, and their cells.
#[derive(Debug, Default)]
pub(crate) struct CellIndex {
    columns: usize,
    /// Where each cell ends, its quotes included, row by row; behind them there is room for a block's marks.
    ends: Vec<u32>,
    rows: Vec<IndexedRow>,
    /// How many of the rows have been given out.
    given: usize,
}

impl CellIndex {
    pub(crate) fn clear(&mut self) {
        self.rows.clear();
        self.given = 0;
    }

    /// The rows that have not been given out.
    pub(crate) fn rest(&self) -> &[IndexedRow] {
        &self.rows[self.given..]
    }

    /// The rows that were given out last.
    pub(crate) fn given(&self, rows: usize) -> &[IndexedRow] {
        &self.rows[self.given - rows..self.given]
    }

    /// The last row of all.
    pub(crate) fn last(&self) -> Option<IndexedRow> {
        self.rows.last().copied()
    }

    pub(crate) fn give(&mut self, rows: usize) {
        self.given += rows;
    }

    /// Where the cells of a column lie, in rows that have not been given out. `text` is that of the index.
    pub(crate) fn column(&self, column: usize, text: &[u8], spans: &mut [Span]) {
        let rows = self.rest();
        let ends = self.ends.get(self.given * self.columns..).unwrap_or_default().chunks_exact(self.columns);
        for ((row, ends), span) in rows.iter().zip(ends).zip(spans) {
            let start = if column == 0 { row.start } else { ends[column - 1] as usize + 1 };
            *span = without_quotes(text, start, ends[column] as usize);
        }
    }

    /// The cells of the row that was given out last.
    pub(crate) fn last_given(&self) -> CellEnds<'_> {
        self.cells(self.given.saturating_sub(1))
    }

    /// The cells of a row that has not been given out, from 0.
    pub(crate) fn cells_of_rest(&self, row: usize) -> CellEnds<'_> {
        self.cells(self.given + row)
    }

    fn cells(&self, row: usize) -> CellEnds<'_> {
        let ends = self.ends.get(row * self.columns..(row + 1) * self.columns).unwrap_or_default();
        CellEnds { ends, start: self.rows.get(row).map_or(0, |row| row.start), delivered: true }
    }

    /// Looks for rows from the beginning of a text on, which is that of a row. `around` begins with the text.
    pub(crate) fn find(&mut self, text: &str, around: &[u8], header: &Header, max_row_bytes: usize) -> Stop {
        let columns = header.len();
        self.clear();
        self.columns = columns;
        let most_rows = (MAX_CELLS / columns.max(1)).clamp(1, MAX_ROWS);
        let room = most_rows * columns + MARKS;
        if self.ends.len() != room {
            self.ends = vec![0; room];
        }
        let bytes = text.as_bytes();
        // Where the row begins and on which line, and how many cells there were before it.
        let (mut row, mut row_line, mut before) = (0, 0, 0);
        let (mut line, mut cells, mut from) = (0, 0, 0);
        'look: while from < bytes.len() {
            let block = from;
            let CsvMarks { mut commas, mut others } = scan::csv_marks(around, block);
            from += MARKS;
            loop {
                // The commas before the next other mark.
                let other = others.trailing_zeros();
                let until = 1_u64.checked_shl(other).map_or(u64::MAX, |bit| bit - 1);
                // More cells than fit are more than the header has.
                let Some(place) = self.ends.get_mut(cells..).and_then(<[u32]>::first_chunk_mut::<MARKS>)
                else {
                    return Stop::Odd;
                };
                cells += put_places(commas & until, block, place);
                commas &= !until;
                if others == 0 {
                    continue 'look;
                }
                others &= others - 1;
                let mut at = block + other as usize;
                let Some(&mark) = bytes.get(at) else { return Stop::End };
                let cell = if cells > before { self.ends[cells - 1] as usize + 1 } else { row };
                let mut newline = mark;
                if mark == b'"' {
                    // A quote begins a quoted cell where a cell begins; elsewhere it is a part of the cell.
                    if at != cell {
                        continue;
                    }
                    let Some(len) = memchr::memchr(b'"', &bytes[at + 1..]) else { return Stop::End };
                    let close = at + 1 + len;
                    let Some(&behind) = bytes.get(close + 1) else { return Stop::End };
                    if !matches!(behind, b',' | b'\n' | b'\r') {
                        return Stop::Odd;
                    }
                    line += memchr::memchr_iter(b'\n', &bytes[at + 1..close]).count();
                    (newline, at) = (behind, close + 1);
                } else if at == row {
                    // A blank line, or the newline behind a carriage return, which ends a row by itself.
                    line += usize::from(mark == b'\n');
                    (row, row_line) = (at + 1, line);
                    continue;
                }
                let Some(end) = self.ends.get_mut(cells) else { return Stop::Odd };
                *end = at as u32;
                cells += 1;
                if newline != b',' {
                    if cells - before != columns || at + 1 - row > max_row_bytes {
                        return Stop::Odd;
                    }
                    line += usize::from(newline == b'\n');
                    self.rows.push(IndexedRow { start: row, end: at, line: row_line, next_line: line });
                    if header.is_repeated_by(bytes, self.cells(self.rows.len() - 1)) {
                        self.rows.pop();
                        return Stop::Odd;
                    }
                    if self.rows.len() == most_rows {
                        return Stop::Full;
                    }
                    (row, row_line, before) = (at + 1, line, cells);
                }
                if mark == b'"' {
                    from = at + 1;
                    continue 'look;
                }
            }
        }
        Stop::End
    }
}

/// Where the cells of one row end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CellEnds<'a> {
    pub(crate) ends: &'a [u32],
    pub(crate) start: usize,
    /// The text is as it was delivered, with quotes, and commas between the cells. Otherwise they lie one behind the other.
    pub(crate) delivered: bool,
}

impl<'a> CellEnds<'a> {
    pub(crate) fn spans(self, text: &'a [u8]) -> impl Iterator<Item = Span> + use<'a> {
        let Self { ends, mut start, delivered } = self;
        ends.iter().map(move |&end| {
            let end = end as usize;
            let span = if delivered { without_quotes(text, start, end) } else { Span::new(start, end) };
            start = end + usize::from(delivered);
            span
        })
    }
}

/// Writes where the bits of a block are. Returns how many there are.
#[inline]
fn put_places(mut bits: u64, block: usize, places: &mut [u32; MARKS]) -> usize {
    let count = bits.count_ones() as usize;
    // Four at a time: what is too much is written over by the next.
    let (fours, _) = places.as_chunks_mut::<4>();
    for four in fours {
        if bits == 0 {
            break;
        }
        for place in four {
            *place = (block as u32).wrapping_add(bits.trailing_zeros());
            bits &= bits.wrapping_sub(1);
        }
    }
    count
}

/// A quoted cell has both quotes.
#[inline]
fn without_quotes(text: &[u8], start: usize, end: usize) -> Span {
    let quote = usize::from(start < end && text.get(start) == Some(&b'"'));
    Span::new(start + quote, end - quote)
}
