//! What token endpoints and foreign tokens told: contract (a.3), (j.29), (j.31), (j.32).

use http::StatusCode;

use super::Observed;
use crate::step::{Resource, Step};
use crate::transcript::{ErrorShape, Transcript};

/// Whether a second call gave another token, and the first one lived on.
pub(super) fn reissue(transcript: &Transcript) -> Observed {
    let of = |resource| transcript.token(Step::Token(resource)).filter(|reply| reply.token.is_some());
    let first = of(Resource::Activities).or_else(|| of(Resource::Contacts));
    let (Some(first), Some(second)) = (first, transcript.token(Step::TokenAgain)) else {
        return Observed::open(transcript.why_not(Step::TokenAgain));
    };
    if second.token.is_none() {
        return Observed::open(format!("the second call was answered with HTTP {}", second.status.as_u16()));
    }
    let life = |seconds: Option<i64>| {
        seconds.map_or("an unstated life".to_owned(), |seconds| format!("{seconds} s"))
    };
    let lives =
        format!("the first with {}, the second with {}", life(first.expires_in), life(second.expires_in));
    if first.token == second.token {
        return Observed::told("same", format!("the same token again; {lives}"));
    }
    // Every call after the second token was made with the first.
    let lived_on = match transcript.reply(Step::List).map(|reply| reply.status) {
        Some(StatusCode::UNAUTHORIZED) => "; the first one was refused afterwards",
        Some(status) if status.is_success() => "; the first one was accepted afterwards",
        _ => "",
    };
    Observed::told("new", format!("another token; {lives}{lived_on}"))
}

/// How a key of one type was refused on the other's resource.
pub(super) fn wrong_type(transcript: &Transcript) -> Observed {
    let Some(reply) = transcript.reply(Step::ListByOtherKey) else {
        return Observed::open(transcript.why_not(Step::ListByOtherKey));
    };
    match reply.status.as_u16() {
        200..=299 => Observed::told("accepted", "the key for contacts may list activities jobs"),
        status @ (401 | 403 | 404) => {
            Observed::told(status.to_string(), "the key for contacts was refused the list of activities jobs")
        }
        status => Observed::open(format!("the service answered with HTTP {status}")),
    }
}

/// What a refusal of a key that doesn't exist looked like.
pub(super) fn refusal(transcript: &Transcript) -> Observed {
    let Some(reply) = transcript.token(Step::TokenRefused) else {
        let why = "somebody may watch for refused keys, so it is asked only on request (--refused-token)";
        let asked = transcript.tokens.iter().any(|token| token.step == Step::TokenRefused);
        return Observed::open(if asked { transcript.why_not(Step::TokenRefused) } else { why.to_owned() });
    };
    let status = reply.status;
    if status.is_success() || status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
        return Observed::open(format!(
            "the key that doesn't exist was answered with HTTP {}",
            status.as_u16()
        ));
    }
    let (value, words) = match reply.shape {
        ErrorShape::Message => ("message", "JSON with `message`"),
        ErrorShape::Description => ("description", "JSON with `error_description`"),
        ErrorShape::Html => ("html", "a page of HTML"),
        ErrorShape::OtherJson => ("other-json", "JSON with neither `message` nor `error_description`"),
        ErrorShape::Empty => ("empty", "nothing"),
        ErrorShape::Other => ("other", "neither JSON nor HTML"),
    };
    Observed::told(value, format!("HTTP {} with {words}", status.as_u16()))
}

/// Whether a token of the other endpoint opened the bulk API.
pub(super) fn other_endpoint(transcript: &Transcript) -> Observed {
    let Some(reply) = transcript.reply(Step::ListByV3Token) else {
        return Observed::open(transcript.why_not(Step::ListByV3Token));
    };
    match reply.status.as_u16() {
        200..=299 => Observed::told("accepted", "a v3 token may list activities jobs"),
        // Another key type would be refused for that alone.
        401 | 403 | 404 if transcript.token(Step::TokenV3).is_some() => {
            Observed::told("rejected", format!("HTTP {} for a v3 token on v1", reply.status.as_u16()))
        }
        status => Observed::open(format!("the service answered with HTTP {status}")),
    }
}
