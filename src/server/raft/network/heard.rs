//! When the leader was last heard.
//!
//! A node follows the leader of its vote, which it also finds on its disk: so one that starts alone, or whose leader is long dead, still
//! names that leader. Whoever tells people who leads asks here whether it lives.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use tokio::sync::Notify;

/// From whom the log or a heartbeat came last, and when. A clone is the same.
#[derive(Clone, Default)]
pub struct Heard {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    last: Mutex<Option<(u64, Instant)>>,
    changed: Notify,
}

impl Heard {
    /// A leader spoke just now.
    pub fn note(&self, leader: u64) {
        let before = self.inner.last.lock().replace((leader, Instant::now()));
        if before.is_none_or(|(last, _)| last != leader) {
            self.inner.changed.notify_waiters();
        }
    }

    /// Who was heard before doesn't matter any more.
    pub fn forget(&self) {
        *self.inner.last.lock() = None;
    }

    /// Who was heard last.
    pub fn last(&self) -> Option<u64> {
        self.inner.last.lock().map(|(last, _)| last)
    }

    /// Waits until another one than before is heard; enlist before asking for it. Cancel safe.
    pub fn changed(&self) -> tokio::sync::futures::Notified<'_> {
        self.inner.changed.notified()
    }

    /// This leader was the last to be heard, at most so long ago.
    pub fn within(&self, leader: u64, patience: Duration) -> bool {
        self.inner.last.lock().is_some_and(|(last, at)| last == leader && at.elapsed() <= patience)
    }
}
