//! Statuses: what a call that failed is answered.
//!
//! Each is a gRPC code, a message for people, and a `google.rpc.ErrorInfo` for programs: the reason by its upper-case
//! name as the .proto files list it, [`ERROR_DOMAIN`], and what to do next in the metadata. All statuses of the service
//! are made here, so that the list of reasons is this file.

use std::{collections::HashMap, time::Duration};

use ringfence_core::Refusal;
use ringfence_proto::ERROR_DOMAIN;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::{
    proposer::WriteError,
    raft::{AdminError, listed},
    reader::ReadError,
};

/// A status in the making: code, reason and message, and the metadata of its `ErrorInfo`.
#[must_use]
pub struct Fault {
    code: Code,
    reason: &'static str,
    message: String,
    metadata: HashMap<String, String>,
}

impl Fault {
    /// Begins one. `reason` is an upper-case name that a .proto file lists.
    pub fn new(code: Code, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, reason, message: message.into(), metadata: HashMap::new() }
    }

    /// Adds one entry of metadata.
    pub fn with(mut self, key: &str, value: impl ToString) -> Self {
        self.metadata.insert(key.to_owned(), value.to_string());
        self
    }

    /// Adds the leader's client address, where one is known.
    pub fn with_leader(self, address: Option<&str>) -> Self {
        match address {
            Some(address) => self.with("leader", address),
            None => self,
        }
    }

    /// The status.
    pub fn status(self) -> Status {
        let details = ErrorDetails::with_error_info(self.reason, ERROR_DOMAIN, self.metadata);
        Status::with_error_details(self.code, self.message, details)
    }
}

impl From<Fault> for Status {
    fn from(fault: Fault) -> Self {
        fault.status()
    }
}

/// The status of a refusal. A session that isn't known is a precondition of the request here; where the session itself
/// is what the request is about, see [`refused_subject`].
pub fn refused(refusal: Refusal) -> Status {
    let message = refusal.to_string();
    let (code, reason) = kind(&refusal);
    let fault = Fault::new(code, reason, message);
    match refusal {
        Refusal::LimitExceeded { limit, actual, .. } => fault.with("limit", limit).with("actual", actual),
        Refusal::TtlOutOfRange { min_ms, max_ms, actual_ms } => {
            fault.with("min", min_ms).with("limit", max_ms).with("actual", actual_ms)
        }
        Refusal::RevisionCompacted { compacted, .. } => fault.with("compacted", compacted),
        Refusal::RevisionFuture { newest, .. } => fault.with("newest", newest),
        Refusal::LockHeld { owner, token } => fault.with("owner", owner).with("token", token),
        Refusal::PermitsMismatch { expected, actual } => fault.with("limit", expected).with("actual", actual),
        Refusal::SequenceTooOld { oldest, .. } => fault.with("oldest", oldest),
        Refusal::ReplyNotKept { revision, succeeded } => fault.with("revision", revision).with("succeeded", succeeded),
        _ => fault,
    }
    .status()
}

/// As [`refused`], where the session or the claim named is the very subject of the call: not known is NOT_FOUND then.
pub fn refused_subject(refusal: Refusal) -> Status {
    match &refusal {
        Refusal::SessionUnknown(_) | Refusal::SessionExpired(_) => {
            Fault::new(Code::NotFound, kind(&refusal).1, refusal.to_string()).status()
        }
        _ => refused(refusal),
    }
}

