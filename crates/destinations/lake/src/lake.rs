//! The lake itself: how it is opened, and the port that a sync drives it by.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::{fmt, io};

use backstory_destination::{
    Delivery, DeliveryRecord, Destination, DestinationUrl, Digest, Error, ErrorKind, Finding, HistoryEntry,
    Load,
};
use backstory_tables::{OutputFormat, Resource};
use jiff::Timestamp;
use jiff::civil::Date;

use crate::catalog::{Catalog, Files};
use crate::compaction::{self, Compacted};
use crate::current::{Current, current};
use crate::export::{self, Exported};
use crate::layout::Layout;
use crate::load::LakeLoad;
use crate::problem::unreadable;
use crate::state::State;
use crate::{contents, history, housekeeping, identity, verify, views};

/// A lake of Parquet files in a folder.
///
/// ```
/// use backstory_destination::{Delivery, DeliveryKind, Destination, Proving, Window};
/// use backstory_lake::Lake;
/// use backstory_tables::{BadRows, Conversion, Resource, SourceFormat};
/// use jiff::{Timestamp, civil::date};
///
/// # let folder = tempfile::tempdir()?;
/// # let folder = folder.path();
/// let lake = Lake::open_or_create(folder)?;
///
/// // What a sync does: the result of an export job becomes rows, and they are committed together with its record.
/// let window = Window::new(date(2026, 3, 1), date(2026, 3, 14));
/// let now: Timestamp = "2026-03-15T08:00:00Z".parse()?;
/// let delivery = Delivery::new("17", DeliveryKind::Delta, window, now, now);
/// let mut load = lake.begin(&delivery)?;
/// let export = &b"{\"uid\":\"em-1\",\"type\":\"email\"}\n"[..];
/// let conversion = Conversion::new(Resource::Activities, SourceFormat::JsonLines, delivery.origin(0));
/// load.fragment(0, conversion, &mut Proving::new(export), &mut BadRows::fail())?;
/// load.commit()?;
/// lake.settle(now)?;
///
/// assert_eq!(lake.deliveries()?.len(), 1);
/// assert_eq!(lake.tables()?["activities"], 1);
/// assert!(folder.join("views.duckdb.sql").is_file());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Lake {
    inner: Arc<Inner>,
    name: String,
}

/// What a lake shares with the deliveries on their way into it.
pub(crate) struct Inner {
    pub(crate) layout: Layout,
    pub(crate) id: String,
    catalog: Mutex<Catalog>,
    /// Jobs that were committed since the lake was opened, or last settled.
    fresh: Mutex<HashSet<String>>,
}

impl Inner {
    /// What the files amount to now.
    pub(crate) fn state(&self) -> Result<State, Error> {
        self.state_with_anew(&HashSet::new())
    }

    /// The same, with jobs that are taken from their own files even where the base has absorbed them.
    pub(crate) fn state_with_anew(&self, anew: &HashSet<String>) -> Result<State, Error> {
        let mut catalog = self.catalog.lock().unwrap_or_else(PoisonError::into_inner);
        let files = catalog.files(&self.layout, Some(&self.id))?;
        Ok(State::of(files, anew))
    }

    pub(crate) fn note_commit(&self, job_id: &str) {
        self.fresh.lock().unwrap_or_else(PoisonError::into_inner).insert(job_id.to_owned());
    }

    /// Brings the views up to date.
    pub(crate) fn refresh_views(&self) -> Result<(), Error> {
        // Another process may have committed something between the look at the files and the writing of the views, and its
        // views may have been there before ours. So whoever has written them looks again.
        while views::refresh(&self.layout, &self.state()?)? {}
        Ok(())
    }
}

impl Lake {
    /// Opens a lake that there is. One that was moved gets views for its new place, where they can be written; nothing else is
    /// changed.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`] when the folder holds none; [`ErrorKind::Read`]; [`ErrorKind::Damaged`].
    pub fn open(folder: impl AsRef<Path>) -> Result<Self, Error> {
        let folder = folder.as_ref();
        let none = || {
            Error::new(ErrorKind::Usage, format!("there is no lake in {}", folder.display()))
                .with_hint("`backstory sync --to` makes one; is the path right?")
        };
        let root = match folder.canonicalize() {
            Ok(root) => root,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(none()),
            Err(error) => return Err(unreadable(folder, error)),
        };
        let layout = Layout::new(root);
        let mut catalog = Catalog::default();
        let id = identity::find(&layout, &mut catalog)?.ok_or_else(none)?;
        Ok(Self::new(folder, layout, id, catalog))
    }

    /// Opens the lake in a folder, and makes it where there is none.
    ///
    /// # Errors
    /// [`ErrorKind::Write`], [`ErrorKind::Read`], [`ErrorKind::Damaged`]; [`ErrorKind::Usage`] when the folder holds other
    /// Parquet files where a lake's would be.
    pub fn open_or_create(folder: impl AsRef<Path>) -> Result<Self, Error> {
        let folder = folder.as_ref();
        std::fs::create_dir_all(folder).map_err(|error| crate::problem::unwritable(folder, error))?;
        let root = folder.canonicalize().map_err(|error| unreadable(folder, error))?;
        let layout = Layout::new(root);
        let mut catalog = Catalog::default();
        let known = identity::find(&layout, &mut catalog)?;
        let id = match known {
            Some(id) if layout.identity().exists() => id,
            known => {
                let files: Files = catalog.files(&layout, None)?;
                identity::make(&layout, known, &files)?
            }
        };
        let lake = Self::new(folder, layout, id, catalog);
        if !lake.inner.layout.views().exists()
            && let Err(error) = lake.inner.refresh_views()
        {
            tracing::warn!(%error, "can't write the views yet");
        }
        Ok(lake)
    }

