//! Every interleaving of three callers, the issuer and the clock, up to a depth, and random ones far beyond it: what
//! must hold in all of them.
//!
//! The model below keeps its own account of what the machine was told, and judges each of its answers by that. States
//! that are equal are visited once, and callers are interchangeable, so the whole tree is covered.

use std::collections::HashSet;

use proptest::prelude::*;

use super::*;

/// Short enough that two steps of the clock lead from fresh to expired; its margin is 2 s, 2.2 s with all jitter.
const LIFE: u64 = 20;
const DEPTH: usize = 9;
const CALLERS: usize = 3;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Caller {
    Idle,
    Waiting,
    /// A call is under way with the token of this generation; whether it is the second attempt.
    Calling(u64, bool),
}

/// What the model knows of the token that landed last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Known {
    value: u8,
    generation: u64,
    obtained: u64,
    life: u64,
    proven: bool,
    /// It came in place of a refused one.
    cure: bool,
    refused: bool,
    /// A 401 was seen with a cure that had opened nothing: the machine may replace it or wait.
    doubtful: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct World {
    machine: Machine<u8, u8>,
    callers: [Caller; CALLERS],
    now: u64,
    /// The one fetch under way, and from when on its reply may come.
    fetch: Option<(Flight, u64)>,
    known: Option<Known>,
    /// When the last fetch failed, and the pause that the machine announced.
    failed: Option<(u64, Duration)>,
    /// The token that the issuer issued last, and when it ends by the issuer's clock.
    issued: (u8, u64),
    /// Whether the server refuses the token that was issued last, though it has not ended.
    killed: bool,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Ask(usize),
    Cancel(usize),
    Reply(usize),
    Kill,
    IssueNew(u64),
    IssueSame,
    FailFetch(Option<u64>),
    LoseFetch,
    Advance(u64),
    JumpBack(u64),
}

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

impl World {
    fn new() -> Self {
        Self {
            machine: Machine::new(RefreshPolicy::default()),
            callers: [Caller::Idle; CALLERS],
            now: 1_000_000,
            fetch: None,
            known: None,
            failed: None,
            issued: (0, 0),
            killed: false,
        }
    }

