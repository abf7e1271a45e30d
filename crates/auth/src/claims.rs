//! A token's claims, for people who want to know what their key got them.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::error::Error;
use crate::jwt;
use crate::source::Token;

/// The claims of a token that is a JWT, unverified; never the token itself.
///
/// The vendor's tokens are JWTs, but nothing is promised about what they hold (contract (a.2)): show them, don't build on
/// them. Serialises as the JSON object that they are.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Claims(Map<String, Value>);

impl Claims {
    /// Reads the claims.
    ///
    /// # Errors
    /// [`ErrorKind::UnreadableToken`](crate::ErrorKind::UnreadableToken) if the token is not a JWT.
    pub fn read(token: &Token) -> Result<Self, Error> {
        jwt::claims(token.value()).map(Self)
    }

    /// When it was issued (`iat`).
    pub fn issued_at(&self) -> Option<Timestamp> {
        jwt::time(&self.0, "iat")
    }

    /// When it ends by its issuer's clock (`exp`).
    pub fn expires_at(&self) -> Option<Timestamp> {
        jwt::time(&self.0, "exp")
    }

    /// The names of all claims, in alphabetical order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// One claim: a text as it is, anything else as JSON.
    pub fn get(&self, name: &str) -> Option<String> {
        Some(match self.0.get(name)? {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        })
    }

    /// All claims as one JSON object.
    pub fn to_json(&self) -> String {
        Value::Object(self.0.clone()).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;
    use crate::jwt::tests::unsigned;

    #[test]
    fn all_claims_are_read_and_its_times_understood() {
        let token = Token::new(unsigned(r#"{"sub":"key","exp":7200,"iat":0,"scope":["a"]}"#), 1).unwrap();
        let claims = Claims::read(&token).unwrap();
        assert_eq!(claims.issued_at(), Some(Timestamp::UNIX_EPOCH));
        assert_eq!(claims.expires_at().unwrap().to_string(), "1970-01-01T02:00:00Z");
        assert_eq!(claims.get("sub").as_deref(), Some("key"));
        assert_eq!(claims.get("scope").as_deref(), Some(r#"["a"]"#));
        assert_eq!(claims.names().count(), 4);
        assert_eq!(claims.to_json(), r#"{"exp":7200,"iat":0,"scope":["a"],"sub":"key"}"#);
        assert_eq!(serde_json::to_string(&claims).unwrap(), claims.to_json());
    }

    #[test]
    fn a_token_that_is_no_jwt_is_refused_without_being_shown() {
        for opaque in ["hunter2", "hunter2.hunter2.hunter2", "eyJhbGciOiJub25lIn0.aHVudGVyMg.hunter2"] {
            let error = Claims::read(&Token::new(opaque, 1).unwrap()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::UnreadableToken);
            assert!(!format!("{error:?} {error}").contains("hunter2"));
        }
    }
}
