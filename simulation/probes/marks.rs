//! States that a good set of runs must reach at some time.

use std::{cell::RefCell, collections::BTreeMap};

thread_local! {
    static HITS: RefCell<BTreeMap<&'static str, u64>> = const { RefCell::new(BTreeMap::new()) };
}

/// Counts that a state was reached. The name says it in words: "leader lost power between append and sync".
pub fn hit(mark: &'static str) {
    HITS.with_borrow_mut(|hits| *hits.entry(mark).or_default() += 1);
}

/// Takes what was counted on this thread, and begins anew.
pub fn take() -> BTreeMap<&'static str, u64> {
    HITS.with_borrow_mut(std::mem::take)
}
