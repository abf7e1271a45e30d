//! The content hash and the merge of `extra`, against a plain implementation over `serde_json::Value`.

use backstory_tables::{BadRows, ContentHash, Conversion, Origin, Resource, SourceFormat};
use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

fn hash(resource: Resource, format: SourceFormat, export: &str) -> (u64, String) {
    let mut hash = ContentHash::new();
    Conversion::new(resource, format, Origin::offline(Timestamp::UNIX_EPOCH))
        .to_batches(export.as_bytes(), |batch| hash.update(&batch), &mut BadRows::fail())
        .unwrap();
    (hash.count(), hash.hex())
}

fn activities(export: &str) -> (u64, String) {
    hash(Resource::Activities, SourceFormat::JsonLines, export)
}

fn sum(canonical: &[&str]) -> String {
    let sum = canonical.iter().fold(0_u128, |sum, json| {
        sum.wrapping_add(u128::from_be_bytes(Sha256::digest(json)[..16].try_into().unwrap()))
    });
    format!("{sum:032x}")
}

#[test]
fn a_record_is_hashed_as_its_canonical_json() {
    let export = r#"{"uid":"a","z":[1.50,-0,null,{"k":null}],"tags":[],"stats":{"total_participants":2},"timestamp":"2026-03-04T10:08:51.5+01:00",
 "participants":[{"team":{"q":"\u0041\n\""},"name":"n"},{}],"campaigns":[{"start_date":"2026-03-01"}],
 "crm_status":{"contact":{"b":1,"a":2},"account":{},"pushed":false},"summary":"","attachment_file_names":"f","direction":"\ud800\u0041"}"#
        .replace('\n', "");
    let canonical = r#"{"attachment_file_names":["f"],"campaigns":[{"start_date":"2026-03-01"}],"crm_status":{"contact":{"a":2,"b":1},"pushed":false},"direction":"\ud800A","participants":[{"name":"n","team":{"q":"A\u000a\""}}],"stats":{"total_participants":2},"summary":"","timestamp":"2026-03-04T09:08:51.500000Z","uid":"a","z":[1.50,0]}"#;
    assert_eq!(activities(&export), (1, sum(&[canonical])));
}

#[test]
fn the_hash_is_a_sum_over_records_in_any_order() {
    let (one, two) = (r#"{"uid":"a"}"#, r#"{"uid":"b"}"#);
    let expected = (3, sum(&[one, two, two]));
    assert_eq!(activities(&format!("{one}\n{two}\n{two}\n")), expected);
    assert_eq!(activities(&format!("{two}\n{two}\n{one}\n")), expected);
}

#[test]
fn csv_and_json_contacts_have_the_same_hash() {
    let csv = "email,from_cc,total_inbound,shoe_size,job_title\na@x,True,7,43,\n";
    let json = r#"[{"job_title":null,"shoe_size":"43","total_inbound":7,"from_cc":true,"email":"a@x"}]"#;
    let expected = (1, sum(&[r#"{"email":"a@x","from_cc":true,"shoe_size":"43","total_inbound":7}"#]));
    assert_eq!(hash(Resource::Contacts, SourceFormat::Csv, csv), expected);
    assert_eq!(hash(Resource::Contacts, SourceFormat::Json, json), expected);
}

/// What the record says, without what says nothing; instants and days in their canonical spelling.
fn canonical(path: &[&str], value: &Value) -> Option<Value> {
    const INSTANTS: &[&str] =
        &["timestamp", "ingest_timestamp", "created", "start_time", "end_time", "crm_status.push_time"];
    match value {
        Value::Null => None,
        Value::Array(items) if items.is_empty() => None,
        Value::Array(items) => {
            let items: Vec<Value> =
                items.iter().filter_map(|item| canonical(&[path, &["element"]].concat(), item)).collect();
            (!items.is_empty()).then_some(Value::Array(items))
        }
        Value::Object(entries) => {
            let entries: Map<String, Value> = entries
                .iter()
                .filter_map(|(key, value)| {
                    Some((key.clone(), canonical(&[path, &[key.as_str()]].concat(), value)?))
                })
                .collect();
            (!entries.is_empty()).then_some(Value::Object(entries))
        }
        Value::String(text) if INSTANTS.contains(&path.join(".").as_str()) => {
            Some(match backstory_formats::parse_timestamp(text) {
                Some(instant) => {
                    format!("{:.6}", Timestamp::from_microsecond(instant.as_microsecond()).unwrap()).into()
                }
                None => text.as_str().into(),
            })
        }
        Value::String(text) if path == ["attachment_file_names"] => Some(vec![text.as_str()].into()),
        other => Some(other.clone()),
    }
}

/// Writes sorted keys (serde_json's maps are) with the fewest escapes.
fn write(out: &mut String, value: &Value) {
    let text = |out: &mut String, text: &str| {
        out.push('"');
        for letter in text.chars() {
            match letter {
                '"' | '\\' => out.extend(['\\', letter]),
                '\0'..' ' => *out += &format!("\\u{:04x}", letter as u32),
                _ => out.push(letter),
            }
        }
        out.push('"');
    };
    match value {
        Value::String(string) => text(out, string),
        Value::Array(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                out.push_str(if at > 0 { "," } else { "" });
                write(out, item);
            }
            out.push(']');
        }
        Value::Object(entries) => {
            out.push('{');
            for (at, (key, value)) in entries.iter().enumerate() {
                out.push_str(if at > 0 { "," } else { "" });
                text(out, key);
                out.push(':');
                write(out, value);
            }
            out.push('}');
        }
        other => *out += &other.to_string(),
    }
}

fn leaf() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        Just(Value::from(2.25)),
        Just(Value::from("2026-03-04T09:08:51")),
        Just(Value::from("2026-03-04T09:08:51.123456789-02:30")),
        Just(Value::from("2026-03-04")),
        Just(Value::from("9999-12-31T23:59:59")),
        "[ -~\u{85}\u{2028}é\n\t\"\\\\]{0,8}".prop_map(Value::from),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    leaf().prop_recursive(4, 40, 5, |inner| {
        prop_oneof![prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from), object(inner)]
    })
}

fn object(value: impl Strategy<Value = Value> + 'static) -> impl Strategy<Value = Value> {
    let known = prop::sample::select(vec![
        "uid",
        "type",
        "tags",
        "timestamp",
        "ingest_timestamp",
        "duration",
        "all_day",
        "participants",
        "campaigns",
        "stats",
        "crm_status",
        "name",
        "total_participants",
        "team",
        "account",
        "opportunity",
        "lead",
        "attachment_file_names",
        "time_spent",
        "push_time",
        "start_date",
        "crm_id",
        "matched_to",
        "pushed",
        "stage_rank",
    ]);
    let key = prop_oneof![9 => known.prop_map(String::from), 1 => "[a-z\"\\\\é]{1,4}"];
    prop::collection::vec((key, value), 0..8).prop_map(|entries| Value::Object(entries.into_iter().collect()))
}

proptest! {
    #[test]
    fn columns_and_extra_together_are_the_delivered_record(mut record in object(value())) {
        record.as_object_mut().unwrap().insert("uid".into(), "u".into());
        let mut expected = String::new();
        write(&mut expected, &canonical(&[], &record).unwrap());
        prop_assert_eq!(activities(&record.to_string()), (1, sum(&[&expected])), "{}", expected);
    }
}
