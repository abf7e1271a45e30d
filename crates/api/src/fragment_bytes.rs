//! Fragments become one file: what is left out and what is put in where two of them meet, as bytes and as a writer.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, Write};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use backstory_transport::Downloaded;
use bytes::Bytes;
use futures_core::Stream;

use crate::error::Error;
use crate::fragments::Parts;
use crate::generated::ContactsFormat;
use crate::resource::Resource;
use crate::result::ResultBytes;

/// A first row that is longer than this is not compared with those of other fragments.
const LONGEST_HEADER: usize = 64 << 10;
/// The byte-order mark that some tools put before UTF-8.
const BOM: &[u8] = b"\xef\xbb\xbf";

/// The bytes of all fragments as one file, each byte once. Made by [`Fragments::bytes`](crate::Fragments::bytes).
pub struct FragmentBytes<R> {
    parts: Parts<R>,
    present: Option<ResultBytes>,
    seam: Seam,
    ready: VecDeque<Bytes>,
    fetched: Vec<Downloaded>,
    ended: bool,
}

impl<R: Resource> FragmentBytes<R> {
    pub(crate) fn new(parts: Parts<R>) -> Self {
        let seam = Seam::of(parts.format());
        Self { parts, present: None, seam, ready: VecDeque::new(), fetched: Vec::new(), ended: false }
    }

    /// What the fragments were that have come whole, as delivered, in order.
    pub fn fetched(&self) -> &[Downloaded] {
        &self.fetched
    }

    fn give(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.ready.push_back(bytes);
        }
    }

    /// The present fragment has ended.
    fn close(&mut self) -> Result<(), Error> {
        let left = self.seam.end().into();
        self.give(left);
        let summary = self.present.take().and_then(|bytes| bytes.summary());
        let had_content = self.seam.begin_next();
        if let Some(downloaded) = summary {
            self.parts.check(&downloaded, had_content)?;
            self.fetched.push(downloaded);
        }
        Ok(())
    }

    fn failed(&mut self, error: Error) -> Poll<Option<Result<Bytes, Error>>> {
        self.ended = true;
        Poll::Ready(Some(Err(error)))
    }
}

impl<R: Resource> Stream for FragmentBytes<R> {
    type Item = Result<Bytes, Error>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            if let Some(bytes) = this.ready.pop_front() {
                return Poll::Ready(Some(Ok(bytes)));
            }
            if this.ended {
                return Poll::Ready(None);
            }
            let Some(present) = &mut this.present else {
                match this.parts.next().map(|part| part.bytes()) {
                    Some(Ok(bytes)) => this.present = Some(bytes),
                    Some(Err(error)) => return this.failed(error),
                    None => this.ended = true,
                }
                continue;
            };
            match ready!(Pin::new(present).poll_next(context)) {
                Some(Ok(chunk)) => {
                    let (before, from) = this.seam.push(&chunk);
                    this.give(before.into());
                    this.give(chunk.slice(from..));
                }
                Some(Err(error)) => return this.failed(error),
                None => {
                    if let Err(error) = this.close() {
                        return this.failed(error);
                    }
                }
            }
        }
    }
}

impl<R: Resource> fmt::Debug for FragmentBytes<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FragmentBytes")
            .field("result", self.parts.result())
            .field("fetched", &self.fetched.len())
            .finish_non_exhaustive()
    }
}

/// A writer of fragments, one behind the other.
pub(crate) struct SeamWriter<W> {
    writer: W,
    seam: Seam,
}

impl<W: Write> SeamWriter<W> {
    pub(crate) fn new(writer: W, format: Option<&str>) -> Self {
        Self { writer, seam: Seam::of(format) }
    }

    /// Ends a fragment. Returns whether it had any content of its own.
    pub(crate) fn begin_next(&mut self) -> bool {
        self.seam.begin_next()
    }

    pub(crate) fn into_inner(self) -> W {
        self.writer
    }
}

impl<W: Write> Write for SeamWriter<W> {
    fn write(&mut self, chunk: &[u8]) -> io::Result<usize> {
        let (before, from) = self.seam.push(chunk);
        self.writer.write_all(&before)?;
        self.writer.write_all(&chunk[from..])?;
        Ok(chunk.len())
    }

    /// A download flushes its writer once, when the fragment has come whole.
    fn flush(&mut self) -> io::Result<()> {
        self.writer.write_all(&self.seam.end())?;
        self.writer.flush()
    }
}