/// Code and reason of a refusal.
fn kind(refusal: &Refusal) -> (Code, &'static str) {
    match refusal {
        Refusal::LimitExceeded { .. } => (Code::InvalidArgument, "LIMIT_EXCEEDED"),
        Refusal::InvalidKey(_) => (Code::InvalidArgument, "INVALID_KEY"),
        Refusal::InvalidName(_) => (Code::InvalidArgument, "INVALID_NAME"),
        Refusal::InvalidRange(_) => (Code::InvalidArgument, "INVALID_RANGE"),
        Refusal::InvalidArgument(_) => (Code::InvalidArgument, "INVALID_ARGUMENT"),
        Refusal::DuplicateKey(_) => (Code::InvalidArgument, "DUPLICATE_KEY"),
        Refusal::TtlOutOfRange { .. } => (Code::InvalidArgument, "TTL_OUT_OF_RANGE"),
        Refusal::SessionUnknown(_) => (Code::FailedPrecondition, "SESSION_UNKNOWN"),
        Refusal::SessionExpired(_) => (Code::FailedPrecondition, "SESSION_EXPIRED"),
        Refusal::SessionExists(_) => (Code::AlreadyExists, "SESSION_EXISTS"),
        Refusal::RevisionCompacted { .. } => (Code::OutOfRange, "REVISION_COMPACTED"),
        Refusal::RevisionFuture { .. } => (Code::OutOfRange, "REVISION_FUTURE"),
        Refusal::KeyIsClaim(_) => (Code::FailedPrecondition, "KEY_IS_CLAIM"),
        Refusal::KeyNotClaim(_) => (Code::FailedPrecondition, "KEY_NOT_CLAIM"),
        Refusal::LockHeld { .. } => (Code::FailedPrecondition, "LOCK_HELD"),
        Refusal::PermitsMismatch { .. } => (Code::FailedPrecondition, "PERMITS_MISMATCH"),
        Refusal::ModeMismatch => (Code::FailedPrecondition, "MODE_MISMATCH"),
        Refusal::TokenStale { .. } => (Code::FailedPrecondition, "TOKEN_STALE"),
        Refusal::NotOwner(_) => (Code::FailedPrecondition, "NOT_OWNER"),
        Refusal::SequenceTooOld { .. } => (Code::FailedPrecondition, "SEQUENCE_TOO_OLD"),
        Refusal::SequenceReused { .. } => (Code::FailedPrecondition, "SEQUENCE_REUSED"),
        Refusal::ReplyNotKept { .. } => (Code::FailedPrecondition, "REPLY_NOT_KEPT"),
    }
}

/// Something in a request that no refusal names, and that isn't acceptable.
pub fn invalid(message: impl Into<String>) -> Status {
    refused(Refusal::InvalidArgument(message.into()))
}

/// No leader was found in time; nothing was done. Safe to ask again.
pub fn no_leader() -> Status {
    Fault::new(
        Code::Unavailable,
        "NO_LEADER",
        "no leader is known: an election is under way, or a majority of the members can't be reached. Nothing was done; ask again",
    )
    .with("retry_after_ms", 100)
    .status()
}

/// The write may or may not have been done. A write with a request id may be sent again; another should be looked at first.
pub fn outcome_unknown(message: impl Into<String>) -> Status {
    Fault::new(Code::Unavailable, "OUTCOME_UNKNOWN", message).status()
}

/// This member stops; nothing was done. Ask another one.
pub fn stopping() -> Status {
    Fault::new(Code::Unavailable, "STOPPING", "this member is stopping; nothing was done. Ask another member").status()
}

/// This member has more of `what` waiting than it takes; nothing was done. Ask again after this time.
pub fn overloaded(what: &str, retry_after_ms: u64) -> Status {
    let message = format!("too many {what} wait here; nothing was done. Ask again a little later");
    Fault::new(Code::ResourceExhausted, "OVERLOADED", message).with("retry_after_ms", retry_after_ms).status()
}

/// The time that the request itself gave for a wait is over.
pub fn wait_timeout(message: impl Into<String>) -> Status {
    Fault::new(Code::DeadlineExceeded, "WAIT_TIMEOUT", message).status()
}

/// The member could not answer within the time that it allows itself; a read, so nothing was done.
pub fn read_timeout(message: impl Into<String>) -> Status {
    Fault::new(Code::Unavailable, "READ_TIMEOUT", message).with("retry_after_ms", 100).status()
}

