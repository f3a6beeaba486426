//! What applying an entry gives back: replies for who asked, changes for who watches.

use std::sync::Arc;

use bytes::Bytes;

use crate::command::{Mode, Revision, SessionId, Token};
use crate::query::RangeAnswer;
use crate::refusal::Refusal;

/// The result of one [`crate::Entry`].
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// One for each request, in order.
    pub replies: Vec<Result<Reply, Refusal>>,
    /// The revisions that were made, oldest first.
    pub changes: Vec<Arc<Change>>,
    /// Claims that became owners, in the order of their tokens within each queue.
    pub granted: Vec<Grant>,
    /// Claims that are gone, owners and waiters.
    pub ended: Vec<Grant>,
    /// Names of queues whose owners or whose owners' values changed, sorted, each once.
    pub queues: Vec<Bytes>,
    /// Sessions that expired.
    pub expired: Vec<SessionId>,
    /// The level that the cluster has from now on, where it was raised.
    pub level: Option<u32>,
}

/// A claim that was granted, or that ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Name of the queue.
    pub name: Bytes,
    /// The claim's key.
    pub key: Bytes,
    /// The claim's session.
    pub session: SessionId,
    /// The claim's fencing token.
    pub token: Token,
}

/// What a request that was not refused is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// To [`crate::Command::Txn`].
    Txn(TxnReply),
    /// To [`crate::Command::Compact`].
    Compacted,
    /// To [`crate::Command::OpenSession`].
    SessionOpened {
        /// The session.
        id: SessionId,
        /// Its TTL.
        ttl_ms: u64,
    },
    /// To [`crate::Command::RenewSessions`]: for each id, in order, its TTL in milliseconds, or `None` if it isn't alive.
    SessionsRenewed(Vec<Option<u64>>),
    /// To [`crate::Command::CloseSession`].
    SessionClosed {
        /// Keys and claims that went.
        deleted: u64,
    },
    /// To [`crate::Command::Claim`].
    Claimed(ClaimView),
    /// To [`crate::Command::Release`] and [`crate::Command::ForceRelease`]: the claim as it was.
    Released(ClaimView),
    /// To [`crate::Command::Proclaim`].
    Proclaimed,
    /// To [`crate::Command::RaiseLevel`].
    LevelRaised {
        /// The level that the cluster has: as asked for, or higher.
        level: u32,
    },
}

/// The answer of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TxnReply {
    /// All comparisons held.
    pub succeeded: bool,
    /// The state's revision after the transaction: the one it made, if it changed anything.
    pub revision: Revision,
    /// One for each operation that was done.
    pub results: Vec<OpReply>,
}

/// The answer of one operation of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OpReply {
    /// To [`crate::Op::Put`].
    Put {
        /// The key that was written.
        key: Bytes,
        /// The version replaced, if asked for.
        prev: Option<KeyView>,
    },
    /// To [`crate::Op::Delete`].
    Delete {
        /// How many.
        deleted: u64,
        /// What was deleted, if asked for.
        prev: Vec<KeyView>,
    },
    /// To [`crate::Op::Range`].
    Range(RangeAnswer),
}

/// One version of one key, as readers see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyView {
    /// The key.
    pub key: Bytes,
    /// The value; empty where only keys were asked for.
    pub value: Bytes,
    /// Revision of creation.
    pub create_revision: Revision,
    /// Revision of this version.
    pub mod_revision: Revision,
    /// 1 for the version that created the key.
    pub version: u64,
    /// The session it is bound to.
    pub session: Option<SessionId>,
    /// Leader's wall clock at this version, milliseconds since 1970.
    pub wall_ms: u64,
    /// The key is a claim.
    pub claim: bool,
}

/// A claim, as readers see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimView {
    /// Name of the queue.
    pub name: Bytes,
    /// The claim's key.
    pub key: Bytes,
    /// The claim's session.
    pub session: SessionId,
    /// The session's description.
    pub session_owner: String,
    /// The claim's suffix.
    pub suffix: Bytes,
    /// The fencing token.
    pub token: Token,
    /// How it shares the name.
    pub mode: Mode,
    /// It is among the owners.
    pub owner: bool,
    /// Its value.
    pub value: Bytes,
    /// Leader's wall clock at claiming.
    pub claimed_wall_ms: u64,
    /// Leader's wall clock when it became an owner, 0 while it waits.
    pub granted_wall_ms: u64,
    /// Revision of its last change.
    pub mod_revision: Revision,
}

/// All events of one revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The revision.
    pub revision: Revision,
    /// In the order in which they were made; each key at most once.
    pub events: Vec<Event>,
}

/// What happened to one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Put or delete.
    pub kind: EventKind,
    /// The new version; for a deletion only key, `mod_revision` and `wall_ms` say something.
    pub key: KeyView,
    /// The version before.
    pub prev: Option<KeyView>,
}

/// What an event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// The key was written.
    Put,
    /// The key was deleted.
    Delete,
}
