//! The queue: 2 jobs run at once, 10 wait, first come first served. Sources: contract (b), (c.2), (j.1), (j.2), (j.35).
//!
//! Nothing ticks. Each question first *settles* the queue up to the present moment of job time: jobs whose time has
//! come end, in order, and each place that falls free is given to the next in line at that very moment. So the history
//! does not depend on when somebody looks.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::record::JobUse;
use super::request::{Request, Resource};
use crate::clock::JobTime;
use crate::export::Export;
use crate::faults::JobEffect;
use crate::switches::{Row, Switches};

/// Jobs that run at once, contract (b).
pub(crate) const RUNNING: usize = 2;
/// Jobs that wait, contract (b).
pub(crate) const QUEUED: usize = 10;

/// How a job will end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum JobFate {
    Complete,
    Fail,
    Cancel,
    /// Runs for ever.
    Hang,
}

/// Where a job is in its life, contract (c.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Queued,
    Running,
    Completed,
    Failed,
    Canceled,
}

impl Phase {
    /// The word of the wire.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "Queued",
            Self::Running => "Running",
            Self::Completed => "Completed",
            Self::Failed => "Failed",
            Self::Canceled => "Canceled",
        }
    }

    pub(crate) fn is_terminal(self) -> bool {
        !matches!(self, Self::Queued | Self::Running)
    }
}

/// An export job.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) id: u64,
    pub(crate) request: Arc<Request>,
    pub(crate) switches: Switches,
    pub(crate) phase: Phase,
    pub(crate) created: JobTime,
    pub(crate) started: Option<JobTime>,
    pub(crate) ended: Option<JobTime>,
    /// What it delivers; known once it runs.
    pub(crate) export: Option<Arc<Export>>,
    /// Something odd about how it is shown.
    pub(crate) quirk: Option<JobEffect>,
    /// The id of the key that it was created with.
    pub(crate) key: Arc<str>,
    /// Whether the reply to its creation was lost.
    pub(crate) reply_lost: bool,
    fate: JobFate,
    duration: JobTime,
    pool: Pool,
    stuck: bool,
}

/// A job that is to be created.
#[derive(Debug)]
pub(crate) struct NewJob<'a> {
    pub(crate) request: Request,
    /// The id of the key.
    pub(crate) key: &'a str,
    pub(crate) switches: Switches,
    /// How long it will run.
    pub(crate) duration: JobTime,
    /// What the fault engine does to it.
    pub(crate) effect: Option<JobEffect>,
    /// Whether the reply to its creation will be lost.
    pub(crate) reply_lost: bool,
}

/// Who shares the limits, row j.2.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Pool {
    Organisation,
    Resource(Resource),
    Key(String),
}

/// The queue has no place: row j.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Full;

/// The highest counts that were ever reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Peaks {
    pub(crate) running: usize,
    pub(crate) queued: usize,
    pub(crate) outstanding: usize,
}

impl Peaks {
    fn rise_to(&mut self, now: Self) {
        self.running = self.running.max(now.running);
        self.queued = self.queued.max(now.queued);
        self.outstanding = self.outstanding.max(now.running + now.queued);
    }
}

/// All jobs of a simulator.
#[derive(Debug)]
pub(crate) struct Queue {
    first_id: u64,
    jobs: Vec<Job>,
    running: Vec<usize>,
    queued: BTreeMap<Pool, VecDeque<usize>>,
    peaks: Peaks,
    peaks_of_keys: BTreeMap<Arc<str>, Peaks>,
    /// What was made of each job, by the ids of the keys.
    uses: Vec<BTreeMap<String, JobUse>>,
}

/// Makes what a job delivers, at the moment it starts.
pub(crate) trait Start {
    fn start(&self, job: &Job, at: JobTime) -> Arc<Export>;
}

impl Queue {
    /// An empty queue whose ids begin after `first_id`.
    pub(crate) fn new(first_id: u64) -> Self {
        Self {
            first_id,
            jobs: Vec::new(),
            running: Vec::new(),
            queued: BTreeMap::new(),
            peaks: Peaks::default(),
            peaks_of_keys: BTreeMap::new(),
            uses: Vec::new(),
        }
    }

    /// Adds a job.
    pub(crate) fn create(
        &mut self,
        new: NewJob<'_>,
        now: JobTime,
        starter: &impl Start,
    ) -> Result<&Job, Full> {
        let NewJob { request, key, switches, duration, effect, reply_lost } = new;
        self.settle(now, starter);
        let pool = match switches.value(Row::J2) {
            "resource" => Pool::Resource(request.resource()),
            "key" => Pool::Key(key.to_owned()),
            _ => Pool::Organisation,
        };
        let waiting = self.queued.entry(pool.clone()).or_default();
        if waiting.len() >= QUEUED {
            return Err(Full);
        }
        let index = self.jobs.len();
        let stuck = switches.is(Row::J35, "queued");
        waiting.push_back(index);
        self.jobs.push(Job {
            id: self.first_id + index as u64,
            request: Arc::new(request),
            fate: match effect {
                _ if switches.is(Row::J35, "running") => JobFate::Hang,
                Some(JobEffect::Fails) => JobFate::Fail,
                Some(JobEffect::Cancelled) => JobFate::Cancel,
                Some(JobEffect::Hangs) => JobFate::Hang,
                _ => JobFate::Complete,
            },
            quirk: effect,
            key: key.into(),
            reply_lost,
            switches,
            phase: Phase::Queued,
            created: now,
            started: None,
            ended: None,
            export: None,
            duration,
            pool,
            stuck,
        });
        self.uses.push(BTreeMap::new());
        self.promote(now, starter);
        // A job that takes no time has ended when its creation is answered.
        self.settle(now, starter);
        Ok(&self.jobs[index])
    }

