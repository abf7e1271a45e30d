//! What must hold for any bytes at all. The tests try it with bytes that look like exports, the fuzz targets with whatever
//! they come up with.

mod reference;

use backstory_formats::{
    Activity, ActivityRow, Contact, ContactRow, ContactsCsv, ContactsJson, Error, ErrorKind, JsonLines,
    Position,
};

/// What a row is, apart from its bytes.
type Decoded<R> = (Position, u64, bool, Vec<u8>, Result<R, (ErrorKind, Position, String)>);

fn told(error: &Error) -> (ErrorKind, Position, String) {
    (
        error.kind(),
        error.position(),
        format!("{error}: {:?}", std::error::Error::source(error).map(ToString::to_string)),
    )
}

/// Cuts bytes into pieces of these sizes, which repeat; none is as good as one.
fn cut<'b>(mut rest: &'b [u8], sizes: &[u8]) -> Vec<&'b [u8]> {
    let mut chunks = Vec::new();
    for size in sizes.iter().chain([&1]).cycle() {
        if rest.is_empty() {
            break;
        }
        let (chunk, behind) = rest.split_at(rest.len().min(usize::from(*size).max(1)));
        chunks.push(chunk);
        rest = behind;
    }
    chunks
}

macro_rules! decode {
    ($name:ident, $decoder:ident, $row:ident, $record:ident, $decode:ident) => {
        fn $name(chunks: &[&[u8]], max_row_bytes: usize) -> Vec<Decoded<$record<'static>>> {
            let own = |row: &$row<'_>| {
                let record = row.$decode().map($record::into_owned).map_err(|error| told(&error));
                (row.position(), row.end(), row.is_terminated(), row.raw().to_vec(), record)
            };
            let mut decoder = $decoder::new().with_max_row_bytes(max_row_bytes);
            let mut decoded = Vec::new();
            for chunk in chunks {
                let mut rows = decoder.feed(chunk);
                while let Some(row) = rows.next() {
                    decoded.push(own(&row));
                }
            }
            decoded.extend(decoder.finish().as_ref().map(own));
            decoded
        }
    };
}

decode!(activities_of, JsonLines, ActivityRow, Activity, activity);
decode!(csv_contacts_of, ContactsCsv, ContactRow, Contact, contact);
decode!(json_contacts_of, ContactsJson, ContactRow, Contact, contact);

/// Any chunking of JSON Lines gives the same rows, in their places; each is what a plain serde_json makes of its line.
pub(crate) fn check_activities(export: &[u8], sizes: &[u8], max_row_bytes: usize) {
    let whole = activities_of(&[export], max_row_bytes);
    assert_eq!(activities_of(&cut(export, sizes), max_row_bytes), whole);
    check_places(&whole, export, max_row_bytes);
    for (_, _, is_terminated, raw, activity) in &whole {
        match activity {
            Ok(activity) => {
                let text = std::str::from_utf8(raw).expect("a good row is UTF-8");
                reference::check(activity, text);
            }
            Err((ErrorKind::InvalidUtf8, ..)) => assert!(std::str::from_utf8(raw).is_err()),
            Err((ErrorKind::TooLong, ..)) => assert!(raw.len() <= max_row_bytes),
            Err((kind, _, message)) => {
                if let Ok(text) = std::str::from_utf8(raw) {
                    assert!(!reference::is_activity(text), "{kind:?}: {message}: {text}");
                }
                assert!(*kind != ErrorKind::Unterminated || !is_terminated);
            }
        }
    }
}

/// Any chunking of a CSV gives the same rows, in their places. One byte at a time goes the slow way, which knows all of
/// quoting; a whole file at once goes the fast one.
pub(crate) fn check_csv_contacts(export: &[u8], sizes: &[u8], max_row_bytes: usize) {
    let whole = csv_contacts_of(&[export], max_row_bytes);
    assert_eq!(csv_contacts_of(&cut(export, sizes), max_row_bytes), whole);
    assert_eq!(csv_contacts_of(&cut(export, &[1]), max_row_bytes), whole);
    check_places(&whole, export, max_row_bytes);
}

/// Any chunking of JSON contacts gives the same records, in their places; each is what a plain serde_json makes of it.
pub(crate) fn check_json_contacts(export: &[u8], sizes: &[u8], max_row_bytes: usize) {
    let whole = json_contacts_of(&[export], max_row_bytes);
    assert_eq!(json_contacts_of(&cut(export, sizes), max_row_bytes), whole);
    check_places(&whole, export, max_row_bytes);
    for (.., raw, contact) in &whole {
        if let Ok(contact) = contact {
            reference::check(contact, std::str::from_utf8(raw).expect("a good record is UTF-8"));
        }
    }
}

/// Rows stand one behind the other, are counted without a gap, and their bytes are those of the file.
fn check_places<R>(rows: &[Decoded<R>], export: &[u8], max_row_bytes: usize) {
    let mut end = 0;
    for (at, (position, row_end, _, raw, record)) in rows.iter().enumerate() {
        assert_eq!(position.record, at as u64 + 1);
        assert!(end <= position.byte && position.byte <= *row_end && *row_end <= export.len() as u64);
        let before = &export[..position.byte as usize];
        assert_eq!(position.line, before.iter().filter(|byte| **byte == b'\n').count() as u64 + 1);
        let whole = &export[position.byte as usize..*row_end as usize];
        assert!(
            raw.len() <= max_row_bytes
                && (raw.is_empty() || whole.windows(raw.len()).any(|part| part == raw))
        );
        if let Err((_, found, _)) = record {
            assert_eq!(found, position);
        }
        end = *row_end;
    }
}
