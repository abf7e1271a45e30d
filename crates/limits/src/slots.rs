//! Job-slot accounting as a pure state machine: reserve → bind to a job → settle.
//!
//! The service runs 2 jobs and queues 10, for the whole organisation (contract (b), (j.2)). Other programs share that
//! pool, so what this machine counts is only ever an upper bound on what *we* may start: the server's list, given to
//! [`SlotPool::observe`], is the truth. A creation whose reply was lost stays *unknown* and keeps its slot until that
//! list has settled it, so a lost reply can't over-book.

use std::collections::{BTreeMap, HashSet};
use std::fmt;

/// How much of the shared pool this program may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SlotPolicy {
    /// Our jobs that may be outstanding (queued or running) at once. 4 by default: 2 running and 2 waiting.
    pub ours: usize,
    /// Outstanding jobs in all, running ones and other programs' included, above which we start nothing. 10 by default.
    pub total: usize,
    /// Slots of that total which are left free for other programs. 0 by default.
    pub reserved_for_others: usize,
}

impl Default for SlotPolicy {
    fn default() -> Self {
        Self { ours: 4, total: 10, reserved_for_others: 0 }
    }
}

/// A slot that is held. It names the slot; it does not free it when dropped, because a forgotten job still runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reservation(u64);

/// Where a listed job is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Queued, running, or in a state that nobody knows: it holds a slot.
    Outstanding,
    /// Completed, failed or canceled: it holds none.
    Ended,
}

/// Why no slot could be reserved now. Wait and ask again; nothing has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SlotRefusal {
    /// As many of our own jobs are outstanding as we allow ourselves.
    OursFull {
        /// How many those are.
        ours: usize,
    },
    /// The pool is full, other programs' jobs included.
    PoolFull {
        /// Our outstanding jobs.
        ours: usize,
        /// Other programs' outstanding jobs, as last listed.
        others: usize,
    },
}

impl fmt::Display for SlotRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OursFull { ours } => {
                write!(f, "{ours} of our export jobs are outstanding; waiting for one to end")
            }
            Self::PoolFull { ours, others } => {
                write!(
                    f,
                    "the export queue is full ({ours} jobs of ours, {others} of others); waiting for one to end"
                )
            }
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Held {
    /// Reserved; the creation has not been answered.
    Intended,
    /// The reply was lost: a job may exist, with an id that we don't know.
    Unknown,
    /// The job that the slot is for.
    Bound(String),
}

/// Counts the slots that we hold.
#[derive(Clone, Debug, Default)]
pub struct SlotPool {
    policy: SlotPolicy,
    next: u64,
    held: BTreeMap<Reservation, Held>,
    others: usize,
}

impl SlotPool {
    /// A pool of which nothing is held.
    pub fn new(policy: SlotPolicy) -> Self {
        Self { policy, ..Self::default() }
    }

    /// Takes a slot for a job that is about to be created.
    ///
    /// # Errors
    /// [`SlotRefusal`] when the policy or the pool has no slot left.
    pub fn reserve(&mut self) -> Result<Reservation, SlotRefusal> {
        let ours = self.held.len();
        if ours >= self.policy.ours {
            return Err(SlotRefusal::OursFull { ours });
        }
        if ours + self.others + self.policy.reserved_for_others >= self.policy.total {
            return Err(SlotRefusal::PoolFull { ours, others: self.others });
        }
        let reservation = Reservation(self.next);
        self.next += 1;
        self.held.insert(reservation, Held::Intended);
        Ok(reservation)
    }

    /// Takes a slot for a job that exists already and is being attached to, whether or not the policy has room: the
    /// service counts it anyway.
    pub fn adopt(&mut self, job_id: &str) -> Reservation {
        let known = self.held.iter().find(|(_, held)| matches!(held, Held::Bound(id) if id == job_id));
        if let Some((reservation, _)) = known {
            return *reservation;
        }
        let reservation = Reservation(self.next);
        self.next += 1;
        self.held.insert(reservation, Held::Bound(job_id.to_owned()));
        reservation
    }

    /// The job of a reservation was created, or found on the server's list.
    pub fn bind(&mut self, reservation: Reservation, job_id: &str) {
        if let Some(held) = self.held.get_mut(&reservation) {
            *held = Held::Bound(job_id.to_owned());
        }
    }

    /// The reply to the creation was lost: the slot stays held until the job is found ([`SlotPool::bind`]) or proved
    /// never to have existed ([`SlotPool::release`]).
    pub fn mark_unknown(&mut self, reservation: Reservation) {
        if let Some(held) = self.held.get_mut(&reservation)
            && *held == Held::Intended
        {
            *held = Held::Unknown;
        }
    }

    /// Frees a slot: the creation was certainly refused, or its job has ended. Freeing twice is harmless.
    pub fn release(&mut self, reservation: Reservation) {
        self.held.remove(&reservation);
    }

    /// Takes in the server's list: ours that ended free their slots, and the outstanding jobs that are not ours are
    /// counted as others'. A job of ours that is missing from the list keeps its slot, since the list may lag.
    pub fn observe<'a>(&mut self, jobs: impl IntoIterator<Item = (&'a str, Phase)>) {
        let mut ended = HashSet::new();
        let mut outstanding = HashSet::new();
        for (id, phase) in jobs {
            match phase {
                Phase::Ended => ended.insert(id),
                Phase::Outstanding => outstanding.insert(id),
            };
        }
        self.held.retain(|_, held| !matches!(held, Held::Bound(id) if ended.contains(id.as_str())));
        for held in self.held.values() {
            if let Held::Bound(id) = held {
                outstanding.remove(id.as_str());
            }
        }
        // A creation whose reply was lost may be among them; it is then counted twice, which errs on the safe side.
        self.others = outstanding.len();
    }

    /// How many slots we hold, unknown ones included.
    pub fn ours(&self) -> usize {
        self.held.len()
    }

    /// How many outstanding jobs of others the last list had.
    pub fn others(&self) -> usize {
        self.others
    }

    /// How many of our creations have an unknown outcome.
    pub fn unknown(&self) -> usize {
        self.held.values().filter(|held| **held == Held::Unknown).count()
    }
}
