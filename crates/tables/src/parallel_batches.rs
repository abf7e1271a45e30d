//! JSON Lines to batches on several threads, with the order of the rows kept and the memory bounded.
//!
//! The thread that draws the batches also reads, and cuts the input into blocks; the others decode a block each. No more
//! blocks are under way than the threads need, so the input waits where it is when nobody draws.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::io::Read;
use std::num::NonZeroUsize;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use arrow_array::RecordBatch;
use backstory_formats::DEFAULT_MAX_ROW_BYTES;

use crate::bad_rows::BadRows;
use crate::block::{Block, BlockCutter};
use crate::block_decoding::{DecodedBlock, Decoding};
use crate::error::{Error, ErrorKind};
use crate::origin::Origin;

/// The nested batches of a JSON Lines export of activities, decoded on several threads, in the order of the file.
///
/// The batches are the same for any number of threads; they hold up to 8,192 rows or 2 MiB of input. Memory is a few MiB for
/// each thread, and doesn't grow with the input. The reader stays on the thread that draws the batches, so it needs no
/// [`Send`], and no buffer of its own.
///
/// ```
/// use std::num::NonZeroUsize;
///
/// use backstory_tables::{Origin, ParallelActivityBatches, explode};
/// use jiff::Timestamp;
///
/// let export = "{\"uid\":\"em-1\",\"participants\":[{\"name\":\"Rin\"},{\"name\":\"Sol\"}]}\n".repeat(1_000);
/// let origin = Origin::offline(Timestamp::UNIX_EPOCH);
/// let threads = NonZeroUsize::new(2).unwrap();
/// let (mut rows, mut participants) = (0, 0);
/// for batch in ParallelActivityBatches::new(export.as_bytes(), &origin, threads) {
///     let batch = batch?;
///     rows += batch.num_rows();
///     // The relational shape of the same rows.
///     participants += explode(&batch)?.participants.num_rows();
/// }
/// assert_eq!((rows, participants), (1_000, 2_000));
/// # Ok::<(), backstory_tables::Error>(())
/// ```
///
/// # Errors
/// A row that can't be decoded is an [`ErrorKind::BadRow`] (an [`ErrorKind::SuspectFile`] when the whole file is), and a
/// reader that fails an [`ErrorKind::Read`]. An error ends the iteration, once the batches of the blocks before it have been
/// given. To go on without bad rows, use [`Conversion::to_batches`](crate::Conversion::to_batches), which takes threads too.
pub struct ParallelActivityBatches<R> {
    reader: R,
    decoder: BlockDecoder,
    ready: VecDeque<RecordBatch>,
    records: u64,
    ended: bool,
}

impl<R: Read> ParallelActivityBatches<R> {
    /// Decodes one file or fragment, from its first byte, on `threads` threads beside the one that draws the batches.
    pub fn new(reader: R, origin: &Origin, threads: NonZeroUsize) -> Self {
        let (bytes, cutter) = (DEFAULT_MAX_ROW_BYTES, BlockCutter::new(DEFAULT_MAX_ROW_BYTES));
        let decoder = BlockDecoder::start(threads, cutter, origin, bytes, 1);
        Self { reader, decoder, ready: VecDeque::new(), records: 0, ended: false }
    }

    fn next_batch(&mut self) -> Result<Option<RecordBatch>, Error> {
        loop {
            if let Some(batch) = self.ready.pop_front() {
                return Ok(Some(batch));
            }
            let reader = &mut self.reader;
            let block = self.decoder.next_block(|buffer| {
                fill(reader, buffer)
                    .map_err(|error| Error::new(ErrorKind::Read, "can't read the export").with_source(error))
            })?;
            let Some(block) = block else { return Ok(None) };
            if let Some(bad) = block.bad_rows.into_iter().next() {
                BadRows::fail().take("the export", bad.error.behind_records(self.records), &bad.raw)?;
            }
            self.records += block.records;
            self.ready.extend(block.batches);
        }
    }
}

impl<R: Read> Iterator for ParallelActivityBatches<R> {
    type Item = Result<RecordBatch, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let batch = self.next_batch().transpose();
        self.ended = !matches!(batch, Some(Ok(_)));
        batch
    }
}

impl<R> fmt::Debug for ParallelActivityBatches<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ParallelActivityBatches")
            .field("records", &self.records)
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}

