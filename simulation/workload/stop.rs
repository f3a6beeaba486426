//! The end of the work, told to everybody who works.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::sync::Notify;

/// Says when to stop; a clone is the same one.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    stopped: AtomicBool,
    told: Notify,
}

impl Stop {
    /// Not yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// From now on.
    pub fn stop(&self) {
        self.inner.stopped.store(true, Ordering::Relaxed);
        self.inner.told.notify_waiters();
    }

    /// Whether it is time.
    #[must_use]
    pub fn stopped(&self) -> bool {
        self.inner.stopped.load(Ordering::Relaxed)
    }

    /// Waits until it is time.
    pub async fn wait(&self) {
        loop {
            let told = self.inner.told.notified();
            tokio::pin!(told);
            told.as_mut().enable();
            if self.stopped() {
                return;
            }
            told.await;
        }
    }

    /// Sleeps, but no longer than until it is time.
    pub async fn sleep(&self, time: Duration) {
        self.or(tokio::time::sleep(time)).await;
    }

    /// Waits for something, but no longer than until it is time: then it is dropped.
    pub async fn or<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.wait() => None,
            done = work => Some(done),
        }
    }
}
