//! Records as a stream: bytes in, owned records out, with the position of each.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use backstory_formats::{Activity, Contact, ContactsCsv, ContactsJson, JsonLines, Position};
use backstory_transport::Downloaded;
use futures_core::Stream;
use futures_core::future::BoxFuture;
use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind};
use crate::fragments::Parts;
use crate::generated::{ContactsFormat, Job};
use crate::resource::{Activities, Contacts, Resource};
use crate::result::ResultBytes;

type Decoded<T> = (Position, Result<T, backstory_formats::Error>);

/// A resource whose results can be decoded. Implemented by both resources.
pub trait Records: Resource {
    /// Decodes the bytes of a result, chunk by chunk.
    type Decoder: Send + Unpin;

    /// Whether the form of a result can differ, so that it must be known before the result is decoded.
    const HAS_FORMATS: bool;

    /// Whether each fragment can be decoded without those before it.
    const FRAGMENTS_STAND_ALONE: bool;

    /// A decoder for a result in this form, by the API's word for it.
    fn decoder(output_format: Option<&str>) -> Self::Decoder;

    /// Decodes a chunk. Positions count within the fragment.
    fn feed(decoder: &mut Self::Decoder, chunk: &[u8], rows: &mut VecDeque<Decoded<Self::Record>>);

    /// Decodes what is left when the bytes have ended.
    fn finish(decoder: &mut Self::Decoder, rows: &mut VecDeque<Decoded<Self::Record>>);

    /// Decodes what is left of a fragment, and makes the decoder ready for the next one.
    fn next_fragment(decoder: &mut Self::Decoder, rows: &mut VecDeque<Decoded<Self::Record>>);
}

/// Where a record stands in a result: what to keep, in a file say, to go on behind it another time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RecordPosition {
    /// Which fragment, from 0; 0 in a result that is fetched whole.
    pub fragment: u32,
    /// Which record of the fragment, from 1. Blank lines and a header are not records.
    pub record: u64,
    /// The fragment's line on which it begins, from 1.
    pub line: u64,
    /// The fragment's byte at which it begins, from 0.
    pub byte: u64,
}

impl Records for Activities {
    type Decoder = JsonLines;
    const HAS_FORMATS: bool = false;
    const FRAGMENTS_STAND_ALONE: bool = true;

    fn decoder(_: Option<&str>) -> JsonLines {
        JsonLines::new()
    }

    fn feed(lines: &mut JsonLines, chunk: &[u8], rows: &mut VecDeque<Decoded<Self::Record>>) {
        let mut found = lines.feed(chunk);
        while let Some(row) = found.next() {
            rows.push_back((row.position(), row.activity().map(Activity::into_owned)));
        }
    }

    fn finish(lines: &mut JsonLines, rows: &mut VecDeque<Decoded<Self::Record>>) {
        if let Some(row) = lines.finish() {
            rows.push_back((row.position(), row.activity().map(Activity::into_owned)));
        }
    }

    fn next_fragment(lines: &mut JsonLines, rows: &mut VecDeque<Decoded<Self::Record>>) {
        Self::finish(lines, rows);
        *lines = JsonLines::new();
    }
}

/// Decodes contacts in either format of the service: CSV, or JSON in any container (contract (j.23)).
pub struct ContactsDecoder(ContactsFormatDecoder);

enum ContactsFormatDecoder {
    Csv(Box<ContactsCsv>),
    Json(Box<ContinuedJson>),
}

/// JSON whose container goes through all fragments, while positions begin anew in each.
#[derive(Default)]
struct ContinuedJson {
    json: ContactsJson,
    /// Where the present fragment begins: how many records, lines and bytes are before it.
    base: Position,
    /// How many are before what comes next.
    fed: Position,
}

impl ContinuedJson {
    fn feed(&mut self, chunk: &[u8], rows: &mut VecDeque<Decoded<Contact<'static>>>) {
        let first = rows.len();
        let mut found = self.json.feed(chunk);
        while let Some(row) = found.next() {
            self.fed.record = row.position().record;
            rows.push_back((row.position(), row.contact().map(Contact::into_owned)));
        }
        for (position, _) in rows.iter_mut().skip(first) {
            *position = self.within_fragment(*position);
        }
        self.fed.byte += chunk.len() as u64;
        self.fed.line += chunk.iter().filter(|byte| **byte == b'\n').count() as u64;
    }

