//! Records as a stream: bytes in, owned records out, with the position of each.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use backstory_formats::{Activity, Contact, ContactsCsv, ContactsJson, JsonLines, Position};
use futures_core::Stream;

use crate::error::{Error, ErrorKind};
use crate::generated::ContactsFormat;
use crate::resource::{Activities, Contacts, Resource};
use crate::result::ResultBytes;
use crate::wire::JobId;

type Decoded<T> = (Position, Result<T, backstory_formats::Error>);

/// A resource whose results can be decoded. Implemented by both resources.
pub trait Records: Resource {
    /// Decodes the bytes of a result, chunk by chunk.
    type Decoder: Send + Unpin;

    /// A decoder for a result in the format that the job's echo names.
    fn decoder(output_format: Option<&str>) -> Self::Decoder;

    /// Decodes a chunk.
    fn feed(decoder: &mut Self::Decoder, chunk: &[u8], rows: &mut VecDeque<Decoded<Self::Record>>);

    /// Decodes what is left when the bytes have ended.
    fn finish(decoder: &mut Self::Decoder, rows: &mut VecDeque<Decoded<Self::Record>>);
}

impl Records for Activities {
    type Decoder = JsonLines;

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
}

/// Decodes contacts in either format of the service: CSV, or JSON in any container (contract (j.23)).
pub struct ContactsDecoder(ContactsFormatDecoder);

enum ContactsFormatDecoder {
    Csv(Box<ContactsCsv>),
    Json(Box<ContactsJson>),
}

impl Records for Contacts {
    type Decoder = ContactsDecoder;

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
            ContactsFormatDecoder::Json(json) => {
                let mut found = json.feed(chunk);
                while let Some(row) = found.next() {
                    rows.push_back((row.position(), row.contact().map(Contact::into_owned)));
                }
            }
        }
    }

    fn finish(decoder: &mut ContactsDecoder, rows: &mut VecDeque<Decoded<Self::Record>>) {
        let last = match &mut decoder.0 {
            ContactsFormatDecoder::Csv(csv) => csv.finish(),
            ContactsFormatDecoder::Json(json) => json.finish(),
        };
        if let Some(row) = last {
            rows.push_back((row.position(), row.contact().map(Contact::into_owned)));
        }
    }
}

/// The records of a result, as they arrive. Holds one chunk's worth at a time.
///
/// A row that can't be decoded is an error of kind [`ErrorKind::BadRow`], behind which the stream goes on; any other
/// error ends it.
pub struct RecordStream<R: Records> {
    bytes: Option<ResultBytes>,
    decoder: R::Decoder,
    rows: VecDeque<Decoded<R::Record>>,
    position: Position,
    skip: u64,
    id: JobId,
}

impl<R: Records> RecordStream<R> {
    pub(crate) fn new(bytes: ResultBytes, id: JobId, output_format: Option<&str>) -> Self {
        Self {
            bytes: Some(bytes),
            decoder: R::decoder(output_format),
            rows: VecDeque::new(),
            position: Position::default(),
            skip: 0,
            id,
        }
    }

    /// Where the last record that came out stands. Keep it to go on [`after`](Self::after) it another time.
    pub fn position(&self) -> Position {
        self.position
    }

    /// Leaves out the records up to and including the one at `position`: goes on where an earlier stream of the same job
    /// was left.
    #[must_use]
    pub fn after(mut self, position: Position) -> Self {
        self.skip = position.record;
        self
    }

    fn bad_row(&self, error: backstory_formats::Error) -> Error {
        let operation = format!("decode the result of the {} export job", R::NAME);
        Error::new(ErrorKind::BadRow, operation, "a row can't be read")
            .with_job_id(&self.id)
            .with_source(error)
    }
}

impl<R: Records> Stream for RecordStream<R> {
    type Item = Result<R::Record, Error>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            while let Some((position, row)) = this.rows.pop_front() {
                if position.record > this.skip {
                    this.position = position;
                    return Poll::Ready(Some(row.map_err(|error| this.bad_row(error))));
                }
            }
            let Some(bytes) = &mut this.bytes else { return Poll::Ready(None) };
            match ready!(Pin::new(bytes).poll_next(context)) {
                Some(Ok(chunk)) => R::feed(&mut this.decoder, &chunk, &mut this.rows),
                Some(Err(error)) => {
                    this.bytes = None;
                    return Poll::Ready(Some(Err(error)));
                }
                None => {
                    this.bytes = None;
                    R::finish(&mut this.decoder, &mut this.rows);
                }
            }
        }
    }
}

impl<R: Records> fmt::Debug for RecordStream<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordStream")
            .field("id", &self.id)
            .field("position", &self.position)
            .finish_non_exhaustive()
    }
}
