//! What a JSON Lines export becomes, whatever its chunks are and whatever is wrong with it.

use backstory_formats::{Activity, Error, ErrorKind, JsonLines, Position};
use proptest::prelude::*;

type Decoded = (Position, bool, Vec<u8>, Result<Activity<'static>, (ErrorKind, String)>, u64);

fn decode_chunks<'c>(mut lines: JsonLines, chunks: impl IntoIterator<Item = &'c [u8]>) -> Vec<Decoded> {
    fn own(row: &backstory_formats::ActivityRow<'_>) -> Decoded {
        let activity = row.activity().map(Activity::into_owned).map_err(|e: Error| (e.kind(), e.to_string()));
        (row.position(), row.is_terminated(), row.line().to_vec(), activity, row.end())
    }
    let mut decoded = Vec::new();
    for chunk in chunks {
        let mut rows = lines.feed(chunk);
        while let Some(row) = rows.next() {
            decoded.push(own(&row));
        }
    }
    decoded.extend(lines.finish().as_ref().map(own));
    decoded
}

fn decode(export: &[u8]) -> Vec<Decoded> {
    decode_chunks(JsonLines::new(), [export])
}

fn one(line: &str) -> Activity<'static> {
    decode(line.as_bytes()).remove(0).3.unwrap()
}

fn only_error(export: &[u8]) -> (ErrorKind, String) {
    let errors: Vec<_> = decode(export).into_iter().filter_map(|row| row.3.err()).collect();
    assert_eq!(errors.len(), 1, "{errors:?}");
    errors.into_iter().next().unwrap()
}

#[test]
fn every_row_has_its_record_line_and_byte() {
    let rows = decode(b"\xef\xbb\xbf{\"uid\":\"a\"}\r\n\n  \n{\"uid\":\"b\"}");
    let at: Vec<_> = rows.iter().map(|row| (row.0.record, row.0.line, row.0.byte, row.4, row.1)).collect();
    assert_eq!(at, [(1, 1, 0, 16, true), (2, 4, 20, 31, false)]);
}

#[test]
fn lines_are_not_cut_at_unicode_separators() {
    let activity = one("{\"uid\":\"a\",\"subject\":\"x\u{2028}y\u{2029}z\u{85}\"}\n");
    assert_eq!(activity.subject.as_deref(), Some("x\u{2028}y\u{2029}z\u{85}"));
}

#[test]
fn text_without_escapes_is_borrowed_and_escapes_are_resolved() {
    let mut lines = JsonLines::new();
    let mut rows = lines.feed(b"{\"uid\":\"plain\",\"subject\":\"\\u00e9\\n\\ud83d\\ude00\"}\n");
    let activity = rows.next().unwrap().activity().unwrap();
    assert!(matches!(activity.uid, Some(std::borrow::Cow::Borrowed("plain"))));
    assert_eq!(activity.subject.as_deref(), Some("é\n😀"));
}

