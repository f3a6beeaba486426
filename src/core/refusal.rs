//! Why a request can't be done: part of the deterministic reply, the same on every replica.

use crate::command::{Revision, SessionId};

/// A request that was understood and may not be done. It changed nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A size or a count is over its limit.
    #[error("{what} is {actual}, and {limit} is the limit")]
    LimitExceeded {
        /// What is too large, for example "value bytes".
        what: String,
        /// The limit.
        limit: u64,
        /// What was sent.
        actual: u64,
    },
    /// A key that can't be one.
    #[error("key is not acceptable: {0}")]
    InvalidKey(String),
    /// A name, or a suffix, that can't be one.
    #[error("name is not acceptable: {0}")]
    InvalidName(String),
    /// A range that is empty, inverted or contradictory.
    #[error("range is not acceptable: {0}")]
    InvalidRange(String),
    /// Something else in the request is not acceptable.
    #[error("request is not acceptable: {0}")]
    InvalidArgument(String),
    /// Two operations of a transaction write the same key.
    #[error("the transaction writes a key twice: {0}")]
    DuplicateKey(String),
    /// The TTL is out of its range.
    #[error("TTL is {actual_ms} ms, and must be {min_ms} to {max_ms} ms")]
    TtlOutOfRange {
        /// Smallest TTL.
        min_ms: u64,
        /// Largest TTL.
        max_ms: u64,
        /// What was sent.
        actual_ms: u64,
    },
    /// No such session: closed, expired and removed, or never opened.
    #[error("session {0} is not known: it was closed, has expired, or never was")]
    SessionUnknown(SessionId),
    /// The session's deadline has passed.
    #[error("session {0} has expired")]
    SessionExpired(SessionId),
    /// Another session has this id.
    #[error("session {0} exists already")]
    SessionExists(SessionId),
    /// The revision was compacted away. The keys as they were at the compacted revision itself can still be read; the changes
    /// that made it what it is are gone.
    #[error(
        "revision {requested} was compacted away; keys can be read as of {compacted} or later, and changes after {compacted}"
    )]
    RevisionCompacted {
        /// What was asked for.
        requested: Revision,
        /// Keys as they were before it, and changes up to it, are gone.
        compacted: Revision,
    },
    /// The revision doesn't exist yet.
    #[error("revision {requested} is in the future; the newest is {newest}")]
    RevisionFuture {
        /// What was asked for.
        requested: Revision,
        /// The newest.
        newest: Revision,
    },
    /// The key is a claim: change it through locks and elections.
    #[error("key {0} is a claim of a lock or an election, and changes through those only")]
    KeyIsClaim(String),
    /// A claim can't be made because an ordinary key stands in its place.
    #[error("key {0} exists and is not a claim")]
    KeyNotClaim(String),
    /// The lock isn't free, and the request doesn't wait.
    #[error("the lock is held, by session {owner} with token {token}")]
    LockHeld {
        /// An owner's session, or the session of the claim in front.
        owner: SessionId,
        /// Its token.
        token: u64,
    },
    /// The queue counts with another number of permits.
    #[error("the queue has {expected} permits, and the claim names {actual}")]
    PermitsMismatch {
        /// The queue's.
        expected: u32,
        /// The claim's.
        actual: u32,
    },
    /// The claim exists with another mode.
    #[error("the same claim exists with another mode")]
    ModeMismatch,
    /// No such claim now.
    #[error("no claim with token {token} exists under this name now")]
    TokenStale {
        /// The token asked for; 0 if it was named by suffix.
        token: u64,
    },
    /// The claim is another session's, or still waits.
    #[error("not the owner: {0}")]
    NotOwner(String),
    /// The sequence number is too far behind to be recognised.
    #[error("sequence {sequence} is too old; the oldest that is remembered is {oldest}")]
    SequenceTooOld {
        /// What was sent.
        sequence: u64,
        /// The oldest remembered.
        oldest: u64,
    },
    /// This is a retry of a request that was done, and whose reply was too large to be kept: see
    /// [`crate::limits::RETRY_BYTES_MAX`]. Nothing is done again.
    #[error(
        "the request was done, once, and the state was at revision {revision} after it; its reply was too large to be kept"
    )]
    ReplyNotKept {
        /// The state's revision after the request, the one that it made if it changed anything; 0 if the reply didn't tell.
        revision: Revision,
        /// All comparisons held, if it was a transaction; true otherwise.
        succeeded: bool,
    },
    /// The sequence number was used by another request.
    #[error("sequence {sequence} was used by another request")]
    SequenceReused {
        /// What was sent.
        sequence: u64,
    },
}
