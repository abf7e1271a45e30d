//! The proof of a data file's bytes: that they are those that were written.

use std::fs::File;
use std::io::{self, Read};

use backstory_destination::Error;
use sha2::{Digest as _, Sha256};

use crate::footer::DataFile;
use crate::problem::unreadable;

/// What is wrong with a file whose bytes are others.
pub(crate) const CHANGED: &str = "has changed since it was written: its checksum is another";

/// Whether the bytes before the footer are those that were written.
pub(crate) fn is_as_written(file: &DataFile) -> Result<bool, Error> {
    let failed = |error: io::Error| unreadable(&file.path, error);
    let mut reader = File::open(&file.path).map_err(failed)?.take(file.body.bytes);
    let (mut hash, mut bytes, mut buffer) = (Sha256::new(), 0, vec![0; 256 << 10]);
    loop {
        match reader.read(&mut buffer).map_err(failed)? {
            0 => break,
            read => {
                hash.update(&buffer[..read]);
                bytes += read as u64;
            }
        }
    }
    let sha256: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(bytes == file.body.bytes && sha256 == file.body.sha256)
}
