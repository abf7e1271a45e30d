//! What a conversion does with good rows, bad rows, cut files, and a caller that stops it.

mod examples;

use std::io::{self, Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use arrow_select::concat::concat_batches;
use backstory_tables::{
    ActivityBatches, BadRows, ContactBatches, Conversion, CsvTables, Error, ErrorKind, Origin,
    ParquetOptions, ParquetTables, Resource, SourceFormat, Summary, explode,
};
use examples::{ACTIVITIES, origin};
use jiff::civil::date;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

/// A file that the test can look into.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Shared {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    fn quarantine(&self, max: u64) -> BadRows {
        let out = self.clone();
        BadRows::quarantine(max, move || Ok(Box::new(out)))
    }
}

fn activities() -> Conversion {
    Conversion::new(Resource::Activities, SourceFormat::JsonLines, origin()).with_file_name("a.jsonl")
}

fn contacts(format: SourceFormat) -> Conversion {
    Conversion::new(Resource::Contacts, format, Origin::offline(jiff::Timestamp::UNIX_EPOCH))
        .with_file_name("c")
}

fn parquet(export: &[u8], bad_rows: &mut BadRows) -> Result<Summary, Error> {
    activities().to_parquet(export, io::sink(), &ParquetOptions::default(), bad_rows)
}

fn csv(export: &str) -> [String; 3] {
    let (mut a, mut p, mut c) = (Vec::new(), Vec::new(), Vec::new());
    activities()
        .to_csv(export.as_bytes(), CsvTables::activities(&mut a, &mut p, &mut c), &mut BadRows::fail())
        .unwrap();
    [a, p, c].map(|bytes| String::from_utf8(bytes).unwrap())
}

#[test]
fn the_summary_counts_rows_children_and_months() {
    let summary = parquet(ACTIVITIES.as_bytes(), &mut BadRows::fail()).unwrap();
    assert_eq!((summary.rows, summary.participants, summary.campaigns, summary.bad_rows), (3, 6, 1, 0));
    assert_eq!(summary.bytes_in, ACTIVITIES.len() as u64);
    assert_eq!(summary.activities_by_month().into_iter().collect::<Vec<_>>(), [(date(2026, 3, 1), 3)]);
    assert_eq!(summary.days(), Some((date(2026, 3, 4), date(2026, 3, 6))));
}

