//! The rules of a plan: what each matches, when it fires, what it does. Read from TOML by the plan.

use serde::Deserialize;

use super::Call;
use super::effect::{BodyKind, Close, Effect, JobEffect, Position, RecordEffect, RetryAfter, StatusFault};
use crate::jobs::Resource;
use crate::world::scale;

/// A kind of request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RouteName {
    Token,
    Create,
    List,
    Status,
    Data,
    /// A path that the contract does not know.
    Unknown,
    /// Any of them.
    Any,
}

impl RouteName {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Create => "create",
            Self::List => "list",
            Self::Status => "status",
            Self::Data => "data",
            Self::Unknown => "unknown",
            Self::Any => "any",
        }
    }
}

/// A rule as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RuleText {
    name: Option<String>,
    route: Option<RouteName>,
    resource: Option<String>,
    nth: Option<u64>,
    every: Option<u64>,
    first: Option<u64>,
    probability: Option<f64>,
    job: Option<u64>,
    fragment: Option<u64>,
    times: Option<u64>,
    effect: String,
    at_byte: Option<u64>,
    close: Option<Close>,
    status: Option<u16>,
    body: Option<BodyKind>,
    retry_after: Option<String>,
    acted: Option<bool>,
    seconds: Option<f64>,
    bytes_per_second: Option<u64>,
}

/// A rule.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    name: Option<String>,
    route: RouteName,
    resource: Option<Resource>,
    nth: Option<u64>,
    every: Option<u64>,
    first: Option<u64>,
    probability: Option<f64>,
    job: Option<u64>,
    fragment: Option<u64>,
    times: Option<u64>,
    effect: Effect,
}

/// The words of all effects, in the order of the page about the simulator.
pub(super) const EFFECTS: [&str; 27] = [
    "reset-before",
    "close-before",
    "reset-after",
    "close-after",
    "cut",
    "short",
    "no-last-chunk",
    "torn",
    "long",
    "stall",
    "drip",
    "status",
    "job-fails",
    "job-cancelled",
    "job-hangs",
    "job-invisible",
    "job-unknown-state",
    "wrong-echo",
    "duplicates",
    "shuffled",
    "nulls",
    "raw-separators",
    "crlf",
    "gzip",
    "gzip-unlabelled",
    "redirect",
    "expired",
];

