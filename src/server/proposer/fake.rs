//! A consensus that a test plays, and what is built on it.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use async_trait::async_trait;
use parking_lot::Mutex;
use ringfence_core::{Entry, Refusal, Reply, Request};
use tokio::{
    sync::{Notify, Semaphore},
    task::yield_now,
};

use super::{Consensus, Proposer, Replies};
use crate::{
    raft::{ForwardError, Leadership, ProposeError, Proposed, ReadIndexError},
    reader::Reader,
    replica::Replica,
    stopping::Stopping,
};

/// A member whose log is never lost and whose leadership and failures are what the test says.
pub struct Fake {
    pub replica: Arc<Replica>,
    pub leadership: Mutex<Leadership>,
    pub changed: Notify,
    /// What the next proposals end in, each after being applied if so marked.
    pub failures: Mutex<VecDeque<(ProposeError, bool)>>,
    pub forward_failures: Mutex<VecDeque<ForwardError>>,
    /// Proposals pass one by one while there are permits.
    pub gate: Semaphore,
    pub entries: Mutex<Vec<Entry>>,
    pub forwarded: Mutex<Vec<(u64, usize)>>,
    /// Members that never answer what is forwarded to them.
    pub mute: Mutex<Vec<u64>>,
    pub read_rounds: Mutex<usize>,
}

#[async_trait]
impl Consensus for Fake {
    async fn propose(&self, entry: Entry) -> Result<Proposed, ProposeError> {
        self.gate.acquire().await.unwrap().forget();
        let failure = match entry.requests.is_empty() {
            true => None,
            false => self.failures.lock().pop_front(),
        };
        if matches!(failure, Some((_, false))) {
            return Err(failure.unwrap().0);
        }
        let replies = self.apply(&entry);
        match failure {
            Some((error, _)) => Err(error),
            None => Ok(Proposed { index: self.replica.applied(), term: 1, replies }),
        }
    }

    async fn read_index(&self) -> Result<u64, ReadIndexError> {
        *self.read_rounds.lock() += 1;
        yield_now().await;
        match self.leadership.lock().is_me {
            true => Ok(self.replica.applied()),
            false => Err(ReadIndexError::NotLeader { leader: None }),
        }
    }

    async fn forward_propose(
        &self,
        to: u64,
        requests: Vec<Request>,
        _: Duration,
    ) -> Result<Vec<Result<Reply, Refusal>>, ForwardError> {
        self.forwarded.lock().push((to, requests.len()));
        if self.mute.lock().contains(&to) {
            std::future::pending::<()>().await;
        }
        if let Some(error) = self.forward_failures.lock().pop_front() {
            return Err(error);
        }
        Ok(self.apply(&Entry { requests, ..Entry::default() }))
    }

    async fn forward_read_index(&self, _: u64, _: Duration) -> Result<u64, ForwardError> {
        Ok(self.replica.applied())
    }

    fn leadership(&self) -> Leadership {
        *self.leadership.lock()
    }

    async fn leadership_changed(&self, seen: &Leadership) -> Leadership {
        loop {
            let changed = self.changed.notified();
            let now = self.leadership();
            if now != *seen {
                return now;
            }
            changed.await;
        }
    }
}

impl Fake {
    pub fn apply(&self, entry: &Entry) -> Replies {
        let mut entries = self.entries.lock();
        entries.push(entry.clone());
        self.replica.apply(self.replica.applied() + 1, Some(entry)).replies
    }

    pub fn lead(&self, leadership: Leadership) {
        *self.leadership.lock() = leadership;
        self.changed.notify_waiters();
    }

    /// Requests of each entry that isn't a tick.
    pub fn batches(&self) -> Vec<usize> {
        self.entries.lock().iter().map(|entry| entry.requests.len()).filter(|&len| len > 0).collect()
    }
}

pub const NOBODY: Leadership = Leadership { term: 1, leader: None, is_me: false, cut_off: false };
/// It led, and no majority answers it.
pub const CUT_OFF: Leadership = Leadership { term: 1, leader: None, is_me: false, cut_off: true };
pub const ME: Leadership = Leadership { term: 1, leader: Some(1), is_me: true, cut_off: false };
pub const OTHER: Leadership = Leadership { term: 1, leader: Some(2), is_me: false, cut_off: false };

/// What stands on it.
pub struct World {
    pub fake: Arc<Fake>,
    pub proposer: Proposer,
    pub reader: Reader,
    pub stopping: Stopping,
}

/// A server's way of writes and reads on a consensus that begins like this, and lets so many proposals pass.
pub fn world(leadership: Leadership, permits: usize) -> World {
    let replica = Replica::new();
    let fake = Arc::new(Fake {
        replica: replica.clone(),
        leadership: Mutex::new(leadership),
        changed: Notify::new(),
        failures: Mutex::default(),
        forward_failures: Mutex::default(),
        gate: Semaphore::new(permits),
        entries: Mutex::default(),
        forwarded: Mutex::default(),
        mute: Mutex::default(),
        read_rounds: Mutex::default(),
    });
    let stopping = Stopping::new();
    let proposer = Proposer::new(replica.clone(), stopping.clone());
    let reader = Reader::new(replica, &proposer, stopping.clone());
    proposer.start(fake.clone());
    World { fake, proposer, reader, stopping }
}