    fn steps(&self) -> Vec<Step> {
        let mut steps = vec![Step::Advance(1), Step::Advance(18), Step::JumpBack(500)];
        for (at, caller) in self.callers.iter().enumerate() {
            // Callers are sorted: equal neighbours would do the same.
            if at > 0 && self.callers[at - 1] == *caller {
                continue;
            }
            steps.push(match caller {
                Caller::Idle => Step::Ask(at),
                Caller::Waiting => Step::Cancel(at),
                Caller::Calling(..) => Step::Reply(at),
            });
        }
        if self.known.is_some() && !self.killed {
            steps.push(Step::Kill);
        }
        if self.fetch.is_some_and(|(_, not_before)| self.now >= not_before) {
            steps.extend([Step::IssueNew(LIFE), Step::IssueNew(0), Step::IssueSame, Step::LoseFetch]);
            steps.extend([Step::FailFetch(None), Step::FailFetch(Some(30))]);
        }
        steps
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Advance(seconds) => self.now += seconds,
            Step::JumpBack(seconds) => {
                self.now -= seconds;
                // The waits of the fetch and the issuer's clock run on; the end of a pause can't be told any more.
                self.fetch = self.fetch.map(|(flight, _)| (flight, 0));
                self.issued.1 = self.issued.1.saturating_sub(seconds);
                self.failed = None;
            }
            Step::Kill => self.killed = true,
            Step::Ask(caller) => self.ask(caller, false),
            Step::Cancel(caller) => self.callers[caller] = Caller::Idle,
            Step::Reply(caller) => self.reply(caller),
            Step::IssueNew(life) => {
                self.issued = (self.issued.0 + 1, self.now + life);
                self.killed = false;
                self.land(life);
            }
            Step::IssueSame if self.known.is_none() => {}
            Step::IssueSame => self.land(self.issued.1.saturating_sub(self.now)),
            Step::FailFetch(asked) => {
                if let Some((flight, _)) = self.fetch.take() {
                    let pause = self.machine.failed(flight, at(self.now), 0, asked.map(at), Chance(0));
                    assert!(pause >= at(asked.unwrap_or_default()).max(Duration::from_millis(500)));
                    self.failed = Some((self.now, pause));
                    self.wake(None);
                }
            }
            Step::LoseFetch => {
                if let Some((flight, _)) = self.fetch.take() {
                    self.machine.lost(flight);
                    self.wake(None);
                }
            }
        }
        self.callers.sort_unstable();
    }

    /// The life that the last token has left; a clock that went back makes it as new.
    fn left(&self) -> u64 {
        self.known.map_or(0, |known| known.life.saturating_sub(self.now.saturating_sub(known.obtained)))
    }

    /// Whether the model is sure that there is a token to be served.
    fn lives(&self) -> bool {
        self.left() > 0 && self.known.is_some_and(|known| !known.refused && !known.doubtful)
    }

    fn ask(&mut self, caller: usize, second: bool) {
        let answer = self.machine.ask(at(self.now));
        match &answer {
            Answer::Serve(served) | Answer::ServeAndFetch(served, _) => {
                let known = self.known.expect("only what has landed is served");
                assert_eq!(
                    (served.value, served.generation),
                    (known.value, known.generation),
                    "the last one is served"
                );
                assert!(!known.refused, "a refused token is never served");
                assert!(self.left() > 0, "an expired token is never served");
                assert_eq!(served.remaining, at(self.left()));
                self.callers[caller] = Caller::Calling(served.generation, second);
            }
            Answer::Fetch(_) | Answer::Wait => {
                assert!(!self.lives(), "nobody waits while a token lives");
                self.callers[caller] = Caller::Waiting;
            }
            Answer::Fail(_, again_in) => {
                assert!(!self.lives(), "a failed refresh never displaces a living token");
                let (since, pause) = self.failed.expect("only what has failed is remembered as failed");
                assert_eq!(
                    *again_in,
                    at(since) + pause - at(self.now),
                    "a failure is remembered for its pause"
                );
                self.callers[caller] = Caller::Idle;
            }
        }
        if let Answer::Fetch(flight) | Answer::ServeAndFetch(_, flight) = answer {
            assert!(self.fetch.is_none(), "there is one fetch at a time");
            if let Some((since, pause)) = self.failed {
                assert!(
                    at(self.now - since) >= pause,
                    "a failing issuer is not asked before its pause is over"
                );
            }
            if self.lives() {
                assert!(self.left() <= 2, "a living token is not renewed before its margin");
            }
            self.fetch = Some((flight, 0));
        } else if matches!(answer, Answer::Wait) {
            assert!(self.fetch.is_some(), "nobody waits for nothing");
        }
    }

    /// A token of this life comes for the fetch.
    fn land(&mut self, life: u64) {
        let Some((flight, _)) = self.fetch else { return };
        let value = self.issued.0;
        match self.machine.landed(flight, at(self.now), value, at(life), Chance(0)) {
            Landing::Held(served) => {
                let before = self.known.filter(|known| known.generation == served.generation);
                assert!(before.is_none_or(|known| known.value == value && !known.refused));
                let cure = self.known.is_some_and(|known| known.refused || known.doubtful);
                let new = Known {
                    value,
                    generation: served.generation,
                    obtained: self.now,
                    life: served.remaining.as_secs(),
                    proven: false,
                    cure,
                    refused: false,
                    doubtful: false,
                };
                self.known = Some(match before {
                    Some(known) => Known { obtained: new.obtained, life: new.life, ..known },
                    None => new,
                });
                (self.fetch, self.failed) = (None, None);
                self.wake(Some(served.generation));
            }
            Landing::FetchAgainAfter(wait) => {
                assert!(wait >= Duration::from_millis(500), "the issuer is not spun on");
                assert!(!self.lives());
                self.fetch = Some((flight, self.now + wait.as_secs_f64().ceil() as u64));
            }
            Landing::Stale => {
                let pause = self.machine.failed(flight, at(self.now), 1, None, Chance(0));
                (self.fetch, self.failed) = (None, Some((self.now, pause)));
                self.wake(None);
            }
            Landing::Nothing => {
                assert_eq!(life, 0, "a token with life left serves its waiters");
                self.fetch = None;
                self.known = self.known.map(|known| Known { obtained: self.now, life: 0, ..known });
                self.failed = None;
                self.wake(None);
            }
        }
    }

    /// All waiters get the outcome of the fetch.
    fn wake(&mut self, generation: Option<u64>) {
        for caller in &mut self.callers {
            if *caller == Caller::Waiting {
                *caller = generation.map_or(Caller::Idle, |generation| Caller::Calling(generation, false));
            }
        }
    }

    /// The server answers a call: 401 if its token is not the one that was issued last, or was killed or has ended.
    fn reply(&mut self, caller: usize) {
        let Caller::Calling(generation, second) = self.callers[caller] else { return };
        let known = self.known.filter(|known| known.generation == generation);
        let opens = known.is_some_and(|known| known.value == self.issued.0)
            && !self.killed
            && self.now < self.issued.1;
        if opens {
            self.machine.accepted(generation);
            self.known = self.known.map(|known| match known.generation == generation {
                true => Known { proven: true, ..known },
                false => known,
            });
            self.callers[caller] = Caller::Idle;
            return;
        }
        if second {
            self.callers[caller] = Caller::Idle;
            return;
        }
        self.machine.invalidate(generation, at(self.now));
        self.known = self.known.map(|known| match known.generation == generation {
            true if known.proven || !known.cure => Known { refused: true, ..known },
            true => Known { doubtful: true, ..known },
            false => known,
        });
        self.callers[caller] = Caller::Idle;
        self.ask(caller, true);
    }

    /// Whatever has happened: ten minutes after the last fetch has ended, a token is served or fetched.
    fn assert_not_terminal(&self) {
        let mut later = self.machine.clone();
        let answer = later.ask(at(self.now + 600));
        match answer {
            Answer::Fail(..) => panic!("a failure is never final"),
            Answer::Wait => assert!(self.fetch.is_some()),
            Answer::Serve(_) | Answer::ServeAndFetch(..) | Answer::Fetch(_) => {}
        }
    }
}

