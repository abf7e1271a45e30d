//! The slot accounting against a model of the service, in random interleavings: replies lost, repeated and late, requests
//! that arrive after we gave up, lists that lag, jobs of other programs that come and go.
//!
//! The model knows the truth, the accounting only what it is told. What must hold: every job of ours that is outstanding
//! is counted, we never start more than the policy allows, and in the end nothing is held any more.

use std::collections::HashMap;

use backstory_limits::{
    ListedJob, Phase, Reservation, Settlement, SlotPolicy, SlotPool, SlotRefusal, UseLimits,
};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::TestCaseError;

/// Milliseconds since the model began.
type Moment = i64;

/// No request travels longer than this after we gave up on it, and no list is older. Together they stay within the
/// policy's lag of 120 s.
const LONGEST_JOURNEY: Moment = 60_000;

/// What the model's service was asked for. Other programs ask for other things.
type Request = u8;
const OF_OTHERS: Request = 255;

#[derive(Clone, Debug)]
struct Job {
    id: String,
    request: Request,
    /// The creation that made it; `None` for other programs' jobs.
    maker: Option<Reservation>,
    listed: bool,
    created: Moment,
    started: Option<Moment>,
    ended: Option<(Moment, Phase)>,
}

impl Job {
    fn phase_at(&self, moment: Moment) -> Phase {
        match (self.started, self.ended) {
            (_, Some((ended, phase))) if ended <= moment => phase,
            (Some(started), _) if started <= moment => Phase::Running,
            _ => Phase::Waiting,
        }
    }

    fn outstanding(&self) -> bool {
        self.ended.is_none()
    }
}

/// A creation that has left us and hasn't arrived.
#[derive(Clone, Debug)]
struct Journey {
    reservation: Reservation,
    request: Request,
    listed: bool,
    arrives: Moment,
}

/// What happens to one creation.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Answered,
    Refused,
    /// The request never arrives.
    RequestLost,
    /// The job is made, the reply never comes, or late.
    ReplyLost,
    /// The job is made after we gave up.
    Slow(u16),
}

#[derive(Clone, Debug)]
enum Step {
    Create { request: Request, listed: bool, fate: Fate },
    LateReply(Index),
    Poll(Index),
    List { age: u16 },
    OtherComes,
    JobEnds { which: Index, failed: bool },
    Wait(u32),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let fate = prop_oneof![
        3 => Just(Fate::Answered),
        1 => Just(Fate::Refused),
        2 => Just(Fate::RequestLost),
        3 => Just(Fate::ReplyLost),
        2 => (0u16..=60_000).prop_map(Fate::Slow),
    ];
    let step = prop_oneof![
        5 => (0u8..3, prop::bool::weighted(0.8), fate).prop_map(|(request, listed, fate)| Step::Create { request, listed, fate }),
        2 => any::<Index>().prop_map(Step::LateReply),
        3 => any::<Index>().prop_map(Step::Poll),
        4 => (0u16..=60_000).prop_map(|age| Step::List { age }),
        1 => Just(Step::OtherComes),
        3 => (any::<Index>(), any::<bool>()).prop_map(|(which, failed)| Step::JobEnds { which, failed }),
        4 => (0u32..90_000).prop_map(Step::Wait),
    ];
    prop::collection::vec(step, 1..120)
}

struct Model {
    now: Moment,
    jobs: Vec<Job>,
    journeys: Vec<Journey>,
    pool: SlotPool<Request>,
    /// Which job each creation made, for replies that come late or again.
    replies: Vec<(Reservation, String)>,
    /// Jobs whose id we know.
    known: HashMap<String, Reservation>,
    /// Creations that were given up without proof; their jobs are nobody's.
    abandoned: Vec<Reservation>,
}

impl Model {
    fn new() -> Self {
        Self {
            now: 500,
            jobs: Vec::new(),
            journeys: Vec::new(),
            pool: SlotPool::new(SlotPolicy::default()),
            replies: Vec::new(),
            known: HashMap::new(),
            abandoned: Vec::new(),
        }
    }

