//! JSON Lines, pushed in chunks: the bytes may be cut anywhere, the rows are the same.
//!
//! Lines are split on the byte `\n` and nothing else. A splitter that works on decoded text also cuts at U+2028, U+2029
//! or U+0085, which may stand unescaped inside a JSON string.

use crate::columns::{Columns, Odd};
use crate::error::{Error, ErrorKind};
use crate::generated::Activity;
use crate::json;
use crate::pull_columns;
use crate::row::{DEFAULT_MAX_ROW_BYTES, Position};

/// The byte-order mark that some tools put before UTF-8.
pub(crate) const BOM: &[u8] = b"\xef\xbb\xbf";

/// Splits a JSON Lines export of activities into rows (contract (c.3)).
///
/// Blank lines are passed over, a byte-order mark and carriage returns before a newline are dropped.
#[derive(Debug)]
pub struct JsonLines {
    max_row_bytes: usize,
    /// The beginning of a line whose end has not arrived.
    partial: Vec<u8>,
    /// The line that was given out last still lies there, whole.
    given: bool,
    /// The rest of an overlong line is being passed over.
    skipping: bool,
    /// Where the next line begins.
    next: Position,
    /// How many bytes of the line that is under way were fed before the present chunk.
    line_bytes: u64,
}

impl Default for JsonLines {
    fn default() -> Self {
        Self::new()
    }
}

impl JsonLines {
    /// A splitter for one file or fragment, from its first byte.
    pub fn new() -> Self {
        Self {
            max_row_bytes: DEFAULT_MAX_ROW_BYTES,
            partial: Vec::new(),
            given: false,
            skipping: false,
            next: Position { record: 1, line: 1, byte: 0 },
            line_bytes: 0,
        }
    }

    /// Begins in the midst of a file, at the beginning of a line, so that parts of it can be decoded side by side.
    #[must_use]
    pub fn starting_at(mut self, position: Position) -> Self {
        self.next = position;
        self
    }

    /// Where the next row begins, as far as it is known: behind the last newline.
    pub fn position(&self) -> Position {
        self.next
    }

    /// Takes rows of at most `bytes` bytes; a longer one becomes an [`ErrorKind::TooLong`].
    #[must_use]
    pub fn with_max_row_bytes(mut self, bytes: usize) -> Self {
        self.max_row_bytes = bytes;
        self
    }

    /// Takes in the next bytes. The rows that they complete must be drawn with [`ActivityRows::next`] until it gives
    /// `None`; dropping it earlier loses the rest of the chunk.
    pub fn feed<'d>(&'d mut self, chunk: &'d [u8]) -> ActivityRows<'d> {
        ActivityRows { splitter: self, chunk }
    }

    /// Says that no more bytes come. A last line without a newline is a row too, if it is whole: its
    /// [`ActivityRow::activity`] is an [`ErrorKind::Unterminated`] otherwise.
    pub fn finish(&mut self) -> Option<ActivityRow<'_>> {
        self.forget_given();
        let position = self.next;
        self.next.byte += self.line_bytes;
        self.line_bytes = 0;
        let end = self.next.byte;
        if std::mem::take(&mut self.skipping) {
            self.next.record += 1;
            let ending = Ending::TooLong(self.max_row_bytes);
            return Some(ActivityRow { position, line: &self.partial, end, ending });
        }
        if trim(&self.partial, position).is_empty() {
            return None;
        }
        self.next.record += 1;
        Some(ActivityRow { position, line: &self.partial, end, ending: Ending::Missing })
    }

    #[inline]
    fn forget_given(&mut self) {
        if std::mem::take(&mut self.given) {
            self.partial.clear();
        }
    }
}

/// The rows that a chunk completes. Made by [`JsonLines::feed`].
#[derive(Debug)]
pub struct ActivityRows<'d> {
    splitter: &'d mut JsonLines,
    chunk: &'d [u8],
}

