//! Which data files there are, and what their footers say. Footers are read once: a data file never changes.

use std::collections::HashMap;
use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use backstory_destination::{Error, ErrorKind};
use backstory_tables::Resource;

use crate::footer::{self, DataFile, Found};
use crate::layout::Layout;
use crate::problem::unreadable;

/// The files of a lake at one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Files {
    /// In the order of their paths.
    pub(crate) data: Vec<Arc<DataFile>>,
    /// Parquet files that aren't a lake's, and why.
    pub(crate) strangers: Vec<(PathBuf, String)>,
}

/// Footers that have been read.
#[derive(Debug, Default)]
pub(crate) struct Catalog {
    known: HashMap<PathBuf, (Stamp, Known)>,
}

/// What tells one file from another that has taken its name.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stamp {
    bytes: u64,
    modified: Option<SystemTime>,
}

#[derive(Clone, Debug)]
enum Known {
    Data(Arc<DataFile>),
    Stranger(String),
}

impl Catalog {
    /// Looks at all files, and reads the footers of those that are new.
    ///
    /// # Errors
    /// What keeps it from looking, and [`ErrorKind::Damaged`] when a file belongs to another lake. With `lake` unknown, any
    /// lake's files are taken.
    pub(crate) fn files(&mut self, layout: &Layout, lake: Option<&str>) -> Result<Files, Error> {
        let mut paths = Vec::new();
        for resource in Resource::ALL {
            walk(&layout.data(*resource), &mut |path, metadata| {
                let is_parquet = path.extension().is_some_and(|extension| extension == "parquet");
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                if is_parquet && !name.starts_with('.') {
                    paths.push((path.to_owned(), stamp(metadata)));
                }
            })?;
        }
        paths.sort_unstable_by(|left, right| left.0.cmp(&right.0));
        let mut files = Files::default();
        let mut known = HashMap::with_capacity(paths.len());
        for (path, stamp) in paths {
            let found = match self.known.remove(&path) {
                Some((before, found)) if before == stamp => found,
                _ => match footer::read(&path)? {
                    Found::Data(file) => Known::Data(Arc::from(file)),
                    Found::Stranger(why) => {
                        tracing::warn!(file = %path.display(), why, "left aside a file that isn't the lake's");
                        Known::Stranger(why)
                    }
                    Found::Gone => continue,
                },
            };
            match &found {
                Known::Data(file) => {
                    if let Some(lake) = lake
                        && file.lake != lake
                    {
                        return Err(of_another_lake(&path));
                    }
                    files.data.push(Arc::clone(file));
                }
                Known::Stranger(why) => files.strangers.push((path.clone(), why.clone())),
            }
            known.insert(path, (stamp, found));
        }
        self.known = known;
        Ok(files)
    }
}

fn of_another_lake(path: &Path) -> Error {
    Error::new(ErrorKind::Damaged, format!("{} belongs to another lake", path.display()))
        .with_hint("move the file out; the rows of another lake may be those of another organisation")
}

fn stamp(metadata: &Metadata) -> Stamp {
    Stamp { bytes: metadata.len(), modified: metadata.modified().ok() }
}

/// Calls back for each file below a folder. What is removed meanwhile is left out.
pub(crate) fn walk(folder: &Path, take: &mut impl FnMut(&Path, &Metadata)) -> Result<(), Error> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(unreadable(folder, error)),
    };
    for entry in entries {
        let path = entry.map_err(|error| unreadable(folder, error))?.path();
        // Follows links: a folder of data may be on another disk.
        match fs::metadata(&path) {
            Ok(metadata) if metadata.is_dir() => walk(&path, take)?,
            Ok(metadata) => take(&path, &metadata),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(unreadable(&path, error)),
        }
    }
    Ok(())
}
