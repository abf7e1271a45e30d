//! The fast way from JSON to columns.

use crate::columns::{Columns, Odd, Value};
use crate::json::MAX_RECORDS;
use crate::pull::{Pull, whole};
use crate::record::Text;
use crate::scan::copy_plain;

/// Reads a JSON object into a row of columns. Returns whether any of the record's fields was there.
pub(crate) fn read(json: &str, row: usize, columns: &mut impl Columns) -> Result<bool, Odd> {
    whole(json, |pull| pull.object_to(row, columns))
}

impl Pull<'_, '_> {
    fn object_to<C: Columns>(&mut self, row: usize, columns: &mut C) -> Result<bool, Odd> {
        let (mut seen, mut before) = (0_u64, 0);
        let mut goes_on = self.begin_object()?;
        while goes_on {
            match self.key::<C::Record>(before)? {
                Ok(field) => {
                    // Of a key that comes twice the last value counts, which is for others to see to.
                    let bit = 1 << field;
                    if seen & bit != 0 {
                        return Err(Odd);
                    }
                    seen |= bit;
                    columns.read(row, field, self)?;
                    before = field + 1;
                }
                Err(key) => columns.unknown(row, &key, self.raw()?)?,
            }
            goes_on = self.next_in_object()?;
        }
        Ok(seen != 0)
    }
}

impl<'a> Value<'a> for Pull<'a, '_> {
    #[inline]
    fn copy_text(&mut self, into: &mut Vec<u8>) -> Result<bool, Odd> {
        if self.peek()? != b'"' {
            return if self.word(b"null") { Ok(false) } else { Err(Odd) };
        }
        let (start, from) = (self.at + 1, into.len());
        self.at = start + copy_plain(&self.bytes[start..], into);
        if self.peek()? == b'"' {
            self.at += 1;
            return Ok(true);
        }
        into.truncate(from);
        into.extend_from_slice(self.escaped_text(start)?.as_bytes());
        Ok(true)
    }

    fn text(&mut self) -> Result<Option<Text<'a>>, Odd> {
        if self.word(b"null") { Ok(None) } else { Pull::text(self).map(Some) }
    }

    #[inline]
    fn integer(&mut self) -> Result<Option<i64>, Odd> {
        Pull::integer(self)
    }

    #[inline]
    fn boolean(&mut self) -> Result<Option<bool>, Odd> {
        Pull::boolean(self)
    }

    fn record(&mut self, row: usize, columns: &mut impl Columns) -> Result<bool, Odd> {
        if self.word(b"null") {
            return Ok(false);
        }
        self.object_to(row, columns)?;
        Ok(true)
    }

    fn list(&mut self, mut item: impl FnMut(&mut Self) -> Result<(), Odd>) -> Result<bool, Odd> {
        if self.word(b"null") {
            return Ok(false);
        }
        let mut items = 0;
        self.each(|pull| {
            items += 1;
            // More are for others to refuse.
            if items > MAX_RECORDS { Err(Odd) } else { item(pull) }
        })?;
        Ok(true)
    }

    fn is_text(&self) -> bool {
        self.peek() == Ok(b'"')
    }
}
