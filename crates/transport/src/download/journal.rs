//! The journal beside a partial file: what another process needs to go on from there, and to see that it may.

use std::fs::{self, File};
use std::io::{self, Read, Write as _};
use std::path::Path;

use http::Uri;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::engine::{Known, hex};
use super::range::Validator;

/// The form of the journal: another form is not read.
const FORM: u32 = 1;

/// What is known of a partial file.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Journal {
    form: u32,
    /// Where it comes from, without credentials.
    address: String,
    validator: Validator,
    /// How many of the partial file's bytes are on disk for certain, and their hash.
    bytes: u64,
    sha256: String,
}

/// What an earlier download has left: so many bytes, and their hash.
pub(super) struct Left {
    pub(super) known: Known,
    pub(super) sha256: Sha256,
}

impl Journal {
    pub(super) fn new(address: String, known: &Known, sha256: &Sha256) -> Self {
        Self {
            form: FORM,
            address,
            validator: known.validator.clone(),
            bytes: known.bytes,
            sha256: hex(sha256),
        }
    }

    /// Replaces the journal in one step: a crash leaves the old one or the new one.
    pub(super) fn store(&self, path: &Path) -> io::Result<()> {
        let next = path.with_extension("json.next");
        let mut file = File::create(&next)?;
        serde_json::to_writer(&mut file, self)?;
        file.write_all(b"\n")?;
        file.sync_all()?;
        fs::rename(next, path)
    }

    /// What the journal at `path` says of `partial`, if it is about the same address and its bytes are really there. A
    /// journal that can't be read or doesn't fit is as good as none.
    pub(super) fn load(path: &Path, address: &str, partial: &mut File) -> Option<Left> {
        let journal: Self = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
        if journal.form != FORM || journal.address != address || journal.bytes == 0 {
            return None;
        }
        let sha256 = hash(partial, journal.bytes).ok()?;
        let known = Known { bytes: journal.bytes, validator: journal.validator };
        (hex(&sha256) == journal.sha256).then_some(Left { known, sha256 })
    }
}

/// The hash of the next `bytes` bytes of a file.
fn hash(file: &mut File, bytes: u64) -> io::Result<Sha256> {
    let mut sha256 = Sha256::new();
    let mut left = file.take(bytes);
    let mut buffer = vec![0; 256 << 10];
    loop {
        match left.read(&mut buffer)? {
            0 if left.limit() > 0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            0 => return Ok(sha256),
            read => sha256.update(&buffer[..read]),
        }
    }
}

/// An address as a journal has it: where, but not who asks.
pub(super) fn address(uri: &Uri) -> String {
    let host =
        uri.authority().map_or("", |authority| authority.as_str().rsplit('@').next().unwrap_or_default());
    let path = uri.path_and_query().map_or("", |path| path.as_str());
    format!("{}://{host}{path}", uri.scheme_str().unwrap_or_default())
}