/// Where fragments meet.
struct Seam {
    /// Whether the bytes are rows that end with a newline; JSON in a container is not.
    has_rows: bool,
    header: Header,
    /// The beginning of a fragment that may turn out to repeat the header.
    held: Vec<u8>,
    /// The last byte that was given out.
    last: Option<u8>,
    /// Whether bytes of the present fragment were given out.
    given: bool,
}

/// What is known of a CSV's first row.
enum Header {
    /// There is none to be repeated.
    None,
    /// It is being read; whether a quoted cell is open.
    Reading { row: Vec<u8>, in_quotes: bool },
    /// It has been read; whether the present fragment may still turn out to begin with it.
    Known { row: Vec<u8>, may_come: bool },
}

impl Seam {
    /// By the API's word for the form; activities come as lines, whatever they say.
    fn of(format: Option<&str>) -> Self {
        let format = format.and_then(ContactsFormat::from_word);
        let header = match format {
            Some(ContactsFormat::Csv) => Header::Reading { row: Vec::new(), in_quotes: false },
            _ => Header::None,
        };
        let has_rows = !matches!(format, Some(ContactsFormat::Json));
        Self { has_rows, header, held: Vec::new(), last: None, given: false }
    }

    /// Takes a chunk in. Gives back the bytes to give out first, and from where on the chunk itself is given out.
    fn push(&mut self, chunk: &[u8]) -> (Vec<u8>, usize) {
        let (before, from) = match &mut self.header {
            Header::None | Header::Known { may_come: false, .. } => (Vec::new(), 0),
            Header::Reading { .. } => {
                self.read_header(chunk);
                (Vec::new(), 0)
            }
            Header::Known { row, may_come } => {
                self.held.extend_from_slice(chunk);
                match repeats(&self.held, row) {
                    Repeats::Undecided => {}
                    Repeats::Yes { bytes } => {
                        *may_come = false;
                        self.held.drain(..bytes);
                    }
                    Repeats::No => *may_come = false,
                }
                let decided = !*may_come;
                (if decided { std::mem::take(&mut self.held) } else { Vec::new() }, chunk.len())
            }
        };
        (self.join(before, &chunk[from..]), from)
    }

    /// The fragment has ended: what was held back of it is given out, unless it is the header.
    fn end(&mut self) -> Vec<u8> {
        let held = std::mem::take(&mut self.held);
        let Header::Known { row, .. } = &self.header else { return Vec::new() };
        let content = held.strip_prefix(BOM).unwrap_or(&held);
        if content.strip_suffix(b"\r").unwrap_or(content) == row.as_slice() {
            return Vec::new();
        }
        self.join(held, &[])
    }

    /// Goes on to the next fragment. Returns whether the one that ended had anything in it but a repeated header.
    fn begin_next(&mut self) -> bool {
        if self.given {
            // A first row without a newline has ended with its fragment.
            if let Header::Reading { row, .. } = &mut self.header
                && !row.is_empty()
            {
                let row = row.strip_prefix(BOM).unwrap_or(row).to_vec();
                self.header = Header::Known { row, may_come: true };
            }
        }
        if let Header::Known { may_come, .. } = &mut self.header {
            *may_come = true;
        }
        std::mem::take(&mut self.given)
    }

    /// Ends a row that ended with its fragment, once more bytes come.
    fn join(&mut self, mut before: Vec<u8>, after: &[u8]) -> Vec<u8> {
        let Some(last) = after.last().or(before.last()).copied() else { return before };
        let open = self.last.is_some_and(|last| last != b'\n');
        if self.has_rows && !self.given && open {
            before.insert(0, b'\n');
        }
        self.last = Some(last);
        self.given = true;
        before
    }

    fn read_header(&mut self, chunk: &[u8]) {
        let Header::Reading { row, in_quotes } = &mut self.header else { return };
        for byte in chunk {
            match byte {
                b'\n' | b'\r' if !*in_quotes && row.is_empty() => {}
                b'\n' | b'\r' if !*in_quotes => {
                    let row = row.strip_prefix(BOM).unwrap_or(row).to_vec();
                    self.header = Header::Known { row, may_come: false };
                    return;
                }
                _ if row.len() == LONGEST_HEADER => {
                    self.header = Header::None;
                    return;
                }
                byte => {
                    *in_quotes ^= *byte == b'"';
                    row.push(*byte);
                }
            }
        }
    }
}

