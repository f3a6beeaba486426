//! What can be asked of the state: entries, requests, commands.
//!
//! An [`Entry`] is what one raft log entry carries: the leader's stamp and a batch of [`Request`]s. The stamp is all that
//! the state ever learns of time.

use bytes::Bytes;

use crate::query::Range;

/// The global change counter: every committed change of the keyspace takes the next number. Starts at 0, the empty state.
pub type Revision = u64;

/// A claim's fencing token: the revision in which the claim was created.
pub type Token = Revision;

/// A session's id: random, 1 to 2^63 - 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u64);

impl std::fmt::Display for SessionId {
    /// Sixteen lower-case hex digits, as in claim keys.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// One log entry: a stamp, and requests that are applied one after the other.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Entry {
    /// The leader's reading of the state's clock, in milliseconds. The clock moves here if this is later, never back.
    pub clock_ms: u64,
    /// The leader's wall clock in milliseconds since 1970. Kept for people; nothing decides by it.
    pub wall_ms: u64,
    /// In order. An entry without requests is a tick: it moves the clock and expires what is due.
    pub requests: Vec<Request>,
}

/// A command, and the number under which a retry of it is recognised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Present where the client wants exactly one effect over its retries.
    pub id: Option<RequestId>,
    /// What to do.
    pub command: Command,
}

impl From<Command> for Request {
    fn from(command: Command) -> Self {
        Self { id: None, command }
    }
}

/// A write's number within its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestId {
    /// The session that sends the write.
    pub session: SessionId,
    /// 1, 2, 3, … One number, one request.
    pub sequence: u64,
}

/// Everything that can change the state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Compare, then do one list of operations or the other. A plain put or delete is a transaction of one.
    Txn(Txn),
    /// Forget versions that are not the newest at this revision.
    Compact {
        /// 1 to the newest revision.
        revision: Revision,
    },
    /// Open a session. With the id of a live session of equal TTL and owner: finds it (a retry).
    OpenSession {
        /// Drawn at random by the proposer.
        id: SessionId,
        /// See [`crate::limits`].
        ttl_ms: u64,
        /// For people.
        owner: String,
    },
    /// Move the deadlines of these sessions to the clock plus their TTL.
    RenewSessions {
        /// Unknown and expired ones are answered as not alive.
        ids: Vec<SessionId>,
    },
    /// End a session and delete all that is bound to it in one revision.
    CloseSession {
        /// The session.
        id: SessionId,
    },
    /// Join a queue, or find one's claim there.
    Claim(Claim),
    /// Leave a queue.
    Release {
        /// Name of the queue.
        name: Bytes,
        /// Who asks: must be the claim's session.
        session: SessionId,
        /// Which of the session's claims.
        which: Which,
    },
    /// Take a claim away, whosever it is.
    ForceRelease {
        /// Name of the queue.
        name: Bytes,
        /// The claim's token.
        token: Token,
    },
    /// Change the value of an owner's claim.
    Proclaim {
        /// Name of the queue.
        name: Bytes,
        /// Must be the claim's session.
        session: SessionId,
        /// The claim's token; it must be an owner.
        token: Token,
        /// The new value.
        value: Bytes,
    },
    /// From now on the cluster uses what this [level](crate::levels) brought. No client asks for it.
    RaiseLevel {
        /// What every member understands.
        level: u32,
    },
}

/// Which claim of a session a release means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    /// The one with this token.
    Token(Token),
    /// The one with this suffix, whatever its token.
    Suffix(Bytes),
    /// The one with this suffix, if it was last claimed by this attempt: how a wait that was given up is withdrawn
    /// without hitting a newer wait for the same claim.
    Attempt {
        /// The claim's suffix.
        suffix: Bytes,
        /// As in [`Claim::attempt`].
        attempt: u64,
    },
}

/// From here on attempts are drawn at random, for clients that don't number them.
pub const ATTEMPT_DRAWN: u64 = 1 << 63;

/// A claim on a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Name of the queue.
    pub name: Bytes,
    /// The claim lives as long as this session at most.
    pub session: SessionId,
    /// Distinguishes claims of one session on one name. Empty for the only one.
    pub suffix: Bytes,
    /// How the claim shares the name.
    pub mode: Mode,
    /// Published with the claim.
    pub value: Bytes,
    /// Number of this attempt at waiting. Claiming again with a greater one replaces it; a smaller one comes from a request
    /// that was overtaken, and leaves it. One of [`ATTEMPT_DRAWN`] or above has no order, and always replaces it.
    pub attempt: u64,
    /// Refuse with [`crate::Refusal::LockHeld`] instead of waiting, leaving nothing behind.
    pub only_if_free: bool,
}

/// How claims share a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// One owner.
    Exclusive,
    /// Any number of shared owners.
    Shared,
    /// Up to this many owners, 1 to 1048576; the same number for all claims of a queue.
    Semaphore(u32),
}

/// A transaction.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Txn {
    /// All must hold for `then`.
    pub compare: Vec<Compare>,
    /// Done if they hold.
    pub then: Vec<Op>,
    /// Done if one doesn't.
    pub otherwise: Vec<Op>,
}

/// A comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compare {
    /// The key that is looked at; for [`Target::Holds`] the name of the queue.
    pub key: Bytes,
    /// How. Ignored by [`Target::Holds`].
    pub relation: Relation,
    /// What, and with which operand.
    pub target: Target,
}

/// How a target compares with its operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// `target == operand`
    Equal,
    /// `target != operand`
    NotEqual,
    /// `target < operand`
    Less,
    /// `target > operand`
    Greater,
}

/// What is compared, with the operand. Numbers of an absent key are 0; its value is unequal to any, neither less nor greater.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// The key's value.
    Value(Bytes),
    /// The revision in which the key was created.
    CreateRevision(Revision),
    /// The revision of the key's last change.
    ModRevision(Revision),
    /// How often the key changed since it was created, counting the creation.
    Version(u64),
    /// The session the key is bound to, 0 for none.
    Session(u64),
    /// This token is a current owner of the queue.
    Holds(Token),
}

/// An operation of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// Write one key.
    Put(Put),
    /// Delete keys. Claims in the range refuse it.
    Delete {
        /// Which.
        span: Span,
        /// Answer with what was deleted.
        prev: bool,
    },
    /// Read; sees what operations before it wrote. `revision` must be 0.
    Range(Range),
}

/// Writes one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Put {
    /// The key, or the prefix of a sequential one.
    pub key: Bytes,
    /// The value.
    pub value: Bytes,
    /// Bind to this session.
    pub session: Option<SessionId>,
    /// Append twenty decimal digits of a counter that never goes back.
    pub sequential: bool,
    /// Answer with the version replaced.
    pub prev: bool,
}

/// A set of keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Span {
    /// One key.
    Key(Bytes),
    /// All keys from `start` on and below `end`. `start < end`.
    Between {
        /// First key.
        start: Bytes,
        /// End, not included.
        end: Bytes,
    },
    /// All keys that begin so; empty: all keys.
    Prefix(Bytes),
}
