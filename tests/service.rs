//! Every call of the service, as the .proto files promise it, over raw gRPC: no client crate between.

use std::collections::BTreeSet;

use ringfence_proto::v1::*;
use ringfence_tests::{
    World,
    raw::{Raw, bytes, put, refusal, text},
    wait::{until, within},
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
    for (key, value) in [
        ("a/2", "two"),
        ("a/2/deep", "x"),
        ("b", "bee"),
        ("a/1", "uno"),
    ] {
        node.put(key, value).await.unwrap();
    }
    let replaced = node
        .kv
        .put(PutRequest {
            prev_kv: true,
            ..put("a/1", "eins")
        })
        .await
        .unwrap()
        .into_inner();
    let prev = replaced.prev_kv.unwrap();
    assert_eq!(
        (
            text(&prev.value),
            prev.create_revision,
            prev.mod_revision,
            prev.version
        ),
        ("uno".into(), 1, 5, 2)
    );

    let all = node.list("a/").await.unwrap();
    assert_eq!(keys(&all), ["a/1", "a/2", "a/2/deep"]);
    assert_eq!(all.count, 3);
    let ask = async |node: &mut Raw, request: RangeRequest| {
        node.kv.range(request).await.unwrap().into_inner()
    };
    let prefix = RangeRequest {
        key: bytes("a/"),
        prefix: true,
        ..Default::default()
    };
    let page = ask(
        &mut node,
        RangeRequest {
            limit: 2,
            keys_only: true,
            ..prefix.clone()
        },
    )
    .await;
    assert_eq!(keys(&page), ["a/1", "a/2"]);
    assert!(page.more && page.count == 3 && page.kvs.iter().all(|kv| kv.value.is_empty()));
    let counted = ask(
        &mut node,
        RangeRequest {
            count_only: true,
            ..prefix.clone()
        },
    )
    .await;
    assert!(counted.kvs.is_empty() && counted.count == 3);
    let backwards = ask(
        &mut node,
        RangeRequest {
            descending: true,
            ..prefix.clone()
        },
    )
    .await;
    assert_eq!(keys(&backwards), ["a/2/deep", "a/2", "a/1"]);
    let before = ask(
        &mut node,
        RangeRequest {
            revision: 2,
            ..prefix.clone()
        },
    )
    .await;
    assert_eq!(keys(&before), ["a/1", "a/2"]);
    assert_eq!(text(&before.kvs[0].value), "one");
    let between = RangeRequest {
        key: bytes("a/2"),
        range_end: bytes("b"),
        ..Default::default()
    };
    assert_eq!(keys(&ask(&mut node, between).await), ["a/2", "a/2/deep"]);
    let children = RangeRequest {
        key: bytes("a"),
        children: true,
        ..Default::default()
    };
    assert_eq!(keys(&ask(&mut node, children).await), ["a/1", "a/2"]);
    let everything = RangeRequest {
        prefix: true,
        ..Default::default()
    };
    assert_eq!(ask(&mut node, everything).await.count, 4);

    let stale = RangeRequest {
        consistency: Consistency::Stale.into(),
        min_revision: 6,
        ..prefix
    };
    assert_eq!(text(&ask(&mut node, stale).await.kvs[0].value), "eins");
}

