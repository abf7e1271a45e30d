//! The fast way from the cells of a CSV row to columns.

use crate::columns::{Columns, Odd, Value};
use crate::contact_row::{CellSource, Cells, quoted};
use crate::record::{FieldSource, Found, Text};
use crate::scan::copy_first;

/// Reads a row, which is as wide as its header, into a row of columns.
pub(crate) fn read<C: Columns>(cells: &Cells<'_>, row: usize, columns: &mut C) -> Result<(), Odd> {
    let text = std::str::from_utf8(cells.text).map_err(|_| Odd)?;
    let (mut start, mut seen) = (0, 0_u64);
    for (column, &end) in cells.header.columns().iter().zip(cells.ends) {
        let cell = text.get(start..end).ok_or(Odd)?;
        let behind = &cells.text[start..];
        start = end + cells.gap;
        if let Some(field) = column.field {
            // Of two columns of the same field the last one counts, which is for others to see to.
            let bit = 1 << field;
            if seen & bit != 0 {
                return Err(Odd);
            }
            seen |= bit;
            if !cell.is_empty() {
                columns.read(row, field, &mut Cell { cell, behind })?;
            }
        } else if !cell.is_empty() {
            columns.unknown(row, &column.name, &quoted(cell))?;
        }
    }
    Ok(())
}

/// A cell that isn't empty.
struct Cell<'a> {
    cell: &'a str,
    /// The row from the cell's beginning on.
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
