//! `backstory auth check`: gets a token for each key, and shows its claims and remaining life, never the token.

use backstory_auth::{Claims, ErrorKind, KeyType, TokenSource as _};
use clap::{Args, Subcommand};
use serde_json::json;

use crate::args::Common;
use crate::connect::Connection;
use crate::exit::{Exit, Failure};
use crate::interrupt::or_interrupted;
use crate::output;
use crate::settings::{Environment, KeySet, Keys, Settings};

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
        let mut found = Vec::new();
        for (kind, keys) in given {
            found.push(token_of(&connection, kind, keys).await?);
        }
        Ok(found)
    };
    let found = or_interrupted(work, "nothing was changed").await?;
    if common.json {
        let keys: Vec<_> = found
            .iter()
            .map(|Found { kind, client_id: id, left, claims }| {
                json!({"key_type": kind, "client_id": id, "remaining_seconds": left, "claims": claims})
            })
            .collect();
        output::json(&json!({"base_url": settings.base_url.as_str(), "keys": keys}))?;
        return Ok(Exit::Done);
    }
    for Found { kind, client_id: id, left, claims } in found {
        let life = left.map_or_else(|| "an unknown time".to_owned(), |left| format!("{left} s"));
        output::line(format!(
            "key {id} ({kind}): a token of {} with {life} left",
            settings.base_url.as_str()
        ))?;
        match claims {
            Some(claims) => output::line(format!("  claims: {}", claims.to_json()))?,
            None => output::line("  the token is no readable JWT, which is no fault")?,
        }
    }
    Ok(Exit::Done)
}

/// What is told of one key's token.
struct Found {
    kind: &'static str,
    client_id: String,
    /// In seconds, where the service said it.
    left: Option<u64>,
    claims: Option<Claims>,
}

async fn token_of(connection: &Connection<'_>, kind: &'static str, keys: &KeySet) -> Result<Found, Failure> {
    let key_type = match kind {
        "activity" => Some(KeyType::Activity),
        "object" => Some(KeyType::Object),
        "insight" => Some(KeyType::Insight),
        _ => None,
    };
    let id = keys.first.client_id.clone();
    let token = connection.tokens(keys, key_type)?.token().await.map_err(|error| {
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
    Ok(Found { kind, client_id: id, left: token.remaining().map(|left| left.as_secs()), claims })
}
