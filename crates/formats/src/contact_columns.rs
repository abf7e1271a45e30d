//! The fast ways from the cells of a CSV to columns: row by row, and many rows at once.

use crate::cell_index::{CellIndex, MAX_ROWS, Span};
use crate::columns::{Columns, Odd, OddRow, Value};
use crate::contact_header::Header;
use crate::contact_row::{CellSource, Cells, quoted};
use crate::record::{FieldSource, Found, Text};
use crate::scan::{copy_first, copy_ranges};

/// Reads a row, which is as wide as its header, into a row of columns.
pub(crate) fn read<C: Columns>(cells: &Cells<'_>, row: usize, columns: &mut C) -> Result<(), Odd> {
    // Which of several columns of a field counts is for others to see to.
    if !cells.header.has_each_field_once() {
        return Err(Odd);
    }
    let text = cells.text.utf8().map_err(|_| Odd)?;
    for (column, span) in cells.header.columns().iter().zip(cells.ends.spans(text.as_bytes())) {
        let cell = text.get(span.range()).ok_or(Odd)?;
        if cell.is_empty() {
            continue;
        }
        match column.field {
            Some(field) => {
                let behind = &text.as_bytes()[span.start()..];
                columns.read(row, field, &mut Cell { cell, behind })?;
            }
            None => columns.unknown(row, &column.name, &quoted(cell))?,
        }
    }
    Ok(())
}

/// Reads the next `rows` of an index into columns, from the row `row` on. Returns how many of them could be read; there
/// may be more in the columns.
pub(crate) fn read_rows<C: Columns>(
    index: &CellIndex,
    (text, around): (&str, &[u8]),
    header: &Header,
    rows: usize,
    row: usize,
    columns: &mut C,
) -> usize {
    let mut good = rows;
    let mut spans = [Span::default(); MAX_ROWS];
    for (at, column) in header.columns().iter().enumerate() {
        if let Some(field) = column.field {
            let spans = &mut spans[..good];
            index.column(at, text.as_bytes(), spans);
            if let Err(OddRow(odd)) = columns.read_cells(row, field, &CellColumn { text, around, spans }) {
                good = odd;
            }
        }
    }
    if header.has_unknown() { read_unknown(index, text, header, good, row, columns) } else { good }
}

/// Reads what the schema doesn't know, which all goes to one column, so row by row. Returns how many could be read.
fn read_unknown<C: Columns>(
    index: &CellIndex,
    text: &str,
    header: &Header,
    rows: usize,
    row: usize,
    columns: &mut C,
) -> usize {
    (0..rows)
        .find(|&at| {
            let cells = index.cells_of_rest(at).spans(text.as_bytes());
            header.columns().iter().zip(cells).any(|(column, span)| {
                let cell = text.get(span.range()).unwrap_or_default();
                column.field.is_none()
                    && !cell.is_empty()
                    && columns.unknown(row + at, &column.name, &quoted(cell)).is_err()
            })
        })
        .unwrap_or(rows)
}

/// The cells of a column of a CSV, in neighbouring rows. An empty cell is an absent value (contract (d.3)).
#[derive(Clone, Copy, Debug)]
pub struct CellColumn<'a> {
    text: &'a str,
    /// The text, and what is behind it.
    around: &'a [u8],
    spans: &'a [Span],
}

impl<'a> CellColumn<'a> {
    /// How many cells there are.
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// The first cells.
    #[must_use]
    pub fn first(&self, cells: usize) -> Self {
        Self { spans: &self.spans[..cells.min(self.len())], ..*self }
    }

    /// The text of a cell, from 0; empty where there is none.
    pub fn get(&self, at: usize) -> &'a str {
        self.spans.get(at).and_then(|span| self.text.get(span.range())).unwrap_or_default()
    }

    /// How many bytes each cell has.
    pub fn lens(&self) -> impl ExactSizeIterator<Item = usize> + use<'a> {
        self.spans.iter().map(|span| span.len())
    }

    /// Whether no cell is empty.
    pub fn are_all_present(&self) -> bool {
        // Without an early end, which would keep the processor from looking at many at once.
        self.spans.iter().fold(true, |all, span| all & (span.len() > 0))
    }

    /// Appends the texts of all cells, one behind the other. Much quicker than one by one.
    pub fn copy_texts(&self, into: &mut Vec<u8>) {
        copy_ranges(self.around, self.spans.iter().map(|span| span.range()), into);
    }

    /// Appends the integers of all cells, 0 for an empty one.
    ///
    /// # Errors
    /// [`OddRow`] with the place of the first cell that is no integer, or blank; then those before it are there.
    pub fn copy_integers(&self, into: &mut Vec<i64>) -> Result<(), OddRow> {
        let (from, mut all) = (into.len(), true);
        into.extend(self.spans.iter().map(|span| {
            let digits = few_digits(self.around, *span);
            all &= digits.is_some();
            digits.unwrap_or_default()
        }));
        if all {
            return Ok(());
        }
        into.truncate(from);
        for (at, span) in self.spans.iter().enumerate() {
            let integer = match self.text.get(span.range()).unwrap_or_default() {
                "" => Some(0),
                cell => Cell { cell, behind: cell.as_bytes() }.integer().ok().flatten(),
            };
            into.push(integer.ok_or(OddRow(at))?);
        }
        Ok(())
    }

    /// Offers each cell that isn't empty, with its place.
    ///
    /// # Errors
    /// [`OddRow`] with the place of the first cell that is refused.
    pub fn each(&self, mut take: impl FnMut(usize, &mut Cell<'a>) -> Result<(), Odd>) -> Result<(), OddRow> {
        for (at, span) in self.spans.iter().enumerate() {
            let cell = self.text.get(span.range()).ok_or(OddRow(at))?;
            if !cell.is_empty() {
                take(at, &mut Cell { cell, behind: &self.around[span.start()..] })
                    .map_err(|Odd| OddRow(at))?;
            }
        }
        Ok(())
    }
}

