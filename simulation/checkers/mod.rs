//! What is promised, one promise a file. Each checker reads a [`History`] and says what it found broken; each has tests with
//! histories written by hand that it must reject, and with others that look strange and are right.
//!
//! To add one: a file with the claim as its first sentence and a function `check`, a line in [`CHECKERS`]. What several checkers want to
//! know of a history is worked out once, in [`facts`] and [`weather`]; the search for a legal order of calls is in [`search`].

mod durability;
mod elections;
mod facts;
mod fenced_register;
mod leases;
mod levels;
mod linearizable_keys;
mod linearizable_locks;
mod one_effect;
mod one_owner;
mod progress;
mod queue_order;
mod raft;
mod reads;
mod replicas;
mod revision_order;
mod search;
mod tokens;
mod watches;
mod weather;

#[cfg(test)]
mod hand;
#[cfg(test)]
mod properties;

use facts::Facts;

use crate::history::{History, Time};

/// What one checker says at most of one history: the first is what matters.
const BROKEN_MAX: usize = 10;

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

/// What one checker found.
struct Findings {
    checker: &'static str,
    broken: Vec<Broken>,
    unknown: Vec<String>,
}

impl Findings {
    fn of(checker: &'static str) -> Self {
        Self { checker, broken: Vec::new(), unknown: Vec::new() }
    }

    /// Notes that the promise was broken.
    fn broken(&mut self, at: Time, what: impl Into<String>) {
        self.broken.push(Broken { checker: self.checker, at, what: what.into() });
    }

    /// Notes a part that wasn't decided.
    fn unknown(&mut self, why: impl Into<String>) {
        self.unknown.push(why.into());
    }
}

type Checker = fn(&Facts<'_>, &mut Findings);

/// All checkers, in the order in which they look.
const CHECKERS: &[(&str, Checker)] = &[
    ("raft", raft::check),
    ("replicas", replicas::check),
    ("durability", durability::check),
    ("one_effect", one_effect::check),
    ("revision_order", revision_order::check),
    ("reads", reads::check),
    ("linearizable_keys", linearizable_keys::check),
    ("tokens", tokens::check),
    ("one_owner", one_owner::check),
    ("queue_order", queue_order::check),
    ("elections", elections::check),
    ("fenced_register", fenced_register::check),
    ("linearizable_locks", linearizable_locks::check),
    ("leases", leases::check),
    ("watches", watches::check),
    ("levels", levels::check),
    ("progress", progress::check),
];

/// The checkers' names, in the order in which they look.
pub fn names() -> impl Iterator<Item = &'static str> {
    CHECKERS.iter().map(|(name, _)| *name)
}

/// Has all checkers look. The same history gives the same verdict.
#[must_use]
pub fn check(history: &History) -> Verdict {
    let facts = Facts::of(history);
    let mut verdict = Verdict::default();
    for (name, checker) in CHECKERS {
        let mut findings = Findings::of(name);
        checker(&facts, &mut findings);
        findings.broken.sort_by_key(|broken| broken.at);
        findings.broken.truncate(BROKEN_MAX);
        verdict.broken.append(&mut findings.broken);
        verdict.unknown.extend(findings.unknown.into_iter().map(|why| (*name, why)));
    }
    verdict.broken.sort_by_key(|broken| broken.at);
    verdict
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_manual_has_all_of_them() {
        let manual = include_str!("../../docs/simulation.md");
        let missing: Vec<&str> = super::names().filter(|name| !manual.contains(&format!("| `{name}` | "))).collect();
        assert_eq!(missing, [""; 0], "docs/simulation.md says what each promises");
    }
}
