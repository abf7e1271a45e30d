//! Which lake this is. Its id is made once, stands in a file of its own and in every data file, and so survives the loss of
//! the first.

use std::fs;
use std::io;
use std::path::Path;

use backstory_destination::{Error, ErrorKind, replace};
use serde::{Deserialize, Serialize};

use crate::catalog::{Catalog, Files};
use crate::layout::Layout;
use crate::problem::{damaged, unreadable, unwritable};

const FORMAT: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Identity {
    format: u32,
    id: String,
}

/// The id of a lake, if there is one.
pub(crate) fn find(layout: &Layout, catalog: &mut Catalog) -> Result<Option<String>, Error> {
    let path = layout.identity();
    match fs::read_to_string(&path) {
        Ok(text) => {
            let identity: Identity =
                serde_json::from_str(&text).map_err(|error| damaged_identity(&path).with_source(error))?;
            if identity.format != FORMAT {
                let message = format!("{} was made by a later version of backstory", layout.root().display());
                return Err(Error::new(ErrorKind::Damaged, message).with_hint("update backstory"));
            }
            Ok(Some(identity.id))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let files = catalog.files(layout, None)?;
            match files.data.split_first() {
                None => Ok(None),
                Some((first, rest)) => match rest.iter().find(|file| file.lake != first.lake) {
                    None => Ok(Some(first.lake.clone())),
                    Some(other) => {
                        let problem = format!("belongs to another lake than {}", first.path.display());
                        Err(damaged(&other.path, &problem))
                    }
                },
            }
        }
        Err(error) => Err(unreadable(&path, error)),
    }
}

/// Makes a lake: its folders, and its id unless it is known.
pub(crate) fn make(layout: &Layout, known: Option<String>, files: &Files) -> Result<String, Error> {
    if let (None, Some((stranger, why))) = (&known, files.strangers.first()) {
        let message =
            format!("{} can't become a lake: {} {why}", layout.root().display(), stranger.display());
        return Err(Error::new(ErrorKind::Usage, message).with_hint("choose an empty folder, or a new one"));
    }
    let id = known.unwrap_or_else(|| format!("{:032x}", rand::random::<u128>()));
    for folder in [
        layout.own(),
        layout.root().join("activities/snapshot"),
        layout.root().join("activities/delta"),
        layout.generations(),
        layout.root().join("contacts"),
    ] {
        fs::create_dir_all(&folder).map_err(|error| unwritable(&folder, error))?;
    }
    // A new folder is there after a crash only when the one around it is on disk.
    for folder in [layout.root().join("activities"), layout.root().to_owned()] {
        sync_folder(&folder)?;
    }
    let identity = Identity { format: FORMAT, id: id.clone() };
    let path = layout.identity();
    let text = serde_json::to_string(&identity).map_err(|error| unwritable(&path, error))?;
    replace(&path, format!("{text}\n").as_bytes()).map_err(|error| unwritable(&path, error))?;
    Ok(id)
}

/// Brings a folder's entries to disk.
pub(crate) fn sync_folder(folder: &Path) -> Result<(), Error> {
    if cfg!(unix) {
        let synced = fs::File::open(folder).and_then(|folder| folder.sync_all());
        synced.map_err(|error| unwritable(folder, error))?;
    }
    Ok(())
}

fn damaged_identity(path: &Path) -> Error {
    Error::new(ErrorKind::Damaged, format!("{} can't be understood", path.display()))
        .with_hint("remove it: it is made anew from the data files")
}