/// Shows how the failing state was reached.
struct Trail<'t>(&'t [Step]);

impl Drop for Trail<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("broken by these steps: {:?}", self.0);
        }
    }
}

#[test]
fn every_interleaving_keeps_the_rules() {
    let mut seen = HashSet::from([World::new()]);
    let mut frontier = vec![(World::new(), Vec::new())];
    for _ in 0..DEPTH {
        let mut next = Vec::new();
        for (world, trail) in frontier {
            for step in world.steps() {
                let mut after = world.clone();
                let trail = [&trail[..], &[step]].concat();
                let shown = Trail(&trail);
                after.take(step);
                after.assert_not_terminal();
                drop(shown);
                if seen.insert(after.clone()) {
                    next.push((after, trail));
                }
            }
        }
        frontier = next;
    }
    // The tree must not shrink unnoticed, or the test would prove nothing.
    assert!(seen.len() > 100_000, "only {} states were reached", seen.len());
}

proptest! {
    #[test]
    fn long_random_walks_keep_the_rules(choices in proptest::collection::vec(any::<u8>(), 0..600)) {
        let mut world = World::new();
        let mut trail = Vec::new();
        for choice in choices {
            let mut steps = world.steps();
            // Whether a pause is over can't be told by a clock that went back, and this walk is long enough to ask.
            steps.retain(|step| world.failed.is_none() || !matches!(step, Step::JumpBack(_)));
            trail.push(steps[usize::from(choice) % steps.len()]);
            let shown = Trail(&trail);
            world.take(trail[trail.len() - 1]);
            world.assert_not_terminal();
            drop(shown);
        }
    }
}
