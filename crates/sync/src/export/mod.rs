//! The export engine: runs a plan's windows at once, within the slots, and lands each as soon as it is whole.

mod decoding;
mod events;

mod layout;
mod manifest;
mod report;
mod window;

use std::collections::HashSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use backstory_api::{Activities, Client, Contacts, ContactsFormat, WaitPolicy};
use backstory_limits::{DateRange, SlotPolicy};
use futures_util::stream::{self, StreamExt as _};
use jiff::Timestamp;
use serde_json::json;
use tokio::sync::Semaphore;

use self::manifest::JobEntry;
use self::window::{Shared, WindowRequest};
use crate::error::{Error, ErrorKind};
use crate::plan::{ExportPlan, Selection};
use crate::slots::Slots;

pub use events::{Event, Observer, Silent};
pub use layout::OutputFormat;
pub use manifest::{ExportEntry, FileEntry, JobEntry as ManifestJob, MANIFEST, Manifest, WindowEntry};
pub use report::Report;

/// How many results are downloaded and decoded at once. Parquet is decoded and encoded on all cores by itself, and one row
/// group a core is what bounds the memory; for the rest, two keep both cores busy.
fn downloads_at_once(format: OutputFormat) -> usize {
    match format {
        OutputFormat::Parquet => 1,
        OutputFormat::JsonLines | OutputFormat::Csv => 2,
    }
}

/// The file that keeps two exports out of one folder.
const LOCK: &str = ".backstory.lock";

/// What becomes of a row that can't be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadRowPolicy {
    /// The window fails at the first.
    Fail,
    /// It is set apart with its position and its raw bytes.
    Quarantine {
        /// How many may be in the whole export.
        most: u64,
    },
}

/// How an export is run.
#[derive(Clone)]
#[non_exhaustive]
pub struct ExportOptions {
    /// Where the files go. The folder is made where it is missing.
    pub folder: PathBuf,
    /// The form of the files.
    pub format: OutputFormat,
    /// The form in which the service is asked for contacts; the one that is nearest to the files' unless said. What lands is
    /// the same. Activities come in one form only.
    pub contacts_wire: Option<ContactsFormat>,
    /// Whether another export's files may be replaced, and this one's fetched anew.
    pub overwrite: bool,
    /// What becomes of a row that can't be decoded.
    pub bad_rows: BadRowPolicy,
    /// How each job is waited for.
    pub wait: WaitPolicy,
    /// How many job slots may be used.
    pub slots: SlotPolicy,
    /// The client's clock, for times that the server hasn't told.
    pub clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
}

impl ExportOptions {
    /// An export into `folder` that overwrites nothing and sets up to 1,000 bad rows apart.
    pub fn new(
        folder: impl Into<PathBuf>,
        format: OutputFormat,
        clock: impl Fn() -> Timestamp + Send + Sync + 'static,
    ) -> Self {
        Self {
            folder: folder.into(),
            format,
            contacts_wire: None,
            overwrite: false,
            bad_rows: BadRowPolicy::Quarantine { most: 1_000 },
            wait: WaitPolicy::default(),
            slots: SlotPolicy::default(),
            clock: Arc::new(clock),
        }
    }

    pub(crate) fn wire(&self) -> ContactsFormat {
        self.contacts_wire.unwrap_or(self.format.contacts_wire())
    }
}

/// Runs a plan: one job for each window, at most as many at once as the slots allow, one set of files for each.
///
/// Run again with the same plan and folder, it keeps the windows that are whole and proven by their checksums, takes over
/// jobs that an earlier run began, and fetches only the rest. When the returned future is dropped, nothing half-written is
/// left under a final name.
///
/// # Errors
/// [`ErrorKind::Occupied`] when the folder holds something else, [`ErrorKind::Destination`] when it can't be used. The
/// failure of single windows is not an error: it stands in the report beside what landed.
pub async fn export(
    client: &Client,
    plan: &ExportPlan,
    options: &ExportOptions,
    observer: Arc<dyn Observer>,
) -> Result<Report, Error> {
    let folder = Folder::open(plan, options, client.base_url().as_str())?;
    let shared = Shared {
        client,
        selection: plan.selection(),
        options,
        observer,
        slots: Slots::new(
            options.slots,
            client.clone(),
            matches!(plan.selection(), Selection::Activities { .. }),
            &options.clock,
        )
        .with_deadline(options.wait.deadline),
        downloads: Semaphore::new(downloads_at_once(options.format)),
        bad_rows: Arc::new(AtomicU64::new(0)),
    };
    match plan.selection() {
        Selection::Activities { kind, activity_type } => {
            run::<Activities>(&shared, &(*kind, *activity_type), plan, &folder).await
        }
        Selection::Contacts(filter) => run::<Contacts>(&shared, filter, plan, &folder).await,
    }
}

