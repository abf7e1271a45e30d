//! Faults on demand: rules that say when something goes wrong, and what.
//!
//! A rule is a *match* (route, resource, nth call, every k-th, a probability by seed, a job, a fragment) and an *effect*.
//! The first rule that fires decides; what happens to a job (it fails, say) may come on top of what happens to the reply
//! to its creation (it is lost, say), from the first rule of its own that fires. Whether a rule fires follows from the seed and from how many requests
//! it has matched, never from time, so the same requests in the same order meet the same faults.

mod effect;
mod plan;
mod rule;

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;

pub(crate) use effect::{
    BodyKind, Close, Effect, JobEffect, Position, RecordEffect, RetryAfter, StatusFault,
};
pub use plan::Faults;
pub(crate) use rule::RouteName;

use crate::export::Layout;
use crate::jobs::Resource;
use crate::world::{keyed, scale};

/// Decisions that are kept for the report.
const LOG: usize = 10_000;

/// One decision of the fault engine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct FaultDecision {
    /// The number of the request, which its reply's `X-Request-Id` names as well.
    pub request: u64,
    /// The route, such as `data`.
    pub route: String,
    /// Which job the request was about: 1 is the first that was created.
    pub job: Option<u64>,
    /// The rule that fired: its name, or its effect and place in the plan.
    pub rule: String,
    /// The effect.
    pub effect: String,
    /// The seed of the plan.
    pub seed: u64,
}

/// What a rule looks at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    pub(crate) request: u64,
    pub(crate) route: RouteName,
    pub(crate) resource: Option<Resource>,
    /// Which job it is about: 1 is the first that was created.
    pub(crate) job: Option<u64>,
    /// How the file of that job is laid out.
    pub(crate) layout: Option<Layout>,
    pub(crate) fragment: Option<u64>,
}

/// What goes wrong with one request.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Fault {
    pub(crate) effect: Effect,
    /// Random bits that belong to this decision.
    pub(crate) bits: u64,
}

/// Everything that was decided about one request.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Decision {
    pub(crate) fault: Option<Fault>,
    /// What happens to the job that the request creates.
    pub(crate) job: Option<JobEffect>,
}

/// The rules in force, and how often each has matched and fired.
#[derive(Debug, Default)]
pub(crate) struct Engine(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    plan: Faults,
    counts: Vec<(u64, u64)>,
    log: VecDeque<FaultDecision>,
}

impl Engine {
    pub(crate) fn new(plan: Faults) -> Self {
        let engine = Self::default();
        engine.set(plan);
        engine
    }

    /// Puts a plan in force; counting starts anew, and the log goes on.
    pub(crate) fn set(&self, plan: Faults) {
        let mut inner = self.lock();
        inner.counts = vec![(0, 0); plan.rules().len()];
        inner.plan = plan;
    }

    pub(crate) fn plan(&self) -> Faults {
        self.lock().plan.clone()
    }

    /// The decisions so far, the latest 10,000 of them.
    pub(crate) fn log(&self) -> Vec<FaultDecision> {
        self.lock().log.iter().cloned().collect()
    }