#[test]
fn nulls_and_absent_keys_are_the_same() {
    let nulls = one(r#"{"uid":"a","tags":null,"stats":null,"participants":null,"duration":null}"#);
    assert_eq!(nulls, one(r#"{"uid":"a"}"#));
}

#[test]
fn the_order_of_keys_does_not_matter() {
    let (uid, stats) = (r#""uid":"a""#, r#""stats":{"total_participants":2,"y":1}"#);
    let people = r#""participants":[{"name":"n","role":"host"},{"team":{"name":"t"}}]"#;
    let expected = one(&format!("{{{uid},{stats},{people}}}"));
    for [first, second, third] in [[people, stats, uid], [stats, uid, people], [people, uid, stats]] {
        assert_eq!(one(&format!("{{{first},{second},{third}}}")), expected);
    }
    let swapped = people.replace(r#""name":"n","role":"host""#, r#""role":"host","name":"n""#);
    assert_eq!(one(&format!("{{{swapped},{stats},{uid}}}")), expected);
}

#[test]
fn an_escaped_nul_is_text_and_a_raw_one_is_a_bad_row() {
    assert_eq!(one(r#"{"uid":"a","subject":"x\u0000y"}"#).subject.as_deref(), Some("x\0y"));
    assert_eq!(only_error(b"{\"uid\":\"x\x00y\"}\n").0, ErrorKind::InvalidJson);
}

#[test]
fn null_elements_of_lists_are_left_out() {
    let activity = one(r#"{"uid":"a","tags":["x",null],"participants":[null,{"name":"n"}]}"#);
    assert_eq!(activity.tags.unwrap(), ["x"]);
    assert_eq!(activity.participants.unwrap().len(), 1);
}

#[test]
fn a_lone_attachment_name_is_a_list_of_one() {
    let activity = one(r#"{"uid":"a","attachment_file_names":"quote.pdf"}"#);
    assert_eq!(activity.attachment_file_names.unwrap(), ["quote.pdf"]);
}

#[test]
fn unknown_keys_are_kept_byte_for_byte_where_they_stand() {
    let activity = one(
        r#"{"uid":"a","x": {"b" : 1.50, "a":[1e3]} ,"crm_status":{"contact":{"crm_id":"3"}},"participants":[{"mood":"\u0041"}]}"#,
    );
    assert_eq!(activity.extra.get("x"), Some(r#"{"b" : 1.50, "a":[1e3]}"#));
    assert_eq!(activity.crm_status.unwrap().extra.get("contact"), Some(r#"{"crm_id":"3"}"#));
    assert_eq!(activity.participants.unwrap()[0].extra.get("mood"), Some(r#""\u0041""#));
}

#[test]
fn a_value_of_another_type_leaves_its_field_empty_and_stays_in_extra() {
    for (line, key, text) in [
        (r#"{"uid":"a","duration":"60"}"#, "duration", "\"60\""),
        (r#"{"uid":"a","duration":1.5}"#, "duration", "1.5"),
        (r#"{"uid":"a","duration":1e3}"#, "duration", "1e3"),
        (r#"{"uid":"a","duration":99999999999999999999}"#, "duration", "99999999999999999999"),
        (r#"{"uid":"a","all_day":"no"}"#, "all_day", "\"no\""),
        (r#"{"uid":"a","subject":7}"#, "subject", "7"),
        (r#"{"uid":"a","subject":"\ud800"}"#, "subject", r#""\ud800""#),
        (r#"{"uid":"a","tags":"x"}"#, "tags", "\"x\""),
        (r#"{"uid":"a","tags":["x",1]}"#, "tags", r#"["x",1]"#),
        (r#"{"uid":"a","campaigns":["c"]}"#, "campaigns", r#"["c"]"#),
        (r#"{"uid":"a","stats":[]}"#, "stats", "[]"),
    ] {
        let activity = one(line);
        assert_eq!(activity.extra.get(key), Some(text), "{line}");
        assert_eq!(activity.extra.len(), 1, "{line}");
        assert_eq!(activity.uid.as_deref(), Some("a"), "{line}");
    }
}

#[test]
fn of_a_key_that_comes_twice_the_last_value_counts() {
    let activity = one(
        r#"{"uid":"a","duration":"x","stats":{"total_participants":1},"y":1,"duration":5,"stats":{},"y":2}"#,
    );
    assert_eq!(activity.duration, Some(5));
    assert_eq!(activity.stats, Some(backstory_formats::Stats::default()));
    assert_eq!(activity.extra.iter().collect::<Vec<_>>(), [("y", "2")]);
}

#[test]
fn only_what_json_takes_for_white_space_may_stand_around_a_row() {
    assert_eq!(decode(b" \t\r\n\t {\"uid\":\"a\"} \t\r\n").len(), 1);
    for line in [&b"\x0c{\"uid\":\"a\"}\n"[..], b"{\"uid\":\"a\"}\x0c\n", b"\x0c\n", b"\x0b{\"uid\":\"a\"}"] {
        assert_eq!(only_error(line).0, ErrorKind::InvalidJson, "{line:?}");
    }
}

#[test]
fn rows_that_are_left_early_are_lost_and_no_others_are_harmed() {
    let export = b"{\"uid\":\"a\"}\n{\"uid\":\"b\"}\n{\"uid\":\"c\"}\n";
    for cut in 1..export.len() {
        let (first, second) = export.split_at(cut);
        let mut lines = JsonLines::new();
        let mut rows = lines.feed(first);
        while rows.next().is_some() {}
        // The first row of the second chunk is drawn, and what may be behind it isn't.
        let drawn = lines.feed(second).next().map(|row| row.activity().unwrap().uid.unwrap().into_owned());
        assert!(drawn.is_some(), "{cut}");
        assert!(lines.finish().is_none(), "{cut}");
        let mut rows = lines.feed(b"{\"uid\":\"d\"}\n");
        assert_eq!(rows.next().unwrap().activity().unwrap().uid.as_deref(), Some("d"), "{cut}");
        assert!(rows.next().is_none());
    }
}

#[test]
fn bad_rows_are_named_and_the_rows_around_them_are_not_harmed() {
    for (line, kind) in [
        (&b"{\"uid\":\"a\""[..], ErrorKind::InvalidJson),
        (b"{\"uid\":\"a\"} {}", ErrorKind::InvalidJson),
        (b"{\"uid\":\"\xff\"}", ErrorKind::InvalidUtf8),
        (b"{\"uid\":\"\x00\"}", ErrorKind::InvalidJson),
        (b"[1]", ErrorKind::InvalidJson),
        (b"<html>", ErrorKind::NotARecord),
        (b"{\"error\":\"NotFoundException\",\"message\":\"HTTP 404 Not Found\"}", ErrorKind::NotARecord),
    ] {
        let export = [b"{\"uid\":\"first\"}\n", line, b"\n{\"uid\":\"last\"}\n"].concat();
        let (found, message) = only_error(&export);
        assert_eq!(found, kind, "{message}");
        assert!(message.starts_with("record 2, line 2, byte 16: "), "{message}");
        assert_eq!(decode(&export).len(), 3);
    }
}

#[test]
fn an_unterminated_last_row_is_accepted_when_it_is_whole_and_refused_when_it_is_cut() {
    assert_eq!(one(r#"{"uid":"a"}"#).uid.as_deref(), Some("a"));
    let whole = "{\"uid\":\"é\",\"duration\":12,\"all_day\":true}".as_bytes();
    for end in 1..whole.len() {
        let (kind, message) = only_error(&whole[..end]);
        assert_eq!(kind, ErrorKind::Unterminated, "{message}");
    }
}

#[test]
fn a_row_beyond_the_bound_is_an_error_and_not_an_allocation() {
    let long = [b"{\"uid\":\"", &[b'x'; 4000][..], b"\"}\n{\"uid\":\"next\"}\n"].concat();
    for size in [1, 7, 64, 5000] {
        let rows = decode_chunks(JsonLines::new().with_max_row_bytes(64), long.chunks(size));
        assert_eq!(rows[0].3.as_ref().unwrap_err().0, ErrorKind::TooLong);
        assert_eq!(rows[0].2, long[..64]);
        assert_eq!((rows[1].0.record, rows[1].0.line), (2, 2));
        assert_eq!(rows[1].3.as_ref().unwrap().uid.as_deref(), Some("next"));
    }
}

#[test]
fn an_absurdly_nested_value_is_a_bad_row_wherever_it_stands() {
    let deep = "[".repeat(100_000) + &"]".repeat(100_000);
    for line in [
        format!("{{\"uid\":\"a\",\"x\":{deep}}}\n"),
        format!("{{\"uid\":\"a\",\"subject\":{deep}}}\n"),
        format!("{{\"uid\":\"a\",\"stats\":{{\"y\":{deep}}}}}\n"),
    ] {
        assert_eq!(only_error(line.as_bytes()).0, ErrorKind::InvalidJson);
    }
}

#[test]
fn a_list_of_absurdly_many_objects_is_a_bad_row_and_not_an_allocation() {
    for (count, fits) in [(65_536, true), (65_537, false)] {
        for drift in ["", r#""duration":"7","#] {
            let people = vec!["{}"; count].join(",");
            let line = format!("{{{drift}\"uid\":\"a\",\"participants\":[{people}]}}\n");
            let decoded = decode(line.as_bytes()).remove(0).3;
            assert_eq!(
                decoded.map(|activity| activity.participants.unwrap().len()).ok(),
                fits.then_some(count)
            );
        }
    }
}

#[test]
fn a_line_of_very_many_unknown_keys_is_read_in_one_pass() {
    // With each key looked for among all before it, these would take hours.
    let keys: String = (0..200_000).map(|key| format!(",\"k{key}\":{key}")).collect();
    for known in [
        r#""uid":"a""#,
        // A value that the quick reading leaves to serde_json, and one of another type than expected.
        r#""uid":"a","duration":1234567890123456789"#,
        r#""uid":"a","duration":"60""#,
    ] {
        let activity = one(&format!("{{{known}{keys},\"k7\":\"last\",\"k0\":[]}}"));
        let extra: Vec<_> = activity.extra.iter().filter(|(key, _)| *key != "duration").collect();
        assert_eq!(extra.len(), 200_000, "{known}");
        // The last value counts, where the key stood first.
        assert_eq!([extra[0], extra[7], extra[8]], [("k0", "[]"), ("k7", "\"last\""), ("k8", "8")]);
        assert_eq!(extra[199_999], ("k199999", "199999"));
    }
    let inside = one(&format!("{{\"participants\":[{{\"name\":7{keys}}}]}}"));
    assert_eq!(inside.participants.unwrap()[0].extra.len(), 200_001);
}

/// A JSON value of any kind, with texts that are hard to carry.
fn value() -> impl Strategy<Value = serde_json::Value> {
    use serde_json::Value;
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        Just(Value::from(1.5)),
        "[ -~\u{85}\u{2028}é\n\"\\\\]{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((key(), inner), 0..5)
                .prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

fn key() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec![
        "uid",
        "type",
        "tags",
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
        "attachment_file_names",
        "time_spent",
    ]);
    prop_oneof![8 => known.prop_map(String::from), 1 => "[a-z\"\\\\é]{1,6}"]
}

#[test]
fn a_part_of_a_file_is_decoded_as_if_the_rest_stood_before_it() {
    let start = Position { record: 1, line: 5, byte: 100 };
    let mut lines = JsonLines::new().starting_at(start);
    let mut rows = lines.feed(b"\xef\xbb\xbf\n{\"uid\":\"a\"}\n");
    let error = rows.next().unwrap().activity().unwrap_err().behind_records(7);
    // What begins a file may not begin a line.
    assert_eq!((error.kind(), error.position()), (ErrorKind::InvalidJson, Position { record: 8, ..start }));
    assert_eq!(rows.next().unwrap().position(), Position { record: 2, line: 6, byte: 104 });
    assert!(rows.next().is_none());
    assert_eq!(lines.position(), Position { record: 3, line: 7, byte: 116 });
}

proptest! {
    #[test]
    fn any_chunking_gives_the_same_rows(
        lines in prop::collection::vec(prop_oneof![
            value().prop_map(|value| value.to_string().into_bytes()),
            prop::collection::vec(any::<u8>(), 0..40),
            Just(b"\r".to_vec()),
        ], 0..8),
        ends_with_newline in any::<bool>(),
        sizes in prop::collection::vec(1_usize..50, 1..20),
        bound in prop_oneof![Just(1_usize << 20), 8_usize..64],
    ) {
        let mut export = lines.join(&b'\n');
        if ends_with_newline {
            export.push(b'\n');
        }
        let mut rest = &export[..];
        let mut chunks = Vec::new();
        for size in sizes.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (chunk, behind) = rest.split_at(rest.len().min(*size));
            chunks.push(chunk);
            rest = behind;
        }
        let whole = decode_chunks(JsonLines::new().with_max_row_bytes(bound), [&export[..]]);
        let chunked = decode_chunks(JsonLines::new().with_max_row_bytes(bound), chunks);
        prop_assert_eq!(whole, chunked);
    }

    #[test]
    fn a_record_holds_what_serde_json_reads(entries in prop::collection::vec((key(), value()), 0..10)) {
        use serde_json::Value;
        let object: serde_json::Map<String, Value> = entries.into_iter().collect();
        let line = Value::Object(object.clone()).to_string();
        let row = decode(line.as_bytes()).remove(0).3;
        let Ok(activity) = row else {
            prop_assert!(object.keys().all(|key| !["uid", "type", "tags", "duration", "all_day", "participants",
                "campaigns", "stats", "crm_status", "attachment_file_names"].contains(&key.as_str())));
            return Ok(());
        };
        let expect = |key: &str, fits: bool| -> Option<String> {
            object.get(key).filter(|value| !value.is_null() && !fits).map(Value::to_string)
        };
        let uid = object.get("uid").and_then(Value::as_str);
        prop_assert_eq!(activity.uid.as_deref(), uid);
        prop_assert_eq!(activity.extra.get("uid").map(String::from), expect("uid", uid.is_some()));
        let duration = object.get("duration").and_then(Value::as_i64);
        prop_assert_eq!(activity.duration, duration);
        prop_assert_eq!(activity.extra.get("duration").map(String::from), expect("duration", duration.is_some()));
        let all_day = object.get("all_day").and_then(Value::as_bool);
        prop_assert_eq!(activity.all_day, all_day);
        let tags = object.get("tags").and_then(Value::as_array).filter(|tags| tags.iter().all(|tag| tag.is_null() || tag.is_string()));
        let texts = tags.map(|tags| tags.iter().filter_map(Value::as_str).collect::<Vec<_>>());
        prop_assert_eq!(activity.tags.as_ref().map(|tags| tags.iter().map(|tag| &**tag).collect::<Vec<_>>()), texts);
        prop_assert_eq!(activity.extra.get("tags").map(String::from), expect("tags", tags.is_some()));
        let people = object.get("participants").and_then(Value::as_array)
            .filter(|people| people.iter().all(|one| one.is_null() || one.is_object()));
        prop_assert_eq!(activity.participants.as_ref().map(Vec::len), people.map(|people| people.iter().filter(|one| one.is_object()).count()));
        let named = |value: &Value| value.get("name").and_then(Value::as_str).map(String::from);
        prop_assert_eq!(
            activity.participants.iter().flatten().map(|one| one.name.as_deref().map(String::from)).collect::<Vec<_>>(),
            people.into_iter().flatten().filter(|one| one.is_object()).map(named).collect::<Vec<_>>()
        );
        for (key, value) in &object {
            let known = activity.extra.get(key).is_none();
            prop_assert!(known || activity.extra.get(key) == Some(value.to_string().as_str()));
        }
    }
}
