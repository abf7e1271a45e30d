//! What there is to do on the way from blocks to row groups, and who does it: any thread that is free takes the next task.
//!
//! A block is decoded to the columns of a batch. The columns of a file are dealt into *bundles*; a bundle encodes its columns
//! of one block after the other, in order, since its dictionaries and pages go on from block to block. So there is one row
//! group under way, however many threads there are: with a row group for each, every thread but the first needed the
//! input of a whole row group in memory, and took three times the memory of this.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::block::Block;
use crate::block_decoding::{BadRow, Decoding};
use crate::encode::{Compressor, EncodedColumn, Leaf, LeafColumn, leaf_columns};
use crate::error::{Error, ErrorKind};
use crate::relational::explode;
use crate::row_group::{RowGroup, Shape};
use crate::summary::Summary;

/// A block on its way.
pub(crate) struct NumberedBlock {
    pub(crate) number: usize,
    pub(crate) block: Block,
    /// The row group that its rows belong to.
    pub(crate) group: usize,
    /// It is the last of its row group.
    pub(crate) ends_group: bool,
}

/// What a decoded block held, apart from its columns.
pub(crate) struct BlockReport {
    pub(crate) summary: Summary,
    /// Their records are counted from the beginning of the block.
    pub(crate) bad_rows: Vec<BadRow>,
    /// How many records there were, bad ones included.
    pub(crate) records: u64,
}

/// A decoded block's columns.
struct BlockColumns {
    /// Of each batch, the leaves of all tables.
    batches: Vec<Vec<LeafColumn>>,
    group: usize,
    ends_group: bool,
}

/// Some of the columns, which are encoded together.
struct Bundle {
    first: usize,
    leaves: Vec<Leaf>,
}

/// A bundle's turn: nobody has the bundle when it is there.
struct Turn {
    bundle: Option<Bundle>,
    /// The block that it encodes next.
    next: usize,
}

/// How many leaves stand in a bundle. With more, the last bundle of a block would keep one thread busy while the others have
/// run out of work; with fewer, threads would meet at the lock too often.
const LEAVES: usize = 4;

/// How many blocks are decoded before they are encoded: a column's dictionary is bigger than what the processor keeps at
/// hand while it does other columns, and has to be fetched again for each go. With eight blocks in one, a conversion takes a
/// tenth less processor time than with one, and ten MiB more.
const TOGETHER: usize = 8;

/// The tasks. Threads share them.
pub(crate) struct Tasks {
    state: Mutex<State>,
    changed: Condvar,
    threads: usize,
    columns: usize,
    shape: Shape,
}

struct State {
    /// Read, and not decoded.
    blocks: VecDeque<NumberedBlock>,
    /// Buffers that have been used up.
    buffers: Vec<Vec<u8>>,
    /// Decoded, and not encoded by all bundles.
    decoded: BTreeMap<usize, Arc<BlockColumns>>,
    /// How many blocks are being decoded.
    decoding: usize,
    turns: Vec<Turn>,
    reports: BTreeMap<usize, BlockReport>,
    groups: BTreeMap<usize, RowGroup>,
    failed: Option<Error>,
    stopped: bool,
}

/// What a thread works with.
pub(crate) struct Tools {
    pub(crate) decoding: Decoding,
    pub(crate) compressor: Compressor,
}

/// Something to do.
pub(crate) struct Task(Kind);

enum Kind {
    Decode(NumberedBlock),
    Encode { turn: usize, bundle: Bundle, blocks: Vec<Arc<BlockColumns>> },
}

/// What the thread that leads does next.
pub(crate) enum Step {
    /// Takes in what the next block held.
    Report(BlockReport),
    /// Writes the next row group.
    Write(RowGroup),
    /// Reads a block.
    Read(Vec<u8>),
    /// Does what all do.
    Work(Task),
    /// All has been done.
    Done,
}

/// How far the thread that leads has come.
#[derive(Default)]
pub(crate) struct Lead {
    /// How many blocks have been read, and how many reports taken in.
    pub(crate) read: usize,
    pub(crate) reported: usize,
    /// How many row groups have been begun, and how many written.
    pub(crate) groups: usize,
    pub(crate) written: usize,
    /// Nothing is left to be read.
    pub(crate) ended: bool,
}

impl Tasks {
    pub(crate) fn new(threads: usize, leaves: Vec<Leaf>, shape: Shape) -> Self {
        let columns = leaves.len();
        let mut turns = Vec::new();
        let mut leaves = leaves.into_iter();
        for first in (0..columns).step_by(LEAVES) {
            let bundle = Bundle { first, leaves: leaves.by_ref().take(LEAVES).collect() };
            turns.push(Turn { bundle: Some(bundle), next: 0 });
        }
        let state = State {
            blocks: VecDeque::new(),
            buffers: (0..=threads).map(|_| Vec::new()).collect(),
            decoded: BTreeMap::new(),
            decoding: 0,
            turns,
            reports: BTreeMap::new(),
            groups: BTreeMap::new(),
            failed: None,
            stopped: false,
        };
        Self { state: Mutex::new(state), changed: Condvar::new(), threads, columns, shape }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it holds the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'s>(&self, state: MutexGuard<'s, State>) -> MutexGuard<'s, State> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands over a block that has been read.
    pub(crate) fn put(&self, block: NumberedBlock) {
        self.lock().blocks.push_back(block);
        self.changed.notify_all();
    }

    /// Makes all threads end.
    pub(crate) fn stop(&self) {
        self.lock().stopped = true;
        self.changed.notify_all();
    }

    /// A thread's life.
    pub(crate) fn work_off(&self, mut tools: Tools) {
        while let Some(task) = self.next_task() {
            self.perform(task, &mut tools);
        }
    }

