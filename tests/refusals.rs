//! Bad input: each kind has its typed answer, and changes nothing.

use std::fmt::Debug;

use ringfence_proto::v1::*;
use ringfence_tests::{
    World,
    raw::{Raw, bytes, put, refusal},
    wait::until,
};
use tonic::{Code, Response, Status};

/// Checks one refusal, whatever the call answers when it succeeds.
#[track_caller]
fn refused<T: Debug>(what: &str, result: Result<Response<T>, Status>, code: Code, reason: &str) {
    let told = refusal(result.map_err(|status| {
        assert!(
            status.message().len() < 2000,
            "{what}: a refusal must not repeat the whole input"
        );
        status
    }));
    assert_eq!(told, (code, reason.to_owned()), "{what}");
}

#[track_caller]
fn invalid<T: Debug>(what: &str, result: Result<Response<T>, Status>, reason: &str) {
    refused(what, result, Code::InvalidArgument, reason);
}

/// All that a client can see of the state.
#[derive(Debug, PartialEq)]
struct Everything {
    revision: u64,
    keys: Vec<KeyValue>,
    locks: Vec<LockSummary>,
    sessions: Vec<(u64, u64, u64)>,
}

async fn everything(node: &mut Raw) -> Everything {
    let all = node.list("").await.unwrap();
    let locks = node
        .lock
        .list(LockListRequest::default())
        .await
        .unwrap()
        .into_inner()
        .locks;
    let sessions = node
        .session
        .list(SessionListRequest::default())
        .await
        .unwrap()
        .into_inner()
        .sessions;
    let sessions: Vec<_> = sessions
        .into_iter()
        .map(|info| (info.session_id, info.ttl_ms, info.keys))
        .collect();
    Everything {
        revision: all.header.unwrap().revision,
        keys: all.kvs,
        locks,
        sessions,
    }
}

#[tokio::test]
async fn what_is_too_large_or_malformed_is_not_even_proposed() {
    let world = World::start(1).await;
    let mut node = world.raw(1);
    node.put("k", "v").await.unwrap();
    let before = node.status().await.unwrap();

    let long_key = "k".repeat(4097);
    invalid(
        "a key too long",
        node.kv.put(put(&long_key, "")).await,
        "LIMIT_EXCEEDED",
    );
    invalid(
        "an empty key",
        node.kv.put(put("", "v")).await,
        "INVALID_KEY",
    );
    let large = "v".repeat((1 << 20) + 1);
    invalid(
        "a value too large",
        node.kv.put(put("k", &large)).await,
        "LIMIT_EXCEEDED",
    );
    let history = HistoryRequest {
        key: bytes("k"),
        limit: 1001,
        ..Default::default()
    };
    invalid(
        "a history too long",
        node.kv.history(history).await,
        "LIMIT_EXCEEDED",
    );
    transactions(&mut node).await;
    ranges(&mut node).await;
    for ttl_ms in [0, 499, 86_400_001, u64::MAX] {
        let open = SessionOpenRequest {
            ttl_ms,
            owner: String::new(),
        };
        invalid(
            "a TTL out of range",
            node.session.open(open).await,
            "TTL_OUT_OF_RANGE",
        );
    }
    let open = SessionOpenRequest {
        ttl_ms: 1000,
        owner: "x".repeat(257),
    };
    invalid(
        "an owner too long",
        node.session.open(open).await,
        "LIMIT_EXCEEDED",
    );

    // Larger than any message may be. The transport itself refuses it, in its own words.
    let huge = "v".repeat(64 << 20);
    let status = node.kv.put(put("k", &huge)).await.unwrap_err();
    assert!(
        matches!(status.code(), Code::OutOfRange | Code::ResourceExhausted),
        "{status:?}"
    );

    let after = node.status().await.unwrap();
    assert_eq!(
        (after.revision, after.state_hash),
        (before.revision, before.state_hash)
    );
    assert_eq!(
        after.last_log_index, before.last_log_index,
        "nothing of this was worth a log entry"
    );
}

