//! JSON Lines to Parquet on several threads: each takes a whole row group, from its bytes to its encoded pages.
//!
//! The calling thread reads, and cuts the input into row groups at line borders; it also writes what the others have
//! encoded, in order. Where the cuts are depends on the bytes alone, so the file is the same for any number of threads.
//! Row groups are handed over in pieces, from a pool that is small, so that the input waits where it is when the threads
//! don't keep up, and memory doesn't grow.

use std::collections::BTreeMap;
use std::io::Write;
use std::num::NonZeroUsize;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use backstory_formats::Position;
use parquet::file::writer::SerializedFileWriter;

use crate::error::{Error, ErrorKind};
use crate::row_group::{EncodedRowGroup, RowGroupEncoder};

/// How much is read at a time, for row groups of the usual size and more.
const MAX_PIECE: usize = 1 << 20;
const MIN_PIECE: usize = 1 << 8;

/// A row group's input, as it is handed to a thread.
struct Work {
    number: usize,
    start: Position,
    pieces: Receiver<Piece>,
}

struct Piece {
    bytes: Vec<u8>,
    len: usize,
}

/// What a thread reports.
enum Report {
    /// A piece has been used up.
    Used(Vec<u8>),
    Encoded(usize, Result<EncodedRowGroup, Error>),
    /// The thread has panicked.
    Lost,
}

/// Tells the caller of a panic, so that it doesn't wait for what will never come.
struct Watch<'r>(&'r Sender<Report>);

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            let _ = self.0.send(Report::Lost);
        }
    }
}

/// The caller's side of a conversion.
pub(crate) trait Conductor {
    /// Reads on, into the whole of the buffer unless the input ends. Returns how many bytes there were.
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Error>;
    /// Takes in what the next row group in order held, before it is written.
    fn encoded(&mut self, group: &mut EncodedRowGroup) -> Result<(), Error>;
}

/// Encodes all row groups of an input, and writes them.
pub(crate) fn write_row_groups<W: Write + Send>(
    threads: NonZeroUsize,
    row_group_bytes: usize,
    encoder: &RowGroupEncoder,
    conductor: &mut impl Conductor,
    files: &mut [SerializedFileWriter<W>],
) -> Result<(), Error> {
    let (work, queue) = channel::<Work>();
    let (reports, inbox) = channel::<Report>();
    let queue = Mutex::new(queue);
    let aborted = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..threads.get() {
            let reports = reports.clone();
            let (queue, aborted) = (&queue, &aborted);
            scope.spawn(move || work_off(queue, &reports, encoder, aborted));
        }
        drop(reports);
        // All threads but the one that takes in what is being read need a row group that has been read already.
        let piece_bytes = (row_group_bytes / 8).clamp(MIN_PIECE, MAX_PIECE);
        let pieces = (threads.get() - 1) * (row_group_bytes / piece_bytes) + 4;
        let mut feed = Feed {
            free: (0..pieces).map(|_| Vec::new()).collect(),
            inbox,
            encoded: BTreeMap::new(),
            next: 0,
            files,
            conductor,
        };
        let done = feed.run(row_group_bytes, piece_bytes, &work);
        aborted.store(done.is_err(), Ordering::Relaxed);
        drop(work);
        done
    })
}

/// A thread's life.
fn work_off(
    queue: &Mutex<Receiver<Work>>,
    reports: &Sender<Report>,
    encoder: &RowGroupEncoder,
    aborted: &AtomicBool,
) {
    let _watch = Watch(reports);
    let mut writers = encoder.writers();
    loop {
        // A lock that was poisoned by another thread's panic still guards a whole queue.
        let work = queue.lock().unwrap_or_else(std::sync::PoisonError::into_inner).recv();
        let Ok(work) = work else { return };
        let feed = |take: &mut dyn FnMut(&[u8]) -> Result<(), Error>| {
            while let Ok(piece) = work.pieces.recv() {
                if aborted.load(Ordering::Relaxed) {
                    return Ok(());
                }
                take(&piece.bytes[..piece.len])?;
                // The caller has stopped listening only if it failed.
                let _ = reports.send(Report::Used(piece.bytes));
            }
            Ok(())
        };
        let group = match &mut writers {
            Ok(writers) => encoder.encode(writers, work.start, feed),
            Err(error) => Err(Error::new(error.kind(), error.to_string())),
        };
        if reports.send(Report::Encoded(work.number, group)).is_err() {
            return;
        }
    }
}

/// The calling thread's state.
struct Feed<'f, W: Write + Send, C> {
    free: Vec<Vec<u8>>,
    inbox: Receiver<Report>,
    /// Row groups that wait for an earlier one.
    encoded: BTreeMap<usize, EncodedRowGroup>,
    /// The row group that is to be written next.
    next: usize,
    files: &'f mut [SerializedFileWriter<W>],
    conductor: &'f mut C,
}

impl<W: Write + Send, C: Conductor> Feed<'_, W, C> {
    fn run(&mut self, row_group_bytes: usize, piece_bytes: usize, work: &Sender<Work>) -> Result<(), Error> {
        let mut groups = 0;
        let mut start = Position { record: 1, line: 1, byte: 0 };
        // The end of a piece that belongs to the next row group.
        let mut rest: Vec<u8> = Vec::new();
        let mut ended = false;
        while !ended {
            let (pieces, receiver) = channel();
            // A row group that nobody takes is one whose threads are gone, which `inbox` will tell.
            let _ = work.send(Work { number: groups, start, pieces: receiver });
            groups += 1;
            let mut in_group = 0;
            loop {
                let mut bytes = self.free_piece()?;
                bytes.resize(piece_bytes.max(rest.len() + piece_bytes / 2), 0);
                bytes[..rest.len()].copy_from_slice(&rest);
                let kept = std::mem::take(&mut rest).len();
                let read = self.conductor.read(&mut bytes[kept..])?;
                ended = kept + read < bytes.len();
                let mut len = kept + read;
                let mut last = ended;
                if in_group + len >= row_group_bytes && !ended {
                    // A line that fills the whole piece makes its row group longer.
                    if let Some(newline) = memchr::memrchr(b'\n', &bytes[..len]) {
                        rest = bytes[newline + 1..len].to_vec();
                        len = newline + 1;
                        last = true;
                    }
                }
                in_group += len;
                start.byte += len as u64;
                start.line += memchr::memchr_iter(b'\n', &bytes[..len]).count() as u64;
                let _ = pieces.send(Piece { bytes, len });
                if last {
                    break;
                }
            }
        }
        while self.next < groups {
            self.listen()?;
        }
        Ok(())
    }

    fn free_piece(&mut self) -> Result<Vec<u8>, Error> {
        loop {
            if let Some(piece) = self.free.pop() {
                return Ok(piece);
            }
            self.listen()?;
        }
    }

    /// Waits for one report, and writes what can be written after it.
    fn listen(&mut self) -> Result<(), Error> {
        match self.inbox.recv().unwrap_or(Report::Lost) {
            // The scope hands the panic on.
            Report::Lost => {
                return Err(Error::new(ErrorKind::Write, "a thread that encodes rows has panicked"));
            }
            Report::Used(piece) => self.free.push(piece),
            Report::Encoded(number, group) => {
                self.encoded.insert(number, group?);
                while let Some(mut group) = self.encoded.remove(&self.next) {
                    self.conductor.encoded(&mut group)?;
                    group.write(self.files)?;
                    self.next += 1;
                }
            }
        }
        Ok(())
    }
}