#[test]
fn relational_tables_are_joined_by_key_and_ordinal() {
    let [activities, participants, campaigns] = csv(ACTIVITIES);
    let rows = |text: &str| -> Vec<std::collections::HashMap<String, String>> {
        csv::Reader::from_reader(text.as_bytes()).deserialize().map(Result::unwrap).collect()
    };
    let (activities, participants, campaigns) = (rows(&activities), rows(&participants), rows(&campaigns));
    assert_eq!((activities.len(), participants.len(), campaigns.len()), (3, 6, 1));
    assert_eq!(activities[0]["timestamp"], "2026-03-04T09:08:51Z");
    assert_eq!(activities[0]["stats_total_participants"], "2");
    assert_eq!(activities[0]["crm_status_opportunity_account_name"], "Quillmark Ltd");
    assert_eq!(activities[0]["attachment_file_names"], r#"["quote-v2.pdf"]"#);
    assert_eq!(activities[1]["crm_status_opportunity_account_name"], "");
    assert_eq!(activities[1]["all_day"], "false");
    assert_eq!(activities[2]["_window_end"], "2026-03-31");
    let child = &participants[3];
    assert_eq!((&*child["_key"], &*child["ordinal"], &*child["uid"]), ("mt-000000001", "2", "mt-000000001"));
    assert_eq!(child["_version"], activities[1]["_version"]);
    assert_eq!(participants[2]["team_name"], "West");
    assert_eq!((&*campaigns[0]["_key"], &*campaigns[0]["end_date"]), ("em-000000001", "2026-03-31"));
}

#[test]
fn an_instant_beyond_the_last_that_there_is_stays_in_extra() {
    // Many systems write it for "never"; jiff ends a day and two hours earlier.
    for text in ["9999-12-31T23:59:59", "9999-12-31T23:59:59Z", "9999-12-30T22:00:01"] {
        let [activities, ..] = csv(&format!("{{\"uid\":\"a\",\"timestamp\":\"{text}\"}}\n"));
        let mut rows = csv::Reader::from_reader(activities.as_bytes());
        let row: std::collections::HashMap<String, String> = rows.deserialize().next().unwrap().unwrap();
        assert_eq!((&*row["timestamp"], &*row["extra"]), ("", &*format!("{{\"timestamp\":\"{text}\"}}")));
    }
    let [activities, ..] = csv("{\"uid\":\"a\",\"timestamp\":\"9999-12-30T22:00:00\"}\n");
    assert!(activities.contains(",9999-12-30T22:00:00Z,"), "{activities}");
}

#[test]
fn very_many_unknown_keys_are_carried_in_one_pass() {
    let keys: String = (0..200_000).map(|key| format!(",\"k{key}\":{key}")).collect();
    let line = format!("{{\"uid\":\"a\"{keys},\"participants\":[{{\"name\":\"n\"{keys}}}]}}\n");
    let [activities, participants, _] = csv(&line);
    assert!(activities.contains(",\"\"k199999\"\":199999}"));
    assert!(participants.contains(",\"\"k199999\"\":199999}"));
}

#[test]
fn relational_parquet_files_hold_what_the_csv_files_do() {
    let export = ACTIVITIES.repeat(50);
    let [mut a, mut p, mut c] = [Vec::new(), Vec::new(), Vec::new()];
    let options = ParquetOptions::default().with_row_group_bytes(20_000);
    let tables = ParquetTables::activities(&mut a, &mut p, &mut c);
    let summary =
        activities().to_parquet_tables(export.as_bytes(), tables, &options, &mut BadRows::fail()).unwrap();
    assert_eq!((summary.rows, summary.participants, summary.campaigns), (150, 300, 50));
    let mut nested = Vec::new();
    activities()
        .to_batches(
            export.as_bytes(),
            |batch| {
                nested.push(batch);
                Ok(())
            },
            &mut BadRows::fail(),
        )
        .unwrap();
    assert_eq!(nested.len(), 1);
    let expected = explode(&nested[0]).unwrap();
    for (file, expected) in
        [a, p, c].into_iter().zip([expected.activities, expected.participants, expected.campaigns])
    {
        let reader = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(file)).unwrap();
        assert!(reader.metadata().num_row_groups() > 3);
        let batches: Vec<_> = reader.build().unwrap().map(Result::unwrap).collect();
        assert_eq!(concat_batches(&expected.schema(), &batches).unwrap(), expected);
    }
}

#[test]
fn batches_can_be_drawn_from_a_reader() {
    let (origin, export) = (origin(), ACTIVITIES.repeat(2_000));
    let reader = io::BufReader::with_capacity(1_000, export.as_bytes());
    let sizes: Vec<usize> =
        ActivityBatches::new(reader, &origin).map(|batch| batch.unwrap().num_rows()).collect();
    assert!(sizes.len() > 2 && sizes.iter().sum::<usize>() == 6_000, "{sizes:?}");
    let mut cut = ActivityBatches::new(&b"{\"uid\":\"a\"}\n{\"uid\""[..], &origin);
    assert!(cut.next().unwrap().unwrap_err().is_suspect_file());
    assert!(cut.next().is_none());
    let contacts = &b"email,phone\na,1\nb,2"[..];
    assert_eq!(ContactBatches::new(contacts, &origin).next().unwrap().unwrap().num_rows(), 2);
}

#[test]
fn csv_files_of_an_empty_export_have_their_headers() {
    let [activities, participants, campaigns] = csv("");
    assert!(activities.starts_with("_key,uid,type,") && activities.lines().count() == 1);
    assert!(participants.starts_with("_key,ordinal,uid,peopleai_id,"));
    assert!(campaigns.starts_with("_key,ordinal,uid,crm_id,name,start_date,end_date,extra,_version"));
}

#[test]
fn the_described_columns_are_those_of_the_files() {
    let headers = csv("").map(|text| text.trim_end().to_owned());
    let described = backstory_tables::describe_relational(Resource::Activities);
    let names = described
        .iter()
        .map(|table| table.columns.iter().map(|column| column.name.clone()).collect::<Vec<_>>().join(","));
    assert_eq!(names.collect::<Vec<_>>(), headers);
    for resource in Resource::ALL {
        let nested = backstory_tables::describe_nested(*resource);
        let top: Vec<&str> = nested
            .columns
            .iter()
            .map(|column| column.name.as_str())
            .filter(|name| !name.contains('.'))
            .collect();
        let schema = backstory_tables::schema(*resource);
        assert_eq!(top, schema.fields().iter().map(|field| field.name().as_str()).collect::<Vec<_>>());
    }
}