async fn transactions(node: &mut Raw) {
    let op = |put: PutRequest| TxnOp {
        op: Some(txn_op::Op::Put(put)),
    };
    let txn = |then: Vec<TxnOp>| TxnRequest {
        then,
        ..Default::default()
    };
    let many: Vec<TxnOp> = (0..129)
        .map(|index| op(put(&format!("k{index}"), "")))
        .collect();
    invalid(
        "too many operations",
        node.kv.txn(txn(many.clone())).await,
        "LIMIT_EXCEEDED",
    );
    let otherwise = TxnRequest {
        r#else: many,
        ..Default::default()
    };
    invalid(
        "too many operations in the other list",
        node.kv.txn(otherwise).await,
        "LIMIT_EXCEEDED",
    );
    let compare = Compare {
        key: bytes("k"),
        target: Some(compare::Target::Version(1)),
        ..Default::default()
    };
    let comparisons = TxnRequest {
        compare: vec![compare; 129],
        ..Default::default()
    };
    invalid(
        "too many comparisons",
        node.kv.txn(comparisons).await,
        "LIMIT_EXCEEDED",
    );
    let mebibyte = "v".repeat(1 << 20);
    let heavy = ["a", "b", "c"].map(|key| op(put(key, &mebibyte))).to_vec();
    invalid(
        "too many bytes in all",
        node.kv.txn(txn(heavy)).await,
        "LIMIT_EXCEEDED",
    );
    let twice = vec![op(put("a", "1")), op(put("a", "2"))];
    invalid(
        "a key written twice",
        node.kv.txn(txn(twice)).await,
        "DUPLICATE_KEY",
    );
    let covered = DeleteRequest {
        key: bytes("a"),
        prefix: true,
        ..Default::default()
    };
    let covered = vec![
        op(put("ab", "1")),
        TxnOp {
            op: Some(txn_op::Op::Delete(covered)),
        },
    ];
    invalid(
        "a key written and deleted",
        node.kv.txn(txn(covered)).await,
        "DUPLICATE_KEY",
    );
    let nothing = vec![TxnOp { op: None }];
    invalid(
        "an operation that says nothing",
        node.kv.txn(txn(nothing)).await,
        "INVALID_ARGUMENT",
    );
    let nothing = TxnRequest {
        compare: vec![Compare {
            key: bytes("k"),
            ..Default::default()
        }],
        ..Default::default()
    };
    invalid(
        "a comparison that says nothing",
        node.kv.txn(nothing).await,
        "INVALID_ARGUMENT",
    );
    let numbered = PutRequest {
        request_id: Some(RequestId {
            session_id: 1,
            sequence: 1,
        }),
        ..put("a", "")
    };
    invalid(
        "a number within a transaction",
        node.kv.txn(txn(vec![op(numbered)])).await,
        "INVALID_ARGUMENT",
    );
}

async fn ranges(node: &mut Raw) {
    let range = |key: &str, end: &str| RangeRequest {
        key: bytes(key),
        range_end: bytes(end),
        ..Default::default()
    };
    let bad = [
        ("an empty range", range("b", "b")),
        ("an inverted range", range("b", "a")),
        ("a range without a beginning", range("", "a")),
        (
            "a prefix with an end",
            RangeRequest {
                prefix: true,
                ..range("a", "b")
            },
        ),
        (
            "children of a prefix",
            RangeRequest {
                prefix: true,
                children: true,
                ..range("a", "")
            },
        ),
        ("nothing at all", range("", "")),
    ];
    for (what, request) in bad {
        invalid(what, node.kv.range(request).await, "INVALID_RANGE");
    }
    let page = RangeRequest {
        limit: 10_001,
        prefix: true,
        ..Default::default()
    };
    invalid(
        "a page too long",
        node.kv.range(page).await,
        "LIMIT_EXCEEDED",
    );
    let delete = |key: &str, end: &str| DeleteRequest {
        key: bytes(key),
        range_end: bytes(end),
        ..Default::default()
    };
    invalid(
        "deleting an empty range",
        node.kv.delete(delete("b", "b")).await,
        "INVALID_RANGE",
    );
    invalid(
        "deleting an inverted range",
        node.kv.delete(delete("b", "a")).await,
        "INVALID_RANGE",
    );
    let all = DeleteRequest {
        prefix: true,
        ..Default::default()
    };
    invalid(
        "deleting everything by an empty prefix",
        node.kv.delete(all).await,
        "INVALID_RANGE",
    );
}