/// Reads until the buffer is full, or the input ends.
fn fill(reader: &mut impl Read, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut len = 0;
    while len < buffer.len() {
        match reader.read(&mut buffer[len..]) {
            Ok(0) => break,
            Ok(read) => len += read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(len)
}

/// What a thread reports of the block with this number: what it held, and its buffer, for another.
struct Report {
    number: usize,
    /// Nothing when the thread has panicked.
    decoded: Option<(DecodedBlock, Vec<u8>)>,
}

/// Decodes blocks on threads of its own, and gives them in order.
pub(crate) struct BlockDecoder {
    cutter: BlockCutter,
    /// Nothing once all has been handed over.
    work: Option<Sender<(usize, Block)>>,
    reports: Receiver<Report>,
    threads: Vec<JoinHandle<()>>,
    most_under_way: usize,
    handed_over: usize,
    next: usize,
    /// Blocks that wait for an earlier one.
    decoded: BTreeMap<usize, DecodedBlock>,
    buffers: Vec<Vec<u8>>,
    /// Why reading ended early; it is told behind the blocks that were read before.
    failed: Option<Error>,
}

impl BlockDecoder {
    /// Starts the threads. Of each block, no more than `max_bad_rows` bad rows are kept.
    pub(crate) fn start(
        threads: NonZeroUsize,
        cutter: BlockCutter,
        origin: &Origin,
        max_row_bytes: usize,
        max_bad_rows: usize,
    ) -> Self {
        let (work, queue) = channel();
        let (sender, reports) = channel();
        let queue = Arc::new(Mutex::new(queue));
        let threads: Vec<_> = (0..threads.get())
            .map(|_| {
                let (queue, sender) = (Arc::clone(&queue), sender.clone());
                let decoding = Decoding::new(origin, max_row_bytes, max_bad_rows);
                thread::spawn(move || work_off(&queue, &sender, decoding))
            })
            .collect();
        Self {
            cutter,
            work: Some(work),
            reports,
            most_under_way: threads.len() + 1,
            threads,
            handed_over: 0,
            next: 0,
            decoded: BTreeMap::new(),
            buffers: Vec::new(),
            failed: None,
        }
    }

    /// The columns of a CSV, behind the last block.
    pub(crate) fn csv_header(&self) -> Option<Vec<String>> {
        self.cutter.csv_header()
    }

    /// The next block in the order of the file, or `None` behind the last. `read` fills the buffer that it is given, unless
    /// the input ends.
    pub(crate) fn next_block(
        &mut self,
        mut read: impl FnMut(&mut [u8]) -> Result<usize, Error>,
    ) -> Result<Option<DecodedBlock>, Error> {
        loop {
            while self.handed_over - self.next < self.most_under_way
                && let Some(work) = &self.work
            {
                let buffer = self.buffers.pop().unwrap_or_default();
                match self.cutter.next(buffer, &mut read) {
                    Ok(Some(block)) => {
                        // Threads that are gone will have told so.
                        let _ = work.send((self.handed_over, block));
                        self.handed_over += 1;
                    }
                    Ok(None) => self.work = None,
                    Err(error) => {
                        self.failed = Some(error);
                        self.work = None;
                    }
                }
            }
            if let Some(block) = self.decoded.remove(&self.next) {
                self.next += 1;
                return Ok(Some(block));
            }
            if self.handed_over == self.next {
                return self.failed.take().map_or(Ok(None), Err);
            }
            let lost = || Error::new(ErrorKind::Read, "a thread that decodes rows has panicked");
            let report = self.reports.recv().map_err(|_| lost())?;
            let (block, buffer) = report.decoded.ok_or_else(lost)?;
            self.buffers.push(buffer);
            self.decoded.insert(report.number, block);
        }
    }
}

/// The threads end with what they are at.
impl Drop for BlockDecoder {
    fn drop(&mut self) {
        self.work = None;
        for thread in self.threads.drain(..) {
            // A panic has been reported.
            let _ = thread.join();
        }
    }
}

/// A thread's life.
fn work_off(queue: &Mutex<Receiver<(usize, Block)>>, reports: &Sender<Report>, mut decoding: Decoding) {
    loop {
        // A lock that was poisoned by another thread's panic still guards a whole queue.
        let work = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok((number, block)) = work else { return };
        let watch = Watch { reports, number };
        let decoded = decoding.decode(&block);
        std::mem::forget(watch);
        if reports.send(Report { number, decoded: Some((decoded, block.bytes)) }).is_err() {
            return;
        }
    }
}

/// Tells of a panic, so that nobody waits for a block that will never come.
struct Watch<'r> {
    reports: &'r Sender<Report>,
    number: usize,
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        let _ = self.reports.send(Report { number: self.number, decoded: None });
    }
}
