//! What the state answers, as protobuf. The way in is [`super::convert_request`].

use ringfence_core as core;
use ringfence_core::{ClaimView, EventKind, KeyView, Mode, OpReply, TxnReply, query::RangeAnswer, query::SessionView};
use ringfence_proto::v1;

/// A version of a key.
pub fn key_value(view: KeyView) -> v1::KeyValue {
    v1::KeyValue {
        key: view.key,
        value: view.value,
        create_revision: view.create_revision,
        mod_revision: view.mod_revision,
        version: view.version,
        session_id: view.session.map_or(0, |session| session.0),
        modified_wall_ms: view.wall_ms,
        claim: view.claim,
    }
}

/// A claim.
pub fn claim(view: ClaimView) -> v1::Claim {
    let (mode, permits) = lock_mode(view.mode);
    v1::Claim {
        name: view.name,
        key: view.key,
        session_id: view.session.0,
        suffix: view.suffix,
        token: view.token,
        mode: mode.into(),
        permits,
        owner: view.owner,
        value: view.value,
        session_owner: view.session_owner,
        claimed_wall_ms: view.claimed_wall_ms,
        granted_wall_ms: view.granted_wall_ms,
        mod_revision: view.mod_revision,
    }
}

/// A mode, with its permits: 0 except for a semaphore.
pub fn lock_mode(mode: Mode) -> (v1::LockMode, u32) {
    match mode {
        Mode::Exclusive => (v1::LockMode::Exclusive, 0),
        Mode::Shared => (v1::LockMode::Shared, 0),
        Mode::Semaphore(permits) => (v1::LockMode::Semaphore, permits),
    }
}

/// An event of a watch.
pub fn event(event: core::Event) -> v1::Event {
    let kind = match event.kind {
        EventKind::Put => v1::event::Kind::Put,
        EventKind::Delete => v1::event::Kind::Delete,
    };
    v1::Event { kind: kind.into(), kv: Some(key_value(event.key)), prev_kv: event.prev.map(key_value) }
}

/// A session, without its keys: those are counted.
pub fn session_info(view: &SessionView) -> v1::SessionInfo {
    v1::SessionInfo {
        session_id: view.id.0,
        owner: view.owner.clone(),
        ttl_ms: view.ttl_ms,
        remaining_ms: view.remaining_ms,
        opened_wall_ms: view.opened_wall_ms,
        keys: view.keys.len() as u64,
    }
}

/// The answer of a range read. Inside a transaction's answer there is no header.
pub fn range_response(answer: RangeAnswer, header: Option<v1::ResponseHeader>) -> v1::RangeResponse {
    v1::RangeResponse {
        header,
        kvs: answer.keys.into_iter().map(key_value).collect(),
        more: answer.more,
        count: answer.count,
    }
}

/// The answer of a transaction.
pub fn txn_response(reply: TxnReply, header: v1::ResponseHeader) -> v1::TxnResponse {
    v1::TxnResponse {
        header: Some(header),
        succeeded: reply.succeeded,
        responses: reply
            .results
            .into_iter()
            .map(|result| v1::TxnOpResponse { op: Some(op_response(result)) })
            .collect(),
    }
}

fn op_response(reply: OpReply) -> v1::txn_op_response::Op {
    use v1::txn_op_response::Op;
    match reply {
        OpReply::Put { key, prev } => Op::Put(v1::PutResponse { header: None, key, prev_kv: prev.map(key_value) }),
        OpReply::Delete { deleted, prev } => Op::Delete(v1::DeleteResponse {
            header: None,
            deleted,
            prev_kvs: prev.into_iter().map(key_value).collect(),
        }),
        OpReply::Range(answer) => Op::Range(range_response(answer, None)),
    }
}