#[tokio::test]
async fn names_and_claims_that_cannot_be() {
    let world = World::start(1).await;
    let mut node = world.raw(1);
    let session_id = node.open(60_000).await.unwrap();
    let before = everything(&mut node).await;
    let names: [&[u8]; 8] = [
        b"",
        b"a\nb",
        b"a\0",
        b"\x7f",
        b"/a",
        b"a/",
        b"\xff\xfe",
        "a\u{85}".as_bytes(),
    ];
    for name in names {
        let name = bytes::Bytes::from_static(name);
        let what = format!("the name {name:?}");
        let acquire = LockAcquireRequest {
            name: name.clone(),
            session_id,
            ..Default::default()
        };
        invalid(&what, node.lock.acquire(acquire).await, "INVALID_NAME");
        let acquire = LockTryAcquireRequest {
            name: name.clone(),
            session_id,
            ..Default::default()
        };
        invalid(&what, node.lock.try_acquire(acquire).await, "INVALID_NAME");
        let campaign = ElectionCampaignRequest {
            name: name.clone(),
            session_id,
            ..Default::default()
        };
        invalid(
            &what,
            node.election.campaign(campaign).await,
            "INVALID_NAME",
        );
        let observe = ElectionObserveRequest { name };
        invalid(
            &what,
            node.election
                .observe(observe)
                .await
                .map(|_| Response::new(())),
            "INVALID_NAME",
        );
    }
    let claim = LockTryAcquireRequest {
        name: bytes("l"),
        session_id,
        ..Default::default()
    };
    let long = LockTryAcquireRequest {
        name: bytes(&"n".repeat(1025)),
        ..claim.clone()
    };
    let (code, reason) = refusal(node.lock.try_acquire(long).await);
    assert_eq!(code, Code::InvalidArgument, "a name too long");
    assert!(
        ["INVALID_NAME", "LIMIT_EXCEEDED"].contains(&reason.as_str()),
        "{reason}"
    );
    for suffix in ["a/b", "a b", "ä", &"s".repeat(65)] {
        let claim = LockTryAcquireRequest {
            suffix: bytes(suffix),
            ..claim.clone()
        };
        let (code, reason) = refusal(node.lock.try_acquire(claim).await);
        assert_eq!(code, Code::InvalidArgument, "the suffix {suffix}");
        assert!(
            ["INVALID_NAME", "LIMIT_EXCEEDED"].contains(&reason.as_str()),
            "{reason}"
        );
    }
    let value = LockTryAcquireRequest {
        value: bytes(&"v".repeat(65_537)),
        ..claim.clone()
    };
    invalid(
        "a value too large for a claim",
        node.lock.try_acquire(value).await,
        "LIMIT_EXCEEDED",
    );
    let unknown = LockTryAcquireRequest {
        mode: 9,
        ..claim.clone()
    };
    invalid(
        "a mode that isn't one",
        node.lock.try_acquire(unknown).await,
        "INVALID_ARGUMENT",
    );
    for permits in [0, (1 << 20) + 1] {
        let mode = LockMode::Semaphore.into();
        let claim = LockTryAcquireRequest {
            mode,
            permits,
            ..claim.clone()
        };
        assert_eq!(
            refusal(node.lock.try_acquire(claim).await).0,
            Code::InvalidArgument,
            "{permits} permits"
        );
    }
    let wait = LockAcquireRequest {
        name: bytes("l"),
        session_id,
        wait_ms: 86_400_001,
        ..Default::default()
    };
    assert_eq!(
        refusal(node.lock.acquire(wait).await).0,
        Code::InvalidArgument,
        "a wait too long"
    );
    assert_eq!(everything(&mut node).await, before);
}