#[test]
fn the_described_types_are_those_of_the_tables() {
    use backstory_tables::{
        ColumnType, TableDescription, describe_nested, describe_relational, explode, schema,
    };
    use parquet::arrow::ArrowSchemaConverter;
    let check = |described: &TableDescription, schema: &arrow_schema::Schema| {
        let top = described.columns.iter().filter(|column| !column.name.contains('.'));
        let parquet = ArrowSchemaConverter::new().convert(schema).unwrap();
        for (column, field) in top.zip(schema.fields()) {
            let arrow = match field.data_type() {
                arrow_schema::DataType::Timestamp(_, Some(zone)) => format!("Timestamp(us, {zone})"),
                arrow_schema::DataType::Struct(_) => "Struct".to_owned(),
                arrow_schema::DataType::List(inner) if inner.data_type().is_nested() => {
                    "List(Struct)".to_owned()
                }
                arrow_schema::DataType::List(inner) => format!("List({})", inner.data_type()),
                other => other.to_string(),
            };
            assert_eq!((field.name(), column.kind.arrow()), (&column.name, arrow.as_str()));
            assert_eq!(column.required, !field.is_nullable(), "{}.{}", described.name, column.name);
            let leaf = parquet.columns().iter().find(|leaf| leaf.path().string() == column.name);
            if let Some(leaf) = leaf {
                let mut printed = Vec::new();
                parquet::schema::printer::print_schema(&mut printed, leaf.self_type());
                let printed = String::from_utf8(printed).unwrap();
                let (physical, logical) = column
                    .kind
                    .parquet()
                    .split_once(' ')
                    .map_or((column.kind.parquet(), ""), |(p, l)| (p, l));
                assert!(printed.contains(physical) && printed.contains(logical), "{printed}: {logical}");
            } else {
                let nested = [ColumnType::TextList, ColumnType::Struct, ColumnType::StructList];
                assert!(nested.contains(&column.kind), "{}", column.name);
            }
        }
    };
    for resource in Resource::ALL {
        check(&describe_nested(*resource), &schema(*resource));
    }
    let flat = explode(&arrow_array::RecordBatch::new_empty(schema(Resource::Activities))).unwrap();
    for (described, batch) in describe_relational(Resource::Activities).iter().zip([
        flat.activities,
        flat.participants,
        flat.campaigns,
    ]) {
        check(described, &batch.schema());
    }
}

#[test]
fn a_bad_row_is_refused_with_its_position() {
    let error = parquet(b"{\"uid\":\"a\"}\n{\"uid\":\n", &mut BadRows::fail()).unwrap_err();
    assert_eq!((error.kind(), error.position().unwrap().line), (ErrorKind::BadRow, 2));
    assert_eq!(error.to_string(), "a row of a.jsonl can't be read; quarantine bad rows to go on without it");
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.starts_with("record 2, line 2, byte 12: "), "{cause}");
}

#[test]
fn quarantined_rows_keep_their_place_their_reason_and_their_bytes() {
    let out = Shared::default();
    let mut bad_rows = out.quarantine(10);
    let summary = parquet(b"{\"uid\":\"a\"}\n{\"uid\":\n\xff\n{\"uid\":\"b\"}\n", &mut bad_rows).unwrap();
    assert_eq!((summary.rows, summary.bad_rows), (2, 2));
    assert_eq!(bad_rows.finish().unwrap(), 2);
    let text = out.text();
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0]["file"], "a.jsonl");
    assert_eq!(
        (&lines[0]["record"], &lines[0]["line"], &lines[0]["byte"]),
        (&2.into(), &2.into(), &12.into())
    );
    assert_eq!((&lines[0]["encoding"], &lines[0]["raw"]), (&"utf-8".into(), &"{\"uid\":".into()));
    assert!(lines[0]["reason"].as_str().unwrap().contains("isn't a JSON object"));
    assert_eq!((&lines[1]["encoding"], &lines[1]["raw"]), (&"base64".into(), &"/w==".into()));
}

