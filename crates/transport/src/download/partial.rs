//! The file that is not yet whole: `.NAME.partial` beside the target, locked while it is written, and renamed when it is
//! whole and on disk.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use same_file::Handle;
use sha2::{Digest as _, Sha256};

use super::engine::{Engine, Restart, Step, hex};
use super::journal::{Journal, Left, address};
use super::writer::{Target, Writer};
use super::{Downloaded, Plan, Resume};
use crate::error::{Error, ErrorKind};

/// How many bytes may have to be fetched again after a crash, when downloads resume.
const CHECKPOINT: u64 = 16 << 20;

/// After how many bytes the disk is asked to take them, while more are on their way: what is left for the end is little then.
const FLUSH: usize = 32 << 20;

/// Downloads into a file; see [`Download::to_file`](super::Download::to_file).
pub(super) async fn to_file(plan: Plan, path: &Path) -> Result<Downloaded, Error> {
    let address = address((plan.request)().uri());
    let resumed = (plan.resume == Resume::IfRange).then(|| address.clone());
    let paths = Paths::beside(path)?;
    let opened = tokio::task::spawn_blocking(move || PartialFile::open(paths, resumed.as_deref()));
    let (file, guard, left) = opened.await.map_err(|error| {
        Error::new(ErrorKind::Destination, "the runtime that writes the download has shut down")
            .with_source(error)
    })??;

    let mut engine = Engine::new(plan, Restart::Rewind);
    let mut next_checkpoint = CHECKPOINT;
    let mut sha256 = Sha256::new();
    if let Some(left) = left {
        next_checkpoint += left.known.bytes;
        sha256 = left.sha256;
        engine.continue_from(left.known);
    }
    // Beside each other: hashing takes about as long as writing does, and each has a core to itself.
    let mut hash = Writer::new(sha256);
    let mut writer = Writer::new(file);
    let result = loop {
        match engine.next().await {
            Ok(Step::Data(chunk)) => {
                hash.write(chunk.clone()).await?;
                writer.write(chunk).await?;
                if let Some(known) = engine.known().filter(|known| known.bytes >= next_checkpoint) {
                    next_checkpoint = known.bytes + CHECKPOINT;
                    let journal = Journal::new(address.clone(), &known, hash.settled().await?);
                    writer.run(move |file| file.checkpoint(&journal)).await?;
                }
            }
            Ok(Step::Rewind) => {
                next_checkpoint = CHECKPOINT;
                *hash.settled().await? = Sha256::new();
                writer.run(PartialFile::rewind).await?;
            }
            Ok(Step::End(downloaded)) => break Ok(downloaded),
            Err(error) => break Err(error),
        }
    };
    match result {
        Ok(downloaded) => {
            writer.run(PartialFile::commit).await?;
            drop(guard);
            let sha256 = hex(hash.settled().await?);
            Ok(Downloaded { sha256, ..downloaded })
        }
        Err(error) => {
            // Best effort: the download's own failure is what the caller must hear of.
            if let (Some(known), Ok(sha256)) = (engine.known(), hash.settled().await) {
                let journal = Journal::new(address, &known, sha256);
                let _ = writer.run(move |file| file.checkpoint(&journal)).await;
            }
            Err(error)
        }
    }
}

/// The files of one download.
#[derive(Clone, Debug)]
struct Paths {
    target: PathBuf,
    folder: PathBuf,
    partial: PathBuf,
    journal: PathBuf,
}

impl Paths {
    fn beside(target: &Path) -> Result<Self, Error> {
        let Some(name) = target.file_name().filter(|_| !target.is_dir()) else {
            let message = format!("{} is a folder; name a file in it", target.display());
            return Err(Error::new(ErrorKind::Destination, message));
        };
        let folder = match target.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
            _ => PathBuf::from("."),
        };
        let hidden = |ending: &str| {
            let mut hidden = OsString::from(".");
            hidden.push(name);
            hidden.push(ending);
            folder.join(hidden)
        };
        let (partial, journal) = (hidden(".partial"), hidden(".partial.json"));
        Ok(Self { target: target.to_owned(), folder, partial, journal })
    }
}

/// Where the partial file is in its life. Shared by the thread that writes it and the task that may be cancelled: only one
/// of them decides.
enum Life {
    /// It is being written; `keep` when another process could go on from it.
    Open { keep: bool },
    /// It has its final name.
    Committed,
    /// It is gone.
    Removed,
}

/// Removes the partial file when its download goes away before the end.
struct Guard {
    paths: Paths,
    life: Arc<Mutex<Life>>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        let mut life = self.life.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*life, Life::Open { keep: false }) {
            *life = Life::Removed;
            // There is no journal where nothing is kept. Nobody is left to tell of a failure; the next download to the same
            // file begins by emptying what stays.
            let _ = fs::remove_file(&self.paths.partial);
        }
    }
}

/// The partial file, as the writing thread has it.
pub(super) struct PartialFile {
    file: File,
    paths: Paths,
    life: Arc<Mutex<Life>>,
    /// Bytes written since the disk was last asked to take them.
    unflushed: usize,
    flushing: Option<JoinHandle<io::Result<()>>>,
}

impl PartialFile {
    /// Opens and locks the partial file, and keeps what it has if a journal proves that it may be continued.
    fn open(paths: Paths, resumed: Option<&str>) -> Result<(Self, Guard, Option<Left>), Error> {
        let mut file = open_locked(&paths)?;
        let life = Arc::new(Mutex::new(Life::Open { keep: false }));
        // From here on, whatever fails removes the file.
        let guard = Guard { paths: paths.clone(), life: Arc::clone(&life) };
        let left = resumed.and_then(|address| Journal::load(&paths.journal, address, &mut file));
        let mut partial = Self { file, paths, life, unflushed: 0, flushing: None };
        match &left {
            Some(left) => {
                partial.keep(true);
                let bytes = left.known.bytes;
                partial
                    .file
                    .set_len(bytes)
                    .and_then(|()| partial.file.seek(SeekFrom::Start(bytes)))
                    .map_err(|error| failed("can't be continued", &partial.paths.partial, error))?;
            }
            None => partial.rewind()?,
        }
        Ok((partial, guard, left))
    }

