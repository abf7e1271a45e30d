//! Proving offline that raw files, tables and delivery records agree.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use backstory_destination::{DeliveryKind, DeliveryRecord, Destination, Digest, Finding};
use backstory_tables::{BadRows, Conversion, Resource, SourceFormat};
use jiff::civil::Date;
use serde::Serialize;

use super::job::chain;
use super::lock::Lock;
use super::place::StatePlace;
use super::rebuild::told;
use crate::error::Error;
use crate::ledger::Ledger;
use crate::raw::{DamagedNote, Notes, RawNote, RawReader, RawStore};

const ADVICE: &str = "the tables don't need it, but can't be made anew from it";

/// What a verification has found.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Verification {
    /// Whether everything agrees.
    pub ok: bool,
    /// What doesn't, and what to do about it.
    pub findings: Vec<Finding>,
    /// The current activities; nothing when they can't be counted, because rows can't be read.
    pub activities: Option<Digest>,
    /// The current contacts, in the same way.
    pub contacts: Option<Digest>,
    /// Deliveries in the destination.
    pub deliveries: u64,
    /// What is kept of them.
    pub raw: RawFacts,
}

/// What is kept of the deliveries as they came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RawFacts {
    /// Deliveries whose bytes are kept, and are what their notes say.
    pub proven: u64,
    /// Bytes of these, decompressed.
    pub bytes: u64,
    /// Deliveries whose bytes were removed when they were old enough.
    pub removed: u64,
    /// Deliveries that were never kept, or of which that isn't known.
    pub never_kept: u64,
    /// Deliveries that were kept and are gone.
    pub lost: u64,
}

/// Proves that the raw files, the tables and the delivery records of a destination agree: checksums, counts, that every
/// kept line is a record, one current row for each key, and that nothing is gone of which the ledger or a record knows. It
/// reads on whatever it finds. With `processed_through`, the activities are digested up to that UTC day. It blocks, sends
/// nothing, and changes nothing.
///
/// # Errors
/// Only what keeps it from looking: [`ErrorKind::Destination`](crate::ErrorKind::Destination).
pub fn verify(
    destination: &dyn Destination,
    state_dir: Option<&Path>,
    processed_through: Option<Date>,
) -> Result<Verification, Error> {
    let place = StatePlace::new(destination, state_dir)?;
    let store = RawStore::new(place.raw());
    let deliveries = destination.deliveries().map_err(Error::from_destination)?;
    let mut findings = destination.verify().map_err(Error::from_destination)?;
    let mut raw = RawFacts::default();
    for record in &deliveries {
        let note = match store.read_note(&record.delivery) {
            Ok(note) => note,
            Err(error) => {
                let problem = format!("it is damaged: {}; {ADVICE}", chain(&error));
                let path = store.note_path(&record.delivery);
                findings.push(Finding::new(path, problem).of_job(&record.delivery.job_id));
                continue;
            }
        };
        if let Some(problem) = note.as_ref().and_then(|note| note.contradiction(record)) {
            let problem = format!(
                "it tells {problem}; one of them has been changed: if it is this one, put it right, else run `backstory rebuild`"
            );
            let path = store.note_path(&record.delivery);
            findings.push(Finding::new(path, problem).of_job(&record.delivery.job_id));
            continue;
        }
        match note {
            None if record.was_kept() => raw.lost += 1,
            None => raw.never_kept += 1,
            Some(note) if note.removed_at.is_some() => raw.removed += 1,
            Some(note) if note.lost => raw.lost += 1,
            Some(note) => match prove(&store, &note, record) {
                Ok(()) => {
                    raw.proven += 1;
                    raw.bytes += record.bytes();
                }
                Err(problem) => findings.push(finding(&store, &note, problem)),
            },
        }
    }
    let lost = store.lost(&deliveries)?;
    if store.exists() {
        for record in lost {
            let path = store.note_path(&record.delivery);
            let problem = format!(
                "it is gone, and without it what the delivery was kept in counts for nothing; {ADVICE}"
            );
            findings.push(Finding::new(path, problem).of_job(&record.delivery.job_id));
        }
    } else if !lost.is_empty() {
        let problem = format!(
            "{} deliveries were kept here as they came, and the folder is gone; {ADVICE} (or is it elsewhere? then name --state-dir)",
            lost.len()
        );
        findings.push(Finding::new(store.folder(), problem));
    }
    let Notes { kept, damaged } = store.not_in(&deliveries)?;
    for DamagedNote { path, error, about } in damaged {
        let problem = format!(
            "it is damaged, and what it tells of is not in the tables: {}; move it out, with the raw file beside it, and run `backstory sync`, which fetches what is missing",
            chain(&error)
        );
        let finding = Finding::new(path, problem);
        findings.push(about.into_iter().fold(finding, |finding, (_, job_id)| finding.of_job(job_id)));
    }
    // What the destination has lost with all its traces, the ledger may still know.
    if let Some(ledger) = Ledger::look(&place.ledger()) {
        for job in ledger.lost(&deliveries)? {
            let id = job.job_id.unwrap_or_default();
            if kept.iter().any(|note| note.delivery.job_id == id) {
                continue;
            }
            let what = format!("the delivery of job {id}, {}", job.spec);
            let problem = "it was loaded, and is gone; run `backstory sync`, which asks for it again";
            findings.push(Finding::new(what, problem).of_job(id));
        }
    }
    // While a sync runs, what it has downloaded may well not be committed yet.
    if !Lock::is_held(place.lock()) {
        for path in store.orphans()? {
            let problem = "there is no note that says what it is: a run that ended in mid-work has left it, or the note is gone; the next `backstory sync` removes it";
            findings.push(Finding::new(path, problem));
        }
        for note in kept {
            let problem =
                "it is kept, but not in the tables; run `backstory sync`, which loads it".to_owned();
            findings.push(finding(&store, &note, problem));
        }
    }
    let mut digest = |resource: Resource, through| {
        told(destination.digest(resource, through)).inspect(|digest| {
            if digest.is_none() {
                let problem = "its rows can't be counted and hashed: there are some that can't be read";
                findings.push(Finding::new(resource.as_str(), problem));
            }
        })
    };
    let (activities, contacts) =
        (digest(Resource::Activities, processed_through)?, digest(Resource::Contacts, None)?);
    Ok(Verification {
        ok: findings.is_empty(),
        findings,
        activities,
        contacts,
        deliveries: deliveries.len() as u64,
        raw,
    })
}

