//! The note beside a kept delivery: which job it came from, and what its bytes are.

use std::collections::BTreeSet;

use backstory_destination::{Delivery, DeliveryKind, DeliveryRecord, Window};
use backstory_tables::Resource;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use crate::ledger::JobSpec;

/// Ids longer than this are shortened in file names, which may have no more than 255 bytes.
const LONGEST_ID: usize = 100;

/// What a kept delivery is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RawNote {
    /// The delivery, enough to load it anew.
    pub(crate) delivery: Delivery,
    /// Its fragments, in order.
    pub(crate) files: Vec<RawFile>,
    /// When the files were removed, by the rule of how long they are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) removed_at: Option<Timestamp>,
    /// Whether the files, and this note's predecessor, were gone when a run looked for them.
    #[serde(default, skip_serializing_if = "is_false")]
    pub(crate) lost: bool,
}

/// A kept fragment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RawFile {
    /// Its file's name.
    pub(crate) name: String,
    /// Which fragment it is.
    pub(crate) fragment: u32,
    /// Bytes as delivered, decompressed.
    pub(crate) bytes: u64,
    /// Line feeds in these bytes.
    pub(crate) lines: u64,
    /// SHA-256 of these bytes, in lower-case hex.
    pub(crate) sha256: String,
    /// The file's own size.
    pub(crate) stored_bytes: u64,
}

/// The name that all files of a delivery begin with.
pub(crate) fn stem(delivery: &Delivery) -> String {
    let (window, kind) = (delivery.window, delivery.kind.as_str());
    let days = format!("{}_{}", window.from, window.to);
    let job = file_safe(&delivery.job_id);
    match (delivery.kind, delivery.activity_type.as_str()) {
        (DeliveryKind::Contacts, _) => format!("{days}.job-{job}"),
        (_, "all") => format!("{days}.{kind}.job-{job}"),
        (_, one) => format!("{days}.{kind}-{}.job-{job}", file_safe(one)),
    }
}

/// The name of a delivery's note.
pub(crate) fn note_name(delivery: &Delivery) -> String {
    format!("{}.json", stem(delivery))
}

/// The name of a fragment's file.
pub(crate) fn file_name(delivery: &Delivery, fragment: u32) -> String {
    let ending = match delivery.kind {
        DeliveryKind::Contacts => "csv",
        DeliveryKind::Snapshot | DeliveryKind::Delta => "jsonl",
    };
    format!("{}.{fragment}.{ending}.zst", stem(delivery))
}

/// The name of the file of a delivery's bad rows.
pub(crate) fn quarantine_name(delivery: &Delivery) -> String {
    format!("quarantine_{}_{}.jsonl", delivery.resource.as_str(), stem(delivery))
}

/// What a note's name tells of its delivery: what it is, and its job's id (as the name has it).
pub(crate) fn told_by_name(resource: Resource, name: &str) -> Option<(JobSpec, String)> {
    let (stem, job_id) = name.strip_suffix(".json")?.split_once(".job-")?;
    let (days, word) = stem.split_once('.').unwrap_or((stem, ""));
    let (kind, activity_type) = match (resource, word.split_once('-').unwrap_or((word, "all"))) {
        (Resource::Activities, ("snapshot", one)) => (DeliveryKind::Snapshot, one),
        (Resource::Activities, ("delta", one)) => (DeliveryKind::Delta, one),
        (Resource::Contacts, ("", _)) => (DeliveryKind::Contacts, "all"),
        _ => return None,
    };
    let (from, to) = days.split_once('_')?;
    let window = Window::new(from.parse().ok()?, to.parse().ok()?);
    let spec = JobSpec { kind, activity_type: activity_type.to_owned(), window, part_of: None };
    Some((spec, job_id.to_owned()))
}

