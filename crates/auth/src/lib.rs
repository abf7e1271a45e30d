//! OAuth client credentials for the Backstory APIs.

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