#[tokio::test]
async fn deletions_history_and_compaction() {
    let world = World::start(1).await;
    let mut node = world.raw(1);
    for value in ["one", "two", "three"] {
        node.put("k", value).await.unwrap();
    }
    node.put("l", "other").await.unwrap();
    let delete = DeleteRequest {
        key: bytes("k"),
        prev_kv: true,
        ..Default::default()
    };
    let deleted = node.kv.delete(delete.clone()).await.unwrap().into_inner();
    assert_eq!(
        (deleted.deleted, text(&deleted.prev_kvs[0].value)),
        (1, "three".into())
    );
    let again = node.kv.delete(delete).await.unwrap().into_inner();
    assert_eq!(
        (again.deleted, again.header.unwrap().revision),
        (0, 5),
        "deleting nothing makes no revision"
    );

    let versions = node.versions("k").await.unwrap();
    let told: Vec<_> = versions
        .iter()
        .map(|version| (version.revision, version.value.as_deref()))
        .collect();
    assert_eq!(
        told,
        [
            (1, Some("one")),
            (2, Some("two")),
            (3, Some("three")),
            (5, None)
        ]
    );

    node.kv
        .compact(CompactRequest { revision: 3 })
        .await
        .unwrap();
    let history = HistoryRequest {
        key: bytes("k"),
        ..Default::default()
    };
    let rest = node.kv.history(history).await.unwrap().into_inner();
    assert_eq!(rest.compacted_revision, 3);
    let left: Vec<_> = rest
        .versions
        .iter()
        .map(|version| version.kv.as_ref().unwrap().mod_revision)
        .collect();
    assert_eq!(left, [5, 3], "the newest at the compacted revision stays");
    let old = RangeRequest {
        key: bytes("k"),
        revision: 2,
        ..Default::default()
    };
    assert_eq!(
        refusal(node.kv.range(old).await),
        (Code::OutOfRange, "REVISION_COMPACTED".into())
    );

    let sweep = DeleteRequest {
        prefix: true,
        key: bytes("l"),
        ..Default::default()
    };
    assert_eq!(node.kv.delete(sweep).await.unwrap().into_inner().deleted, 1);
    assert_eq!(node.list("").await.unwrap().count, 0);
}

#[tokio::test]
async fn transactions_sequences_and_retries() {
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
            then(txn_op::Op::Range(RangeRequest {
                key: bytes("k"),
                ..Default::default()
            })),
        ],
        r#else: vec![then(txn_op::Op::Range(RangeRequest {
            key: bytes("l"),
            ..Default::default()
        }))],
        ..Default::default()
    };
    let done = node.kv.txn(txn("1")).await.unwrap().into_inner();
    assert!(done.succeeded && done.responses.len() == 3);
    let Some(txn_op_response::Op::Range(seen)) = &done.responses[2].op else {
        panic!("{done:?}")
    };
    assert_eq!(
        (text(&seen.kvs[0].value), seen.kvs[0].mod_revision),
        ("2".into(), 2),
        "a read sees the writes before it"
    );
    let not = node.kv.txn(txn("1")).await.unwrap().into_inner();
    assert!(!not.succeeded && not.responses.len() == 1);
    assert_eq!(not.header.unwrap().revision, 2, "reading makes no revision");

    let next = |node: &Raw| {
        let mut kv = node.kv.clone();
        async move {
            text(
                &kv.put(PutRequest {
                    sequential: true,
                    ..put("q/", "")
                })
                .await
                .unwrap()
                .into_inner()
                .key,
            )
        }
    };
    let (one, two) = (next(&node).await, next(&node).await);
    assert!(one < two && one.len() == "q/".len() + 20, "{one} {two}");
    let sweep = DeleteRequest {
        prefix: true,
        key: bytes("q/"),
        ..Default::default()
    };
    assert_eq!(node.kv.delete(sweep).await.unwrap().into_inner().deleted, 2);
    assert!(
        next(&node).await > two,
        "the counter never goes back, not even when the keys are gone"
    );

    let session_id = node.open(60_000).await.unwrap();
    let once = PutRequest {
        request_id: Some(RequestId {
            session_id,
            sequence: 1,
        }),
        ..put("once", "x")
    };
    let first = node.kv.put(once.clone()).await.unwrap().into_inner();
    let revision = first.header.unwrap().revision;
    node.kv.put(once.clone()).await.unwrap();
    let versions = node.versions("once").await.unwrap();
    assert_eq!(versions.len(), 1, "a retry has no second effect");
    assert_eq!(versions[0].revision, revision);
    let other = PutRequest {
        request_id: once.request_id,
        ..put("once", "y")
    };
    assert_eq!(refusal(node.kv.put(other).await).1, "SEQUENCE_REUSED");
}

