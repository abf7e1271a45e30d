//! What stands inside a token that is a JWT. Its signature is not checked: we are its bearer, not its judge.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::error::{Error, ErrorKind};
use crate::issuer::IssuedToken;
use crate::secret::Secret;

/// What a token is believed to live when nothing tells: short enough to do no harm, and a 401 heals it earlier.
const ASSUMED_LIFE: Duration = Duration::from_secs(300);
/// No token lives longer; a greater figure is a mistake, and this one can be reckoned with.
const LONGEST_LIFE: Duration = Duration::from_secs(10 * 366 * 86_400);

/// All claims of a JWT, unverified.
pub(crate) fn claims(token: &Secret) -> Result<Map<String, Value>, Error> {
    jsonwebtoken::dangerous::insecure_decode_claims::<Map<String, Value>>(token.expose().as_bytes()).map_err(
        // The decoder's own error may quote what it stumbled over, so it is left out.
        |_| {
            Error::new(
                ErrorKind::UnreadableToken,
                "the token is not a JWT, so it has no claims that could be shown",
            )
        },
    )
}

/// A claim that is a time: seconds since 1970, whole or not (RFC 7519, section 2).
pub(crate) fn time(claims: &Map<String, Value>, name: &str) -> Option<Timestamp> {
    let value = claims.get(name)?;
    match value.as_i64() {
        Some(seconds) => Timestamp::from_second(seconds).ok(),
        None => {
            let seconds = value.as_f64().filter(|seconds| seconds.is_finite())?;
            // A float beyond the range of i64 becomes its nearest end, which is no timestamp.
            Timestamp::from_millisecond((seconds * 1e3) as i64).ok()
        }
    }
}

/// How long a token that was received just now lives: `expires_in`, else until its `exp`, else a cautious guess.
pub(crate) fn life(issued: &IssuedToken, wall: Timestamp) -> Duration {
    let life = issued.expires_in.or_else(|| life_until_exp(issued, wall)).unwrap_or(ASSUMED_LIFE);
    life.min(LONGEST_LIFE)
}

fn life_until_exp(issued: &IssuedToken, wall: Timestamp) -> Option<Duration> {
    let claims = claims(&issued.value).ok()?;
    let exp = time(&claims, "exp")?;
    let until_exp = |from: Timestamp| exp.duration_since(from).max(jiff::SignedDuration::ZERO).unsigned_abs();
    if let Some(server_time) = issued.server_time {
        return Some(until_exp(server_time));
    }
    // Only this machine's clock is left. Where the token tells its whole life, a clock that makes it longer, or says that
    // what was issued just now has ended, is wrong.
    let left = until_exp(wall);
    match time(&claims, "iat").map(until_exp).filter(|whole| !whole.is_zero()) {
        Some(whole) if left.is_zero() || left > whole => Some(whole),
        _ => Some(left),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A JWT with these claims, which nobody has signed.
    pub(crate) fn unsigned(claims: &str) -> String {
        use std::fmt::Write as _;
        const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let base64 = |text: &str| {
            text.as_bytes().chunks(3).fold(String::new(), |mut encoded, chunk| {
                let word = chunk.iter().fold(0_u32, |word, byte| word << 8 | u32::from(*byte))
                    << (8 * (3 - chunk.len()));
                for digit in 0..=chunk.len() {
                    let index = (word >> (18 - 6 * digit)) & 63;
                    write!(encoded, "{}", char::from(ALPHABET[index as usize])).unwrap();
                }
                encoded
            })
        };
        format!("{}.{}.c2ln", base64(r#"{"typ":"JWT","alg":"HS256"}"#), base64(claims))
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn seconds(issued: &IssuedToken, wall: i64) -> u64 {
        life(issued, at(wall)).as_secs()
    }

    #[test]
    fn expires_in_goes_before_the_exp_inside() {
        let token = IssuedToken::new(unsigned(r#"{"exp":5000,"iat":0}"#));
        assert_eq!(seconds(&token.clone().with_expires_in(Duration::from_secs(7)), 0), 7);
        assert_eq!(seconds(&token, 1_000), 4_000);
    }

    #[test]
    fn exp_is_compared_with_the_servers_time_where_it_is_known() {
        let token = IssuedToken::new(unsigned(r#"{"exp":5000.0}"#)).with_server_time(at(4_000));
        assert_eq!(seconds(&token, 999_999_999), 1_000);
        assert_eq!(seconds(&token.with_server_time(at(6_000)), 0), 0);
    }

    #[test]
    fn a_wrong_wall_clock_is_caught_by_the_time_of_issue() {
        let token = IssuedToken::new(unsigned(r#"{"iat":1000000,"exp":1007200}"#));
        assert_eq!(seconds(&token, 1_003_600), 3_600);
        assert_eq!(seconds(&token, 0), 7_200, "a clock that is behind doesn't prolong the token");
        assert_eq!(seconds(&token, 2_000_000), 7_200, "a clock that is ahead doesn't kill it");
    }

    #[test]
    fn an_opaque_token_of_unknown_life_is_believed_for_five_minutes() {
        assert_eq!(seconds(&IssuedToken::new("opaque"), 0), 300);
        assert_eq!(seconds(&IssuedToken::new(unsigned(r#"{"exp":"soon"}"#)), 0), 300);
        assert_eq!(seconds(&IssuedToken::new("x").with_expires_in(Duration::MAX), 0), LONGEST_LIFE.as_secs());
    }

    proptest! {
        #[test]
        fn no_token_and_no_claim_can_make_it_panic(text in ".*", exp: f64, iat: i64, wall in -1_000_000_000_i64..1_000_000_000_000) {
            let _ = life(&IssuedToken::new(text), at(wall % 200_000_000_000));
            let claims = serde_json::json!({"exp": exp, "iat": iat}).to_string();
            let _ = life(&IssuedToken::new(unsigned(&claims)), at(wall % 200_000_000_000));
        }
    }
}
