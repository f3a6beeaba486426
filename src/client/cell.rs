//! A value that several look at, and that tells them of its changes.

use parking_lot::Mutex;
use tokio::sync::Notify;

/// Readers see the newest value; one that is slow misses what was between, never that there was a change. Wakes in the
/// order of waiting, so that a simulation repeats exactly.
#[derive(Debug)]
pub(crate) struct Cell<T> {
    value: Mutex<(u64, T)>,
    changed: Notify,
}

impl<T: Clone + PartialEq> Cell<T> {
    pub(crate) fn new(value: T) -> Self {
        Self { value: Mutex::new((1, value)), changed: Notify::new() }
    }

    pub(crate) fn get(&self) -> T {
        self.value.lock().1.clone()
    }

    /// Changes the value. One that is equal is no change.
    pub(crate) fn set(&self, value: T) {
        {
            let mut current = self.value.lock();
            if current.1 == value {
                return;
            }
            *current = (current.0 + 1, value);
        }
        self.changed.notify_waiters();
    }

    /// The value, once it is a later one than the one numbered `seen` (0: at once), with its number. Cancel safe.
    pub(crate) async fn later(&self, seen: u64) -> (u64, T) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            {
                let current = self.value.lock();
                if current.0 > seen {
                    return current.clone();
                }
            }
            changed.await;
        }
    }
}

#[cfg(all(test, not(madsim)))]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[tokio::test]
    async fn a_reader_sees_the_newest_and_every_change_once() {
        let cell = Arc::new(Cell::new("a"));
        let (seen, value) = cell.later(0).await;
        assert_eq!(value, "a");
        cell.set("b");
        cell.set("c");
        let (seen, value) = cell.later(seen).await;
        assert_eq!(value, "c");
        cell.set("c");
        let waiter = tokio::spawn({
            let cell = cell.clone();
            async move { cell.later(seen).await.1 }
        });
        tokio::task::yield_now().await;
        assert!(!waiter.is_finished());
        cell.set("d");
        assert_eq!(waiter.await.ok(), Some("d"));
    }
}