#[tokio::test]
async fn sessions_live_by_renewal_and_take_their_keys_along() {
    let world = World::start(1).await;
    let mut node = world.raw(1);
    let id = node.open(60_000).await.unwrap();
    let short = node.open(500).await.unwrap();
    for session_id in [id, short] {
        let key = format!("bound/{session_id}");
        node.kv
            .put(PutRequest {
                session_id,
                ..put(&key, "")
            })
            .await
            .unwrap();
    }
    let (sender, receiver) = tokio::sync::mpsc::channel(4);
    let requests = tokio_stream::wrappers::ReceiverStream::new(receiver);
    sender
        .send(SessionRenewRequest {
            session_ids: vec![id, 77],
            request: 9,
        })
        .await
        .unwrap();
    let mut answers = node.session.renew(requests).await.unwrap().into_inner();
    let answer = within("a renewal", answers.message())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(answer.request, 9);
    let renewed: Vec<_> = answer
        .renewals
        .iter()
        .map(|one| (one.session_id, one.alive, one.ttl_ms))
        .collect();
    assert_eq!(renewed, [(id, true, 60_000), (77, false, 0)]);

    until("the unrenewed session's key to go", async || {
        match node.list("bound/").await {
            Ok(left) if left.count == 1 => Ok(()),
            other => Err(other),
        }
    })
    .await;
    let gone = SessionDescribeRequest {
        session_id: short,
        ..Default::default()
    };
    assert_eq!(
        refusal(node.session.describe(gone).await),
        (Code::NotFound, "SESSION_UNKNOWN".into())
    );

    let describe = SessionDescribeRequest {
        session_id: id,
        ..Default::default()
    };
    let told = node.session.describe(describe).await.unwrap().into_inner();
    let info = told.session.unwrap();
    assert_eq!(
        (info.session_id, info.owner.as_str(), info.ttl_ms, info.keys),
        (id, "a test", 60_000, 1)
    );
    assert_eq!(told.keys, [bytes(&format!("bound/{id}"))]);
    let list = node
        .session
        .list(SessionListRequest::default())
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        list.sessions
            .iter()
            .map(|info| info.session_id)
            .collect::<Vec<_>>(),
        [id]
    );
    let closed = node
        .session
        .close(SessionCloseRequest { session_id: id })
        .await
        .unwrap()
        .into_inner();
    assert_eq!(closed.deleted, 1);
    assert_eq!(node.list("bound/").await.unwrap().count, 0);
    let twice = node
        .session
        .close(SessionCloseRequest { session_id: id })
        .await;
    assert_eq!(refusal(twice), (Code::NotFound, "SESSION_UNKNOWN".into()));
}

#[tokio::test]
async fn locks_queue_and_are_granted_in_order() {
    let world = World::start(1).await;
    let mut node = world.raw(1);
    let (ann, bob) = (
        node.open(60_000).await.unwrap(),
        node.open(60_000).await.unwrap(),
    );
    let held = node.try_lock("l", ann).await.unwrap();
    assert!(held.owner && held.token > 0 && text(&held.key).starts_with("l/"));
    assert_eq!(
        node.try_lock("l", ann).await.unwrap().token,
        held.token,
        "claiming again finds the claim"
    );
    assert_eq!(
        refusal(node.try_lock("l", bob).await),
        (Code::FailedPrecondition, "LOCK_HELD".into())
    );

    let acquire = LockAcquireRequest {
        name: bytes("l"),
        session_id: bob,
        value: bytes("bob's"),
        ..Default::default()
    };
    let mut lock = node.lock.clone();
    let waiting = tokio::spawn(async move { lock.acquire(acquire).await });
    let describe = LockDescribeRequest {
        name: bytes("l"),
        ..Default::default()
    };
    let told = until("bob to queue", async || {
        let told = node
            .lock
            .describe(describe.clone())
            .await
            .unwrap()
            .into_inner();
        if told.waiting == 1 {
            Ok(told)
        } else {
            Err(told)
        }
    })
    .await;
    assert_eq!(told.owners[0].session_id, ann);
    assert_eq!(
        (told.waiters[0].session_id, text(&told.waiters[0].value)),
        (bob, "bob's".into())
    );
    let list = node
        .lock
        .list(LockListRequest::default())
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        (
            text(&list.locks[0].name),
            list.locks[0].owners,
            list.locks[0].waiting
        ),
        ("l".into(), 1, 1)
    );
    let validate = LockValidateRequest {
        name: bytes("l"),
        token: held.token,
        ..Default::default()
    };
    let valid = node
        .lock
        .validate(validate.clone())
        .await
        .unwrap()
        .into_inner();
    assert!(valid.owner && valid.current_token == held.token);

    let foreign = LockReleaseRequest {
        name: bytes("l"),
        session_id: bob,
        token: held.token,
        ..Default::default()
    };
    assert_eq!(refusal(node.lock.release(foreign).await).1, "NOT_OWNER");
    let release = LockReleaseRequest {
        name: bytes("l"),
        session_id: ann,
        token: held.token,
        ..Default::default()
    };
    node.lock.release(release.clone()).await.unwrap();
    let granted = within("bob's grant", waiting)
        .await
        .unwrap()
        .unwrap()
        .into_inner()
        .claim
        .unwrap();
    assert!(granted.owner && granted.token > held.token && granted.session_id == bob);
    assert_eq!(refusal(node.lock.release(release).await).1, "TOKEN_STALE");
    assert!(
        !node
            .lock
            .validate(validate)
            .await
            .unwrap()
            .into_inner()
            .owner
    );

    let wait = LockAcquireRequest {
        name: bytes("l"),
        session_id: ann,
        wait_ms: 50,
        ..Default::default()
    };
    assert_eq!(
        refusal(node.lock.acquire(wait).await),
        (Code::DeadlineExceeded, "WAIT_TIMEOUT".into())
    );
    let told = node
        .lock
        .describe(describe.clone())
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        told.waiting, 0,
        "a wait that timed out leaves nothing behind"
    );
    let force = LockForceReleaseRequest {
        name: bytes("l"),
        token: granted.token,
    };
    node.lock.force_release(force).await.unwrap();
    assert!(
        node.lock
            .describe(describe)
            .await
            .unwrap()
            .into_inner()
            .owners
            .is_empty()
    );
}

