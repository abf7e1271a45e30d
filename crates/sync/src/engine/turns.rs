//! Whose turn it is to download: a few at a time, and first the one whose file is gone first.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use tokio::sync::oneshot;

/// Hands out a few places, to the most urgent of those who wait.
pub(crate) struct Turns(Mutex<State>);

struct State {
    free: usize,
    next: u64,
    waiting: BTreeMap<(Timestamp, u64), oneshot::Sender<()>>,
}

impl Turns {
    pub(crate) fn new(places: usize) -> Self {
        Self(Mutex::new(State { free: places, next: 0, waiting: BTreeMap::new() }))
    }

    /// Waits for a place. Of those who wait, the one with the earliest `due` comes first.
    pub(crate) async fn take(&self, due: Timestamp) -> Turn<'_> {
        let (key, mut called) = {
            let mut state = self.state();
            let key = (due, state.next);
            state.next += 1;
            let (call, called) = oneshot::channel();
            state.waiting.insert(key, call);
            state.call();
            (key, called)
        };
        let mut place = Waiting { turns: self, key, called: &mut called, taken: false };
        // The sender is dropped only together with the state.
        let _ = (&mut *place.called).await;
        place.taken = true;
        Turn(self)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Gives free places to the most urgent.
    fn call(&mut self) {
        while self.free > 0 {
            let Some((_, call)) = self.waiting.pop_first() else { return };
            if call.send(()).is_ok() {
                self.free -= 1;
            }
        }
    }
}

/// Somebody who waits; gone, the place goes to the next.
struct Waiting<'t> {
    turns: &'t Turns,
    key: (Timestamp, u64),
    called: &'t mut oneshot::Receiver<()>,
    taken: bool,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if self.taken {
            return;
        }
        let mut state = self.turns.state();
        // Called and dropped in the same moment: the place was given already.
        if state.waiting.remove(&self.key).is_none() && self.called.try_recv().is_ok() {
            state.free += 1;
            state.call();
        }
    }
}

/// A place, until it is dropped.
pub(crate) struct Turn<'t>(&'t Turns);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.free += 1;
        state.call();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt as _, future};

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[tokio::test]
    async fn the_most_urgent_comes_first_and_who_gives_up_blocks_nobody() {
        let turns = Turns::new(1);
        let first = turns.take(at(5)).await;
        let mut late = Box::pin(turns.take(at(9)));
        let mut urgent = Box::pin(turns.take(at(2)));
        let mut quitter = Box::pin(turns.take(at(1)));
        for waiting in [&mut late, &mut urgent, &mut quitter] {
            assert!(waiting.as_mut().now_or_never().is_none());
        }
        // Called, but gone before it could know.
        drop(first);
        drop(quitter);
        let (done, ..) = future::select_all([late, urgent]).await;
        drop(done);
    }

    #[tokio::test]
    async fn there_are_never_more_than_the_places() {
        let turns = Turns::new(2);
        let (one, two) = (turns.take(at(1)).await, turns.take(at(1)).await);
        let mut third = Box::pin(turns.take(at(1)));
        assert!(third.as_mut().now_or_never().is_none());
        drop(one);
        let third = third.await;
        assert!(turns.take(at(1)).now_or_never().is_none());
        drop((two, third));
        assert!(turns.take(at(1)).now_or_never().is_some());
    }
}
