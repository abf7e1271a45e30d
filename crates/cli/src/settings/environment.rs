//! The environment, in which an empty variable counts as missing.

use std::collections::HashMap;

use crate::exit::Failure;

/// The variables of this process; a map of its own, so that tests don't share the real one.
#[derive(Clone, Default)]
pub(crate) struct Environment(HashMap<String, String>);

impl Environment {
    /// This process's own.
    ///
    /// # Errors
    /// Usage, where a variable of ours holds what is no text: left out, it would seem not to be set.
    pub(crate) fn of_process() -> Result<Self, Failure> {
        let mut variables = HashMap::new();
        for (name, value) in std::env::vars_os() {
            let Ok(name) = name.into_string() else { continue };
            match value.into_string() {
                Ok(value) => drop(variables.insert(name, value)),
                Err(_) if name.starts_with("BACKSTORY_") => {
                    return Err(Failure::usage(format!("the environment's {name} is not UTF-8 text")));
                }
                Err(_) => {}
            }
        }
        Ok(Self(variables))
    }

    #[cfg(test)]
    pub(crate) fn of(pairs: &[(&str, &str)]) -> Self {
        Self(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    pub(crate) fn text(&self, name: &str) -> Option<String> {
        self.0.get(name).filter(|value| !value.is_empty()).cloned()
    }
}

/// Values may be secrets.
impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Environment").finish_non_exhaustive()
    }
}
