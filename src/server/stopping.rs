//! The one signal that the server stops, for everyone who keeps something open.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tokio::sync::Notify;

/// A flag that is raised once, and those who wait for it. Clones are the same signal.
#[derive(Clone, Default)]
pub struct Stopping {
    signal: Arc<Signal>,
}

#[derive(Default)]
struct Signal {
    raised: AtomicBool,
    notify: Notify,
}

impl Stopping {
    /// A signal that isn't raised.
    pub fn new() -> Self {
        Self::default()
    }

    /// Raises it, for ever. Everyone who waits is woken, in the order of their coming.
    pub fn stop(&self) {
        self.signal.raised.store(true, Ordering::SeqCst);
        self.signal.notify.notify_waiters();
    }

    /// It was raised.
    pub fn is_stopping(&self) -> bool {
        self.signal.raised.load(Ordering::SeqCst)
    }

    /// Waits until it is raised. Cancel safe.
    pub async fn wait(&self) {
        let mut notified = std::pin::pin!(self.signal.notify.notified());
        // Enlists before the look, so that a signal in between isn't missed.
        notified.as_mut().enable();
        if !self.is_stopping() {
            notified.await;
        }
    }
}
