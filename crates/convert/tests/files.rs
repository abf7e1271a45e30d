//! What files become, what is refused before anything is written, and what a failure leaves.

use std::fs;
use std::io::{self, Read, Write};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use backstory_convert::{BadRowPolicy, ConvertOptions, Converted, Error, ErrorKind, Plan, Source, Target};
use backstory_tables::{Output, OutputFormat, Resource, Shape};
use jiff::Timestamp;

const ACTIVITIES: &str = concat!(
    r#"{"uid":"em-1","type":"email","timestamp":"2026-03-04T09:08:51","participants":[{"name":"Rin"},{"phone":"+1"}]}"#,
    "\n",
    r#"{"uid":"mt-1","type":"meeting","campaigns":[{"name":"Spring"}]}"#,
    "\n"
);
const CONTACTS: &str = "first_name,email\nRin,rin@quillmark.example\n";
const QUARANTINE: BadRowPolicy = BadRowPolicy::Quarantine { most: 2 };

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn with(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    /// All files below it, temporary ones too.
    fn files(&self) -> Vec<String> {
        let (mut found, mut folders) = (Vec::new(), vec![self.0.path().to_owned()]);
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    found.push(path.strip_prefix(self.0.path()).unwrap().to_str().unwrap().to_owned());
                }
            }
        }
        found.sort();
        found
    }
}

fn convert_with(
    options: &ConvertOptions,
    inputs: &[&Path],
    output: &Output,
    target: &Target,
) -> Result<Vec<Converted>, Error> {
    let sources = inputs.iter().map(|path| Source::file(*path)).collect();
    let plan = Plan::new(sources, None, output, target)?;
    plan.into_conversions().into_iter().map(|planned| planned.run(options)).collect()
}

