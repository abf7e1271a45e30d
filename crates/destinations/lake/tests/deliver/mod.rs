//! Deliveries made up for tests.

#![allow(dead_code, reason = "each test uses its own part")]

use std::path::{Path, PathBuf};

use backstory_destination::{Committed, Delivery, DeliveryKind, Destination, Error, PartOf, Proving, Window};
use backstory_lake::Lake;
use backstory_tables::{BadRows, Conversion, Resource, SourceFormat};
use jiff::Timestamp;
use jiff::civil::date;

/// A folder that is gone afterwards; in memory where that can be, since every commit waits for the disk.
pub(crate) fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// A delta of the first half of November, created at some hour of the 15th.
pub(crate) fn delta(job_id: &str, hour: i64) -> Delivery {
    let window = Window::new(date(2026, 11, 1), date(2026, 11, 14));
    let created = at("2026-11-15T00:00:00Z") + jiff::SignedDuration::from_hours(hour);
    Delivery::new(job_id, DeliveryKind::Delta, window, created, created)
}

/// A part of a refresh of contacts.
pub(crate) fn contacts(job_id: &str, set: &str, days: (i8, i8), of: (i8, i8)) -> Delivery {
    let window = |days: (i8, i8)| Window::new(date(2026, 11, days.0), date(2026, 11, days.1));
    let mut delivery = Delivery::new(job_id, DeliveryKind::Contacts, window(days), at(set), at(set));
    delivery.part_of = Some(PartOf { set: set.to_owned(), range: window(of) });
    delivery
}

/// An activity as a line.
pub(crate) fn activity(uid: &str, minute: i64, subject: &str) -> String {
    let ingested = at("2026-11-10T00:00:00Z") + jiff::SignedDuration::from_mins(minute);
    format!(
        r#"{{"uid":"{uid}","type":"email","ingest_timestamp":"{ingested}","subject":"{subject}","participants":[{{"email":"{uid}@example.com"}},{{"phone":"1"}}],"campaigns":[{{"name":"c"}}]}}"#
    ) + "\n"
}

/// Loads a delivery, one fragment for each text.
pub(crate) fn load(lake: &Lake, delivery: &Delivery, fragments: &[&str]) -> Result<Committed, Error> {
    let mut delivery = delivery.clone();
    delivery.fragments = u32::try_from(fragments.len()).unwrap();
    let mut load = lake.begin(&delivery)?;
    for (fragment, text) in (0..).zip(fragments) {
        let format = match delivery.resource {
            Resource::Contacts => SourceFormat::Csv,
            _ => SourceFormat::JsonLines,
        };
        let conversion = Conversion::new(delivery.resource, format, delivery.origin(fragment));
        load.fragment(fragment, conversion, &mut Proving::new(text.as_bytes()), &mut BadRows::fail())?;
    }
    load.commit()
}

/// The data files, in the order of their paths.
pub(crate) fn data_files(folder: &Path) -> Vec<PathBuf> {
    fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, files);
            } else if path.extension().is_some_and(|extension| extension == "parquet") {
                files.push(path);
            }
        }
    }
    let mut files = Vec::new();
    walk(&folder.join("activities"), &mut files);
    walk(&folder.join("contacts"), &mut files);
    files.sort();
    files
}

/// The content hash of the activities.
pub(crate) fn digest(lake: &Lake) -> (u64, String) {
    let digest = lake.digest(Resource::Activities, None).unwrap();
    (digest.count, digest.content_hash)
}
