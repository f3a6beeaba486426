//! Waiting for a number to be reached: an applied index, a revision.
//!
//! Only those whose number was reached are woken, lowest number first and first come first served among equals, so that
//! the order is the same in every run of a simulation and an applied entry costs nothing to those who wait for later ones.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use tokio::sync::oneshot;

/// Those who wait, in the order in which they will be woken.
#[derive(Default)]
pub struct Waits {
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    /// Makes keys unique and keeps equals in their order.
    tickets: u64,
    by_number: BTreeMap<(u64, u64), oneshot::Sender<()>>,
}

impl Waits {
    /// Waits until `now` gives at least `number`. Cancel safe.
    ///
    /// `now` must be raised before [`Waits::reached`] is called.
    pub async fn wait(&self, number: u64, now: impl Fn() -> u64) {
        while now() < number {
            let (ticket, woken) = self.enter(number);
            // Whoever is dropped while waiting leaves nothing behind.
            let _place = Place { waits: self, key: (number, ticket) };
            // The number may have been reached between the look and the entry.
            if now() >= number {
                return;
            }
            let _ = woken.await;
        }
    }

    /// Wakes all who wait for this number or a lower one.
    pub fn reached(&self, number: u64) {
        let due = {
            let mut waiting = self.waiting.lock();
            match waiting.by_number.first_key_value() {
                Some((&(first, _), _)) if first <= number => {}
                _ => return,
            }
            match number.checked_add(1) {
                Some(next) => {
                    let later = waiting.by_number.split_off(&(next, 0));
                    std::mem::replace(&mut waiting.by_number, later)
                }
                None => std::mem::take(&mut waiting.by_number),
            }
        };
        for (_, waker) in due {
            let _ = waker.send(());
        }
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.waiting.lock().by_number.len()
    }

    /// Nobody waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn enter(&self, number: u64) -> (u64, oneshot::Receiver<()>) {
        let (sender, receiver) = oneshot::channel();
        let mut waiting = self.waiting.lock();
        waiting.tickets += 1;
        let ticket = waiting.tickets;
        waiting.by_number.insert((number, ticket), sender);
        (ticket, receiver)
    }
}

struct Place<'a> {
    waits: &'a Waits,
    key: (u64, u64),
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.waits.waiting.lock().by_number.remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    };

    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn only_those_whose_number_was_reached_are_woken() {
        let waits = Waits::default();
        let now = AtomicU64::new(0);
        let read = || now.load(Ordering::SeqCst);
        let mut early = Box::pin(waits.wait(2, read));
        let mut late = Box::pin(waits.wait(5, read));
        assert!((&mut early).now_or_never().is_none());
        assert!((&mut late).now_or_never().is_none());
        now.store(3, Ordering::SeqCst);
        waits.reached(3);
        assert!((&mut early).now_or_never().is_some());
        assert!((&mut late).now_or_never().is_none());
        assert_eq!(waits.len(), 1);
    }

    #[tokio::test]
    async fn a_wait_that_is_dropped_leaves_nothing_behind() {
        let waits = Arc::new(Waits::default());
        let mut wait = Box::pin(waits.wait(1, || 0));
        assert!((&mut wait).now_or_never().is_none());
        assert_eq!(waits.len(), 1);
        drop(wait);
        assert!(waits.is_empty());
    }

    #[tokio::test]
    async fn what_was_reached_already_is_not_waited_for() {
        let waits = Waits::default();
        waits.wait(7, || 7).await;
        assert!(waits.is_empty());
    }
}
