//! The end of a node: set once, never taken back.

use std::{io, sync::OnceLock};

use tokio::sync::Notify;

/// Why a node can't go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ending {
    /// In words.
    pub message: String,
    /// The disk had no room left. Everything acknowledged is on it, and the node can be started again once there is room.
    pub full: bool,
}

/// Why the node can't go on, once it can't.
#[derive(Debug, Default)]
pub struct Failure {
    ending: OnceLock<Ending>,
    notify: Notify,
}

impl Failure {
    /// The first message stays.
    pub fn set(&self, message: String) {
        self.end(Ending { message, full: false });
    }

    /// As [`Failure::set`], where there was no room on the disk.
    pub fn set_full(&self, message: String) {
        self.end(Ending { message, full: true });
    }

    /// As [`Failure::set`], for what the disk said.
    pub fn set_by_disk(&self, what: &str, error: &io::Error) {
        self.end(Ending { message: format!("{what}: {error}"), full: is_full(error) });
    }

    fn end(&self, ending: Ending) {
        if self.ending.set(ending).is_ok() {
            if let Some(Ending { message, .. }) = self.ending.get() {
                tracing::error!(%message, "the node must stop");
            }
            self.notify.notify_waiters();
        }
    }

    /// Why, if it is so.
    pub fn message(&self) -> Option<String> {
        self.ending.get().map(|ending| ending.message.clone())
    }

    /// Waits for it. Cancel safe.
    pub async fn wait(&self) -> Ending {
        loop {
            let notified = self.notify.notified();
            if let Some(ending) = self.ending.get() {
                return ending.clone();
            }
            notified.await;
        }
    }
}

/// The disk has no room, or this user may not have more of it.
pub fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