/// A claim went while its owner waited: released by force, or with its session.
pub fn claim_lost(message: impl Into<String>) -> Status {
    Fault::new(Code::Aborted, "CLAIM_LOST", message).status()
}

/// The status of a write that has no reply of the state.
pub fn write_error(error: WriteError) -> Status {
    match error {
        WriteError::NoLeader => no_leader(),
        WriteError::Unknown => outcome_unknown(
            "it is not known whether the write was done, and it may still be: a write with a request_id can be sent again \
             as it is, before another look at the keys",
        ),
        WriteError::Overloaded { retry_after_ms } => overloaded("writes of this kind", retry_after_ms),
        WriteError::Stopping => stopping(),
    }
}

/// The status of a read that can't be as fresh as it was asked for. Reads change nothing, so that all of these may be asked
/// again.
pub fn read_error(error: ReadError) -> Status {
    match error {
        ReadError::NoLeader => no_leader(),
        ReadError::Behind { .. } => read_timeout(error.to_string()),
        ReadError::Overloaded { retry_after_ms } => overloaded("reads", retry_after_ms),
        ReadError::Stopping => stopping(),
    }
}

/// The status of a change of the members that wasn't done, or may not have been.
pub fn admin_error(error: AdminError) -> Status {
    let message = error.to_string();
    let fault = |code, reason| Fault::new(code, reason, message.clone());
    match error {
        AdminError::NotLeader { .. } => no_leader(),
        AdminError::MemberExists(_) => fault(Code::AlreadyExists, "MEMBER_EXISTS").status(),
        AdminError::MemberUnknown(_) => fault(Code::NotFound, "MEMBER_UNKNOWN").status(),
        AdminError::InvalidAddress(_) => fault(Code::InvalidArgument, "INVALID_ADDRESS").status(),
        AdminError::LearnerLags { behind, limit, .. } => {
            fault(Code::FailedPrecondition, "LEARNER_LAGS").with("limit", limit).with("actual", behind).status()
        }
        AdminError::QuorumAtRisk { reachable, needed, silent, .. } => fault(Code::FailedPrecondition, "QUORUM_AT_RISK")
            .with("needed", needed)
            .with("reachable", reachable)
            .with("silent", listed(&silent))
            .status(),
        AdminError::LastVoter(_) => fault(Code::FailedPrecondition, "LAST_VOTER").status(),
        AdminError::NotAVoter(_) => fault(Code::FailedPrecondition, "NOT_A_VOTER").status(),
        AdminError::Busy => fault(Code::Unavailable, "MEMBERS_CHANGING").with("retry_after_ms", 500).status(),
        AdminError::Unknown(_) => outcome_unknown(format!("{message}; look at the members")),
        AdminError::Unreachable(_) => fault(Code::Unavailable, "NO_LEADER").with("retry_after_ms", 100).status(),
        AdminError::Stopped => stopping(),
    }
}

/// This member gives as many backups as it does at a time.
pub fn backups_running(limit: usize) -> Status {
    let message = format!(
        "{limit} backups of this member are under way, which is the limit; wait for one, or ask another member"
    );
    Fault::new(Code::ResourceExhausted, "BACKUPS_RUNNING", message).with("limit", limit).status()
}

/// A backup was read too slowly, and is given up.
pub fn backup_too_slow(patience: Duration) -> Status {
    let message = format!("no part of the backup was taken for {} s, so that it was given up", patience.as_secs());
    Fault::new(Code::Aborted, "BACKUP_TOO_SLOW", message).status()
}

/// A backup can't be written: memory, or a bug.
pub fn backup_failed(message: &str) -> Status {
    Fault::new(Code::Internal, "INTERNAL", format!("the backup can't be written: {message}")).status()
}

/// A bug: the state answered something else than what was asked. Said instead of a panic.
pub fn unexpected_reply() -> Status {
    Fault::new(
        Code::Internal,
        "INTERNAL",
        "the state gave an answer of another kind than was asked for: this is a bug, please report it",
    )
    .status()
}
