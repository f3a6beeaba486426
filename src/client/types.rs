//! What calls give back: plain structs, apart from the wire's.

use std::time::Duration;

use bytes::Bytes;

/// A count of changes of the whole keyspace: every committed change takes the next. 0 is the empty keyspace.
pub type Revision = u64;

/// A claim's fencing token: the revision in which the claim was made. Greater than every token granted before.
pub type Token = u64;

/// A session's id: random, 1 to 2^63 - 1.
pub type SessionId = u64;

/// One version of one key.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct KeyValue {
    /// The key.
    pub key: Bytes,
    /// The value; empty also where only keys were asked for.
    pub value: Bytes,
    /// The revision in which the key was created, since it was last absent. For a claim its fencing token.
    pub create_revision: Revision,
    /// The revision of this version.
    pub mod_revision: Revision,
    /// 1 for the version that created the key, then one more with each change.
    pub version: u64,
    /// The session that the key is bound to: it goes when that ends.
    pub session: Option<SessionId>,
    /// The leader's wall clock at this version, milliseconds since 1970. For people.
    pub modified_wall_ms: u64,
    /// The key is a claim of a lock or an election.
    pub claim: bool,
}

/// A version of a key in its history.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct KeyVersion {
    /// The version; of a deletion `key` and `mod_revision` say something.
    pub kv: KeyValue,
    /// The key was deleted in `kv.mod_revision`.
    pub deleted: bool,
}

/// How a claim shares its name with others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum LockMode {
    /// One owner at a time.
    #[default]
    Exclusive,
    /// Any number of shared owners at a time; none overtakes an exclusive claim that waits.
    Shared,
    /// Up to this many owners at a time, 1 to 1048576. All claims of one name must say the same number.
    Semaphore(u32),
}

/// A claim in the queue of a lock or of an election.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Claim {
    /// Name of the lock or the election.
    pub name: Bytes,
    /// The key that carries the claim.
    pub key: Bytes,
    /// Its session.
    pub session: SessionId,
    /// The client's suffix; empty where the session claims the name once.
    pub suffix: Bytes,
    /// The fencing token.
    pub token: Token,
    /// How it shares the name.
    pub mode: LockMode,
    /// It is among the owners.
    pub owner: bool,
    /// What the candidate published, or what a lock's client wrote for people to read.
    pub value: Bytes,
    /// The session's description.
    pub session_owner: String,
    /// The leader's wall clock when the claim was made, milliseconds since 1970. For people.
    pub claimed_wall_ms: u64,
    /// The leader's wall clock when the claim became an owner; 0 while it waits. For people.
    pub granted_wall_ms: u64,
    /// Revision of the claim's last change.
    pub mod_revision: Revision,
}

/// A lock's owners and waiters.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct LockDescription {
    /// The revision it was read at.
    pub revision: Revision,
    /// Oldest first, as many as were asked for; empty if the lock is free.
    pub owners: Vec<Claim>,
    /// How many own it in all.
    pub owning: u64,
    /// In the order in which they will be granted, as many as were asked for.
    pub waiters: Vec<Claim>,
    /// How many wait in all.
    pub waiting: u64,
}

/// One name in the list of locks.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct LockSummary {
    /// The name.
    pub name: Bytes,
    /// The oldest owner.
    pub owner: Claim,
    /// How many owners.
    pub owners: u64,
    /// How many wait.
    pub waiting: u64,
}

/// A part of a list, and whether there is more.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Page<T> {
    /// In order.
    pub items: Vec<T>,
    /// There are further ones: ask again from after the last.
    pub more: bool,
}

/// Whether a token is a current owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Validation {
    /// The token owns the lock now.
    pub owner: bool,
    /// The highest token among the owners, 0 if there are none.
    pub current_token: Token,
}

/// An election at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct LeaderView {
    /// The revision it was read at.
    pub revision: Revision,
    /// `None`: nobody leads now.
    pub leader: Option<Claim>,
    /// Candidates that wait behind the leader.
    pub waiting: u64,
}

/// A session as the cluster knows it.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct SessionInfo {
    /// Its id.
    pub id: SessionId,
    /// Who opened it, for people.
    pub owner: String,
    /// Its TTL.
    pub ttl: Duration,
    /// Time to its deadline by the cluster's clock, which stands still while nobody leads.
    pub remaining: Duration,
    /// The leader's wall clock at opening, milliseconds since 1970. For people.
    pub opened_wall_ms: u64,
    /// Keys bound to it, claims included.
    pub keys: u64,
}

/// A session and what is bound to it.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct SessionDescription {
    /// The session.
    pub session: SessionInfo,
    /// Keys bound to it, claims included, in order; at most 1000.
    pub keys: Vec<Bytes>,
}

