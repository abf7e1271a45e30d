//! What must not be kept of a reply: a secret that its request held and that the server has echoed.

use std::fmt;
use std::sync::Arc;

use http::Extensions;

/// Takes secrets out of text; among the extensions of a request that holds some, and of its reply.
///
/// Servers and gateways do echo what they were sent. A layer that puts a secret into a request puts one of these on the request,
/// for the layers further in, and on the reply; whoever keeps any text of the reply in an error or a log
/// [applies](Self::apply) it before. [`Refusal::read`](crate::Refusal::read) and [`Traced`](crate::Traced) do.
///
/// ```
/// use backstory_transport::{Redaction, Response};
///
/// let mut reply = Response::new("you sent hunter2".into());
/// Redaction::new(|text| text.replace("hunter2", "***")).put_on(reply.extensions_mut());
/// assert_eq!(Redaction::of(reply.extensions()).apply("you sent hunter2"), "you sent ***");
/// ```
#[derive(Clone, Default)]
pub struct Redaction(Option<Arc<Redact>>);

type Redact = dyn Fn(&str) -> String + Send + Sync;

impl Redaction {
    /// Redacts by this function: it is given a text, and gives it back without what must not be seen.
    pub fn new(redact: impl Fn(&str) -> String + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(redact)))
    }

    /// What is to be taken out of the text of a reply with these extensions, or to a request with them; nothing where no layer
    /// has said so.
    pub fn of(extensions: &Extensions) -> Self {
        extensions.get::<Self>().cloned().unwrap_or_default()
    }

    /// Adds it to a request or a reply: what a layer further in takes out is taken out as well.
    pub fn put_on(self, extensions: &mut Extensions) {
        let both = match extensions.remove::<Self>() {
            Some(other) => Self::new(move |text| self.apply(&other.apply(text))),
            None => self,
        };
        extensions.insert(both);
    }

    /// The text without what must not be seen.
    pub fn apply(&self, text: &str) -> String {
        self.0.as_ref().map_or_else(|| text.to_owned(), |redact| redact(text))
    }
}

/// The function knows what must not be seen.
impl fmt::Debug for Redaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redaction").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_each_of_several_layers_takes_out_is_gone() {
        let mut extensions = Extensions::new();
        assert_eq!(Redaction::of(&extensions).apply("one two"), "one two");
        Redaction::new(|text| text.replace("one", "***")).put_on(&mut extensions);
        Redaction::new(|text| text.replace("two", "***")).put_on(&mut extensions);
        let redaction = Redaction::of(&extensions);
        assert_eq!(redaction.apply("one two"), "*** ***");
        assert_eq!(format!("{redaction:?}"), "Redaction { .. }");
    }
}
