//! Keeps the log short: asks for snapshots by its bytes, and lets it go once two snapshots stand.
//!
//! openraft counts entries only, and entries may be as small as a tick or as large as a batch of values.

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
    bytes_max: u64,
    /// A snapshot was written.
    written: AtomicBool,
    notify: Notify,
}

impl Growth {
    /// Asks for a snapshot after so many bytes.
    pub fn new(bytes_max: u64) -> Arc<Self> {
        Arc::new(Self { bytes_max, ..Self::default() })
    }

    /// Entries were appended.
    pub fn appended(&self, bytes: u64) {
        let before = self.bytes.fetch_add(bytes, Ordering::AcqRel);
        if before < self.bytes_max && before + bytes >= self.bytes_max {
            self.notify.notify_one();
        }
    }

    /// A snapshot was written.
    pub fn snapshot_written(&self) {
        self.bytes.store(0, Ordering::Release);
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
        } else {
            raft.trigger().snapshot().await
        };
        if done.is_err() {
            return;
        }
    }
}
