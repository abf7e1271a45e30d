//! API keys: one for everything, or one for each API type, each with its secret from a value, a file or a command, and a
//! stand-by pair for rotation.

use std::fmt;
use std::path::PathBuf;

use backstory_auth::Secret;

use super::environment::Environment;
use super::file::Profile;
use crate::exit::Failure;

/// A key pair.
#[derive(Clone, Debug)]
pub(crate) struct KeyPair {
    pub(crate) client_id: String,
    pub(crate) secret: SecretFrom,
}

/// Where a secret comes from.
#[derive(Clone)]
pub(crate) enum SecretFrom {
    Value(Secret),
    File(PathBuf),
    Command(Vec<String>),
}

impl fmt::Debug for SecretFrom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value(_) => f.write_str("Value(***)"),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Command(command) => f.debug_tuple("Command").field(&command.first()).finish(),
        }
    }
}

/// A pair and its stand-by.
#[derive(Clone, Debug)]
pub(crate) struct KeySet {
    pub(crate) first: KeyPair,
    pub(crate) stand_by: Option<KeyPair>,
}

/// The keys that were given.
#[derive(Clone, Debug, Default)]
pub(crate) struct Keys {
    any: Option<KeySet>,
    activity: Option<KeySet>,
    object: Option<KeySet>,
    insight: Option<KeySet>,
}

impl Keys {
    pub(crate) fn read(environment: &Environment, profile: &Profile) -> Result<Self, Failure> {
        let read = |kind: &str| key_set(environment, profile, kind);
        Ok(Self {
            any: read("")?,
            activity: read("ACTIVITY_")?,
            object: read("OBJECT_")?,
            insight: read("INSIGHT_")?,
        })
    }

    /// The key for activities.
    pub(crate) fn activity(&self) -> Option<&KeySet> {
        self.activity.as_ref().or(self.any.as_ref())
    }

    /// The key for contacts.
    pub(crate) fn object(&self) -> Option<&KeySet> {
        self.object.as_ref().or(self.any.as_ref())
    }

    /// The keys that were given, each with the name of its type.
    pub(crate) fn given(&self) -> Vec<(&'static str, &KeySet)> {
        let all = [
            ("any", &self.any),
            ("activity", &self.activity),
            ("object", &self.object),
            ("insight", &self.insight),
        ];
        all.into_iter().filter_map(|(name, set)| Some((name, set.as_ref()?))).collect()
    }

    /// What to say when there is no key for something.
    pub(crate) fn missing(kind: &str) -> Failure {
        Failure::usage(format!("no API key is set for {kind}"))
            .with_hint(format!(
                "set BACKSTORY_CLIENT_ID and BACKSTORY_CLIENT_SECRET (or …_SECRET_FILE), or, for a key of one type, BACKSTORY_{}_CLIENT_ID and …_SECRET; a secret is never a flag",
                if kind == "contacts" { "OBJECT" } else { "ACTIVITY" }
            ))
    }
}

fn key_set(environment: &Environment, profile: &Profile, kind: &str) -> Result<Option<KeySet>, Failure> {
    let first = pair(environment, profile, kind, "")?;
    let stand_by = pair(environment, profile, kind, "_2")?;
    Ok(match (first, stand_by) {
        (Some(first), stand_by) => Some(KeySet { first, stand_by }),
        (None, Some(stand_by)) => Some(KeySet { first: stand_by, stand_by: None }),
        (None, None) => None,
    })
}

/// One pair: from the environment as far as it is there, else from the file.
fn pair(
    environment: &Environment,
    profile: &Profile,
    kind: &str,
    suffix: &str,
) -> Result<Option<KeyPair>, Failure> {
    let id_name = format!("BACKSTORY_{kind}CLIENT_ID{suffix}");
    // The secrets of one key type are …_SECRET; that of any type is CLIENT_SECRET. The stand-by's is …_SECRET_2.
    let words: &[String] = &if kind.is_empty() {
        vec![format!("CLIENT_SECRET{suffix}"), format!("SECRET{suffix}")]
    } else {
        vec![format!("{kind}SECRET{suffix}"), format!("{kind}CLIENT_SECRET{suffix}")]
    };
    let from_environment = words.iter().find_map(|word| {
        let value =
            environment.text(&format!("BACKSTORY_{word}")).map(|value| SecretFrom::Value(Secret::new(value)));
        // The suffix may stand before or behind `_FILE`.
        let behind = format!("BACKSTORY_{word}_FILE");
        let before = format!("BACKSTORY_{}_FILE{suffix}", word.trim_end_matches("_2"));
        let file = environment.text(&behind).or_else(|| environment.text(&before));
        value.or(file.map(|path| SecretFrom::File(path.into())))
    });
    let (id, secret) = match (environment.text(&id_name), from_environment) {
        (None, None) => match profile.pair(kind, suffix)? {
            Some(pair) => return Ok(Some(pair)),
            None => return Ok(None),
        },
        (id, secret) => {
            let in_file = profile.parts(kind, suffix)?;
            (id.or(in_file.0), secret.or(in_file.1))
        }
    };
    match (id, secret) {
        (Some(client_id), Some(secret)) => Ok(Some(KeyPair { client_id, secret })),
        (Some(_), None) => Err(Failure::usage(format!("{id_name} is set, but its secret is not"))
            .with_hint(format!("set BACKSTORY_{} or BACKSTORY_{}_FILE", words[0], words[0]))),
        (None, Some(_)) => {
            Err(Failure::usage(format!("BACKSTORY_{} is set, but {id_name} is not", words[0]))
                .with_hint(format!("set {id_name} to the API key that the secret belongs to")))
        }
        (None, None) => Ok(None),
    }
}
