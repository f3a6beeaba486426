//! openraft's types with ours filled in: the one place where its generics are spelled out.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use openraft::type_config::alias;
use ringfence_core::{Entry, Refusal, Reply};

use super::{
    codec::{self, DecodeError},
    runtime::Runtime,
    state_machine::StateMachine,
};

openraft::declare_raft_types!(
    /// What raft is made of here.
    pub TypeConfig:
        D = Proposal,
        R = Applied,
        NodeId = u64,
        Node = Addresses,
        Entry = StoredEntry,
        AsyncRuntime = Runtime,
);

#[cfg(not(madsim))]
type StoredEntry = openraft::Entry<LeaderId, Payload>;
#[cfg(madsim)]
type StoredEntry = super::one_step::Entry;

/// Raft itself.
pub type Raft = openraft::Raft<TypeConfig, StateMachine>;
/// An entry's place in the log.
pub type LogId = alias::LogIdOf<TypeConfig>;
/// Who leads in which term.
pub type LeaderId = alias::CommittedLeaderIdOf<TypeConfig>;
/// A vote.
pub type Vote = alias::VoteOf<TypeConfig>;
/// An entry of the log.
pub type LogEntry = alias::EntryOf<TypeConfig>;
/// What an entry of the log holds.
pub type Payload = alias::EntryPayloadOf<TypeConfig>;
/// Who belongs to the cluster.
pub type Membership = openraft::Membership<u64, Addresses>;
/// A membership and where in the log it stands.
pub type StoredMembership = alias::StoredMembershipOf<TypeConfig>;
/// What a snapshot covers.
pub type SnapshotMeta = alias::SnapshotMetaOf<TypeConfig>;
/// What is called when entries are durable.
pub type Flushed = openraft::storage::IOFlushed<TypeConfig>;

/// Where a member is reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Addresses {
    /// `host:port` for clients.
    pub client: String,
    /// `host:port` for members.
    pub peer: String,
}

/// What raft carries: an entry, and its bytes, which are made once and then go to the log and to all members.
#[derive(Clone)]
pub struct Proposal {
    /// Decoded from the bytes.
    pub entry: Arc<Entry>,
    /// As in the log.
    pub bytes: Bytes,
}

impl Proposal {
    /// What is applied is what is read back from the bytes, on the leader too: all members apply the very same.
    ///
    /// # Errors
    /// None that input can cause; a codec that contradicts itself.
    pub fn new(entry: &Entry) -> Result<Self, DecodeError> {
        Self::from_bytes(codec::entry_to(entry))
    }

    /// From the log or from a member.
    ///
    /// # Errors
    /// If the bytes aren't an entry.
    pub fn from_bytes(bytes: Bytes) -> Result<Self, DecodeError> {
        Ok(Self { entry: Arc::new(codec::entry_from(&bytes)?), bytes })
    }
}

impl fmt::Debug for Proposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Proposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} requests in {} bytes", self.entry.requests.len(), self.bytes.len())
    }
}

impl PartialEq for Proposal {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

/// What applying an entry answers.
#[derive(Clone, Debug, Default)]
pub struct Applied {
    /// One for each request.
    pub replies: Vec<Result<Reply, Refusal>>,
}
