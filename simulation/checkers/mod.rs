//! What is promised, one promise a file. Each checker reads a [`History`] and says what it found broken; each has tests with
//! histories written by hand that it must reject.

use crate::history::{History, Time};

/// A promise that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Name of the checker.
    pub checker: &'static str,
    /// The first moment at which it shows.
    pub at: Time,
    /// What is wrong, with the events that show it.
    pub what: String,
}

/// What all checkers said of a history.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    /// What is broken, earliest first.
    pub broken: Vec<Broken>,
    /// Checkers that gave up on a part, with the reason; apart from those that passed.
    pub unknown: Vec<(&'static str, String)>,
}

/// Has all checkers look.
#[must_use]
pub fn check(_history: &History) -> Verdict {
    Verdict::default()
}
