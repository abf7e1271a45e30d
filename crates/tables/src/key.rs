//! `_key`: what tells one record from another (contract (e.3)).
//!
//! Every derived key begins with `~`, so that it can't be taken for a `uid`.

use std::sync::Arc;

use arrow_array::builder::StringBuilder;
use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, StringArray, StructArray};
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
    let column = |name| text_column(Resource::Contacts, arrays, name);
    let (email, phone, first, last) =
        (column("email"), column("phone"), column("first_name"), column("last_name"));
    let account = ["account_crm_id", "account_domain", "account_name"].map(column);
    let user = ["source_peopleai_id", "source_email"].map(column);
    let first_present = |columns: &[&StringArray], row| {
        columns.iter().find_map(|column| present(column, row).map(escaped)).unwrap_or_default()
    };
    let mut hashes = RecordHashes::new(Resource::Contacts, arrays);
    let mut keys = StringBuilder::new();
    for row in 0..email.len() {
        let name = || match (present(first, row), present(last, row)) {
            (None, None) => None,
            (first, last) => Some(format!("{} {}", first.unwrap_or_default(), last.unwrap_or_default())),
        };
        let person = present(email, row)
            .map(|email| email.to_lowercase())
            .or_else(|| present(phone, row).map(str::to_owned))
            .or_else(name);
        keys.append_value(match person {
            Some(person) => {
                format!(
                    "~{}~{}~{}",
                    escaped(&person),
                    first_present(&account, row),
                    first_present(&user, row)
                )
            }
            None => hashes.of(row),
        });
    }
    keys.finish()
}

/// Keeps the parts of a key apart.
fn escaped(part: &str) -> String {
    part.replace('%', "%25").replace('~', "%7E")
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
