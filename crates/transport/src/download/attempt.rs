//! One reply of a download: its body is read under the stall timeout, decompressed, and proven whole or not.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, DATE};
use http::response::Parts;
use tokio::time::timeout;

use super::gzip::Decoder;
use super::range::Validator;
use crate::body::{Body, UnprovenEnd};
use crate::error::{Error, ErrorKind};
use crate::refusal::request_id;
use crate::service::Response;

/// A reply that is being read.
pub(super) struct Attempt {
    body: Body,
    stall_timeout: Duration,
    /// How many bytes must come, where that is known.
    announced: Option<u64>,
    /// How many have come.
    received: u64,
    /// Bytes that have come and are not decoded yet.
    wire: Bytes,
    decoder: Decoder,
    ended: bool,
    pub(super) unproven_end: bool,
    accept_unproven_end: bool,
    pub(super) request_id: Option<String>,
    pub(super) date: Option<String>,
    pub(super) validator: Option<Validator>,
}

impl Attempt {
    /// Begins to read a reply; `rest` is the length that a partial reply has by its `Content-Range`.
    pub(super) fn new(
        response: Response,
        rest: Option<u64>,
        stall_timeout: Duration,
        accept_unproven_end: bool,
    ) -> Result<Self, Error> {
        let (Parts { headers, extensions, .. }, body) = response.into_parts();
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let announced = text(CONTENT_LENGTH).and_then(|length| length.trim().parse().ok());
        Ok(Self {
            announced: rest.or(announced),
            body,
            stall_timeout,
            received: 0,
            wire: Bytes::new(),
            decoder: match Decoder::for_headers(&headers)? {
                // What a rest begins with says nothing about the whole.
                Decoder::Undecided { labelled: false, .. } if rest.is_some() => Decoder::Plain,
                decoder => decoder,
            },
            ended: false,
            unproven_end: extensions.get::<UnprovenEnd>().is_some(),
            accept_unproven_end,
            request_id: request_id(&headers),
            date: text(DATE).map(str::to_owned),
            validator: Validator::of(&headers),
        })
    }

    /// The length that the reply announced, as it comes.
    pub(super) fn announced(&self) -> Option<u64> {
        self.announced
    }

    /// Whether the bytes given out are those that came: a position in one is a position in the other.
    pub(super) fn is_plain(&self) -> bool {
        !self.decoder.is_gzip()
    }

    /// The next decompressed chunk, never empty; `None` when the body has ended and is proven whole. `count` is told how
    /// many bytes have come.
    pub(super) async fn chunk(&mut self, count: &mut u64) -> Result<Option<Bytes>, Error> {
        loop {
            while !self.wire.is_empty() {
                let chunk = self.decoder.push(&mut self.wire)?;
                if !chunk.is_empty() {
                    return Ok(Some(chunk));
                }
            }
            if self.ended {
                return Ok(None);
            }
            match timeout(self.stall_timeout, self.body.chunk()).await {
                Ok(Some(chunk)) => {
                    self.wire = chunk?;
                    self.received += self.wire.len() as u64;
                    *count += self.wire.len() as u64;
                    if let Some(announced) = self.announced.filter(|announced| self.received > *announced) {
                        let message =
                            format!("more came than the {announced} bytes that the reply announced");
                        return Err(Error::new(ErrorKind::BodyTooLong, message));
                    }
                }
                Ok(None) => {
                    let last = self.end()?;
                    if !last.is_empty() {
                        return Ok(Some(last));
                    }
                }
                Err(_) => {
                    let seconds = self.stall_timeout.as_secs_f64();
                    return Err(Error::new(ErrorKind::BodyStalled, format!("no byte came for {seconds} s")));
                }
            }
        }
    }

    /// The body has ended; whether it is whole is another matter.
    fn end(&mut self) -> Result<Bytes, Error> {
        self.ended = true;
        if let Some(announced) = self.announced.filter(|announced| self.received < *announced) {
            let message = format!("{} of the {announced} bytes that the reply announced came", self.received);
            return Err(Error::new(ErrorKind::BodyCut, message));
        }
        let last = self.decoder.finish()?;
        // A gzip trailer proves the end by itself.
        self.unproven_end &= self.is_plain();
        if self.unproven_end && !self.accept_unproven_end {
            let message = "the body has neither a length nor chunks: its end can't be told from a cut, and is not accepted";
            return Err(Error::new(ErrorKind::BodyCut, message).with_retryable(false));
        }
        Ok(last)
    }
}