#[test]
fn a_quarantined_row_is_what_the_file_holds_from_its_byte_on() {
    let of_activities = "\u{feff} {\"uid\":7 7}\n\n \t{\"uid\": \r\n{\"uid\":\"a\"}\n";
    let of_contacts = "[{\"email\":\"a\"},\n  {\"email\":7 7} , 8 ]";
    let of_csv = "\u{feff}email,phone\r\n\r\na\r\nb,1\r\nc,2,3\r\n";
    for (conversion, export) in [
        (activities(), of_activities),
        (contacts(SourceFormat::Json), of_contacts),
        (contacts(SourceFormat::Csv), of_csv),
    ] {
        let out = Shared::default();
        conversion.copy_checked(export.as_bytes(), io::sink(), &mut out.quarantine(10)).unwrap();
        assert_eq!(out.text().lines().count(), 2, "{export}");
        for line in out.text().lines() {
            let bad: serde_json::Value = serde_json::from_str(line).unwrap();
            let byte = bad["byte"].as_u64().unwrap() as usize;
            assert!(export[byte..].starts_with(bad["raw"].as_str().unwrap()), "{line}");
        }
    }
    let out = Shared::default();
    parquet(of_activities.as_bytes(), &mut out.quarantine(10)).unwrap();
    assert!(out.text().contains(r#""raw":" \t{\"uid\": \r"}"#), "{}", out.text());
}

#[test]
fn one_bad_row_more_than_allowed_is_an_error() {
    let out = Shared::default();
    let mut bad_rows = out.quarantine(1);
    let error = parquet(b"{\"uid\":\"a\"}\n1\n2\n", &mut bad_rows).unwrap_err();
    assert_eq!((error.kind(), bad_rows.count()), (ErrorKind::TooManyBadRows, 1));
}

#[test]
fn an_unopened_quarantine_is_never_created() {
    let mut bad_rows = BadRows::quarantine(1, || panic!("opened without a bad row"));
    parquet(ACTIVITIES.as_bytes(), &mut bad_rows).unwrap();
    assert_eq!(bad_rows.finish().unwrap(), 0);
}

#[test]
fn a_cut_file_a_refusal_and_html_are_never_quarantined() {
    for export in [
        &b"{\"uid\":\"a\"}\n{\"uid\":\"b"[..],
        b"{\"error\":\"NotFoundException\",\"message\":\"HTTP 404 Not Found\"}\n",
        b"<html>\n",
    ] {
        let error = parquet(export, &mut Shared::default().quarantine(10)).unwrap_err();
        assert!(error.is_suspect_file(), "{error}");
    }
}

#[test]
fn a_copy_without_bad_rows_is_the_input_byte_for_byte() {
    for export in ["", "{\"uid\":\"a\"}", "\u{feff}{\"uid\":\"a\"}\r\n\r\n  {\"uid\":\"b\"} \n\n"] {
        let mut copy = Vec::new();
        activities().copy_checked(export.as_bytes(), &mut copy, &mut BadRows::fail()).unwrap();
        assert_eq!(String::from_utf8(copy).unwrap(), export);
    }
    let export = "\"email\",phone\r\n\"a\nb\",1\r\n";
    let mut copy = Vec::new();
    contacts(SourceFormat::Csv).copy_checked(export.as_bytes(), &mut copy, &mut BadRows::fail()).unwrap();
    assert_eq!(String::from_utf8(copy).unwrap(), export);
}

/// Gives its bytes in pieces of a size.
struct Pieces<'a>(&'a [u8], usize);

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = self.1.min(self.0.len()).min(buffer.len());
        buffer[..len].copy_from_slice(&self.0[..len]);
        self.0 = &self.0[len..];
        Ok(len)
    }
}

#[test]
fn a_copy_leaves_out_bad_rows_and_nothing_else_however_it_is_read() {
    let long = "x".repeat(500);
    let export = format!("{{\"uid\":\"a\"}}\nbad\n\n{{\"uid\":\"b\"}}\n{long}\n{{\"uid\":\"c\"}}\nworse\n");
    for size in [1, 3, 50, 10_000] {
        let (mut copy, out) = (Vec::new(), Shared::default());
        let summary = activities()
            .with_max_row_bytes(100)
            .copy_checked(Pieces(export.as_bytes(), size), &mut copy, &mut out.quarantine(10))
            .unwrap();
        assert_eq!(String::from_utf8(copy).unwrap(), "{\"uid\":\"a\"}\n\n{\"uid\":\"b\"}\n{\"uid\":\"c\"}\n");
        assert_eq!((summary.rows, summary.bad_rows), (3, 3));
    }
}

