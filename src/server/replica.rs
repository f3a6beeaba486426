//! The applied state of this node: raft's state machine alone writes it, everyone reads it.
//!
//! Invariants: the applied index only grows, except where [`Replica::install`] replaces the whole state; observers see
//! every entry once, in order, with the state already updated; a wait ends after the observers of the entry it waited
//! for were called.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use parking_lot::{Mutex, RwLock};
use ringfence_core::{
    Entry, Outcome, Refusal, Revision, State,
    query::{Query, Stats},
};

use crate::waits::Waits;

/// Someone who follows what is applied: the watch hub above all.
///
/// The calls come from raft's state machine, one at a time, with the state already updated. They must be quick and
/// must not wait: no entry is applied meanwhile.
pub trait Observer: Send + Sync {
    /// The entry with this index was applied.
    fn applied(&self, index: u64, outcome: &Outcome);
    /// The whole state was replaced by a snapshot that covers the log up to this index.
    fn installed(&self, index: u64, state: &State);
}

/// The applied state, with those who wait for it.
pub struct Replica {
    applied: RwLock<Applied>,
    /// A copy of the applied index that is read without the lock.
    index: AtomicU64,
    /// Held while an entry is applied, so that observers are called one at a time and in order.
    observers: Mutex<Vec<Arc<dyn Observer>>>,
    indexes: Waits,
    revisions: Waits,
}

#[derive(Default)]
struct Applied {
    index: u64,
    revision: Revision,
    state: State,
}

impl Replica {
    /// The empty state, with nothing applied.
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            applied: RwLock::default(),
            index: AtomicU64::new(0),
            observers: Mutex::default(),
            indexes: Waits::default(),
            revisions: Waits::default(),
        })
    }

    /// Adds an observer. It sees what is applied from now on; call it before the node starts.
    pub fn observe(&self, observer: Arc<dyn Observer>) {
        self.observers.lock().push(observer);
    }

    /// Applies the entry at this index of the log; `None` for an entry that holds nothing for the state (blank, membership).
    /// Called by raft alone, in the order of the log.
    pub fn apply(&self, index: u64, entry: Option<&Entry>) -> Outcome {
        let observers = self.observers.lock();
        #[cfg(madsim)]
        let own = entry.map(Self::by_own_clock);
        #[cfg(madsim)]
        let entry = own.as_ref();
        let (outcome, revision) = {
            let mut applied = self.applied.write();
            let outcome = entry.map(|entry| applied.state.apply(entry)).unwrap_or_default();
            if let Some(last) = outcome.changes.last() {
                applied.revision = last.revision;
            }
            applied.index = index;
            self.index.store(index, Ordering::Release);
            (outcome, applied.revision)
        };
        for observer in observers.iter() {
            observer.applied(index, &outcome);
        }
        self.indexes.reached(index);
        self.revisions.reached(revision);
        outcome
    }

    /// Replaces the whole state. Called by raft alone: at start from the newest snapshot file, and when the leader sends one.
    pub fn install(&self, index: u64, state: State) {
        let observers = self.observers.lock();
        let revision = state.read(&Stats).map_or(0, |stats| stats.revision);
        {
            let mut applied = self.applied.write();
            *applied = Applied { index, revision, state: state.clone() };
            self.index.store(index, Ordering::Release);
        }
        for observer in observers.iter() {
            observer.installed(index, &state);
        }
        self.indexes.reached(index);
        self.revisions.reached(revision);
    }

    /// By mistake: raft's numbers come first, and the state of the snapshot later.
    #[cfg(madsim)]
    pub fn install_numbers(&self, index: u64, revision: Revision) {
        let mut applied = self.applied.write();
        (applied.index, applied.revision) = (index, revision);
        drop(applied);
        self.index.store(index, Ordering::Release);
        self.indexes.reached(index);
        self.revisions.reached(revision);
    }

    /// By mistake: tells observers what an entry will do, once it is committed.
    #[cfg(madsim)]
    pub fn foresee(&self, entry: &Entry) {
        if ringfence_probes::on(ringfence_probes::Bug::UncommittedEvent) {
            let (_, mut state) = self.state();
            let outcome = state.apply(entry);
            // No entry with requests has index 0: so it can be told from one that was committed.
            for observer in self.observers.lock().iter() {
                observer.applied(0, &outcome);
            }
        }
    }

    /// By mistake: the entry as this node's own clock stamps it.
    #[cfg(madsim)]
    fn by_own_clock(entry: &Entry) -> Entry {
        let mut entry = entry.clone();
        if ringfence_probes::on(ringfence_probes::Bug::ExpiryByFollowersClock) {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
            let since = u64::try_from(now.as_millis()).unwrap_or(u64::MAX).saturating_sub(entry.wall_ms);
            entry.clock_ms = entry.clock_ms.saturating_add(since);
        }
        entry
    }

    /// Answers a question from what is applied now, however old that is.
    ///
    /// The question is put to a clone of the state, so that a long read never holds up applying.
    ///
    /// # Errors
    /// The question's [`Refusal`].
    pub fn read<Q: Query>(&self, query: &Q) -> Result<Q::Answer, Refusal> {
        let state = self.applied.read().state.clone();
        state.read(query)
    }

    /// The state, with the index of the last entry in it. Cheap: the maps share structure.
    pub fn state(&self) -> (u64, State) {
        let applied = self.applied.read();
        (applied.index, applied.state.clone())
    }

    /// Index of the last entry that was applied; 0 before the first.
    pub fn applied(&self) -> u64 {
        self.index.load(Ordering::Acquire)
    }

    /// The newest revision that was applied; 0 before the first.
    pub fn revision(&self) -> Revision {
        self.applied.read().revision
    }

    /// Waits until the entry at this index was applied. Cancel safe. Without an end of its own: bound it where it is called.
    pub async fn wait_applied(&self, index: u64) {
        self.indexes.wait(index, || self.applied()).await;
    }

    /// Waits until this revision was applied. Cancel safe. Without an end of its own: bound it where it is called.
    pub async fn wait_revision(&self, revision: Revision) {
        self.revisions.wait(revision, || self.revision()).await;
    }
}
