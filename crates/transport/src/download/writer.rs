//! Writes and hashes what a download brings on tokio's blocking threads, so that neither a slow disk nor a blocking writer
//! holds up the async tasks, and reading, hashing and writing overlap.
//!
//! A thread is taken for one batch at a time, not for the whole download: a cancelled download leaves at most one batch
//! behind, and a test with paused time sees its clock move on while nothing is being written.

use std::io::Write;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use tokio::task::{JoinHandle, spawn_blocking};

use super::partial::PartialFile;
use crate::error::{Error, ErrorKind};

/// Where bytes go.
pub(super) trait Target: Sized + Send + 'static {
    /// How many bytes are worth a batch, where more are on their way.
    const BATCH: usize;

    /// How many bytes may wait while a batch is being written; reading pauses then.
    const WAITING: usize;

    fn write(&mut self, bytes: &[u8]) -> Result<(), Error>;
}

/// A user's writer. It gets each chunk as soon as it is free: somebody may be watching its other end.
pub(super) struct Sink<W>(pub(super) W);

impl<W: Write + Send + 'static> Target for Sink<W> {
    const BATCH: usize = 1;
    const WAITING: usize = 2 << 20;

    fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.0.write_all(bytes).map_err(|error| {
            Error::new(ErrorKind::Destination, "the downloaded bytes can't be written").with_source(error)
        })
    }
}

impl Target for Sha256 {
    const BATCH: usize = PartialFile::BATCH;
    const WAITING: usize = PartialFile::WAITING;

    fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.update(bytes);
        Ok(())
    }
}

/// A target that is written to in the background.
pub(super) struct Writer<T> {
    state: State<T>,
    batch: Vec<Bytes>,
    waiting: usize,
}

enum State<T> {
    Idle(T),
    Busy(JoinHandle<Result<T, Error>>),
    /// It has failed, and said so.
    Failed,
}

impl<T: Target> Writer<T> {
    pub(super) fn new(target: T) -> Self {
        Self { state: State::Idle(target), batch: Vec::new(), waiting: 0 }
    }

    /// Takes bytes to be written; waits only when too many wait already. An error may be about earlier bytes.
    pub(super) async fn write(&mut self, bytes: Bytes) -> Result<(), Error> {
        self.waiting += bytes.len();
        self.batch.push(bytes);
        let free = match &self.state {
            State::Idle(_) | State::Failed => true,
            State::Busy(thread) => thread.is_finished(),
        };
        if self.waiting >= T::WAITING || (free && self.waiting >= T::BATCH) {
            self.start_batch().await?;
        }
        Ok(())
    }

    /// Runs a job, after everything before it has been written.
    pub(super) async fn run(
        &mut self,
        job: impl FnOnce(&mut T) -> Result<(), Error> + Send + 'static,
    ) -> Result<(), Error> {
        self.start_batch().await?;
        let mut target = self.idle().await?;
        self.state = State::Busy(spawn_blocking(move || job(&mut target).map(|()| target)));
        let target = self.idle().await?;
        self.state = State::Idle(target);
        Ok(())
    }

    /// The target, after everything before has been written.
    pub(super) async fn settled(&mut self) -> Result<&mut T, Error> {
        self.start_batch().await?;
        self.state = State::Idle(self.idle().await?);
        match &mut self.state {
            State::Idle(target) => Ok(target),
            State::Busy(_) | State::Failed => Err(failed_before()),
        }
    }

    async fn start_batch(&mut self) -> Result<(), Error> {
        let mut target = self.idle().await?;
        let batch = std::mem::take(&mut self.batch);
        self.waiting = 0;
        self.state = State::Busy(spawn_blocking(move || {
            batch.iter().try_for_each(|bytes| target.write(bytes))?;
            Ok(target)
        }));
        Ok(())
    }

    /// Waits until the target is free, and takes it.
    pub(super) async fn idle(&mut self) -> Result<T, Error> {
        match std::mem::replace(&mut self.state, State::Failed) {
            State::Idle(target) => Ok(target),
            State::Busy(thread) => thread.await.unwrap_or_else(|error| {
                let message = "the thread that writes the download panicked, or its runtime has shut down";
                Err(Error::new(ErrorKind::Destination, message).with_source(error))
            }),
            State::Failed => Err(failed_before()),
        }
    }
}

fn failed_before() -> Error {
    Error::new(ErrorKind::Destination, "writing has failed before")
}

impl<W: Write + Send + 'static> Writer<Sink<W>> {
    /// Flushes the writer and gives it back.
    pub(super) async fn finish(mut self) -> Result<W, Error> {
        self.run(|sink| {
            sink.0.flush().map_err(|error| {
                Error::new(ErrorKind::Destination, "the downloaded bytes can't be flushed").with_source(error)
            })
        })
        .await?;
        self.idle().await.map(|Sink(writer)| writer)
    }
}
