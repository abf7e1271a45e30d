//! However many threads there are, a conversion writes the same file, counts the same, and fails at the same place.

mod examples;

use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};

use arrow_array::RecordBatch;
use arrow_select::concat::concat_batches;
use backstory_tables::{
    ActivityBatches, BadRows, Compression, Conversion, Error, ErrorKind, ParallelActivityBatches,
    ParquetOptions, Resource, SourceFormat, Summary, schema,
};
use examples::{ACTIVITIES, origin};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::Encoding;
use proptest::prelude::*;

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

/// What a conversion leaves behind: its file and quarantine, and what it reported.
type Outcome = (Vec<u8>, Vec<u8>, Told);

type Told = Result<Summary, (ErrorKind, Option<backstory_formats::Position>, String)>;

fn convert(export: &[u8], threads: usize, max_bad_rows: u64) -> Outcome {
    let (mut file, quarantine) = (Vec::new(), Shared::default());
    let out = quarantine.clone();
    let mut bad_rows = BadRows::quarantine(max_bad_rows, move || Ok(Box::new(out)));
    let summary = Conversion::new(Resource::Activities, SourceFormat::JsonLines, origin())
        .with_max_row_bytes(5_000)
        .with_threads(NonZeroUsize::new(threads).unwrap())
        .to_parquet(export, &mut file, &ParquetOptions::default().with_row_group_bytes(3_000), &mut bad_rows);
    let quarantined = quarantine.0.lock().unwrap().clone();
    (file, quarantined, told(summary))
}

/// Like [`convert`], to batches.
fn batches_of(export: &[u8], threads: usize, max_bad_rows: u64) -> (Vec<RecordBatch>, Vec<u8>, Told) {
    let (mut batches, quarantine) = (Vec::new(), Shared::default());
    let out = quarantine.clone();
    let mut bad_rows = BadRows::quarantine(max_bad_rows, move || Ok(Box::new(out)));
    let take = |batch| {
        batches.push(batch);
        Ok(())
    };
    let summary = Conversion::new(Resource::Activities, SourceFormat::JsonLines, origin())
        .with_max_row_bytes(5_000)
        .with_threads(NonZeroUsize::new(threads).unwrap())
        .to_batches(export, take, &mut bad_rows);
    let quarantined = quarantine.0.lock().unwrap().clone();
    (batches, quarantined, told(summary))
}

fn told(result: Result<Summary, Error>) -> Told {
    result.map_err(|error| {
        let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
        (error.kind(), error.position(), format!("{error}: {cause}"))
    })
}

fn together(batches: &[RecordBatch]) -> RecordBatch {
    concat_batches(&schema(Resource::Activities), batches).unwrap()
}

/// All rows of a file, in every column.
fn rows(file: Vec<u8>) -> RecordBatch {
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(file)).unwrap();
    assert_eq!(reader.schema().fields(), schema(Resource::Activities).fields());
    let batches: Vec<_> = reader.build().unwrap().map(Result::unwrap).collect();
    concat_batches(&schema(Resource::Activities), &batches).unwrap()
}

#[test]
fn row_groups_hold_every_row_once_and_in_order() {
    let export = ACTIVITIES.repeat(200);
    let (file, _, summary) = convert(export.as_bytes(), 3, 0);
    assert_eq!(summary.unwrap().rows, 600);
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(file)).unwrap();
    assert!(reader.metadata().num_row_groups() > 50);
    let mut lines = Vec::new();
    for batch in reader.build().unwrap() {
        let batch = batch.unwrap();
        let column = batch.column_by_name("_line").unwrap();
        let column = column.as_any().downcast_ref::<arrow_array::Int64Array>().unwrap();
        lines.extend(column.values().iter().copied());
    }
    assert_eq!(lines, (1..=600).collect::<Vec<_>>());
}

#[test]
fn a_bad_row_far_into_the_file_is_named_by_its_place_in_the_whole() {
    let export = format!("{}\n\nworse\n{ACTIVITIES}", ACTIVITIES.repeat(100));
    for threads in [1, 2, 5] {
        let (_, quarantine, summary) = convert(export.as_bytes(), threads, 1);
        assert_eq!((summary.as_ref().unwrap().rows, summary.unwrap().bad_rows), (303, 1));
        let line: serde_json::Value = serde_json::from_slice(&quarantine).unwrap();
        assert_eq!((&line["record"], &line["line"]), (&301.into(), &303.into()));
        assert_eq!(line["byte"], ACTIVITIES.len() * 100 + 2);
    }
}

