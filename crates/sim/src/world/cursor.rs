//! Walks through the records of an answer, one batch at a time: a day of a snapshot or of contacts, or a whole delta (14
//! days at most by the use limits) as 16-byte entries. It never holds records.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::World;
use super::calendar::Day;
use super::chance::{keyed, mix};
use super::selection::{Order, Question, Subject};
use super::timing::Entry;

/// A place in an answer, to go on from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    batch: usize,
    position: usize,
}

/// Walks through the answer of a question.
#[derive(Debug)]
pub(crate) struct Cursor {
    world: Arc<World>,
    question: Question,
    /// The days of the batches, in the order in which they are gone through: one for all of a delta.
    days: Vec<Day>,
    /// The number of the batch, and of the batch after it.
    number: usize,
    next: usize,
    batch: Vec<Entry>,
    position: usize,
    /// Whether somebody gave up on the answer; it then ends early.
    stop: Option<Arc<AtomicBool>>,
}

impl Cursor {
    /// At the start of the answer.
    pub(crate) fn new(world: Arc<World>, question: Question) -> Self {
        let all = match question.subject {
            Subject::Contacts => (world.contact_timeline.first(), world.contact_timeline.last()),
            _ => world.days(),
        };
        let (first, last) = match question.subject {
            Subject::Delta => (question.from, question.from),
            Subject::Current => all,
            Subject::Snapshot | Subject::Contacts => (question.from.max(all.0), question.to.min(all.1)),
        };
        let mut days: Vec<Day> = (first..=last).collect();
        if question.order == Order::Shuffled {
            days.sort_by_cached_key(|&day| keyed(world.seed, 0xda15, u64::from(day as u32), 0));
        }
        Self { world, question, days, number: 0, next: 0, batch: Vec::new(), position: 0, stop: None }
    }

    /// Ends early once `stop` is set: finding the records of millions takes seconds.
    pub(crate) fn until(mut self, stop: &Arc<AtomicBool>) -> Self {
        self.stop = Some(Arc::clone(stop));
        self
    }

    /// Where the next record lies.
    pub(crate) fn mark(&self) -> Mark {
        if self.position < self.batch.len() {
            Mark { batch: self.number, position: self.position }
        } else {
            Mark { batch: self.next, position: 0 }
        }
    }

    /// Goes to a place.
    pub(crate) fn seek(&mut self, mark: Mark) {
        self.next = mark.batch;
        self.batch.clear();
        self.position = 0;
        if mark.position > 0 && self.fill() {
            self.position = mark.position;
        }
    }

    /// The world and the question that it walks through.
    pub(crate) fn parts(&self) -> (&World, &Question) {
        (&self.world, &self.question)
    }

    fn fill(&mut self) -> bool {
        while let Some(&day) = self.days.get(self.next) {
            self.number = self.next;
            self.next += 1;
            self.batch.clear();
            self.position = 0;
            let (world, question) = (&self.world, &self.question);
            let stop = self.stop.as_deref();
            match question.subject {
                Subject::Snapshot => world.add_dated(question, day, &mut self.batch),
                Subject::Delta => world.add_processed(question, stop, &mut self.batch),
                Subject::Current => world.add_current(question, day, &mut self.batch),
                Subject::Contacts => world.add_contacts(question, day, &mut self.batch),
            }
            if is_set(stop) {
                self.batch.clear();
                return false;
            }
            self.batch.sort_unstable();
            self.arrange();
            if !self.batch.is_empty() {
                return true;
            }
        }
        false
    }

    /// Puts the batch into the order that is asked for.
    fn arrange(&mut self) {
        let key = |entry: &Entry| mix(u64::from(entry.time) ^ (u64::from(entry.number) << 32));
        match self.question.order {
            Order::Sorted => {}
            Order::Shuffled => self.batch.sort_unstable_by_key(|entry| (key(entry), *entry)),
            Order::Duplicated => {
                let twice: Vec<Entry> =
                    self.batch.iter().copied().filter(|entry| key(entry).is_multiple_of(16)).collect();
                self.batch.extend(twice);
                self.batch.sort_unstable();
            }
        }
    }
}

/// Whether the answer is of no use any more.
pub(super) fn is_set(stop: Option<&AtomicBool>) -> bool {
    stop.is_some_and(|stop| stop.load(Ordering::Relaxed))
}

impl Iterator for Cursor {
    type Item = Entry;

    fn next(&mut self) -> Option<Entry> {
        if self.position >= self.batch.len() && !self.fill() {
            return None;
        }
        let entry = self.batch[self.position];
        self.position += 1;
        Some(entry)
    }
}

#[cfg(test)]
mod tests {
    use super::super::calendar::start_of;
    use super::super::selection::tests::{NOON, answer, question, today, world};
    use super::*;

    #[test]
    fn a_mark_leads_back_to_its_record() {
        let world = world(2_000);
        let at = start_of(today()) + NOON;
        for subject in [Subject::Snapshot, Subject::Delta, Subject::Contacts] {
            let question = question(subject, today() - 13, today(), at);
            let all = answer(&world, question.clone());
            let mut cursor = Cursor::new(Arc::clone(&world), question.clone());
            for skipped in 0..=all.len() {
                let mut other = Cursor::new(Arc::clone(&world), question.clone());
                other.seek(cursor.mark());
                assert_eq!(other.next(), all.get(skipped).copied());
                cursor.next();
            }
        }
    }

    #[test]
    fn a_shuffled_answer_mixes_its_days_and_a_mark_leads_back_all_the_same() {
        let world = world(2_000);
        let at = start_of(today()) + NOON;
        for subject in [Subject::Snapshot, Subject::Contacts] {
            let sorted = answer(&world, question(subject, today() - 60, today(), at));
            let shuffled =
                Question { order: Order::Shuffled, ..question(subject, today() - 60, today(), at) };
            let all = answer(&world, shuffled.clone());
            assert_eq!(all, answer(&world, shuffled.clone()), "the same each time");
            let days = |entries: &[Entry]| -> Vec<u32> {
                let mut days: Vec<u32> = entries.iter().map(|entry| entry.time / 86_400).collect();
                days.dedup();
                days
            };
            let turns = days(&all).windows(2).filter(|pair| pair[0] > pair[1]).count();
            assert!(turns > days(&sorted).len() / 4, "{subject:?}: {:?}", days(&all));
            let mut again = all.clone();
            again.sort_unstable();
            assert_eq!(again, sorted);
            let mut cursor = Cursor::new(Arc::clone(&world), shuffled.clone());
            for skipped in 0..=all.len() {
                let mut other = Cursor::new(Arc::clone(&world), shuffled.clone());
                other.seek(cursor.mark());
                assert_eq!(other.next(), all.get(skipped).copied());
                cursor.next();
            }
        }
    }

    #[test]
    fn a_cursor_ends_once_it_is_told_to_stop() {
        let world = world(2_000);
        let at = start_of(today()) + NOON;
        let stop = Arc::new(AtomicBool::new(true));
        for subject in [Subject::Snapshot, Subject::Delta, Subject::Current, Subject::Contacts] {
            let question = question(subject, today() - 60, today(), at);
            assert!(Cursor::new(Arc::clone(&world), question.clone()).count() > 0);
            assert_eq!(Cursor::new(Arc::clone(&world), question).until(&stop).count(), 0);
        }
    }
}
