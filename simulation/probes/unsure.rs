//! Attempts of a client's call that may have been done or not.
//!
//! A call that is repeated can end in a refusal that is the last attempt's alone. The client says so where a program can act on it; the
//! history must know it of each call, since a checker takes a refused call for one without effect.

use std::{cell::RefCell, collections::BTreeMap};

thread_local! {
    static NOTED: RefCell<BTreeMap<u64, u64>> = const { RefCell::new(BTreeMap::new()) };
}

/// An attempt of a call about this session and this token (0: about none) ended without an answer.
pub fn note(session: u64, token: u64) {
    NOTED.with_borrow_mut(|noted| {
        for subject in [session, token] {
            *noted.entry(subject).or_default() += 1;
        }
    });
}

/// How often that was noted about a session or a token; 0: about none.
#[must_use]
pub fn count(subject: u64) -> u64 {
    NOTED.with_borrow(|noted| noted.get(&subject).copied().unwrap_or_default())
}

/// Forgets all, for a new world.
pub fn clear() {
    NOTED.with_borrow_mut(BTreeMap::clear);
}