#[tokio::test]
async fn sessions_that_are_not_alive() {
    let world = World::start(1).await;
    let mut node = world.raw(1);
    let expired = node.open(500).await.unwrap();
    until("the session to expire", async || {
        let list = node
            .session
            .list(SessionListRequest::default())
            .await
            .unwrap()
            .into_inner();
        if list.sessions.is_empty() {
            Ok(())
        } else {
            Err(list)
        }
    })
    .await;
    let before = everything(&mut node).await;
    for session_id in [expired, 12_345] {
        let name = bytes("l");
        let bound = PutRequest {
            session_id,
            ..put("k", "v")
        };
        refused(
            "a bound key",
            node.kv.put(bound).await,
            Code::FailedPrecondition,
            "SESSION_UNKNOWN",
        );
        let numbered = PutRequest {
            request_id: Some(RequestId {
                session_id,
                sequence: 1,
            }),
            ..put("k", "v")
        };
        refused(
            "a numbered write",
            node.kv.put(numbered).await,
            Code::FailedPrecondition,
            "SESSION_UNKNOWN",
        );
        let acquire = LockAcquireRequest {
            name: name.clone(),
            session_id,
            ..Default::default()
        };
        refused(
            "a claim",
            node.lock.acquire(acquire).await,
            Code::FailedPrecondition,
            "SESSION_UNKNOWN",
        );
        let claim = node.try_lock("l", session_id).await.map(Response::new);
        refused(
            "a claim at once",
            claim,
            Code::FailedPrecondition,
            "SESSION_UNKNOWN",
        );
        let campaign = ElectionCampaignRequest {
            name,
            session_id,
            ..Default::default()
        };
        refused(
            "a candidate",
            node.election.campaign(campaign).await,
            Code::FailedPrecondition,
            "SESSION_UNKNOWN",
        );
        let close = SessionCloseRequest { session_id };
        refused(
            "closing",
            node.session.close(close).await,
            Code::NotFound,
            "SESSION_UNKNOWN",
        );
        let describe = SessionDescribeRequest {
            session_id,
            ..Default::default()
        };
        refused(
            "describing",
            node.session.describe(describe).await,
            Code::NotFound,
            "SESSION_UNKNOWN",
        );
    }
    assert_eq!(everything(&mut node).await, before);
}

