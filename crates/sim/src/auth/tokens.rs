//! Tokens: HS256 JWTs that expire by the virtual clock.
//!
//! Sources: contract (a.1) to (a.4), (j.30), (j.32). Unless row a.3 is switched, a call yields a new token and leaves the
//! earlier ones alive for the rest of their own life. A token of one endpoint is refused by the other's APIs.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};

use super::keys::{Key, KeyType};
use crate::switches::{Row, Switches};

/// Which token endpoint minted a token, and so which APIs take it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum TokenKind {
    #[serde(rename = "v1")]
    V1,
    #[serde(rename = "v3")]
    V3,
}

#[derive(Clone, Serialize, Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    kind: TokenKind,
    jti: u64,
    iat: i64,
    exp: i64,
}

/// Why a bearer token does not open what was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Denied {
    /// Missing, malformed, expired, of the other endpoint, or of a key that is paused or revoked: 401.
    Unauthorized,
    /// A good token of a key of another type, contract (j.29).
    WrongType,
}

/// What an administrator did to a key, contract (a.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Active,
    Paused,
    Revoked,
}

/// A token as it is handed out.
#[derive(Clone, Debug)]
pub(crate) struct Minted {
    pub(crate) token: String,
    /// Seconds that it has left.
    pub(crate) left: i64,
    pub(crate) expires: i64,
}

/// The organisation's keys and the signer of their tokens.
pub(crate) struct Tokens {
    sign: EncodingKey,
    verify: DecodingKey,
    validation: Validation,
    life: i64,
    state: Mutex<State>,
}

struct State {
    keys: Vec<(Key, Standing)>,
    minted: u64,
    latest: BTreeMap<(String, TokenKind), Minted>,
    /// Tokens whose signature was checked before, so that a client that polls is answered without checking it again.
    verified: HashMap<String, Arc<Claims>>,
}

/// Tokens that are remembered as verified.
const REMEMBERED: usize = 1_000;