/// Whether a fragment begins with the header.
enum Repeats {
    Undecided,
    Yes {
        /// How many bytes it has there, its newline included.
        bytes: usize,
    },
    No,
}

fn repeats(fragment: &[u8], header: &[u8]) -> Repeats {
    if BOM.starts_with(fragment) {
        return Repeats::Undecided;
    }
    let content = fragment.strip_prefix(BOM).unwrap_or(fragment);
    let mark = fragment.len() - content.len();
    match content.strip_prefix(header) {
        None if header.starts_with(content) => Repeats::Undecided,
        None => Repeats::No,
        Some([] | [b'\r']) => Repeats::Undecided,
        Some([b'\r', b'\n', ..]) => Repeats::Yes { bytes: mark + header.len() + 2 },
        Some([b'\r' | b'\n', ..]) => Repeats::Yes { bytes: mark + header.len() + 1 },
        Some(_) => Repeats::No,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Joins fragments that come in chunks of this size.
    fn joined(format: &str, fragments: &[&str], chunk: usize) -> String {
        let mut writer = SeamWriter::new(Vec::new(), Some(format));
        for fragment in fragments {
            for piece in fragment.as_bytes().chunks(chunk) {
                writer.write_all(piece).unwrap();
            }
            writer.flush().unwrap();
            writer.begin_next();
        }
        String::from_utf8(writer.into_inner()).unwrap()
    }

    #[test]
    fn fragments_become_one_file_in_any_chunking() {
        let cases: &[(&str, &[&str], &str)] = &[
            ("CSV", &["a,b\n1,2\n", "a,b\n3,4\n"], "a,b\n1,2\n3,4\n"),
            ("CSV", &["a,b\n1,2\n", "3,4\n"], "a,b\n1,2\n3,4\n"),
            ("CSV", &["a,b\r\n1,2", "a,b\r\n3,4\r\n"], "a,b\r\n1,2\n3,4\r\n"),
            ("CSV", &["\u{feff}a,b\n1,2\n", "\u{feff}a,b\n3,4\n"], "\u{feff}a,b\n1,2\n3,4\n"),
            ("CSV", &["\"a\n\",b\n1,2\n", "\"a\n\",b\n3,4\n"], "\"a\n\",b\n1,2\n3,4\n"),
            ("CSV", &["a,b\n1,2\n", "a,bc\n"], "a,b\n1,2\na,bc\n"),
            ("CSV", &["a,b\n1,2\n", "a"], "a,b\n1,2\na"),
            ("CSV", &["a,b\n1,2\n", "a,b", "a,b\r", "", "a,b\n", "5,6"], "a,b\n1,2\n5,6"),
            ("CSV", &["", "a,b\n1,2\n", "a,b\n3,4\n"], "a,b\n1,2\n3,4\n"),
            ("CSV", &["a,b", "a,b\n1,2\n"], "a,b\n1,2\n"),
            ("CSV", &["a,b\n", "a,b\ra,b\n"], "a,b\na,b\n"),
            ("CSV", &["\n\na,b\n1,2\n", "a,b\n3,4\n"], "\n\na,b\n1,2\n3,4\n"),
            ("JSONLines", &["{}\n{}", "{}\n", "{}"], "{}\n{}\n{}\n{}"),
            ("JSON", &["[{},", "{},", "{}]"], "[{},{},{}]"),
        ];
        for (format, fragments, whole) in cases {
            for chunk in [1, 2, 3, 5, 100] {
                assert_eq!(joined(format, fragments, chunk), *whole, "{fragments:?} in chunks of {chunk}");
            }
        }
    }

    #[test]
    fn a_first_row_without_end_is_not_kept() {
        let long = "x".repeat(LONGEST_HEADER + 1);
        assert_eq!(joined("CSV", &[&long, &long], 1000), format!("{long}\n{long}"));
    }

    #[test]
    fn no_more_is_held_back_than_may_be_a_header() {
        let mut writer = SeamWriter::new(Vec::new(), Some("CSV"));
        writer.write_all(b"a,b\n1,2\n").unwrap();
        writer.flush().unwrap();
        writer.begin_next();
        writer.write_all(b"a,").unwrap();
        assert_eq!(writer.writer, b"a,b\n1,2\n");
        writer.write_all(b"c").unwrap();
        assert_eq!(writer.writer, b"a,b\n1,2\na,c");
    }
}
