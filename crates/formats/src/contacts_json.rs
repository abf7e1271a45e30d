//! Contacts as JSON, pushed in chunks. Nobody has said how the service wraps them (contract (j.23)), so every likely
//! wrapping is taken: a list, an object that holds one list, a lone object, or objects one behind the other.
//!
//! Only brackets and quotes are followed here; whether a record is JSON shows when it is decoded.

use crate::contact_row::{ContactRow, Content};
use crate::generated::Contact;
use crate::json;
use crate::json_lines::BOM;
use crate::row::{DEFAULT_MAX_ROW_BYTES, Position};

/// Splits a JSON export of contacts into records (contract (d.3)).
///
/// ```
/// use backstory_formats::ContactsJson;
///
/// let mut json = ContactsJson::new();
/// let mut rows = json.feed(br#"[{"email":"rin@quillmark.example","total_inbound":12}]"#);
/// assert_eq!(rows.next().unwrap().contact()?.total_inbound, Some(12));
/// assert!(rows.next().is_none());
/// assert!(json.finish().is_none());
/// # Ok::<(), backstory_formats::Error>(())
/// ```
#[derive(Debug)]
pub struct ContactsJson {
    max_row_bytes: usize,
    place: Place,
    around: Around,
    value: Value,
    /// The raw bytes of the record that is under way, from earlier chunks; of an overlong one, its beginning.
    partial: Vec<u8>,
    /// The record that was given out last still lies in the buffer.
    given: bool,
    /// Where the next byte stands, and the record that is under way.
    next: Position,
    record_at: Position,
    record_bytes: usize,
}

/// Where the splitter stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Between two records.
    Between,
    /// Inside a record.
    Record,
    /// Behind the list that an object holds.
    WrapperTail,
}

/// What is around the records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Around {
    Nothing,
    List,
    /// An object that holds the list.
    Wrapper,
}

/// How far the value under way has been followed.
#[derive(Clone, Copy, Debug, Default)]
struct Value {
    depth: usize,
    in_text: bool,
    escaped: bool,
    /// A list has just been opened directly inside a top-level object, which may turn out to be a wrapper.
    opened_list: bool,
    holds_empty_list: bool,
    /// It has a field of a contact, and so is no wrapper. Known once, it isn't looked for at every list again.
    is_contact: bool,
}

impl Value {
    /// Follows one byte.
    fn follow(&mut self, byte: u8) {
        match byte {
            _ if self.escaped => self.escaped = false,
            b'\\' if self.in_text => self.escaped = true,
            b'"' => self.in_text = !self.in_text,
            b'{' | b'[' if !self.in_text => self.depth += 1,
            b'}' | b']' if !self.in_text => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
    }
}

/// What a byte does to the record under way.
enum Step {
    Continues,
    /// The byte is the record's last.
    EndsHere,
    /// The byte is no longer the record's.
    EndedBefore,
    /// What was taken for a record is an object around a list of records, the first of which begins with this byte.
    WasWrapper,
}

impl Default for ContactsJson {
    fn default() -> Self {
        Self::new()
    }
}

impl ContactsJson {
    /// A splitter for one file or fragment, from its first byte.
    pub fn new() -> Self {
        let start = Position { record: 1, line: 1, byte: 0 };
        Self {
            max_row_bytes: DEFAULT_MAX_ROW_BYTES,
            place: Place::Between,
            around: Around::Nothing,
            value: Value::default(),
            partial: Vec::new(),
            given: false,
            next: start,
            record_at: start,
            record_bytes: 0,
        }
    }

    /// Takes records of at most `bytes` bytes; a longer one becomes an [`ErrorKind::TooLong`](crate::ErrorKind::TooLong).
    #[must_use]
    pub fn with_max_row_bytes(mut self, bytes: usize) -> Self {
        self.max_row_bytes = bytes;
        self
    }

    /// Takes in the next bytes. The records that they complete must be drawn with [`ContactJsonRows::next`] until it
    /// gives `None`; dropping it earlier loses the rest of the chunk.
    pub fn feed<'d>(&'d mut self, chunk: &'d [u8]) -> ContactJsonRows<'d> {
        ContactJsonRows { json: self, chunk }
    }

