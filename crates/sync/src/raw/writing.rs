//! Keeping a delivery while it is read: what goes to the decoder goes to the raw file too.

use std::io::{self, Read, Write as _};
use std::path::Path;

use backstory_destination::{Delivered, Delivery, Landing, Proof, Proving, fail_point};
use zstd::stream::write::Encoder;

use super::note::{RawFile, RawNote, file_name};
use super::store::RawStore;
use crate::error::Error;

/// zstd's level for raw files. Of 128 MiB of generated activities, level 1 leaves 13.0 % in 0.37 CPU seconds, level 3 11.8 %
/// in 0.54, level 5 11.0 % in 1.25: what the higher ones save on disk, a first sync pays for in time.
const LEVEL: i32 = 1;

/// A fragment's raw file on its way.
pub(crate) struct RawWriter {
    name: String,
    fragment: u32,
    encoder: Encoder<'static, Landing>,
}

impl RawWriter {
    /// Begins the file of a fragment.
    pub(crate) fn begin(store: &RawStore, delivery: &Delivery, fragment: u32) -> Result<Self, Error> {
        let name = file_name(delivery, fragment);
        let path = store.folder_of(delivery).join(&name);
        let begin = || {
            let mut encoder = Encoder::new(Landing::begin(&path)?, LEVEL)?;
            encoder.include_checksum(true)?;
            Ok(encoder)
        };
        let encoder = begin().map_err(|error| Error::destination("write", &path, error))?;
        Ok(Self { name, fragment, encoder })
    }

    /// Lets the file land, which was proven to hold `proof`.
    fn land(self, folder: &Path, proof: Proof) -> Result<RawFile, Error> {
        let path = folder.join(&self.name);
        let landed = self.encoder.finish().and_then(Landing::commit);
        let landed = landed.map_err(|error| Error::destination("write", &path, error))?;
        Ok(RawFile {
            name: self.name,
            fragment: self.fragment,
            bytes: proof.bytes,
            lines: proof.lines,
            sha256: proof.sha256,
            stored_bytes: landed.bytes,
        })
    }
}

/// The bytes of a fragment on their way to the decoder, proven and kept.
pub(crate) struct Keeping<R> {
    proving: Proving<R>,
    raw: Option<RawWriter>,
    failed: Option<io::Error>,
}

impl<R: Read> Keeping<R> {
    /// Reads `reader`, and keeps what is read where there is a `raw` to keep it in.
    pub(crate) fn new(reader: R, raw: Option<RawWriter>) -> Self {
        Self { proving: Proving::new(reader), raw, failed: None }
    }
}

impl<R: Read> Read for Keeping<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.proving.read(buffer)?;
        if let Some(raw) = &mut self.raw
            && let Err(error) = raw.encoder.write_all(&buffer[..read])
        {
            // The decoder only hears that it can't go on; the cause is told by whoever asks for it.
            let told = io::Error::new(error.kind(), "the raw file can't be written");
            self.failed = Some(error);
            return Err(told);
        }
        Ok(read)
    }
}

impl<R: Read + Send> Delivered for Keeping<R> {
    fn proof(&self) -> Option<Proof> {
        self.proving.proof()
    }

    fn is_kept(&self) -> Option<bool> {
        Some(self.raw.is_some())
    }
}

impl<R: Read + Send> Keeping<R> {
    /// Why the raw file couldn't be written, if that is what broke the reading off.
    pub(crate) fn failure(&mut self, store: &RawStore, delivery: &Delivery) -> Option<Error> {
        let error = self.failed.take()?;
        Some(Error::destination("write a raw file below", &store.folder_of(delivery), error))
    }

    /// Lets the raw file land, and then the note that makes it count.
    pub(crate) fn land(self, store: &RawStore, delivery: &Delivery) -> Result<(), Error> {
        let (Some(raw), Some(proof)) = (self.raw, self.proving.proof()) else { return Ok(()) };
        let file = raw.land(&store.folder_of(delivery), proof)?;
        fail_point("raw-file-landed");
        store.write_note(&RawNote::new(delivery.clone(), vec![file]))?;
        fail_point("raw-note-landed");
        Ok(())
    }
}
