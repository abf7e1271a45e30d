//! Who may do what: API key pairs with their types, and the tokens that the two token endpoints mint from them.

mod keys;
mod tokens;

pub use keys::{Key, KeyType};
pub(crate) use tokens::{Denied, Standing, TokenKind, Tokens};