    /// What goes wrong with a call, if anything does.
    pub(crate) fn decide(&self, call: &Call, seed: u64) -> Decision {
        let mut inner = self.lock();
        if inner.plan.rules().is_empty() {
            return Decision::default();
        }
        let fault = inner.first_that_fires(call, seed, |effect| !matches!(effect, Effect::Job(_)));
        let acted_on = match fault.as_ref().map(|fault| &fault.effect) {
            Some(Effect::DropBefore(_)) => false,
            Some(Effect::Status(status)) => status.acted,
            _ => true,
        };
        let job = if acted_on {
            inner.first_that_fires(call, seed, |effect| matches!(effect, Effect::Job(_)))
        } else {
            None
        };
        let job = match job.map(|fault| fault.effect) {
            Some(Effect::Job(effect)) => Some(effect),
            _ => None,
        };
        Decision { fault, job }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// The first rule of some effects that fires; the decision is logged.
    fn first_that_fires(
        &mut self,
        call: &Call,
        seed: u64,
        concerns: impl Fn(&Effect) -> bool,
    ) -> Option<Fault> {
        let seed = self.plan.seed().unwrap_or(seed);
        for (index, rule) in self.plan.rules().iter().enumerate() {
            if !concerns(rule.effect()) || !rule.matches(call) {
                continue;
            }
            let (matched, fired) = self.counts[index];
            self.counts[index].0 += 1;
            let bits = keyed(seed, 0xfa17, index as u64, matched);
            if !rule.fires(matched + 1, fired, bits) {
                continue;
            }
            self.counts[index].1 += 1;
            let decision = FaultDecision {
                request: call.request,
                route: call.route.as_str().to_owned(),
                job: call.job,
                rule: rule.label(index),
                effect: rule.effect().to_string(),
                seed,
            };
            let FaultDecision { request, route, rule: label, effect, seed, .. } = &decision;
            tracing::info!(request, route, rule = label, effect, seed, "a fault");
            if self.log.len() == LOG {
                self.log.pop_front();
            }
            self.log.push_back(decision);
            return Some(Fault { effect: rule.effect().clone(), bits: keyed(bits, 1, 0, 0) });
        }
        None
    }
}

impl Fault {
    /// The byte at which it strikes in a body of `size` bytes: one of them, so that what was decided can be seen.
    pub(crate) fn byte(&self, position: Position, size: u64) -> u64 {
        match position {
            Position::Byte(byte) => byte.min(size.saturating_sub(1)),
            Position::Random => scale(self.bits, size),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fired(plan: &str, calls: usize) -> Vec<bool> {
        let engine = Engine::new(Faults::from_toml(plan).unwrap());
        (0..calls as u64)
            .map(|request| {
                let call = Call {
                    request,
                    route: RouteName::Status,
                    resource: Some(Resource::Activities),
                    job: Some(1 + request % 2),
                    layout: None,
                    fragment: None,
                };
                engine.decide(&call, 5).fault.is_some()
            })
            .collect()
    }

    fn count(plan: &str) -> usize {
        fired(plan, 1_000).into_iter().filter(|fired| *fired).count()
    }

    #[test]
    fn each_kind_of_match_picks_its_calls() {
        let rule = |matching: &str| format!("[[rule]]\neffect = \"reset-before\"\n{matching}");
        assert_eq!(fired(&rule("nth = 3"), 5), [false, false, true, false, false]);
        assert_eq!(fired(&rule("every = 2"), 5), [false, true, false, true, false]);
        assert_eq!(fired(&rule("first = 2"), 4), [true, true, false, false]);
        assert_eq!(fired(&rule("job = 2"), 4), [false, true, false, true]);
        assert_eq!(fired(&rule("every = 1\ntimes = 2"), 4), [true, true, false, false]);
        assert_eq!(count(&rule("route = \"data\"")), 0);
        assert_eq!(count(&rule("route = \"status\"\nresource = \"contacts\"")), 0);
        assert_eq!(count(&rule("fragment = 0")), 0);
        let half = count(&rule("probability = 0.5"));
        assert!((400..600).contains(&half), "{half}");
    }

    #[test]
    fn what_happens_to_a_job_comes_on_top_of_a_lost_reply_but_not_of_a_refusal() {
        let decide = |first: &str| {
            let plan = format!("[[rule]]\n{first}\n[[rule]]\neffect = \"job-fails\"");
            let engine = Engine::new(Faults::from_toml(&plan).unwrap());
            let resource = Some(Resource::Activities);
            let (route, job) = (RouteName::Create, Some(1));
            let call = Call { request: 1, route, resource, job, layout: None, fragment: None };
            let decision = engine.decide(&call, 5);
            (decision.fault.is_some(), decision.job, engine.log().len())
        };
        assert_eq!(decide("effect = \"reset-after\""), (true, Some(JobEffect::Fails), 2));
        assert_eq!(decide("effect = \"reset-before\""), (true, None, 1));
        assert_eq!(decide("effect = \"status\"\nstatus = 503"), (true, None, 1));
        assert_eq!(decide("effect = \"status\"\nstatus = 503\nacted = true").1, Some(JobEffect::Fails));
        assert_eq!(
            decide("effect = \"job-hangs\""),
            (false, Some(JobEffect::Hangs), 1),
            "the first of its kind"
        );
    }

    #[test]
    fn the_same_seed_decides_the_same_and_another_differently() {
        let plan =
            |seed: u64| format!("seed = {seed}\n[[rule]]\neffect = \"reset-before\"\nprobability = 0.3");
        assert_eq!(fired(&plan(1), 200), fired(&plan(1), 200));
        assert_ne!(fired(&plan(1), 200), fired(&plan(2), 200));
    }
}
