//! What the nested tables hold, read back from Parquet.

mod examples;

use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef, RecordBatch};
use backstory_tables::{BadRows, Conversion, Origin, ParquetOptions, Resource, SourceFormat, schema};
use examples::{ACTIVITIES, origin};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

fn to_parquet(export: &str, options: &ParquetOptions) -> Vec<u8> {
    let mut file = Vec::new();
    Conversion::new(Resource::Activities, SourceFormat::JsonLines, origin())
        .to_parquet(export.as_bytes(), &mut file, options, &mut BadRows::fail())
        .unwrap();
    file
}

fn read(file: Vec<u8>) -> Vec<RecordBatch> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(file)).unwrap();
    assert_eq!(reader.schema().fields(), schema(Resource::Activities).fields());
    reader.build().unwrap().map(Result::unwrap).collect()
}

fn read_examples() -> RecordBatch {
    let batches = read(to_parquet(ACTIVITIES, &ParquetOptions::default()));
    assert_eq!(batches.len(), 1);
    batches.into_iter().next().unwrap()
}

/// A value by its path: names, and numbers of list elements.
fn at(batch: &RecordBatch, row: usize, path: &str) -> String {
    let mut parts = path.split('.');
    let mut array: ArrayRef = batch.column_by_name(parts.next().unwrap()).unwrap().slice(row, 1);
    for part in parts {
        if array.is_null(0) {
            return "null".into();
        }
        array = match part.parse::<usize>() {
            Ok(item) => array.as_list::<i32>().value(0).slice(item, 1),
            Err(_) => array
                .as_struct()
                .column_by_name(part)
                .unwrap_or_else(|| panic!("no {part} in {path}"))
                .clone(),
        };
    }
    if array.is_null(0) {
        return "null".into();
    }
    if let Some(texts) = array.as_string_opt::<i32>() {
        texts.value(0).into()
    } else if let Some(integers) = array.as_primitive_opt::<Int64Type>() {
        integers.value(0).to_string()
    } else if let Some(booleans) = array.as_boolean_opt() {
        booleans.value(0).to_string()
    } else if let Some(instants) = array.as_primitive_opt::<TimestampMicrosecondType>() {
        jiff::Timestamp::from_microsecond(instants.value(0)).unwrap().to_string()
    } else if let Some(days) = array.as_primitive_opt::<Date32Type>() {
        days.value_as_date(0).unwrap().to_string()
    } else {
        format!("{} items", array.as_list::<i32>().value_length(0))
    }
}

