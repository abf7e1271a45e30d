//! What is done after each run: readers' views are brought up to date, the base is built anew when that pays, and what has been
//! superseded for long enough goes.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io;
use std::path::Path;

use backstory_destination::{Error, ErrorKind};
use backstory_tables::Resource;
use jiff::{SignedDuration, Timestamp};

use crate::catalog::walk;
use crate::compaction;
use crate::lake::Inner;
use crate::layout::Layout;
use crate::problem::unwritable;
use crate::state::State;

/// How long superseded files stay, so that no reader fails that began with them.
const GRACE: SignedDuration = SignedDuration::from_hours(24);
/// An overlay of fewer rows is no burden to readers, whatever the base.
const FEW_ROWS: u64 = 100_000;
/// Readers open each file.
const MANY_FILES: usize = 200;

/// Puts the lake in order. Jobs that are `fresh` have been committed since the last time.
pub(crate) fn settle(lake: &Inner, now: Timestamp, fresh: &HashSet<String>) -> Result<(), Error> {
    lake.refresh_views()?;
    remove_leftovers(&lake.layout)?;
    compaction::clear_leftovers(&lake.layout)?;
    if pays(&lake.state()?, fresh) {
        match compaction::compact(lake, now, &HashSet::new()) {
            Ok(compacted) => tracing::info!(rows = compacted.rows, "built the base anew"),
            Err(error) if error.kind() == ErrorKind::Busy => {
                tracing::info!("another process is compacting the lake");
            }
            // What has just been loaded is good all the same. Nothing goes that the damaged file may be replaced from.
            Err(error) if error.kind() == ErrorKind::Damaged => {
                let hint = error.hint().unwrap_or_default();
                tracing::warn!(%error, hint, "the lake can't be compacted");
                return Ok(());
            }
            Err(error) => return Err(error),
        }
        lake.refresh_views()?;
    }
    remove_superseded(&lake.state()?, now)
}

/// Whether a new base is worth its price: what isn't in the base yet makes up a quarter of it, or is in many files. What the
/// run itself has brought is left to the next one, so that a first sync doesn't write everything twice before it is done.
fn pays(state: &State, fresh: &HashSet<String>) -> bool {
    let overlay = state.activities.overlay.iter();
    let older: Vec<_> = overlay
        .filter(|file| file.part().is_some_and(|record| !fresh.contains(&record.delivery.job_id)))
        .collect();
    let rows: u64 = older.iter().map(|file| file.rows()).sum();
    let base = state.activities.base.as_ref().map_or(0, |base| base.rows());
    older.len() > MANY_FILES || (rows >= FEW_ROWS && rows * 4 > base)
}

/// Removes what dead processes have left half written. A file that is being written is locked.
fn remove_leftovers(layout: &Layout) -> Result<(), Error> {
    let mut leftovers = Vec::new();
    for folder in Resource::ALL.iter().map(|resource| layout.data(*resource)).chain([layout.own()]) {
        walk(&folder, &mut |path, _| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if name.starts_with('.') && name.ends_with(".partial") {
                leftovers.push(path.to_owned());
            }
        })?;
    }
    for path in leftovers {
        // Whoever can't be asked is alive.
        let is_left = File::options().write(true).open(&path).is_ok_and(|file| file.try_lock().is_ok());
        if is_left {
            remove(&path)?;
        }
    }
    Ok(())
}

/// Removes superseded files whose time is up. Each can go without the others: what replaced them is complete.
fn remove_superseded(state: &State, now: Timestamp) -> Result<(), Error> {
    for (file, since) in &state.superseded {
        if now.duration_since(*since) < GRACE {
            continue;
        }
        remove(&file.path)?;
        backstory_destination::fail_point("lake-superseded-removed");
        if let Some(folder) = file.path.parent().filter(|_| file.base().is_some()) {
            // Fails as long as there is a file in it.
            let _ = fs::remove_dir(folder);
        }
    }
    Ok(())
}

fn remove(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(unwritable(path, error)),
        _ => Ok(()),
    }
}
