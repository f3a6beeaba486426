//! From the wire to the client's own types, and back.

use std::time::Duration;

use bytes::Bytes;
use ringfence_proto::v1;

use crate::error::{Error, Result};
use crate::headed::Headed as _;
use crate::kv::{DeleteOptions, Freshness, GetOptions, PutOptions};
use crate::select;
use crate::txn::{Compare, Op, Operand, Relation, Txn};
use crate::types::*;

pub(crate) fn key_value(kv: v1::KeyValue) -> KeyValue {
    KeyValue {
        key: kv.key,
        value: kv.value,
        create_revision: kv.create_revision,
        mod_revision: kv.mod_revision,
        version: kv.version,
        session: (kv.session_id != 0).then_some(kv.session_id),
        modified_wall_ms: kv.modified_wall_ms,
        claim: kv.claim,
    }
}

pub(crate) fn claim(claim: v1::Claim) -> Claim {
    Claim {
        mode: match claim.mode() {
            v1::LockMode::Exclusive => LockMode::Exclusive,
            v1::LockMode::Shared => LockMode::Shared,
            v1::LockMode::Semaphore => LockMode::Semaphore(claim.permits),
        },
        name: claim.name,
        key: claim.key,
        session: claim.session_id,
        suffix: claim.suffix,
        token: claim.token,
        owner: claim.owner,
        value: claim.value,
        session_owner: claim.session_owner,
        claimed_wall_ms: claim.claimed_wall_ms,
        granted_wall_ms: claim.granted_wall_ms,
        mod_revision: claim.mod_revision,
    }
}

/// A claim that an answer must have.
pub(crate) fn claim_in(answer: Option<v1::Claim>, what: &str) -> Result<Claim> {
    answer.map(claim).ok_or_else(|| Error::Protocol { message: format!("{what}: the answer holds no claim") })
}

pub(crate) fn lock_mode(mode: LockMode) -> (v1::LockMode, u32) {
    match mode {
        LockMode::Exclusive => (v1::LockMode::Exclusive, 0),
        LockMode::Shared => (v1::LockMode::Shared, 0),
        LockMode::Semaphore(permits) => (v1::LockMode::Semaphore, permits),
    }
}

pub(crate) fn consistency(freshness: Freshness) -> (i32, Revision) {
    match freshness {
        Freshness::Linearizable => (v1::Consistency::Linearizable.into(), 0),
        Freshness::Stale { min_revision } => (v1::Consistency::Stale.into(), min_revision),
    }
}

pub(crate) fn range_request(options: GetOptions) -> v1::RangeRequest {
    let select::Wire { key, range_end, prefix, children } = options.select.into_wire();
    let (consistency, min_revision) = consistency(options.freshness);
    v1::RangeRequest {
        key,
        range_end,
        prefix,
        children,
        limit: options.limit,
        keys_only: options.keys_only,
        count_only: options.count_only,
        revision: options.revision,
        consistency,
        min_revision,
        descending: options.descending,
    }
}

pub(crate) fn put_request(key: Bytes, value: Bytes, options: PutOptions) -> v1::PutRequest {
    v1::PutRequest {
        key,
        value,
        session_id: options.session.unwrap_or_default(),
        sequential: options.sequential,
        prev_kv: options.prev,
        request_id: None,
    }
}

pub(crate) fn delete_request(options: DeleteOptions) -> v1::DeleteRequest {
    let select::Wire { key, range_end, prefix, .. } = options.select.into_wire();
    v1::DeleteRequest { key, range_end, prefix, prev_kv: options.prev, request_id: None }
}

pub(crate) fn txn_request(txn: Txn) -> v1::TxnRequest {
    v1::TxnRequest {
        compare: txn.compare.into_iter().map(compare).collect(),
        then: txn.then.into_iter().map(op).collect(),
        r#else: txn.otherwise.into_iter().map(op).collect(),
        request_id: None,
    }
}

fn compare(compare: Compare) -> v1::Compare {
    use v1::compare::Target;
    let op = match compare.relation {
        Relation::Equal => v1::compare::Op::Equal,
        Relation::NotEqual => v1::compare::Op::NotEqual,
        Relation::Less => v1::compare::Op::Less,
        Relation::Greater => v1::compare::Op::Greater,
    };
    let target = match compare.operand {
        Operand::Value(value) => Target::Value(value),
        Operand::CreateRevision(revision) => Target::CreateRevision(revision),
        Operand::ModRevision(revision) => Target::ModRevision(revision),
        Operand::Version(version) => Target::Version(version),
        Operand::Session(session) => Target::SessionId(session),
        Operand::Holds(token) => Target::Holds(token),
    };
    v1::Compare { op: op.into(), key: compare.key, target: Some(target) }
}

fn op(op: Op) -> v1::TxnOp {
    use v1::txn_op::Op as Wire;
    let op = match op {
        Op::Put { key, value, options } => Wire::Put(put_request(key, value, options)),
        Op::Delete(options) => Wire::Delete(delete_request(options)),
        Op::Range(options) => Wire::Range(range_request(options)),
    };
    v1::TxnOp { op: Some(op) }
}

pub(crate) fn range_result(answer: v1::RangeResponse) -> RangeResult {
    RangeResult {
        revision: answer.revision(),
        kvs: answer.kvs.into_iter().map(key_value).collect(),
        more: answer.more,
        count: answer.count,
    }
}

