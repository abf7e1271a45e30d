//! The bodies of replies: bytes at hand, or a file that is written as fast as the connection takes it.
//!
//! A file is written inside the connection's own task, a piece at a time, so a slow client holds one piece in memory and
//! nothing runs ahead of it.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use super::state::State;
use crate::export::ExportStream;
use crate::rate_limit::Place;

/// Bytes of a piece: it stays in the processor's cache on its way to the socket.
const PIECE: usize = 64 * 1024;

/// The body of a reply.
pub(crate) struct Body {
    content: Content,
    /// One of the places of the rate limit, held until the body is sent.
    place: Option<Place>,
}

enum Content {
    Full(Bytes),
    File(Box<File>),
    Plain(Box<ExportStream>),
}

struct File {
    stream: ExportStream,
    state: Arc<State>,
    /// Bytes left to send, where the length was stated.
    left: Option<u64>,
    /// End with an error, so that the connection breaks without a last chunk (row j.21).
    cut: bool,
    finished: bool,
}

impl Body {
    pub(super) fn full(bytes: Bytes) -> Self {
        Self { content: Content::Full(bytes), place: None }
    }

    /// A file. With a length that is stated as Content-Length; with `cut` the end is broken off after the data.
    pub(super) fn file(state: &Arc<State>, stream: ExportStream, length: Option<u64>, cut: bool) -> Self {
        state.counters.count(|report| report.downloads_started += 1);
        let file = File { stream, state: Arc::clone(state), left: length, cut, finished: false };
        Self { content: Content::File(Box::new(file)), place: None }
    }

    /// A stream of the simulator's own, which no report counts.
    pub(super) fn plain(stream: ExportStream) -> Self {
        Self { content: Content::Plain(Box::new(stream)), place: None }
    }

    /// Holds a place of the rate limit until the body was sent.
    pub(super) fn hold(&mut self, place: Place) {
        self.place = Some(place);
    }
}

impl File {
    fn next(&mut self) -> Option<Result<Bytes, io::Error>> {
        if self.finished {
            return None;
        }
        let mut piece = next_piece(&mut self.stream);
        if let Some(left) = &mut self.left {
            piece.truncate(usize::try_from(*left).unwrap_or(usize::MAX));
            *left -= piece.len() as u64;
        }
        if piece.is_empty() {
            self.finished = true;
            self.state.counters.count(|report| report.downloads_finished += 1);
            return self.cut.then(|| Err(io::Error::other("the last chunk is left out")));
        }
        self.state.counters.count(|report| report.bytes += piece.len() as u64);
        Some(Ok(piece.into()))
    }
}

fn next_piece(stream: &mut ExportStream) -> Vec<u8> {
    let mut piece = Vec::with_capacity(PIECE + 8 * 1024);
    while piece.is_empty() && stream.fill(&mut piece, PIECE) {}
    piece
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let next = match &mut self.content {
            Content::Full(bytes) if bytes.is_empty() => None,
            Content::Full(bytes) => Some(Ok(std::mem::take(bytes))),
            Content::File(file) => file.next(),
            Content::Plain(stream) => {
                Some(next_piece(stream)).filter(|piece| !piece.is_empty()).map(|piece| Ok(piece.into()))
            }
        };
        if next.is_none() {
            self.place = None;
        }
        Poll::Ready(next.map(|piece| piece.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Full(bytes) => bytes.is_empty(),
            Content::File(file) => file.finished && !file.cut,
            Content::Plain(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Content::File(file) => file.left.map_or_else(SizeHint::default, SizeHint::with_exact),
            Content::Plain(_) => SizeHint::default(),
        }
    }
}