/// Answer to a range read.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct RangeResult {
    /// The revision of the state that was read.
    pub revision: Revision,
    /// The entries.
    pub kvs: Vec<KeyValue>,
    /// There are further keys: ask again from the last on.
    pub more: bool,
    /// Keys in the whole range, whatever the limit.
    pub count: u64,
}

/// Answer to a put.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct PutResult {
    /// The revision that the put made.
    pub revision: Revision,
    /// The key that was written; differs from the one asked for with `sequential`.
    pub key: Bytes,
    /// The version replaced, if it was asked for and there was one.
    pub prev: Option<KeyValue>,
}

/// Answer to a deletion.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct DeleteResult {
    /// The revision after it. Deleting nothing makes none.
    pub revision: Revision,
    /// How many keys were deleted.
    pub deleted: u64,
    /// What was deleted, if it was asked for.
    pub prev: Vec<KeyValue>,
}

/// Answer to a transaction.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct TxnResult {
    /// The revision after it.
    pub revision: Revision,
    /// All comparisons held, so `then` was done; otherwise `otherwise` was.
    pub succeeded: bool,
    /// One for each operation done, in order.
    pub results: Vec<OpResult>,
}

/// Answer to one operation of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OpResult {
    /// Of a put.
    Put(PutResult),
    /// Of a deletion.
    Delete(DeleteResult),
    /// Of a range read.
    Range(RangeResult),
}

/// Versions of one key.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct History {
    /// The revision it was read at.
    pub revision: Revision,
    /// Newest first.
    pub versions: Vec<KeyVersion>,
    /// There are older ones than the limit allowed.
    pub more: bool,
    /// Versions below this revision were compacted away.
    pub compacted: Revision,
}

/// What happened to one key.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Event {
    /// Put or deletion.
    pub kind: EventKind,
    /// The new version; of a deletion its key, and as `mod_revision` the revision of the deletion.
    pub kv: KeyValue,
    /// The version before, if it was asked for and history still had it.
    pub prev: Option<KeyValue>,
}

/// What an event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// The key was written.
    Put,
    /// The key was deleted.
    Delete,
}

/// A member of the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Member {
    /// Its node id.
    pub id: u64,
    /// `host:port` for clients.
    pub client_address: String,
    /// `host:port` for members.
    pub peer_address: String,
    /// It votes; otherwise it is a learner.
    pub voter: bool,
}

/// Who belongs to the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Members {
    /// The cluster's random number.
    pub cluster_id: u64,
    /// The member that answered.
    pub answered_by: u64,
    /// The leader's node id, if one is known.
    pub leader: Option<u64>,
    /// All members.
    pub members: Vec<Member>,
}

/// How the cluster is, as one member sees it.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ClusterStatus {
    /// The cluster's random number.
    pub cluster_id: u64,
    /// The member that answered.
    pub answered_by: u64,
    /// The leader's node id, if one is known.
    pub leader: Option<u64>,
    /// The raft term.
    pub term: u64,
    /// The revision of the member that answered.
    pub revision: Revision,
    /// Each member's own account.
    pub members: Vec<MemberStatus>,
}

/// One member's account of itself.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct MemberStatus {
    /// Who.
    pub member: Member,
    /// It answered. If not, `error` says why and the rest is empty.
    pub reachable: bool,
    /// Why it didn't answer.
    pub error: String,
    /// Whom it follows, itself if it leads.
    pub leader: Option<u64>,
    /// Its raft term.
    pub term: u64,
    /// Last log entry on its disk.
    pub last_log_index: u64,
    /// Last entry it knows to be committed.
    pub committed_index: u64,
    /// Last entry it has applied.
    pub applied_index: u64,
    /// Last entry it has purged.
    pub purged_index: u64,
    /// Last entry that its newest snapshot covers.
    pub snapshot_index: u64,
    /// Its revision.
    pub revision: Revision,
    /// Up to here history is compacted.
    pub compacted_revision: Revision,
    /// Keys, claims included.
    pub keys: u64,
    /// Sessions.
    pub sessions: u64,
    /// Locks and elections that somebody claims.
    pub queues: u64,
    /// Bytes of keys and values, all versions.
    pub state_bytes: u64,
    /// Bytes on disk.
    pub disk_bytes: u64,
    /// Bytes free on the disk of its data.
    pub disk_free_bytes: u64,
    /// Less is free than its configuration keeps back: it takes no writes and doesn't lead, until there is room.
    pub disk_full: bool,
    /// Its disk doesn't take what is written to it, or didn't a moment ago: it doesn't stand for election, and doesn't lead while that lasts.
    pub disk_stalled: bool,
    /// Of the program.
    pub version: String,
    /// Since it started.
    pub uptime: Duration,
    /// Running hash of its state at `applied_index`.
    pub state_hash: u64,
    /// The newest feature level that this member understands.
    pub level: u32,
    /// The feature level that the cluster uses, by what this member has applied.
    pub cluster_level: u32,
}
