//! What a token endpoint says: the reply that holds a token, leniently read (contract (a.2)).

use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;
use zeroize::Zeroize as _;

use crate::error::{Error, ErrorKind};
use crate::issuer::IssuedToken;
use crate::secret::Secret;

/// Fields that are not named here are ignored. `token_type` is one of them: it is `bearer` or absent.
#[derive(Deserialize)]
struct Reply {
    access_token: Option<String>,
    expires_in: Option<Value>,
    error: Option<Value>,
    message: Option<Value>,
    error_description: Option<Value>,
}

/// Reads the body of a reply with a 2xx status, and zeroes it. `secret` is what was sent, in case it is echoed.
pub(crate) fn read(body: Bytes, secret: &Secret) -> Result<IssuedToken, Error> {
    let reply = parse(&body);
    if let Ok(mut body) = body.try_into_mut() {
        body.zeroize();
    }
    let reply = reply?;
    match reply.access_token.filter(|token| !token.is_empty()) {
        Some(token) => {
            let issued = IssuedToken::new(token);
            Ok(match reply.expires_in.as_ref().and_then(seconds) {
                Some(life) => issued.with_expires_in(life),
                None => issued,
            })
        }
        None => {
            let said = [&reply.error, &reply.message, &reply.error_description]
                .into_iter()
                .flatten()
                .filter_map(Value::as_str);
            let said: Vec<String> =
                said.map(|text| secret.redact(text).chars().take(300).collect()).collect();
            let mut message = "the token endpoint's reply holds no access_token".to_owned();
            if !said.is_empty() {
                message = format!("{message}; it says: {}", said.join(": "));
            }
            Err(Error::new(ErrorKind::BadReply, message))
        }
    }
}

fn parse(body: &[u8]) -> Result<Reply, Error> {
    // What the parser quotes may be a token, so only the place is told.
    serde_json::from_slice(body).map_err(|error| {
        let beginning = body.trim_ascii_start();
        let message = if beginning.is_empty() {
            "the token endpoint's reply is empty".to_owned()
        } else if beginning.starts_with(b"<") {
            "an HTML page came where the token endpoint's JSON was due, likely a gateway's or a proxy's".to_owned()
        } else {
            let (line, column) = (error.line(), error.column());
            format!("the token endpoint's reply is not the JSON object that was due (line {line}, column {column})")
        };
        Error::new(ErrorKind::BadReply, message)
    })
}

/// `expires_in` is an integer; a number with a fraction and a number in a text are understood too. Anything else tells
/// nothing.
fn seconds(value: &Value) -> Option<Duration> {
    let seconds = match value {
        Value::String(text) => text.trim().parse().ok()?,
        other => other.as_f64()?,
    };
    // Negative: the token has ended, says the server.
    Duration::try_from_secs_f64(seconds.max(0.0)).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read_text(text: &str) -> Result<IssuedToken, Error> {
        read(Bytes::copy_from_slice(text.as_bytes()), &Secret::new("hunter2"))
    }

    fn life(expires_in: &str) -> Option<f64> {
        let reply = format!(r#"{{"access_token":"t","expires_in":{expires_in},"new":[1,{{}}]}}"#);
        read_text(&reply).unwrap().expires_in.map(|life| life.as_secs_f64())
    }

    #[test]
    fn the_documented_reply_and_its_variants_are_read() {
        let reply = r#"{"access_token":"t","token_type":"bearer","expires_in":7200,"expires_at":"2026-01-01T00:00:00.000000"}"#;
        let issued = read_text(reply).unwrap();
        assert_eq!(issued.value.expose(), "t");
        assert_eq!(issued.expires_in, Some(Duration::from_secs(7_200)));
        assert_eq!(read_text(r#"{"access_token":"t"}"#).unwrap().expires_in, None);
        assert_eq!(
            (life("59.5"), life("\"7200\""), life("0"), life("-3")),
            (Some(59.5), Some(7200.0), Some(0.0), Some(0.0))
        );
        assert_eq!((life("null"), life("\"soon\""), life("[1]"), life("1e300")), (None, None, None, None));
    }

    #[test]
    fn a_reply_without_a_token_says_what_is_wrong_and_shows_nothing_that_may_be_one() {
        for (reply, why) in [
            (
                r#"{"error":"invalid_client","message":"no key with hunter2"}"#,
                "it says: invalid_client: no key with ***",
            ),
            (r#"{"error_description":"paused","token":"ey-secret"}"#, "it says: paused"),
            (r#"{"access_token":"","refresh":"ey-secret"}"#, "holds no access_token"),
            (r#"{"access_token":["ey-secret"]}"#, "not the JSON object that was due"),
            (r#""ey-secret""#, "not the JSON object that was due"),
            (r#"{"access_token":"ey-secret"#, "not the JSON object that was due"),
            ("<html>ey-secret</html>", "an HTML page"),
            ("  ", "is empty"),
        ] {
            let error = read_text(reply).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::BadReply);
            assert!(error.to_string().contains(why), "{reply}: {error}");
            let shown = format!("{error} {error:?}");
            assert!(!shown.contains("ey-secret") && !shown.contains("hunter2"), "{shown}");
        }
    }

    proptest! {
        #[test]
        fn no_body_makes_it_panic(body: Vec<u8>, text in ".*") {
            let _ = read(Bytes::from(body), &Secret::new("s"));
            let _ = read_text(&format!(r#"{{"access_token":{},"expires_in":{text}}}"#, Value::from(text.clone())));
        }
    }
}
