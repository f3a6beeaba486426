//! Sessions that an applied entry renewed: their outcome says how long each was renewed for, and not whose.

use std::cell::RefCell;

thread_local! {
    static RENEWED: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
}

/// The entry that is being applied renewed this session.
pub fn note(session: u64) {
    RENEWED.with_borrow_mut(|renewed| renewed.push(session));
}

/// Takes what was noted since the last time. Entries are applied, and told of, one after the other.
#[must_use]
pub fn take() -> Vec<u64> {
    RENEWED.with_borrow_mut(std::mem::take)
}