async fn run<R: WindowRequest>(
    shared: &Shared<'_>,
    filter: &R::Filter,
    plan: &ExportPlan,
    folder: &Folder,
) -> Result<Report, Error> {
    // More windows than slots are under way, since a window that is downloading holds none.
    let at_once = shared.options.slots.running
        + shared.options.slots.waiting
        + downloads_at_once(shared.options.format);
    let mut outcomes = stream::iter(plan.windows())
        .map(|window| bring::<R>(shared, filter, *window, folder))
        .buffer_unordered(at_once);
    let (mut reused, mut failures) = (0, Vec::new());
    while let Some(outcome) = outcomes.next().await {
        match outcome {
            Ok(Brought::Reused) => reused += 1,
            Ok(Brought::Fetched) => {}
            Err(error) => {
                let give_up = error.concerns_all_windows();
                failures.push(error);
                if give_up {
                    break;
                }
            }
        }
    }
    drop(outcomes);
    let windows = folder.close(failures.is_empty())?;
    Ok(Report { folder: shared.options.folder.clone(), windows, reused, failures })
}

enum Brought {
    Reused,
    Fetched,
}

/// Brings one window, unless it is there already.
async fn bring<R: WindowRequest>(
    shared: &Shared<'_>,
    filter: &R::Filter,
    window: DateRange,
    folder: &Folder,
) -> Result<Brought, Error> {
    let outcome = async {
        let known = folder.known(window);
        if let Some(known) = known.clone().filter(|known| known.complete) {
            let (path, entry) = (folder.path.clone(), known);
            let proof = tokio::task::spawn_blocking(move || entry.is_proven(&path).then_some(entry)).await;
            if let Some(entry) = proof.ok().flatten() {
                shared.observer.on_event(Event::Reused { window, rows: entry.rows });
                return Ok(Brought::Reused);
            }
        }
        // A window that was whole and isn't any more is fetched by a job of its own; an unfinished one goes on with its job.
        let earlier = known.filter(|known| !known.complete).map(|known| known.job);
        let entry = window::run::<R>(shared, filter, window, earlier, |entry| folder.put(entry)).await?;
        let file = entry.files.first().map(|file| folder.path.join(&file.path)).unwrap_or_default();
        let landed = Event::Landed { window, rows: entry.rows, bad_rows: entry.bad_rows, file: &file };
        shared.observer.on_event(landed);
        folder.put(entry)?;
        Ok(Brought::Fetched)
    };
    outcome.await.map_err(|error: Error| {
        let error = error.in_window(window);
        shared.observer.on_event(Event::Failed { window, error: &error });
        error
    })
}

/// The export's folder: ours alone while this lives.
struct Folder {
    path: PathBuf,
    manifest: Mutex<(Manifest, ExportEntry)>,
    /// Holds the lock; the system lets go of it when the process ends, however it ends.
    _lock: File,
}

impl Folder {
    fn open(plan: &ExportPlan, options: &ExportOptions, service: &str) -> Result<Self, Error> {
        let path = options.folder.clone();
        fs::create_dir_all(&path).map_err(|error| Error::destination("make the folder", &path, error))?;
        let lock = lock(&path)?;
        let manifest = match Manifest::read(&path) {
            Err(error) if options.overwrite && error.kind() == ErrorKind::Occupied => Manifest::default(),
            manifest => manifest?,
        };
        let fresh = ExportEntry {
            resource: plan.selection().resource().to_owned(),
            request: json!({
                "selection": plan.selection(),
                "from": plan.range().start(),
                "to": plan.range().end(),
                "windows": plan.windows().len(),
                "format": options.format.as_str(),
                "service": service,
            }),
            complete: false,
            windows: Vec::new(),
            replaces: Vec::new(),
        };
        let entry = match manifest.export(&fresh.resource) {
            None => fresh,
            Some(known) if options.overwrite => known.replaced_by(fresh),
            Some(known) if known.is_of(&fresh.request) => known.clone(),
            Some(known) if known.is_empty() => fresh,
            Some(known) => return Err(other_export(&path, known)),
        };
        let folder = Self { path, manifest: Mutex::new((manifest, entry)), _lock: lock };
        if !options.overwrite {
            folder.refuse_strangers(plan, options)?;
        }
        Ok(folder)
    }

