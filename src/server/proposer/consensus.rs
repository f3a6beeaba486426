//! The edge to raft: the few calls that the proposer and the reader need of it, so that tests can put something else there.

use std::time::Duration;

use async_trait::async_trait;
use ringfence_core::{Entry, Refusal, Reply, Request};

use crate::raft::{ForwardError, Leadership, Node, ProposeError, Proposed, ReadIndexError};

/// What is needed of raft. Each is as the method of [`Node`] with the same name.
#[async_trait]
pub trait Consensus: Send + Sync + 'static {
    /// Puts an entry into the log and waits until it is applied here.
    async fn propose(&self, entry: Entry) -> Result<Proposed, ProposeError>;
    /// An index that covers everything acknowledged before the call.
    async fn read_index(&self) -> Result<u64, ReadIndexError>;
    /// Has another member propose these requests.
    async fn forward_propose(
        &self,
        to: u64,
        requests: Vec<Request>,
        deadline: Duration,
    ) -> Result<Vec<Result<Reply, Refusal>>, ForwardError>;
    /// Asks another member for a read index.
    async fn forward_read_index(&self, to: u64, deadline: Duration) -> Result<u64, ForwardError>;
    /// Who leads.
    fn leadership(&self) -> Leadership;
    /// Waits until that differs from what was seen.
    async fn leadership_changed(&self, seen: &Leadership) -> Leadership;
    /// Waits until this node can't learn what is committed.
    async fn held_up(&self) {
        std::future::pending().await
    }
}

#[async_trait]
impl Consensus for Node {
    async fn propose(&self, entry: Entry) -> Result<Proposed, ProposeError> {
        Node::propose(self, entry).await
    }

    async fn read_index(&self) -> Result<u64, ReadIndexError> {
        Node::read_index(self).await
    }

    async fn forward_propose(
        &self,
        to: u64,
        requests: Vec<Request>,
        deadline: Duration,
    ) -> Result<Vec<Result<Reply, Refusal>>, ForwardError> {
        Node::forward_propose(self, to, requests, deadline).await
    }

    async fn forward_read_index(&self, to: u64, deadline: Duration) -> Result<u64, ForwardError> {
        Node::forward_read_index(self, to, deadline).await
    }

    fn leadership(&self) -> Leadership {
        Node::leadership(self)
    }

    async fn leadership_changed(&self, seen: &Leadership) -> Leadership {
        Node::leadership_changed(self, seen).await
    }

    async fn held_up(&self) {
        Node::held_up(self).await;
    }
}
