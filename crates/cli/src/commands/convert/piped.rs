//! Standard input and other pipes, read so that an interruption is heard although nothing comes: a read that waits can't be
//! called back, so it waits on a thread of its own.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

/// How much is read at a time, and how many pieces may wait.
const PIECE: usize = 256 << 10;
const PIECES: usize = 2;

type Piece = io::Result<Vec<u8>>;

/// What a thread reads from a pipe. An empty piece is the end.
pub(super) struct Piped {
    pieces: Receiver<Piece>,
    piece: Vec<u8>,
    at: usize,
    ended: bool,
}

/// Ends the waiting for a pipe.
#[derive(Clone)]
pub(super) struct Stop(SyncSender<Piece>);

impl Stop {
    /// Lets the reader fail if it is waiting.
    pub(super) fn stop(&self) {
        // Where there is no room, there is something to read, and so nobody who waits.
        let _ = self.0.try_send(Err(io::Error::other("interrupted")));
    }
}

/// Starts to read what `open` opens.
pub(super) fn piped<R: Read>(open: impl FnOnce() -> io::Result<R> + Send + 'static) -> (Piped, Stop) {
    let (sender, pieces) = sync_channel(PIECES);
    let stop = Stop(sender.clone());
    thread::spawn(move || {
        let mut reader = match open() {
            Ok(reader) => reader,
            Err(error) => return drop(sender.send(Err(error))),
        };
        loop {
            let mut piece = vec![0; PIECE];
            let read = reader.read(&mut piece).map(|len| {
                piece.truncate(len);
                piece
            });
            let last = match &read {
                Ok(piece) => piece.is_empty(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => true,
            };
            if sender.send(read).is_err() || last {
                return;
            }
        }
    });
    (Piped { pieces, piece: Vec::new(), at: 0, ended: false }, stop)
}

impl Read for Piped {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at == self.piece.len() && !self.ended {
            self.at = 0;
            self.piece.clear();
            self.piece = match self.pieces.recv() {
                Ok(piece) => piece?,
                Err(_) => Vec::new(),
            };
            self.ended = self.piece.is_empty();
        }
        let len = buffer.len().min(self.piece.len() - self.at);
        buffer[..len].copy_from_slice(&self.piece[self.at..self.at + len]);
        self.at += len;
        Ok(len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_read_and_then_the_end() {
        let content = b"0123456789".repeat(100_000);
        let input = io::Cursor::new(content.clone());
        let (mut piped, _stop) = piped(move || Ok(input));
        let mut read = Vec::new();
        piped.read_to_end(&mut read).unwrap();
        assert_eq!((read, piped.read(&mut [0; 9]).unwrap()), (content, 0));
    }

    #[test]
    fn a_reader_that_waits_for_nothing_can_be_stopped() {
        struct Never;
        impl Read for Never {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                loop {
                    thread::park();
                }
            }
        }
        let (mut piped, stop) = piped(|| Ok(Never));
        stop.stop();
        assert_eq!(piped.read(&mut [0; 9]).unwrap_err().to_string(), "interrupted");
    }

    #[test]
    fn what_can_not_be_opened_is_told() {
        let (mut piped, _stop) = piped(|| Err::<io::Empty, _>(io::ErrorKind::PermissionDenied.into()));
        assert_eq!(piped.read(&mut [0; 9]).unwrap_err().kind(), io::ErrorKind::PermissionDenied);
    }
}
