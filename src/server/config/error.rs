//! What is wrong with a configuration, in words that say where it stands and what would be acceptable.

use std::fmt;

use super::source::Origin;

/// A configuration that isn't acceptable: all that was found wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    problems: Vec<String>,
}

impl ConfigError {
    /// With one problem.
    pub fn new(problem: impl Into<String>) -> Self {
        Self { problems: vec![problem.into()] }
    }

    /// The problems, one sentence each, in the order of the keys.
    pub fn problems(&self) -> &[String] {
        &self.problems
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.problems.join("\n"))
    }
}

impl std::error::Error for ConfigError {}

/// Gathers problems, so that one start tells all of them.
#[derive(Default)]
pub struct Problems {
    found: Vec<String>,
}

impl Problems {
    /// Notes a problem with a key's value, at the place where it was given.
    pub fn at(&mut self, origin: &Origin, key: &str, what: impl fmt::Display) {
        self.found.push(format!("{origin}: {key} {what}"));
    }

    /// Notes a problem that has no place of its own.
    pub fn general(&mut self, what: impl Into<String>) {
        self.found.push(what.into());
    }

    /// Nothing was found so far.
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// The error, if there is anything to tell.
    ///
    /// # Errors
    /// All that was noted.
    pub fn into_result(self) -> Result<(), ConfigError> {
        if self.found.is_empty() { Ok(()) } else { Err(ConfigError { problems: self.found }) }
    }
}
