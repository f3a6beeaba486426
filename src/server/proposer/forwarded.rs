//! What other members forward because this one leads.

use std::sync::Arc;

use async_trait::async_trait;
use ringfence_core::{Refusal, Reply, Request};
use ringfence_proto::v1;

use super::{Proposer, WriteError};
use crate::{
    raft::{Forwards, ProposeError, ReadIndexError},
    reader::{ReadError, Reader},
};

/// Tells how this member is.
pub type Account = Arc<dyn Fn() -> v1::MemberStatus + Send + Sync>;

/// Serves the peer port with this member's proposer and reader.
pub struct Forwarded {
    proposer: Proposer,
    reader: Reader,
    account: Account,
}

impl Forwarded {
    /// `account` is asked each time another member wants to know how this one is; it must be quick.
    pub fn new(proposer: Proposer, reader: Reader, account: Account) -> Self {
        Self { proposer, reader, account }
    }

    fn leader(&self) -> Option<u64> {
        self.proposer.inner.node().and_then(|node| node.leadership().leader)
    }
}

#[async_trait]
impl Forwards for Forwarded {
    async fn propose(&self, requests: Vec<Request>) -> Result<Vec<Result<Reply, Refusal>>, ProposeError> {
        self.proposer.propose_here(requests).await.map_err(|error| match error {
            WriteError::NoLeader | WriteError::Overloaded { .. } => ProposeError::NotLeader { leader: self.leader() },
            WriteError::Unknown => ProposeError::Unknown,
            WriteError::Stopping => ProposeError::Stopped,
        })
    }

    async fn read_index(&self) -> Result<u64, ReadIndexError> {
        self.reader.index_here().await.map_err(|error| match error {
            ReadError::NoLeader => ReadIndexError::NotLeader { leader: self.leader() },
            ReadError::Behind { .. } | ReadError::Overloaded { .. } => ReadIndexError::NoQuorum,
            ReadError::Stopping => ReadIndexError::Stopped,
        })
    }

    async fn status(&self) -> v1::MemberStatus {
        (self.account)()
    }
}
