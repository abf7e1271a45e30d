//! Reading a kept fragment, and proving on the way that it is what its note says.

use std::fs::File;
use std::io::{self, BufReader, Read};

use backstory_destination::{Delivered, Delivery, Proof, Proving};
use zstd::stream::read::Decoder;

use super::note::RawFile;
use super::store::RawStore;
use crate::error::Error;

/// A kept fragment as it was delivered. Its end is read only when everything before it was as the note says.
pub(crate) struct RawReader {
    proving: Proving<Decoder<'static, BufReader<File>>>,
    noted: RawFile,
}

impl RawReader {
    /// Opens a fragment.
    pub(crate) fn open(store: &RawStore, delivery: &Delivery, noted: &RawFile) -> Result<Self, Error> {
        let path = store.folder_of(delivery).join(&noted.name);
        let open = || Decoder::new(File::open(&path)?);
        let decoder = open().map_err(|error| Error::destination("read", &path, error))?;
        Ok(Self { proving: Proving::new(decoder), noted: noted.clone() })
    }
}

impl Read for RawReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.proving.read(buffer)?;
        if read > 0 || buffer.is_empty() {
            return Ok(read);
        }
        let as_noted = self.proving.proof().is_some_and(|proof| {
            (proof.bytes, proof.lines, &proof.sha256)
                == (self.noted.bytes, self.noted.lines, &self.noted.sha256)
        });
        if as_noted {
            Ok(0)
        } else {
            Err(io::Error::new(io::ErrorKind::InvalidData, "it isn't what its note says"))
        }
    }
}

impl Delivered for RawReader {
    fn proof(&self) -> Option<Proof> {
        self.proving.proof()
    }

    fn is_kept(&self) -> Option<bool> {
        Some(true)
    }
}
