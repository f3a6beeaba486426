//! What a member does for other members, beyond raft.

use ringfence_core::{Refusal, Reply, Request};
use ringfence_proto::v1;

use super::{ProposeError, ReadIndexError};

/// What the peer service passes on to the rest of the server: writes and reads that another member forwards here because
/// this node leads.
#[async_trait::async_trait]
pub trait Forwards: Send + Sync + 'static {
    /// Proposes these requests as this node's own. One reply for each, in order.
    ///
    /// # Errors
    /// As [`super::Node::propose`].
    async fn propose(&self, requests: Vec<Request>) -> Result<Vec<Result<Reply, Refusal>>, ProposeError>;

    /// A quorum-confirmed read index.
    ///
    /// # Errors
    /// As [`super::Node::read_index`].
    async fn read_index(&self) -> Result<u64, ReadIndexError>;

    /// This member's account of itself, as `Cluster.Status` shows it.
    async fn status(&self) -> v1::MemberStatus;
}
