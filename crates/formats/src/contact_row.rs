//! One row of a contacts export, from CSV or JSON, not decoded yet.

use std::borrow::Cow;
use std::str::Utf8Error;

use crate::cell_index::CellEnds;
use crate::columns::{Columns, Odd};
use crate::contact_columns;
use crate::contact_header::{Header, Shares};
use crate::error::{Error, ErrorKind};
use crate::generated::Contact;
use crate::json;
use crate::pull_columns;
use crate::record::{Decode, FieldSource, Found, Text};
use crate::row::Position;

/// One row of a contacts export, not decoded yet. Made by [`ContactRows`](crate::ContactRows) and
/// [`ContactJsonRows`](crate::ContactJsonRows).
#[derive(Clone, Copy, Debug)]
pub struct ContactRow<'a> {
    pub(crate) position: Position,
    pub(crate) raw: &'a [u8],
    pub(crate) end: u64,
    pub(crate) is_terminated: bool,
    pub(crate) content: Content<'a>,
}

/// What a row is made of.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Content<'a> {
    Cells(Cells<'a>),
    /// The raw bytes are a JSON value.
    Json,
    /// The row stands where the header should be, and isn't one.
    NoHeader,
    /// It stands behind the list of contacts in the object around it, and belies that it is one.
    BehindList,
    /// The row, or the list around it, isn't closed where the file ends.
    Cut,
    /// The row is longer than this many bytes; only its beginning was kept.
    TooLong(usize),
}

/// Cells of a CSV row, without quotes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cells<'a> {
    pub(crate) header: &'a Header,
    pub(crate) text: CellText<'a>,
    /// Where each cell ends in the text; of a row with absurdly many cells, the first ones.
    pub(crate) ends: CellEnds<'a>,
    pub(crate) count: usize,
}

/// What the cells lie in.
#[derive(Clone, Copy, Debug)]
pub(crate) enum CellText<'a> {
    /// It has been looked at already, as a part of something larger.
    Utf8(&'a str),
    Bytes(&'a [u8]),
}

impl<'a> CellText<'a> {
    pub(crate) fn utf8(self) -> Result<&'a str, Utf8Error> {
        match self {
            Self::Utf8(text) => Ok(text),
            Self::Bytes(bytes) => std::str::from_utf8(bytes),
        }
    }
}

impl<'a> ContactRow<'a> {
    /// Where the row stands.
    pub fn position(&self) -> Position {
        self.position
    }

