//! What becomes of rows that can't be decoded: refused loudly, or put aside with their raw bytes and counted.

use std::fmt;
use std::io::{self, Write};

use backstory_formats::Error as RowError;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use crate::error::{Error, ErrorKind};

type Open = Box<dyn FnOnce() -> io::Result<Box<dyn Write + Send>> + Send>;

/// What becomes of bad rows. One may serve many deliveries; it counts over all of them.
///
/// A quarantined row is one line of JSON: `file`, `record`, `line` and `byte` say where it stood, `reason` what is wrong,
/// and `raw` is what was delivered from that byte on, as text or, when that isn't UTF-8, as Base64; `encoding` says which. Of
/// an overlong row, `raw` is the beginning.
///
/// A file that was cut off, or that isn't an export at all, is an error in any case.
pub struct BadRows(Policy);

enum Policy {
    Fail,
    Quarantine { max: u64, count: u64, open: Option<Open>, out: Option<Box<dyn Write + Send>> },
}

#[derive(Serialize)]
struct Quarantined<'a> {
    file: &'a str,
    record: u64,
    line: u64,
    byte: u64,
    reason: &'a str,
    encoding: &'static str,
    raw: &'a str,
}

impl BadRows {
    /// The first bad row is an error.
    pub fn fail() -> Self {
        Self(Policy::Fail)
    }

    /// Up to `max` bad rows are written to what `open` opens at the first of them; one more is an error.
    pub fn quarantine(
        max: u64,
        open: impl FnOnce() -> io::Result<Box<dyn Write + Send>> + Send + 'static,
    ) -> Self {
        Self(Policy::Quarantine { max, count: 0, open: Some(Box::new(open)), out: None })
    }

    /// How many rows have been quarantined.
    pub fn count(&self) -> u64 {
        match &self.0 {
            Policy::Fail => 0,
            Policy::Quarantine { count, .. } => *count,
        }
    }

    /// Writes out what is still in memory. Returns how many rows were quarantined.
    ///
    /// # Errors
    /// [`ErrorKind::Write`] when the quarantine can't be written.
    pub fn finish(self) -> Result<u64, Error> {
        match self.0 {
            Policy::Fail => Ok(0),
            Policy::Quarantine { count, out, .. } => {
                if let Some(mut out) = out {
                    out.flush().map_err(|error| Error::write("the quarantine", error))?;
                }
                Ok(count)
            }
        }
    }

    /// How many more rows may be quarantined.
    pub(crate) fn left(&self) -> usize {
        match &self.0 {
            Policy::Fail => 0,
            Policy::Quarantine { max, count, .. } => usize::try_from(max - count).unwrap_or(usize::MAX),
        }
    }

    pub(crate) fn take(&mut self, file: &str, error: RowError, raw: &[u8]) -> Result<(), Error> {
        let position = error.position();
        if error.is_suspect_file() {
            let message = format!("{file} isn't a whole export; download it again");
            return Err(Error::new(ErrorKind::SuspectFile, message).with_source(error).at(position));
        }
        let Policy::Quarantine { max, count, open, out } = &mut self.0 else {
            let message = format!("a row of {file} can't be read; quarantine bad rows to go on without it");
            return Err(Error::new(ErrorKind::BadRow, message).with_source(error).at(position));
        };
        if *count >= *max {
            let message = format!("more than {max} rows can't be read, the next of them in {file}");
            return Err(Error::new(ErrorKind::TooManyBadRows, message).with_source(error).at(position));
        }
        *count += 1;
        if let Some(open) = open.take() {
            *out = Some(open().map_err(|error| Error::write("the quarantine", error))?);
        }
        let encoded;
        let (encoding, raw) = match std::str::from_utf8(raw) {
            Ok(text) => ("utf-8", text),
            Err(_) => {
                encoded = STANDARD.encode(raw);
                ("base64", encoded.as_str())
            }
        };
        let reason = reason(&error);
        let (record, line, byte) = (position.record, position.line, position.byte);
        let quarantined = Quarantined { file, record, line, byte, reason: &reason, encoding, raw };
        let written = match out {
            Some(out) => serde_json::to_writer(&mut *out, &quarantined)
                .map_err(io::Error::from)
                .and_then(|()| out.write_all(b"\n")),
            None => Ok(()),
        };
        written.map_err(|error| Error::write("the quarantine", error))
    }
}

/// An error with its causes, on one line.
fn reason(error: &RowError) -> String {
    let mut reason = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        reason.push_str(": ");
        reason.push_str(&error.to_string());
        cause = error.source();
    }
    reason
}

impl fmt::Debug for BadRows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Policy::Fail => f.write_str("BadRows::Fail"),
            Policy::Quarantine { max, count, .. } => f
                .debug_struct("BadRows::Quarantine")
                .field("max", max)
                .field("count", count)
                .finish_non_exhaustive(),
        }
    }
}