#[tokio::test]
async fn tokens_that_are_stale_or_foreign() {
    let world = World::start(1).await;
    let mut node = world.raw(1);
    let (ann, bob) = (
        node.open(60_000).await.unwrap(),
        node.open(60_000).await.unwrap(),
    );
    let stale = node.try_lock("l", ann).await.unwrap().token;
    let release = |session_id, token| LockReleaseRequest {
        name: bytes("l"),
        session_id,
        token,
        ..Default::default()
    };
    node.lock.release(release(ann, stale)).await.unwrap();
    let held = node.try_lock("l", bob).await.unwrap();
    let before = everything(&mut node).await;

    refused(
        "a stale token",
        node.lock.release(release(ann, stale)).await,
        Code::FailedPrecondition,
        "TOKEN_STALE",
    );
    refused(
        "a foreign one",
        node.lock.release(release(ann, held.token)).await,
        Code::FailedPrecondition,
        "NOT_OWNER",
    );
    let force = LockForceReleaseRequest {
        name: bytes("l"),
        token: stale,
    };
    refused(
        "forcing a stale one",
        node.lock.force_release(force).await,
        Code::FailedPrecondition,
        "TOKEN_STALE",
    );
    for (session_id, token, reason) in [(ann, stale, "TOKEN_STALE"), (ann, held.token, "NOT_OWNER")]
    {
        let name = bytes("l");
        let proclaim = ElectionProclaimRequest {
            name: name.clone(),
            session_id,
            token,
            value: bytes("x"),
        };
        refused(
            "proclaiming",
            node.election.proclaim(proclaim).await,
            Code::FailedPrecondition,
            reason,
        );
        let resign = ElectionResignRequest {
            name,
            session_id,
            token,
        };
        refused(
            "resigning",
            node.election.resign(resign).await,
            Code::FailedPrecondition,
            reason,
        );
    }
    // Under a stale token, or a token of another lock, nothing is written.
    for (lock, token) in [
        ("l", stale),
        ("other", held.token),
        ("l", held.token + 1000),
    ] {
        let compare = Compare {
            key: bytes(lock),
            target: Some(compare::Target::Holds(token)),
            ..Default::default()
        };
        let then = vec![TxnOp {
            op: Some(txn_op::Op::Put(put("guarded", "x"))),
        }];
        let txn = TxnRequest {
            compare: vec![compare],
            then,
            ..Default::default()
        };
        assert!(!node.kv.txn(txn).await.unwrap().into_inner().succeeded);
    }
    let key = String::from_utf8(held.key.to_vec()).unwrap();
    let delete = DeleteRequest {
        key: held.key,
        ..Default::default()
    };
    refused(
        "deleting a claim",
        node.kv.delete(delete).await,
        Code::FailedPrecondition,
        "KEY_IS_CLAIM",
    );
    refused(
        "writing a claim",
        node.kv.put(put(&key, "")).await,
        Code::FailedPrecondition,
        "KEY_IS_CLAIM",
    );
    assert_eq!(everything(&mut node).await, before);
}

#[tokio::test]
async fn revisions_that_are_gone_or_not_yet_there() {
    let world = World::start(1).await;
    let mut node = world.raw(1);
    for value in ["1", "2", "3"] {
        node.put("k", value).await.unwrap();
    }
    node.kv
        .compact(CompactRequest { revision: 2 })
        .await
        .unwrap();
    let before = everything(&mut node).await;
    let at = |revision| RangeRequest {
        key: bytes("k"),
        revision,
        ..Default::default()
    };
    refused(
        "a compacted revision",
        node.kv.range(at(1)).await,
        Code::OutOfRange,
        "REVISION_COMPACTED",
    );
    refused(
        "a future one",
        node.kv.range(at(4)).await,
        Code::OutOfRange,
        "REVISION_FUTURE",
    );
    let compact = |revision| CompactRequest { revision };
    refused(
        "compacting back",
        node.kv.compact(compact(1)).await,
        Code::OutOfRange,
        "REVISION_COMPACTED",
    );
    refused(
        "compacting ahead",
        node.kv.compact(compact(4)).await,
        Code::OutOfRange,
        "REVISION_FUTURE",
    );
    let session_id = node.open(60_000).await.unwrap();
    let numbered = |sequence| PutRequest {
        request_id: Some(RequestId {
            session_id,
            sequence,
        }),
        ..put("k", "x")
    };
    node.kv.put(numbered(100)).await.unwrap();
    refused(
        "a number too old",
        node.kv.put(numbered(1)).await,
        Code::FailedPrecondition,
        "SEQUENCE_TOO_OLD",
    );
    let close = SessionCloseRequest { session_id };
    node.session.close(close).await.unwrap();
    assert_ne!(
        everything(&mut node).await,
        before,
        "the one write that was in order is there"
    );
    assert_eq!(node.versions_since_compaction("k").await, ["x", "3", "2"]);
}