    /// Says that no more bytes come. A record, list or wrapper that isn't closed is given as a row whose
    /// [`ContactRow::contact`] is an [`ErrorKind::Unterminated`](crate::ErrorKind::Unterminated).
    pub fn finish(&mut self) -> Option<ContactRow<'_>> {
        self.forget_given();
        let open = self.place != Place::Between || self.around != Around::Nothing;
        if !open {
            return None;
        }
        let position = if self.place == Place::Record { self.record_at } else { self.next };
        // A number or word without brackets needs no end but the file's, and is no contact.
        let scalar = self.place == Place::Record && self.around == Around::Nothing && self.value.depth == 0;
        let whole = scalar && !self.value.in_text;
        let content = if self.record_bytes > self.max_row_bytes {
            Content::TooLong(self.max_row_bytes)
        } else if whole {
            Content::Json
        } else {
            Content::Cut
        };
        Some(ContactRow { position, raw: &self.partial, end: self.next.byte, is_terminated: false, content })
    }

    fn forget_given(&mut self) {
        if std::mem::take(&mut self.given) {
            self.partial.clear();
            self.record_bytes = 0;
        }
    }

    fn step(&mut self, byte: u8, piece: &[u8]) -> Step {
        let at_top = self.around == Around::Nothing;
        let value = &mut self.value;
        if value.depth == 0 && !value.in_text && self.record_bytes + piece.len() > 0 {
            // A number or word, or junk: it ends with what can't be its own.
            let ends = if at_top { byte == b'\n' } else { matches!(byte, b',' | b']') };
            if ends {
                return Step::EndedBefore;
            }
        }
        if value.opened_list && !byte.is_ascii_whitespace() {
            value.opened_list = false;
            value.holds_empty_list |= byte == b']';
            if byte == b'{' && !value.is_contact {
                if !self.is_contact_so_far(piece, b"]}") {
                    return Step::WasWrapper;
                }
                self.value.is_contact = true;
            }
        }
        let value = &mut self.value;
        let was_text = value.in_text;
        value.follow(byte);
        if value.in_text || was_text {
            return Step::Continues;
        }
        value.opened_list |= at_top && byte == b'[' && value.depth == 2;
        if value.depth == 0 && matches!(byte, b'}' | b']') { Step::EndsHere } else { Step::Continues }
    }

    /// Whether an object that has been read up to here, and is closed by `end`, has a field of a contact. An overlong one
    /// isn't kept whole, and passes for a contact: it is a bad row, however its bytes arrive.
    fn is_contact_so_far(&self, piece: &[u8], end: &[u8]) -> bool {
        if self.record_bytes + piece.len() > self.max_row_bytes {
            return true;
        }
        let object = [&self.partial, piece, end].concat();
        let text = std::str::from_utf8(&object);
        text.is_ok_and(|text| json::decode::<Contact<'_>>(text).is_ok_and(|(_, any)| any))
    }

    /// Keeps raw bytes for the chunk after this one.
    fn keep(&mut self, piece: &[u8]) {
        self.record_bytes += piece.len();
        let room = self.max_row_bytes.saturating_sub(self.partial.len());
        self.partial.extend_from_slice(&piece[..piece.len().min(room)]);
    }

    fn pass(&mut self, byte: u8) {
        self.next.byte += 1;
        self.next.line += u64::from(byte == b'\n');
    }
}

/// The records that a chunk completes. Made by [`ContactsJson::feed`].
#[derive(Debug)]
pub struct ContactJsonRows<'d> {
    json: &'d mut ContactsJson,
    chunk: &'d [u8],
}

