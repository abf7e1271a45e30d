//! Landing: a file grows under a temporary name, is hashed on the way, and appears under its own name only when it is
//! whole and on disk.

use std::fs::{self, File, TryLockError};
use std::io::{self, BufWriter, Read as _, Write};
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};

use same_file::Handle;
use sha2::{Digest as _, Sha256};

/// Big enough for few system calls, small enough for many files at once.
const BUFFER: usize = 256 << 10;
/// After so many bytes the disk is to take what has been written, while more is being made: a conversion of 1 GiB ends 40 ms
/// earlier than if all of it waited for the end.
const BEHIND: u64 = 16 << 20;

/// A file on its way. Dropped before [`commit`](Self::commit), it leaves nothing behind.
#[derive(Debug)]
pub struct Landing {
    path: PathBuf,
    temporary: PathBuf,
    file: Option<BufWriter<File>>,
    hash: Sha256,
    bytes: u64,
    /// Up to where the disk has been told to take it, and who sees to that.
    told: u64,
    flushing: Option<JoinHandle<io::Result<()>>>,
}

/// A file that has landed, or as much of it as has been written.
#[derive(Clone, Debug)]
pub struct Landed {
    /// Its size.
    pub bytes: u64,
    /// The SHA-256 of its bytes, in lower-case hex.
    pub sha256: String,
}

impl Landing {
    /// Begins a file that will be called `path`. Its folder is made where it is missing.
    ///
    /// # Errors
    /// The file system's; [`io::ErrorKind::ResourceBusy`] while somebody else is at the same file.
    pub fn begin(path: &Path) -> io::Result<Self> {
        let temporary = temporary(path);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let file = BufWriter::with_capacity(BUFFER, create(&temporary)?);
        Ok(Self {
            path: path.to_owned(),
            temporary,
            file: Some(file),
            hash: Sha256::new(),
            bytes: 0,
            told: 0,
            flushing: None,
        })
    }

    /// Puts on disk what has been written so far, so that [`commit`](Self::commit) has little left that could fail. Of
    /// several files that belong together, all are brought to disk before the first gets its name.
    ///
    /// # Errors
    /// The file system's: above all, that there is no room.
    pub fn sync(&mut self) -> io::Result<()> {
        self.flushed()?;
        let Some(file) = &mut self.file else { return Ok(()) };
        file.flush()?;
        file.get_ref().sync_all()
    }

    /// Has the disk take what has been written so far, in the background, unless it is still at it.
    fn flush_behind(&mut self) -> io::Result<()> {
        if self.flushing.as_ref().is_some_and(|flushing| !flushing.is_finished()) {
            return Ok(());
        }
        self.flushed()?;
        let Some(file) = &self.file else { return Ok(()) };
        let file = file.get_ref().try_clone()?;
        self.flushing = Some(thread::Builder::new().spawn(move || file.sync_data())?);
        self.told = self.bytes;
        Ok(())
    }

    /// What came of that. The operating system tells of a failure once, so it must not be passed over.
    fn flushed(&mut self) -> io::Result<()> {
        let flushing = self.flushing.take().map(JoinHandle::join);
        flushing
            .map_or(Ok(()), |flushed| flushed.unwrap_or_else(|_| Err(io::Error::other("flushing panicked"))))
    }

    /// What has been written so far.
    pub fn so_far(&self) -> Landed {
        Landed { bytes: self.bytes, sha256: hex(&self.hash.clone().finalize()) }
    }

    /// Gives the file its name, once it is on disk. A file that had the name is replaced in one step.
    ///
    /// # Errors
    /// The file system's; an earlier file of that name is as it was then.
    pub fn commit(mut self) -> io::Result<Landed> {
        self.sync()?;
        fs::rename(&self.temporary, &self.path)?;
        self.file = None;
        sync_folder_of(&self.path)?;
        let hash = std::mem::take(&mut self.hash);
        Ok(Landed { bytes: self.bytes, sha256: hex(&hash.finalize()) })
    }
}