    /// What is around the list may go on in the next fragment, but no record does.
    fn end_fragment(&mut self, rows: &mut VecDeque<Decoded<Contact<'static>>>) {
        self.json.end_fragment();
        self.feed(b"", rows);
        self.base = self.fed;
    }

    fn within_fragment(&self, position: Position) -> Position {
        Position {
            record: position.record.saturating_sub(self.base.record),
            line: position.line.saturating_sub(self.base.line),
            byte: position.byte.saturating_sub(self.base.byte),
        }
    }
}

impl Records for Contacts {
    type Decoder = ContactsDecoder;
    const HAS_FORMATS: bool = true;
    const FRAGMENTS_STAND_ALONE: bool = false;

    fn decoder(output_format: Option<&str>) -> ContactsDecoder {
        ContactsDecoder(match output_format.and_then(ContactsFormat::from_word) {
            Some(ContactsFormat::Json) => ContactsFormatDecoder::Json(Box::default()),
            Some(ContactsFormat::Csv) | None => ContactsFormatDecoder::Csv(Box::default()),
        })
    }

    fn feed(decoder: &mut ContactsDecoder, chunk: &[u8], rows: &mut VecDeque<Decoded<Self::Record>>) {
        match &mut decoder.0 {
            ContactsFormatDecoder::Csv(csv) => {
                let mut found = csv.feed(chunk);
                while let Some(row) = found.next() {
                    rows.push_back((row.position(), row.contact().map(Contact::into_owned)));
                }
            }
            ContactsFormatDecoder::Json(continued) => continued.feed(chunk, rows),
        }
    }

    fn finish(decoder: &mut ContactsDecoder, rows: &mut VecDeque<Decoded<Self::Record>>) {
        match &mut decoder.0 {
            ContactsFormatDecoder::Csv(csv) => {
                if let Some(row) = csv.finish() {
                    rows.push_back((row.position(), row.contact().map(Contact::into_owned)));
                }
            }
            ContactsFormatDecoder::Json(continued) => {
                let last = continued.json.finish();
                if let Some((position, contact)) =
                    last.map(|row| (row.position(), row.contact().map(Contact::into_owned)))
                {
                    rows.push_back((continued.within_fragment(position), contact));
                }
            }
        }
    }

    fn next_fragment(decoder: &mut ContactsDecoder, rows: &mut VecDeque<Decoded<Self::Record>>) {
        if let ContactsFormatDecoder::Csv(_) = &decoder.0 {
            Self::finish(decoder, rows);
        }
        match &mut decoder.0 {
            ContactsFormatDecoder::Csv(csv) => {
                let next = ContactsCsv::new();
                **csv = match csv.header() {
                    Some(header) => next.with_header(header),
                    None => next,
                };
            }
            ContactsFormatDecoder::Json(continued) => continued.end_fragment(rows),
        }
    }
}

/// The records of a result, as they arrive. Holds one chunk's worth at a time. Made by
/// [`ExportResult::records`](crate::ExportResult::records) and [`Fragments::records`](crate::Fragments::records).
///
/// A row that can't be decoded is an error of kind [`ErrorKind::BadRow`], behind which the stream goes on; any other
/// error ends it.
pub struct RecordStream<R: Records> {
    parts: Parts<R>,
    stage: Stage,
    decoder: R::Decoder,
    rows: VecDeque<Decoded<R::Record>>,
    position: RecordPosition,
    /// What comes up to here is left out.
    after: RecordPosition,
    /// Whether the record there has come by, or there is none to wait for.
    reached: bool,
    /// Whether the present fragment had any record.
    had_records: bool,
}

/// What a stream of records does next.
enum Stage {
    /// The service is asked in which form the result is.
    Asking(BoxFuture<'static, Result<Job, Error>>),
    /// The next fragment is to be opened.
    Between,
    Reading(ResultBytes),
    Ended,
}

impl<R: Records> RecordStream<R> {
    pub(crate) fn new(parts: Parts<R>) -> Self {
        let stage = if R::HAS_FORMATS && parts.format().is_none() {
            let job = parts.result().job().clone();
            Stage::Asking(Box::pin(async move { job.poll().await }))
        } else {
            Stage::Between
        };
        Self {
            stage,
            decoder: R::decoder(parts.format()),
            parts,
            rows: VecDeque::new(),
            position: RecordPosition::default(),
            after: RecordPosition::default(),
            reached: true,
            had_records: false,
        }
    }

