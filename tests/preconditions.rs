//! Input that is right in itself and can not be done now: sessions that are not alive, tokens that are stale or foreign,
//! revisions that are gone or not yet there. Each has its typed answer, and changes nothing.

use ringfence_proto::v1::*;
use ringfence_tests::{
    World,
    raw::{bytes, describe, put, release},
    refused::{everything, refused},
    wait::until,
};
use tonic::{Code, Response};

#[tokio::test]
async fn sessions_that_are_not_alive() {
    let world = World::start(1).await;
    let mut node = world.raw(1);
    let expired = node.open(500).await.unwrap();
    until("the session to expire", async || {
        let list = node.session.list(SessionListRequest::default()).await.unwrap().into_inner();
        if list.sessions.is_empty() { Ok(()) } else { Err(list) }
    })
    .await;
    let before = everything(&mut node).await;
    for session_id in [expired, 12_345] {
        let name = bytes("l");
        let bound = PutRequest { session_id, ..put("k", "v") };
        refused("a bound key", node.kv.put(bound).await, Code::FailedPrecondition, "SESSION_UNKNOWN");
        let numbered = PutRequest { request_id: Some(RequestId { session_id, sequence: 1 }), ..put("k", "v") };
        refused("a numbered write", node.kv.put(numbered).await, Code::FailedPrecondition, "SESSION_UNKNOWN");
        let acquire = LockAcquireRequest { name: name.clone(), session_id, ..Default::default() };
        refused("a claim", node.lock.acquire(acquire).await, Code::FailedPrecondition, "SESSION_UNKNOWN");
        let claim = node.try_lock("l", session_id).await.map(Response::new);
        refused("a claim at once", claim, Code::FailedPrecondition, "SESSION_UNKNOWN");
        let campaign = ElectionCampaignRequest { name, session_id, ..Default::default() };
        refused("a candidate", node.election.campaign(campaign).await, Code::FailedPrecondition, "SESSION_UNKNOWN");
        let close = SessionCloseRequest { session_id };
        refused("closing", node.session.close(close).await, Code::NotFound, "SESSION_UNKNOWN");
        let describe = describe(session_id);
        refused("describing", node.session.describe(describe).await, Code::NotFound, "SESSION_UNKNOWN");
    }
    assert_eq!(everything(&mut node).await, before);
}

#[tokio::test]
async fn tokens_that_are_stale_or_foreign() {
    let world = World::start(1).await;
    let mut node = world.raw(1);
    let (ann, bob) = (node.open(60_000).await.unwrap(), node.open(60_000).await.unwrap());
    let stale = node.try_lock("l", ann).await.unwrap().token;
    let release = |session_id, token| release("l", session_id, token);
    node.lock.release(release(ann, stale)).await.unwrap();
    let held = node.try_lock("l", bob).await.unwrap();
    let before = everything(&mut node).await;

    refused("a stale token", node.lock.release(release(ann, stale)).await, Code::FailedPrecondition, "TOKEN_STALE");
    refused("a foreign one", node.lock.release(release(ann, held.token)).await, Code::FailedPrecondition, "NOT_OWNER");
    let force = LockForceReleaseRequest { name: bytes("l"), token: stale };
    refused("forcing a stale one", node.lock.force_release(force).await, Code::FailedPrecondition, "TOKEN_STALE");
    for (session_id, token, reason) in [(ann, stale, "TOKEN_STALE"), (ann, held.token, "NOT_OWNER")] {
        let name = bytes("l");
        let proclaim = ElectionProclaimRequest { name: name.clone(), session_id, token, value: bytes("x") };
        refused("proclaiming", node.election.proclaim(proclaim).await, Code::FailedPrecondition, reason);
        let resign = ElectionResignRequest { name, session_id, token };
        refused("resigning", node.election.resign(resign).await, Code::FailedPrecondition, reason);
    }
    // Under a stale token, or a token of another lock, nothing is written.
    for (lock, token) in [("l", stale), ("other", held.token), ("l", held.token + 1000)] {
        let compare = Compare { key: bytes(lock), target: Some(compare::Target::Holds(token)), ..Default::default() };
        let then = vec![TxnOp { op: Some(txn_op::Op::Put(put("guarded", "x"))) }];
        let txn = TxnRequest { compare: vec![compare], then, ..Default::default() };
        assert!(!node.kv.txn(txn).await.unwrap().into_inner().succeeded);
    }
    let key = String::from_utf8(held.key.to_vec()).unwrap();
    let delete = DeleteRequest { key: held.key, ..Default::default() };
    refused("deleting a claim", node.kv.delete(delete).await, Code::FailedPrecondition, "KEY_IS_CLAIM");
    refused("writing a claim", node.kv.put(put(&key, "")).await, Code::FailedPrecondition, "KEY_IS_CLAIM");
    assert_eq!(everything(&mut node).await, before);
}

#[tokio::test]
async fn revisions_that_are_gone_or_not_yet_there() {
    let world = World::start(1).await;
    let mut node = world.raw(1);
    for value in ["1", "2", "3"] {
        node.put("k", value).await.unwrap();
    }
    node.kv.compact(CompactRequest { revision: 2 }).await.unwrap();
    let before = everything(&mut node).await;
    let at = |revision| RangeRequest { key: bytes("k"), revision, ..Default::default() };
    refused("a compacted revision", node.kv.range(at(1)).await, Code::OutOfRange, "REVISION_COMPACTED");
    refused("a future one", node.kv.range(at(4)).await, Code::OutOfRange, "REVISION_FUTURE");
    let compact = |revision| CompactRequest { revision };
    refused("compacting back", node.kv.compact(compact(1)).await, Code::OutOfRange, "REVISION_COMPACTED");
    refused("compacting ahead", node.kv.compact(compact(4)).await, Code::OutOfRange, "REVISION_FUTURE");
    let session_id = node.open(60_000).await.unwrap();
    let numbered = |sequence| PutRequest { request_id: Some(RequestId { session_id, sequence }), ..put("k", "x") };
    node.kv.put(numbered(100)).await.unwrap();
    refused("a number too old", node.kv.put(numbered(1)).await, Code::FailedPrecondition, "SEQUENCE_TOO_OLD");
    let close = SessionCloseRequest { session_id };
    node.session.close(close).await.unwrap();
    assert_ne!(everything(&mut node).await, before, "the one write that was in order is there");
    assert_eq!(node.versions_since_compaction("k").await, ["x", "3", "2"]);
}
