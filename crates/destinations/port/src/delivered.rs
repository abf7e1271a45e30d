//! The bytes of a delivery on their way into a destination, and the proof of what they were.

use std::io::{self, Read};

use sha2::{Digest as _, Sha256};

use crate::landing::hex;

/// What bytes were.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// How many.
    pub bytes: u64,
    /// Line feeds among them.
    pub lines: u64,
    /// Their SHA-256, in lower-case hex.
    pub sha256: String,
}

/// The bytes of one fragment as they were delivered. Reading fails when the download does, so an end that is read is the
/// real one.
pub trait Delivered: Read + Send {
    /// What was read. Known once the end has been read.
    fn proof(&self) -> Option<Proof>;

    /// Whether these bytes are kept beside the tables as they came; `None` when nobody can tell.
    fn is_kept(&self) -> Option<bool> {
        None
    }
}

/// Proves what is read through it.
#[derive(Clone, Debug)]
pub struct Proving<R> {
    reader: R,
    bytes: u64,
    lines: u64,
    hash: Sha256,
    ended: bool,
}

impl<R: Read> Proving<R> {
    /// Proves what is read from `reader`.
    pub fn new(reader: R) -> Self {
        Self { reader, bytes: 0, lines: 0, hash: Sha256::new(), ended: false }
    }
}

impl<R: Read> Read for Proving<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(buffer)?;
        let new = &buffer[..read];
        self.hash.update(new);
        self.bytes += read as u64;
        self.lines += new.iter().filter(|byte| **byte == b'\n').count() as u64;
        self.ended |= read == 0 && !buffer.is_empty();
        Ok(read)
    }
}

impl<R: Read + Send> Delivered for Proving<R> {
    fn proof(&self) -> Option<Proof> {
        self.ended.then(|| Proof {
            bytes: self.bytes,
            lines: self.lines,
            sha256: hex(&self.hash.clone().finalize()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_proof_is_there_once_the_end_has_been_read() {
        let mut reader = Proving::new(&b"a\nb\n"[..]);
        let mut buffer = [0; 4];
        reader.read_exact(&mut buffer).unwrap();
        assert_eq!(reader.proof(), None);
        assert_eq!(reader.read(&mut buffer).unwrap(), 0);
        let proof = reader.proof().unwrap();
        assert_eq!((proof.bytes, proof.lines), (4, 2));
        assert_eq!(proof.sha256, hex(&Sha256::digest(b"a\nb\n")));
    }
}
