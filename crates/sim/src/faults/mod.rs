//! Faults on demand: rules that say when something goes wrong, and what.
//!
//! A rule is a *match* (route, resource, nth call, every k-th, a probability by seed, a job, a fragment) and an *effect*.
//! The first rule that matches a request decides. Whether a rule fires follows from the seed and from how many requests
//! it has matched, never from time, so the same requests in the same order meet the same faults.

mod effect;
mod plan;

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;

pub(crate) use effect::{
    BodyKind, Close, Effect, JobEffect, Position, RecordEffect, RetryAfter, StatusFault,
};
pub use plan::Faults;
pub(crate) use plan::RouteName;

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
    pub(crate) fragment: Option<u64>,
}

/// What goes wrong with one request.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Fault {
    pub(crate) effect: Effect,
    /// Random bits that belong to this decision.
    pub(crate) bits: u64,
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
    pub(crate) fn decide(&self, call: &Call, seed: u64) -> Option<Fault> {
        let mut inner = self.lock();
        if inner.plan.rules().is_empty() {
            return None;
        }
        let seed = inner.plan.seed().unwrap_or(seed);
        for index in 0..inner.plan.rules().len() {
            if !inner.plan.rules()[index].matches(call) {
                continue;
            }
            let (matched, fired) = inner.counts[index];
            inner.counts[index].0 += 1;
            let bits = keyed(seed, 0xfa17, index as u64, matched);
            let rule = &inner.plan.rules()[index];
            if !rule.fires(matched + 1, fired, bits) {
                continue;
            }
            let decision = FaultDecision {
                request: call.request,
                route: call.route.as_str().to_owned(),
                job: call.job,
                rule: rule.label(index),
                effect: rule.effect().to_string(),
                seed,
            };
            let effect = rule.effect().clone();
            let FaultDecision { request, route, rule, effect: name, seed, .. } = &decision;
            tracing::info!(request, route, rule, effect = name, seed, "a fault");
            inner.counts[index].1 += 1;
            if inner.log.len() == LOG {
                inner.log.pop_front();
            }
            inner.log.push_back(decision);
            return Some(Fault { effect, bits: keyed(bits, 1, 0, 0) });
        }
        None
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Fault {
    /// The byte at which it strikes in a body of `size` bytes, where the size is known.
    pub(crate) fn byte(&self, position: Position, size: u64) -> u64 {
        match position {
            Position::Byte(byte) => byte,
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
                    fragment: None,
                };
                engine.decide(&call, 5).is_some()
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
    fn the_same_seed_decides_the_same_and_another_differently() {
        let plan =
            |seed: u64| format!("seed = {seed}\n[[rule]]\neffect = \"reset-before\"\nprobability = 0.3");
        assert_eq!(fired(&plan(1), 200), fired(&plan(1), 200));
        assert_ne!(fired(&plan(1), 200), fired(&plan(2), 200));
    }
}
