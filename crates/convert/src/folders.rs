//! The folders that a conversion makes for its files, which go again when nothing lands in them.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Folders that weren't there, the outer before the inner. Those that are empty are removed at the end, unless a file has
/// landed.
#[derive(Debug, Default)]
pub(crate) struct MadeFolders(Mutex<Vec<PathBuf>>);

impl MadeFolders {
    /// Notes the folders that will be made for a file.
    pub(crate) fn note_missing(&self, file: &Path) {
        let folders = file.ancestors().skip(1).filter(|folder| !folder.as_os_str().is_empty());
        let missing: Vec<_> = folders.take_while(|folder| !folder.exists()).map(Path::to_owned).collect();
        self.lock().extend(missing.into_iter().rev());
    }

    /// A file has landed.
    pub(crate) fn keep(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, Vec<PathBuf>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for MadeFolders {
    fn drop(&mut self) {
        for folder in self.lock().drain(..).rev() {
            // One that somebody else has put something in stays.
            let _ = fs::remove_dir(folder);
        }
    }
}