#[test]
fn a_reader_that_fails_midway_ends_the_conversion() {
    struct Cable(usize);
    impl io::Read for Cable {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.0 = self.0.checked_sub(1).ok_or_else(|| io::Error::other("cable"))?;
            let len = buffer.len().min(ACTIVITIES.len());
            buffer[..len].copy_from_slice(&ACTIVITIES.as_bytes()[..len]);
            Ok(len)
        }
    }
    for reads in 0..20 {
        let error = Conversion::new(Resource::Activities, SourceFormat::JsonLines, origin())
            .with_threads(NonZeroUsize::new(3).unwrap())
            .to_parquet(
                Cable(reads * 3),
                io::sink(),
                &ParquetOptions::default().with_row_group_bytes(3_000),
                &mut BadRows::quarantine(1_000, || Ok(Box::new(io::sink()))),
            )
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Read);
    }
}

#[test]
fn batches_drawn_from_several_threads_are_those_of_one_in_order() {
    // Several blocks, and lines longer than one.
    let long = format!("{{\"uid\":\"long\",\"subject\":\"{}\"}}\n", "x".repeat(3 << 20));
    let export = format!("{}{long}{}{long}", ACTIVITIES.repeat(3_000), ACTIVITIES.repeat(1_500));
    let one: Vec<_> = ActivityBatches::new(export.as_bytes(), &origin()).map(Result::unwrap).collect();
    let expected = together(&one);
    let mut shapes = Vec::new();
    for threads in [1, 2, 5] {
        let threads = NonZeroUsize::new(threads).unwrap();
        let batches: Vec<_> =
            ParallelActivityBatches::new(export.as_bytes(), &origin(), threads).map(Result::unwrap).collect();
        assert_eq!(together(&batches), expected);
        shapes.push(batches.iter().map(RecordBatch::num_rows).collect::<Vec<_>>());
    }
    assert!(shapes[0].len() > 5 && shapes.iter().all(|shape| *shape == shapes[0]), "{shapes:?}");
}

#[test]
fn an_error_comes_behind_the_batches_before_it_and_ends_the_iteration() {
    let good = ACTIVITIES.repeat(3_000);
    let two = NonZeroUsize::new(2).unwrap();
    let mut rows = 0;
    let mut error = None;
    let export = format!("{good}{{\"uid\":\n{good}");
    let mut batches = ParallelActivityBatches::new(export.as_bytes(), &origin(), two);
    for batch in &mut batches {
        match batch {
            Ok(batch) => rows += batch.num_rows(),
            Err(found) => error = Some(found),
        }
    }
    let error = error.unwrap();
    assert_eq!((error.kind(), error.position().unwrap().record), (ErrorKind::BadRow, 9_001));
    assert_eq!(error.position().unwrap().byte, good.len() as u64);
    assert!((1..9_000).contains(&rows) && batches.next().is_none(), "{rows}");

    let cut = format!("{good}{{\"uid\"");
    let last = ParallelActivityBatches::new(cut.as_bytes(), &origin(), two).last().unwrap();
    assert!(last.unwrap_err().is_suspect_file());
    // Batches that nobody draws are no burden to anybody.
    drop(ParallelActivityBatches::new(good.as_bytes(), &origin(), two).next());
}

