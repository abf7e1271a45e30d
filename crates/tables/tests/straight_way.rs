//! Rows go to columns by a straight way, where they are plain; the columns must hold what records would have put there.

mod examples;

use backstory_formats::{ContactsCsv, JsonLines};
use backstory_tables::{ActivityBatchBuilder, ContactBatchBuilder};
use examples::{ACTIVITIES, origin};
use proptest::prelude::*;

/// JSON with the record's own keys, spelled in many ways, some of them wrong.
fn object() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        2 => "(-)?(0|[1-9][0-9]{0,18})(\\.[0-9]{0,2})?",
        6 => "\"[ -!#-\\[\\]-~é\u{2028}]{0,50}\"",
        2 => "\"([a-z]|\\\\[\"\\\\/bfnrt]|\\\\u[0-9a-f]{4}){0,12}\"",
        2 => "\"2026-0[1-9]-1[0-9](T1[0-9]:00:59(\\.[0-9]{1,7})?Z?)?\"",
        2 => prop::sample::select(vec!["null", "true", "false", "[]", "{}", "[ ]", "{ }"]).prop_map(String::from),
    ];
    let key = prop::sample::select(vec![
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
        "team",
        "total_participants",
        "account",
        "attachment_file_names",
        "timestamp",
        "push_time",
        "start_date",
        "x",
        "y",
        "email",
    ]);
    leaf.prop_recursive(4, 60, 8, move |inner| {
        let space = || "[ \t]{0,1}";
        let list = (prop::collection::vec(inner.clone(), 0..4), space())
            .prop_map(|(items, space)| format!("[{space}{}]", items.join(&format!(",{space}"))));
        let entry = (key.clone(), space(), inner)
            .prop_map(|(key, space, value)| format!("{space}\"{key}\"{space}:{space}{value}{space}"));
        let object =
            prop::collection::vec(entry, 0..8).prop_map(|entries| format!("{{{}}}", entries.join(",")));
        prop_oneof![1 => list, 3 => object]
    })
}

/// Rows that are plain, so that odd ones stand between such as went the straight way.
fn plain() -> impl Strategy<Value = String> {
    ("[a-z]{1,40}", 0..1_000_u32, 0..4_usize, any::<bool>()).prop_map(|(text, number, people, more)| {
        let person = format!(r#"{{"name":"{text}","time_spent":{number},"team":{{"crm_id":"{number}"}},"role":null}}"#);
        let people = vec![person; people].join(",");
        let more = if more { r#","experimental":{"a":[1,"b"]},"stats":{"total_participants":7}"# } else { "" };
        format!(r#"{{"uid":"{text}{number}","participants":[{people}],"tags":["{text}",null],"timestamp":"2026-03-04T09:08:51"{more}}}"#)
    })
}

fn cell() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-zé]{0,40}",
        2 => "[ +-]?[0-9]{1,19} ?",
        1 => prop::sample::select(vec!["true", "NO", "\"a,\"\"b\"", "maybe", ""]).prop_map(String::from),
    ]
}

fn straight_and_by_records(export: &[u8]) -> Result<(), TestCaseError> {
    let mut straight = ActivityBatchBuilder::new(&origin());
    let mut by_records = ActivityBatchBuilder::new(&origin());
    let mut lines = JsonLines::new();
    let mut rows = lines.feed(export);
    while let Some(row) = rows.next() {
        let taken = straight.push_row(&row).is_ok();
        let activity = row.activity();
        prop_assert_eq!(taken, activity.is_ok());
        if let Ok(activity) = activity {
            by_records.push(&activity, row.position().line);
        }
    }
    prop_assert_eq!(straight.finish(), by_records.finish());
    Ok(())
}

#[test]
fn the_examples_are_the_same_either_way() {
    straight_and_by_records(ACTIVITIES.as_bytes()).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn activities_read_straight_into_columns_are_those_of_records(
        rows in prop::collection::vec(prop_oneof![object(), plain()], 1..12),
    ) {
        straight_and_by_records(format!("{}\n", rows.join("\n")).as_bytes())?;
    }

    #[test]
    fn contacts_read_straight_into_columns_are_those_of_records(
        rows in prop::collection::vec(prop_oneof![
            1 => prop::collection::vec(cell(), 6).prop_map(|cells| cells.join(",")),
            3 => "[a-z]{1,20}@x,[0-9]{0,9},,(true|false)?,(\"[a-zé,]{0,20}\"|[a-z]{0,70}),\\+1[0-9]{3}",
        ], 1..80),
        last in prop::sample::select(vec!["email", "phone", "y", "x"]),
        size in prop_oneof![Just(usize::MAX), 30_usize..3_000],
    ) {
        let export = format!("email,total_inbound,x,from_cc,first_name,{last}\n{}\n", rows.join("\n"));
        let mut many = ContactBatchBuilder::new(&origin());
        let mut csv = ContactsCsv::new();
        for chunk in export.as_bytes().chunks(size.min(export.len())) {
            let mut rows = csv.feed(chunk);
            loop {
                if many.push_rows(&mut rows) == 0 {
                    let Some(row) = rows.next() else { break };
                    let _ = many.push_row(&row);
                }
            }
        }
        let mut straight = ContactBatchBuilder::new(&origin());
        let mut by_records = ContactBatchBuilder::new(&origin());
        let mut csv = ContactsCsv::new();
        let mut rows = csv.feed(export.as_bytes());
        while let Some(row) = rows.next() {
            let taken = straight.push_row(&row).is_ok();
            let contact = row.contact();
            prop_assert_eq!(taken, contact.is_ok());
            if let Ok(contact) = contact {
                by_records.push(&contact, row.position().line);
            }
        }
        prop_assert_eq!((many.len(), many.is_full()), (straight.len(), straight.is_full()));
        let by_records = by_records.finish();
        prop_assert_eq!(&straight.finish(), &by_records);
        prop_assert_eq!(&many.finish(), &by_records);
    }
}
