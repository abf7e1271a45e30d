//! Contacts as JSON, pushed in chunks. Nobody has said how the service wraps them (contract (j.23)), so every likely
//! wrapping is taken: a list, an object that holds one list, a lone object, or objects one behind the other.
//!
//! An object with a field of a contact is a contact, whatever lists it holds. An object without one that holds one list with
//! objects in it is what is around the contacts; the rest of it tells of the export, and is passed over. Both show only where
//! an object ends, so it is held until then. A long one isn't held to its end: then what came so far decides, and what
//! belies it later is a bad row.
//!
//! Only brackets, quotes and an object's own keys are followed here; whether a record is JSON shows when it is decoded.

use std::ops::Range;

use crate::contact_row::{ContactRow, Content};
use crate::json_lines::{BOM, is_space, trim_space_end};
use crate::json_outline::Outline;
use crate::row::{DEFAULT_MAX_ROW_BYTES, Position};

/// The longest object that is held until it is known what it is.
const LONGEST_HELD: usize = 1 << 20;

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
///
/// An object around a list of contacts has none of a contact's fields and no other list of objects, and doesn't stand behind
/// contacts without a list. One of up to 1 MiB is
/// looked at whole before its contacts come; of a longer one they come as they arrive, and if it turns out to have such a
/// field or list behind them, that is a row whose [`ContactRow::contact`] is an
/// [`ErrorKind::NotARecord`](crate::ErrorKind::NotARecord).
#[derive(Debug)]
pub struct ContactsJson {
    max_row_bytes: usize,
    place: Place,
    around: Around,
    /// A contact has stood by itself, so that others do too, and no object is around any.
    are_alone: bool,
    outline: Outline,
    /// The raw bytes of what is under way, from earlier chunks; of an overlong record, its beginning.
    partial: Vec<u8>,
    /// The record that was given out last still lies in the buffer.
    given: bool,
    /// The beginning of an object that turned out to be around the contacts, and how much of it has been read again.
    held: Vec<u8>,
    held_read: usize,
    /// Where the next byte stands, and what is under way.
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

/// What a byte does to the record under way.
enum Step {
    Continues,
    /// The byte is the record's last.
    EndsHere,
    /// The byte is no longer the record's.
    EndedBefore,
    /// What was taken for a record is an object around a list, which begins at this byte of it. The present byte has not been
    /// read.
    IsAround(usize),
}

/// What was found in some bytes.
enum Found {
    /// A row, whose part among these bytes this is.
    Row(Content<'static>, Range<usize>),
    /// An object around contacts, whose beginning is held now.
    Held,
    /// Nothing: they are used up.
    UsedUp,
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
            are_alone: false,
            outline: Outline::default(),
            partial: Vec::new(),
            given: false,
            held: Vec::new(),
            held_read: 0,
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

    /// Says that a fragment ends here, and so no record does later: fragments are cut between records (contract (j.13)). An
    /// object that is still open and may be around the list of contacts is. Those of them that have come so far are given
    /// when more is fed, which may be no byte at all.
    pub fn end_fragment(&mut self) {
        self.forget_given();
        let is_whole = self.around == Around::Nothing && self.record_bytes <= self.max_row_bytes;
        if self.place == Place::Record
            && is_whole
            && let Some(list) = self.list_inside()
        {
            self.hold(&[], list);
        }
    }

    /// Says that no more bytes come. A record, list or wrapper that isn't closed is given as a row whose
    /// [`ContactRow::contact`] is an [`ErrorKind::Unterminated`](crate::ErrorKind::Unterminated).
    pub fn finish(&mut self) -> Option<ContactRow<'_>> {
        self.forget_given();
        let open = self.place != Place::Between || self.around != Around::Nothing;
        if !open {
            return None;
        }
        let position = if self.place == Place::Between { self.next } else { self.record_at };
        // A number or word without brackets needs no end but the file's, and is no contact.
        let scalar = self.place == Place::Record && self.around == Around::Nothing && self.outline.depth == 0;
        let whole = scalar && !self.outline.in_text;
        let content = if self.place == Place::Record && self.record_bytes > self.max_row_bytes {
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
            self.forget_partial();
        }
    }

