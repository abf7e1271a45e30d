//! `backstory.toml`: settings at the top, and profiles that override them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use backstory_auth::Secret;
use serde::Deserialize;

use super::environment::Environment;
use super::keys::{KeyPair, SecretFrom};
use super::limits::LimitsTable;
use crate::args::Common;
use crate::duration;
use crate::exit::Failure;

/// The file that is read from the working folder, unless another is named.
const NAME: &str = "backstory.toml";

/// The whole file: settings at the top count for every profile.
#[derive(Debug, Default)]
struct Document {
    base: Profile,
    profiles: BTreeMap<String, Profile>,
    /// The profile that is used unless one is named.
    chosen: Option<String>,
}

/// The settings of one profile.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Profile {
    pub(crate) base_url: Option<String>,
    pub(crate) ca_bundle: Option<PathBuf>,
    pub(crate) poll_interval: Option<String>,
    pub(crate) deadline: Option<String>,
    pub(crate) resume_downloads: Option<bool>,
    pub(super) limits: Option<LimitsTable>,
    client_id: Option<String>,
    client_secret: Option<FileSecret>,
    client_secret_file: Option<PathBuf>,
    client_secret_command: Option<Vec<String>>,
    client_id_2: Option<String>,
    client_secret_2: Option<FileSecret>,
    client_secret_file_2: Option<PathBuf>,
    client_secret_command_2: Option<Vec<String>>,
    activity: Option<Box<Profile>>,
    object: Option<Box<Profile>>,
    insight: Option<Box<Profile>>,
}

/// A secret in the file; it never shows itself.
#[derive(Clone, Debug)]
struct FileSecret(Secret);

impl<'de> Deserialize<'de> for FileSecret {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(Secret::new(text)))
    }
}

/// Where the settings of a run are read from, and the profile that was asked for.
pub(super) struct Place {
    /// The file that was named, or that is there.
    path: Option<PathBuf>,
    /// The profile that was asked for by flag or variable.
    wanted: Option<String>,
}

impl Place {
    pub(super) fn of(common: &Common, environment: &Environment) -> Self {
        let named = common.config.clone().or_else(|| environment.text("BACKSTORY_CONFIG").map(PathBuf::from));
        let wanted = common.profile.clone().or_else(|| environment.text("BACKSTORY_PROFILE"));
        let path = named.or_else(|| {
            let here = Some(PathBuf::from(NAME)).filter(|path| path.is_file());
            here.or_else(|| user_file(environment).filter(|path| path.is_file()))
        });
        Self { path, wanted }
    }

    /// The file that settings are written to, and the profile in it that is in use; one that isn't there yet is made.
    pub(super) fn to_write(&self) -> Result<(PathBuf, Option<String>), Failure> {
        let path = self.path.clone().unwrap_or_else(|| PathBuf::from(NAME));
        if self.wanted.is_some() || !path.is_file() {
            return Ok((path, self.wanted.clone()));
        }
        let document = document(&path)?;
        let default = || document.profiles.contains_key("default").then(|| "default".to_owned());
        Ok((path, document.chosen.clone().or_else(default)))
    }
}

/// The profile of a run: what the file says for the chosen profile, over what it says for all.
pub(crate) fn profile(common: &Common, environment: &Environment) -> Result<Profile, Failure> {
    let Place { path, wanted } = Place::of(common, environment);
    let Some(path) = path else {
        return match wanted {
            None => Ok(Profile::default()),
            Some(name) => Err(Failure::usage(format!("there is no {NAME}, so there is no profile `{name}`"))
                .with_hint("name the file with --config or BACKSTORY_CONFIG")),
        };
    };
    let document = document(&path)?;
    choose(&path, document, wanted)
}

fn document(path: &Path) -> Result<Document, Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        Failure::usage(format!("can't read the configuration file {}", path.display())).with_source(error)
    })?;
    read(path, &text)
}

