//! A watch channel that wakes its receivers in the order in which they began to wait.
//!
//! tokio's picks among several lists of waiters with a random source that no seed controls; with it, two runs of one simulated
//! seed differ.

use std::{
    collections::BTreeMap,
    fmt,
    future::Future,
    ops::Deref,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
};

use openraft_rt::{
    Watch, WatchReceiver, WatchSender,
    watch::{RecvError, SendError},
};
use parking_lot::{Mutex, RwLock, RwLockReadGuard};

/// The channel, under openraft's trait.
#[derive(Debug)]
pub struct Watching;

/// Sends.
pub struct Sender<T>(Arc<Shared<T>>);

/// Sees the newest value.
pub struct Receiver<T> {
    shared: Arc<Shared<T>>,
    seen: u64,
}

struct Shared<T> {
    value: RwLock<T>,
    /// Counts the changes. Written while the value is locked for writing.
    version: AtomicU64,
    waiting: Mutex<Waiting>,
    senders: AtomicUsize,
    receivers: AtomicUsize,
}

/// Who waits, by the order of arrival.
#[derive(Default)]
struct Waiting {
    next: u64,
    wakers: BTreeMap<u64, Waker>,
}

impl<T> Shared<T> {
    fn wake(&self) {
        let wakers = std::mem::take(&mut self.waiting.lock().wakers);
        for waker in wakers.into_values() {
            waker.wake();
        }
    }
}

impl Watch for Watching {
    type Sender<T: Send + Sync> = Sender<T>;
    type Receiver<T: Send + Sync> = Receiver<T>;
    type Ref<'a, T: Send + 'a> = Borrowed<'a, T>;

    fn channel<T: Send + Sync>(init: T) -> (Sender<T>, Receiver<T>) {
        let shared = Arc::new(Shared {
            value: RwLock::new(init),
            version: AtomicU64::new(0),
            waiting: Mutex::default(),
            senders: AtomicUsize::new(1),
            receivers: AtomicUsize::new(1),
        });
        (Sender(shared.clone()), Receiver { shared, seen: 0 })
    }
}

/// The newest value. It can't change while this lives.
pub struct Borrowed<'a, T>(RwLockReadGuard<'a, T>);

impl<T> Deref for Borrowed<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.0.senders.fetch_add(1, Ordering::AcqRel);
        Self(self.0.clone())
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        if self.0.senders.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.wake();
        }
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("watch::Sender")
    }
}

impl<T: Send + Sync> WatchSender<Watching, T> for Sender<T> {
    fn send(&self, value: T) -> Result<(), SendError<T>> {
        if self.0.receivers.load(Ordering::Acquire) == 0 {
            return Err(SendError(value));
        }
        self.send_if_modified(|current| {
            *current = value;
            true
        });
        Ok(())
    }

    fn send_if_modified<F: FnOnce(&mut T) -> bool>(&self, modify: F) -> bool {
        {
            let mut value = self.0.value.write();
            if !modify(&mut value) {
                return false;
            }
            self.0.version.fetch_add(1, Ordering::AcqRel);
        }
        self.0.wake();
        true
    }

    fn borrow_watched(&self) -> Borrowed<'_, T> {
        Borrowed(self.0.value.read_recursive())
    }

    fn subscribe(&self) -> Receiver<T> {
        self.0.receivers.fetch_add(1, Ordering::AcqRel);
        Receiver { shared: self.0.clone(), seen: self.0.version.load(Ordering::Acquire) }
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        self.shared.receivers.fetch_add(1, Ordering::AcqRel);
        Self { shared: self.shared.clone(), seen: self.seen }
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.shared.receivers.fetch_sub(1, Ordering::AcqRel);
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("watch::Receiver")
    }
}

impl<T: Send + Sync> WatchReceiver<Watching, T> for Receiver<T> {
    async fn changed(&mut self) -> Result<(), RecvError> {
        Changed { receiver: self, ticket: None }.await
    }

    fn borrow_watched(&self) -> Borrowed<'_, T> {
        Borrowed(self.shared.value.read_recursive())
    }

    fn borrow_and_update(&mut self) -> Borrowed<'_, T> {
        let value = self.shared.value.read_recursive();
        self.seen = self.shared.version.load(Ordering::Acquire);
        Borrowed(value)
    }
}

/// Waits for a version that was not seen.
struct Changed<'a, T> {
    receiver: &'a mut Receiver<T>,
    ticket: Option<u64>,
}

impl<T> Future for Changed<'_, T> {
    type Output = Result<(), RecvError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let shared = self.receiver.shared.clone();
        // Looked at under the lock of the waiters: a sender that changes the value after this look finds the waker.
        let mut waiting = shared.waiting.lock();
        let version = shared.version.load(Ordering::Acquire);
        if version != self.receiver.seen {
            self.receiver.seen = version;
            return Poll::Ready(Ok(()));
        }
        if shared.senders.load(Ordering::Acquire) == 0 {
            return Poll::Ready(Err(RecvError(())));
        }
        let ticket = *self.ticket.get_or_insert_with(|| {
            waiting.next += 1;
            waiting.next
        });
        waiting.wakers.insert(ticket, cx.waker().clone());
        Poll::Pending
    }
}

impl<T> Drop for Changed<'_, T> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            self.receiver.shared.waiting.lock().wakers.remove(&ticket);
        }
    }
}