impl Tokens {
    pub(crate) fn new(keys: Vec<Key>, seed: u64, life: i64) -> Self {
        // The signing secret follows from the seed, so that the same seed, clock and requests give the same tokens.
        let secret = format!("backstory-sim/{seed}/signing");
        let mut validation = Validation::new(Algorithm::HS256);
        // Expiry is judged by the virtual clock, not by the machine's.
        validation.validate_exp = false;
        validation.validate_aud = false;
        validation.required_spec_claims.clear();
        let keys = keys.into_iter().map(|key| (key, Standing::Active)).collect();
        Self {
            sign: EncodingKey::from_secret(secret.as_bytes()),
            verify: DecodingKey::from_secret(secret.as_bytes()),
            validation,
            life,
            state: Mutex::new(State { keys, minted: 0, latest: BTreeMap::new(), verified: HashMap::new() }),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A token for the key with this id, if it is active and one of the given texts is its secret.
    pub(crate) fn mint(
        &self,
        id: &str,
        secrets: &[&str],
        kind: TokenKind,
        now: Timestamp,
        switches: &Switches,
    ) -> Option<Minted> {
        let mut state = self.state();
        state.keys.iter().find(|(key, standing)| {
            key.id() == id
                && *standing == Standing::Active
                && secrets.iter().any(|secret| key.is_secret(secret))
        })?;
        let now = now.as_second();
        if switches.is(Row::A3, "same")
            && let Some(latest) = state.latest.get(&(id.to_owned(), kind))
            && latest.expires > now
        {
            return Some(Minted { left: latest.expires - now, ..latest.clone() });
        }
        state.minted += 1;
        let claims = Claims {
            iss: "backstory-sim".to_owned(),
            sub: id.to_owned(),
            kind,
            jti: state.minted,
            iat: now,
            exp: now + self.life,
        };
        let token = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.sign).ok()?;
        let minted = Minted { token, left: self.life, expires: claims.exp };
        state.latest.insert((id.to_owned(), kind), minted.clone());
        Some(minted)
    }

    /// How many tokens were minted.
    pub(crate) fn minted(&self) -> u64 {
        self.state().minted
    }

    /// Pauses, unpauses or revokes a key. False: there is no such key, or it was revoked, which is for ever.
    pub(crate) fn set_standing(&self, id: &str, to: Standing) -> bool {
        let mut state = self.state();
        let found = state.keys.iter_mut().find(|(key, now)| key.id() == id && *now != Standing::Revoked);
        found.map(|(_, standing)| *standing = to).is_some()
    }

    /// Whose token an `Authorization` header shows, however old it is.
    pub(crate) fn owner(&self, header: Option<&str>) -> Option<String> {
        self.claims(&mut self.state(), header).map(|claims| claims.sub.clone())
    }

    /// What a token that we signed says.
    fn claims(&self, state: &mut State, header: Option<&str>) -> Option<Arc<Claims>> {
        let (scheme, token) = header?.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let token = token.trim();
        if let Some(known) = state.verified.get(token) {
            return Some(Arc::clone(known));
        }
        let decoded = jsonwebtoken::decode::<Claims>(token.as_bytes(), &self.verify, &self.validation);
        let claims = Arc::new(decoded.ok()?.claims);
        if state.verified.len() >= REMEMBERED {
            state.verified.clear();
        }
        state.verified.insert(token.to_owned(), Arc::clone(&claims));
        Some(claims)
    }

    /// Judges an `Authorization` header for an API of `kind` that takes keys of type `wanted`; answers whose key it is.
    pub(crate) fn check(
        &self,
        header: Option<&str>,
        kind: TokenKind,
        wanted: KeyType,
        now: Timestamp,
        switches: &Switches,
    ) -> Result<String, Denied> {
        let mut state = self.state();
        let claims = self.claims(&mut state, header).ok_or(Denied::Unauthorized)?;
        if claims.exp <= now.as_second() || (claims.kind != kind && !switches.is(Row::J32, "accepted")) {
            return Err(Denied::Unauthorized);
        }
        let (key, standing) =
            state.keys.iter().find(|(key, _)| key.id() == claims.sub).ok_or(Denied::Unauthorized)?;
        if *standing != Standing::Active && switches.is(Row::J30, "dead") {
            return Err(Denied::Unauthorized);
        }
        if key.key_type().opens(wanted) { Ok(claims.sub.clone()) } else { Err(Denied::WrongType) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::switches::Switch;

    const SECRET: [&str; 1] = ["sim-secret"];

    fn at(seconds: i64) -> Timestamp {
        let now: Timestamp = "2026-06-01T00:00:00Z".parse().unwrap();
        Timestamp::from_second(now.as_second() + seconds).unwrap()
    }

    fn switched(text: &str) -> Switches {
        let mut switches = Switches::default();
        switches.apply(Switch::parse(text).unwrap());
        switches
    }

    #[test]
    fn a_token_opens_its_own_apis_until_it_expires() {
        let plain = Switches::default();
        let tokens = Tokens::new(Key::defaults(), 7, 7_200);
        let token = tokens.mint("sim-activity", &SECRET, TokenKind::V1, at(0), &plain).unwrap().token;
        let header = format!("Bearer {token}");
        let check = |kind, wanted, now, switches: &Switches| {
            tokens.check(Some(&header), kind, wanted, now, switches).map(drop)
        };
        assert_eq!(check(TokenKind::V1, KeyType::Activity, at(0), &plain), Ok(()));
        assert_eq!(check(TokenKind::V1, KeyType::Activity, at(7_199), &plain), Ok(()));
        assert_eq!(check(TokenKind::V1, KeyType::Activity, at(7_200), &plain), Err(Denied::Unauthorized));
        assert_eq!(check(TokenKind::V1, KeyType::Object, at(0), &plain), Err(Denied::WrongType));
        assert_eq!(check(TokenKind::V3, KeyType::Activity, at(0), &plain), Err(Denied::Unauthorized));
        assert_eq!(check(TokenKind::V3, KeyType::Activity, at(0), &switched("j32=accepted")), Ok(()));
        let other = Tokens::new(Key::defaults(), 8, 7_200);
        assert_eq!(
            other.check(Some(&header), TokenKind::V1, KeyType::Activity, at(0), &plain),
            Err(Denied::Unauthorized),
            "a token that somebody else signed"
        );
    }

    #[test]
    fn another_call_gives_a_new_token_or_the_same_with_its_remaining_life() {
        let tokens = Tokens::new(Key::defaults(), 7, 7_200);
        let mint =
            |now, switch| tokens.mint("sim-key", &SECRET, TokenKind::V1, at(now), &switched(switch)).unwrap();
        let first = mint(0, "a3=new");
        let second = mint(100, "a3=new");
        assert_ne!(first.token, second.token);
        assert_eq!(second.left, 7_200);
        let third = mint(150, "a3=same");
        assert_eq!((third.token, third.left), (second.token.clone(), 7_150));
        assert_ne!(mint(7_300, "a3=same").token, second.token);
    }

    #[test]
    fn a_paused_key_gets_no_token_and_its_old_ones_die_or_live_on() {
        let plain = Switches::default();
        let tokens = Tokens::new(Key::defaults(), 7, 7_200);
        let mint = || tokens.mint("sim-key", &SECRET, TokenKind::V1, at(0), &plain);
        let header = format!("Bearer {}", mint().unwrap().token);
        let check = |switches: &Switches| {
            tokens.check(Some(&header), TokenKind::V1, KeyType::Object, at(1), switches).is_ok()
        };
        assert!(tokens.set_standing("sim-key", Standing::Paused));
        assert!(mint().is_none() && !check(&plain) && check(&switched("j30=live")));
        assert!(tokens.set_standing("sim-key", Standing::Active));
        assert!(mint().is_some() && check(&plain));
        assert!(tokens.set_standing("sim-key", Standing::Revoked));
        assert!(!tokens.set_standing("sim-key", Standing::Active), "revoking is for ever");
        assert!(mint().is_none());
    }
}
