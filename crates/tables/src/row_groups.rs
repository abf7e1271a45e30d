//! Exports to Parquet on several threads. The calling thread leads: it reads, cuts the input into blocks and row groups, and
//! writes what has been encoded, in order; for the rest of its time it works as the others do.
//!
//! Where the cuts are depends on the bytes alone, so the file is the same for any number of threads. No more blocks are read
//! than the threads need, so the input waits where it is when they don't keep up, and memory doesn't grow.

use std::io::Write;
use std::num::NonZeroUsize;
use std::thread;

use crate::block::{Block, BlockCutter};
use crate::encode::{EncodedFile, Layout};
use crate::error::Error;
use crate::row_group::Shape;
use crate::tasks::{BlockReport, Lead, NumberedBlock, Step, Tasks, Tools};

/// A row group is cut into at least so many blocks, so that small ones aren't much greater than they should be.
const BLOCKS: usize = 8;

/// The caller's side of a conversion.
pub(crate) trait Conductor {
    /// Reads on, into the whole of the buffer unless the input ends. Returns how many bytes there were.
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Error>;
    /// Takes in what the next block in order held.
    fn decoded(&mut self, block: BlockReport) -> Result<(), Error>;
}

/// What is to be made of an input.
pub(crate) struct Plan<'p> {
    pub(crate) threads: NonZeroUsize,
    pub(crate) row_group_bytes: usize,
    pub(crate) shape: Shape,
    /// One for each file.
    pub(crate) layouts: &'p [Layout],
}

/// Ends the other threads when one leaves, whatever the reason.
struct Stop<'t>(&'t Tasks);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// Encodes all row groups of an input, and writes them. Each thread has tools of its own.
pub(crate) fn write_row_groups<W: Write + Send>(
    plan: &Plan<'_>,
    cutter: BlockCutter,
    tools: impl Fn() -> Result<Tools, Error>,
    conductor: &mut impl Conductor,
    files: &mut [EncodedFile<W>],
) -> Result<Option<Vec<String>>, Error> {
    let leaves: Vec<_> = plan.layouts.iter().map(Layout::leaves).collect();
    let widths: Vec<_> = leaves.iter().map(Vec::len).collect();
    let tasks = Tasks::new(plan.threads.get(), leaves.into_iter().flatten().collect(), plan.shape);
    let own = tools()?;
    let others = (1..plan.threads.get()).map(|_| tools()).collect::<Result<Vec<_>, _>>()?;
    thread::scope(|scope| {
        let tasks = &tasks;
        let _stop = Stop(tasks);
        for tools in others {
            scope.spawn(move || {
                let _stop = Stop(tasks);
                tasks.work_off(tools);
            });
        }
        let cutter = cutter.with_block_bytes(plan.row_group_bytes / BLOCKS);
        let feed = Feed { row_group_bytes: plan.row_group_bytes, in_group: 0, cutter, failed: None };
        feed.lead(tasks, own, conductor, files, &widths)
    })
}

/// The calling thread's state.
struct Feed {
    row_group_bytes: usize,
    /// How many bytes the row group under way has so far.
    in_group: usize,
    cutter: BlockCutter,
    /// Why reading ended early; it is told behind what the blocks before it have to tell.
    failed: Option<Error>,
}

impl Feed {
    /// Returns the columns of a CSV.
    fn lead<W: Write + Send>(
        mut self,
        tasks: &Tasks,
        mut tools: Tools,
        conductor: &mut impl Conductor,
        files: &mut [EncodedFile<W>],
        widths: &[usize],
    ) -> Result<Option<Vec<String>>, Error> {
        let mut lead = Lead::default();
        loop {
            match tasks.next_step(&mut lead)? {
                Step::Report(report) => conductor.decoded(report)?,
                Step::Write(group) => group.write(files, widths)?,
                Step::Read(buffer) => self.read(tasks, buffer, conductor, &mut lead),
                Step::Work(task) => tasks.perform(task, &mut tools),
                Step::Done => return self.failed.map_or_else(|| Ok(self.cutter.csv_header()), Err),
            }
        }
    }

    fn read(&mut self, tasks: &Tasks, buffer: Vec<u8>, conductor: &mut impl Conductor, lead: &mut Lead) {
        let block = match self.cutter.next(buffer, |buffer| conductor.read(buffer)) {
            Ok(block) => block,
            Err(error) => {
                // The row group under way will never be whole.
                lead.groups -= usize::from(self.in_group > 0);
                (self.failed, lead.ended) = (Some(error), true);
                return;
            }
        };
        lead.ended = block.is_none();
        let block = match block {
            Some(block) => block,
            // The row group ends without a block of its own.
            None if self.in_group > 0 => Block::empty(),
            None => return,
        };
        lead.groups += usize::from(self.in_group == 0);
        self.in_group += block.bytes.len();
        let ends_group = lead.ended || self.in_group >= self.row_group_bytes;
        if ends_group {
            self.in_group = 0;
        }
        tasks.put(NumberedBlock { number: lead.read, block, group: lead.groups - 1, ends_group });
        lead.read += 1;
    }
}