#[test]
fn pages_of_every_kind_are_read_back_as_they_were_written() {
    use std::fmt::Write as _;
    // Dictionaries that pay, that are given up at once, and that are given up late; nulls in between; empty and long lists.
    let mut export = String::new();
    for row in 0_u64..30_000 {
        let location = if row < 21_000 { format!("room {}", row % 50) } else { format!("{row:0>300}") };
        let duration = if row % 7 == 0 { "null".to_owned() } else { (row % 9 * row % 900).to_string() };
        let people = (0..row % 5)
            .map(|at| format!(r#"{{"name":"n{}","time_spent":{}}}"#, row * at, row * row))
            .collect::<Vec<_>>();
        let _ = writeln!(
            export,
            r#"{{"uid":"{row:x}","location":"{location}","subject":"{}","duration":{duration},"all_day":{},"timestamp":"2026-0{}-01T00:00:00","participants":[{}],"tags":{}}}"#,
            row.wrapping_mul(0x9e37_79b9_7f4a_7c15),
            row % 3 == 0,
            row % 9 + 1,
            people.join(","),
            if row % 2 == 0 { "[\"a\",\"b\"]" } else { "[]" },
        );
    }
    let conversion = || Conversion::new(Resource::Activities, SourceFormat::JsonLines, origin());
    let mut batches = Vec::new();
    conversion()
        .to_batches(
            export.as_bytes(),
            |batch| {
                batches.push(batch);
                Ok(())
            },
            &mut BadRows::fail(),
        )
        .unwrap();
    let expected = concat_batches(&schema(Resource::Activities), &batches).unwrap();
    for compression in [Compression::Zstd(1), Compression::Snappy, Compression::None] {
        let mut file = Vec::new();
        let options = ParquetOptions::default().with_compression(compression);
        conversion().to_parquet(export.as_bytes(), &mut file, &options, &mut BadRows::fail()).unwrap();
        let reader = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(file.clone())).unwrap();
        assert_eq!(reader.metadata().num_row_groups(), 1);
        let columns = reader.metadata().row_group(0).columns();
        let encodings = |path: &str| {
            let column = columns.iter().find(|column| column.column_path().string() == path).unwrap();
            [Encoding::PLAIN, Encoding::RLE_DICTIONARY]
                .map(|encoding| column.encodings().any(|one| one == encoding))
        };
        assert_eq!((encodings("subject"), encodings("location")), ([true, false], [true, true]));
        assert_eq!(rows(file), expected);
    }
}

#[test]
fn the_footer_says_the_range_of_instants_and_the_number_of_nulls() {
    let (file, _, _) = convert(ACTIVITIES.as_bytes(), 2, 0);
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(file)).unwrap();
    let columns: Vec<_> = reader.metadata().row_groups().iter().flat_map(|group| group.columns()).collect();
    let statistics = |path: &str| {
        let found = columns.iter().filter(|column| column.column_path().string() == path);
        found.map(|column| column.statistics().unwrap().clone()).collect::<Vec<_>>()
    };
    let nulls: u64 = statistics("subject").iter().map(|one| one.null_count_opt().unwrap()).sum();
    assert_eq!(nulls, 2);
    let people: u64 =
        statistics("participants.list.element.phone").iter().map(|one| one.null_count_opt().unwrap()).sum();
    assert_eq!(people, 5);
    let instants = statistics("timestamp");
    let micros = |text: &str| text.parse::<jiff::Timestamp>().unwrap().as_microsecond().to_le_bytes();
    assert_eq!(instants[0].min_bytes_opt().unwrap(), micros("2026-03-04T09:08:51Z"));
    assert_eq!(instants.last().unwrap().max_bytes_opt().unwrap(), micros("2026-03-06T00:00:00Z"));
    let least = statistics("type").iter().map(|one| one.min_bytes_opt().unwrap().to_vec()).min();
    assert_eq!(least.unwrap(), b"call");
    assert!(
        columns
            .iter()
            .any(|column| column.column_path().string() == "uid" && column.bloom_filter_offset().is_some())
    );
}

