//! What all requests share.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::HeaderValue;

use crate::auth::Tokens;
use crate::clock::{Clock, JobTime};
use crate::error::Error;
use crate::export::Export;
use crate::faults::{Engine, Faults};
use crate::jobs::{Job, Queue, Request, Resource, Start};
use crate::rate_limit::RateLimit;
use crate::report::{Counters, Report};
use crate::settings::Builder;
use crate::switches::{Switch, Switches};
use crate::world::{World, day_of, keyed};

pub(crate) struct State {
    pub(crate) world: Arc<World>,
    pub(crate) clock: Clock,
    pub(crate) tokens: Tokens,
    pub(crate) limit: RateLimit,
    pub(crate) counters: Counters,
    pub(crate) faults: Engine,
    pub(crate) stopping: Arc<AtomicBool>,
    /// `http` or `https`.
    pub(crate) scheme: &'static str,
    /// The port that it serves on.
    pub(crate) port: u16,
    pub(crate) seed: u64,
    queue: Mutex<Queue>,
    switches: Mutex<Switches>,
    job_time: Mutex<Option<Duration>>,
    records_per_fragment: u64,
    requests: AtomicU64,
    /// The `Date` header of the world's present second.
    date: Mutex<(i64, HeaderValue)>,
}

impl State {
    pub(crate) fn new(settings: &Builder, clock: Clock, scheme: &'static str, port: u16) -> Self {
        let (seed, keys) = (settings.seed, settings.keys.clone());
        let keys = if keys.is_empty() { crate::Key::defaults() } else { keys };
        let size = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
        let (activities, contacts) = (size(settings.activities), size(settings.contacts));
        Self {
            world: Arc::new(World::new(seed, activities, contacts, clock.now())),
            clock,
            tokens: Tokens::new(keys, seed, settings.token_life.as_secs() as i64),
            limit: RateLimit::new(settings.rate_limit),
            counters: Counters::default(),
            faults: Engine::new(settings.faults.clone()),
            stopping: Arc::new(AtomicBool::new(false)),
            scheme,
            port,
            seed,
            // Ids look like those in the sources, six digits, and increase.
            queue: Mutex::new(Queue::new(400_000 + keyed(seed, 0x1d5, 0, 0) % 100_000)),
            switches: Mutex::new(settings.switches),
            job_time: Mutex::new(settings.job_time),
            records_per_fragment: settings.records_per_fragment,
            requests: AtomicU64::new(0),
            date: Mutex::new((i64::MIN, HeaderValue::from_static(""))),
        }
    }

    pub(crate) fn switches(&self) -> Switches {
        *self.switches.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set_switch(&self, switch: Switch) {
        self.switches.lock().unwrap_or_else(PoisonError::into_inner).apply(switch);
    }

    /// Sets several switches, all or none.
    pub(crate) fn set_switches(&self, texts: &[String]) -> Result<(), Error> {
        let switches = texts.iter().map(|text| Switch::parse(text)).collect::<Result<Vec<_>, _>>()?;
        switches.into_iter().for_each(|switch| self.set_switch(switch));
        Ok(())
    }

    /// Puts a plan of faults in force, and sets its switches.
    pub(crate) fn set_faults(&self, plan: Faults) {
        plan.switches().iter().for_each(|switch| self.set_switch(*switch));
        self.faults.set(plan);
    }

    /// The queue as it stands now.
    pub(crate) fn queue(&self) -> MutexGuard<'_, Queue> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.settle(self.clock.job_time(), self);
        queue
    }

    /// How long a job will run, in nanoseconds: as set, or a base with a seeded part and a part by size.
    pub(crate) fn duration_of(&self, request: &Request) -> JobTime {
        let set = *self.job_time.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(set) = set {
            return JobTime::try_from(set.as_nanos()).unwrap_or(JobTime::MAX);
        }
        let (from, to) = (day_of(request.from), day_of(request.to));
        let records = match request.resource() {
            Resource::Activities => self.world.estimate_activities(from, to),
            Resource::Contacts => self.world.estimate_contacts(from, to),
        };
        let seeded = keyed(self.seed, 0x0ab7, from as u64, to as u64) % 150;
        JobTime::try_from(150 + seeded + records / 200).unwrap_or(0).saturating_mul(1_000_000)
    }

    /// How long new jobs run; `None` is by their size.
    pub(crate) fn set_job_time(&self, job_time: Option<Duration>) {
        *self.job_time.lock().unwrap_or_else(PoisonError::into_inner) = job_time;
    }

    /// The `Date` header by the world's clock; written once a second, as every reply has it.
    pub(crate) fn date_header(&self) -> HeaderValue {
        let now = self.clock.now();
        let mut date = self.date.lock().unwrap_or_else(PoisonError::into_inner);
        if date.0 != now.as_second() {
            let text = now.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
            if let Ok(text) = HeaderValue::try_from(text) {
                *date = (now.as_second(), text);
            }
        }
        date.1.clone()
    }

    /// The number of a request, from 1.
    pub(crate) fn next_request(&self) -> u64 {
        self.requests.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(crate) fn report(&self) -> Report {
        let mut report = self.counters.snapshot();
        report.tokens_minted = self.tokens.minted();
        let queue = self.queue();
        let peaks = queue.peaks();
        report.most_running = peaks.running as u64;
        report.most_queued = peaks.queued as u64;
        report.most_outstanding = peaks.outstanding as u64;
        for (key, peaks) in queue.peaks_of_keys() {
            let of_key = report.keys.entry(key.to_owned()).or_default();
            of_key.most_running = peaks.running as u64;
            of_key.most_queued = peaks.queued as u64;
            of_key.most_outstanding = peaks.outstanding as u64;
        }
        for job in queue.jobs() {
            *report.jobs.entry(job.phase.as_str().to_owned()).or_default() += 1;
        }
        report
    }
}

impl Start for State {
    fn start(&self, job: &Job, at: JobTime) -> Arc<Export> {
        let at = self.clock.world_at(at).as_second();
        let per_fragment = self.records_per_fragment;
        Arc::new(Export::new(&self.world, &job.request, &job.switches, at, per_fragment, &self.stopping))
    }
}