    /// The row's bytes as delivered, quotes included, without its newline; of an overlong row, its beginning.
    pub fn raw(&self) -> &'a [u8] {
        self.raw
    }

    /// The byte behind the row and what ended it, or behind the JSON record, counted from the file's first. A row of CSV is
    /// ended by a carriage return as well as by a newline; of CRLF the newline follows, and is passed over as a blank line is.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// Whether the row ended with a newline or, in a JSON list, with its own bracket. The last row of a CSV file may
    /// lack it; it is suspect until the download is proven whole.
    pub fn is_terminated(&self) -> bool {
        self.is_terminated
    }

    /// Decodes the row. The contact borrows its text from the row.
    ///
    /// # Errors
    /// See [`ErrorKind`]: a row that is too long, not UTF-8, not JSON, cut off, of another number of cells than the
    /// header, or without any field of a contact. An unknown column, or a cell that isn't of its column's type, is
    /// *not* an error; it lands in [`extra`](Contact::extra).
    pub fn contact(&self) -> Result<Contact<'a>, Error> {
        match self.content {
            Content::Cells(cells) => {
                self.check_width(cells.header, cells.count)?;
                self.decode_cells(&cells)
            }
            Content::Json => self.decode_json(),
            Content::NoHeader => Err(self.error(
                ErrorKind::NotARecord,
                format!(
                    "none of the columns of a contact is in the header; it begins with {}",
                    self.beginning()
                ),
            )),
            Content::BehindList => Err(self.error(
                ErrorKind::NotARecord,
                "behind its list of contacts, an object has a field of a contact or another list of objects, so that it isn't sure what \
                 the list was",
            )),
            Content::Cut => Err(self.error(
                ErrorKind::Unterminated,
                "the last row is cut off; the file isn't whole, download it again",
            )),
            Content::TooLong(bound) => Err(self.error(
                ErrorKind::TooLong,
                format!("the row is longer than {bound} bytes; raise the bound if such rows are expected"),
            )),
        }
    }

    /// Reads the row straight into columns, as the row `row`. They then hold what they would if [`contact`](Self::contact)
    /// had been taken in.
    ///
    /// # Errors
    /// [`Odd`] when the row isn't what this way reads; what has been taken in of it must be taken back, and `contact` says
    /// whether the row is good.
    pub fn read_into<C>(&self, row: usize, columns: &mut C) -> Result<(), Odd>
    where
        C: Columns<Record = Contact<'static>>,
    {
        match &self.content {
            Content::Cells(cells) if cells.count == cells.header.len() => {
                contact_columns::read(cells, row, columns)
            }
            Content::Json => {
                let text = std::str::from_utf8(self.raw).map_err(|_| Odd)?;
                if pull_columns::read(text, row, columns)? { Ok(()) } else { Err(Odd) }
            }
            _ => Err(Odd),
        }
    }

    fn check_width(&self, header: &Header, cells: usize) -> Result<(), Error> {
        if cells == header.len() {
            return Ok(());
        }
        if !self.is_terminated && cells < header.len() {
            let message = "the last row is cut off; the file isn't whole, download it again";
            return Err(self.error(ErrorKind::Unterminated, message));
        }
        let message = format!("the row has {cells} cells, the header has {}", header.len());
        Err(self.error(ErrorKind::RaggedRow, message))
    }

    fn decode_cells(&self, cells: &Cells<'a>) -> Result<Contact<'a>, Error> {
        let text = cells.text.utf8().map_err(|_| self.not_utf8())?;
        let mut contact = Contact::default();
        let counting = counting_cells(cells, text);
        let spans = cells.ends.spans(text.as_bytes());
        for (at, (column, span)) in cells.header.columns().iter().zip(spans).enumerate() {
            // Two halves of a character in neighbouring cells make valid text together, but not apart.
            let cell = text.get(span.range()).ok_or_else(|| self.not_utf8())?;
            if let Some(Shares { with, own_name }) = &column.shares
                && let Some((counts, other)) = counting[*with]
                && counts != at
            {
                if !cell.is_empty() && cell != other {
                    contact.extra.push(Cow::Borrowed(own_name), Cow::Owned(quoted(cell)));
                }
                continue;
            }
            let found = match column.field {
                Some(index) => {
                    contact.field(index, &mut CellSource(cell)).unwrap_or_else(|never| match never {})
                }
                None => Found::Unknown,
            };
            if found != Found::Taken && !cell.is_empty() {
                contact.extra.push(Cow::Borrowed(&column.name), Cow::Owned(quoted(cell)));
            }
        }
        Ok(contact)
    }

    /// Where it isn't is told from the row as delivered: cells may have been unquoted, and lie elsewhere then.
    fn not_utf8(&self) -> Error {
        match std::str::from_utf8(self.raw) {
            Err(error) => {
                let at = self.position.byte + error.valid_up_to() as u64;
                let message = format!("the row isn't UTF-8 from byte {at} on");
                self.error(ErrorKind::InvalidUtf8, message).with_source(error)
            }
            Ok(_) => self.error(ErrorKind::InvalidUtf8, "the row isn't UTF-8"),
        }
    }

    fn decode_json(&self) -> Result<Contact<'a>, Error> {
        let text = std::str::from_utf8(self.raw).map_err(|error| {
            let at = self.position.byte + error.valid_up_to() as u64;
            self.error(ErrorKind::InvalidUtf8, format!("the record isn't UTF-8 from byte {at} on"))
                .with_source(error)
        })?;
        let (contact, any) = json::decode::<Contact<'a>>(text).map_err(|error| {
            if text.starts_with('<') {
                let message = "this is HTML; a gateway or a login page answered in place of the export";
                return self.error(ErrorKind::NotARecord, message);
            }
            self.error(ErrorKind::InvalidJson, "the record isn't a JSON object that can be read")
                .with_source(error)
        })?;
        if any {
            return Ok(contact);
        }
        let message = format!("the record has no field of a contact; it begins with {}", self.beginning());
        Err(self.error(ErrorKind::NotARecord, message))
    }

    fn error(&self, kind: ErrorKind, message: impl Into<String>) -> Error {
        Error::new(kind, self.position, message)
    }

    fn beginning(&self) -> String {
        String::from_utf8_lossy(self.raw).chars().take(200).collect()
    }
}