fn line() -> impl Strategy<Value = String> {
    let examples: Vec<String> = ACTIVITIES.lines().map(String::from).collect();
    prop_oneof![
        6 => prop::sample::select(examples),
        2 => ("[a-z]{1,9}", 0..9_u8).prop_map(|(uid, x)| format!(r#"{{"uid":"{uid}","x":{x},"tags":["é",null],"duration":"7"}}"#)),
        1 => Just(String::new()),
        1 => Just(" \r".to_owned()),
        1 => Just("{\"uid\":".to_owned()),
        1 => Just(format!("{{\"uid\":\"{}\"}}", "x".repeat(6_000))),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn any_number_of_threads_writes_the_same_file(
        lines in prop::collection::vec(line(), 0..60),
        ending in prop::sample::select(vec!["", "\n", "\n{\"uid\":\"cut"]),
        max_bad_rows in prop_oneof![Just(1_000), 0..4_u64],
    ) {
        let export = format!("{}{ending}", lines.join("\n"));
        let one = convert(export.as_bytes(), 1, max_bad_rows);
        for threads in [2, 4] {
            let other = convert(export.as_bytes(), threads, max_bad_rows);
            prop_assert!((&one.1, &one.2) == (&other.1, &other.2), "{threads} threads");
            // Of a conversion that failed, it isn't said how much is in the file.
            prop_assert!(one.2.is_err() || one.0 == other.0, "{threads} threads");
        }
        // The straight way is the reference.
        let (batches, quarantine, straight) = batches_of(export.as_bytes(), 1, max_bad_rows);
        for threads in [2, 4] {
            let on_threads = batches_of(export.as_bytes(), threads, max_bad_rows);
            prop_assert_eq!((&on_threads.1, &on_threads.2), (&quarantine, &straight), "{} threads", threads);
            if straight.is_ok() {
                prop_assert_eq!(together(&on_threads.0), together(&batches));
            }
        }
        prop_assert_eq!(&quarantine, &one.1);
        match (straight, one.2) {
            (Ok(straight), Ok(threaded)) => {
                prop_assert_eq!(straight, threaded);
                prop_assert_eq!(together(&batches), rows(one.0));
            }
            (Err(straight), Err(threaded)) => {
                prop_assert_eq!(straight, threaded);
            }
            (straight, threaded) => prop_assert!(false, "{straight:?} but {threaded:?}"),
        }
    }
}

/// What a contacts CSV becomes: its rows, quarantine, and what was reported.
fn convert_contacts(
    export: &[u8],
    threads: Option<usize>,
    max_bad_rows: u64,
) -> (Option<RecordBatch>, Vec<u8>, Told) {
    let (mut file, quarantine) = (Vec::new(), Shared::default());
    let out = quarantine.clone();
    let mut bad_rows = BadRows::quarantine(max_bad_rows, move || Ok(Box::new(out)));
    let conversion = Conversion::new(Resource::Contacts, SourceFormat::Csv, origin()).with_max_row_bytes(200);
    let mut batches = Vec::new();
    let summary = match threads {
        Some(threads) => conversion.with_threads(NonZeroUsize::new(threads).unwrap()).to_parquet(
            export,
            &mut file,
            &ParquetOptions::default().with_row_group_bytes(300),
            &mut bad_rows,
        ),
        // The straight way is the reference.
        None => conversion.with_threads(NonZeroUsize::MIN).to_batches(
            export,
            |batch| {
                batches.push(batch);
                Ok(())
            },
            &mut bad_rows,
        ),
    };
    if threads.is_some() && summary.is_ok() {
        let reader = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(file)).unwrap();
        batches = reader.build().unwrap().map(Result::unwrap).collect();
    }
    let rows = summary.is_ok().then(|| concat_batches(&schema(Resource::Contacts), &batches).unwrap());
    let quarantined = quarantine.0.lock().unwrap().clone();
    (rows, quarantined, told(summary))
}

fn contact() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => "[a-z]{1,5}@x\\.example,[0-9]{0,3},[a-z]{0,9}\n",
        2 => "\"[a-z,\n\"\"]{0,9}\",[0-9]{1,2},\"(\"\"|[a-z\n]){0,9}\"\r\n",
        1 => Just("email,total_inbound,x\n".to_owned()),
        1 => Just("a\"b,\"c\"d,e\n".to_owned()),
        1 => Just("ragged\n".to_owned()),
        1 => Just("\r\n\n".to_owned()),
        1 => Just(format!("{},1,\"{}\n\"\n", "x".repeat(150), "y".repeat(300))),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn contacts_on_several_threads_are_those_of_one(
        rows in prop::collection::vec(contact(), 0..60),
        mark in any::<bool>(),
        ending in prop::sample::select(vec!["", "last@x.example,1,z", "cut", "last@x.example,1,\"open"]),
        max_bad_rows in prop_oneof![Just(1_000), 0..4_u64],
    ) {
        let export = format!("{}email,total_inbound,x\n{}{ending}", if mark { "\u{feff}" } else { "" }, rows.concat());
        let straight = convert_contacts(export.as_bytes(), None, max_bad_rows);
        for threads in [1, 2, 4] {
            prop_assert_eq!(&convert_contacts(export.as_bytes(), Some(threads), max_bad_rows), &straight);
        }
    }
}
