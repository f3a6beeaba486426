//! When the leader was last heard.
//!
//! A node follows the leader of its vote, which it also finds on its disk: so one that starts alone, or whose leader is long dead, still
//! names that leader. Whoever tells people who leads asks here whether it lives.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

/// From whom the log or a heartbeat came last, and when. A clone is the same.
#[derive(Clone, Default)]
pub struct Heard {
    last: Arc<Mutex<Option<(u64, Instant)>>>,
}

impl Heard {
    /// A leader spoke just now.
    pub fn note(&self, leader: u64) {
        *self.last.lock() = Some((leader, Instant::now()));
    }

    /// This leader was the last to be heard, at most so long ago.
    pub fn within(&self, leader: u64, patience: Duration) -> bool {
        self.last.lock().is_some_and(|(last, at)| last == leader && at.elapsed() <= patience)
    }
}