/// For all that several columns share, the cell that counts, and its column: the last that isn't blank, or else not empty.
fn counting_cells<'a>(cells: &Cells<'_>, text: &'a str) -> Vec<Option<(usize, &'a str)>> {
    let mut counting = vec![None; cells.header.shared()];
    if !counting.is_empty() {
        let spans = cells.ends.spans(text.as_bytes());
        for (at, (column, span)) in cells.header.columns().iter().zip(spans).enumerate() {
            if let Some(Shares { with, .. }) = &column.shares {
                let cell = text.get(span.range()).unwrap_or_default();
                let is_better = |(_, other): (usize, &str)| is_blank(other) && !cell.is_empty();
                if !is_blank(cell) || counting[*with].map_or(!cell.is_empty(), is_better) {
                    counting[*with] = Some((at, cell));
                }
            }
        }
    }
    counting
}

fn is_blank(cell: &str) -> bool {
    cell.trim_ascii().is_empty()
}

/// The JSON text of a cell.
pub(crate) fn quoted(cell: &str) -> String {
    serde_json::Value::from(cell).to_string()
}

/// A CSV cell, which is text until a field wants it to be something else. An empty cell is an absent value (d.3).
pub(crate) struct CellSource<'a>(pub(crate) &'a str);

impl<'a> CellSource<'a> {
    fn read<T>(
        &self,
        slot: &mut Option<T>,
        parse: impl Fn(&'a str) -> Option<T>,
    ) -> Result<Found, std::convert::Infallible> {
        let cell = self.0.trim_ascii();
        *slot = if cell.is_empty() { None } else { parse(cell) };
        Ok(if slot.is_some() || cell.is_empty() { Found::Taken } else { Found::Drifted })
    }
}

impl<'a> FieldSource<'a> for CellSource<'a> {
    type Error = std::convert::Infallible;

    fn text(&mut self, slot: &mut Option<Text<'a>>) -> Result<Found, Self::Error> {
        *slot = if self.0.is_empty() { None } else { Some(Cow::Borrowed(self.0)) };
        Ok(Found::Taken)
    }

    fn integer(&mut self, slot: &mut Option<i64>) -> Result<Found, Self::Error> {
        self.read(slot, |cell| cell.parse().ok())
    }

    fn boolean(&mut self, slot: &mut Option<bool>) -> Result<Found, Self::Error> {
        // How the service spells them is not known (contract (j.38)).
        self.read(slot, |cell| {
            let is = |words: &[&str]| words.iter().any(|word| cell.eq_ignore_ascii_case(word));
            if is(&["true", "t", "yes", "y", "1"]) {
                Some(true)
            } else if is(&["false", "f", "no", "n", "0"]) {
                Some(false)
            } else {
                None
            }
        })
    }

    // A contact has no lists and no records inside; a cell couldn't hold one.

    fn texts(&mut self, _: &mut Option<Vec<Text<'a>>>) -> Result<Found, Self::Error> {
        Ok(Found::Drifted)
    }

    fn texts_or_text(&mut self, _: &mut Option<Vec<Text<'a>>>) -> Result<Found, Self::Error> {
        Ok(Found::Drifted)
    }

    fn record<R: Decode<'a>>(&mut self, _: &mut Option<R>) -> Result<Found, Self::Error> {
        Ok(Found::Drifted)
    }

    fn records<R: Decode<'a>>(&mut self, _: &mut Option<Vec<R>>) -> Result<Found, Self::Error> {
        Ok(Found::Drifted)
    }
}
