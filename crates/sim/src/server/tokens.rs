//! The two token endpoints, contract (a.1) to (a.3), (j.31), (l).

use http::{Response, header};
use percent_encoding::percent_decode_str;
use serde_json::json;

use super::body::Body;
use super::reply;
use super::request_body::Unread;
use super::state::State;
use crate::auth::TokenKind;
use crate::switches::Row;

/// Answers a call for a token.
pub(super) fn mint(state: &State, kind: TokenKind, body: Result<&[u8], Unread>) -> Response<Body> {
    let body = match body {
        Ok(body) => body,
        Err(unread) => return refuse(state, 400, "invalid_request", unread.message()),
    };
    let text = String::from_utf8_lossy(body);
    let pairs: Vec<(String, &str)> = text
        .trim()
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(key, value)| (decode(key), value))
        .collect();
    let field = |name: &str| pairs.iter().find(|(key, _)| key == name).map(|(_, value)| *value);
    let known = ["grant_type", "client_id", "client_secret"];
    for (key, _) in pairs.iter().filter(|(key, _)| !known.contains(&key.as_str())) {
        state.counters.finding(&format!("an unknown field in a token call: {key}"));
    }
    // A client that others wrote leaves it out (contract (a.1)).
    if field("grant_type").is_some_and(|grant| decode(grant) != "client_credentials") {
        return refuse(state, 400, "unsupported_grant_type", "grant_type must be client_credentials");
    }
    let (Some(id), Some(secret)) = (field("client_id"), field("client_secret")) else {
        return refuse(state, 400, "invalid_request", "client_id and client_secret are required");
    };
    // Some clients send credentials as they are, so both readings of each count (contract (l)).
    let (decoded_id, decoded_secret) = (decode(id), decode(secret));
    let secrets = [decoded_secret.as_str(), secret];
    let switches = state.switches();
    let now = state.clock.now();
    let mint = |id: &str| state.tokens.mint(id, &secrets, kind, now, &switches);
    let Some(minted) = mint(&decoded_id).or_else(|| mint(id)) else {
        return refuse(state, 401, "invalid_client", "Client authentication failed");
    };
    let mut answer = json!({
        "access_token": minted.token,
        "token_type": "bearer",
        "expires_in": minted.left,
    });
    if kind == TokenKind::V3 {
        // Seen in one article about this endpoint: microseconds and no zone (contract (a.2)).
        let expires = jiff::Timestamp::from_second(minted.expires).unwrap_or(now);
        answer["expires_at"] = json!(expires.strftime("%Y-%m-%dT%H:%M:%S.000000").to_string());
    }
    let mut reply = reply::json(200, &answer);
    reply.headers_mut().insert(header::CACHE_CONTROL, http::HeaderValue::from_static("no-store"));
    reply
}

fn decode(text: &str) -> String {
    let text = text.replace('+', " ");
    percent_decode_str(&text).decode_utf8_lossy().into_owned()
}

/// Row j.31.
fn refuse(state: &State, status: u16, error: &str, message: &str) -> Response<Body> {
    match state.switches().value(Row::J31) {
        "description" => reply::json(status, &json!({"error": error, "error_description": message})),
        "html" => reply::bytes(
            status,
            "text/html; charset=utf-8",
            format!(
                "<html><head><title>{status}</title></head><body><h1>{error}</h1>{message}</body></html>"
            ),
        ),
        _ => reply::json(status, &json!({"error": error, "message": message})),
    }
}