    /// Lets everything happen that was due by `now`.
    pub(crate) fn settle(&mut self, now: JobTime, starter: &impl Start) {
        loop {
            let due = |jobs: &[Job], index: usize| {
                let job = &jobs[index];
                let ends = job.started?.checked_add(job.duration)?;
                (job.fate != JobFate::Hang && ends <= now).then_some(ends)
            };
            let next =
                self.running.iter().filter_map(|&index| due(&self.jobs, index).map(|at| (at, index))).min();
            let Some((at, index)) = next else { return };
            self.running.retain(|&other| other != index);
            let job = &mut self.jobs[index];
            job.ended = Some(at);
            job.phase = match job.fate {
                JobFate::Fail => Phase::Failed,
                JobFate::Cancel => Phase::Canceled,
                JobFate::Complete | JobFate::Hang => Phase::Completed,
            };
            self.promote(at, starter);
        }
    }

    /// Gives free places to those who wait.
    fn promote(&mut self, at: JobTime, starter: &impl Start) {
        for (pool, waiting) in &mut self.queued {
            let jobs = &mut self.jobs;
            let mut running = self.running.iter().filter(|&&index| jobs[index].pool == *pool).count();
            while running < RUNNING {
                let Some(place) = waiting.iter().position(|&index| !jobs[index].stuck) else { break };
                let Some(index) = waiting.remove(place) else { break };
                let export = starter.start(&jobs[index], at);
                let job = &mut jobs[index];
                job.phase = Phase::Running;
                job.started = Some(at);
                job.export = Some(export);
                self.running.push(index);
                running += 1;
            }
        }
        self.note_peaks();
    }

    fn note_peaks(&mut self) {
        let mut counts: BTreeMap<&Arc<str>, Peaks> = BTreeMap::new();
        let mut all = Peaks::default();
        for &index in &self.running {
            counts.entry(&self.jobs[index].key).or_default().running += 1;
            all.running += 1;
        }
        for &index in self.queued.values().flatten() {
            counts.entry(&self.jobs[index].key).or_default().queued += 1;
            all.queued += 1;
        }
        for (key, now) in counts {
            self.peaks_of_keys.entry(Arc::clone(key)).or_default().rise_to(now);
        }
        self.peaks.rise_to(all);
    }

    /// Ends a job at once, whatever it was about to do; false when there is none, or it has ended.
    pub(crate) fn end(&mut self, id: u64, phase: Phase, now: JobTime, starter: &impl Start) -> bool {
        self.settle(now, starter);
        let Some(index) = self.index(id).filter(|&index| !self.jobs[index].phase.is_terminal()) else {
            return false;
        };
        self.running.retain(|&other| other != index);
        self.queued.values_mut().for_each(|waiting| waiting.retain(|&other| other != index));
        if phase == Phase::Completed && self.jobs[index].started.is_none() {
            let export = starter.start(&self.jobs[index], now);
            let job = &mut self.jobs[index];
            (job.export, job.started) = (Some(export), Some(now));
        }
        let job = &mut self.jobs[index];
        (job.phase, job.ended) = (phase, Some(now));
        self.promote(now, starter);
        true
    }

    /// Notes what the holder of a key makes of a job.
    pub(crate) fn note_use(&mut self, id: u64, key: &str, change: impl FnOnce(&mut JobUse)) {
        let Some(uses) = self.index(id).and_then(|index| self.uses.get_mut(index)) else { return };
        match uses.get_mut(key) {
            Some(used) => change(used),
            None => change(uses.entry(key.to_owned()).or_default()),
        }
    }

    /// What was made of a job, by the ids of the keys.
    pub(crate) fn uses(&self, id: u64) -> BTreeMap<String, JobUse> {
        self.index(id).and_then(|index| self.uses.get(index)).cloned().unwrap_or_default()
    }

    fn index(&self, id: u64) -> Option<usize> {
        let index = usize::try_from(id.checked_sub(self.first_id)?).ok()?;
        (index < self.jobs.len()).then_some(index)
    }

    /// A job by its id.
    pub(crate) fn job(&self, id: u64) -> Option<&Job> {
        self.index(id).map(|index| &self.jobs[index])
    }

    /// Which job an id belongs to; 1 is the first. An id that was not given yet counts as well.
    pub(crate) fn number(&self, id: u64) -> Option<u64> {
        id.checked_sub(self.first_id).map(|index| index + 1)
    }

    /// All jobs, oldest first.
    pub(crate) fn jobs(&self) -> &[Job] {
        &self.jobs
    }

    pub(crate) fn peaks(&self) -> Peaks {
        self.peaks
    }

    /// The same of the jobs of each key.
    pub(crate) fn peaks_of_keys(&self) -> impl Iterator<Item = (&str, Peaks)> {
        self.peaks_of_keys.iter().map(|(key, peaks)| (&**key, *peaks))
    }
}
