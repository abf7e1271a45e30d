//! `_key`: what tells one record from another (contract (e.3)).
//!
//! Every derived key begins with `~`, so that it can't be taken for a `uid`.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, StringArray, StructArray};
use arrow_buffer::{Buffer, OffsetBuffer};
use sha2::{Digest, Sha256};

use crate::canonical::Canonical;
use crate::column::element_fields;
use crate::resource::Resource;
use crate::schema::columns;

/// The keys of activities: `uid`, else `~TYPE~SOURCE_ID`, else a hash of the record.
pub(crate) fn of_activities(arrays: &[ArrayRef]) -> StringArray {
    let [uid, kind, source] =
        ["uid", "type", "source_id"].map(|name| text_column(Resource::Activities, arrays, name));
    if uid.null_count() == 0 && (0..uid.len()).all(|row| !uid.value(row).is_empty()) {
        return uid.clone();
    }
    let mut hashes = RecordHashes::new(Resource::Activities, arrays);
    (0..uid.len())
        .map(|row| {
            Some(match (present(uid, row), present(kind, row), present(source, row)) {
                (Some(uid), _, _) => uid.to_owned(),
                (None, kind, Some(source)) => format!("~{}~{source}", kind.unwrap_or_default()),
                (None, _, None) => hashes.of(row),
            })
        })
        .collect()
}

/// The keys of contacts. The service gives them no id, and an email address is neither always there nor promised to be
/// unique: the same person may be known to two accounts, or through two users. So a key is
/// `~PERSON~ACCOUNT~USER`: the email address in lower case (else phone number, else name), the account's CRM id (else
/// its domain, else its name), and the originating user. A contact without any of a person's fields has a hash of the
/// record.
pub(crate) fn of_contacts(arrays: &[ArrayRef]) -> StringArray {
    let part = |name| Part::of(text_column(Resource::Contacts, arrays, name));
    let (phone, first, last) = (part("phone"), part("first_name"), part("last_name"));
    let account = ["account_crm_id", "account_domain", "account_name"].map(part);
    let user = ["source_peopleai_id", "source_email"].map(part);
    let email = in_lower_case(text_column(Resource::Contacts, arrays, "email"));
    let email = Part::of(&email);
    let mut hashes = RecordHashes::new(Resource::Contacts, arrays);
    let rows = email.column.len();
    let (mut values, mut ends) = (Vec::with_capacity(rows * 64), Vec::with_capacity(rows));
    for row in 0..rows {
        let start = values.len();
        values.push(b'~');
        if !email.push(row, &mut values) && !phone.push(row, &mut values) {
            let any = first.push(row, &mut values);
            let between = values.len();
            values.push(b' ');
            if !last.push(row, &mut values) && !any {
                values.truncate(between);
            }
        }
        if values.len() == start + 1 {
            values.truncate(start);
            values.extend_from_slice(hashes.of(row).as_bytes());
        } else {
            values.push(b'~');
            let _ = account.iter().any(|part| part.push(row, &mut values));
            values.push(b'~');
            let _ = user.iter().any(|part| part.push(row, &mut values));
        }
        ends.push(values.len() - start);
    }
    StringArray::new(OffsetBuffer::from_lengths(ends), Buffer::from_vec(values), None)
}

/// How many bytes are copied at once.
const STEP: usize = 64;

/// A column whose texts are parts of keys.
struct Part<'a> {
    column: &'a StringArray,
    /// Whether no text needs to be escaped, which is quicker to find out for all at once.
    is_plain: bool,
}

impl<'a> Part<'a> {
    fn of(column: &'a StringArray) -> Self {
        Self { column, is_plain: memchr::memchr2(b'%', b'~', column.value_data()).is_none() }
    }

    /// Appends the row's text. Returns whether there is one.
    #[inline]
    fn push(&self, row: usize, values: &mut Vec<u8>) -> bool {
        let Some(text) = present(self.column, row) else { return false };
        if !self.is_plain {
            push_part(values, text);
            return true;
        }
        // A copy of known size needs no call, and what is too much is cut off.
        let behind = &self.column.value_data()[self.column.value_offsets()[row] as usize..];
        match behind.first_chunk::<STEP>() {
            Some(chunk) if text.len() <= STEP => {
                let end = values.len() + text.len();
                values.extend_from_slice(chunk);
                values.truncate(end);
            }
            _ => values.extend_from_slice(text.as_bytes()),
        }
        true
    }
}

fn in_lower_case(column: &StringArray) -> StringArray {
    if column.value_data().is_ascii() {
        let values = column.value_data().to_ascii_lowercase();
        StringArray::new(column.offsets().clone(), Buffer::from_vec(values), column.nulls().cloned())
    } else {
        column.iter().map(|text| text.map(str::to_lowercase)).collect()
    }
}

/// Appends a part of a key. `~` keeps parts apart, so inside of one it is escaped.
fn push_part(values: &mut Vec<u8>, part: &str) {
    if memchr::memchr2(b'%', b'~', part.as_bytes()).is_none() {
        values.extend_from_slice(part.as_bytes());
        return;
    }
    values.extend_from_slice(part.replace('%', "%25").replace('~', "%7e").as_bytes());
}

fn text_column<'a>(resource: Resource, arrays: &'a [ArrayRef], name: &str) -> &'a StringArray {
    let at = columns(resource).iter().position(|column| column.name == name).unwrap_or_default();
    arrays[at].as_string()
}

fn present(column: &StringArray, row: usize) -> Option<&str> {
    (column.is_valid(row) && !column.value(row).is_empty()).then(|| column.value(row))
}

/// Hashes of records that have nothing else to be told apart by.
struct RecordHashes<'a> {
    arrays: &'a [ArrayRef],
    resource: Resource,
    record: Option<(StructArray, Vec<u8>)>,
}

impl<'a> RecordHashes<'a> {
    fn new(resource: Resource, arrays: &'a [ArrayRef]) -> Self {
        Self { arrays, resource, record: None }
    }

    fn of(&mut self, row: usize) -> String {
        let (record, json) = self.record.get_or_insert_with(|| {
            let fields = element_fields(columns(self.resource));
            (StructArray::new(fields, self.arrays.iter().map(Arc::clone).collect(), None), Vec::new())
        });
        json.clear();
        if let Ok(canonical) = Canonical::of(record.fields(), record.columns()) {
            canonical.write(row, json);
        }
        let hash = Sha256::digest(&*json);
        let hash: String = hash.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        format!("~~{hash}")
    }
}
