//! Following a JSON value byte by byte: where it ends and, of an object, what tells a contact from what is around a list
//! of contacts. Only brackets, quotes and the object's own keys are looked at.

use std::borrow::Cow;

use crate::generated::Contact;
use crate::json_lines::is_space;
use crate::record::Record;

/// A longer key is no field's name, whatever escapes it is written with.
const LONGEST_KEY: usize = 256;

/// How far a value has been followed, and what has been seen of it.
#[derive(Debug, Default)]
pub(crate) struct Outline {
    pub(crate) depth: usize,
    pub(crate) in_text: bool,
    escaped: bool,
    is_object: bool,
    /// The object's own key that stands last, with the quote behind it.
    key: Vec<u8>,
    has_field: bool,
    holds_empty_list: bool,
    /// How many of the object's own lists have an object in them.
    lists: usize,
    /// Where the first of them begins, counted from the value's first byte.
    first_list: usize,
    /// Where the object's own list that is open begins, or the last one if none is.
    list: usize,
    list_state: ListState,
}

/// What has been seen of the list that stands last among the object's own values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum ListState {
    /// It's no list, or is known to have an object in it.
    #[default]
    Settled,
    Empty,
    HasNoObject,
}

impl Outline {
    /// Begins with another value.
    pub(crate) fn begin(&mut self) {
        let mut key = std::mem::take(&mut self.key);
        key.clear();
        *self = Self { key, ..Self::default() };
    }

    /// Begins inside an object, behind one of its values.
    pub(crate) fn begin_inside_object(&mut self) {
        self.begin();
        (self.depth, self.is_object) = (1, true);
    }

    /// Follows one byte.
    pub(crate) fn follow(&mut self, byte: u8) {
        match byte {
            _ if self.escaped => self.escaped = false,
            b'\\' if self.in_text => self.escaped = true,
            b'"' => self.in_text = !self.in_text,
            b'{' | b'[' if !self.in_text => self.depth += 1,
            b'}' | b']' if !self.in_text => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
    }

    /// Looks at the byte at `at`, counted from the value's first, which is to be followed next.
    pub(crate) fn look_at(&mut self, byte: u8, at: usize) {
        match (self.depth, byte) {
            (1, _) if self.in_text && !self.has_field && self.key.len() <= LONGEST_KEY => self.key.push(byte),
            _ if self.in_text => {}
            (0, b'{') if at == 0 => self.is_object = true,
            (1, b'"') => self.key.clear(),
            (1, b':') => self.has_field |= is_field(&self.key),
            (1, b'[') => (self.list, self.list_state) = (at, ListState::Empty),
            (1, b'{') => self.list_state = ListState::Settled,
            (2, b']') if self.list_state == ListState::Empty => self.holds_empty_list = true,
            (2, b'{') if self.list_state != ListState::Settled => {
                if self.lists == 0 {
                    self.first_list = self.list;
                }
                self.lists += 1;
                self.list_state = ListState::Settled;
            }
            (2, _) if self.list_state == ListState::Empty && !is_space(byte) => {
                self.list_state = ListState::HasNoObject;
            }
            _ => {}
        }
    }

    /// Whether the value is an object with a field of a contact.
    pub(crate) fn has_field(&self) -> bool {
        self.is_object && self.has_field
    }

    /// Where the list of contacts begins, if the value is an object around one: it has no field of a contact, and one list
    /// with objects in it.
    pub(crate) fn list_inside(&self) -> Option<usize> {
        (self.is_object && !self.has_field && self.lists == 1).then_some(self.first_list)
    }

    /// Whether the value is an object around an empty list, which is an export without contacts.
    pub(crate) fn is_around_nothing(&self) -> bool {
        self.is_object && !self.has_field && self.lists == 0 && self.holds_empty_list
    }

    /// Whether what has been seen can't stand beside a list of contacts: a contact's field, or a list of objects.
    pub(crate) fn belies_list(&self) -> bool {
        self.has_field || self.lists > 0
    }
}

/// Whether a key is the name of a contact's field. It ends with its quote, and may have escapes.
fn is_field(key: &[u8]) -> bool {
    let Some(name) = key.strip_suffix(b"\"") else { return false };
    let name = match name.contains(&b'\\') {
        false => std::str::from_utf8(name).ok().map(Cow::Borrowed),
        true => serde_json::from_slice(&[b"\"", key].concat()).ok().map(Cow::Owned),
    };
    name.is_some_and(|name: Cow<'_, str>| Contact::index_of(&name).is_some())
}
