//! `manifest.json`: which exports a folder holds, and for each window its job, its files and their checksums. It is what
//! makes a second run fetch only the rest.

use std::io;
use std::path::{Component, Path, PathBuf};

use backstory_api::{Job, JobId};
use backstory_limits::DateRange;
use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{Error, ErrorKind};
use backstory_destination::{fingerprint, replace};

/// The manifest's name below the export's folder.
pub const MANIFEST: &str = "manifest.json";
const VERSION: u32 = 1;

/// What a folder of exports holds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Manifest {
    /// The version of this form: 1.
    pub version: u32,
    /// One export for each resource.
    pub exports: Vec<ExportEntry>,
}

/// One export.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExportEntry {
    /// `activities` or `contacts`.
    pub resource: String,
    /// Everything that was asked for; an equal request goes on with this export.
    pub request: Value,
    /// Whether every window is whole.
    pub complete: bool,
    /// The windows that were begun, in order.
    pub windows: Vec<WindowEntry>,
    /// Files of the export that this one replaces, below the folder: they go when it is complete.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replaces: Vec<String>,
}

/// One window of an export.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WindowEntry {
    /// First UTC day.
    pub from: Date,
    /// Last UTC day; included.
    pub to: Date,
    /// Whether the files are whole. Before that, only the job is known.
    pub complete: bool,
    /// The export job.
    pub job: JobEntry,
    /// The part of the job's result; 0 is the whole.
    pub fragment: u32,
    /// Bytes of the result as delivered, decompressed.
    pub bytes: u64,
    /// SHA-256 of those bytes, in lower-case hex.
    pub sha256: String,
    /// Records in the result, bad ones left out.
    pub rows: u64,
    /// Rows that were set apart.
    pub bad_rows: u64,
    /// Records by month of their date, such as `2026-03`.
    #[serde(default)]
    pub rows_by_month: std::collections::BTreeMap<String, u64>,
    /// The files that were written.
    pub files: Vec<FileEntry>,
}

/// The job of a window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobEntry {
    /// Its id.
    pub id: String,
    /// When it was created, by the server's clock.
    pub created: Option<Timestamp>,
    /// When it began to run.
    pub started: Option<Timestamp>,
    /// When it ended.
    pub ended: Option<Timestamp>,
}

/// One file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FileEntry {
    /// Its path below the export's folder, with forward slashes.
    pub path: String,
    /// The table that it belongs to; `quarantine` for the bad rows.
    pub table: String,
    /// Its size.
    pub bytes: u64,
    /// Its rows.
    pub rows: u64,
    /// SHA-256 of its bytes, in lower-case hex.
    pub sha256: String,
}

impl Manifest {
    /// Reads a folder's manifest; a folder without one holds no exports.
    ///
    /// # Errors
    /// [`ErrorKind::Destination`] when it can't be read, [`ErrorKind::Occupied`] when it isn't one of ours.
    pub fn read(folder: &Path) -> Result<Self, Error> {
        let path = folder.join(MANIFEST);
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(Error::destination("read", &path, error)),
        };
        let foreign = |why: String| {
            Error::new(ErrorKind::Occupied, format!("{} is not a manifest of ours: {why}", path.display()))
                .with_hint("choose another folder, or move that file away")
        };
        let manifest: Self = serde_json::from_slice(&text).map_err(|error| foreign(error.to_string()))?;
        if manifest.version != VERSION {
            return Err(foreign(format!(
                "its version is {}, and this program knows {VERSION}",
                manifest.version
            )));
        }
        // Files that a manifest names may be replaced and removed, so it had better name none but the folder's.
        let mut names = manifest.exports.iter().flat_map(ExportEntry::names);
        if let Some(name) = names.find(|name| !is_below(name)) {
            return Err(foreign(format!("its file `{name}` is not in the folder")));
        }
        drop(names);
        Ok(manifest)
    }

    pub(super) fn write(&self, folder: &Path) -> Result<(), Error> {
        let path = folder.join(MANIFEST);
        let mut text = serde_json::to_vec_pretty(self).map_err(|error| {
            Error::new(ErrorKind::Destination, "the manifest can't be written as JSON").with_source(error)
        })?;
        text.push(b'\n');
        replace(&path, &text).map_err(|error| Error::destination("write", &path, error))
    }

    pub(super) fn export(&self, resource: &str) -> Option<&ExportEntry> {
        self.exports.iter().find(|entry| entry.resource == resource)
    }

    /// Puts an export in the place of the earlier one of its resource.
    pub(super) fn put(&mut self, entry: ExportEntry) {
        match self.exports.iter_mut().find(|known| known.resource == entry.resource) {
            Some(known) => *known = entry,
            None => self.exports.push(entry),
        }
    }
}

