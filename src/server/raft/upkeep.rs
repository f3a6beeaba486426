//! Keeps the log short: asks for snapshots by its bytes, and lets it go once two snapshots stand.
//!
//! openraft counts entries only, and entries may be as small as a tick or as large as a batch of values. On the disk a small one takes a page, if it
//! comes alone: there a snapshot is asked for by its pages, too, as long as it is small, so that what goes into the tail is removed before it would have
//! to go into the database.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use tokio::sync::Notify;

use super::{snapshots::Snapshots, types::Raft};
use crate::stopping::Stopping;

/// What the log and the snapshots tell, for who keeps the log short.
#[derive(Debug, Default)]
pub struct Growth {
    /// Bytes of entries since the last snapshot was asked for.
    bytes: AtomicU64,
    /// Bytes of the disk that they have taken in front of the database.
    placed: AtomicU64,
    bytes_max: u64,
    /// A snapshot was written.
    written: AtomicBool,
    notify: Notify,
}

/// A small snapshot is smaller than what it lets go, so many times.
const SMALLER: u64 = 4;

impl Growth {
    /// Asks for a snapshot after so many bytes.
    pub fn new(bytes_max: u64) -> Arc<Self> {
        Arc::new(Self { bytes_max, ..Self::default() })
    }

    /// Entries were appended.
    pub fn appended(&self, bytes: u64) {
        self.grown(&self.bytes, bytes);
    }

    /// Entries were placed in front of the database.
    pub fn placed(&self, bytes: u64) {
        self.grown(&self.placed, bytes);
    }

    fn grown(&self, counted: &AtomicU64, bytes: u64) {
        let before = counted.fetch_add(bytes, Ordering::AcqRel);
        if before < self.bytes_max && before + bytes >= self.bytes_max {
            self.notify.notify_one();
        }
    }

    /// A snapshot should be written, if it will be as large as the last one.
    fn is_due(&self, snapshot_bytes: u64) -> bool {
        let passes = |counted: &AtomicU64| counted.load(Ordering::Acquire) >= self.bytes_max;
        passes(&self.bytes) || (passes(&self.placed) && snapshot_bytes <= self.bytes_max / SMALLER)
    }

    /// A snapshot was written.
    pub fn snapshot_written(&self) {
        self.bytes.store(0, Ordering::Release);
        self.placed.store(0, Ordering::Release);
        self.written.store(true, Ordering::Release);
        self.notify.notify_one();
    }
}

/// Keeps the log short until the node stops.
pub async fn keep_short(growth: Arc<Growth>, raft: Raft, snapshots: Snapshots, stopping: Stopping) {
    loop {
        tokio::select! {
            biased;
            () = stopping.wait() => return,
            () = growth.notify.notified() => {}
        }
        let done = if growth.written.swap(false, Ordering::AcqRel) {
            match snapshots.previous_covered() {
                // Entries below it are of no use: members that lack them get the snapshot.
                Some(previous) => raft.trigger().purge_log(previous).await,
                None => Ok(()),
            }
        } else if growth.is_due(snapshots.disk_bytes()) {
            raft.trigger().snapshot().await
        } else {
            Ok(())
        };
        if done.is_err() {
            return;
        }
    }
}

#[cfg(all(test, not(madsim)))]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_is_due_by_what_entries_say_and_while_it_is_small_by_what_they_take() {
        let growth = Growth::new(1000);
        growth.appended(999);
        growth.placed(999);
        assert!(!growth.is_due(0));
        growth.placed(1);
        assert!(growth.is_due(250) && !growth.is_due(251));
        growth.appended(1);
        assert!(growth.is_due(u64::MAX));
        growth.snapshot_written();
        assert!(!growth.is_due(0));
    }
}
