//! Writes: from a call on any member to the log of the leader, and the reply back.
//!
//! [`Proposer`] is the door. What is asked waits in a [`queue`], one for each of the [`lanes`], and leaves in batches by
//! [`dispatch`], stamped with the [`clock`] where this node leads and forwarded where another does. What the [`leader`] does
//! of itself is beside it, and [`renewals`] are gathered before they come here. [`consensus`] is the edge to raft.
//!
//! Invariants: a write is sent a second time only if it was surely not done or if doing it twice changes nothing; each call
//! gets exactly one answer; nothing is stamped before the clock of the term was taken over.

mod clock;
mod consensus;
mod dispatch;
mod errors;
#[cfg(test)]
pub(crate) mod fake;
mod forwarded;
mod lanes;
mod leader;
mod link;
mod queue;
mod renewals;
#[cfg(test)]
mod tests;

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use parking_lot::RwLock;
use ringfence_core::{Command, Refusal, Reply, Request, SessionId};
use tokio::sync::{Notify, oneshot};

use self::{
    clock::Clock,
    lanes::{Kind, Lanes},
    queue::Group,
    renewals::Renewals,
};
pub use self::{
    consensus::Consensus,
    errors::WriteError,
    forwarded::{Account, Forwarded},
    link::Link,
    queue::Replies,
    renewals::Renewed,
};
use crate::{limits::RETRY_AFTER_MS, replica::Replica, stopping::Stopping};

/// How long a leader is looked for before a write is given up. Several elections.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// The door for writes. Clones are the same door.
#[derive(Clone)]
pub struct Proposer {
    inner: Arc<Inner>,
}

struct Inner {
    replica: Arc<Replica>,
    stopping: Stopping,
    link: Link,
    lanes: Lanes,
    /// The clock of the term in which this node leads.
    clock: RwLock<Option<Arc<Clock>>>,
    clock_came: Notify,
    renewals: Renewals,
}

impl Proposer {
    /// A proposer without a node: writes are answered [`WriteError::NoLeader`] until [`Proposer::start`].
    pub fn new(replica: Arc<Replica>, stopping: Stopping) -> Self {
        Self {
            inner: Arc::new(Inner {
                replica,
                stopping,
                link: Link::default(),
                lanes: Lanes::default(),
                clock: RwLock::default(),
                clock_came: Notify::new(),
                renewals: Renewals::default(),
            }),
        }
    }

    /// Begins to work on this node, until the server stops. Call it once, within the runtime.
    pub fn start(&self, node: Arc<dyn Consensus>) {
        self.inner.link.set(node.clone());
        tokio::spawn(leader::run(self.inner.clone(), node));
        tokio::spawn(renewals::run(self.clone()));
    }

    /// Where raft is, for the reader.
    pub fn link(&self) -> Link {
        self.inner.link.clone()
    }

    /// Proposes these requests, one after the other in one entry, and waits until they are applied: here if this node
    /// leads, else on the leader. One reply for each.
    ///
    /// A leader is looked for up to [`PATIENCE`]; the answer comes at the latest so much later, plus raft's own time limit
    /// for a quorum. Dropping the future doesn't take the requests back.
    ///
    /// # Errors
    /// See [`WriteError`], which says whether they may be done all the same.
    pub async fn propose(&self, requests: Vec<Request>) -> Result<Replies, WriteError> {
        self.submit(requests, false, PATIENCE).await
    }

    /// As [`Proposer::propose`], of one request.
    ///
    /// # Errors
    /// As there.
    pub async fn propose_one(&self, request: Request) -> Result<Result<Reply, Refusal>, WriteError> {
        let mut replies = self.propose(vec![request]).await?;
        replies.pop().ok_or(WriteError::Unknown)
    }

    /// As [`Proposer::propose`], only as long as this node leads: for what others forward.
    pub(crate) async fn propose_here(&self, requests: Vec<Request>) -> Result<Replies, WriteError> {
        self.submit(requests, true, PATIENCE).await
    }

    /// Renews these sessions together with all others that come within the window. Cancel safe: what was asked may be done
    /// all the same.
    ///
    /// # Errors
    /// See [`WriteError`]. [`WriteError::Unknown`] says nothing about the sessions: ask again.
    pub async fn renew(&self, ids: Vec<SessionId>) -> Result<Renewed, WriteError> {
        if self.inner.stopping.is_stopping() {
            return Err(WriteError::Stopping);
        }
        self.inner.renewals.renew(ids).await
    }

    /// Opens a session under a random id.
    ///
    /// # Errors
    /// See [`WriteError`]. A session that was opened all the same expires by itself.
    pub async fn open_session(&self, ttl_ms: u64, owner: String) -> Result<Result<Reply, Refusal>, WriteError> {
        let command = Command::OpenSession { id: random_session_id(), ttl_ms, owner };
        self.propose_one(command.into()).await
    }

    async fn submit(&self, requests: Vec<Request>, here_only: bool, patience: Duration) -> Result<Replies, WriteError> {
        if self.inner.stopping.is_stopping() {
            return Err(WriteError::Stopping);
        }
        if self.inner.node().is_none() {
            return Err(WriteError::NoLeader);
        }
        if requests.is_empty() {
            return Ok(Vec::new());
        }
        let kind = Kind::of(&requests);
        let (answer, receiver) = oneshot::channel();
        let group = Group::new(requests, here_only, patience, answer);
        if self.inner.lanes.of(kind).queue.push(group).is_err() {
            return Err(WriteError::Overloaded { retry_after_ms: RETRY_AFTER_MS });
        }
        dispatch::begin(&self.inner, kind);
        // A sender is dropped only if its runner was, at the end of the runtime.
        receiver.await.unwrap_or(Err(WriteError::Unknown))
    }
}

impl Inner {
    fn node(&self) -> Option<Arc<dyn Consensus>> {
        self.link.get()
    }

    fn any_clock(&self) -> Option<Arc<Clock>> {
        self.clock.read().clone()
    }

    /// The clock of this term, if it was taken over.
    fn clock(&self, term: u64) -> Option<Arc<Clock>> {
        self.any_clock().filter(|clock| clock.term() == term)
    }

    fn set_clock(&self, clock: Option<Arc<Clock>>) {
        *self.clock.write() = clock;
        self.clock_came.notify_waiters();
    }
}

/// A random session id: 63 bits, so that it fits signed wire formats, and not 0.
fn random_session_id() -> SessionId {
    SessionId((rand::random::<u64>() >> 1).max(1))
}

/// The wall clock in milliseconds since 1970, for people. Nothing decides by it.
pub(crate) fn wall_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
