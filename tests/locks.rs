//! Locks over raw gRPC, as lock.proto promises them: a queue in order, shared and counted owners, waits that end.

use ringfence_proto::v1::*;
use ringfence_tests::{
    World,
    raw::{Raw, acquire, bytes, refusal, release, text},
    wait::{until, within},
};
use tonic::Code;

/// Two sessions that nobody needs to renew.
async fn two(node: &mut Raw) -> (u64, u64) {
    (node.open(60_000).await.unwrap(), node.open(60_000).await.unwrap())
}

/// Waits until so many claims wait for the lock.
async fn queued(node: &mut Raw, name: &str, length: u64) -> LockDescribeResponse {
    until("the queue's length", async || {
        let told = node.queue(name).await.unwrap();
        if told.waiting == length { Ok(told) } else { Err(told) }
    })
    .await
}

#[tokio::test]
async fn claims_queue_and_are_granted_in_order() {
    let world = World::start(1).await;
    let mut node = world.raw(1);
    let (ann, bob) = two(&mut node).await;
    let held = node.try_lock("l", ann).await.unwrap();
    assert!(held.owner && held.token > 0 && text(&held.key).starts_with("l/"));
    let again = node.try_lock("l", ann).await.unwrap();
    assert_eq!(again.token, held.token, "claiming again finds the claim");
    let refused = refusal(node.try_lock("l", bob).await);
    assert_eq!(refused, (Code::FailedPrecondition, "LOCK_HELD".into()));

    let mut lock = node.lock.clone();
    let wait = LockAcquireRequest { value: bytes("bob's"), ..acquire("l", bob) };
    let waiting = tokio::spawn(async move { lock.acquire(wait).await });
    let told = queued(&mut node, "l", 1).await;
    assert_eq!(told.owners[0].session_id, ann);
    assert_eq!(told.waiters[0].session_id, bob);
    assert_eq!(text(&told.waiters[0].value), "bob's");
    let list = node.lock.list(LockListRequest::default()).await.unwrap().into_inner();
    let summary = &list.locks[0];
    assert_eq!((text(&summary.name), summary.owners, summary.waiting), ("l".into(), 1, 1));

    assert!(node.owns("l", held.token).await.unwrap());
    let give_back = release("l", ann, held.token);
    node.lock.release(give_back.clone()).await.unwrap();
    let granted = within("bob's grant", waiting).await.unwrap().unwrap().into_inner().claim.unwrap();
    assert!(granted.owner && granted.token > held.token && granted.session_id == bob);
    assert_eq!(refusal(node.lock.release(give_back).await).1, "TOKEN_STALE");
    assert!(!node.owns("l", held.token).await.unwrap());
    assert!(node.owns("l", granted.token).await.unwrap());
}

#[tokio::test]
async fn a_wait_that_is_over_leaves_nothing_behind() {
    let world = World::start(1).await;
    let mut node = world.raw(1);
    let (ann, bob) = two(&mut node).await;
    let held = node.try_lock("l", ann).await.unwrap();
    let wait = LockAcquireRequest { wait_ms: 50, ..acquire("l", bob) };
    let refused = refusal(node.lock.acquire(wait).await);
    assert_eq!(refused, (Code::DeadlineExceeded, "WAIT_TIMEOUT".into()));
    assert_eq!(node.queue("l").await.unwrap().waiting, 0);

    // Cancelled by its client.
    let mut lock = node.lock.clone();
    let waiting = tokio::spawn(async move { lock.acquire(acquire("l", bob)).await });
    queued(&mut node, "l", 1).await;
    waiting.abort();
    queued(&mut node, "l", 0).await;

    // Taken away by somebody else while it waits, and the owner's after it.
    let mut lock = node.lock.clone();
    let waiting = tokio::spawn(async move { lock.acquire(acquire("l", bob)).await });
    let claim = queued(&mut node, "l", 1).await.waiters.remove(0);
    let force = LockForceReleaseRequest { name: bytes("l"), token: claim.token };
    node.lock.force_release(force).await.unwrap();
    let lost = refusal(within("the wait's end", waiting).await.unwrap());
    assert_eq!(lost, (Code::Aborted, "CLAIM_LOST".into()));
    let force = LockForceReleaseRequest { name: bytes("l"), token: held.token };
    node.lock.force_release(force).await.unwrap();
    assert!(node.queue("l").await.unwrap().owners.is_empty());
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
    node.lock.try_acquire(ask("s", sessions[0], LockMode::Shared, 0)).await.unwrap();
    node.lock.try_acquire(ask("s", sessions[1], LockMode::Shared, 0)).await.unwrap();
    let writer = node.lock.try_acquire(ask("s", sessions[2], LockMode::Exclusive, 0)).await;
    assert_eq!(refusal(writer).1, "LOCK_HELD");

    node.lock.try_acquire(ask("n", sessions[0], LockMode::Semaphore, 2)).await.unwrap();
    let mismatch = node.lock.try_acquire(ask("n", sessions[1], LockMode::Semaphore, 3)).await;
    assert_eq!(refusal(mismatch).1, "PERMITS_MISMATCH");
    node.lock.try_acquire(ask("n", sessions[1], LockMode::Semaphore, 2)).await.unwrap();
    assert_eq!(refusal(node.lock.try_acquire(ask("n", sessions[2], LockMode::Semaphore, 2)).await).1, "LOCK_HELD");
    assert_eq!(node.queue("n").await.unwrap().owners.len(), 2);
}
