//! What all records have in common: how their fields are filled in from a source.
//!
//! The filling is generated for each record type, once, so that JSON and CSV can't disagree about which fields there are.

use std::borrow::Cow;

use crate::extra::Extra;

/// Text that is borrowed from the decoded bytes where it stands there as it is, and owned where it was escaped.
pub type Text<'a> = Cow<'a, str>;

/// What became of a value that was offered to a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// A field of the record took it, or it was null.
    Taken,
    /// The record has no field of that name; the source has not been read.
    Unknown,
    /// The field is of another type; the field is now empty, and the value belongs into `extra`.
    Drifted,
}

/// What there is to know of a type of records. The records of this crate have it, and no others.
pub trait Record: sealed::Sealed {
    /// Tells the types of records apart, from 0.
    const TYPE: usize;

    /// The names of the fields, in the order of the schema. There are no more than 64.
    const FIELDS: &'static [&'static str];

    /// The names as they nearly always stand in JSON: quoted, with their colons.
    const KEYS: &'static [&'static str];

    /// Where a field stands in the schema.
    fn index_of(key: &str) -> Option<usize>;
}

pub(crate) mod sealed {
    /// Nobody else has it.
    pub trait Sealed {}
}

/// A record that can be filled in, field by field.
pub(crate) trait Decode<'a>: Record + Default {
    /// Reads a value from `source` into the field at `index`.
    fn field<S: FieldSource<'a>>(&mut self, index: usize, source: &mut S) -> Result<Found, S::Error>;

    fn extra_mut(&mut self) -> &mut Extra<'a>;

    /// Reads the value of `key` from `source` into the field of that name.
    fn field_named<S: FieldSource<'a>>(&mut self, key: &str, source: &mut S) -> Result<Found, S::Error> {
        match Self::index_of(key) {
            Some(index) => self.field(index, source),
            None => Ok(Found::Unknown),
        }
    }
}

/// A value that is read as what the field wants it to be.
pub(crate) trait FieldSource<'a> {
    type Error;

    fn text(&mut self, slot: &mut Option<Text<'a>>) -> Result<Found, Self::Error>;
    fn integer(&mut self, slot: &mut Option<i64>) -> Result<Found, Self::Error>;
    fn boolean(&mut self, slot: &mut Option<bool>) -> Result<Found, Self::Error>;
    fn texts(&mut self, slot: &mut Option<Vec<Text<'a>>>) -> Result<Found, Self::Error>;
    /// A list of texts, or a lone text, which is read as a list of one.
    fn texts_or_text(&mut self, slot: &mut Option<Vec<Text<'a>>>) -> Result<Found, Self::Error>;
    fn record<R: Decode<'a>>(&mut self, slot: &mut Option<R>) -> Result<Found, Self::Error>;
    /// A list of records; null elements are left out.
    fn records<R: Decode<'a>>(&mut self, slot: &mut Option<Vec<R>>) -> Result<Found, Self::Error>;
}

pub(crate) fn own(text: Option<Text<'_>>) -> Option<Text<'static>> {
    text.map(|text| Cow::Owned(text.into_owned()))
}

pub(crate) fn own_all(texts: Option<Vec<Text<'_>>>) -> Option<Vec<Text<'static>>> {
    texts.map(|texts| texts.into_iter().map(|text| Cow::Owned(text.into_owned())).collect())
}

pub(crate) fn own_record<B, O>(record: Option<B>, into_owned: impl Fn(B) -> O) -> Option<O> {
    record.map(into_owned)
}

pub(crate) fn own_records<B, O>(records: Option<Vec<B>>, into_owned: impl Fn(B) -> O) -> Option<Vec<O>> {
    records.map(|records| records.into_iter().map(into_owned).collect())
}
