//! The three formats of an export hold the same rows, and those are the simulator's own: by count, by key, and by a
//! content hash that client and simulator compute each by its own code.

mod service;

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray as _;
use backstory_limits::ExportKind;
use backstory_sim::WindowKind;
use backstory_sync::OutputFormat;
use backstory_tables::ContentHash;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use service::{activities, client, everybody, range, run, world};

const FIFTEEN_MONTHS: &str = "2025-04-01..2026-06-18";
const YEAR: &str = "2025-06-19..2026-06-18";

fn files(folder: &Path, table: &str) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> =
        std::fs::read_dir(folder.join(table)).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.sort();
    found
}

fn batches(folder: &Path, table: &str) -> Vec<RecordBatch> {
    let read = |path| {
        let file = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
        file.build().unwrap().map(Result::unwrap).collect::<Vec<_>>()
    };
    files(folder, table).into_iter().flat_map(read).collect()
}

/// How often each value of a column occurs.
type Counts = BTreeMap<String, usize>;

fn count(values: impl IntoIterator<Item = String>) -> Counts {
    let mut counts = Counts::new();
    for value in values {
        *counts.entry(value).or_default() += 1;
    }
    counts
}

fn of_parquet(folder: &Path, table: &str, column: &str) -> Counts {
    let of = |batch: &RecordBatch| {
        let column = batch.column_by_name(column).unwrap().as_string::<i32>().clone();
        (0..column.len())
            .map(|at| if column.is_valid(at) { column.value(at).to_owned() } else { String::new() })
            .collect::<Vec<_>>()
    };
    use arrow_array::Array as _;
    count(batches(folder, table).iter().flat_map(of))
}

fn of_csv(folder: &Path, table: &str, column: &str) -> Counts {
    let read = |path| {
        let mut reader = csv::Reader::from_path(path).unwrap();
        let at = reader.headers().unwrap().iter().position(|name| name == column).unwrap();
        reader.records().map(|row| row.unwrap()[at].to_owned()).collect::<Vec<_>>()
    };
    count(files(folder, table).into_iter().flat_map(read))
}

fn of_json_lines(folder: &Path, table: &str, column: &str) -> Counts {
    let read = |path| {
        let text = std::fs::read_to_string(path).unwrap();
        // Not `lines()`: a line of JSON Lines ends at a newline and nowhere else.
        let rows = text.split('\n').filter(|line| !line.is_empty());
        let field = |line: &str| {
            let row: serde_json::Value = serde_json::from_str(line).unwrap();
            row[column].as_str().unwrap_or_default().to_owned()
        };
        rows.map(field).collect::<Vec<_>>()
    };
    count(files(folder, table).into_iter().flat_map(read))
}

fn hash(batches: &[RecordBatch]) -> (u64, String) {
    let mut hash = ContentHash::new();
    for batch in batches {
        hash.update(batch).unwrap();
    }
    (hash.count(), hash.hex())
}

#[tokio::test(flavor = "multi_thread")]
async fn fifteen_months_of_activities_are_the_same_in_every_format_and_the_simulators_own() {
    let sim = world().start().await.unwrap();
    let client = client(&sim, "sim-activity");
    let months = range(FIFTEEN_MONTHS);
    let due = sim.truth().window(WindowKind::Snapshot, None, months.start(), months.end(), sim.clock().now());

    let folder = tempfile::tempdir().unwrap();
    let mut keys = Vec::new();
    for format in [OutputFormat::JsonLines, OutputFormat::Csv, OutputFormat::Parquet] {
        let out = folder.path().join(format.as_str());
        let report = run(&client, activities(ExportKind::Snapshot), months, format, &out).await.unwrap();
        assert!(report.is_complete());
        assert_eq!(report.windows.len(), 2);
        assert_eq!(report.rows(), due.count, "{format}");
        keys.push(match format {
            OutputFormat::JsonLines => of_json_lines(&out, "activities", "uid"),
            OutputFormat::Csv => of_csv(&out, "activities", "uid"),
            _ => of_parquet(&out, "activities", "uid"),
        });
        assert_eq!(keys.last(), keys.first(), "{format}");
    }
    let parquet = batches(&folder.path().join("parquet"), "activities");
    assert_eq!(hash(&parquet), (due.count, due.content_hash));

    // Participants: nested in Parquet, a table of their own in CSV.
    let nested: usize = parquet
        .iter()
        .map(|batch| batch.column_by_name("participants").unwrap().as_list::<i32>().values().len())
        .sum();
    let table: usize = of_csv(&folder.path().join("csv"), "participants", "_key").values().sum();
    assert_eq!(nested, table);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_weeks_of_a_delta_are_the_simulators_own() {
    let sim = world().start().await.unwrap();
    let days = range("2026-06-04..2026-06-17");
    let due = sim.truth().window(WindowKind::Delta, None, days.start(), days.end(), sim.clock().now());
    let folder = tempfile::tempdir().unwrap();
    let client = client(&sim, "sim-key");
    run(&client, activities(ExportKind::Delta), days, OutputFormat::Parquet, folder.path()).await.unwrap();
    assert!(due.count > 0);
    assert_eq!(hash(&batches(folder.path(), "activities")), (due.count, due.content_hash));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_year_of_contacts_is_the_same_in_every_format_and_the_simulators_own() {
    let sim = world().start().await.unwrap();
    let client = client(&sim, "sim-object");
    let year = range(YEAR);
    let due = sim.truth().window(WindowKind::Contacts, None, year.start(), year.end(), sim.clock().now());
    let folder = tempfile::tempdir().unwrap();
    for format in [OutputFormat::JsonLines, OutputFormat::Csv, OutputFormat::Parquet] {
        let out = folder.path().join(format.as_str());
        let report = run(&client, everybody(), year, format, &out).await.unwrap();
        assert_eq!(report.rows(), due.count, "{format}");
    }
    let emails = of_json_lines(&folder.path().join("jsonl"), "contacts", "email");
    assert_eq!(emails, of_csv(&folder.path().join("csv"), "contacts", "email"));
    assert_eq!(emails, of_parquet(&folder.path().join("parquet"), "contacts", "email"));
    let parquet = batches(&folder.path().join("parquet"), "contacts");
    assert_eq!(hash(&parquet), (due.count, due.content_hash));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_window_lands_as_an_empty_file_in_every_format() {
    let sim = world().activities(0).start().await.unwrap();
    let client = client(&sim, "sim-activity");
    let folder = tempfile::tempdir().unwrap();
    for format in [OutputFormat::JsonLines, OutputFormat::Csv, OutputFormat::Parquet] {
        let out = folder.path().join(format.as_str());
        let window = range("2026-01-01..2026-01-31");
        let report = run(&client, activities(ExportKind::Snapshot), window, format, &out).await.unwrap();
        assert_eq!((report.rows(), report.windows[0].files.is_empty()), (0, false), "{format}");
    }
    assert_eq!(batches(&folder.path().join("parquet"), "activities").len(), 0);
}