    fn forget_partial(&mut self) {
        self.partial.clear();
        self.record_bytes = 0;
    }

    /// Reads until there is a row, or something else to be said. Returns how many bytes were read.
    fn read(&mut self, bytes: &[u8]) -> (usize, Found) {
        let mut read = 0;
        while read < bytes.len() {
            let from = read;
            match self.place {
                Place::Between => read += self.find_record(&bytes[from..]),
                Place::WrapperTail => {
                    let Some(tail) = self.leave_wrapper(&bytes[from..]) else { break };
                    read += tail;
                    if self.outline.belies_list() {
                        return (read, Found::Row(Content::BehindList, from..read));
                    }
                    self.forget_partial();
                }
                Place::Record => {
                    let Some((record, list)) = self.read_record(&bytes[from..]) else { break };
                    read += record;
                    if let Some(list) = list {
                        self.hold(&bytes[from..read], list);
                        return (read, Found::Held);
                    }
                    let is_whole = self.record_bytes + record <= self.max_row_bytes;
                    let may_be_around = self.around == Around::Nothing && !self.are_alone;
                    if is_whole && may_be_around && self.outline.is_around_nothing() {
                        self.forget_partial();
                        continue;
                    }
                    self.are_alone |= self.around == Around::Nothing && self.outline.has_field();
                    return (read, Found::Row(Content::Json, from..read));
                }
            }
        }
        (bytes.len(), Found::UsedUp)
    }

    /// Passes over what stands between records. Returns how many bytes those are.
    fn find_record(&mut self, bytes: &[u8]) -> usize {
        for (at, &byte) in bytes.iter().enumerate() {
            let at_top = self.around == Around::Nothing;
            let is_mark = self.next.byte < BOM.len() as u64 && byte == BOM[self.next.byte as usize];
            match byte {
                b',' => {}
                _ if is_space(byte) => {}
                _ if is_mark => {}
                b'[' if at_top => self.around = Around::List,
                b']' if self.around == Around::List => self.around = Around::Nothing,
                b']' if self.around == Around::Wrapper => {
                    self.pass(byte);
                    self.place = Place::WrapperTail;
                    self.outline.begin_inside_object();
                    self.record_at = self.next;
                    return at + 1;
                }
                _ => {
                    self.place = Place::Record;
                    self.outline.begin();
                    self.record_at = self.next;
                    return at;
                }
            }
            self.pass(byte);
        }
        bytes.len()
    }

    /// Follows the rest of an object behind its list. Returns how many bytes it has, unless they go on.
    fn leave_wrapper(&mut self, bytes: &[u8]) -> Option<usize> {
        for (at, &byte) in bytes.iter().enumerate() {
            self.pass(byte);
            self.outline.look_at(byte, self.record_bytes + at);
            self.outline.follow(byte);
            if self.outline.depth == 0 {
                (self.place, self.around) = (Place::Between, Around::Nothing);
                return Some(at + 1);
            }
        }
        self.keep(bytes);
        None
    }

    /// Follows a record to its end. Returns how many bytes it has and, if it is an object around contacts, where their list
    /// begins in it; nothing when it goes on.
    fn read_record(&mut self, bytes: &[u8]) -> Option<(usize, Option<usize>)> {
        for (at, &byte) in bytes.iter().enumerate() {
            match self.step(byte, self.record_bytes + at) {
                Step::Continues => self.pass(byte),
                Step::EndsHere => {
                    self.pass(byte);
                    self.place = Place::Between;
                    let len = self.record_bytes + at + 1;
                    let is_whole = self.around == Around::Nothing && len <= self.max_row_bytes;
                    return Some((at + 1, self.list_inside().filter(|_| is_whole)));
                }
                Step::EndedBefore => {
                    self.place = Place::Between;
                    return Some((at, None));
                }
                Step::IsAround(list) => return Some((at, Some(list))),
            }
        }
        self.keep(bytes);
        None
    }