#[test]
fn a_copy_of_csv_leaves_out_bad_rows_with_their_line_ends_however_it_is_read() {
    let export = "email,phone\r\na,1\r\nbad\r\nb,2\r\n\"x\",\"y\",z\r\nworse\r\n\r\nc,3\r\nworst\r\n";
    for size in [1, 2, 3, 7, 10_000] {
        let (mut copy, out) = (Vec::new(), Shared::default());
        let summary = contacts(SourceFormat::Csv)
            .copy_checked(Pieces(export.as_bytes(), size), &mut copy, &mut out.quarantine(10))
            .unwrap();
        assert_eq!(String::from_utf8(copy).unwrap(), "email,phone\r\na,1\r\nb,2\r\n\r\nc,3\r\n", "{size}");
        assert_eq!((summary.rows, summary.bad_rows), (3, 4));
    }
}

#[test]
fn contacts_delivered_as_json_are_copied_as_json_lines() {
    let export = "{\"data\":[{\"email\":\"a\"}, 7 ,{\"email\":\"b\"}]}";
    let (mut copy, out) = (Vec::new(), Shared::default());
    contacts(SourceFormat::Json).copy_checked(export.as_bytes(), &mut copy, &mut out.quarantine(10)).unwrap();
    assert_eq!(String::from_utf8(copy).unwrap(), "{\"email\":\"a\"}\n{\"email\":\"b\"}\n");
}

#[test]
fn a_set_flag_stops_the_conversion() {
    let flag = Arc::new(AtomicBool::new(false));
    let setter = Arc::clone(&flag);
    let error = activities()
        .with_cancellation(flag)
        .with_progress(move |progress| setter.store(progress.bytes_in > 0, Ordering::Relaxed))
        .to_parquet(
            ACTIVITIES.repeat(1_000).as_bytes(),
            io::sink(),
            &ParquetOptions::default(),
            &mut BadRows::fail(),
        )
        .unwrap_err();
    assert!(error.is_cancelled());
}

#[test]
fn a_reader_or_writer_that_fails_is_named() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("cable"))
        }
    }
    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::Error::new(io::ErrorKind::StorageFull, "disk"))
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let read = activities().to_batches(Broken, |_| Ok(()), &mut BadRows::fail()).unwrap_err();
    assert_eq!((read.kind(), read.to_string().as_str()), (ErrorKind::Read, "can't read a.jsonl"));
    let options = ParquetOptions::default();
    let write =
        activities().to_parquet(ACTIVITIES.as_bytes(), Broken, &options, &mut BadRows::fail()).unwrap_err();
    assert_eq!(write.kind(), ErrorKind::Write);
}

#[test]
fn a_form_that_a_resource_never_has_is_refused() {
    let error = Conversion::new(Resource::Activities, SourceFormat::Csv, origin())
        .to_batches(&b""[..], |_| Ok(()), &mut BadRows::fail())
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Format);
}

/// A Parquet file ends with its footer, the footer's length, and `PAR1`.
fn footer_bytes(file: &[u8]) -> usize {
    let length = file[file.len() - 8..].first_chunk::<4>().unwrap();
    u32::from_le_bytes(*length) as usize
}

#[test]
fn metadata_at_the_end_tells_what_was_seen_and_where_the_rows_end() {
    for (conversion, export) in [
        (activities(), ACTIVITIES.as_bytes()),
        (contacts(SourceFormat::Csv), &b"email\nrin@example.com\n"[..]),
    ] {
        let written = Shared::default();
        let so_far = Arc::clone(&written.0);
        let conversion = conversion.with_metadata_at_end(move |summary| {
            let bytes = so_far.lock().unwrap().len();
            vec![("rows".to_owned(), format!("{} rows in {bytes} bytes", summary.rows))]
        });
        let options = ParquetOptions::default();
        let summary = conversion.to_parquet(export, written.clone(), &options, &mut BadRows::fail()).unwrap();
        let bytes = bytes::Bytes::from(written.0.lock().unwrap().clone());
        let file = ParquetRecordBatchReaderBuilder::try_new(bytes.clone()).unwrap();
        let entries = file.metadata().file_metadata().key_value_metadata().unwrap().clone();
        let entry = entries.iter().find(|entry| entry.key == "rows").unwrap();
        let end = bytes.len() - 8 - footer_bytes(&bytes);
        assert_eq!(entry.value, Some(format!("{} rows in {end} bytes", summary.rows)));
    }
}