    fn next_task(&self) -> Option<Task> {
        let mut state = self.lock();
        loop {
            if state.stopped {
                return None;
            }
            if let Some(task) = state.task(self.threads) {
                return Some(task);
            }
            state = self.wait(state);
        }
    }

    /// Waits for something that the thread that leads can do.
    pub(crate) fn next_step(&self, lead: &mut Lead) -> Result<Step, Error> {
        let mut state = self.lock();
        loop {
            if let Some(error) = state.failed.take() {
                return Err(error);
            }
            if state.stopped {
                // The scope hands the panic on.
                return Err(Error::new(ErrorKind::Write, "a thread that encodes rows has panicked"));
            }
            if let Some(report) = state.reports.remove(&lead.reported) {
                lead.reported += 1;
                return Ok(Step::Report(report));
            }
            if state.groups.get(&lead.written).is_some_and(RowGroup::is_whole)
                && let Some(group) = state.groups.remove(&lead.written)
            {
                lead.written += 1;
                return Ok(Step::Write(group));
            }
            if !lead.ended
                && state.blocks.len() < self.threads
                && let Some(buffer) = state.buffers.pop()
            {
                return Ok(Step::Read(buffer));
            }
            if let Some(task) = state.task(self.threads) {
                return Ok(Step::Work(task));
            }
            if lead.ended && lead.reported == lead.read && lead.written == lead.groups {
                return Ok(Step::Done);
            }
            state = self.wait(state);
        }
    }

    /// Does a task.
    pub(crate) fn perform(&self, Task(task): Task, tools: &mut Tools) {
        match task {
            Kind::Decode(block) => {
                let decoded = tools.decoding.decode(&block.block);
                let report = BlockReport {
                    summary: decoded.summary,
                    bad_rows: decoded.bad_rows,
                    records: decoded.records,
                };
                let columns = decoded.batches.into_iter().map(|batch| match self.shape {
                    Shape::Nested => leaf_columns(&batch),
                    Shape::Relational => {
                        let mut leaves = Vec::new();
                        for table in explode(&batch)?.into_tables() {
                            leaves.extend(leaf_columns(&table)?);
                        }
                        Ok(leaves)
                    }
                });
                let columns = columns.collect::<Result<Vec<_>, Error>>();
                let mut state = self.lock();
                state.decoding -= 1;
                state.buffers.push(block.block.bytes);
                state.reports.insert(block.number, report);
                match columns {
                    Ok(batches) => {
                        let (group, ends_group) = (block.group, block.ends_group);
                        let columns = Arc::new(BlockColumns { batches, group, ends_group });
                        state.decoded.insert(block.number, columns);
                    }
                    Err(error) => state.failed = Some(error),
                }
            }
            Kind::Encode { turn, mut bundle, blocks } => {
                let encoded = bundle.encode(&blocks, &mut tools.compressor);
                let mut state = self.lock();
                match encoded {
                    Ok(groups) => {
                        for (group, columns) in groups {
                            let group =
                                state.groups.entry(group).or_insert_with(|| RowGroup::of(self.columns));
                            group.put(bundle.first, columns);
                        }
                    }
                    Err(error) => state.failed = Some(error),
                }
                state.turns[turn].next += blocks.len();
                state.turns[turn].bundle = Some(bundle);
                let done = state.turns.iter().map(|turn| turn.next).min().unwrap_or_default();
                let left = state.decoded.split_off(&done);
                let encoded = std::mem::replace(&mut state.decoded, left);
                drop(state);
                drop(encoded);
            }
        }
        self.changed.notify_all();
    }
}

impl State {
    /// The next task that somebody can do. Some blocks are decoded before a bundle encodes them all in one go; beyond that,
    /// encoding comes first, since it frees memory, and whoever finds nothing to encode decodes.
    fn task(&mut self, threads: usize) -> Option<Task> {
        let waiting = self.decoded.len() + self.decoding;
        if waiting < TOGETHER && !self.blocks.is_empty() {
            return self.decode();
        }
        let State { decoded, turns, .. } = self;
        let free = turns.iter_mut().enumerate().filter(|(_, turn)| turn.bundle.is_some());
        let ready = free.filter(|(_, turn)| decoded.contains_key(&turn.next));
        if let Some((at, turn)) = ready.min_by_key(|(_, turn)| turn.next)
            && let Some(bundle) = turn.bundle.take()
        {
            let blocks = (turn.next..).map_while(|number| decoded.get(&number).cloned()).collect();
            return Some(Task(Kind::Encode { turn: at, bundle, blocks }));
        }
        if waiting < TOGETHER + threads { self.decode() } else { None }
    }

    fn decode(&mut self) -> Option<Task> {
        let block = self.blocks.pop_front()?;
        self.decoding += 1;
        Some(Task(Kind::Decode(block)))
    }
}

impl Bundle {
    /// Encodes blocks that follow on each other. Returns the chunks of the row groups that end with them.
    fn encode(
        &mut self,
        blocks: &[Arc<BlockColumns>],
        compressor: &mut Compressor,
    ) -> Result<Vec<(usize, Vec<EncodedColumn>)>, Error> {
        let ended = blocks.iter().filter(|block| block.ends_group);
        let mut groups: Vec<_> = ended.map(|block| (block.group, Vec::new())).collect();
        for (at, leaf) in self.leaves.iter_mut().enumerate() {
            let mut ended = groups.iter_mut();
            for block in blocks {
                for column in block.batches.iter().filter_map(|batch| batch.get(self.first + at)) {
                    leaf.append(column)?;
                    leaf.end_batch(compressor)?;
                }
                if block.ends_group
                    && let Some((_, columns)) = ended.next()
                {
                    columns.push(leaf.finish(compressor)?);
                }
            }
        }
        Ok(groups)
    }
}
