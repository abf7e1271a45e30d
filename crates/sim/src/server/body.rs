//! The bodies of replies: bytes at hand, or a file that is written as fast as the connection takes it.
//!
//! A file is written inside the connection's own task, a piece at a time, so a slow client holds one piece in memory and
//! nothing runs ahead of it. The faults that strike in the middle of a body strike here.

use std::io::{self, Write};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http_body::{Frame, SizeHint};
use tokio::time::{Sleep, sleep};

use super::state::State;
use super::wire::Control;
use crate::export::ExportStream;
use crate::faults::Close;
use crate::rate_limit::Place;

/// Bytes of a piece: it stays in the processor's cache on its way to the socket.
const PIECE: usize = 64 * 1024;
/// Pieces of a drip in a second.
const DRIPS: u64 = 10;

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

/// How a file is sent; by default whole, chunked and at once.
#[derive(Debug, Default)]
pub(super) struct Sending {
    /// The length that is announced.
    pub(super) length: Option<u64>,
    /// How much of the stream is sent; all of it unless said.
    pub(super) size: Option<u64>,
    pub(super) gzip: bool,
    /// Where the body ends early, and how. Like all positions it counts bytes before they are compressed.
    pub(super) end: Option<(u64, End)>,
    /// Leave out what ends the body (row j.21).
    pub(super) no_last_chunk: bool,
    /// Send more than was announced.
    pub(super) long: bool,
    /// Where the body stands still, and for how long.
    pub(super) stall: Option<(u64, Duration)>,
    /// Bytes a second.
    pub(super) drip: Option<u64>,
    pub(super) control: Control,
}

/// How a body ends early.
#[derive(Clone, Copy, Debug)]
pub(super) enum End {
    /// As if that were all.
    Clean,
    /// With the connection.
    Break(Close),
}

struct File {
    stream: ExportStream,
    state: Arc<State>,
    /// Whose file it is, and who asked for it.
    job: u64,
    key: String,
    sending: Sending,
    gzip: Option<GzEncoder<Vec<u8>>>,
    /// What was written and not yet passed on, and how much was.
    plain: Bytes,
    passed: u64,
    written: bool,
    /// What was passed on, as it is coded, and not yet sent.
    ahead: Bytes,
    sent: u64,
    pause: Option<Pin<Box<Sleep>>>,
    finished: bool,
}

impl Body {
    pub(super) fn full(bytes: Bytes) -> Self {
        Self { content: Content::Full(bytes), place: None }
    }

    /// A file of a job, for the holder of a key.
    pub(super) fn file(
        state: &Arc<State>,
        stream: ExportStream,
        sending: Sending,
        job: u64,
        key: &str,
    ) -> Self {
        state.counters.count(|report| report.downloads_started += 1);
        state.queue().note_use(job, key, |used| used.downloads_started += 1);
        let gzip = sending.gzip.then(|| GzEncoder::new(Vec::new(), Compression::fast()));
        let file = File {
            stream,
            state: Arc::clone(state),
            job,
            key: key.to_owned(),
            sending,
            gzip,
            plain: Bytes::new(),
            passed: 0,
            written: false,
            ahead: Bytes::new(),
            sent: 0,
            pause: None,
            finished: false,
        };
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
    /// The byte up to which the file is passed on: the next at which something happens.
    fn stop(&self) -> u64 {
        let Sending { size, end, stall, .. } = &self.sending;
        let stops = [*size, end.map(|(byte, _)| byte), stall.map(|(byte, _)| byte)];
        stops.into_iter().flatten().min().unwrap_or(u64::MAX)
    }

    /// Sees to it that something is ahead, unless the stop is reached or all was written.
    fn write_ahead(&mut self) -> io::Result<()> {
        let stop = self.stop();
        while self.ahead.is_empty() && self.passed < stop && !self.written {
            if self.plain.is_empty() {
                self.plain = next_piece(&mut self.stream).into();
            }
            let most = (self.plain.len() as u64).min(stop - self.passed);
            let piece = self.plain.split_to(most as usize);
            self.passed += most;
            self.written = most == 0;
            self.ahead = match &mut self.gzip {
                None => piece,
                Some(gzip) => {
                    gzip.write_all(&piece)?;
                    if self.written {
                        gzip.try_finish()?;
                    } else if self.passed == stop {
                        // What comes before a fault reaches the client before it.
                        gzip.flush()?;
                    }
                    std::mem::take(gzip.get_mut()).into()
                }
            };
        }
        Ok(())
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        loop {
            if let Some(pause) = &mut self.pause {
                ready!(pause.as_mut().poll(context));
                self.pause = None;
            }
            if self.finished {
                return Poll::Ready(None);
            }
            self.write_ahead()?;
            if !self.ahead.is_empty() {
                return Poll::Ready(Some(Ok(self.next_to_send())));
            }
            if let Some((byte, length)) = self.sending.stall
                && self.passed >= byte
            {
                self.sending.stall = None;
                self.pause = Some(Box::pin(sleep(length)));
                continue;
            }
            match self.sending.end {
                Some((byte, End::Clean)) if self.passed >= byte => self.finished = true,
                Some((byte, End::Break(close))) if self.passed >= byte => return self.break_off(close),
                _ if self.sending.no_last_chunk => return self.break_off(Close::Fin),
                _ => self.finish(),
            }
        }
    }

    fn next_to_send(&mut self) -> Bytes {
        let mut most = self.ahead.len() as u64;
        if let Some(rate) = self.sending.drip {
            most = most.min((rate / DRIPS).max(1));
            self.pause = Some(Box::pin(sleep(Duration::from_millis(1_000 / DRIPS))));
        }
        let piece = self.ahead.split_to(most as usize);
        self.sent += most;
        self.state.counters.count(|report| report.bytes += most);
        // With its length announced, nobody asks again after the last byte.
        if self.sending.length == Some(self.sent) {
            self.finish();
        }
        piece
    }

    fn finish(&mut self) {
        if self.sending.long {
            self.sending.control.end_with(b"{\"uid\":\"beyond-the-end\"}\n");
        }
        self.finished = true;
        self.state.counters.count(|report| report.downloads_finished += 1);
        self.state.queue().note_use(self.job, &self.key, |used| used.downloads_finished += 1);
    }

    /// Breaks the connection off after what was sent. The body stays unfinished until then, so that nothing ends it.
    fn break_off(&self, close: Close) -> Poll<Option<io::Result<Bytes>>> {
        self.sending.control.end(close);
        Poll::Pending
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
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let next = match &mut self.content {
            Content::Full(bytes) if bytes.is_empty() => None,
            Content::Full(bytes) => Some(Ok(std::mem::take(bytes))),
            Content::File(file) => ready!(file.poll(context)),
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
            Content::File(file) => file.finished,
            Content::Plain(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Content::File(file) => match file.sending.length {
                Some(length) => SizeHint::with_exact(length - file.sent),
                None => SizeHint::default(),
            },
            Content::Plain(_) => SizeHint::default(),
        }
    }
}
