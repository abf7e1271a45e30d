//! The fast way from JSON to a record.

use std::borrow::Cow;

use crate::columns::Odd;
use crate::json::MAX_RECORDS;
use crate::pull::{Pull, whole};
use crate::record::{Decode, FieldSource, Found, Text};

/// Decodes a JSON object into a record. Returns whether any of the record's fields was there, beside the record.
pub(crate) fn decode<'a, R: Decode<'a>>(json: &'a str) -> Result<(R, bool), Odd> {
    let mut record = R::default();
    let any = whole(json, |pull| pull.object(&mut record))?;
    Ok((record, any))
}

impl<'a> Pull<'a, '_> {
    /// Reads an object into a record, in place: records are too big to be passed around. Returns whether any of its fields
    /// was there.
    fn object<R: Decode<'a>>(&mut self, record: &mut R) -> Result<bool, Odd> {
        let (mut any, mut before) = (false, 0);
        let mut goes_on = self.begin_object()?;
        while goes_on {
            match self.key::<R>(before)? {
                Ok(field) => {
                    record.field(field, self)?;
                    any = true;
                    before = field + 1;
                }
                Err(key) => {
                    let value = self.raw()?;
                    record.extra_mut().push(key, Cow::Borrowed(value));
                }
            }
            goes_on = self.next_in_object()?;
        }
        record.extra_mut().settle();
        Ok(any)
    }
}

impl<'a> FieldSource<'a> for Pull<'a, '_> {
    type Error = Odd;

    #[inline]
    fn text(&mut self, slot: &mut Option<Text<'a>>) -> Result<Found, Odd> {
        *slot = if self.peek()? == b'"' {
            Some(Pull::text(self)?)
        } else if self.word(b"null") {
            None
        } else {
            return Err(Odd);
        };
        Ok(Found::Taken)
    }

    #[inline]
    fn integer(&mut self, slot: &mut Option<i64>) -> Result<Found, Odd> {
        *slot = Pull::integer(self)?;
        Ok(Found::Taken)
    }

    fn boolean(&mut self, slot: &mut Option<bool>) -> Result<Found, Odd> {
        *slot = Pull::boolean(self)?;
        Ok(Found::Taken)
    }

    fn texts(&mut self, slot: &mut Option<Vec<Text<'a>>>) -> Result<Found, Odd> {
        *slot = None;
        if !self.word(b"null") {
            let mut texts = Vec::new();
            self.each(|pull| {
                texts.push(pull.text()?);
                Ok(())
            })?;
            *slot = Some(texts);
        }
        Ok(Found::Taken)
    }

    fn texts_or_text(&mut self, slot: &mut Option<Vec<Text<'a>>>) -> Result<Found, Odd> {
        if self.peek()? == b'"' {
            *slot = Some(vec![Pull::text(self)?]);
            return Ok(Found::Taken);
        }
        self.texts(slot)
    }

    fn record<R: Decode<'a>>(&mut self, slot: &mut Option<R>) -> Result<Found, Odd> {
        if self.word(b"null") {
            *slot = None;
        } else {
            self.object(slot.insert(R::default()))?;
        }
        Ok(Found::Taken)
    }

    fn records<R: Decode<'a>>(&mut self, slot: &mut Option<Vec<R>>) -> Result<Found, Odd> {
        *slot = None;
        if !self.word(b"null") {
            // Room for a usual meeting, so that records are seldom moved.
            let records = slot.insert(Vec::with_capacity(8));
            self.each(|pull| {
                if records.len() == MAX_RECORDS {
                    return Err(Odd);
                }
                records.push(R::default());
                records.last_mut().map_or(Ok(false), |record| pull.object(record)).map(drop)
            })?;
        }
        Ok(Found::Taken)
    }
}