impl Default for Manifest {
    fn default() -> Self {
        Self { version: VERSION, exports: Vec::new() }
    }
}

impl ExportEntry {
    pub(super) fn window(&self, window: DateRange) -> Option<&WindowEntry> {
        self.windows.iter().find(|entry| entry.from == window.start() && entry.to == window.end())
    }

    pub(super) fn put(&mut self, entry: WindowEntry) {
        match self.windows.iter_mut().find(|known| known.from == entry.from && known.to == entry.to) {
            Some(known) => *known = entry,
            None => {
                self.windows.push(entry);
                self.windows.sort_by_key(|entry| entry.from);
            }
        }
    }

    /// Whether a request goes on with this export. Manifests used not to say which service it came from.
    pub(super) fn is_of(&self, request: &Value) -> bool {
        let mut request = request.clone();
        if let Some(request) = request.as_object_mut().filter(|_| self.request.get("service").is_none()) {
            request.remove("service");
        }
        self.request == request
    }

    /// Whether there is nothing of it yet.
    pub(super) fn is_empty(&self) -> bool {
        self.windows.is_empty() && self.replaces.is_empty()
    }

    /// What was asked for, for people.
    pub(super) fn in_words(&self) -> String {
        let word = |pointer: &str| self.request.pointer(pointer).and_then(Value::as_str).unwrap_or("?");
        let what = match self.resource.as_str() {
            "activities" => {
                format!("a {} of {} activities", word("/selection/kind"), word("/selection/type"))
            }
            other => other.to_owned(),
        };
        let from = self.request.get("service").and_then(Value::as_str);
        let from = from.map_or_else(String::new, |service| format!(" from {service}"));
        format!("{what}, {} to {}, as {}{from}", word("/from"), word("/to"), word("/format"))
    }

    /// The files of its windows, and of what it replaces, below the folder.
    fn names(&self) -> impl Iterator<Item = &str> {
        let files = self.windows.iter().flat_map(|window| &window.files).map(|file| file.path.as_str());
        files.chain(self.replaces.iter().map(String::as_str))
    }

    /// The entry of an export that replaces this one.
    pub(super) fn replaced_by(&self, mut new: Self) -> Self {
        new.replaces = self.names().map(str::to_owned).collect();
        new.replaces.sort_unstable();
        new.replaces.dedup();
        new
    }

    /// The files of what it replaces.
    pub(super) fn replaced_paths<'e>(&'e self, folder: &'e Path) -> impl Iterator<Item = PathBuf> + use<'e> {
        self.replaces.iter().map(|name| folder.join(name))
    }

    /// The files of its windows.
    pub(super) fn paths<'e>(&'e self, folder: &'e Path) -> impl Iterator<Item = PathBuf> + use<'e> {
        self.windows.iter().flat_map(|window| &window.files).map(|file| folder.join(&file.path))
    }
}

/// Whether a file's name, with forward slashes, leads nowhere but below the folder.
fn is_below(name: &str) -> bool {
    let mut parts = Path::new(name).components().peekable();
    parts.peek().is_some() && parts.all(|part| matches!(part, Component::Normal(_)))
}

impl JobEntry {
    pub(super) fn of(job: &Job) -> Self {
        Self {
            id: job.job_id.to_string(),
            created: job.job_created_time,
            started: job.job_start_time,
            ended: job.job_end_time,
        }
    }

    /// Whether a job of the same id may be this one: as far as is known, both were created at the same time.
    pub(super) fn may_be(&self, job: &Job) -> bool {
        self.created.zip(job.job_created_time).is_none_or(|(ours, found)| ours == found)
    }

    pub(super) fn of_id(id: &JobId) -> Self {
        Self { id: id.to_string(), created: None, started: None, ended: None }
    }
}

impl WindowEntry {
    /// Whether every file is there, byte for byte.
    pub(super) fn is_proven(&self, folder: &Path) -> bool {
        let whole = |file: &FileEntry| {
            let found = fingerprint(&folder.join(&file.path));
            found.is_ok_and(|(sha256, bytes)| sha256 == file.sha256 && bytes == file.bytes)
        };
        self.complete && self.files.iter().all(whole)
    }
}
