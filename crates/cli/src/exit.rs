//! How a run ends: the exit codes, and an error as people are told of it.

use std::error::Error as StdError;
use std::fmt;

/// The exit codes. Scripts rely on them; they change only with a major version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    Done,
    Failed,
    /// Bad usage or configuration.
    Usage,
    Authentication,
    /// Refused by a use limit.
    UseLimit,
    /// Some rows quarantined, some windows unfinished, a deadline passed; everything that landed is whole.
    Partial,
    Interrupted,
}

impl Exit {
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Authentication => 3,
            Self::UseLimit => 4,
            Self::Partial => 5,
            Self::Interrupted => 130,
        }
    }
}

/// Why a command failed: what to say, what to do next, and the exit code.
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    message: String,
    hint: Option<String>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Failure {
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), hint: None, source: None }
    }

    /// Bad usage or configuration.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds another thing to do.
    pub(crate) fn with_further_hint(mut self, hint: &str) -> Self {
        self.hint = Some(self.hint.map_or_else(|| hint.to_owned(), |first| format!("{first}; {hint}")));
        self
    }

    pub(crate) fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What failed.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// Why, from the nearest cause to the deepest.
    pub(crate) fn causes(&self) -> Vec<String> {
        let mut causes: Vec<String> = Vec::new();
        let mut cause = self.source.as_deref().map(|source| source as &dyn StdError);
        while let Some(error) = cause {
            let text = error.to_string();
            // Some layers repeat their cause in their own text.
            if !causes.last().unwrap_or(&self.message).contains(&text) {
                causes.push(text);
            }
            cause = error.source();
        }
        causes
    }

    /// What to do now.
    pub(crate) fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

/// The message, then each cause on a line of its own, then what to do now.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What a service says has no line of its own, or it could pass for ours.
        f.write_str(&self.message.replace('\n', "\n    "))?;
        for cause in self.causes() {
            write!(f, "\n  because: {}", cause.replace('\n', "\n    "))?;
        }
        self.hint.as_ref().map_or(Ok(()), |hint| write!(f, "\n  what to do: {hint}"))
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Failure").field("exit", &self.exit).field("message", &format_args!("{self}")).finish()
    }
}

impl From<backstory_api::Error> for Failure {
    fn from(error: backstory_api::Error) -> Self {
        use backstory_api::ErrorKind as Kind;
        let exit = match error.kind() {
            Kind::Setup => Exit::Usage,
            Kind::Unauthorized | Kind::Forbidden => Exit::Authentication,
            Kind::UseLimit | Kind::QueueFull => Exit::UseLimit,
            Kind::DeadlinePassed => Exit::Partial,
            _ => Exit::Failed,
        };
        let hint = error.hint().map(str::to_owned);
        let mut failure = Self::new(exit, error.to_string());
        failure.hint = hint;
        failure.with_source(error)
    }
}

impl From<backstory_sync::Error> for Failure {
    fn from(error: backstory_sync::Error) -> Self {
        use backstory_sync::ErrorKind as Kind;
        let exit = match error.kind() {
            Kind::UseLimit => Exit::UseLimit,
            Kind::Authentication => Exit::Authentication,
            Kind::DeadlinePassed => Exit::Partial,
            Kind::Usage => Exit::Usage,
            Kind::Interrupted => Exit::Interrupted,
            _ => Exit::Failed,
        };
        let hint = error.hint().map(str::to_owned);
        let mut failure = Self::new(exit, error.to_string());
        failure.hint = hint;
        failure.with_source(error)
    }
}

impl From<backstory_destination::Error> for Failure {
    fn from(error: backstory_destination::Error) -> Self {
        let exit = match error.kind() {
            backstory_destination::ErrorKind::Usage => Exit::Usage,
            _ => Exit::Failed,
        };
        let hint = error.hint().map(str::to_owned);
        let mut failure = Self::new(exit, error.to_string());
        failure.hint = hint;
        failure.with_source(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_tells_the_causes_and_what_to_do() {
        let cause = std::io::Error::other("disk full");
        let failure = Failure::new(Exit::Failed, "can't write x").with_source(cause).with_hint("make room");
        assert_eq!(failure.to_string(), "can't write x\n  because: disk full\n  what to do: make room");
        assert_eq!(failure.exit.code(), 1);
        let cause = std::io::Error::other("HTTP 400: hello\nerror: fake");
        let failure = Failure::new(Exit::Failed, "can't list").with_source(cause);
        assert_eq!(failure.to_string(), "can't list\n  because: HTTP 400: hello\n    error: fake");
    }
}
