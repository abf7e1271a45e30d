//! A bounded pipe from the async download to the blocking decoder: chunks in, `Read` out, and an end that is an end only
//! when the sender says so.

use std::io::{self, Read};

use bytes::{Buf as _, Bytes};
use tokio::sync::mpsc;

/// How many chunks may wait; with chunks of at most some 64 KiB this is the pipe's whole memory.
const CHUNKS: usize = 32;

enum Item {
    Chunk(Bytes),
    /// The download is proven whole.
    End,
}

/// A pipe's two ends.
pub(crate) fn pipe() -> (Sender, Receiver) {
    let (sender, receiver) = mpsc::channel(CHUNKS);
    (Sender(sender), Receiver { items: receiver, chunk: Bytes::new(), ended: false })
}

/// The end that the download feeds.
pub(crate) struct Sender(mpsc::Sender<Item>);

impl Sender {
    /// Hands a chunk on. Returns `false` when the reader has gone, which it says more about itself.
    pub(crate) async fn send(&self, chunk: Bytes) -> bool {
        self.0.send(Item::Chunk(chunk)).await.is_ok()
    }

    /// Says that all has been sent.
    pub(crate) async fn finish(self) {
        // A reader that has gone has its own reason.
        let _ = self.0.send(Item::End).await;
    }
}

/// The end that the decoder reads. A sender that goes without having finished is an error, not an end of file, so a cut
/// download can't be taken for a whole one.
pub(crate) struct Receiver {
    items: mpsc::Receiver<Item>,
    chunk: Bytes,
    ended: bool,
}

impl Read for Receiver {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.chunk.is_empty() && !self.ended {
            match self.items.blocking_recv() {
                Some(Item::Chunk(chunk)) => self.chunk = chunk,
                Some(Item::End) => self.ended = true,
                None => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the download broke off")),
            }
        }
        let taken = self.chunk.len().min(buffer.len());
        buffer[..taken].copy_from_slice(&self.chunk[..taken]);
        self.chunk.advance(taken);
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_sender_that_goes_away_is_an_error_and_one_that_finishes_is_an_end() {
        for finishes in [true, false] {
            let (sender, mut receiver) = pipe();
            let reader = tokio::task::spawn_blocking(move || {
                let mut whole = Vec::new();
                receiver.read_to_end(&mut whole).map(|_| whole)
            });
            assert!(sender.send(Bytes::from_static(b"one ")).await);
            assert!(sender.send(Bytes::from_static(b"two")).await);
            if finishes {
                sender.finish().await;
            } else {
                drop(sender);
            }
            let read = reader.await.unwrap();
            assert_eq!(read.ok(), finishes.then(|| b"one two".to_vec()));
        }
    }
}