    /// Follows the byte at `at`, counted from the record's first.
    fn step(&mut self, byte: u8, at: usize) -> Step {
        let at_top = self.around == Around::Nothing;
        if self.outline.depth == 0 && !self.outline.in_text && at > 0 {
            // A number or word, or junk: it ends with what can't be its own.
            let ends = if at_top { byte == b'\n' } else { matches!(byte, b',' | b']') };
            if ends {
                return Step::EndedBefore;
            }
        }
        if at_top {
            if at >= LONGEST_HELD.min(self.max_row_bytes)
                && at <= self.max_row_bytes
                && let Some(list) = self.list_inside()
            {
                return Step::IsAround(list);
            }
            self.outline.look_at(byte, at);
        }
        let outline = &mut self.outline;
        let was_text = outline.in_text;
        outline.follow(byte);
        if outline.in_text || was_text {
            return Step::Continues;
        }
        if outline.depth == 0 && matches!(byte, b'}' | b']') { Step::EndsHere } else { Step::Continues }
    }

    /// Where the list of contacts begins in the object under way, if it is one around a list.
    fn list_inside(&self) -> Option<usize> {
        if self.are_alone { None } else { self.outline.list_inside() }
    }

    /// Holds an object around contacts, whose list begins at `list` and of which `piece` has come last, to read it again from
    /// its first contact on.
    fn hold(&mut self, piece: &[u8], list: usize) {
        self.held = std::mem::take(&mut self.partial);
        self.held.extend_from_slice(piece);
        self.record_bytes = 0;
        self.next = self.record_at;
        for at in 0..=list {
            self.pass(self.held[at]);
        }
        self.held_read = list + 1;
        (self.place, self.around) = (Place::Between, Around::Wrapper);
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

    /// Gives a row whose last piece lies among what is held.
    fn give_held(&mut self, content: Content<'static>, piece: Range<usize>) -> ContactRow<'_> {
        let held = std::mem::take(&mut self.held);
        self.prepare(&held[piece.clone()]);
        self.held = held;
        self.row(content, &self.held[piece])
    }

    fn give<'r>(&'r mut self, content: Content<'static>, piece: &'r [u8]) -> ContactRow<'r> {
        self.prepare(piece);
        self.row(content, piece)
    }

    /// Puts a row together of which `piece` is the last.
    fn prepare(&mut self, piece: &[u8]) {
        self.given = true;
        self.next.record += 1;
        match self.partial.is_empty() {
            true => self.record_bytes += piece.len(),
            false => self.keep(piece),
        }
    }

    fn row<'r>(&'r self, content: Content<'static>, piece: &'r [u8]) -> ContactRow<'r> {
        let raw = if self.partial.is_empty() { piece } else { &self.partial };
        let raw = &raw[..raw.len().min(self.max_row_bytes)];
        let is_too_long = self.record_bytes > self.max_row_bytes && matches!(content, Content::Json);
        let content = if is_too_long { Content::TooLong(self.max_row_bytes) } else { content };
        let (position, end) = (self.record_at, self.next.byte);
        ContactRow { position, raw: trim_space_end(raw), end, is_terminated: true, content }
    }
}

/// The records that a chunk completes. Made by [`ContactsJson::feed`].
#[derive(Debug)]
pub struct ContactJsonRows<'d> {
    json: &'d mut ContactsJson,
    chunk: &'d [u8],
}

impl ContactJsonRows<'_> {
    /// The next record, which borrows from the chunk or the splitter, or `None` when the chunk is used up.
    #[expect(
        clippy::should_implement_trait,
        reason = "a row borrows from the splitter, which an iterator can't express"
    )]
    pub fn next(&mut self) -> Option<ContactRow<'_>> {
        self.json.forget_given();
        loop {
            let json = &mut *self.json;
            if json.held_read < json.held.len() {
                let held = std::mem::take(&mut json.held);
                let from = json.held_read;
                let (read, found) = json.read(&held[from..]);
                json.held_read += read;
                json.held = held;
                if let Found::Row(content, Range { start, end }) = found {
                    return Some(self.json.give_held(content, from + start..from + end));
                }
                continue;
            }
            json.held = Vec::new();
            json.held_read = 0;
            let chunk = self.chunk;
            let (read, found) = json.read(chunk);
            self.chunk = &chunk[read..];
            match found {
                Found::Row(content, piece) => return Some(self.json.give(content, &chunk[piece])),
                Found::Held => {}
                Found::UsedUp => return None,
            }
        }
    }
}
