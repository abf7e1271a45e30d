//! The queue: 2 jobs run at once, 10 wait, first come first served. Sources: contract (b), (c.2), (j.1), (j.2), (j.35).
//!
//! Nothing ticks. Each question first *settles* the queue up to the present moment of job time: jobs whose time has
//! come end, in order, and each place that falls free is given to the next in line at that very moment. So the history
//! does not depend on when somebody looks.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

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

/// All jobs of a simulator.
#[derive(Debug)]
pub(crate) struct Queue {
    first_id: u64,
    jobs: Vec<Job>,
    running: Vec<usize>,
    queued: BTreeMap<Pool, VecDeque<usize>>,
    peaks: Peaks,
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
        }
    }

    /// Adds a job.
    pub(crate) fn create(
        &mut self,
        new: NewJob<'_>,
        now: JobTime,
        starter: &impl Start,
    ) -> Result<&Job, Full> {
        let NewJob { request, key, switches, duration, effect } = new;
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
        self.promote(now, starter);
        self.note_peaks();
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
        let (running, queued) = (self.running.len(), self.queued.values().map(VecDeque::len).sum::<usize>());
        self.peaks.running = self.peaks.running.max(running);
        self.peaks.queued = self.peaks.queued.max(queued);
        self.peaks.outstanding = self.peaks.outstanding.max(running + queued);
    }

    /// A job by its id.
    pub(crate) fn job(&self, id: u64) -> Option<&Job> {
        self.jobs.get(usize::try_from(id.checked_sub(self.first_id)?).ok()?)
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
}
