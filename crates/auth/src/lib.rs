//! OAuth client credentials for the Backstory bulk export API: secrets that can't be printed, one token kept alive for
//! any number of callers, and a layer that heals a 401.
//!
//! The vendor's tokens live for two hours, and its own articles disagree on what asking again before that yields
//! (`docs/contract.md`, section (a.3)). An export runs for longer than that, on many connections at once. So:
//!
//! | part | does |
//! |---|---|
//! | [`ClientCredentialsFlow`] | asks one of the two token endpoints, for a key pair or the one that stands by |
//! | [`TokenCache`] | fetches once for everybody, renews ahead, remembers failures, and never drops a living token |
//! | [`Authorised`] | puts a token on each attempt of a call and replaces it, once, when the server refuses it |
//! | [`Claims`] | shows what a token says of itself, never the token |
//!
//! Each is a port as well: bring key pairs from a vault ([`CredentialsSource`]), tokens from another issuer
//! ([`TokenIssuer`]), or have a token handed to you from elsewhere ([`TokenSource`]).
//!
//! ```
//! use async_trait::async_trait;
//! use backstory_auth::{Authorised, ClientCredentialsFlow, Credentials, Secret, TokenCache, TokenEndpoint};
//! use backstory_transport::{Body, Error, HttpService, Request, Response};
//! use bytes::Bytes;
//!
//! // Any service will do; over real sockets it is `backstory_transport::ReqwestService`.
//! #[derive(Clone)]
//! struct Service;
//!
//! #[async_trait]
//! impl HttpService for Service {
//!     async fn send(&self, request: Request) -> Result<Response, Error> {
//!         if request.uri().path() == "/auth/v1/tokens" {
//!             return Ok(Response::new(Body::from(r#"{"access_token":"eyJ","expires_in":7200}"#)));
//!         }
//!         assert_eq!(request.headers()["authorization"], "Bearer eyJ");
//!         Ok(Response::new(Body::from("[]")))
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let base_url = "https://api.people.ai".parse()?;
//! let pair = Credentials::new("my-api-key", Secret::new("my-api-secret"));
//! let flow = ClientCredentialsFlow::new(Service, &base_url, TokenEndpoint::V1, pair)?;
//!
//! let calls = Authorised::new(Service, TokenCache::new(flow));
//! let jobs = http::Request::get("https://api.people.ai/pull/v1/export/activities/jobs").body(Bytes::new())?;
//! assert_eq!(calls.send(jobs).await?.status(), 200);
//! # Ok(())
//! # }
//! ```
//!
//! # Where the layer stands
//!
//! Outermost first: retry → [`Authorised`] → rate limit → tracing → adapter. So each attempt has its own token and is
//! counted. The flow has a service of its own, without [`Authorised`] in it, and without retry: the cache decides how often
//! the token endpoint is asked, and a call that needs a token waits for that in its own retry layer.
//!
//! # Secrets
//!
//! A [`Secret`] has no `Display`, a redacted `Debug`, and is zeroed when it goes; so is the body of the token endpoint's
//! reply. Copies that can't be zeroed are those that are sent: the form with the key pair, and the `Authorization` header,
//! which is marked as sensitive; and what an HTTP client has in its own buffers. No error, debug print or log of this crate
//! holds any of them, also where a server echoes what it was sent.
//!
//! # What this crate does not do
//!
//! It reads no environment variable and no configuration. It stores nothing. It knows no endpoint but the two that issue
//! tokens, sends nothing by itself ([`HttpService`](backstory_transport::HttpService) does), doesn't retry (a layer
//! does), and doesn't verify a token's signature: it is the token's bearer, not its judge.

#![forbid(unsafe_code)]
#![deny(missing_docs)]
#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod authorised;
mod cache;
mod claims;
mod clock;
#[cfg(feature = "command")]
mod command;
mod credentials;
mod echo;
mod endpoint;
mod error;
mod flow;
mod form;
mod issuer;
mod jwt;
mod machine;
mod policy;
mod reply;
mod secret;
mod source;

pub use authorised::Authorised;
pub use cache::{TokenCache, TokenCacheBuilder};
pub use claims::Claims;
pub use clock::{Clock, SystemClock};
#[cfg(feature = "command")]
pub use command::SecretCommand;
pub use credentials::{Credentials, CredentialsSource, SecretFile};
pub use endpoint::{KeyType, TokenEndpoint};
pub use error::{Error, ErrorKind};
pub use flow::ClientCredentialsFlow;
pub use issuer::{IssuedToken, TokenIssuer};
pub use policy::RefreshPolicy;
pub use secret::Secret;
pub use source::{FixedToken, Token, TokenSource};
