//! Waking those who wait for something that has a name: a claim's grant or end, a change of a queue's owners.
//!
//! Who listens is woken by the name alone, so that a grant costs the one who was granted, however many wait.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::Notify;

/// The names somebody listens to.
#[derive(Clone, Default)]
pub struct Signals {
    cells: Arc<Mutex<BTreeMap<Bytes, Arc<Cell>>>>,
}

#[derive(Default)]
struct Cell {
    /// How often it was raised.
    raised: AtomicU64,
    notify: Notify,
}

impl Cell {
    fn raise(&self) {
        self.raised.fetch_add(1, Ordering::SeqCst);
        self.notify.notify_waiters();
    }
}

impl Signals {
    /// Listens to a name from now on.
    pub fn listen(&self, name: Bytes) -> Signal {
        let cell = self.cells.lock().entry(name.clone()).or_default().clone();
        let seen = cell.raised.load(Ordering::SeqCst);
        Signal { signals: self.clone(), name, cell, seen }
    }

    /// Wakes who listens to this name.
    pub fn raise(&self, name: &[u8]) {
        if let Some(cell) = self.cells.lock().get(name) {
            cell.raise();
        }
    }

    /// Wakes everyone.
    pub fn raise_all(&self) {
        self.cells.lock().values().for_each(|cell| cell.raise());
    }

    /// How many names are listened to.
    pub fn len(&self) -> usize {
        self.cells.lock().len()
    }

    /// Nobody listens.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// An ear for one name.
pub struct Signal {
    signals: Signals,
    name: Bytes,
    cell: Arc<Cell>,
    seen: u64,
}

impl Signal {
    /// Waits until the name was raised since the last time this returned, or since the listening began. What happens between two
    /// calls is not lost, and counts once. Cancel safe.
    pub async fn raised(&mut self) {
        loop {
            let mut notified = std::pin::pin!(self.cell.notify.notified());
            notified.as_mut().enable();
            let raised = self.cell.raised.load(Ordering::SeqCst);
            if raised != self.seen {
                self.seen = raised;
                return;
            }
            notified.await;
        }
    }
}

impl Drop for Signal {
    fn drop(&mut self) {
        let mut cells = self.signals.cells.lock();
        // The map's and this one: nobody else listens, and nobody can begin to while the lock is held.
        if Arc::strong_count(&self.cell) == 2 {
            cells.remove(&self.name);
        }
    }
}