    /// Where the last record that came out stands. Keep it to go on [`after`](Self::after) it another time.
    pub fn position(&self) -> RecordPosition {
        self.position
    }

    /// Leaves out the records up to and including the one at `position`: goes on where an earlier stream of the same result
    /// was left, in the same way of fetching it, whole or by fragments. Fragments of activities that came whole before are
    /// not fetched again.
    ///
    /// A result that has no record at `position` is not the same one: the stream is an error of kind
    /// [`ErrorKind::BadReply`] then.
    #[must_use]
    pub fn after(mut self, position: RecordPosition) -> Self {
        (self.after, self.position) = (position, position);
        self.reached = position.record == 0;
        if R::FRAGMENTS_STAND_ALONE {
            self.parts.skip_to(position.fragment);
        }
        self
    }

    /// The next record that is not left out, of those that are decoded.
    fn next_row(&mut self) -> Option<Result<R::Record, Error>> {
        let fragment = self.parts.present();
        let after = (self.after.fragment, self.after.record);
        while let Some((position, row)) = self.rows.pop_front() {
            let place = (fragment, position.record);
            self.had_records = true;
            self.reached |= place >= after;
            if place > after {
                let Position { record, line, byte } = position;
                self.position = RecordPosition { fragment, record, line, byte };
                return Some(row.map_err(|error| {
                    self.failure(ErrorKind::BadRow, "a row can't be read").with_source(error)
                }));
            }
        }
        None
    }

    /// Goes on to the next fragment, once all rows of the present one are out.
    fn open_next(&mut self) -> Result<Stage, Error> {
        let next = self.parts.next();
        let is_behind = next.is_none() || self.parts.present() > self.after.fragment;
        if is_behind && !self.reached {
            let RecordPosition { fragment, record, .. } = self.after;
            let message = format!(
                "there is no record {record} of fragment {fragment} to go on behind: it is not the result that was left there"
            );
            return Err(self.failure(ErrorKind::BadReply, message));
        }
        self.had_records = false;
        Ok(match next {
            Some(part) => Stage::Reading(part.bytes()?),
            None => Stage::Ended,
        })
    }

    /// The present fragment has come whole.
    fn close(&mut self, summary: Option<Downloaded>) -> Result<(), Error> {
        let had_records = self.had_records;
        if self.parts.is_last() {
            R::finish(&mut self.decoder, &mut self.rows);
        } else {
            R::next_fragment(&mut self.decoder, &mut self.rows);
        }
        let had_records = had_records || !self.rows.is_empty();
        summary.map_or(Ok(()), |downloaded| self.parts.check(&downloaded, had_records))
    }

    fn failure(&self, kind: ErrorKind, message: impl Into<String>) -> Error {
        let operation = format!("decode {}", self.parts.what());
        Error::new(kind, operation, message).with_job_id(self.parts.result().job().id())
    }
}

impl<R: Records> Stream for RecordStream<R> {
    type Item = Result<R::Record, Error>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            if let Some(row) = this.next_row() {
                return Poll::Ready(Some(row));
            }
            let next = match &mut this.stage {
                Stage::Ended => return Poll::Ready(None),
                Stage::Asking(answer) => ready!(answer.as_mut().poll(context)).map(|job| {
                    this.decoder = R::decoder(job.output_format.as_deref());
                    this.parts.describe(job);
                    Stage::Between
                }),
                Stage::Between => this.open_next(),
                Stage::Reading(bytes) => match ready!(Pin::new(&mut *bytes).poll_next(context)) {
                    Some(Ok(chunk)) => {
                        R::feed(&mut this.decoder, &chunk, &mut this.rows);
                        continue;
                    }
                    Some(Err(error)) => Err(error),
                    None => {
                        let summary = bytes.summary();
                        this.close(summary).map(|()| Stage::Between)
                    }
                },
            };
            match next {
                Ok(stage) => this.stage = stage,
                Err(error) => {
                    this.stage = Stage::Ended;
                    this.rows.clear();
                    return Poll::Ready(Some(Err(error)));
                }
            }
        }
    }
}

impl<R: Records> fmt::Debug for RecordStream<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordStream")
            .field("result", self.parts.result())
            .field("position", &self.position)
            .finish_non_exhaustive()
    }
}
