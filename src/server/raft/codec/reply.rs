//! Replies.

use ringfence_core::{ClaimView, KeyView, OpReply, Reply, SessionId, TxnReply, query::RangeAnswer};
use ringfence_proto::storage as pb;

use super::{
    DecodeError,
    command::{mode_from, mode_to, session_from},
    own,
};

pub(super) fn reply_to(reply: &Reply) -> pb::Reply {
    use pb::reply::Reply as Message;
    let reply = match reply {
        Reply::Txn(txn) => Message::Txn(pb::TxnReply {
            succeeded: txn.succeeded,
            revision: txn.revision,
            results: txn.results.iter().map(op_to).collect(),
        }),
        Reply::Compacted => Message::Compacted(pb::Blank {}),
        Reply::SessionOpened { id, ttl_ms } => Message::SessionOpened(pb::SessionOpened { id: id.0, ttl_ms: *ttl_ms }),
        // A TTL is never 0, which says here that the session isn't alive.
        Reply::SessionsRenewed(ttls) => {
            Message::SessionsRenewed(pb::SessionsRenewed { ttl_ms: ttls.iter().map(|ttl| ttl.unwrap_or(0)).collect() })
        }
        Reply::SessionClosed { deleted } => Message::SessionClosed(pb::SessionClosed { deleted: *deleted }),
        Reply::Claimed(claim) => Message::Claimed(claim_to(claim)),
        Reply::Released(claim) => Message::Released(claim_to(claim)),
        Reply::Proclaimed => Message::Proclaimed(pb::Blank {}),
        Reply::LevelRaised { level } => Message::LevelRaised(pb::LevelRaised { level: *level }),
    };
    pb::Reply { reply: Some(reply) }
}

pub(super) fn reply_from(message: pb::Reply) -> Result<Reply, DecodeError> {
    use pb::reply::Reply as Message;
    Ok(match message.reply.ok_or(DecodeError::Missing("reply"))? {
        Message::Txn(txn) => Reply::Txn(TxnReply {
            succeeded: txn.succeeded,
            revision: txn.revision,
            results: txn.results.into_iter().map(op_from).collect::<Result<_, _>>()?,
        }),
        Message::Compacted(_) => Reply::Compacted,
        Message::SessionOpened(opened) => Reply::SessionOpened { id: SessionId(opened.id), ttl_ms: opened.ttl_ms },
        Message::SessionsRenewed(renewed) => {
            Reply::SessionsRenewed(renewed.ttl_ms.into_iter().map(|ttl| (ttl != 0).then_some(ttl)).collect())
        }
        Message::SessionClosed(closed) => Reply::SessionClosed { deleted: closed.deleted },
        Message::Claimed(claim) => Reply::Claimed(claim_from(claim)?),
        Message::Released(claim) => Reply::Released(claim_from(claim)?),
        Message::Proclaimed(_) => Reply::Proclaimed,
        Message::LevelRaised(raised) => Reply::LevelRaised { level: raised.level },
    })
}

fn op_to(reply: &OpReply) -> pb::OpReply {
    use pb::op_reply::Reply as Message;
    let reply = match reply {
        OpReply::Put { key, prev } => Message::Put(pb::PutReply { key: key.clone(), prev: prev.as_ref().map(key_to) }),
        OpReply::Delete { deleted, prev } => {
            Message::Delete(pb::DeleteReply { deleted: *deleted, prev: prev.iter().map(key_to).collect() })
        }
        OpReply::Range(answer) => Message::Range(pb::RangeReply {
            keys: answer.keys.iter().map(key_to).collect(),
            more: answer.more,
            count: answer.count,
        }),
    };
    pb::OpReply { reply: Some(reply) }
}

fn op_from(message: pb::OpReply) -> Result<OpReply, DecodeError> {
    use pb::op_reply::Reply as Message;
    Ok(match message.reply.ok_or(DecodeError::Missing("operation's reply"))? {
        Message::Put(put) => OpReply::Put { key: own(&put.key), prev: put.prev.as_ref().map(key_from) },
        Message::Delete(delete) => {
            OpReply::Delete { deleted: delete.deleted, prev: delete.prev.iter().map(key_from).collect() }
        }
        Message::Range(range) => OpReply::Range(RangeAnswer {
            keys: range.keys.iter().map(key_from).collect(),
            more: range.more,
            count: range.count,
        }),
    })
}

fn key_to(key: &KeyView) -> pb::KeyView {
    pb::KeyView {
        key: key.key.clone(),
        value: key.value.clone(),
        create_revision: key.create_revision,
        mod_revision: key.mod_revision,
        version: key.version,
        session: key.session.map_or(0, |id| id.0),
        wall_ms: key.wall_ms,
        claim: key.claim,
    }
}

fn key_from(message: &pb::KeyView) -> KeyView {
    KeyView {
        key: own(&message.key),
        value: own(&message.value),
        create_revision: message.create_revision,
        mod_revision: message.mod_revision,
        version: message.version,
        session: session_from(message.session),
        wall_ms: message.wall_ms,
        claim: message.claim,
    }
}

fn claim_to(claim: &ClaimView) -> pb::ClaimView {
    pb::ClaimView {
        name: claim.name.clone(),
        key: claim.key.clone(),
        session: claim.session.0,
        session_owner: claim.session_owner.clone(),
        suffix: claim.suffix.clone(),
        token: claim.token,
        mode: Some(mode_to(claim.mode)),
        owner: claim.owner,
        value: claim.value.clone(),
        claimed_wall_ms: claim.claimed_wall_ms,
        granted_wall_ms: claim.granted_wall_ms,
        mod_revision: claim.mod_revision,
    }
}

fn claim_from(message: pb::ClaimView) -> Result<ClaimView, DecodeError> {
    Ok(ClaimView {
        name: own(&message.name),
        key: own(&message.key),
        session: SessionId(message.session),
        session_owner: message.session_owner,
        suffix: own(&message.suffix),
        token: message.token,
        mode: mode_from(message.mode)?,
        owner: message.owner,
        value: own(&message.value),
        claimed_wall_ms: message.claimed_wall_ms,
        granted_wall_ms: message.granted_wall_ms,
        mod_revision: message.mod_revision,
    })
}
