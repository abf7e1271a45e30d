//! The shortest way from rows to columns: each value goes from its row straight to where it will lie, without a record in
//! between. It is twice as fast as filling a record and taking it apart again.
//!
//! Like the [quick reader of records](crate::pull) it reads what the service nearly always sends and gives up on the rest:
//! then [`ActivityRow::activity`](crate::ActivityRow::activity) and [`ContactRow::contact`](crate::ContactRow::contact)
//! decide, and what has been taken in of the row has to be taken back.

use crate::contact_columns::CellColumn;
use crate::record::{Record, Text};

/// A row isn't what the straight way reads. It may be a good row all the same; whether it is, the record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Odd;

/// Of several rows, the one at this place, from 0, isn't what the straight way reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OddRow(pub usize);

/// Columns that take in the fields of records.
///
/// A field that a row doesn't have, or has as null, isn't offered.
pub trait Columns {
    /// The type of the records.
    type Record: Record;

    /// Takes in a value: the field at the place of [`Record::FIELDS`] of the record with this number.
    ///
    /// # Errors
    /// What reading the value says, or [`Odd`] for one that can't be taken in.
    fn read<'a>(&mut self, row: usize, field: usize, value: &mut impl Value<'a>) -> Result<(), Odd>;

    /// Takes in the cells of a CSV's column: the field of neighbouring records, the first of which has the number `row`.
    ///
    /// Done here cell by cell. All at once is quicker.
    ///
    /// # Errors
    /// The first cell that can't be taken in. Those before it have been; there may be more, which will be taken back.
    fn read_cells(&mut self, row: usize, field: usize, cells: &CellColumn<'_>) -> Result<(), OddRow> {
        cells.each(|at, cell| self.read(row + at, field, cell))
    }

    /// Takes in what the schema doesn't know: a key, and the JSON text of its value.
    ///
    /// # Errors
    /// [`Odd`] where it can't.
    fn unknown(&mut self, row: usize, key: &str, json: &str) -> Result<(), Odd>;
}

/// A value that stands in a row, to be read as what the column is of. It can be read once; all methods say [`Odd`] when
/// the value is of another type.
pub trait Value<'a>: Sized {
    /// Appends a text, or nothing for null. Returns whether there is a text.
    ///
    /// # Errors
    /// [`Odd`]; then there may be more bytes than before.
    fn copy_text(&mut self, into: &mut Vec<u8>) -> Result<bool, Odd>;

    /// A text, or `None` for null.
    ///
    /// # Errors
    /// [`Odd`].
    fn text(&mut self) -> Result<Option<Text<'a>>, Odd>;

    /// An integer, or `None` for null.
    ///
    /// # Errors
    /// [`Odd`].
    fn integer(&mut self) -> Result<Option<i64>, Odd>;

    /// A boolean, or `None` for null.
    ///
    /// # Errors
    /// [`Odd`].
    fn boolean(&mut self) -> Result<Option<bool>, Odd>;

    /// A record, whose fields go to the row `row` of `columns`. Returns `false` for null.
    ///
    /// # Errors
    /// [`Odd`].
    fn record(&mut self, row: usize, columns: &mut impl Columns) -> Result<bool, Odd>;

    /// A list, whose elements are read one by one; null ones are left out. Returns `false` for null.
    ///
    /// # Errors
    /// [`Odd`].
    fn list(&mut self, item: impl FnMut(&mut Self) -> Result<(), Odd>) -> Result<bool, Odd>;

    /// Whether it is a text, and not a list of some.
    fn is_text(&self) -> bool;
}