impl Rule {
    pub(super) fn read(text: RuleText) -> Result<Self, String> {
        let at = text.at_byte.map_or(Position::Random, Position::Byte);
        let seconds = text.seconds.unwrap_or(30.0);
        if !(0.0..=86_400.0).contains(&seconds) {
            return Err("`seconds` lies between 0 and 86400".to_owned());
        }
        let (effect, route) = match text.effect.as_str() {
            "reset-before" => (Effect::DropBefore(Close::Rst), RouteName::Any),
            "close-before" => (Effect::DropBefore(Close::Fin), RouteName::Any),
            "reset-after" => (Effect::DropAfter(Close::Rst), RouteName::Any),
            "close-after" => (Effect::DropAfter(Close::Fin), RouteName::Any),
            "cut" | "short" => {
                let (close, stated) = (text.close.unwrap_or_default(), text.effect == "short");
                (Effect::Cut { at, close, stated }, RouteName::Data)
            }
            "torn" => (Effect::Torn(at), RouteName::Data),
            "long" => (Effect::Long, RouteName::Data),
            "no-last-chunk" => (Effect::NoLastChunk, RouteName::Data),
            "stall" => (Effect::Stall { at, seconds }, RouteName::Data),
            "drip" => (Effect::Drip(text.bytes_per_second.unwrap_or(1_024).max(1)), RouteName::Data),
            "status" => {
                let status = text.status.filter(|status| (400..600).contains(status));
                let status = status.ok_or("`status` is missing: a number from 400 to 599")?;
                let retry_after = read_retry_after(text.retry_after.as_deref())?;
                let (body, acted) = (text.body.unwrap_or_default(), text.acted.unwrap_or(false));
                (Effect::Status(StatusFault { status, body, retry_after, acted }), RouteName::Any)
            }
            "job-fails" => (Effect::Job(JobEffect::Fails), RouteName::Create),
            "job-cancelled" => (Effect::Job(JobEffect::Cancelled), RouteName::Create),
            "job-hangs" => (Effect::Job(JobEffect::Hangs), RouteName::Create),
            "job-invisible" => (Effect::Job(JobEffect::Invisible(seconds as u32)), RouteName::Create),
            "job-unknown-state" => (Effect::Job(JobEffect::UnknownState), RouteName::Create),
            "wrong-echo" => (Effect::Job(JobEffect::WrongEcho), RouteName::Create),
            "duplicates" => (Effect::Records(RecordEffect::Duplicates), RouteName::Data),
            "shuffled" => (Effect::Records(RecordEffect::Shuffled), RouteName::Data),
            "nulls" => (Effect::Records(RecordEffect::Nulls), RouteName::Data),
            "raw-separators" => (Effect::Records(RecordEffect::RawSeparators), RouteName::Data),
            "crlf" => (Effect::Records(RecordEffect::Crlf), RouteName::Data),
            "gzip" => (Effect::Gzip { labelled: true }, RouteName::Data),
            "gzip-unlabelled" => (Effect::Gzip { labelled: false }, RouteName::Data),
            "redirect" => (Effect::Redirect, RouteName::Data),
            "expired" => (Effect::Expired, RouteName::Data),
            other => {
                let effects = EFFECTS.join(", ");
                return Err(format!("there is no effect `{other}`; the effects are {effects}"));
            }
        };
        // An effect on jobs or on files concerns their route, whatever the rule says.
        let route = match (route, text.route) {
            (RouteName::Any, wanted) => wanted.unwrap_or(RouteName::Any),
            (own, None) => own,
            (own, Some(wanted)) if own == wanted => own,
            (own, Some(wanted)) => {
                return Err(format!(
                    "`{}` concerns the route `{}`, not `{}`",
                    text.effect,
                    own.as_str(),
                    wanted.as_str()
                ));
            }
        };
        let resource = match text.resource.as_deref() {
            None => None,
            Some(word) => Some(
                Resource::read(word)
                    .ok_or_else(|| format!("there is no resource `{word}`; use activities or contacts"))?,
            ),
        };
        if text.probability.is_some_and(|share| !(0.0..=1.0).contains(&share)) {
            return Err("`probability` lies between 0 and 1".to_owned());
        }
        if text.every == Some(0) || text.nth == Some(0) {
            return Err("calls are counted from 1".to_owned());
        }
        Ok(Self {
            name: text.name,
            route,
            resource,
            nth: text.nth,
            every: text.every,
            first: text.first,
            probability: text.probability,
            job: text.job,
            fragment: text.fragment,
            times: text.times,
            effect,
        })
    }

    pub(super) fn matches(&self, call: &Call) -> bool {
        let same = |wanted: Option<u64>, given: Option<u64>| wanted.is_none() || wanted == given;
        let fits = match self.effect {
            // What repeats or moves records concerns whole files; fragments would no longer fit together.
            Effect::Records(RecordEffect::Duplicates | RecordEffect::Shuffled) => call.fragment.is_none(),
            // What can't be seen in a file would be a decision without an effect.
            Effect::Records(effect) => call
                .layout
                .zip(call.resource)
                .is_some_and(|(layout, resource)| effect.shows_in(layout, resource)),
            _ => true,
        };
        fits && (self.route == RouteName::Any || self.route == call.route)
            && (self.resource.is_none() || self.resource == call.resource)
            && same(self.job, call.job)
            && same(self.fragment, call.fragment)
    }

    /// Whether it fires at its `number`th match, having fired `fired` times.
    pub(super) fn fires(&self, number: u64, fired: u64, bits: u64) -> bool {
        self.nth.is_none_or(|nth| number == nth)
            && self.every.is_none_or(|every| number.is_multiple_of(every))
            && self.first.is_none_or(|first| number <= first)
            && self.times.is_none_or(|times| fired < times)
            && self.probability.is_none_or(|share| (scale(bits, 1_000_000) as f64) < share * 1e6)
    }

    pub(super) fn effect(&self) -> &Effect {
        &self.effect
    }

    /// The rule's name, or its effect and its place in the plan.
    pub(super) fn label(&self, index: usize) -> String {
        self.name.clone().unwrap_or_else(|| format!("{} (rule {})", self.effect, index + 1))
    }
}

/// `2` seconds, `date:2`, or `garbage`.
fn read_retry_after(text: Option<&str>) -> Result<RetryAfter, String> {
    let wrong = || "`retry_after` is a number of seconds, date:SECONDS or garbage".to_owned();
    match text {
        None => Ok(RetryAfter::Absent),
        Some("garbage") => Ok(RetryAfter::Garbage),
        Some(text) => match text.strip_prefix("date:") {
            Some(seconds) => seconds.parse().map(RetryAfter::Date).map_err(|_| wrong()),
            None => text.parse().map(RetryAfter::Seconds).map_err(|_| wrong()),
        },
    }
}