    /// Files that stand where ours will, and that no manifest explains, are somebody else's.
    fn refuse_strangers(&self, plan: &ExportPlan, options: &ExportOptions) -> Result<(), Error> {
        let ours: HashSet<PathBuf> = {
            let guard = self.guard();
            guard.1.paths(&self.path).chain(guard.1.replaced_paths(&self.path)).collect()
        };
        for window in plan.windows() {
            // A window whose job is known may have landed in the moment before the manifest was written.
            if self.known(*window).is_some() {
                continue;
            }
            for table in layout::tables(plan.selection(), options.format) {
                let file = self.path.join(layout::file(table, plan.selection(), *window, options.format));
                if file.exists() && !ours.contains(&file) {
                    let message = format!("{} exists already and is not of this export", file.display());
                    return Err(Error::new(ErrorKind::Occupied, message)
                        .with_hint("choose another folder, or replace the file with --force"));
                }
            }
        }
        Ok(())
    }

    fn known(&self, window: DateRange) -> Option<WindowEntry> {
        self.guard().1.window(window).cloned()
    }

    /// Notes what is known of a window, on disk.
    fn put(&self, window: WindowEntry) -> Result<(), Error> {
        let mut guard = self.guard();
        let (manifest, entry) = &mut *guard;
        entry.put(window);
        manifest.put(entry.clone());
        manifest.write(&self.path)
    }

    /// Ends the export; returns the windows that are whole.
    fn close(&self, complete: bool) -> Result<Vec<WindowEntry>, Error> {
        let mut guard = self.guard();
        let (manifest, entry) = &mut *guard;
        // An export of which nothing was begun leaves the folder as it was.
        if entry.windows.is_empty() {
            return Ok(Vec::new());
        }
        entry.complete = complete;
        manifest.put(entry.clone());
        manifest.write(&self.path)?;
        if complete && !entry.replaces.is_empty() {
            let kept: HashSet<PathBuf> = entry.paths(&self.path).collect();
            for old in entry.replaced_paths(&self.path).filter(|old| !kept.contains(old)) {
                match fs::remove_file(&old) {
                    Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                        return Err(Error::destination("remove the replaced export's file", &old, error));
                    }
                    _ => {}
                }
            }
            entry.replaces.clear();
            manifest.put(entry.clone());
            manifest.write(&self.path)?;
        }
        Ok(entry.windows.iter().filter(|window| window.complete).cloned().collect())
    }

    fn guard(&self) -> MutexGuard<'_, (Manifest, ExportEntry)> {
        self.manifest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn lock(folder: &Path) -> Result<File, Error> {
    let path = folder.join(LOCK);
    let file =
        File::create(&path).map_err(|error| Error::destination("write into the folder", folder, error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => {
            let message = format!("another export is writing into {}", folder.display());
            Err(Error::new(ErrorKind::Occupied, message)
                .with_hint("wait until it has ended, or choose another folder"))
        }
        Err(fs::TryLockError::Error(error)) => Err(Error::destination("lock the folder", folder, error)),
    }
}

fn other_export(folder: &Path, known: &ExportEntry) -> Error {
    let message = format!("{} holds another export: {}", folder.display(), known.in_words());
    Error::new(ErrorKind::Occupied, message)
        .with_hint("choose another folder, or replace that export with --force; to go on with it, use the same arguments")
}

impl WindowEntry {
    /// A window of which only the job is known.
    fn begun<R: backstory_api::Resource>(window: DateRange, job: &backstory_api::ExportJob<R>) -> Self {
        Self {
            from: window.start(),
            to: window.end(),
            complete: false,
            job: job.described().map_or_else(|| JobEntry::of_id(job.id()), JobEntry::of),
            fragment: 0,
            bytes: 0,
            sha256: String::new(),
            rows: 0,
            bad_rows: 0,
            rows_by_month: Default::default(),
            files: Vec::new(),
        }
    }
}