    fn time(moment: Moment) -> Timestamp {
        Timestamp::from_second(1_780_000_000).unwrap() + SignedDuration::from_millis(moment)
    }

    /// The service makes a job, if its queue has room (contract (b)).
    fn make(&mut self, request: Request, maker: Option<Reservation>, listed: bool) -> Option<String> {
        let limits = UseLimits::published();
        let waiting = self.jobs.iter().filter(|job| job.outstanding() && job.started.is_none()).count();
        if waiting >= limits.queued_jobs {
            return None;
        }
        let id = format!("{}", 100_000 + self.jobs.len());
        self.jobs.push(Job {
            id: id.clone(),
            request,
            maker,
            listed,
            created: self.now,
            started: None,
            ended: None,
        });
        if let Some(reservation) = maker {
            self.replies.push((reservation, id.clone()));
        }
        self.start_jobs();
        Some(id)
    }

    fn start_jobs(&mut self) {
        let running = self.jobs.iter().filter(|job| job.outstanding() && job.started.is_some()).count();
        let free = UseLimits::published().running_jobs.saturating_sub(running);
        let waiting = self.jobs.iter_mut().filter(|job| job.ended.is_none() && job.started.is_none());
        waiting.take(free).for_each(|job| job.started = Some(self.now));
    }

    fn wait(&mut self, duration: Moment) {
        let until = self.now + duration;
        while let Some(next) = (0..self.journeys.len())
            .filter(|at| self.journeys[*at].arrives <= until)
            .min_by_key(|at| self.journeys[*at].arrives)
        {
            let journey = self.journeys.swap_remove(next);
            self.now = self.now.max(journey.arrives);
            self.make(journey.request, Some(journey.reservation), journey.listed);
        }
        self.now = until;
    }

    fn bind(&mut self, reservation: Reservation, id: &str) {
        self.pool.bind(reservation, id);
        self.known.insert(id.to_owned(), reservation);
    }

    fn create(&mut self, request: Request, listed: bool, fate: Fate) -> Result<(), TestCaseError> {
        let now = Self::time(self.now);
        let reserved = if listed { self.pool.reserve(request, now) } else { self.pool.reserve_unlisted(now) };
        let reservation = match reserved {
            Ok(reservation) => reservation,
            Err(SlotRefusal::OursFull { .. } | SlotRefusal::PoolFull { .. }) => {
                prop_assert!(self.pool.ours() > 0 || self.pool.others() > 0);
                return Ok(());
            }
            Err(_) => return Ok(()),
        };
        let policy = *self.pool.policy();
        prop_assert!(self.pool.ours() <= policy.running + policy.waiting);
        prop_assert!(self.pool.ours() + self.pool.others() <= policy.total);
        prop_assert!(self.pool.waiting() <= policy.waiting);
        match fate {
            Fate::Answered => match self.make(request, Some(reservation), listed) {
                Some(id) => self.bind(reservation, &id),
                None => self.pool.release(reservation),
            },
            Fate::Refused => self.pool.release(reservation),
            Fate::RequestLost => self.pool.mark_unknown(reservation, now),
            Fate::ReplyLost => {
                self.make(request, Some(reservation), listed);
                self.pool.mark_unknown(reservation, now);
            }
            Fate::Slow(delay) => {
                self.pool.mark_unknown(reservation, now);
                let arrives = self.now + Moment::from(delay).min(LONGEST_JOURNEY);
                self.journeys.push(Journey { reservation, request, listed, arrives });
            }
        }
        Ok(())
    }

