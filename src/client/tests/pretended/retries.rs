//! What is asked again, where, and what is never asked twice.

use std::time::Duration;

use crate::fake::{Fault, builder, client, cluster, no_leader, status};
use ringfence_client::{Error, RetryPolicy};
use tonic::{Code, Status};

fn broken() -> Status {
    Status::unknown("transport error")
}

#[tokio::test]
async fn writes_go_to_the_leader_and_follow_it() {
    let (world, nodes) = cluster();
    let client = client(&nodes).await;
    let kv = client.kv();
    for _ in 0..3 {
        kv.put("a", "1").await.unwrap();
    }
    assert_eq!(nodes[0].calls("put"), 3);
    // The answer to the next write tells of the new term; then the members are asked.
    world.lead(2);
    kv.put("a", "1").await.unwrap();
    while nodes[1].calls("put") == 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
        kv.put("a", "1").await.unwrap();
    }
    let before = nodes[0].calls("put");
    kv.put("a", "1").await.unwrap();
    assert_eq!(nodes[0].calls("put"), before);
}

#[tokio::test]
async fn a_plain_put_whose_outcome_is_unknown_is_not_repeated() {
    let (world, nodes) = cluster();
    let client = client(&nodes).await;
    for status in [broken(), status(Code::Unavailable, "OUTCOME_UNKNOWN")] {
        let before = world.revision();
        for node in &nodes {
            node.faults("put", [Fault::DoneBut(status.clone())]);
        }
        let error = client.kv().put("a", "1").await.unwrap_err();
        assert!(matches!(error, Error::Unknown { .. }), "{error:?}");
        assert_eq!(world.revision(), before + 1);
        for node in &nodes {
            while client.kv().put("drain", "").await.is_err() {}
            let _ = node;
        }
    }
}

#[tokio::test]
async fn a_plain_put_that_was_surely_not_done_is_repeated() {
    let (world, nodes) = cluster();
    let client = client(&nodes).await;
    nodes[0].faults("put", [no_leader(), no_leader()]);
    nodes[1].faults("put", [no_leader()]);
    nodes[2].faults("put", [no_leader()]);
    client.kv().put("a", "1").await.unwrap();
    assert_eq!(world.get(b"a").unwrap().version, 1);
}

#[tokio::test]
async fn a_member_that_is_down_is_passed_over() {
    let (world, mut nodes) = cluster();
    nodes[0].kill();
    // It never had a connection to that one, so it knows that nothing was done there.
    let client = client(&nodes).await;
    for _ in 0..10 {
        client.kv().put("a", "1").await.unwrap();
    }
    assert_eq!(world.get(b"a").unwrap().version, 10);
    assert!(client.kv().get("a").await.unwrap().is_some());
}

#[tokio::test]
async fn a_write_that_meets_a_broken_connection_is_done_once_or_unknown() {
    let (world, mut nodes) = cluster();
    let client = client(&nodes).await;
    client.kv().put("a", "1").await.unwrap();
    nodes[0].kill();
    match client.kv().put("a", "2").await {
        Ok(put) => assert_eq!(world.get(b"a").unwrap().mod_revision, put.revision),
        Err(error) => assert!(matches!(error, Error::Unknown { .. }), "{error:?}"),
    }
    assert!(world.get(b"a").unwrap().version <= 2);
    let session = client.open_session(Default::default()).await.unwrap();
    nodes[1].kill();
    session.kv().put("b", "1").await.unwrap();
    assert_eq!(world.get(b"b").unwrap().version, 1);
}

#[tokio::test]
async fn a_write_within_a_session_is_repeated_and_has_one_effect() {
    let (world, nodes) = cluster();
    let client = client(&nodes).await;
    let session = client.open_session(Default::default()).await.unwrap();
    for node in &nodes {
        node.faults("put", [Fault::DoneBut(broken()), no_leader()]);
    }
    let first = session.kv().put("a", "1").await.unwrap();
    let kv = world.get(b"a").unwrap();
    assert_eq!((kv.version, kv.mod_revision), (1, first.revision));
    session.kv().put("a", "2").await.unwrap();
    assert_eq!(world.get(b"a").unwrap().version, 2);
}

#[tokio::test]
async fn a_read_leaves_a_member_that_hangs() {
    let (_world, nodes) = cluster();
    let client = client(&nodes).await;
    for node in &nodes[..2] {
        node.faults("range", [Fault::Hang, Fault::Hang]);
    }
    assert_eq!(client.kv().get("a").await.unwrap(), None);
}

#[tokio::test]
async fn what_cannot_be_done_is_unavailable_and_what_may_be_done_unknown() {
    let (_world, mut nodes) = cluster();
    let policy = RetryPolicy { attempts_max: 4, ..RetryPolicy::default() };
    let client = builder(&nodes).retry(policy).build().unwrap();
    for node in &nodes {
        node.faults("put", (0..4).map(|_| no_leader()));
        node.faults("open", (0..4).map(|_| no_leader()));
    }
    let error = client.kv().put("a", "1").await.unwrap_err();
    assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");
    assert!(error.is_transient());
    let error = client.open_session(Default::default()).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");
    for node in &mut nodes {
        node.kill();
    }
    let policy = RetryPolicy { attempts_max: 4, ..RetryPolicy::default() };
    let client = builder(&nodes).retry(policy).build().unwrap();
    let error = client.kv().put("a", "1").await.unwrap_err();
    assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");
    let error = client.kv().get("a").await.unwrap_err();
    assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");
}

#[tokio::test]
async fn a_refusal_is_final() {
    let (_world, nodes) = cluster();
    let client = client(&nodes).await;
    nodes[0].faults("put", [Fault::Refuse(status(Code::InvalidArgument, "LIMIT_EXCEEDED"))]);
    let error = client.kv().put("a", "1").await.unwrap_err();
    assert_eq!(error.kind(), "LIMIT_EXCEEDED");
    assert_eq!(nodes.iter().map(|node| node.calls("put")).sum::<u64>(), 1);
}
