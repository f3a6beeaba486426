//! Which watches of a stream have something to say.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
};

use parking_lot::Mutex;
use tokio::sync::Notify;

/// The watches of one stream that are ready, by the numbers that the stream gave them, in turn. Clones are the same mailbox.
#[derive(Clone, Default)]
pub struct Mailbox {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    ready: Mutex<Ready>,
    notify: Notify,
}

#[derive(Default)]
struct Ready {
    turn: VecDeque<u64>,
    present: BTreeSet<u64>,
}

impl Mailbox {
    /// Puts a watch at the end of the turn, unless it is in it.
    pub fn ready(&self, number: u64) {
        {
            let mut ready = self.shared.ready.lock();
            if !ready.present.insert(number) {
                return;
            }
            ready.turn.push_back(number);
        }
        self.shared.notify.notify_one();
    }

    /// Takes the watch whose turn it is, if any is ready.
    pub fn take(&self) -> Option<u64> {
        let mut ready = self.shared.ready.lock();
        let number = ready.turn.pop_front()?;
        ready.present.remove(&number);
        Some(number)
    }

    /// Waits until [`Mailbox::take`] would give something. Cancel safe. For one waiter.
    pub async fn wait(&self) {
        while self.shared.ready.lock().turn.is_empty() {
            self.shared.notify.notified().await;
        }
    }
}
