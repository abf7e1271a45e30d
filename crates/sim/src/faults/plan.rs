//! Fault plans: read from TOML, or one of the presets.

use std::path::Path;

use serde::Deserialize;

use super::Call;
use super::effect::{BodyKind, Close, Effect, JobEffect, Position, RecordEffect, RetryAfter, StatusFault};
use crate::error::{Error, ErrorKind};
use crate::jobs::Resource;
use crate::switches::Switch;
use crate::world::scale;

/// A plan of faults: rules, each of a match and an effect, and the switches that are set with them.
///
/// ```
/// use backstory_sim::Faults;
/// let plan = Faults::from_toml(
///     r#"
///     [[rule]]
///     route = "create"        # token, create, list, status, data or any
///     nth = 1                 # the first create only
///     effect = "reset-after"  # it is acted on, and the reply is lost
///
///     [[rule]]
///     route = "data"
///     probability = 0.2
///     effect = "cut"          # at a byte that the seed decides
///     close = "fin"
///
///     [switches]              # set when the plan comes into force
///     j1 = 503
///     "#,
/// )?;
/// assert!(Faults::preset("chaos").is_ok());
/// assert!(Faults::from_toml("[[rule]]\neffect = \"flood\"").is_err());
/// # Ok::<(), backstory_sim::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Faults {
    name: String,
    seed: Option<u64>,
    switches: Vec<Switch>,
    rules: Vec<Rule>,
}

/// The presets, and what each stands for.
const PRESETS: [(&str, &str, &str); 4] = [
    ("none", "nothing goes wrong", ""),
    ("flaky", "a few percent of calls fail in ways that a retry mends", include_str!("flaky.toml")),
    ("chaos", "everything that can go wrong and be survived, often", include_str!("chaos.toml")),
    (
        "outage",
        "the first 25 calls fail, as when the service is down for a while",
        include_str!("outage.toml"),
    ),
];

impl Faults {
    /// No faults.
    pub fn none() -> Self {
        Self::default()
    }

    /// A preset: `none`, `flaky`, `chaos` or `outage`.
    ///
    /// # Errors
    /// Another name; the text lists the presets.
    pub fn preset(name: &str) -> Result<Self, Error> {
        let (name, _, text) = PRESETS.iter().find(|(known, _, _)| *known == name).ok_or_else(|| {
            invalid(format!("there is no preset `{name}`; use none, flaky, chaos or outage"))
        })?;
        Ok(Self { name: (*name).to_owned(), ..Self::from_toml(text)? })
    }

    /// The presets, each with what it stands for.
    pub fn presets() -> impl Iterator<Item = (&'static str, &'static str)> {
        PRESETS.iter().map(|(name, about, _)| (*name, *about))
    }

    /// The words for what can go wrong, as a rule's `effect` has them.
    pub fn effects() -> impl Iterator<Item = &'static str> {
        EFFECTS.into_iter()
    }

    /// Reads a plan from TOML.
    ///
    /// # Errors
    /// What is not TOML, or not a plan ([`ErrorKind::InvalidFaults`]); an unknown switch ([`ErrorKind::InvalidSwitch`]).
    /// The text names the place and what is allowed.
    pub fn from_toml(text: &str) -> Result<Self, Error> {
        let plan: PlanText = toml::from_str(text)
            .map_err(|cause| invalid("a fault plan could not be read".to_owned()).caused(cause))?;
        let rules = plan
            .rule
            .into_iter()
            .enumerate()
            .map(|(index, rule)| {
                Rule::read(rule).map_err(|why| invalid(format!("rule {} of a fault plan: {why}", index + 1)))
            })
            .collect::<Result<_, _>>()?;
        let name = plan.name.unwrap_or_else(|| "custom".to_owned());
        Ok(Self { name, seed: plan.seed, switches: Switch::from_table(&plan.switches)?, rules })
    }

    /// A preset by its name, or the plan of a TOML file.
    ///
    /// # Errors
    /// What is neither; or as [`from_toml`](Self::from_toml).
    pub fn load(preset_or_file: &str) -> Result<Self, Error> {
        if let Ok(preset) = Self::preset(preset_or_file) {
            return Ok(preset);
        }
        let text = std::fs::read_to_string(Path::new(preset_or_file)).map_err(|cause| {
            invalid(format!(
                "`{preset_or_file}` is neither a preset (none, flaky, chaos or outage) nor a TOML file that can be read"
            ))
            .caused(cause)
        })?;
        Self::from_toml(&text)
    }

    /// The preset's name, or the one in the file.
    pub fn name(&self) -> &str {
        if self.name.is_empty() { "none" } else { &self.name }
    }

    pub(crate) fn seed(&self) -> Option<u64> {
        self.seed
    }

    /// The switches that the plan sets when it comes into force.
    pub(crate) fn switches(&self) -> &[Switch] {
        &self.switches
    }

    pub(crate) fn rules(&self) -> &[Rule] {
        &self.rules
    }
}

fn invalid(why: String) -> Error {
    Error::new(ErrorKind::InvalidFaults, why)
}

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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PlanText {
    name: Option<String>,
    seed: Option<u64>,
    #[serde(default)]
    switches: toml::Table,
    #[serde(default)]
    rule: Vec<RuleText>,
}

/// A rule as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleText {
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
const EFFECTS: [&str; 27] = [
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
    fn read(text: RuleText) -> Result<Self, String> {
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
        // What repeats or moves records concerns whole files; fragments would no longer fit together.
        let fits = match self.effect {
            Effect::Records(RecordEffect::Duplicates | RecordEffect::Shuffled) => call.fragment.is_none(),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_is_a_plan() {
        for (name, about) in Faults::presets() {
            let plan = Faults::preset(name).unwrap();
            assert_eq!(plan.name(), name);
            assert!(!about.is_empty());
            assert_eq!(plan.rules().is_empty(), name == "none");
        }
    }

    #[test]
    fn every_effect_is_read_and_called_by_its_own_word() {
        for effect in Faults::effects() {
            let plan = Faults::from_toml(&format!("[[rule]]\neffect = \"{effect}\"\nstatus = 503")).unwrap();
            let shown = plan.rules()[0].effect().to_string();
            assert_eq!(shown.split(' ').next(), Some(effect));
        }
    }

    #[test]
    fn a_wrong_plan_is_refused_with_what_is_allowed() {
        for (text, part) in [
            ("[[rule]]\neffect = \"flood\"", "reset-before, close-before"),
            ("[[rule]]\neffect = \"status\"", "`status` is missing"),
            ("[[rule]]\neffect = \"cut\"\nroute = \"list\"", "concerns the route `data`"),
            ("[[rule]]\neffect = \"cut\"\nprobability = 2.0", "between 0 and 1"),
            ("[[rule]]\neffect = \"status\"\nstatus = 429\nretry_after = \"soon\"", "date:SECONDS"),
        ] {
            let error = Faults::from_toml(text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidFaults);
            assert!(error.to_string().contains(part), "{error}");
        }
        let error = Faults::from_toml("[[rule]]\neffekt = 1").unwrap_err();
        assert!(std::error::Error::source(&error).unwrap().to_string().contains("effekt"));
        assert!(Faults::load("/nowhere/plan.toml").unwrap_err().to_string().contains("neither a preset"));
    }
}
