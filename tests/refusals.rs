//! Bad input: each kind has its typed answer, and changes nothing.

use ringfence_proto::v1::*;
use ringfence_tests::{
    World,
    raw::{Raw, bytes, put, refusal, then_put, try_acquire},
    refused::{everything, invalid},
};
use tonic::Code;

#[tokio::test]
async fn what_is_too_large_or_malformed_is_not_even_proposed() {
    let world = World::start(1).await;
    let mut node = world.raw(1);
    node.put("k", "v").await.unwrap();
    world.level().await;
    let before = node.status().await.unwrap();

    let long_key = "k".repeat(4097);
    invalid("a key too long", node.kv.put(put(&long_key, "")).await, "LIMIT_EXCEEDED");
    invalid("an empty key", node.kv.put(put("", "v")).await, "INVALID_KEY");
    let large = "v".repeat((1 << 20) + 1);
    invalid("a value too large", node.kv.put(put("k", &large)).await, "LIMIT_EXCEEDED");
    let history = HistoryRequest { key: bytes("k"), limit: 1001, ..Default::default() };
    invalid("a history too long", node.kv.history(history).await, "LIMIT_EXCEEDED");
    transactions(&mut node).await;
    ranges(&mut node).await;
    for ttl_ms in [0, 499, 86_400_001, u64::MAX] {
        let open = SessionOpenRequest { ttl_ms, owner: String::new() };
        invalid("a TTL out of range", node.session.open(open).await, "TTL_OUT_OF_RANGE");
    }
    let open = SessionOpenRequest { ttl_ms: 1000, owner: "x".repeat(257) };
    invalid("an owner too long", node.session.open(open).await, "LIMIT_EXCEEDED");

    // Larger than any message may be. The transport itself refuses it, in its own words.
    let huge = "v".repeat(64 << 20);
    let status = node.kv.put(put("k", &huge)).await.unwrap_err();
    assert!(matches!(status.code(), Code::OutOfRange | Code::ResourceExhausted), "{status:?}");

    let after = node.status().await.unwrap();
    assert_eq!((after.revision, after.state_hash), (before.revision, before.state_hash));
    assert_eq!(after.last_log_index, before.last_log_index, "nothing of this was worth a log entry");
}