impl Write for Landing {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let Some(file) = &mut self.file else { return Err(io::Error::other("the file has landed already")) };
        let written = file.write(data)?;
        self.hash.update(&data[..written]);
        self.bytes += written as u64;
        if self.bytes - self.told >= BEHIND {
            self.flush_behind()?;
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.as_mut().map_or(Ok(()), Write::flush)
    }
}

/// Opens a temporary file, empty, for nobody else: two programs that write the same file would mix it up. What a program that
/// died has left is taken over.
fn create(temporary: &Path) -> io::Result<File> {
    loop {
        let file = File::options().write(true).create(true).truncate(false).open(temporary)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let message = format!("another run is writing {}", temporary.display());
                return Err(io::Error::new(io::ErrorKind::ResourceBusy, message));
            }
            // Some file systems have no locks.
            Err(TryLockError::Error(_)) => {}
        }
        // Between opening and locking, the other may have finished and given the file its name.
        let still_there = match Handle::from_path(temporary) {
            Ok(there) => there == Handle::from_file(file.try_clone()?)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) => return Err(error),
        };
        if still_there {
            file.set_len(0)?;
            return Ok(file);
        }
    }
}

/// What has not landed leaves nothing behind.
impl Drop for Landing {
    fn drop(&mut self) {
        // After a commit the temporary name may be another's already. Before it, the file is kept open, and so locked, until
        // its name is gone.
        if let Some(file) = self.file.take() {
            let _ = fs::remove_file(&self.temporary);
            // What it still holds is of no use to anybody.
            drop(file.into_parts());
        }
        // The thread keeps the file open, and so locked.
        let _ = self.flushed();
    }
}

/// Writes a small file whole, or not at all.
///
/// # Errors
/// The file system's.
pub fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut landing = Landing::begin(path)?;
    landing.write_all(content)?;
    landing.commit().map(drop)
}

/// The SHA-256 (lower-case hex) and the length of a file.
///
/// # Errors
/// The file system's.
pub fn fingerprint(path: &Path) -> io::Result<(String, u64)> {
    let (mut file, mut hash, mut bytes) = (File::open(path)?, Sha256::new(), 0);
    let mut buffer = vec![0; BUFFER];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok((hex(&hash.finalize()), bytes)),
            read => {
                hash.update(&buffer[..read]);
                bytes += read as u64;
            }
        }
    }
}

fn temporary(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.partial"))
}

/// A rename is durable only when its folder is.
fn sync_folder_of(path: &Path) -> io::Result<()> {
    match path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        Some(folder) if cfg!(unix) => File::open(folder)?.sync_all(),
        _ => Ok(()),
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_appears_only_when_it_is_committed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/down/a.txt");
        let mut landing = Landing::begin(&path).unwrap();
        landing.write_all(b"hello").unwrap();
        assert!(!path.exists());
        let landed = landing.commit().unwrap();
        assert_eq!(landed.bytes, 5);
        assert_eq!(fingerprint(&path).unwrap(), (landed.sha256, 5));
    }

    #[test]
    fn one_file_is_written_by_one_at_a_time_and_what_the_dead_have_left_is_taken_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.txt");
        fs::write(folder.path().join(".a.txt.partial"), b"left by somebody who was killed").unwrap();
        let mut first = Landing::begin(&path).unwrap();
        first.write_all(b"first").unwrap();
        first.sync().unwrap();
        assert_eq!(Landing::begin(&path).unwrap_err().kind(), io::ErrorKind::ResourceBusy);
        first.commit().unwrap();
        drop(Landing::begin(&path).unwrap());
        assert_eq!(fs::read(&path).unwrap(), b"first");
    }

    #[test]
    fn a_file_that_is_given_up_leaves_nothing_behind_and_the_old_one_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.txt");
        replace(&path, b"old").unwrap();
        let mut landing = Landing::begin(&path).unwrap();
        landing.write_all(b"new").unwrap();
        drop(landing);
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
