//! The content hash of a set of records: their number, and the sum of the digests of their canonical texts.
//!
//! Canonical JSON of a record: the API's field names sorted; whatever is null, absent, an empty list or an empty object
//! left out; timestamps that can be read as UTC with six decimals and `Z`; a list that came as a lone string as a list;
//! integers as digits; strings with the fewest escapes. Of each text the first 16 bytes of its SHA-256 are taken as a
//! big-endian number, and the numbers are added modulo 2^128; so the order of the records does not matter.

use std::fmt;

use sha2::{Digest, Sha256};

/// A running content hash.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ContentSum {
    pub(crate) count: u64,
    sum: u128,
}

impl ContentSum {
    /// Adds a record by its canonical text.
    pub(crate) fn add(&mut self, canonical: &[u8]) {
        let digest: [u8; 32] = Sha256::digest(canonical).into();
        let mut first = [0; 16];
        first.copy_from_slice(&digest[..16]);
        self.sum = self.sum.wrapping_add(u128::from_be_bytes(first));
        self.count += 1;
    }
}

impl fmt::Display for ContentSum {
    /// 32 hex digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.sum)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use serde_json::Value;

    use super::super::contact::{COLUMNS, ContactForm};
    use super::super::{Cursor, Form, Question, Subject, World};
    use super::*;

    /// Times of a record, and dates, wherever they stand.
    const TIMES: [&str; 6] =
        ["timestamp", "ingest_timestamp", "created", "start_time", "end_time", "push_time"];

    /// An independent reading of the rules, from the text on the wire.
    fn canonical(value: &Value) -> Option<String> {
        match value {
            Value::Null => None,
            Value::Object(fields) => {
                let sorted: BTreeMap<&str, &Value> =
                    fields.iter().map(|(key, v)| (key.as_str(), v)).collect();
                let fields: Vec<String> = sorted
                    .into_iter()
                    .filter_map(|(key, value)| {
                        let value = match value.as_str() {
                            Some(text) if TIMES.contains(&key) => {
                                let text =
                                    if text.ends_with('Z') { text.to_owned() } else { format!("{text}Z") };
                                let time: jiff::Timestamp = text.parse().unwrap();
                                Some(format!("\"{}\"", time.strftime("%Y-%m-%dT%H:%M:%S.%6fZ")))
                            }
                            Some(_) if key == "attachment_file_names" => {
                                Some(format!("[{}]", canonical(value).unwrap()))
                            }
                            _ => canonical(value),
                        };
                        value.map(|value| format!("\"{key}\":{value}"))
                    })
                    .collect();
                (!fields.is_empty()).then(|| format!("{{{}}}", fields.join(",")))
            }
            Value::Array(items) => {
                let items: Vec<String> = items.iter().filter_map(canonical).collect();
                (!items.is_empty()).then(|| format!("[{}]", items.join(",")))
            }
            Value::String(text) => {
                let mut out = String::from("\"");
                for c in text.chars() {
                    match c {
                        '"' | '\\' => out.extend(['\\', c]),
                        c if c < ' ' => out.push_str(&format!("\\u{:04x}", c as u32)),
                        c => out.push(c),
                    }
                }
                Some(out + "\"")
            }
            other => Some(other.to_string()),
        }
    }

    fn world() -> Arc<World> {
        Arc::new(World::new(4, 6_000, 900, "2026-06-18T12:00:00Z".parse().unwrap()))
    }

    fn question(subject: Subject, world: &World) -> Question {
        let (from, to) = world.days();
        let at = super::super::calendar::start_of(super::super::day_of(jiff::civil::date(2026, 6, 18))) + 1;
        Question {
            subject,
            from,
            to,
            at,
            kind: None,
            contacts: super::super::ContactFilter::all(),
            delta: super::super::selection::DeltaRules::default(),
            order: super::super::selection::Order::Sorted,
        }
    }

    #[test]
    fn the_canonical_text_of_an_activity_is_that_of_its_wire_text() {
        let world = world();
        for entry in Cursor::new(Arc::clone(&world), question(Subject::Current, &world)) {
            let (mut wire, mut text) = (Vec::new(), Vec::new());
            world.put_activity(&mut wire, entry, Form::Wire { first_ingest: false });
            world.put_activity(&mut text, entry, Form::Canonical { first_ingest: false });
            let value: Value = serde_json::from_slice(&wire).unwrap();
            assert_eq!(canonical(&value).unwrap(), String::from_utf8(text).unwrap());
        }
    }

    #[test]
    fn the_canonical_text_of_a_contact_is_that_of_its_wire_text_and_of_its_csv() {
        let world = world();
        let question = question(Subject::Contacts, &world);
        let at = question.at;
        for entry in Cursor::new(Arc::clone(&world), question) {
            let write = |form| {
                let mut out = Vec::new();
                world.put_contact(&mut out, entry.day, entry.number, at, form);
                String::from_utf8(out).unwrap()
            };
            let text = write(ContactForm::Json(Form::Canonical { first_ingest: false }));
            let wire = write(ContactForm::Json(Form::Wire { first_ingest: false }));
            assert_eq!(canonical(&serde_json::from_str(&wire).unwrap()).unwrap(), text);
            let cells = split_csv(&write(ContactForm::Csv { title_booleans: false }));
            assert_eq!(cells.len(), COLUMNS.len());
            let value: Value = serde_json::from_str(&wire).unwrap();
            for (column, cell) in COLUMNS.iter().zip(cells) {
                match &value[*column] {
                    Value::Null => assert_eq!(cell, ""),
                    Value::String(text) => assert_eq!(&cell, text),
                    other => assert_eq!(cell, other.to_string()),
                }
            }
        }
    }

    fn split_csv(line: &str) -> Vec<String> {
        let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(line.as_bytes());
        let record = reader.records().next().unwrap().unwrap();
        record.iter().map(str::to_owned).collect()
    }

    #[test]
    fn the_sum_does_not_depend_on_the_order() {
        let (mut one, mut other) = (ContentSum::default(), ContentSum::default());
        for text in ["{\"a\":1}", "{\"b\":2}"] {
            one.add(text.as_bytes());
        }
        for text in ["{\"b\":2}", "{\"a\":1}"] {
            other.add(text.as_bytes());
        }
        assert_eq!(one, other);
        assert_eq!(one.count, 2);
        let mut alone = ContentSum::default();
        alone.add(b"{}");
        assert_eq!(
            alone.to_string(),
            "44136fa355b3678a1146ad16f7e8649e",
            "the first half of SHA-256 of {{}}"
        );
        assert_eq!(ContentSum::default().to_string(), "0".repeat(32));
    }
}
