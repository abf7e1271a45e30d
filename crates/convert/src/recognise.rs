//! What an export is of, told by its first records or its header.

use backstory_formats::{ActivityRow, ContactRow, ContactsCsv, ContactsJson, ErrorKind, JsonLines};
use backstory_tables::{Resource, SourceFormat};

use crate::list_lines::lines_of;

/// How many rows are looked at: the first may be bad.
const ROWS: usize = 100;

/// What is known, and how surely.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Recognised {
    Surely(Resource, SourceFormat),
    /// A JSON list of activities, which has to be made into lines.
    ActivityList,
    /// A name may know better.
    Perhaps(Resource, SourceFormat),
    Not,
}

/// Tells from the beginning of an export what it is, or `None` when nothing in it is an activity or a contact. A list of
/// activities is in none of the forms that there are, either; [`Source::open`](crate::Source::open) makes lines of it.
///
/// The two have no field in common (contract (e.1), (d.3)), so one whole row is enough. The beginning should hold at least
/// that; what stands behind its last whole row is not looked at.
///
/// ```
/// use backstory_convert::recognise;
/// use backstory_tables::{Resource, SourceFormat};
///
/// let activities = Some((Resource::Activities, SourceFormat::JsonLines));
/// assert_eq!(recognise(b"{\"uid\":\"em-1\",\"type\":\"email\"}\n"), activities);
/// let contacts = Some((Resource::Contacts, SourceFormat::Csv));
/// assert_eq!(recognise(b"first_name,email\nRin,rin@quillmark.example\n"), contacts);
/// assert_eq!(recognise(b"<html>"), None);
/// ```
pub fn recognise(beginning: &[u8]) -> Option<(Resource, SourceFormat)> {
    match examine(beginning) {
        Recognised::Surely(resource, format) | Recognised::Perhaps(resource, format) => {
            Some((resource, format))
        }
        Recognised::ActivityList | Recognised::Not => None,
    }
}

pub(crate) fn examine(beginning: &[u8]) -> Recognised {
    let json = Recognised::Surely(Resource::Contacts, SourceFormat::Json);
    match first_byte(beginning) {
        Some(b'{') => {
            let activities = look_for_activities(beginning);
            if activities == Activities::Found {
                return Recognised::Surely(Resource::Activities, SourceFormat::JsonLines);
            }
            match holds_json_contact(beginning) {
                // The participants of a broken activity look like contacts, too.
                true if activities == Activities::Broken => {
                    Recognised::Perhaps(Resource::Contacts, SourceFormat::Json)
                }
                true => json,
                false => Recognised::Not,
            }
        }
        Some(b'[') if look_for_activities(&lines_of(beginning)) == Activities::Found => {
            Recognised::ActivityList
        }
        Some(b'[') if holds_json_contact(beginning) => json,
        Some(b'[' | b'<') | None => Recognised::Not,
        Some(_) => {
            let mut csv = ContactsCsv::new();
            let mut rows = csv.feed(beginning);
            while rows.next().is_some() {}
            csv.finish();
            match csv.header() {
                Some(_) => Recognised::Surely(Resource::Contacts, SourceFormat::Csv),
                None => Recognised::Not,
            }
        }
    }
}

/// What lines hold.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Activities {
    Found,
    /// None, but something that can't be read and might be one.
    Broken,
    None,
}

fn look_for_activities(lines: &[u8]) -> Activities {
    let mut found = Activities::None;
    let mut look_at = |row: &ActivityRow<'_>| {
        match row.activity() {
            Ok(_) => found = Activities::Found,
            Err(error) if error.kind() != ErrorKind::NotARecord => found = Activities::Broken,
            Err(_) => {}
        }
        found == Activities::Found
    };
    let mut splitter = JsonLines::new();
    let mut rows = splitter.feed(lines);
    for _ in 0..ROWS {
        match rows.next() {
            Some(row) if look_at(&row) => return Activities::Found,
            Some(_) => {}
            None => break,
        }
    }
    if let Some(row) = splitter.finish() {
        look_at(&row);
    }
    found
}

fn holds_json_contact(beginning: &[u8]) -> bool {
    let is_contact = |row: &ContactRow<'_>| row.contact().is_ok();
    let mut json = ContactsJson::new();
    for part in [beginning, b""] {
        let mut rows = json.feed(part);
        for _ in 0..ROWS {
            match rows.next() {
                Some(row) if is_contact(&row) => return true,
                Some(_) => {}
                None => break,
            }
        }
        // Here the beginning ends, and an object that is still open may be around contacts.
        json.end_fragment();
    }
    json.finish().is_some_and(|row| is_contact(&row))
}

/// The first byte that says something: behind a byte-order mark and white space.
pub(crate) fn first_byte(beginning: &[u8]) -> Option<u8> {
    let text = beginning.strip_prefix(b"\xef\xbb\xbf").unwrap_or(beginning);
    text.trim_ascii_start().first().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_records_and_headers_say_what_an_export_is() {
        let activities = Some((Resource::Activities, SourceFormat::JsonLines));
        let csv = Some((Resource::Contacts, SourceFormat::Csv));
        let json = Some((Resource::Contacts, SourceFormat::Json));
        for (beginning, expected) in [
            ("\u{feff}\n \n{\"uid\":\"a\"}\n{\"ui", activities),
            ("{\"x\":1}\nbad\n{\"participants\":[{\"email\":\"a\"}]}\n", activities),
            ("{\"uid\":\"a\"}", activities),
            ("\u{feff}email,phone\r\n", csv),
            ("phone", csv),
            ("[{\"email\":\"a\"},", json),
            ("{\n \"data\": [\n  {\"email\": \"a\"},", json),
            ("{\"email\":\"a\"}\n", json),
            ("[{\"uid\":\"a\",\"participants\":[{\"email\":\"a\"}]}]", None),
            ("{\"error\":\"NotFoundException\"}", None),
            ("<html><body>email,phone", None),
            ("", None),
            (" \n", None),
        ] {
            assert_eq!(recognise(beginning.as_bytes()), expected, "{beginning}");
        }
        assert_eq!(recognise(b"\xff\xfe\x00"), None);
    }

    #[test]
    fn a_broken_activity_with_participants_is_not_surely_a_list_of_contacts() {
        let broken = examine(b"{\"uid\":\"a\" \"participants\":[{\"email\":\"a\"}]}\n");
        assert_eq!(broken, Recognised::Perhaps(Resource::Contacts, SourceFormat::Json));
    }
}