pub(crate) fn put_result(answer: v1::PutResponse) -> PutResult {
    PutResult { revision: answer.revision(), key: answer.key, prev: answer.prev_kv.map(key_value) }
}

pub(crate) fn delete_result(answer: v1::DeleteResponse) -> DeleteResult {
    DeleteResult {
        revision: answer.revision(),
        deleted: answer.deleted,
        prev: answer.prev_kvs.into_iter().map(key_value).collect(),
    }
}

pub(crate) fn txn_result(answer: v1::TxnResponse) -> Result<TxnResult> {
    let revision = answer.revision();
    let results = answer.responses.into_iter().map(|result| op_result(result, revision)).collect::<Result<_>>()?;
    Ok(TxnResult { revision, succeeded: answer.succeeded, results })
}

/// Results within a transaction needn't repeat its header.
fn op_result(answer: v1::TxnOpResponse, revision: Revision) -> Result<OpResult> {
    use v1::txn_op_response::Op as Wire;
    match answer.op {
        Some(Wire::Range(answer)) => Ok(OpResult::Range(RangeResult { revision, ..range_result(answer) })),
        Some(Wire::Put(answer)) => Ok(OpResult::Put(PutResult { revision, ..put_result(answer) })),
        Some(Wire::Delete(answer)) => Ok(OpResult::Delete(DeleteResult { revision, ..delete_result(answer) })),
        None => Err(Error::Protocol { message: "an answer within a transaction is empty".to_owned() }),
    }
}

pub(crate) fn history(answer: v1::HistoryResponse) -> History {
    History {
        revision: answer.revision(),
        versions: answer
            .versions
            .into_iter()
            .map(|version| KeyVersion { kv: version.kv.map(key_value).unwrap_or_default(), deleted: version.deleted })
            .collect(),
        more: answer.more,
        compacted: answer.compacted_revision,
    }
}

pub(crate) fn session_info(info: v1::SessionInfo) -> SessionInfo {
    SessionInfo {
        id: info.session_id,
        owner: info.owner,
        ttl: Duration::from_millis(info.ttl_ms),
        remaining: Duration::from_millis(info.remaining_ms),
        opened_wall_ms: info.opened_wall_ms,
        keys: info.keys,
    }
}

pub(crate) fn leader_view(answer: v1::ElectionLeaderResponse) -> LeaderView {
    LeaderView { revision: answer.revision(), leader: answer.leader.map(claim), waiting: answer.waiting }
}

pub(crate) fn event(event: v1::Event) -> Event {
    Event {
        kind: match event.kind() {
            v1::event::Kind::Put => EventKind::Put,
            v1::event::Kind::Delete => EventKind::Delete,
        },
        kv: event.kv.map(key_value).unwrap_or_default(),
        prev: event.prev_kv.map(key_value),
    }
}

pub(crate) fn member(member: v1::Member) -> Member {
    Member {
        id: member.node_id,
        client_address: member.client_address,
        peer_address: member.peer_address,
        voter: member.voter,
    }
}

pub(crate) fn members(answer: v1::ClusterMembersResponse) -> Members {
    let header = answer.header.unwrap_or_default();
    Members {
        cluster_id: header.cluster_id,
        answered_by: header.node_id,
        leader: some(answer.leader),
        members: answer.members.into_iter().map(member).collect(),
    }
}

pub(crate) fn cluster_status(answer: v1::ClusterStatusResponse) -> ClusterStatus {
    let header = answer.header.unwrap_or_default();
    ClusterStatus {
        cluster_id: header.cluster_id,
        answered_by: header.node_id,
        leader: some(answer.leader),
        term: answer.term,
        revision: header.revision,
        members: answer.members.into_iter().map(member_status).collect(),
    }
}

fn member_status(status: v1::MemberStatus) -> MemberStatus {
    MemberStatus {
        member: status.member.map(member).unwrap_or_default(),
        reachable: status.reachable,
        error: status.error,
        leader: some(status.leader),
        term: status.term,
        last_log_index: status.last_log_index,
        committed_index: status.committed_index,
        applied_index: status.applied_index,
        purged_index: status.purged_index,
        snapshot_index: status.snapshot_index,
        revision: status.revision,
        compacted_revision: status.compacted_revision,
        keys: status.keys,
        sessions: status.sessions,
        queues: status.queues,
        state_bytes: status.state_bytes,
        disk_bytes: status.disk_bytes,
        disk_free_bytes: status.disk_free_bytes,
        disk_full: status.disk_full,
        disk_stalled: status.disk_stalled,
        version: status.version,
        uptime: Duration::from_millis(status.uptime_ms),
        state_hash: status.state_hash,
        level: status.level,
        cluster_level: status.cluster_level,
    }
}

/// Ids are never 0 on the wire: that stands for none.
fn some(id: u64) -> Option<u64> {
    (id != 0).then_some(id)
}

/// Whole milliseconds, rounded up, so that nothing that was asked for is cut short to nothing.
pub(crate) fn millis(duration: Duration) -> u64 {
    let whole = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let rest = !duration.subsec_nanos().is_multiple_of(1_000_000);
    whole.saturating_add(u64::from(rest))
}
