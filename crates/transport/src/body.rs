//! The streaming body of a reply.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_core::Stream;
use futures_util::StreamExt as _;
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use tokio::time::timeout;

use crate::error::{Error, ErrorKind};

/// For how long a body that is collected may stop flowing. Who takes its chunks has a patience of their own.
const STALL_TIMEOUT: Duration = Duration::from_secs(60);

/// A reply's body: chunks of bytes as they arrive.
pub struct Body(UnsyncBoxBody<Bytes, Error>);

/// Marks a reply whose body ends when the connection does: with neither a length nor chunks, its end can't be told from
/// a cut (RFC 9112, section 6.3). Adapters put it among the extensions of such a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnprovenEnd;

impl Body {
    /// Wraps another implementation's body.
    pub fn new<B>(body: B) -> Self
    where
        B: http_body::Body<Data = Bytes, Error = Error> + Send + 'static,
    {
        Self(UnsyncBoxBody::new(body))
    }

    /// A body of the chunks of a stream; its length is not known in advance.
    pub fn from_stream<S>(chunks: S) -> Self
    where
        S: Stream<Item = Result<Bytes, Error>> + Send + 'static,
    {
        Self::new(StreamBody::new(chunks.map(|chunk| chunk.map(Frame::data))))
    }

    /// The next chunk, `None` at the end of a body that came whole.
    ///
    /// # Errors
    /// [`Error`] when the body is cut, stalls or is corrupt.
    pub async fn chunk(&mut self) -> Option<Result<Bytes, Error>> {
        loop {
            match self.0.frame().await? {
                // A trailer carries no data.
                Ok(frame) => {
                    if let Ok(data) = frame.into_data() {
                        return Some(Ok(data));
                    }
                }
                Err(error) => return Some(Err(error)),
            }
        }
    }

    /// The whole body, if it has at most `limit` bytes. Runs on a tokio runtime, whose clock watches whether it flows.
    ///
    /// # Errors
    /// [`ErrorKind::BodyTooLong`] above the limit, [`ErrorKind::BodyStalled`] when nothing comes for 60 s, and whatever cut
    /// the body.
    pub async fn collect(mut self, limit: usize) -> Result<Bytes, Error> {
        let mut whole = BytesMut::new();
        loop {
            let Ok(chunk) = timeout(STALL_TIMEOUT, self.chunk()).await else {
                let message = format!("no byte of the reply came for {} s", STALL_TIMEOUT.as_secs());
                return Err(Error::new(ErrorKind::BodyStalled, message));
            };
            let Some(chunk) = chunk.transpose()? else { return Ok(whole.freeze()) };
            if whole.len() + chunk.len() > limit {
                let message = format!("the reply has more than the {limit} bytes that such a reply may have");
                return Err(Error::new(ErrorKind::BodyTooLong, message));
            }
            whole.extend_from_slice(&chunk);
        }
    }
}

impl<T: Into<Bytes>> From<T> for Body {
    fn from(whole: T) -> Self {
        Self::new(Full::new(whole.into()).map_err(|never| match never {}))
    }
}

impl Default for Body {
    fn default() -> Self {
        Self::from(Bytes::new())
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        Pin::new(&mut self.0).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body").field("size_hint", &self.0.size_hint()).finish_non_exhaustive()
    }
}
