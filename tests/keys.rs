//! Keys over raw gRPC, as kv.proto promises them: written, read in ranges, remembered, deleted, compacted, in transactions.

use ringfence_proto::v1::*;
use ringfence_tests::{
    World,
    raw::{Raw, bytes, delete, get, prefix, put, refusal, text},
};
use tonic::Code;

/// A transaction's operation.
fn then(op: txn_op::Op) -> TxnOp {
    TxnOp { op: Some(op) }
}

fn keys(response: &RangeResponse) -> Vec<String> {
    response.kvs.iter().map(|kv| text(&kv.key)).collect()
}

#[tokio::test]
async fn keys_are_written_read_and_remembered() {
    let world = World::start(1).await;
    let mut node = world.raw(1);
    let first = node.put("a/1", "one").await.unwrap().header.unwrap();
    assert_eq!((first.revision, first.node_id), (1, 1));
    assert_ne!(first.cluster_id, 0);
    for (key, value) in [("a/2", "two"), ("a/2/deep", "x"), ("b", "bee"), ("a/1", "uno")] {
        node.put(key, value).await.unwrap();
    }
    let replaced = node.kv.put(PutRequest { prev_kv: true, ..put("a/1", "eins") }).await.unwrap().into_inner();
    let prev = replaced.prev_kv.unwrap();
    assert_eq!((text(&prev.value), prev.create_revision, prev.mod_revision, prev.version), ("uno".into(), 1, 5, 2));
}

#[tokio::test]
async fn ranges_are_read_in_many_ways() {
    let world = World::start(1).await;
    let mut node = world.raw(1);
    for (key, value) in [("a/1", "one"), ("a/2", "two"), ("a/2/deep", "x"), ("b", "bee"), ("a/1", "uno")] {
        node.put(key, value).await.unwrap();
    }
    let all = node.list("a/").await.unwrap();
    assert_eq!(keys(&all), ["a/1", "a/2", "a/2/deep"]);
    assert_eq!(all.count, 3);
    let ask = async |node: &mut Raw, request: RangeRequest| node.kv.range(request).await.unwrap().into_inner();
    let prefix = prefix("a/");
    let page = ask(&mut node, RangeRequest { limit: 2, keys_only: true, ..prefix.clone() }).await;
    assert_eq!(keys(&page), ["a/1", "a/2"]);
    assert!(page.more && page.count == 3 && page.kvs.iter().all(|kv| kv.value.is_empty()));
    let counted = ask(&mut node, RangeRequest { count_only: true, ..prefix.clone() }).await;
    assert!(counted.kvs.is_empty() && counted.count == 3);
    let backwards = ask(&mut node, RangeRequest { descending: true, ..prefix.clone() }).await;
    assert_eq!(keys(&backwards), ["a/2/deep", "a/2", "a/1"]);
    let before = ask(&mut node, RangeRequest { revision: 2, ..prefix.clone() }).await;
    assert_eq!(keys(&before), ["a/1", "a/2"]);
    assert_eq!(text(&before.kvs[0].value), "one");
    let between = RangeRequest { key: bytes("a/2"), range_end: bytes("b"), ..Default::default() };
    assert_eq!(keys(&ask(&mut node, between).await), ["a/2", "a/2/deep"]);
    let children = RangeRequest { key: bytes("a"), children: true, ..Default::default() };
    assert_eq!(keys(&ask(&mut node, children).await), ["a/1", "a/2"]);
    let everything = RangeRequest { prefix: true, ..Default::default() };
    assert_eq!(ask(&mut node, everything).await.count, 4);

    let stale = RangeRequest { consistency: Consistency::Stale.into(), min_revision: 5, ..prefix };
    assert_eq!(text(&ask(&mut node, stale).await.kvs[0].value), "uno");
}

