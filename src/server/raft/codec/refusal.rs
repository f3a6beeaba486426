//! Refusals.

use ringfence_core::{Refusal, SessionId};
use ringfence_proto::storage as pb;

use super::DecodeError;

pub(super) fn refusal_to(refusal: &Refusal) -> pb::Refusal {
    use pb::refusal::Refusal as Message;
    let refusal = match refusal {
        Refusal::LimitExceeded { what, limit, actual } => {
            Message::LimitExceeded(pb::LimitExceeded { what: what.clone(), limit: *limit, actual: *actual })
        }
        Refusal::InvalidKey(why) => Message::InvalidKey(why.clone()),
        Refusal::InvalidName(why) => Message::InvalidName(why.clone()),
        Refusal::InvalidRange(why) => Message::InvalidRange(why.clone()),
        Refusal::InvalidArgument(why) => Message::InvalidArgument(why.clone()),
        Refusal::DuplicateKey(key) => Message::DuplicateKey(key.clone()),
        Refusal::TtlOutOfRange { min_ms, max_ms, actual_ms } => {
            Message::TtlOutOfRange(pb::TtlOutOfRange { min_ms: *min_ms, max_ms: *max_ms, actual_ms: *actual_ms })
        }
        Refusal::SessionUnknown(id) => Message::SessionUnknown(id.0),
        Refusal::SessionExpired(id) => Message::SessionExpired(id.0),
        Refusal::SessionExists(id) => Message::SessionExists(id.0),
        Refusal::RevisionCompacted { requested, compacted } => {
            Message::RevisionCompacted(pb::RevisionCompacted { requested: *requested, compacted: *compacted })
        }
        Refusal::RevisionFuture { requested, newest } => {
            Message::RevisionFuture(pb::RevisionFuture { requested: *requested, newest: *newest })
        }
        Refusal::KeyIsClaim(key) => Message::KeyIsClaim(key.clone()),
        Refusal::KeyNotClaim(key) => Message::KeyNotClaim(key.clone()),
        Refusal::LockHeld { owner, token } => Message::LockHeld(pb::LockHeld { owner: owner.0, token: *token }),
        Refusal::PermitsMismatch { expected, actual } => {
            Message::PermitsMismatch(pb::PermitsMismatch { expected: *expected, actual: *actual })
        }
        Refusal::ModeMismatch => Message::ModeMismatch(pb::Blank {}),
        Refusal::TokenStale { token } => Message::TokenStale(*token),
        Refusal::NotOwner(why) => Message::NotOwner(why.clone()),
        Refusal::SequenceTooOld { sequence, oldest } => {
            Message::SequenceTooOld(pb::SequenceTooOld { sequence: *sequence, oldest: *oldest })
        }
        Refusal::SequenceReused { sequence } => Message::SequenceReused(*sequence),
        Refusal::ReplyNotKept { revision, succeeded } => {
            Message::ReplyNotKept(pb::ReplyNotKept { revision: *revision, succeeded: *succeeded })
        }
    };
    pb::Refusal { refusal: Some(refusal) }
}

pub(super) fn refusal_from(message: pb::Refusal) -> Result<Refusal, DecodeError> {
    use pb::refusal::Refusal as Message;
    Ok(match message.refusal.ok_or(DecodeError::Missing("refusal"))? {
        Message::LimitExceeded(over) => {
            Refusal::LimitExceeded { what: over.what, limit: over.limit, actual: over.actual }
        }
        Message::InvalidKey(why) => Refusal::InvalidKey(why),
        Message::InvalidName(why) => Refusal::InvalidName(why),
        Message::InvalidRange(why) => Refusal::InvalidRange(why),
        Message::InvalidArgument(why) => Refusal::InvalidArgument(why),
        Message::DuplicateKey(key) => Refusal::DuplicateKey(key),
        Message::TtlOutOfRange(ttl) => {
            Refusal::TtlOutOfRange { min_ms: ttl.min_ms, max_ms: ttl.max_ms, actual_ms: ttl.actual_ms }
        }
        Message::SessionUnknown(id) => Refusal::SessionUnknown(SessionId(id)),
        Message::SessionExpired(id) => Refusal::SessionExpired(SessionId(id)),
        Message::SessionExists(id) => Refusal::SessionExists(SessionId(id)),
        Message::RevisionCompacted(gone) => {
            Refusal::RevisionCompacted { requested: gone.requested, compacted: gone.compacted }
        }
        Message::RevisionFuture(future) => {
            Refusal::RevisionFuture { requested: future.requested, newest: future.newest }
        }
        Message::KeyIsClaim(key) => Refusal::KeyIsClaim(key),
        Message::KeyNotClaim(key) => Refusal::KeyNotClaim(key),
        Message::LockHeld(held) => Refusal::LockHeld { owner: SessionId(held.owner), token: held.token },
        Message::PermitsMismatch(permits) => {
            Refusal::PermitsMismatch { expected: permits.expected, actual: permits.actual }
        }
        Message::ModeMismatch(_) => Refusal::ModeMismatch,
        Message::TokenStale(token) => Refusal::TokenStale { token },
        Message::NotOwner(why) => Refusal::NotOwner(why),
        Message::SequenceTooOld(old) => Refusal::SequenceTooOld { sequence: old.sequence, oldest: old.oldest },
        Message::SequenceReused(sequence) => Refusal::SequenceReused { sequence },
        Message::ReplyNotKept(done) => Refusal::ReplyNotKept { revision: done.revision, succeeded: done.succeeded },
    })
}