impl ActivityRows<'_> {
    /// The next row, which borrows from the chunk or the splitter, or `None` when the chunk is used up.
    #[expect(
        clippy::should_implement_trait,
        reason = "a row borrows from the splitter, which an iterator can't express"
    )]
    pub fn next(&mut self) -> Option<ActivityRow<'_>> {
        loop {
            self.splitter.forget_given();
            let Some(end) = memchr::memchr(b'\n', self.chunk) else {
                self.keep_rest();
                return None;
            };
            let (line, rest) = (&self.chunk[..end], &self.chunk[end + 1..]);
            self.chunk = rest;
            let splitter = &mut *self.splitter;
            let position = splitter.next;
            splitter.next.line += 1;
            splitter.next.byte += splitter.line_bytes + end as u64 + 1;
            splitter.line_bytes = 0;
            let end = splitter.next.byte;
            splitter.given = true;

            let too_long = std::mem::take(&mut splitter.skipping)
                || splitter.partial.len() + line.len() > splitter.max_row_bytes;
            if too_long {
                splitter.next.record += 1;
                let ending = Ending::TooLong(splitter.max_row_bytes);
                // Its beginning is enough to recognise it by.
                let room = splitter.max_row_bytes.saturating_sub(splitter.partial.len());
                let beginning = &line[..line.len().min(room)];
                let line = if splitter.partial.is_empty() {
                    beginning
                } else {
                    splitter.partial.extend_from_slice(beginning);
                    &self.splitter.partial
                };
                return Some(ActivityRow { position, line, end, ending });
            }
            let joined = !splitter.partial.is_empty();
            if joined {
                splitter.partial.extend_from_slice(line);
            }
            let blank = trim(if joined { &splitter.partial } else { line }, position).is_empty();
            if blank {
                continue;
            }
            splitter.next.record += 1;
            let line = if joined { &self.splitter.partial } else { line };
            return Some(ActivityRow { position, line, end, ending: Ending::Newline });
        }
    }

    fn keep_rest(&mut self) {
        let splitter = &mut *self.splitter;
        splitter.line_bytes += self.chunk.len() as u64;
        if !splitter.skipping {
            let room = splitter.max_row_bytes - splitter.partial.len();
            splitter.skipping = self.chunk.len() > room;
            splitter.partial.extend_from_slice(&self.chunk[..self.chunk.len().min(room)]);
        }
        self.chunk = &[];
    }
}

/// Takes off what surrounds a row: the byte-order mark of the file's first line, and white space.
fn trim(line: &[u8], position: Position) -> &[u8] {
    trim_space_end(trim_start(line, position))
}

fn trim_start(line: &[u8], position: Position) -> &[u8] {
    let line = if position.byte == 0 { line.strip_prefix(BOM).unwrap_or(line) } else { line };
    let start = line.iter().position(|byte| !is_space(*byte)).unwrap_or(line.len());
    &line[start..]
}

/// Takes off the white space behind JSON.
pub(crate) fn trim_space_end(json: &[u8]) -> &[u8] {
    let end = json.iter().rposition(|byte| !is_space(*byte)).map_or(0, |last| last + 1);
    &json[..end]
}

/// Whether JSON takes the byte for white space. That is less than ASCII has of it.
pub(crate) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// How a row ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Newline,
    /// The file ended first.
    Missing,
    /// The row is longer than this many bytes; only its beginning was kept.
    TooLong(usize),
}

/// One row of a JSON Lines export, not decoded yet.
#[derive(Clone, Copy, Debug)]
pub struct ActivityRow<'a> {
    position: Position,
    /// The whole line without its newline; of an overlong one, the beginning.
    line: &'a [u8],
    /// The byte behind the row and its newline.
    end: u64,
    ending: Ending,
}

impl<'a> ActivityRow<'a> {
    /// Where the row stands.
    pub fn position(&self) -> Position {
        self.position
    }