    /// Empties the file: everything comes again.
    fn rewind(&mut self) -> Result<(), Error> {
        self.keep(false);
        match fs::remove_file(&self.paths.journal) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(failed("can't be removed", &self.paths.journal, error));
            }
            _ => {}
        }
        let emptied = self.file.set_len(0).and_then(|()| self.file.rewind());
        emptied.map_err(|error| failed("can't be emptied", &self.paths.partial, error))
    }

    /// Makes sure that what is written so far outlives a crash, and that another process can go on from it.
    fn checkpoint(&mut self, journal: &Journal) -> Result<(), Error> {
        self.put_on_disk(File::sync_data)?;
        // Under the lock: a download that is cancelled now either removes the journal too, or leaves it with its file.
        let mut life = self.life.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*life, Life::Open { .. }) {
            journal
                .store(&self.paths.journal)
                .map_err(|error| failed("can't be written", &self.paths.journal, error))?;
            *life = Life::Open { keep: true };
        }
        Ok(())
    }

    /// Gives the file its final name, once all of it is on disk.
    fn commit(&mut self) -> Result<(), Error> {
        self.put_on_disk(File::sync_all)?;
        {
            let mut life = self.life.lock().unwrap_or_else(PoisonError::into_inner);
            if matches!(*life, Life::Removed) {
                return Err(Error::new(ErrorKind::Destination, "the download was cancelled"));
            }
            fs::rename(&self.paths.partial, &self.paths.target)
                .map_err(|error| failed("can't get its final name", &self.paths.partial, error))?;
            *life = Life::Committed;
        }
        // The journal speaks of a file that is no more: at worst it is found not to fit.
        let _ = fs::remove_file(&self.paths.journal);
        sync_folder(&self.paths.folder)
            .map_err(|error| failed("can't be put on disk", &self.paths.folder, error))
    }

    /// Waits until everything is on disk.
    fn put_on_disk(&mut self, sync: fn(&File) -> io::Result<()>) -> Result<(), Error> {
        self.flushed().and_then(|()| sync(&self.file)).map_err(|error| self.not_on_disk(error))
    }

    /// Has the disk take what is written so far, in the background, unless it is still at it.
    fn flush_behind(&mut self) -> io::Result<()> {
        if self.flushing.as_ref().is_some_and(|flushing| !flushing.is_finished()) {
            return Ok(());
        }
        self.flushed()?;
        self.unflushed = 0;
        let file = self.file.try_clone()?;
        self.flushing = Some(std::thread::Builder::new().spawn(move || file.sync_data())?);
        Ok(())
    }

    /// What came of the last flush. A failure is reported once by the operating system, so this must not be passed over.
    fn flushed(&mut self) -> io::Result<()> {
        let flushing = self.flushing.take().map(JoinHandle::join);
        flushing
            .map_or(Ok(()), |flushed| flushed.unwrap_or_else(|_| Err(io::Error::other("flushing panicked"))))
    }

    fn not_on_disk(&self, error: io::Error) -> Error {
        failed("can't be put on disk", &self.paths.partial, error)
    }

    fn keep(&self, keep: bool) {
        let mut life = self.life.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*life, Life::Open { .. }) {
            *life = Life::Open { keep };
        }
    }
}

impl Target for PartialFile {
    // Each batch costs the waking of a thread: with a quarter of this, a download was a seventh slower.
    const BATCH: usize = 4 << 20;
    const WAITING: usize = 8 << 20;

    fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.file.write_all(bytes).map_err(|error| failed("can't be written", &self.paths.partial, error))?;
        self.unflushed += bytes.len();
        if self.unflushed < FLUSH {
            Ok(())
        } else {
            self.flush_behind().map_err(|error| self.not_on_disk(error))
        }
    }
}

/// Opens the partial file, alone: two downloads to one file at once would write into each other.
fn open_locked(paths: &Paths) -> Result<File, Error> {
    loop {
        let mut options = OpenOptions::new();
        let opened = options.read(true).write(true).create(true).truncate(false).open(&paths.partial);
        let file = opened.map_err(|error| failed("can't be created", &paths.partial, error))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let message = format!("another download to {} is under way", paths.target.display());
                return Err(Error::new(ErrorKind::Destination, message));
            }
            // Some network file systems have no locks; a download must work there all the same.
            Err(TryLockError::Error(error)) => tracing::debug!(%error, "the partial file can't be locked"),
        }
        // Between opening and locking, the file may have been renamed by the download that held the lock: it is that one's
        // finished file then, and must not be touched.
        let locked = file.try_clone().and_then(Handle::from_file);
        match (locked, Handle::from_path(&paths.partial)) {
            (Ok(locked), Ok(named)) if locked == named => return Ok(file),
            (Err(error), _) => return Err(failed("can't be opened", &paths.partial, error)),
            _ => {}
        }
    }
}

#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Elsewhere a folder can't be opened like a file, and the file system's own journal has to do.
#[cfg(not(unix))]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

fn failed(what: &str, path: &Path, error: io::Error) -> Error {
    let hint = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ": the disk is full",
        io::ErrorKind::NotFound => ": does its folder exist?",
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => ": its folder is not writable",
        _ => "",
    };
    Error::new(ErrorKind::Destination, format!("{} {what}{hint}", path.display())).with_source(error)
}
