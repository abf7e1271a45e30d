//! The body of a token request: `application/x-www-form-urlencoded` (contract (a.1)).

use bytes::Bytes;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::credentials::Credentials;

/// Everything but the unreserved characters of RFC 3986 is encoded, a space as `%20`: every reader of forms takes that,
/// those that don't know `+` included.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The form with the three fields that both token endpoints take.
pub(crate) fn token_request(credentials: &Credentials) -> Bytes {
    let id = utf8_percent_encode(credentials.client_id(), RESERVED);
    let secret = utf8_percent_encode(credentials.client_secret().expose(), RESERVED);
    Bytes::from(format!("grant_type=client_credentials&client_id={id}&client_secret={secret}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn values_are_sent_raw_and_percent_encoded() {
        let body = token_request(&Credentials::new("my key", "a&b=c+d%'é"));
        assert_eq!(
            body,
            "grant_type=client_credentials&client_id=my%20key&client_secret=a%26b%3Dc%2Bd%25%27%C3%A9"
        );
    }

    proptest! {
        #[test]
        fn any_pair_of_texts_comes_back_from_the_form(id in ".*", secret in ".*") {
            let body = token_request(&Credentials::new(&id, secret.as_str()));
            let body = std::str::from_utf8(&body).unwrap();
            let fields: Vec<(&str, String)> = body
                .split('&')
                .map(|field| field.split_once('=').unwrap())
                .map(|(name, value)| {
                    (name, percent_encoding::percent_decode_str(value).decode_utf8().unwrap().into_owned())
                })
                .collect();
            prop_assert_eq!(
                fields,
                vec![
                    ("grant_type", "client_credentials".to_owned()),
                    ("client_id", id),
                    ("client_secret", secret)
                ]
            );
        }
    }
}
