//! What can go wrong, worded by what the caller can do about it.

use std::collections::BTreeMap;

use crate::types::{Revision, SessionId, Token};

/// The result of a call.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a call failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No member could be reached in time, or none of them knows a leader. The request was surely not done: try again
    /// later.
    #[error("the cluster is not available, try again later: {message}")]
    Unavailable {
        /// What was seen last.
        message: String,
    },
    /// This client and the members don't trust each other's certificates, or TLS is switched on on one side alone. Nothing was sent. It stays
    /// so until the certificates, or this client's settings, are mended.
    #[error("no connection that both sides trust: {message}")]
    Untrusted {
        /// What the last member that was asked, or its certificate, had against it, and what to do.
        message: String,
    },
    /// The connection or the deadline broke after a write was sent: it may have been done, may be done yet, or never.
    /// Look at the state before repeating it, or write through [`Session::kv`](crate::Session::kv), where a retry has
    /// one effect.
    #[error("it is not known whether the write was done, look before repeating it: {message}")]
    Unknown {
        /// What was seen last.
        message: String,
    },
    /// The write was done, once, and its answer is lost: a retry found that the answer was too large to be kept. Read what
    /// it left; don't repeat it. Only writes through [`Session::kv`](crate::Session::kv) that ask for many previous values
    /// can end so.
    #[error("the write was done, by revision {revision}, and its answer was too large to be kept: read what it left")]
    AnswerLost {
        /// The state's revision after it; 0 if that isn't known.
        revision: Revision,
        /// All comparisons held, if it was a transaction; true otherwise.
        succeeded: bool,
    },
    /// The deadline of the call, or the bound of a wait, has passed. A wait's claim was withdrawn. Nothing was changed
    /// for good: try again, with more time.
    #[error("out of time, try again or allow more: {message}")]
    Timeout {
        /// What was waited for.
        message: String,
    },
    /// The session is over: expired, closed, or never was. All that was bound to it is gone or about to go. Open a new
    /// one.
    #[error("session {session:016x} is over")]
    SessionLost {
        /// Which.
        session: SessionId,
    },
    /// The lock isn't free, and the call doesn't wait. Try later, or wait.
    #[error("{message}")]
    LockHeld {
        /// Says by whom.
        message: String,
    },
    /// The claim is gone (released, released by force), isn't an owner, or is another session's: stop acting for it.
    #[error("the claim with token {token} is not held: {message}")]
    NotHeld {
        /// The token in question; 0 where the claim never got one.
        token: Token,
        /// What the cluster said.
        message: String,
    },
    /// The revision was compacted away: start from the present state, or from `compacted` + 1.
    #[error("history up to revision {compacted} was compacted away, start from the present state")]
    Compacted {
        /// Up to here history is gone.
        compacted: Revision,
    },
    /// This watch was read too slowly, and history was compacted away under it: events between `next` and `compacted`
    /// are lost to it. Start from the present state.
    #[error(
        "the watch was too slow: it needed revision {next}, and history up to {compacted} was compacted away, \
             start from the present state"
    )]
    TooSlow {
        /// The next revision that it would have delivered.
        next: Revision,
        /// Up to here history is gone.
        compacted: Revision,
    },
    /// The cluster understood the request and refuses it: change the request.
    #[error("refused, {reason}: {message}")]
    Refused {
        /// Upper-case name of the reason, such as `LIMIT_EXCEEDED`; they are listed with each call in the protocol.
        reason: String,
        /// For people.
        message: String,
        /// For programs, such as `limit` and `actual`.
        metadata: BTreeMap<String, String>,
    },
    /// The thing that was asked was closed by its owner: a session, a latch, a watcher.
    #[error("closed")]
    Closed,
    /// An argument can't be meant, and was not sent.
    #[error("not acceptable: {message}")]
    InvalidArgument {
        /// Which, and why.
        message: String,
    },
    /// A member answered what this client doesn't understand: their versions don't fit.
    #[error("unexpected answer: {message}")]
    Protocol {
        /// What was unexpected.
        message: String,
    },
}

impl Error {
    /// The same call may well succeed later without any change, and repeating it does no harm.
    pub fn is_transient(&self) -> bool {
        matches!(self, Error::Unavailable { .. } | Error::Timeout { .. } | Error::LockHeld { .. })
    }

    /// A short name of the kind, for programs' logs and exit codes: `unavailable`, `unknown`, `timeout`, …, and for
    /// [`Error::Refused`] the reason itself.
    pub fn kind(&self) -> &str {
        match self {
            Error::Unavailable { .. } => "unavailable",
            Error::Untrusted { .. } => "untrusted",
            Error::Unknown { .. } => "unknown",
            Error::AnswerLost { .. } => "answer_lost",
            Error::Timeout { .. } => "timeout",
            Error::SessionLost { .. } => "session_lost",
            Error::LockHeld { .. } => "lock_held",
            Error::NotHeld { .. } => "not_held",
            Error::Compacted { .. } => "compacted",
            Error::TooSlow { .. } => "too_slow",
            Error::Refused { reason, .. } => reason,
            Error::Closed => "closed",
            Error::InvalidArgument { .. } => "invalid_argument",
            Error::Protocol { .. } => "protocol",
        }
    }
}