fn convert(inputs: &[&Path], format: OutputFormat, target: &Target) -> Result<Vec<Converted>, Error> {
    convert_with(&ConvertOptions::new(), inputs, &Output::new(format), target)
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn every_form_lands_where_an_export_would_put_it() {
    for (format, expected) in [
        (OutputFormat::Parquet, vec!["activities/activities_a.parquet", "contacts/contacts_b.parquet"]),
        (OutputFormat::Arrow, vec!["activities/activities_a.arrow", "contacts/contacts_b.arrow"]),
        (OutputFormat::JsonLines, vec!["activities/activities_a.jsonl", "contacts/contacts_b.jsonl"]),
        (
            OutputFormat::Csv,
            vec![
                "activities/activities_a.csv",
                "campaigns/campaigns_a.csv",
                "contacts/contacts_b.csv",
                "participants/participants_a.csv",
            ],
        ),
    ] {
        let (inputs, out) = (Folder::new(), Folder::new());
        let (a, b) = (inputs.with("a.jsonl.gz", gzip(ACTIVITIES)), inputs.with("b.csv", CONTACTS));
        let converted = convert(&[&a, &b], format, &Target::Folder(out.0.path().to_owned())).unwrap();
        assert_eq!(out.files(), expected);
        assert_eq!((converted[0].summary.rows, converted[1].summary.rows), (2, 1));
        for file in converted.iter().flat_map(|one| &one.files) {
            assert_eq!(fs::metadata(&file.path).unwrap().len(), file.bytes);
            let rows = if file.table == "activities" || file.table == "participants" { 2 } else { 1 };
            assert_eq!((file.rows, file.sha256.len()), (rows, 64), "{}", file.table);
        }
    }
}

#[test]
fn relational_tables_land_in_any_form_that_can_hold_them() {
    for format in [OutputFormat::Parquet, OutputFormat::Arrow] {
        let folder = Folder::new();
        let input = folder.with("in/activities.jsonl", ACTIVITIES);
        let output = Output::new(format).with_shape(Shape::Relational);
        let target = Target::Folder(folder.path("out"));
        convert_with(&ConvertOptions::new(), &[&input], &output, &target).unwrap();
        assert_eq!(folder.files().len(), 4);
        assert!(folder.path(&format!("out/participants/participants.{format}")).exists());
    }
}

#[test]
fn the_resource_comes_from_the_rows_before_the_name_and_from_the_name_before_nothing() {
    let folder = Folder::new();
    let zstandard = zstd::bulk::compress(CONTACTS.as_bytes(), 1).unwrap();
    for (name, content, expected) in [
        ("odd.csv", ACTIVITIES.as_bytes(), Some(Resource::Activities)),
        ("odd.jsonl", b"{\"email\":\"a\"}\n", Some(Resource::Contacts)),
        ("no-ending", CONTACTS.as_bytes(), Some(Resource::Contacts)),
        ("no-ending.zst", &zstandard, Some(Resource::Contacts)),
        ("plain.bin", &zstandard, Some(Resource::Contacts)),
        ("wrapped.json", b"{\"data\":[{\"email\":\"a\"}]}", Some(Resource::Contacts)),
        ("list.json", b"[{\"uid\":\"a\"}]", Some(Resource::Activities)),
        (
            "contacts.json",
            b" [\n{\"uid\":\"a\",\"participants\":[{\"email\":\"a\"}]}]",
            Some(Resource::Activities),
        ),
        ("activities.json", b"[]", Some(Resource::Activities)),
        ("march.json", b"[]", Some(Resource::Contacts)),
        ("empty.jsonl", b"", Some(Resource::Activities)),
        ("empty.csv", b"", Some(Resource::Contacts)),
        ("contacts_17", b"", Some(Resource::Contacts)),
        ("empty", b"", None),
        ("words.txt", b"one two\nthree", None),
    ] {
        let opened = Source::file(folder.with(name, content)).open(None);
        match expected {
            Some(resource) => assert_eq!(opened.unwrap().resource(), resource, "{name}"),
            None => assert_eq!(opened.unwrap_err().kind(), ErrorKind::Unrecognised, "{name}"),
        }
    }
    let said = Source::file(folder.path("words.txt")).open(Some(Resource::Contacts)).unwrap();
    assert_eq!(said.resource(), Resource::Contacts);
}

#[test]
fn a_list_of_activities_becomes_what_their_lines_would() {
    let folder = Folder::new();
    let lines = ACTIVITIES.lines().collect::<Vec<_>>();
    let pretty =
        format!("\u{feff}[\r\n  {},\n  {}\n]\n", lines[0].replace(",\"type\"", " ,\n\n \"type\""), lines[1]);
    let dense = format!("[{}]", lines.join(","));
    let expected = convert(
        &[&folder.with("in/lines.jsonl", ACTIVITIES)],
        OutputFormat::JsonLines,
        &Target::File(folder.path("expected")),
    );
    assert_eq!(expected.unwrap()[0].summary.participants, 2);
    let expected = fs::read_to_string(folder.path("expected")).unwrap();
    for (name, content) in [("a.json", &pretty), ("b", &dense)] {
        let input = folder.with(&format!("in/{name}"), content);
        for said in [None, Some(Resource::Activities)] {
            // Lines are made of it whatever it becomes.
            let parquet = convert(&[&input], OutputFormat::Parquet, &Target::Folder(folder.path("out")));
            assert_eq!(parquet.unwrap()[0].summary.participants, 2);
            let target = Target::File(folder.path("found"));
            let output = Output::new(OutputFormat::JsonLines);
            let plan = Plan::new(vec![Source::file(&input)], said, &output, &target).unwrap();
            for planned in plan.into_conversions() {
                assert_eq!(planned.run(&ConvertOptions::new()).unwrap().summary.rows, 2);
            }
            let found = fs::read_to_string(folder.path("found")).unwrap();
            assert_eq!(found.replace(" ,   ", ","), expected, "{name}");
        }
    }
    // A bad one is told by its place in the file.
    let input = folder.with("in/bad.json", "[{\"uid\":\"a\"},\n {\"uid\":7 7},\n{\"uid\":\"b\"}]");
    let options = ConvertOptions::new().with_bad_rows(QUARANTINE);
    let target = Target::Folder(folder.path("out"));
    let converted =
        convert_with(&options, &[&input], &Output::new(OutputFormat::JsonLines), &target).unwrap();
    assert_eq!((converted[0].summary.rows, converted[0].summary.bad_rows), (2, 1));
    let quarantine = fs::read_to_string(&converted[0].files[1].path).unwrap();
    assert!(quarantine.contains(r#"{\"uid\":7 7}"#) && quarantine.contains("at byte 24"), "{quarantine}");
}

#[test]
fn a_first_row_that_is_longer_than_a_look_is_waited_for() {
    let folder = Folder::new();
    let long = format!("{{\"uid\":\"a\",\"participants\":[{{\"email\":\"{}\"}}]}}\n", "x".repeat(300_000));
    let input = Source::file(folder.with("long", &long)).open(None).unwrap();
    assert_eq!(input.resource(), Resource::Activities);
    let mut all = String::new();
    { input }.read_to_string(&mut all).unwrap();
    assert_eq!(all, long);
}

#[test]
fn bad_rows_are_refused_with_nothing_left_or_set_apart_up_to_a_bound() {
    let folder = Folder::new();
    let bad = "{\"uid\":\n";
    let input = folder.with("in/a.jsonl", format!("{ACTIVITIES}{bad}{ACTIVITIES}{bad}"));
    let target = Target::Folder(folder.path("out"));
    let output = || Output::new(OutputFormat::Parquet);
    let error = convert(&[&input], OutputFormat::Parquet, &target).unwrap_err();
    assert_eq!((error.kind(), folder.files().len()), (ErrorKind::BadRow, 1));
    assert!(error.hint().unwrap().contains("--on-bad-row quarantine"));

    let options = ConvertOptions::new().with_bad_rows(QUARANTINE);
    let converted = convert_with(&options, &[&input], &output(), &target).unwrap();
    assert_eq!((converted[0].summary.rows, converted[0].summary.bad_rows), (4, 2));
    let quarantine = folder.path("out/quarantine/quarantine_activities_a.jsonl");
    let lines = fs::read_to_string(&quarantine).unwrap();
    assert_eq!(lines.lines().count(), 2);
    for words in
        [r#""line":3"#, r#""record":3"#, r#""raw":"{\"uid\":""#, "a.jsonl", r#""byte":"#, r#""reason":"#]
    {
        assert!(lines.lines().next().unwrap().contains(words), "{words} is not in {lines}");
    }

    let options = ConvertOptions::new().with_bad_rows(BadRowPolicy::Quarantine { most: 1 });
    let error = convert_with(&options, &[&input], &output(), &target).unwrap_err();
    assert!(error.hint().unwrap().contains("--max-bad-rows"));
    // What the run before had brought is as it was.
    assert_eq!(fs::read_to_string(&quarantine).unwrap(), lines);

    // A run without bad rows leaves none behind that would tell of another.
    fs::write(&input, ACTIVITIES).unwrap();
    convert(&[&input], OutputFormat::Parquet, &target).unwrap();
    assert_eq!(folder.files(), ["in/a.jsonl", "out/activities/activities_a.parquet"]);
}

#[test]
fn what_can_not_go_well_is_refused_before_anything_is_written() {
    let folder = Folder::new();
    let (a, other) = (folder.with("a.jsonl", ACTIVITIES), folder.with("b/a.jsonl.gz", gzip(ACTIVITIES)));
    let here = Target::Folder(folder.0.path().join("out"));
    let one_file = Target::File(folder.path("one.parquet"));
    let itself = folder.with("activities/activities_x.jsonl", ACTIVITIES);
    let missing = folder.path("missing.jsonl");
    let before = folder.files();
    let sub = folder.path("b");
    for (inputs, format, target, kind) in [
        (vec![&a, &other], OutputFormat::Parquet, &here, ErrorKind::Usage),
        (vec![&a, &a], OutputFormat::Parquet, &here, ErrorKind::Usage),
        (vec![&a, &itself], OutputFormat::Parquet, &one_file, ErrorKind::Usage),
        (vec![&a], OutputFormat::Csv, &one_file, ErrorKind::Usage),
        (vec![&a], OutputFormat::JsonLines, &Target::File(a.clone()), ErrorKind::Usage),
        (vec![&itself], OutputFormat::JsonLines, &Target::Folder(folder.path("")), ErrorKind::Usage),
        (vec![&a, &missing], OutputFormat::Parquet, &here, ErrorKind::Read),
        (vec![&a, &sub], OutputFormat::Parquet, &here, ErrorKind::Read),
    ] {
        let inputs: Vec<&Path> = inputs.into_iter().map(PathBuf::as_path).collect();
        assert_eq!(convert(&inputs, format, target).unwrap_err().kind(), kind, "{inputs:?}");
        assert_eq!(folder.files(), before);
    }
}

#[test]
fn a_file_that_is_no_whole_export_becomes_nothing() {
    let whole = gzip(ACTIVITIES);
    for (name, content, kind) in [
        ("page.jsonl", &b"<html>\n"[..], ErrorKind::SuspectFile),
        ("page", b"<!doctype html><p>", ErrorKind::SuspectFile),
        ("refusal.jsonl", b"{\"error\":\"NotFoundException\",\"message\":\"x\"}\n", ErrorKind::SuspectFile),
        ("cut.jsonl", &ACTIVITIES.as_bytes()[..ACTIVITIES.len() - 9], ErrorKind::SuspectFile),
        ("cut.json", b"[{\"uid\":\"a\"},{\"uid\":\"b\"", ErrorKind::SuspectFile),
        ("cut-between.json", b"[{\"uid\":\"a\"},\n", ErrorKind::SuspectFile),
        ("cut-behind.json", b"[{\"uid\":\"a\"}", ErrorKind::SuspectFile),
        ("cut-in-text.json", b"[{\"uid\":\"a\"},\"", ErrorKind::SuspectFile),
        ("cut.csv", b"first_name,email\nRin", ErrorKind::SuspectFile),
        ("cut.jsonl.gz", &whole[..whole.len() - 9], ErrorKind::Read),
    ] {
        let folder = Folder::new();
        let input = folder.with(name, content);
        let target = Target::Folder(folder.path("out"));
        let options = ConvertOptions::new().with_bad_rows(QUARANTINE);
        let output = Output::new(OutputFormat::Parquet);
        let error = convert_with(&options, &[&input], &output, &target).unwrap_err();
        assert_eq!(error.kind(), kind, "{name}: {error:?}");
        assert_eq!(folder.files(), [name]);
    }
}

#[test]
fn a_failure_takes_the_folders_away_that_it_made_and_no_others() {
    let folder = Folder::new();
    let cut = folder.with("in/cut.jsonl", "bad\n{\"uid\":\"a");
    fs::create_dir_all(folder.path("there/activities")).unwrap();
    let options = ConvertOptions::new().with_bad_rows(QUARANTINE);
    let output = Output::new(OutputFormat::Csv);
    for (out, made) in [("new/er", "new"), ("there", "there/participants")] {
        let target = Target::Folder(folder.path(out));
        convert_with(&options, &[&cut], &output, &target).unwrap_err();
        assert!(!folder.path(made).exists(), "{out}");
    }
    assert!(folder.path("there/activities").exists());
    let target = Target::File(folder.path("new/er/a.parquet"));
    convert(&[&cut], OutputFormat::Parquet, &target).unwrap_err();
    assert!(!folder.path("new").exists());
}

#[test]
fn an_output_that_can_not_be_written_is_named() {
    let folder = Folder::new();
    let input = folder.with("a.jsonl", ACTIVITIES);
    let in_the_way = folder.with("out", "a file where a folder is due");
    let error = convert(&[&input], OutputFormat::Parquet, &Target::Folder(in_the_way)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Write);
    assert!(error.to_string().contains("activities_a.parquet") && error.concerns_all_files(), "{error}");
}

#[test]
fn a_reader_is_converted_like_a_file_and_its_rows_know_when_they_came() {
    let folder = Folder::new();
    let at: Timestamp = "2026-04-01T00:00:00Z".parse().unwrap();
    let source = Source::reader("stdin", io::Cursor::new(gzip(ACTIVITIES)), at);
    let target = Target::Folder(folder.path("out"));
    let plan = Plan::new(vec![source], None, &Output::new(OutputFormat::Csv), &target).unwrap();
    assert_eq!((plan.bytes(), plan.conversions()[0].name()), (None, "stdin"));
    for planned in plan.into_conversions() {
        planned.run(&ConvertOptions::new()).unwrap();
    }
    let csv = fs::read_to_string(folder.path("out/activities/activities_stdin.csv")).unwrap();
    assert!(csv.contains("2026-04-01T00:00:00Z"), "{csv}");
}

#[test]
fn a_cancelled_conversion_leaves_nothing_and_progress_counts_what_lies_on_disk() {
    let folder = Folder::new();
    let content = gzip(&ACTIVITIES.repeat(50_000));
    let input = folder.with("a.jsonl.gz", &content);
    let target = Target::Folder(folder.path("out"));
    let (flag, read) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let (setter, seen) = (Arc::clone(&flag), Arc::clone(&read));
    let options = ConvertOptions::new()
        .with_threads(NonZeroUsize::MIN)
        .with_cancellation(flag)
        .with_progress(move |progress| {
            seen.store(progress.bytes_read, Ordering::Relaxed);
            setter.store(progress.rows > 0, Ordering::Relaxed);
        });
    let output = Output::new(OutputFormat::Arrow);
    let error = convert_with(&options, &[&input], &output, &target).unwrap_err();
    assert!(error.is_cancelled());
    assert_eq!(folder.files(), ["a.jsonl.gz"]);
    assert!((1..=content.len() as u64).contains(&read.load(Ordering::Relaxed)));
}

#[test]
fn writers_take_the_tables_and_a_file_the_bad_rows() {
    let folder = Folder::new();
    let input = Source::file(folder.with("a.jsonl", format!("{ACTIVITIES}bad\n"))).open(None).unwrap();
    let (mut stream, quarantine) = (Vec::new(), folder.path("bad.quarantine.jsonl"));
    let options = ConvertOptions::new().with_bad_rows(QUARANTINE);
    let output = Output::new(OutputFormat::JsonLines);
    let converted = options.to_writers(input, &output, vec![&mut stream], &quarantine).unwrap();
    assert_eq!(String::from_utf8(stream).unwrap(), ACTIVITIES);
    assert_eq!((converted.files[0].table, converted.files[0].rows), ("quarantine", 1));
    assert!(quarantine.exists());
}