/// Letters, digits and `-` as they are, the rest percent-encoded; what is very long by its checksum.
fn file_safe(text: &str) -> String {
    use std::fmt::Write as _;
    if text.len() > LONGEST_ID {
        let mut hex = String::from("sha256-");
        for byte in Sha256::digest(text) {
            let _ = write!(hex, "{byte:02x}");
        }
        return hex;
    }
    text.bytes().fold(String::new(), |mut safe, byte| {
        if byte.is_ascii_alphanumeric() || byte == b'-' {
            safe.push(char::from(byte));
        } else {
            let _ = write!(safe, "%{byte:02X}");
        }
        safe
    })
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_false(value: &bool) -> bool {
    !value
}

impl RawNote {
    /// The note of a delivery whose files are kept.
    pub(crate) fn new(delivery: Delivery, files: Vec<RawFile>) -> Self {
        Self { delivery, files, removed_at: None, lost: false }
    }

    /// Whether the files should be there.
    pub(crate) fn is_kept(&self) -> bool {
        self.removed_at.is_none() && !self.lost
    }

    /// Whether the record of a delivery is about the same bytes.
    pub(crate) fn agrees_with(&self, record: &DeliveryRecord) -> bool {
        self.files.len() == record.parts.len()
            && self.files.iter().zip(&record.parts).all(|(file, part)| {
                (file.fragment, file.bytes, file.lines, &file.sha256)
                    == (part.fragment, part.bytes, part.lines, &part.sha256)
            })
    }

    /// What the record of a delivery tells otherwise of it, if anything.
    pub(crate) fn contradiction(&self, record: &DeliveryRecord) -> Option<String> {
        if self.delivery == record.delivery {
            return None;
        }
        let fields = |delivery| match serde_json::to_value(delivery) {
            Ok(Value::Object(fields)) => fields,
            _ => Map::new(),
        };
        let (ours, theirs) = (fields(&self.delivery), fields(&record.delivery));
        let told = |value: Option<&Value>| match value {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Null) | None => "nothing".to_owned(),
            Some(other) => other.to_string(),
        };
        let names: BTreeSet<&String> = ours.keys().chain(theirs.keys()).collect();
        let differ = names.into_iter().filter(|name| ours.get(*name) != theirs.get(*name)).map(|name| {
            let (ours, theirs) = (told(ours.get(name)), told(theirs.get(name)));
            format!("`{name}`: {ours}, and the destination has recorded {theirs}")
        });
        Some(differ.collect::<Vec<_>>().join("; "))
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    fn delivery(job_id: &str, kind: DeliveryKind) -> Delivery {
        let window = Window::new(date(2026, 6, 1), date(2026, 6, 14));
        Delivery::new(job_id, kind, window, Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn files_are_named_after_their_window_and_job_whatever_the_job_is_called() {
        assert_eq!(
            file_name(&delivery("17", DeliveryKind::Delta), 0),
            "2026-06-01_2026-06-14.delta.job-17.0.jsonl.zst"
        );
        assert_eq!(note_name(&delivery("17", DeliveryKind::Contacts)), "2026-06-01_2026-06-14.job-17.json");
        assert_eq!(
            stem(&delivery("../a/b", DeliveryKind::Delta)),
            "2026-06-01_2026-06-14.delta.job-%2E%2E%2Fa%2Fb"
        );
        assert!(file_name(&delivery(&"x".repeat(5_000), DeliveryKind::Snapshot), 0).len() < 200);
    }

    #[test]
    fn the_name_of_a_note_tells_what_it_is_about() {
        let window = Window::new(date(2026, 6, 1), date(2026, 6, 14));
        for (kind, one) in
            [(DeliveryKind::Snapshot, "all"), (DeliveryKind::Delta, "email"), (DeliveryKind::Contacts, "all")]
        {
            let mut delivery = delivery("17", kind);
            delivery.activity_type = one.to_owned();
            let (spec, job_id) = told_by_name(delivery.resource, &note_name(&delivery)).unwrap();
            assert_eq!((spec.kind, spec.activity_type.as_str(), spec.window), (kind, one, window));
            assert_eq!(job_id, "17");
        }
        assert_eq!(told_by_name(Resource::Activities, "mine.json"), None);
    }
}