    fn new(folder: &Path, layout: Layout, id: String, catalog: Catalog) -> Self {
        let inner = Inner { layout, id, catalog: Mutex::new(catalog), fresh: Mutex::default() };
        let lake = Self { inner: Arc::new(inner), name: DestinationUrl::Lake(folder.to_owned()).to_string() };
        if views::are_of_another_place(&lake.inner.layout)
            && let Err(error) = lake.inner.refresh_views()
        {
            tracing::warn!(%error, "the lake was moved, and its views can't be written for the new place");
        }
        lake
    }

    /// The folder, as an absolute path.
    pub fn folder(&self) -> &Path {
        self.inner.layout.root()
    }

    /// Merges what has been delivered into a new base: one row for each key of an activity, clustered by key. Readers go on
    /// with the files that they know for at least 24 hours. `now` is the client's wall clock.
    ///
    /// # Errors
    /// [`ErrorKind::Busy`] while another process does the same; [`ErrorKind::Read`], [`ErrorKind::Write`],
    /// [`ErrorKind::Damaged`]; the lake is as it was then.
    pub fn compact(&self, now: Timestamp) -> Result<Compacted, Error> {
        let compacted = compaction::compact(&self.inner, now, &HashSet::new())?;
        self.inner.refresh_views()?;
        Ok(compacted)
    }

    /// Writes the current state as plain files into a folder, which is made where it is missing: `activities` and `contacts`,
    /// for CSV also `participants` and `campaigns`. JSON Lines hold the records as the service would send them.
    ///
    /// # Errors
    /// [`ErrorKind::Read`], [`ErrorKind::Write`], [`ErrorKind::Damaged`]; files of an earlier export are whole in any case.
    pub fn export_current(&self, format: OutputFormat, folder: impl AsRef<Path>) -> Result<Exported, Error> {
        let (activities, contacts) = (self.current(Resource::Activities)?, self.current(Resource::Contacts)?);
        export::export(format, folder.as_ref(), &activities, &contacts)
    }

    fn current(&self, resource: Resource) -> Result<Current, Error> {
        let state = self.inner.state()?;
        match resource {
            Resource::Contacts => current(None, &state.contacts.current),
            _ => current(state.activities.base.as_ref(), &state.activities.overlay),
        }
    }
}

impl Destination for Lake {
    fn id(&self) -> &str {
        &self.inner.id
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn home(&self) -> Option<&Path> {
        Some(self.folder())
    }

    fn deliveries(&self) -> Result<Vec<DeliveryRecord>, Error> {
        self.inner.state().map(|state| state.deliveries)
    }

    fn begin(&self, delivery: &Delivery) -> Result<Box<dyn Load>, Error> {
        Ok(Box::new(LakeLoad::new(Arc::clone(&self.inner), delivery.clone())))
    }

    fn settle(&self, now: Timestamp) -> Result<(), Error> {
        let fresh = std::mem::take(&mut *self.inner.fresh.lock().unwrap_or_else(PoisonError::into_inner));
        housekeeping::settle(&self.inner, now, &fresh)
    }

    fn tables(&self) -> Result<BTreeMap<String, u64>, Error> {
        let mut tables = contents::activity_tables(&self.current(Resource::Activities)?)?;
        tables.insert("contacts".to_owned(), self.current(Resource::Contacts)?.count());
        Ok(tables)
    }

    fn digest(&self, resource: Resource, processed_through: Option<Date>) -> Result<Digest, Error> {
        contents::digest(
            &self.current(resource)?,
            processed_through.filter(|_| resource == Resource::Activities),
        )
    }

    fn history(&self, uid: &str) -> Result<Vec<HistoryEntry>, Error> {
        history::of(&self.inner.state()?, uid)
    }

    fn thinned(&self) -> Result<Vec<DeliveryRecord>, Error> {
        Ok(history::thinned(&self.inner.state()?))
    }

    fn verify(&self) -> Result<Vec<Finding>, Error> {
        verify::verify(&self.inner.state()?)
    }

    fn rebuilt(&self, job_ids: &[String], now: Timestamp) -> Result<(), Error> {
        let job_ids: HashSet<String> = job_ids.iter().cloned().collect();
        let state = self.inner.state()?;
        let base = state.activities.base.as_ref().filter(|base| base.is_complete);
        if base
            .is_some_and(|base| base.absorbed.iter().any(|record| job_ids.contains(&record.delivery.job_id)))
        {
            compaction::compact(&self.inner, now, &job_ids)?;
        }
        self.inner.refresh_views()
    }
}

impl fmt::Debug for Lake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lake").field("folder", &self.folder()).field("id", &self.inner.id).finish()
    }
}
