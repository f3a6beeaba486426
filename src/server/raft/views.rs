//! How the cluster looks from this node.

use ringfence_core::{Refusal, Reply};

/// A member of the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Member {
    /// Its node id.
    pub id: u64,
    /// `host:port` for clients.
    pub client_address: String,
    /// `host:port` for members.
    pub peer_address: String,
    /// It votes; otherwise it is a learner, which only receives the log.
    pub voter: bool,
}

/// Who leads, as far as this node knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Leadership {
    /// Raft's term.
    pub term: u64,
    /// The leader's node id, if one is known.
    pub leader: Option<u64>,
    /// This node leads, and a quorum has confirmed that by electing it.
    pub is_me: bool,
    /// This node was elected, and no majority answers it any more: others may know who leads, and it won't.
    pub cut_off: bool,
}

/// Figures about this node's part in raft. Indexes are 0 where there is nothing yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeStatus {
    /// This node's id.
    pub id: u64,
    /// Raft's term.
    pub term: u64,
    /// The leader's node id, if one is known. A leader that no majority answers doesn't take itself for one here, and one that was
    /// not heard for as long as the longest election time-out isn't named.
    pub leader: Option<u64>,
    /// Index of the last log entry on disk.
    pub last_log: u64,
    /// Index of the last entry known to be committed.
    pub committed: u64,
    /// Index of the last entry that was applied.
    pub applied: u64,
    /// Index of the last entry that was purged from the log.
    pub purged: u64,
    /// Index of the last entry that the newest snapshot covers.
    pub snapshot: u64,
    /// Bytes on disk, of log and snapshots.
    pub disk_bytes: u64,
    /// Bytes free on the disk, for this node's user.
    pub disk_free_bytes: u64,
    /// There is less room on the disk than the reserve: nothing more is taken, and this node doesn't lead.
    pub disk_full: bool,
    /// The disk stalls, or did a moment ago: this node doesn't stand for election.
    pub disk_stalled: bool,
}

/// An entry that was applied on this node after a quorum had it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposed {
    /// Its index in the log.
    pub index: u64,
    /// The term in which it was proposed.
    pub term: u64,
    /// One for each request of the entry, in order.
    pub replies: Vec<Result<Reply, Refusal>>,
}

/// A change of the members, or of who leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admin {
    /// Adds a member that receives the log and doesn't vote.
    AddLearner(Member),
    /// Makes a learner a voter.
    Promote {
        /// The learner.
        id: u64,
        /// Even if it lags.
        force: bool,
    },
    /// Takes a member out.
    Remove {
        /// The member.
        id: u64,
        /// Even if the voters left are no majority of themselves, as far as they answer.
        force: bool,
    },
    /// Hands leadership to a voter.
    TransferLeader {
        /// The voter; 0: whoever is best up to date.
        id: u64,
    },
}

/// A change that is done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AdminDone {
    /// After a transfer of leadership: who leads, as the member that led before learned it. `None` after every other change, and from a
    /// member of an earlier version.
    pub leader: Option<u64>,
}
