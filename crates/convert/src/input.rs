//! An input: a file or a reader, decompressed, of which it is found out what it is an export of.

use std::fs::{self, File};
use std::io::{self, Cursor, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use backstory_tables::{Conversion, Origin, Resource, SourceFormat, decompressed};
use jiff::Timestamp;

use crate::error::{Error, ErrorKind};
use crate::list_lines::ListLines;
use crate::recognise::{Recognised, examine, first_byte};

/// How much of an input is looked at, at first and at most: a first row that isn't whole says nothing.
const FIRST_LOOK: usize = 64 << 10;
const LAST_LOOK: usize = 16 << 20;

/// Where an export comes from.
pub struct Source(From);

enum From {
    File(PathBuf),
    Reader { name: String, reader: Box<dyn Read + Send>, at: Timestamp },
}

impl Source {
    /// A file. Its rows count as fetched when it was last changed.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self(From::File(path.into()))
    }

    /// A reader, such as standard input, whose rows count as fetched at the given time. The name is how errors call it, and
    /// what its files are named after.
    pub fn reader(name: impl Into<String>, reader: impl Read + Send + 'static, at: Timestamp) -> Self {
        Self(From::Reader { name: name.into(), reader: Box::new(reader), at })
    }

    /// What errors call it.
    pub fn name(&self) -> String {
        match &self.0 {
            From::File(path) => path.display().to_string(),
            From::Reader { name, .. } => name.clone(),
        }
    }

    /// The file, if it is one that can be opened again.
    pub(crate) fn path(&self) -> Option<&Path> {
        match &self.0 {
            From::File(path) => Some(path),
            From::Reader { .. } => None,
        }
    }

    /// Opens it, and looks at its beginning.
    ///
    /// # Errors
    /// [`ErrorKind::Read`] when it can't be opened or read; [`ErrorKind::Unrecognised`] when nothing says what it is.
    pub fn open(self, resource: Option<Resource>) -> Result<Input, Error> {
        let name = self.name();
        let failed = |error| Error::read(&name, error);
        let file_name;
        let (reader, bytes, at): (Box<dyn Read + Send>, _, _) = match self.0 {
            From::Reader { name, reader, at } => {
                file_name = name;
                (reader, None, at)
            }
            From::File(path) => {
                file_name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                let about = fs::metadata(&path).map_err(failed)?;
                if about.is_dir() {
                    let message = format!("{name} is a folder");
                    return Err(Error::new(ErrorKind::Read, message).with_hint("name the files in it"));
                }
                let changed = about.modified().ok().and_then(|time| Timestamp::try_from(time).ok());
                let file = File::open(&path).map_err(failed)?;
                let size = about.is_file().then_some(about.len());
                (Box::new(file), size, changed.unwrap_or(Timestamp::UNIX_EPOCH))
            }
        };
        let read = Arc::new(AtomicU64::new(0));
        let counted = Counted { reader, read: Arc::clone(&read) };
        let mut reader = decompressed(counted).map_err(failed)?;
        let (beginning, recognised) = look(&mut reader).map_err(failed)?;
        let found =
            settle(resource, recognised, &file_name, &beginning).ok_or_else(|| unrecognised(&name))?;
        let (resource, format) = found;
        let is_list = resource == Resource::Activities && first_byte(&beginning) == Some(b'[');
        let reader = Cursor::new(beginning).chain(reader);
        let reader: Box<dyn Read + Send> =
            if is_list { Box::new(ListLines::new(reader)) } else { Box::new(reader) };
        Ok(Input { name, file_name, resource, format, is_list, bytes, read, at, reader })
    }
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Source").field(&self.name()).finish()
    }
}

fn unrecognised(name: &str) -> Error {
    let message = format!("neither the beginning nor the name of {name} says what it is an export of");
    Error::new(ErrorKind::Unrecognised, message)
        .with_hint("say it with --resource activities or --resource contacts")
}

/// Reads until it is clear what the input is, or that it never will be.
fn look(reader: &mut impl Read) -> io::Result<(Vec<u8>, Recognised)> {
    let mut beginning = Vec::new();
    let mut len = FIRST_LOOK;
    loop {
        let wanted = (len - beginning.len()) as u64;
        let ended = (reader.by_ref().take(wanted).read_to_end(&mut beginning)? as u64) < wanted;
        // Of a row that goes on, nothing is known, and it would look like a cut one.
        let whole = if ended { beginning.len() } else { whole_rows(&beginning) };
        let recognised = examine(&beginning[..whole]);
        if ended
            || len >= LAST_LOOK
            || matches!(recognised, Recognised::Surely(..) | Recognised::ActivityList)
        {
            return Ok((beginning, recognised));
        }
        len *= 4;
    }
}

