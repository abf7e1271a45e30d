//! Fault plans: read from TOML, or one of the presets.

use std::path::Path;

use serde::Deserialize;

use super::rule::{EFFECTS, Rule, RuleText};
use crate::error::{Error, ErrorKind};
use crate::switches::Switch;

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