#[tokio::test]
async fn deletions_history_and_compaction() {
    let world = World::start(1).await;
    let mut node = world.raw(1);
    for value in ["one", "two", "three"] {
        node.put("k", value).await.unwrap();
    }
    node.put("l", "other").await.unwrap();
    let request = DeleteRequest { prev_kv: true, ..delete("k") };
    let deleted = node.kv.delete(request.clone()).await.unwrap().into_inner();
    assert_eq!((deleted.deleted, text(&deleted.prev_kvs[0].value)), (1, "three".into()));
    let again = node.kv.delete(request).await.unwrap().into_inner();
    assert_eq!((again.deleted, again.header.unwrap().revision), (0, 5), "deleting nothing makes no revision");

    let versions = node.versions("k").await.unwrap();
    let told: Vec<_> = versions.iter().map(|version| (version.revision, version.value.as_deref())).collect();
    assert_eq!(told, [(1, Some("one")), (2, Some("two")), (3, Some("three")), (5, None)]);

    node.kv.compact(CompactRequest { revision: 3 }).await.unwrap();
    let history = HistoryRequest { key: bytes("k"), ..Default::default() };
    let rest = node.kv.history(history).await.unwrap().into_inner();
    assert_eq!(rest.compacted_revision, 3);
    let left: Vec<_> = rest.versions.iter().map(|version| version.kv.as_ref().unwrap().mod_revision).collect();
    assert_eq!(left, [5, 3], "the newest at the compacted revision stays");
    let old = RangeRequest { key: bytes("k"), revision: 2, ..Default::default() };
    assert_eq!(refusal(node.kv.range(old).await), (Code::OutOfRange, "REVISION_COMPACTED".into()));

    let sweep = DeleteRequest { prefix: true, ..delete("l") };
    assert_eq!(node.kv.delete(sweep).await.unwrap().into_inner().deleted, 1);
    assert_eq!(node.list("").await.unwrap().count, 0);
}

#[tokio::test]
async fn transactions() {
    let world = World::start(1).await;
    let mut node = world.raw(1);
    node.put("k", "1").await.unwrap();
    let txn = |expected: &str| TxnRequest {
        compare: vec![Compare {
            key: bytes("k"),
            target: Some(compare::Target::Value(bytes(expected))),
            ..Default::default()
        }],
        then: vec![
            then(txn_op::Op::Put(put("k", "2"))),
            then(txn_op::Op::Put(put("l", "2"))),
            then(txn_op::Op::Range(get("k"))),
        ],
        r#else: vec![then(txn_op::Op::Range(get("l")))],
        ..Default::default()
    };
    let done = node.kv.txn(txn("1")).await.unwrap().into_inner();
    assert!(done.succeeded && done.responses.len() == 3);
    let Some(txn_op_response::Op::Range(seen)) = &done.responses[2].op else { panic!("{done:?}") };
    assert_eq!(
        (text(&seen.kvs[0].value), seen.kvs[0].mod_revision),
        ("2".into(), 2),
        "a read sees the writes before it"
    );
    let not = node.kv.txn(txn("1")).await.unwrap().into_inner();
    assert!(!not.succeeded && not.responses.len() == 1);
    assert_eq!(not.header.unwrap().revision, 2, "reading makes no revision");
}

#[tokio::test]
async fn sequential_keys_never_repeat() {
    let world = World::start(1).await;
    let mut node = world.raw(1);
    let next = |node: &Raw| {
        let mut kv = node.kv.clone();
        async move { text(&kv.put(PutRequest { sequential: true, ..put("q/", "") }).await.unwrap().into_inner().key) }
    };
    let (one, two) = (next(&node).await, next(&node).await);
    assert!(one < two && one.len() == "q/".len() + 20, "{one} {two}");
    let sweep = DeleteRequest { prefix: true, ..delete("q/") };
    assert_eq!(node.kv.delete(sweep).await.unwrap().into_inner().deleted, 2);
    assert!(next(&node).await > two, "the counter never goes back, not even when the keys are gone");
}

#[tokio::test]
async fn a_numbered_write_has_one_effect() {
    let world = World::start(1).await;
    let mut node = world.raw(1);
    let session_id = node.open(60_000).await.unwrap();
    let once = PutRequest { request_id: Some(RequestId { session_id, sequence: 1 }), ..put("once", "x") };
    let first = node.kv.put(once.clone()).await.unwrap().into_inner();
    let revision = first.header.unwrap().revision;
    node.kv.put(once.clone()).await.unwrap();
    let versions = node.versions("once").await.unwrap();
    assert_eq!(versions.len(), 1, "a retry has no second effect");
    assert_eq!(versions[0].revision, revision);
    let other = PutRequest { request_id: once.request_id, ..put("once", "y") };
    assert_eq!(refusal(node.kv.put(other).await).1, "SEQUENCE_REUSED");
}