fn user_file(environment: &Environment) -> Option<PathBuf> {
    let home = environment.text("XDG_CONFIG_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(environment.text("HOME")?).join(".config")))?;
    Some(home.join("backstory").join(NAME))
}

fn read(path: &Path, text: &str) -> Result<Document, Failure> {
    parse(text).map_err(|error| {
        // The library's own text quotes the line, which may hold a secret.
        let line = error.span().map(|span| text[..span.start.min(text.len())].matches('\n').count() + 1);
        let at = line.map_or_else(String::new, |line| format!(", line {line}"));
        let message = error.message().lines().next().unwrap_or_default().to_owned();
        Failure::usage(format!("the configuration file {}{at} can't be used: {message}", path.display()))
    })
}

fn parse(text: &str) -> Result<Document, toml::de::Error> {
    #[derive(Deserialize)]
    struct Named {
        #[serde(default)]
        profiles: BTreeMap<String, Profile>,
        profile: Option<String>,
    }
    let named: Named = toml::from_str(text)?;
    let mut rest: toml::Table = toml::from_str(text)?;
    rest.remove("profiles");
    rest.remove("profile");
    Ok(Document { base: rest.try_into()?, profiles: named.profiles, chosen: named.profile })
}

fn choose(path: &Path, mut document: Document, wanted: Option<String>) -> Result<Profile, Failure> {
    let name = wanted.or(document.chosen);
    let own = match &name {
        Some(name) => document.profiles.remove(name),
        None => document.profiles.remove("default"),
    };
    match (own, name) {
        (Some(own), _) => Ok(own.over(document.base)),
        (None, None) => Ok(document.base),
        (None, Some(name)) if name == "default" => Ok(document.base),
        (None, Some(name)) => {
            let known: Vec<&str> = document.profiles.keys().map(String::as_str).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            Err(Failure::usage(format!("{} has no profile `{name}`", path.display()))
                .with_hint(format!("its profiles are: {known}")))
        }
    }
}

impl Profile {
    /// This profile's settings, and the other's where this one is silent. A key pair is taken over whole, never half.
    fn over(mut self, below: Self) -> Self {
        if self.client_id.is_none() {
            self.client_id = below.client_id;
            self.client_secret = below.client_secret;
            self.client_secret_file = below.client_secret_file;
            self.client_secret_command = below.client_secret_command;
        }
        if self.client_id_2.is_none() {
            self.client_id_2 = below.client_id_2;
            self.client_secret_2 = below.client_secret_2;
            self.client_secret_file_2 = below.client_secret_file_2;
            self.client_secret_command_2 = below.client_secret_command_2;
        }
        self.base_url = self.base_url.or(below.base_url);
        self.ca_bundle = self.ca_bundle.or(below.ca_bundle);
        self.poll_interval = self.poll_interval.or(below.poll_interval);
        self.deadline = self.deadline.or(below.deadline);
        self.resume_downloads = self.resume_downloads.or(below.resume_downloads);
        self.limits = match (self.limits, below.limits) {
            (Some(own), Some(below)) => Some(own.over(below)),
            (own, below) => own.or(below),
        };
        self.activity = self.activity.or(below.activity);
        self.object = self.object.or(below.object);
        self.insight = self.insight.or(below.insight);
        self
    }

    pub(crate) fn duration(&self, name: &str, text: Option<&str>) -> Result<Option<Duration>, Failure> {
        text.map(|text| {
            duration::parse(text).map_err(|why| {
                Failure::usage(format!("`{name}` in the configuration file is `{text}`: {why}"))
            })
        })
        .transpose()
    }

    /// The client id and the secret of a pair, as far as they are there.
    pub(crate) fn parts(
        &self,
        kind: &str,
        suffix: &str,
    ) -> Result<(Option<String>, Option<SecretFrom>), Failure> {
        let of = match kind {
            "ACTIVITY_" => self.activity.as_deref(),
            "OBJECT_" => self.object.as_deref(),
            "INSIGHT_" => self.insight.as_deref(),
            _ => Some(self),
        };
        let Some(of) = of else { return Ok((None, None)) };
        let (id, value, file, command) = if suffix.is_empty() {
            (&of.client_id, &of.client_secret, &of.client_secret_file, &of.client_secret_command)
        } else {
            (&of.client_id_2, &of.client_secret_2, &of.client_secret_file_2, &of.client_secret_command_2)
        };
        let mut sources: Vec<SecretFrom> = Vec::new();
        sources.extend(value.clone().map(|secret| SecretFrom::Value(secret.0)));
        sources.extend(file.clone().map(SecretFrom::File));
        sources.extend(command.clone().filter(|command| !command.is_empty()).map(SecretFrom::Command));
        if sources.len() > 1 {
            return Err(Failure::usage("the configuration file gives one client secret in several ways")
                .with_hint("keep one of client_secret, client_secret_file and client_secret_command"));
        }
        Ok((id.clone(), sources.pop()))
    }

    pub(crate) fn pair(&self, kind: &str, suffix: &str) -> Result<Option<KeyPair>, Failure> {
        match self.parts(kind, suffix)? {
            (Some(client_id), Some(secret)) => Ok(Some(KeyPair { client_id, secret })),
            (None, None) => Ok(None),
            _ => Err(Failure::usage(
                "the configuration file gives a client id without its secret, or the reverse",
            )),
        }
    }
}
