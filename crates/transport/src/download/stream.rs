//! A download as a stream of chunks.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_core::Stream;
use futures_util::StreamExt as _;
use futures_util::stream::unfold;

use super::Downloaded;
use super::engine::{Engine, Step};
use crate::error::Error;

/// The decompressed bytes of a download, in order, each once; see [`Download::into_stream`](super::Download::into_stream).
///
/// It ends with `None` only when the body was whole. After an error it is over. Dropping it ends the download.
pub struct DownloadStream {
    chunks: Pin<Box<dyn Stream<Item = Result<Bytes, Error>> + Send>>,
    summary: Arc<Mutex<Option<Downloaded>>>,
}

impl DownloadStream {
    pub(super) fn new(engine: Engine) -> Self {
        let summary = Arc::new(Mutex::new(None));
        let told = Arc::clone(&summary);
        let chunks = unfold(Some(engine), move |engine| {
            let told = Arc::clone(&told);
            async move {
                let mut engine = engine?;
                loop {
                    match engine.next().await {
                        Ok(Step::Data(chunk)) => return Some((Ok(chunk), Some(engine))),
                        Ok(Step::Rewind) => {}
                        Ok(Step::End(downloaded)) => {
                            *told.lock().unwrap_or_else(PoisonError::into_inner) = Some(downloaded);
                            return None;
                        }
                        Err(error) => return Some((Err(error), None)),
                    }
                }
            }
        });
        Self { chunks: Box::pin(chunks.fuse()), summary }
    }

    /// What the download was, once the stream has ended with `None`.
    pub fn summary(&self) -> Option<Downloaded> {
        self.summary.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Stream for DownloadStream {
    type Item = Result<Bytes, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.chunks.as_mut().poll_next(context)
    }
}

impl fmt::Debug for DownloadStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DownloadStream").field("summary", &self.summary()).finish_non_exhaustive()
    }
}
