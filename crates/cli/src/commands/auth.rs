//! `backstory auth check`: gets a token for each key, and shows its claims and remaining life, never the token.

use backstory_auth::{Claims, ErrorKind, KeyType, TokenSource as _};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::args::Common;
use crate::connect::Connection;
use crate::exit::{Exit, Failure};
use crate::interrupt::or_interrupted;
use crate::output;
use crate::settings::{Environment, KeyPair, KeySet, Keys, Settings};
use crate::stderr::StderrFormat;

#[derive(Debug, Args)]
pub(crate) struct AuthArgs {
    #[command(subcommand)]
    command: AuthCommand,
}

#[derive(Debug, Subcommand)]
enum AuthCommand {
    /// Get a token with each key that is set, and show its claims and remaining life
    #[command(after_help = "Example:
  BACKSTORY_CLIENT_ID=… BACKSTORY_CLIENT_SECRET_FILE=secret.txt backstory auth check")]
    Check,
}

pub(crate) async fn run(
    common: &Common,
    environment: &Environment,
    args: &AuthArgs,
) -> Result<Exit, Failure> {
    let AuthCommand::Check = args.command;
    let settings = Settings::read(common, environment)?;
    let given = settings.keys.given();
    if given.is_empty() {
        return Err(Keys::missing("anything"));
    }
    let connection = Connection::open(&settings)?;
    let work = async {
        let mut checked = Vec::new();
        for (kind, keys) in given {
            // Each for itself, or a stand-by that is no good would be found out when it is needed.
            for (pair, stands_by) in
                std::iter::once((&keys.first, false)).chain(keys.stand_by.iter().map(|pair| (pair, true)))
            {
                let found = token_of(&connection, kind, pair).await;
                checked.push(Checked { kind, client_id: pair.client_id.clone(), stands_by, found });
            }
        }
        Ok(checked)
    };
    let checked = or_interrupted(work, "nothing was changed").await?;
    if common.json {
        let keys: Vec<_> = checked.iter().map(Checked::as_json).collect();
        output::json(&json!({"base_url": settings.base_url.as_str(), "keys": keys}))?;
    } else {
        for key in &checked {
            key.tell(settings.base_url.as_str())?;
        }
    }
    let mut failures = checked.into_iter().filter_map(|key| key.found.err());
    match failures.next() {
        None => Ok(Exit::Done),
        Some(first) => {
            StderrFormat::Text.failure(None, &first);
            failures.for_each(|failure| StderrFormat::Text.failure(None, &failure));
            Ok(first.exit)
        }
    }
}

/// A key, and what came of asking for a token with it.
struct Checked {
    kind: &'static str,
    client_id: String,
    stands_by: bool,
    found: Result<Found, Failure>,
}

impl Checked {
    fn as_json(&self) -> Value {
        let mut key = json!({
            "key_type": self.kind,
            "client_id": self.client_id,
            "stands_by": self.stands_by,
            "ok": self.found.is_ok(),
        });
        match &self.found {
            Ok(found) => {
                key["remaining_seconds"] = json!(found.left);
                key["claims"] = json!(found.claims);
            }
            Err(failure) => key["error"] = json!(failure.to_string()),
        }
        key
    }

    fn tell(&self, base_url: &str) -> Result<(), Failure> {
        let Ok(Found { left, claims }) = &self.found else { return Ok(()) };
        let life = left.map_or_else(|| "an unknown time".to_owned(), |left| format!("{left} s"));
        let (id, kind) = (&self.client_id, self.kind);
        let role = if self.stands_by { ", stand-by" } else { "" };
        output::line(format!("key {id} ({kind}{role}): a token of {base_url} with {life} left"))?;
        match claims {
            Some(claims) => output::line(format!("  claims: {}", claims.to_json())),
            None => output::line("  the token is no readable JWT, which is no fault"),
        }
    }
}

/// What is told of one key's token.
struct Found {
    /// In seconds, where the service said it.
    left: Option<u64>,
    claims: Option<Claims>,
}

async fn token_of(connection: &Connection<'_>, kind: &'static str, pair: &KeyPair) -> Result<Found, Failure> {
    let key_type = match kind {
        "activity" => Some(KeyType::Activity),
        "object" => Some(KeyType::Object),
        "insight" => Some(KeyType::Insight),
        _ => None,
    };
    let id = &pair.client_id;
    let keys = KeySet { first: pair.clone(), stand_by: None };
    let token = connection.tokens(&keys, key_type)?.token().await.map_err(|error| {
        // Only a refusal is the key's fault, not a network in between.
        let exit = match error.kind() {
            ErrorKind::Setup => Exit::Usage,
            _ if error.is_rejected() => Exit::Authentication,
            _ => Exit::Failed,
        };
        let failure = Failure::new(exit, format!("the key {id} ({kind}) gets no token"));
        let failure = match error.hint() {
            Some(hint) => failure.with_hint(hint.to_owned()),
            None => failure,
        };
        failure.with_source(error)
    })?;
    // A token is opaque by contract; one that isn't a readable JWT works all the same.
    let claims = Claims::read(&token).ok();
    Ok(Found { left: token.remaining().map(|left| left.as_secs()), claims })
}