impl<'d> ContactJsonRows<'d> {
    /// The next record, which borrows from the chunk or the splitter, or `None` when the chunk is used up.
    #[expect(
        clippy::should_implement_trait,
        reason = "a row borrows from the splitter, which an iterator can't express"
    )]
    pub fn next(&mut self) -> Option<ContactRow<'_>> {
        self.json.forget_given();
        loop {
            match self.json.place {
                Place::Between => self.find_record()?,
                Place::WrapperTail => self.leave_wrapper()?,
                Place::Record => {
                    let piece = self.read_record()?;
                    if self.is_empty_wrapper(piece) {
                        self.json.partial.clear();
                        self.json.record_bytes = 0;
                        continue;
                    }
                    return Some(self.give(piece));
                }
            }
        }
    }

    /// Passes over what stands between records. `None` when the chunk is used up.
    fn find_record(&mut self) -> Option<()> {
        let json = &mut *self.json;
        while let [byte, rest @ ..] = self.chunk {
            let at_top = json.around == Around::Nothing;
            let is_mark = json.next.byte < BOM.len() as u64 && *byte == BOM[json.next.byte as usize];
            match byte {
                b' ' | b'\t' | b'\r' | b'\n' | b',' => {}
                _ if is_mark => {}
                b'[' if at_top => json.around = Around::List,
                b']' if json.around == Around::List => json.around = Around::Nothing,
                b']' if json.around == Around::Wrapper => {
                    json.place = Place::WrapperTail;
                    json.value = Value { depth: 1, ..Value::default() };
                }
                _ => {
                    json.place = Place::Record;
                    json.value = Value::default();
                    json.record_at = json.next;
                    return Some(());
                }
            }
            json.pass(*byte);
            self.chunk = rest;
            if json.place == Place::WrapperTail {
                return Some(());
            }
        }
        None
    }

    fn leave_wrapper(&mut self) -> Option<()> {
        let json = &mut *self.json;
        while let [byte, rest @ ..] = self.chunk {
            json.pass(*byte);
            json.value.follow(*byte);
            self.chunk = rest;
            if json.value.depth == 0 {
                (json.place, json.around) = (Place::Between, Around::Nothing);
                return Some(());
            }
        }
        None
    }

    /// Follows a record to its end, and gives the part of it that lies in this chunk. `None` when the chunk is used up.
    fn read_record(&mut self) -> Option<&'d [u8]> {
        let chunk = self.chunk;
        let mut end = 0;
        while let Some(&byte) = chunk.get(end) {
            let json = &mut *self.json;
            match json.step(byte, &chunk[..end]) {
                Step::Continues => {
                    json.pass(byte);
                    end += 1;
                }
                Step::EndsHere => {
                    json.pass(byte);
                    end += 1;
                    json.place = Place::Between;
                    self.chunk = &chunk[end..];
                    return Some(&chunk[..end]);
                }
                Step::EndedBefore => {
                    json.place = Place::Between;
                    self.chunk = &chunk[end..];
                    return Some(&chunk[..end]);
                }
                Step::WasWrapper => {
                    json.around = Around::Wrapper;
                    json.value = Value::default();
                    json.record_at = json.next;
                    json.partial.clear();
                    json.record_bytes = 0;
                    self.chunk = &chunk[end..];
                    return self.read_record();
                }
            }
        }
        self.json.keep(chunk);
        self.chunk = &[];
        None
    }

    /// Whether what was read is an object around an empty list, which is an export without contacts.
    fn is_empty_wrapper(&self, piece: &[u8]) -> bool {
        self.json.value.holds_empty_list && !self.json.is_contact_so_far(piece, b"")
    }

    fn give<'r>(&'r mut self, piece: &'r [u8]) -> ContactRow<'r> {
        let json = &mut *self.json;
        json.given = true;
        json.next.record += 1;
        let bytes = json.record_bytes + piece.len();
        if !json.partial.is_empty() {
            json.keep(piece);
        }
        let raw: &[u8] = if json.partial.is_empty() { piece } else { &json.partial };
        let too_long = bytes > json.max_row_bytes;
        let content = if too_long { Content::TooLong(json.max_row_bytes) } else { Content::Json };
        let raw = &raw[..raw.len().min(json.max_row_bytes)];
        let (position, end) = (json.record_at, json.next.byte);
        ContactRow { position, raw: raw.trim_ascii(), end, is_terminated: true, content }
    }
}