async fn transactions(node: &mut Raw) {
    let txn = |then: Vec<TxnOp>| TxnRequest { then, ..Default::default() };
    let many: Vec<TxnOp> = (0..129).map(|index| then_put(put(&format!("k{index}"), ""))).collect();
    invalid("too many operations", node.kv.txn(txn(many.clone())).await, "LIMIT_EXCEEDED");
    let otherwise = TxnRequest { r#else: many, ..Default::default() };
    invalid("too many operations in the other list", node.kv.txn(otherwise).await, "LIMIT_EXCEEDED");
    let compare = Compare { key: bytes("k"), target: Some(compare::Target::Version(1)), ..Default::default() };
    let comparisons = TxnRequest { compare: vec![compare; 129], ..Default::default() };
    invalid("too many comparisons", node.kv.txn(comparisons).await, "LIMIT_EXCEEDED");
    let mebibyte = "v".repeat(1 << 20);
    let heavy = ["a", "b", "c"].map(|key| then_put(put(key, &mebibyte))).to_vec();
    invalid("too many bytes in all", node.kv.txn(txn(heavy)).await, "LIMIT_EXCEEDED");
    let twice = vec![then_put(put("a", "1")), then_put(put("a", "2"))];
    invalid("a key written twice", node.kv.txn(txn(twice)).await, "DUPLICATE_KEY");
    let covered = DeleteRequest { key: bytes("a"), prefix: true, ..Default::default() };
    let covered = vec![then_put(put("ab", "1")), TxnOp { op: Some(txn_op::Op::Delete(covered)) }];
    invalid("a key written and deleted", node.kv.txn(txn(covered)).await, "DUPLICATE_KEY");
    let nothing = vec![TxnOp { op: None }];
    invalid("an operation that says nothing", node.kv.txn(txn(nothing)).await, "INVALID_ARGUMENT");
    let nothing = TxnRequest { compare: vec![Compare { key: bytes("k"), ..Default::default() }], ..Default::default() };
    invalid("a comparison that says nothing", node.kv.txn(nothing).await, "INVALID_ARGUMENT");
    let numbered = PutRequest { request_id: Some(RequestId { session_id: 1, sequence: 1 }), ..put("a", "") };
    invalid("a number within a transaction", node.kv.txn(txn(vec![then_put(numbered)])).await, "INVALID_ARGUMENT");
}

async fn ranges(node: &mut Raw) {
    let range = |key: &str, end: &str| RangeRequest { key: bytes(key), range_end: bytes(end), ..Default::default() };
    let bad = [
        ("an empty range", range("b", "b")),
        ("an inverted range", range("b", "a")),
        ("a range without a beginning", range("", "a")),
        ("a prefix with an end", RangeRequest { prefix: true, ..range("a", "b") }),
        ("children of a prefix", RangeRequest { prefix: true, children: true, ..range("a", "") }),
        ("nothing at all", range("", "")),
    ];
    for (what, request) in bad {
        invalid(what, node.kv.range(request).await, "INVALID_RANGE");
    }
    let page = RangeRequest { limit: 10_001, prefix: true, ..Default::default() };
    invalid("a page too long", node.kv.range(page).await, "LIMIT_EXCEEDED");
    let delete = |key: &str, end: &str| DeleteRequest { key: bytes(key), range_end: bytes(end), ..Default::default() };
    invalid("deleting an empty range", node.kv.delete(delete("b", "b")).await, "INVALID_RANGE");
    invalid("deleting an inverted range", node.kv.delete(delete("b", "a")).await, "INVALID_RANGE");
    let all = DeleteRequest { prefix: true, ..Default::default() };
    invalid("deleting everything by an empty prefix", node.kv.delete(all).await, "INVALID_RANGE");
}

#[tokio::test]
async fn names_and_claims_that_cannot_be() {
    let world = World::start(1).await;
    let mut node = world.raw(1);
    let session_id = node.open(60_000).await.unwrap();
    let before = everything(&mut node).await;
    let names: [&[u8]; 8] = [b"", b"a\nb", b"a\0", b"\x7f", b"/a", b"a/", b"\xff\xfe", "a\u{85}".as_bytes()];
    for name in names {
        let name = bytes::Bytes::from_static(name);
        let what = format!("the name {name:?}");
        let acquire = LockAcquireRequest { name: name.clone(), session_id, ..Default::default() };
        invalid(&what, node.lock.acquire(acquire).await, "INVALID_NAME");
        let acquire = LockTryAcquireRequest { name: name.clone(), session_id, ..Default::default() };
        invalid(&what, node.lock.try_acquire(acquire).await, "INVALID_NAME");
        let campaign = ElectionCampaignRequest { name, session_id, ..Default::default() };
        invalid(&what, node.election.campaign(campaign).await, "INVALID_NAME");
    }
    let claim = try_acquire("l", session_id);
    let long = LockTryAcquireRequest { name: bytes(&"n".repeat(1025)), ..claim.clone() };
    let (code, reason) = refusal(node.lock.try_acquire(long).await);
    assert_eq!(code, Code::InvalidArgument, "a name too long");
    assert!(["INVALID_NAME", "LIMIT_EXCEEDED"].contains(&reason.as_str()), "{reason}");
    for suffix in ["a/b", "a b", "ä", &"s".repeat(65)] {
        let claim = LockTryAcquireRequest { suffix: bytes(suffix), ..claim.clone() };
        let (code, reason) = refusal(node.lock.try_acquire(claim).await);
        assert_eq!(code, Code::InvalidArgument, "the suffix {suffix}");
        assert!(["INVALID_NAME", "LIMIT_EXCEEDED"].contains(&reason.as_str()), "{reason}");
    }
    let value = LockTryAcquireRequest { value: bytes(&"v".repeat(65_537)), ..claim.clone() };
    invalid("a value too large for a claim", node.lock.try_acquire(value).await, "LIMIT_EXCEEDED");
    let unknown = LockTryAcquireRequest { mode: 9, ..claim.clone() };
    invalid("a mode that isn't one", node.lock.try_acquire(unknown).await, "INVALID_ARGUMENT");
    for permits in [0, (1 << 20) + 1] {
        let mode = LockMode::Semaphore.into();
        let claim = LockTryAcquireRequest { mode, permits, ..claim.clone() };
        assert_eq!(refusal(node.lock.try_acquire(claim).await).0, Code::InvalidArgument, "{permits} permits");
    }
    let wait = LockAcquireRequest { name: bytes("l"), session_id, wait_ms: 86_400_001, ..Default::default() };
    assert_eq!(refusal(node.lock.acquire(wait).await).0, Code::InvalidArgument, "a wait too long");
    assert_eq!(everything(&mut node).await, before);
}
