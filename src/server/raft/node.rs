//! A member of the cluster. (Skeleton.)
#![allow(unused_variables, clippy::unused_async, reason = "skeleton")]

use std::{future::Future, sync::Arc, time::Duration};

use ringfence_core::{Entry, Refusal, Reply, Request};
use ringfence_proto::v1;

use super::{
    Admin, AdminError, BootstrapError, ForwardError, Forwards, Leadership, Member, NodeSettings, NodeStatus, ProposeError,
    Proposed, ReadIndexError, StartError,
};
use crate::replica::Replica;

/// A running member. Clones are the same member.
#[derive(Clone)]
pub struct Node {
    inner: Arc<()>,
}

impl Node {
    /// Opens the disk, replays what is on it into `replica`, serves the peer port and takes part in the cluster.
    ///
    /// # Errors
    /// See [`StartError`]: each says what to do.
    pub async fn start(settings: NodeSettings, replica: Arc<Replica>, forwards: Arc<dyn Forwards>) -> Result<Self, StartError> {
        Ok(Self { inner: Arc::new(()) })
    }

    /// Makes a new cluster of these voters. Every initial member calls it with the same list at its start; where the disk already
    /// knows a cluster it does nothing.
    ///
    /// # Errors
    /// See [`BootstrapError`].
    pub async fn bootstrap(&self, members: Vec<Member>) -> Result<(), BootstrapError> {
        Ok(())
    }

    /// Puts an entry into the log and waits until it is applied here. Only on the leader. Dropping the future doesn't take the
    /// entry back.
    ///
    /// # Errors
    /// See [`ProposeError`], which says whether the entry may be applied all the same.
    pub async fn propose(&self, entry: Entry) -> Result<Proposed, ProposeError> {
        Err(ProposeError::Stopped)
    }

    /// An index such that a read after it is applied sees everything acknowledged before this call. Only on the leader; a
    /// quorum is asked. Wait for it with [`Replica::wait_applied`]. Cancel safe.
    ///
    /// # Errors
    /// See [`ReadIndexError`].
    pub async fn read_index(&self) -> Result<u64, ReadIndexError> {
        Err(ReadIndexError::Stopped)
    }

    /// Has another member propose these requests; see [`Forwards::propose`].
    ///
    /// # Errors
    /// See [`ForwardError`], which says whether they may be done all the same.
    pub async fn forward_propose(
        &self,
        to: u64,
        requests: Vec<Request>,
        deadline: Duration,
    ) -> Result<Vec<Result<Reply, Refusal>>, ForwardError> {
        Err(ForwardError::Unreachable("not yet".to_owned()))
    }

    /// Asks another member for a read index; see [`Forwards::read_index`]. Cancel safe.
    ///
    /// # Errors
    /// See [`ForwardError`].
    pub async fn forward_read_index(&self, to: u64, deadline: Duration) -> Result<u64, ForwardError> {
        Err(ForwardError::Unreachable("not yet".to_owned()))
    }

    /// Has another member do [`Node::admin`].
    ///
    /// # Errors
    /// See [`AdminError`].
    pub async fn forward_admin(&self, to: u64, admin: Admin, deadline: Duration) -> Result<(), AdminError> {
        Err(AdminError::Stopped)
    }

    /// Asks another member for its account of itself; see [`Forwards::status`]. Cancel safe.
    ///
    /// # Errors
    /// See [`ForwardError`].
    pub async fn forward_status(&self, to: u64, deadline: Duration) -> Result<v1::MemberStatus, ForwardError> {
        Err(ForwardError::Unreachable("not yet".to_owned()))
    }

    /// Who leads, as far as this node knows now.
    pub fn leadership(&self) -> Leadership {
        Leadership::default()
    }

    /// Waits until [`Node::leadership`] differs from what was seen, and returns it. Cancel safe.
    pub async fn leadership_changed(&self, seen: &Leadership) -> Leadership {
        std::future::pending().await
    }

    /// Figures about this node.
    pub fn status(&self) -> NodeStatus {
        NodeStatus::default()
    }

    /// Who belongs to the cluster, in the order of their ids; from this node's newest configuration.
    pub fn members(&self) -> Vec<Member> {
        Vec::new()
    }

    /// Changes the members, or who leads. Only on the leader. Waits until it is done.
    ///
    /// # Errors
    /// See [`AdminError`].
    pub async fn admin(&self, admin: Admin) -> Result<(), AdminError> {
        Err(AdminError::Stopped)
    }

    /// Stops in good order: hands leadership over if this node leads (bounded by
    /// [`NodeSettings::handover_timeout`]), stops raft, syncs, closes the disk and the peer port. A second call waits for the first.
    pub async fn stop(&self) {}

    /// Resolves with a message when the node can't go on: a failed sync, damage. It has then stopped taking part; the process
    /// must end. Cancel safe.
    pub fn failed(&self) -> impl Future<Output = String> + Send + 'static {
        std::future::pending()
    }
}