    /// The row's bytes without its newline and the white space around it; of an overlong row, its beginning. The row's
    /// position is that of its [`line`](Self::line), which may begin with white space.
    pub fn raw(&self) -> &'a [u8] {
        trim(self.line, self.position)
    }

    /// The whole line as delivered, with all white space but without its newline; of an overlong row, its beginning.
    pub fn line(&self) -> &'a [u8] {
        self.line
    }

    /// The byte behind the row and its newline, counted from the file's first.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// Whether the row ended with a newline. The last row of a file may lack it; it is suspect until the download is
    /// proven whole.
    pub fn is_terminated(&self) -> bool {
        self.ending == Ending::Newline
    }

    /// Decodes the row. The activity borrows its text from the row.
    ///
    /// # Errors
    /// See [`ErrorKind`]: a row that is too long, not UTF-8, not JSON, cut off, or an object without any field of an
    /// activity. An unknown key or a value of an unexpected type is *not* an error; it lands in
    /// [`extra`](Activity::extra).
    pub fn activity(&self) -> Result<Activity<'a>, Error> {
        if let Ending::TooLong(bound) = self.ending {
            let message =
                format!("the row is longer than {bound} bytes; raise the bound if such rows are expected");
            return Err(Error::new(ErrorKind::TooLong, self.position, message));
        }
        let text = std::str::from_utf8(self.raw()).map_err(|error| {
            if self.ending == Ending::Missing && error.error_len().is_none() {
                return self.cut_off().with_source(error);
            }
            let at = self.first_byte() + error.valid_up_to() as u64;
            Error::new(
                ErrorKind::InvalidUtf8,
                self.position,
                format!("the row isn't UTF-8 from byte {at} on"),
            )
            .with_source(error)
        })?;
        let (activity, any): (Activity<'a>, bool) =
            json::decode(text).map_err(|error| self.json_error(text, error))?;
        if any {
            return Ok(activity);
        }
        let shown: String = text.chars().take(200).collect();
        let message = format!("the row has no field of an activity; it begins with {shown}");
        Err(Error::new(ErrorKind::NotARecord, self.position, message))
    }

    /// Reads the row straight into columns, as the row `row`. They then hold what they would if
    /// [`activity`](Self::activity) had been taken in.
    ///
    /// # Errors
    /// [`Odd`] when the row isn't what this way reads; what has been taken in of it must be taken back, and `activity` says
    /// whether the row is good.
    pub fn read_into<C>(&self, row: usize, columns: &mut C) -> Result<(), Odd>
    where
        C: Columns<Record = Activity<'static>>,
    {
        if let Ending::TooLong(_) = self.ending {
            return Err(Odd);
        }
        let text = std::str::from_utf8(self.raw()).map_err(|_| Odd)?;
        if pull_columns::read(text, row, columns)? { Ok(()) } else { Err(Odd) }
    }

    /// Where [`raw`](Self::raw) begins in the file.
    fn first_byte(&self) -> u64 {
        self.position.byte + (self.line.len() - trim_start(self.line, self.position).len()) as u64
    }

    fn cut_off(&self) -> Error {
        let message = "the last row is cut off; the file isn't whole, download it again";
        Error::new(ErrorKind::Unterminated, self.position, message)
    }

    fn json_error(&self, text: &str, error: serde_json::Error) -> Error {
        if text.starts_with('<') {
            let message = "the row is HTML; a gateway or a login page answered in place of the export";
            return Error::new(ErrorKind::NotARecord, self.position, message);
        }
        if self.ending == Ending::Missing && error.is_eof() {
            return self.cut_off().with_source(error);
        }
        let at = self.first_byte() + (error.column() as u64).saturating_sub(1);
        let message = format!("the row isn't a JSON object that can be read (at byte {at})");
        Error::new(ErrorKind::InvalidJson, self.position, message).with_source(error)
    }
}
