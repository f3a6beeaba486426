//! The end of a node: set once, never taken back.

use std::sync::OnceLock;

use tokio::sync::Notify;

/// Why the node can't go on, once it can't.
#[derive(Debug, Default)]
pub struct Failure {
    message: OnceLock<String>,
    notify: Notify,
}

impl Failure {
    /// The first message stays.
    pub fn set(&self, message: String) {
        if self.message.set(message).is_ok() {
            if let Some(message) = self.message.get() {
                tracing::error!(%message, "the node must stop");
            }
            self.notify.notify_waiters();
        }
    }

    /// Why, if it is so.
    pub fn message(&self) -> Option<String> {
        self.message.get().cloned()
    }

    /// Waits for it. Cancel safe.
    pub async fn wait(&self) -> String {
        loop {
            let notified = self.notify.notified();
            if let Some(message) = self.message() {
                return message;
            }
            notified.await;
        }
    }
}