/// The number that a cell of up to eight digits is, all read at once, without a step for each digit.
#[inline]
fn few_digits(around: &[u8], span: Span) -> Option<i64> {
    const ZEROS: u64 = u64::from_le_bytes([b'0'; 8]);
    let eight = u64::from_le_bytes(*around.get(span.start()..)?.first_chunk()?);
    // The first digit is the lowest byte; what is pushed in before it are digits of no value.
    let unused = 8_usize.checked_sub(span.len())?;
    let digits = ((eight ^ ZEROS) << (4 * unused)) << (4 * unused);
    if (digits | digits.wrapping_add(0x7676_7676_7676_7676)) & 0x8080_8080_8080_8080 != 0 {
        return None;
    }
    // Pairs of digits, then pairs of those, then of those.
    let pairs = digits.wrapping_mul(10).wrapping_add(digits >> 8);
    let low = (pairs & 0x00ff_0000_00ff).wrapping_mul(100 + (1_000_000 << 32));
    let high = (pairs >> 16 & 0x00ff_0000_00ff).wrapping_mul(1 + (10_000 << 32));
    Some((low.wrapping_add(high) >> 32) as i64)
}

/// A cell of a CSV that isn't empty.
#[derive(Clone, Copy, Debug)]
pub struct Cell<'a> {
    cell: &'a str,
    /// The text around the cell, from its beginning on.
    behind: &'a [u8],
}

impl<'a> Value<'a> for Cell<'a> {
    #[inline]
    fn copy_text(&mut self, into: &mut Vec<u8>) -> Result<bool, Odd> {
        copy_first(self.behind, self.cell.len(), into);
        Ok(true)
    }

    fn text(&mut self) -> Result<Option<Text<'a>>, Odd> {
        Ok(Some(Text::Borrowed(self.cell)))
    }

    #[inline]
    fn integer(&mut self) -> Result<Option<i64>, Odd> {
        // Eighteen digits fit; everything else is read with more care.
        if self.cell.len() <= 18 {
            let mut value = 0_i64;
            let mut digits = self.cell.bytes();
            let all = digits.all(|byte| {
                value = value.wrapping_mul(10).wrapping_add(i64::from(byte.wrapping_sub(b'0')));
                byte.is_ascii_digit()
            });
            if all {
                return Ok(Some(value));
            }
        }
        let mut slot = None;
        taken(CellSource(self.cell).integer(&mut slot)).map(|()| slot)
    }

    fn boolean(&mut self) -> Result<Option<bool>, Odd> {
        match self.cell {
            "true" => return Ok(Some(true)),
            "false" => return Ok(Some(false)),
            _ => {}
        }
        let mut slot = None;
        taken(CellSource(self.cell).boolean(&mut slot)).map(|()| slot)
    }

    // A contact has no lists and no records inside; a cell couldn't hold one.

    fn record(&mut self, _: usize, _: &mut impl Columns) -> Result<bool, Odd> {
        Err(Odd)
    }

    fn list(&mut self, _: impl FnMut(&mut Self) -> Result<(), Odd>) -> Result<bool, Odd> {
        Err(Odd)
    }

    fn is_text(&self) -> bool {
        true
    }
}

fn taken(found: Result<Found, std::convert::Infallible>) -> Result<(), Odd> {
    match found {
        Ok(Found::Taken) => Ok(()),
        _ => Err(Odd),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn cells_are_the_integers_that_they_are_one_by_one(
            cells in prop::collection::vec("[0-9]{0,9}|[ +-]?[0-9]{1,20} ?|[0-9/:a\u{e9}]{1,8}| *", 1..8),
            behind in "[0-9]{0,9}",
        ) {
            let text = cells.concat();
            let around = format!("{text}{behind}");
            let mut start = 0;
            let spans: Vec<Span> = cells
                .iter()
                .map(|cell| {
                    let span = Span::new(start, start + cell.len());
                    start += cell.len();
                    span
                })
                .collect();
            let column = CellColumn { text: &text, around: around.as_bytes(), spans: &spans };
            let mut integers = Vec::new();
            let odd = column.copy_integers(&mut integers).err().map(|OddRow(at)| at);
            for (at, cell) in cells.iter().enumerate() {
                let mut slot = None;
                let found = taken(CellSource(cell).integer(&mut slot)).map(|()| slot);
                match found {
                    Ok(integer) if integer.is_some() || cell.is_empty() => {
                        prop_assert_eq!(integers[at], integer.unwrap_or_default(), "{:?}", cell);
                    }
                    _ => {
                        prop_assert_eq!(odd, Some(at), "{:?}", cell);
                        return Ok(());
                    }
                }
            }
            prop_assert_eq!((odd, integers.len()), (None, cells.len()));
        }
    }
}