fn finding(store: &RawStore, note: &RawNote, problem: String) -> Finding {
    let name = note.files.first().map_or("", |file| file.name.as_str());
    Finding::new(store.folder_of(&note.delivery).join(name), problem).of_job(note.delivery.job_id.clone())
}

/// Reads a kept delivery to its end and compares it with the record in the destination.
fn prove(store: &RawStore, note: &RawNote, record: &DeliveryRecord) -> Result<(), String> {
    if !note.agrees_with(record) {
        return Err(format!("its checksums are not those that the destination has recorded; {ADVICE}"));
    }
    let rows: BTreeMap<u32, u64> =
        record.parts.iter().map(|part| (part.fragment, part.rows + part.bad_rows)).collect();
    for file in &note.files {
        let reader = RawReader::open(store, &note.delivery, file);
        let reader = reader.map_err(|error| format!("it can't be read: {}; {ADVICE}", chain(&error)))?;
        let format = match note.delivery.kind {
            DeliveryKind::Snapshot | DeliveryKind::Delta => SourceFormat::JsonLines,
            DeliveryKind::Contacts => SourceFormat::Csv,
        };
        let conversion = Conversion::new(note.delivery.resource, format, note.delivery.origin(file.fragment))
            .with_file_name(&file.name);
        let mut bad_rows = BadRows::quarantine(u64::MAX, || Ok(Box::new(io::sink())));
        let found = conversion.to_batches(reader, |_| Ok(()), &mut bad_rows);
        let found = found.map_err(|error| format!("it isn't what it was: {}; {ADVICE}", chain(&error)))?;
        let (found, due) = (found.rows + found.bad_rows, rows.get(&file.fragment).copied().unwrap_or(0));
        if found != due {
            return Err(format!("it holds {found} records, and the destination has recorded {due}"));
        }
    }
    Ok(())
}