    fn list(&mut self, age: Moment) -> Result<(), TestCaseError> {
        let seen_at = self.now - age.min(LONGEST_JOURNEY);
        let jobs: Vec<Job> =
            self.jobs.iter().filter(|job| job.listed && job.created <= seen_at).cloned().collect();
        let listed = jobs.iter().rev().map(|job| ListedJob {
            id: &job.id,
            phase: job.phase_at(seen_at),
            // The service tells whole seconds.
            created: Some(Timestamp::from_second(Self::time(job.created).as_second()).unwrap()),
            request: job.request,
        });
        let settled = self.pool.observe(listed, Self::time(self.now));
        for settlement in settled {
            match settlement {
                Settlement::Adopted { reservation, job_id, .. } => {
                    let job = self.jobs.iter().find(|job| job.id == job_id).unwrap();
                    prop_assert_eq!(job.maker, Some(reservation), "adopted the job of another creation");
                    self.known.insert(job_id, reservation);
                }
                Settlement::NeverCreated { reservation } => {
                    prop_assert!(
                        self.jobs.iter().all(|job| job.maker != Some(reservation) || !job.outstanding())
                    );
                }
                Settlement::Ended { job_id, .. } => {
                    prop_assert!(self.jobs.iter().any(|job| job.id == job_id && !job.outstanding()));
                }
                Settlement::Abandoned { reservation } => self.abandoned.push(reservation),
                other => prop_assert!(false, "a settlement that this test doesn't know: {:?}", other),
            }
        }
        Ok(())
    }

    fn poll(&mut self, which: Index) {
        let mut ids: Vec<&String> = self.known.keys().collect();
        ids.sort();
        if !ids.is_empty() {
            let id = ids[which.index(ids.len())].clone();
            let job = self.jobs.iter().find(|job| job.id == id).unwrap();
            self.pool.update(&id, job.phase_at(self.now));
        }
    }

    fn take(&mut self, step: &Step) -> Result<(), TestCaseError> {
        match *step {
            Step::Create { request, listed, fate } => self.create(request, listed, fate)?,
            // Not taken from the list: a reply may come again.
            Step::LateReply(which) if !self.replies.is_empty() => {
                let (reservation, id) = self.replies[which.index(self.replies.len())].clone();
                self.abandoned.retain(|abandoned| *abandoned != reservation);
                self.bind(reservation, &id);
            }
            Step::Poll(which) => self.poll(which),
            Step::List { age } => self.list(Moment::from(age))?,
            Step::OtherComes => {
                self.make(OF_OTHERS, None, true);
            }
            Step::JobEnds { which, failed } => {
                let running: Vec<usize> = (0..self.jobs.len())
                    .filter(|at| self.jobs[*at].phase_at(self.now) == Phase::Running)
                    .collect();
                if !running.is_empty() {
                    let phase = if failed { Phase::Failed } else { Phase::Completed };
                    self.jobs[running[which.index(running.len())]].ended = Some((self.now, phase));
                    self.start_jobs();
                }
            }
            Step::Wait(duration) => self.wait(Moment::from(duration)),
            Step::LateReply(_) => {}
        }
        self.check()
    }

    /// No job of ours that is outstanding goes uncounted.
    fn check(&self) -> Result<(), TestCaseError> {
        let outstanding =
            |job: &&Job| job.outstanding() && job.maker.is_some_and(|maker| !self.abandoned.contains(&maker));
        let truth = self.jobs.iter().filter(outstanding).count();
        prop_assert!(
            truth <= self.pool.ours(),
            "{} jobs of ours are outstanding, {} are counted",
            truth,
            self.pool.ours()
        );
        Ok(())
    }

    /// Everything that is under way arrives, every job ends, and we ask about all that we know.
    fn come_to_rest(&mut self) -> Result<(), TestCaseError> {
        self.wait(2 * LONGEST_JOURNEY);
        while let Some(at) = (0..self.jobs.len()).find(|at| self.jobs[*at].outstanding()) {
            self.jobs[at].ended = Some((self.now, Phase::Completed));
        }
        let known: Vec<String> = self.known.keys().cloned().collect();
        for id in known {
            self.pool.update(&id, Phase::Completed);
        }
        self.wait(1 + 2 * LONGEST_JOURNEY);
        self.list(0)?;
        self.wait(2 * 3_600_000);
        self.list(0)?;
        prop_assert_eq!((self.pool.ours(), self.pool.unknown(), self.pool.others()), (0, 0, 0));
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn whatever_the_interleaving_no_job_goes_uncounted_no_limit_is_passed_and_nothing_is_held_in_the_end(
        steps in steps(),
    ) {
        let mut model = Model::new();
        for step in &steps {
            model.take(step)?;
        }
        model.come_to_rest()?;
    }
}