fn whole_rows(beginning: &[u8]) -> usize {
    // A list of JSON contacts may have no line ends at all; its records end by themselves.
    if first_byte(beginning) == Some(b'[') {
        return beginning.len();
    }
    beginning.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1)
}

/// What an input is, from all that is known of it: what the caller says, its rows, its name.
fn settle(
    said: Option<Resource>,
    recognised: Recognised,
    file_name: &str,
    beginning: &[u8],
) -> Option<(Resource, SourceFormat)> {
    let contacts = || match first_byte(beginning) {
        Some(b'{' | b'[') => (Resource::Contacts, SourceFormat::Json),
        _ => (Resource::Contacts, SourceFormat::Csv),
    };
    let activities = (Resource::Activities, SourceFormat::JsonLines);
    match (said, recognised) {
        (Some(Resource::Activities), _) => return Some(activities),
        (Some(Resource::Contacts), _) => return Some(contacts()),
        (_, Recognised::Surely(resource, format)) => return Some((resource, format)),
        (_, Recognised::ActivityList) => return Some(activities),
        _ => {}
    }
    let name = plain_name(file_name).to_ascii_lowercase();
    if name.ends_with(".jsonl") || name.ends_with(".ndjson") {
        return Some(activities);
    }
    if name.ends_with(".csv") || name.starts_with("contacts") {
        return Some(contacts());
    }
    if name.starts_with("activities") {
        return Some(activities);
    }
    if name.ends_with(".json") {
        return Some(contacts());
    }
    match (recognised, first_byte(beginning)) {
        (Recognised::Perhaps(resource, format), _) => Some((resource, format)),
        // A refusal or a page of HTML; the decoder knows how to say so.
        (_, Some(b'{' | b'[' | b'<')) => Some(activities),
        _ => None,
    }
}

/// A file's name without the ending of its compression.
pub(crate) fn plain_name(file_name: &str) -> &str {
    let compressed = [".gz", ".gzip", ".zst", ".zstd"];
    let ending = compressed.iter().find(|ending| {
        let at = file_name.len().checked_sub(ending.len());
        at.and_then(|at| file_name.get(at..)).is_some_and(|end| end.eq_ignore_ascii_case(ending))
    });
    ending.map_or(file_name, |ending| &file_name[..file_name.len() - ending.len()])
}

/// An open input.
pub struct Input {
    pub(crate) name: String,
    pub(crate) file_name: String,
    pub(crate) resource: Resource,
    pub(crate) format: SourceFormat,
    /// It was a list, of which lines have been made.
    pub(crate) is_list: bool,
    bytes: Option<u64>,
    read: Arc<AtomicU64>,
    at: Timestamp,
    reader: Box<dyn Read + Send>,
}

impl Input {
    /// What errors call it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it is an export of.
    pub fn resource(&self) -> Resource {
        self.resource
    }

    /// The form in which it was delivered.
    pub fn format(&self) -> SourceFormat {
        self.format
    }

    /// Its size as it lies on disk, compressed or not; nothing for what has no size, such as a pipe.
    pub fn bytes(&self) -> Option<u64> {
        self.bytes
    }

    /// How many bytes of it have been read so far, as it lies on disk.
    pub fn bytes_read(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.read)
    }

    /// The conversion of this input. Its rows know no job; they count as fetched when the file was last changed.
    pub fn conversion(&self) -> Conversion {
        Conversion::new(self.resource, self.format, Origin::offline(self.at)).with_file_name(&self.name)
    }
}

/// The decompressed bytes, from the first. Of a list of activities, its lines.
impl Read for Input {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.reader.read(buffer)
    }
}

impl std::fmt::Debug for Input {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Input")
            .field("name", &self.name)
            .field("resource", &self.resource)
            .field("format", &self.format)
            .finish_non_exhaustive()
    }
}

/// Counts what is read.
struct Counted<R> {
    reader: R,
    read: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = self.reader.read(buffer)?;
        self.read.fetch_add(len as u64, Ordering::Relaxed);
        Ok(len)
    }
}