#[tokio::test]
async fn locks_are_shared_and_counted() {
    let world = World::start(1).await;
    let mut node = world.raw(1);
    let mut sessions = Vec::new();
    for _ in 0..3 {
        sessions.push(node.open(60_000).await.unwrap());
    }
    let ask = |name: &str, session_id: u64, mode: LockMode, permits: u32| LockTryAcquireRequest {
        name: bytes(name),
        session_id,
        mode: mode.into(),
        permits,
        ..Default::default()
    };
    node.lock
        .try_acquire(ask("s", sessions[0], LockMode::Shared, 0))
        .await
        .unwrap();
    node.lock
        .try_acquire(ask("s", sessions[1], LockMode::Shared, 0))
        .await
        .unwrap();
    let writer = node
        .lock
        .try_acquire(ask("s", sessions[2], LockMode::Exclusive, 0))
        .await;
    assert_eq!(refusal(writer).1, "LOCK_HELD");

    node.lock
        .try_acquire(ask("n", sessions[0], LockMode::Semaphore, 2))
        .await
        .unwrap();
    let mismatch = node
        .lock
        .try_acquire(ask("n", sessions[1], LockMode::Semaphore, 3))
        .await;
    assert_eq!(refusal(mismatch).1, "PERMITS_MISMATCH");
    node.lock
        .try_acquire(ask("n", sessions[1], LockMode::Semaphore, 2))
        .await
        .unwrap();
    assert_eq!(
        refusal(
            node.lock
                .try_acquire(ask("n", sessions[2], LockMode::Semaphore, 2))
                .await
        )
        .1,
        "LOCK_HELD"
    );
    let told = node
        .lock
        .describe(LockDescribeRequest {
            name: bytes("n"),
            ..Default::default()
        })
        .await
        .unwrap();
    assert_eq!(told.into_inner().owners.len(), 2);
}

#[tokio::test]
async fn a_wait_that_is_cancelled_withdraws_its_claim() {
    let world = World::start(1).await;
    let mut node = world.raw(1);
    let (ann, bob) = (
        node.open(60_000).await.unwrap(),
        node.open(60_000).await.unwrap(),
    );
    node.try_lock("l", ann).await.unwrap();
    let mut lock = node.lock.clone();
    let acquire = LockAcquireRequest {
        name: bytes("l"),
        session_id: bob,
        ..Default::default()
    };
    let waiting = tokio::spawn(async move { lock.acquire(acquire).await });
    let mut queue = async |length: u64| {
        until("the queue's length", async || {
            let request = LockDescribeRequest {
                name: bytes("l"),
                ..Default::default()
            };
            let told = node.lock.describe(request).await.unwrap().into_inner();
            if told.waiting == length {
                Ok(())
            } else {
                Err(told)
            }
        })
        .await;
    };
    queue(1).await;
    waiting.abort();
    queue(0).await;
}