#[test]
fn every_field_of_the_examples_lands_in_its_column() {
    let batch = read_examples();
    let email = [
        ("_key", "em-000000001"),
        ("uid", "em-000000001"),
        ("type", "email"),
        ("source_id", "msg-1002@mail.example.com"),
        ("timestamp", "2026-03-04T09:08:51Z"),
        ("ingest_timestamp", "2026-03-04T09:10:02Z"),
        ("tags.0", "email"),
        ("direction", "outbound"),
        ("subject", "Revised quote"),
        ("summary", "null"),
        ("in_reply_to_source_id", "msg-1001@mail.example.com"),
        ("reply_received", "false"),
        ("attachment_file_names", "1 items"),
        ("attachment_file_names.0", "quote-v2.pdf"),
        ("campaigns.0.crm_id", "7015f000000AAAAAA1"),
        ("campaigns.0.name", "Spring Launch"),
        ("campaigns.0.start_date", "2026-03-01"),
        ("campaigns.0.end_date", "2026-03-31"),
        ("campaigns.0.extra", "null"),
        ("participants", "2 items"),
        ("participants.0.role", "originator"),
        ("participants.0.type", "internal"),
        ("participants.0.time_spent", "180"),
        ("participants.0.team.crm_id", "410000001"),
        ("participants.0.team.name", "West"),
        ("participants.0.peopleai_id", "9000000001"),
        ("participants.0.crm_id", "0055f00000EEEEEEE1"),
        ("participants.0.name", "Avery Stone"),
        ("participants.0.title", "Account Executive"),
        ("participants.0.email", "avery.stone@vendor.example"),
        ("participants.0.phone", "null"),
        ("participants.1.matched_as", "contact"),
        ("participants.1.team", "null"),
        ("stats.total_participants", "2"),
        ("stats.internal_participants", "1"),
        ("stats.external_participants", "1"),
        ("stats.contacts_participants", "1"),
        ("stats.participants_on_to_line", "1"),
        ("stats.participants_on_cc_line", "0"),
        ("stats.accepted_participants", "null"),
        ("crm_status.matched_to", "opportunity"),
        ("crm_status.pushed", "true"),
        ("crm_status.push_time", "2026-03-04T09:12:44Z"),
        ("crm_status.crm_id", "00T5f00000BBBBBBB1"),
        ("crm_status.account.crm_id", "0015f00000CCCCCCC1"),
        ("crm_status.account.name", "Quillmark Ltd"),
        ("crm_status.opportunity.crm_id", "0065f00000DDDDDDD1"),
        ("crm_status.opportunity.name", "Quillmark renewal"),
        ("crm_status.opportunity.stage_name", "Proposal"),
        ("crm_status.opportunity.stage_rank", "3"),
        ("crm_status.opportunity.account.crm_id", "0015f00000CCCCCCC1"),
        ("crm_status.opportunity.account.name", "Quillmark Ltd"),
        ("crm_status.lead", "null"),
        ("extra", "null"),
        ("_job_id", "17"),
        ("_fragment", "2"),
        ("_line", "1"),
        ("_window_start", "2026-03-01"),
        ("_window_end", "2026-03-31"),
        ("_extracted_at", "2026-04-02T06:00:00Z"),
    ];
    let meeting = [
        ("campaigns", "0 items"),
        ("created", "2026-03-01T15:00:00Z"),
        ("start_time", "2026-03-05T17:00:00Z"),
        ("end_time", "2026-03-05T17:30:00Z"),
        ("all_day", "false"),
        ("location", "Room 4 / video"),
        ("status", "confirmed"),
        ("duration", "1800"),
        ("summary", "Quillmark quarterly review"),
        ("follow_up_email_source_id", "msg-1003@mail.example.com"),
        ("participants.1.status", "tentative"),
        ("stats.accepted_participants", "1"),
        ("stats.declined_participants", "0"),
        ("stats.tentative_participants", "1"),
        ("crm_status.account.parent_account_crm_id", "0015f00000HHHHHHH1"),
        ("crm_status.account.parent_account_name", "Quillmark Group"),
        ("_line", "2"),
    ];
    let call = [
        ("tags", "2 items"),
        ("tags.1", "logged_call"),
        ("outbound_phone_number", "+15550100123"),
        ("participants.0.phone", "+15550100999"),
        ("crm_status.lead.crm_id", "00Q5f00000JJJJJJJ1"),
        ("crm_status.lead.name", "Sol Marchetti"),
        ("crm_status.lead.title", "R&D lead"),
        ("crm_status.lead.phone", "+15550100123"),
        ("crm_status.lead.email", "sol.marchetti@larkfield.example"),
        ("crm_status.lead.lead_stage", "Working"),
        ("extra", r#"{"experimental":{"internal_match_status":{"matched_to":"none","pushed":false}}}"#),
    ];
    for (row, expected) in [&email[..], &meeting, &call].into_iter().enumerate() {
        for (path, value) in expected {
            assert_eq!(at(&batch, row, path), *value, "{path} of row {row}");
        }
    }
}

#[test]
fn what_the_schema_does_not_know_stands_in_extra_under_its_own_path() {
    let export = r#"{"uid":"a","x":1,"timestamp":"soon","duration":"60","stats":{"y":2},"crm_status":{"contact":{"crm_id":"3"},"push_time":"never","opportunity":{"account":{"z":[4]},"stage_rank":1.5}},"participants":[{"mood":"sunny","team":{"q":5}},{}],"campaigns":[{"start_date":"2026-02-30"}]}"#;
    let batch = &read(to_parquet(export, &ParquetOptions::default()))[0];
    let extra: serde_json::Value = serde_json::from_str(&at(batch, 0, "extra")).unwrap();
    assert_eq!(
        extra,
        serde_json::json!({"x": 1, "timestamp": "soon", "duration": "60", "stats": {"y": 2}, "crm_status":
            {"contact": {"crm_id": "3"}, "push_time": "never", "opportunity": {"account": {"z": [4]}, "stage_rank": 1.5}}})
    );
    assert_eq!(at(batch, 0, "participants.0.extra"), r#"{"mood":"sunny","team":{"q":5}}"#);
    assert_eq!(at(batch, 0, "participants.1.extra"), "null");
    assert_eq!(at(batch, 0, "campaigns.0.extra"), r#"{"start_date":"2026-02-30"}"#);
    assert_eq!(at(batch, 0, "campaigns.0.start_date"), "null");
}

#[test]
fn a_record_without_uid_is_keyed_by_its_source_and_else_by_its_content() {
    let export = "{\"uid\":\"a\"}\n{\"type\":\"call\",\"source_id\":\"s1\"}\n{\"type\":\"call\",\"summary\":\"x\"}\n\
                  {\"summary\":\"x\",\"type\":\"call\"}\n{\"uid\":\"\",\"type\":\"email\"}\n";
    let batch = &read(to_parquet(export, &ParquetOptions::default()))[0];
    let keys: Vec<String> = (0..5).map(|row| at(batch, row, "_key")).collect();
    assert_eq!(keys[..2], ["a", "~call~s1"]);
    assert!(keys[2].starts_with("~~") && keys[2].len() == 34);
    assert_eq!(keys[2], keys[3]);
    assert_ne!(keys[3], keys[4]);
}

#[test]
fn the_newer_processing_is_the_greater_version() {
    let export = "{\"uid\":\"a\",\"ingest_timestamp\":\"2026-03-04T09:10:03\"}\n{\"uid\":\"a\",\"ingest_timestamp\":\"2026-03-04T09:10:02Z\"}\n{\"uid\":\"a\"}\n";
    let batch = &read(to_parquet(export, &ParquetOptions::default()))[0];
    let versions: Vec<String> = (0..3).map(|row| at(batch, row, "_version")).collect();
    // The last one has no time of processing, so the job's counts, which is later.
    assert!(versions[1] < versions[0] && versions[0] < versions[2], "{versions:?}");
}

#[test]
fn row_groups_end_where_they_were_asked_to() {
    let line = ACTIVITIES.lines().next().unwrap();
    let export = format!("{line}\n").repeat(40_000);
    let file =
        to_parquet(&export, &ParquetOptions::default().with_row_group_bytes(1 << 20).with_metadata("k", "v"));
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(file)).unwrap();
    let groups = reader.metadata().row_groups();
    assert!(groups.len() > 4);
    assert_eq!(groups.iter().map(|group| group.num_rows()).sum::<i64>(), 40_000);
    let metadata = reader.metadata().file_metadata().key_value_metadata().unwrap();
    assert!(metadata.iter().any(|entry| entry.key == "k" && entry.value.as_deref() == Some("v")));
}

#[test]
fn contacts_are_keyed_by_person_account_and_user() {
    let export = "email,phone,first_name,last_name,account_crm_id,account_domain,source_peopleai_id,shoe_size\n\
                  Rin@Q.example,,,,001,q,9,43\nrin@q.example,,,,002,q,9,\n,+15550100,,,,larkfield,,\n,,Sol,M~x,,,,\n,,,,001,,,\n";
    let mut batches = Vec::new();
    let summary =
        Conversion::new(Resource::Contacts, SourceFormat::Csv, Origin::offline(jiff::Timestamp::UNIX_EPOCH))
            .to_batches(
                export.as_bytes(),
                |batch| {
                    batches.push(batch);
                    Ok(())
                },
                &mut BadRows::fail(),
            )
            .unwrap();
    assert_eq!((summary.rows, batches.len()), (5, 1));
    let keys: Vec<String> = (0..5).map(|row| at(&batches[0], row, "_key")).collect();
    assert_eq!(
        keys[..4],
        ["~rin@q.example~001~9", "~rin@q.example~002~9", "~+15550100~larkfield~", "~Sol M%7ex~~"]
    );
    assert!(keys[4].starts_with("~~"));
    assert_eq!(at(&batches[0], 0, "extra"), r#"{"shoe_size":"43"}"#);
    assert_eq!(at(&batches[0], 0, "_job_id"), "null");
    assert_eq!(at(&batches[0], 0, "_window_start"), "null");
}
