//! Landing: a file grows under a temporary name, is hashed on the way, and appears under its own name only when it is
//! whole and on disk.

use std::fs::{self, File};
use std::io::{self, BufWriter, Read as _, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

/// Big enough for few system calls, small enough for many files at once.
const BUFFER: usize = 256 << 10;

/// A file on its way. Dropped before [`commit`](Self::commit), it leaves nothing behind.
#[derive(Debug)]
pub struct Landing {
    path: PathBuf,
    temporary: PathBuf,
    file: Option<BufWriter<File>>,
    hash: Sha256,
    bytes: u64,
}

/// A file that has landed.
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
    /// The file system's.
    pub fn begin(path: &Path) -> io::Result<Self> {
        let temporary = temporary(path);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let file = BufWriter::with_capacity(BUFFER, File::create(&temporary)?);
        Ok(Self { path: path.to_owned(), temporary, file: Some(file), hash: Sha256::new(), bytes: 0 })
    }

    /// Gives the file its name, once it is on disk. A file that had the name is replaced in one step.
    ///
    /// # Errors
    /// The file system's; an earlier file of that name is as it was then.
    pub fn commit(mut self) -> io::Result<Landed> {
        if let Some(file) = self.file.take() {
            let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
            file.sync_all()?;
        }
        fs::rename(&self.temporary, &self.path)?;
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
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.as_mut().map_or(Ok(()), Write::flush)
    }
}

/// What has not landed leaves nothing behind.
impl Drop for Landing {
    fn drop(&mut self) {
        drop(self.file.take());
        // After a commit there is none.
        let _ = fs::remove_file(&self.temporary);
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