#[tokio::test]
async fn elections_have_a_leader_or_say_that_they_have_none() {
    let world = World::start(1).await;
    let mut node = world.raw(1);
    let (ann, bob) = (
        node.open(60_000).await.unwrap(),
        node.open(60_000).await.unwrap(),
    );
    let name = bytes("e");
    let observe = ElectionObserveRequest { name: name.clone() };
    let mut seen = node.election.observe(observe).await.unwrap().into_inner();
    let mut next = async || {
        within("an observation", seen.message())
            .await
            .unwrap()
            .unwrap()
    };
    assert!(next().await.leader.is_none(), "no leader now");

    let campaign = |session_id, value: &str| ElectionCampaignRequest {
        name: name.clone(),
        session_id,
        value: bytes(value),
        ..Default::default()
    };
    let won = node
        .election
        .campaign(campaign(ann, "ann"))
        .await
        .unwrap()
        .into_inner()
        .claim
        .unwrap();
    assert_eq!(text(&next().await.leader.unwrap().value), "ann");
    let mut election = node.election.clone();
    let second = campaign(bob, "bob");
    let waiting = tokio::spawn(async move { election.campaign(second).await });
    let leader = ElectionLeaderRequest {
        name: name.clone(),
        ..Default::default()
    };
    until("bob to wait", async || {
        let told = node
            .election
            .leader(leader.clone())
            .await
            .unwrap()
            .into_inner();
        if told.waiting == 1 { Ok(()) } else { Err(told) }
    })
    .await;
    let proclaim = ElectionProclaimRequest {
        name: name.clone(),
        session_id: ann,
        token: won.token,
        value: bytes("ann again"),
    };
    node.election.proclaim(proclaim).await.unwrap();
    assert_eq!(text(&next().await.leader.unwrap().value), "ann again");
    let resign = |session_id, token| ElectionResignRequest {
        name: name.clone(),
        session_id,
        token,
    };
    node.election.resign(resign(ann, won.token)).await.unwrap();
    let after = within("bob to win", waiting)
        .await
        .unwrap()
        .unwrap()
        .into_inner()
        .claim
        .unwrap();
    assert!(after.token > won.token);
    assert_eq!(text(&next().await.leader.unwrap().value), "bob");
    let late = ElectionProclaimRequest {
        name: name.clone(),
        session_id: ann,
        token: won.token,
        value: bytes("x"),
    };
    assert_eq!(refusal(node.election.proclaim(late).await).1, "TOKEN_STALE");
    node.election
        .resign(resign(bob, after.token))
        .await
        .unwrap();
    assert!(next().await.leader.is_none());
    assert!(
        node.election
            .leader(leader)
            .await
            .unwrap()
            .into_inner()
            .leader
            .is_none()
    );
}

