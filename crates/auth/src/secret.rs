//! Text that must never be seen: no `Display`, a redacted `Debug`, and memory that is zeroed in the end.

use std::fmt;
use std::sync::Arc;

use backstory_transport::Redaction;
use zeroize::Zeroizing;

use crate::echo;

/// A client secret or a token.
///
/// It has no `Display`, its `Debug` shows nothing of it (not its length either), it can't be serialised, and its memory
/// is zeroed when the last clone goes. Clones share the text. What must send it asks for it by name, with
/// [`expose`](Self::expose), so that each such place can be found.
///
/// ```
/// use backstory_auth::Secret;
///
/// let secret = Secret::new("correct horse battery staple");
/// assert_eq!(format!("{secret:?}"), "Secret(***)");
/// assert_eq!(secret.expose(), "correct horse battery staple");
/// ```
///
/// ```compile_fail
/// println!("{}", backstory_auth::Secret::new("correct horse battery staple"));
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Arc<Zeroizing<String>>);

impl Secret {
    /// Takes the text over. What it is made from is the caller's to forget: a `String` is taken without a copy.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Arc::new(Zeroizing::new(text.into())))
    }

    /// The text itself, for the one place that sends it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The same text with every trace of this secret replaced, for messages that others wrote.
    pub(crate) fn redact(&self, text: &str) -> String {
        echo::redact(text, self.expose())
    }

    /// Takes every trace of this secret out of a reply's text.
    pub(crate) fn redaction(&self) -> Redaction {
        let secret = self.clone();
        Redaction::new(move |text| secret.redact(text))
    }
}

impl<T: Into<String>> From<T> for Secret {
    fn from(text: T) -> Self {
        Self::new(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_tells_neither_the_text_nor_its_length() {
        assert_eq!(
            format!("{:?} {:#?}", Secret::new("a"), Secret::new("a-long-one")),
            "Secret(***) Secret(***)"
        );
    }

    #[test]
    fn it_is_made_of_memory_that_zeroes_itself() {
        fn zeroes_itself<T: zeroize::ZeroizeOnDrop>(_: &T) {}
        zeroes_itself(&*Secret::new("a").0);
    }

    #[test]
    fn an_echoed_secret_is_redacted_in_every_form_it_may_come_in() {
        let secret = Secret::new("p\"w/ d");
        let echo = r#"no such secret: p"w/ d, p%22w%2F%20d, {"secret":"p\"w/ d"}"#;
        assert_eq!(secret.redact(echo), r#"no such secret: ***, ***, {"secret":"***"}"#);
        assert_eq!(secret.redaction().apply(echo), secret.redact(echo));
        assert_eq!(Secret::new("").redact("as it was"), "as it was");
    }
}
