//! Who votes from the entry on that is being applied: the replica, which tells of entries, knows nothing of members.

use std::cell::RefCell;

thread_local! {
    static CHANGED: RefCell<Option<Vec<Vec<u64>>>> = const { RefCell::new(None) };
}

/// The entry that is about to be applied changes the voters to these: one group, or two while they are being changed.
pub fn note(groups: Vec<Vec<u64>>) {
    CHANGED.with_borrow_mut(|changed| *changed = Some(groups));
}

/// Takes what was noted since the last time.
#[must_use]
pub fn take() -> Option<Vec<Vec<u64>>> {
    CHANGED.with_borrow_mut(Option::take)
}