#[tokio::test]
async fn any_member_takes_any_call() {
    let world = World::start(3).await;
    let mut nodes: Vec<Raw> = world.ids().into_iter().map(|id| world.raw(id)).collect();
    for writer in 0..3 {
        let key = format!("from-{writer}");
        let session_id = nodes[writer].open(60_000).await.unwrap();
        nodes[writer].put(&key, "x").await.unwrap();
        let claim = nodes[writer].try_lock(&key, session_id).await.unwrap();
        for node in &mut nodes {
            assert_eq!(
                node.get(&key).await.unwrap().as_deref(),
                Some("x"),
                "a linearizable read sees every write"
            );
            let validate = LockValidateRequest {
                name: bytes(&key),
                token: claim.token,
                ..Default::default()
            };
            assert!(
                node.lock
                    .validate(validate)
                    .await
                    .unwrap()
                    .into_inner()
                    .owner
            );
            let describe = SessionDescribeRequest {
                session_id,
                ..Default::default()
            };
            node.session.describe(describe).await.unwrap();
        }
        // Renewed, released and closed through a member that had no part in it so far.
        let other = &mut nodes[(writer + 1) % 3];
        let renewal = SessionRenewRequest {
            session_ids: vec![session_id],
            request: 1,
        };
        let mut answers = other
            .session
            .renew(tokio_stream::iter([renewal]))
            .await
            .unwrap()
            .into_inner();
        assert!(
            within("a renewal", answers.message())
                .await
                .unwrap()
                .unwrap()
                .renewals[0]
                .alive
        );
        let release = LockReleaseRequest {
            name: bytes(&key),
            session_id,
            token: claim.token,
            ..Default::default()
        };
        other.lock.release(release).await.unwrap();
        other
            .session
            .close(SessionCloseRequest { session_id })
            .await
            .unwrap();
    }
    let mut clusters = BTreeSet::new();
    for node in &mut nodes {
        let header = node.list("").await.unwrap().header.unwrap();
        clusters.insert(header.cluster_id);
        let members = node
            .cluster
            .members(ClusterMembersRequest::default())
            .await
            .unwrap()
            .into_inner();
        assert_eq!(
            members
                .members
                .iter()
                .map(|member| member.node_id)
                .collect::<Vec<_>>(),
            [1, 2, 3]
        );
        let status = node
            .cluster
            .status(ClusterStatusRequest::default())
            .await
            .unwrap()
            .into_inner();
        assert_eq!(status.members.len(), 3);
        assert!(
            status.leader != 0 && status.members.iter().all(|member| member.reachable),
            "{status:?}"
        );
    }
    assert_eq!(clusters.len(), 1);
    world.settle().await;
}

#[tokio::test]
async fn leadership_is_handed_over_on_request() {
    let world = World::start(3).await;
    let leader = world.leader().await;
    let heir = leader % 3 + 1;
    // Asked of a member that neither leads nor will.
    let mut node = world.raw(heir % 3 + 1);
    node.put("before", "x").await.unwrap();
    node.cluster
        .transfer_leader(ClusterTransferLeaderRequest { node_id: heir })
        .await
        .unwrap();
    until("the heir to lead", async || match world.leader().await {
        now if now == heir => Ok(()),
        other => Err(other),
    })
    .await;
    assert_eq!(node.get("before").await.unwrap().as_deref(), Some("x"));
    node.put("after", "x").await.unwrap();
    let nobody = node
        .cluster
        .transfer_leader(ClusterTransferLeaderRequest { node_id: 99 })
        .await;
    assert_eq!(refusal(nobody).1, "MEMBER_UNKNOWN");
}

#[tokio::test]
async fn health_and_reflection_are_the_standard_ones() {
    use tonic_health::pb::{
        HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
    };
    use tonic_reflection::pb::v1::{
        ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
        server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
    };
    let world = World::start(1).await;
    let channel = world.raw(1).channel;
    let mut health = HealthClient::new(channel.clone());
    for service in ["", "ringfence.v1.Kv", "ringfence.v1.Lock"] {
        until("the service to be healthy", async || {
            let answer = health
                .check(HealthCheckRequest {
                    service: service.to_owned(),
                })
                .await;
            match answer {
                Ok(answer) if answer.get_ref().status() == ServingStatus::Serving => Ok(()),
                other => Err(other),
            }
        })
        .await;
    }
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut reflection = ServerReflectionClient::new(channel);
    let mut answers = reflection
        .server_reflection_info(tokio_stream::iter([request]))
        .await
        .unwrap()
        .into_inner();
    let answer = within("the reflection", answers.message())
        .await
        .unwrap()
        .unwrap();
    let Some(MessageResponse::ListServicesResponse(list)) = answer.message_response else {
        panic!("{answer:?}")
    };
    let names: BTreeSet<String> = list
        .service
        .into_iter()
        .map(|service| service.name)
        .collect();
    for service in ["Cluster", "Election", "Kv", "Lock", "Session", "Watch"] {
        assert!(
            names.contains(&format!("ringfence.v1.{service}")),
            "{names:?}"
        );
    }
}
