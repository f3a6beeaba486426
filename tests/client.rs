//! The client's recipes against three real nodes: locks, latches, watchers, and what becomes of them when something ends.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use ringfence_client::{
    Client, Error, LatchState, Loss, Op, PutOptions, SessionOptions, Txn, WatchItem, WatchOptions, Watcher,
};
use ringfence_proto::v1::{LockForceReleaseRequest, SessionCloseRequest};
use ringfence_tests::{
    World,
    raw::{bytes, text},
    wait::{until, within},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_contended_lock_has_one_holder_and_growing_tokens() {
    let world = World::start(3).await;
    let client = world.client().await;
    let inside = Arc::new(AtomicBool::new(false));
    let contenders: Vec<_> = (0..8)
        .map(|_| {
            let (client, inside) = (client.clone(), inside.clone());
            tokio::spawn(async move {
                let mut tokens = Vec::new();
                for _ in 0..5 {
                    let guard = client.lock("l").acquire().await.unwrap();
                    assert!(!inside.swap(true, Ordering::SeqCst), "two at once");
                    let txn =
                        Txn::new().when_holds("l", guard.token()).then(Op::put("order", guard.token().to_string()));
                    assert!(client.kv().txn(txn).await.unwrap().succeeded);
                    tokens.push(guard.token());
                    inside.store(false, Ordering::SeqCst);
                    guard.release().await.unwrap();
                }
                tokens
            })
        })
        .collect();
    let mut tokens = BTreeSet::new();
    for contender in contenders {
        let own = within("a contender", contender).await.unwrap();
        assert!(own.is_sorted());
        tokens.extend(own);
    }
    let order = client.kv().history("order", 0).await.unwrap();
    let order: Vec<u64> = order.versions.iter().rev().map(|version| text(&version.kv.value).parse().unwrap()).collect();
    assert_eq!(order, tokens.into_iter().collect::<Vec<_>>(), "granted in the order of the tokens, each once");
    assert_eq!(client.locks().describe("l", 0).await.unwrap().owners, []);
    assert!(client.sessions().list(0, 0).await.unwrap().items.is_empty(), "each closed the session it opened");
}

#[tokio::test]
async fn two_acquisitions_of_one_session_exclude_each_other() {
    let world = World::start(1).await;
    let client = world.client().await;
    let session = client.open_session(SessionOptions::new()).await.unwrap();
    let first = client.lock("l").session(&session).acquire().await.unwrap();
    let second = client.lock("l").session(&session).try_acquire().await;
    assert!(matches!(second, Err(Error::LockHeld { .. })), "{second:?}");
    let bounded = client.lock("l").session(&session).wait(Duration::from_millis(50)).acquire().await;
    assert!(matches!(bounded, Err(Error::Timeout { .. })), "{bounded:?}");
    first.release().await.unwrap();
    let third = client.lock("l").session(&session).try_acquire().await.unwrap();
    assert!(session.is_valid() && third.is_valid());
    // Dropped, not released: that comes by itself.
    drop(third);
    within("the lock to be free", client.lock("l").acquire()).await.unwrap().release().await.unwrap();
    session.close().await.unwrap();
}

#[tokio::test]
async fn shared_locks_and_semaphores() {
    let world = World::start(1).await;
    let client = world.client().await;
    let readers =
        [client.lock("s").shared().acquire().await.unwrap(), client.lock("s").shared().acquire().await.unwrap()];
    assert!(matches!(client.lock("s").try_acquire().await, Err(Error::LockHeld { .. })));
    let lock = client.lock("s");
    let writer = tokio::spawn(async move { lock.acquire().await });
    until("the writer to wait", async || {
        let told = client.locks().describe("s", 0).await?;
        if told.waiting == 1 { Ok(()) } else { Err(Error::Closed) }
    })
    .await;
    let overtaker = client.lock("s").shared().try_acquire().await;
    assert!(matches!(overtaker, Err(Error::LockHeld { .. })), "no reader overtakes a writer that waits");
    for reader in readers {
        reader.release().await.unwrap();
    }
    within("the writer", writer).await.unwrap().unwrap().release().await.unwrap();

    let one = client.lock("n").permits(2).acquire().await.unwrap();
    let two = client.lock("n").permits(2).acquire().await.unwrap();
    assert!(matches!(client.lock("n").permits(2).try_acquire().await, Err(Error::LockHeld { .. })));
    let other = client.lock("n").permits(3).try_acquire().await;
    assert!(matches!(&other, Err(Error::Refused { reason, .. }) if reason == "PERMITS_MISMATCH"), "{other:?}");
    one.release().await.unwrap();
    two.release().await.unwrap();
}

#[tokio::test]
async fn a_guard_learns_that_it_lost_its_lock() {
    let world = World::start(3).await;
    let client = world.client().await;
    let mut raw = world.raw(world.follower().await);

    let guard = client.lock("l").acquire().await.unwrap();
    assert!(guard.is_valid() && !guard.remaining().is_zero());
    let session_id = guard.session().id();
    raw.session.close(SessionCloseRequest { session_id }).await.unwrap();
    // Whichever is noticed first: that the session is over, or that the claim went with it.
    let lost = within("the guard to notice", guard.lost()).await;
    assert!(matches!(lost, Loss::Expired | Loss::Revoked), "{lost:?}");
    assert!(!guard.is_valid());
    assert!(guard.remaining().is_zero());
    let released = guard.release().await;
    assert!(matches!(released, Err(Error::SessionLost { .. } | Error::NotHeld { .. })), "{released:?}");

    let guard = client.lock("l").acquire().await.unwrap();
    let force = LockForceReleaseRequest { name: bytes("l"), token: guard.token() };
    let (lost, forced) = tokio::join!(within("the guard to notice", guard.lost()), raw.lock.force_release(force));
    forced.unwrap();
    assert_eq!(lost, Loss::Revoked);
    assert!(!guard.is_valid());
    let txn = Txn::new().when_holds("l", guard.token()).then(Op::put("guarded", "x"));
    assert!(!client.kv().txn(txn).await.unwrap().succeeded, "and what it protects refuses it in any case");
}

#[tokio::test]
async fn a_session_binds_keys_and_writes_once() {
    let world = World::start(3).await;
    let client = world.client().await;
    let session = client.open_session(SessionOptions::new().ttl(Duration::from_secs(30)).owner("me")).await.unwrap();
    client.kv().put_with("alive", "x", PutOptions::new().bind(&session)).await.unwrap();
    for index in 0..100 {
        session.kv().put("once", index.to_string()).await.unwrap();
    }
    assert_eq!(client.kv().get("once").await.unwrap().unwrap().version, 100);
    assert_eq!(client.sessions().describe(session.id()).await.unwrap().session.owner, "me");
    session.close().await.unwrap();
    assert!(!session.is_valid());
    assert_eq!(client.kv().get("alive").await.unwrap(), None);
    let late = session.kv().put("once", "late").await;
    assert!(matches!(late, Err(Error::SessionLost { .. } | Error::Closed)), "{late:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_is_renewed_when_that_is_asked_for() {
    let world = World::start(3).await;
    let client = world.client().await;
    let open = async |ttl| client.open_session(SessionOptions::new().ttl(ttl)).await.unwrap();
    let (session, other) = (open(Duration::from_secs(60)).await, open(Duration::from_secs(30)).await);
    // Much longer than members gather renewals.
    tokio::time::sleep(Duration::from_secs(4)).await;
    let before = (session.remaining(), other.remaining());
    let renewed = tokio::join!(session.renew(), session.renew(), other.renew());
    assert_eq!(renewed, (Ok(()), Ok(()), Ok(())));
    assert!(session.remaining() > before.0 && other.remaining() > before.1, "{before:?} {session:?} {other:?}");

    // It goes on elsewhere when the leader is gone.
    world.node(world.leader().await).kill().await.unwrap();
    within("a renewal at another leader", session.renew()).await.unwrap();
    assert!(session.is_valid());

    client.sessions().close(session.id()).await.unwrap();
    let lost = Err(Error::SessionLost { session: session.id() });
    assert_eq!(within("the renewal to be refused", session.renew()).await, lost);
    assert_eq!(session.renew().await, lost);
    other.close().await.unwrap();
    assert!(other.renew().await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leadership_goes_over_when_a_candidate_or_a_node_goes() {
    let world = World::start(3).await;
    let client = world.client().await;
    let latch = |value: &str| client.latch("e").value(value).ttl(Duration::from_secs(30)).start();
    let (ann, bob) = (latch("ann"), latch("bob"));
    let (token, ann_leads) = within("somebody to lead", async {
        tokio::select! {
            token = ann.wait_for_leadership() => (token.unwrap(), true),
            token = bob.wait_for_leadership() => (token.unwrap(), false),
        }
    })
    .await;
    let (leader, other) = if ann_leads { (ann, bob) } else { (bob, ann) };
    assert!(leader.has_leadership() && !other.has_leadership());
    assert_eq!(leader.token(), Some(token));

    // A node's death costs nobody his leadership: it neither ends nor changes hands.
    let raft_leader = world.leader().await;
    world.node(raft_leader).kill().await.unwrap();
    let view = until("the election to be readable again", async || client.election("e").leader().await).await;
    let seen = view.leader.unwrap();
    assert_eq!(seen.token, token);
    world.revive(raft_leader).await;

    // Somebody ends the session of the one who leads: the other one leads, with a greater token, and the first stands again.
    let mut changes = leader.changes();
    world.raw(world.leader().await).session.close(SessionCloseRequest { session_id: seen.session }).await.unwrap();
    let next = within("the other one to lead", other.wait_for_leadership()).await.unwrap();
    assert!(next > token);
    within("the first one to notice", async { while changes.next().await != Some(LatchState::Waiting) {} }).await;
    other.close().await.unwrap();
    let again = within("the first one to lead again", leader.wait_for_leadership()).await.unwrap();
    assert!(again > next);
    leader.proclaim("still here").await.unwrap();
    let view = client.election("e").leader().await.unwrap();
    assert_eq!(text(&view.leader.unwrap().value), "still here");
    leader.close().await.unwrap();
    assert_eq!(client.election("e").leader().await.unwrap().leader, None);
}

#[tokio::test]
async fn an_election_is_observed() {
    let world = World::start(1).await;
    let client = world.client().await;
    let mut observer = client.election("e").observe();
    let mut next = async || within("an observation", observer.next()).await.unwrap().unwrap().leader;
    assert_eq!(next().await, None);
    let latch = client.latch("e").value("ann").start();
    let token = within("leadership", latch.wait_for_leadership()).await.unwrap();
    let seen = next().await.unwrap();
    assert_eq!((seen.token, text(&seen.value)), (token, "ann".to_owned()));
    latch.close().await.unwrap();
    assert_eq!(next().await, None);
}

/// Revision and value of every event, until this many have come.
async fn events(watcher: &mut Watcher, count: usize) -> Vec<(u64, String)> {
    let mut seen = Vec::new();
    while seen.len() < count {
        let item = within("an event", watcher.next()).await.unwrap().unwrap();
        if let WatchItem::Events(events) = item {
            seen.extend(events.iter().map(|event| (event.kv.mod_revision, text(&event.kv.value))));
        }
    }
    seen
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watcher_resumes_over_restarts_of_every_node() {
    let world = World::start(3).await;
    let client = world.client().await;
    let mut watcher = client.watch(WatchOptions::prefix("w/")).await.unwrap();
    let session = client.open_session(SessionOptions::new().ttl(Duration::from_secs(30))).await.unwrap();
    let mut written = Vec::new();
    let mut seen = Vec::new();
    for id in world.ids() {
        for part in ["before", "while", "after"] {
            let value = format!("{part}-{id}");
            let revision = session.kv().put("w/k", &value).await.unwrap().revision;
            written.push((revision, value));
            match part {
                "before" => seen.extend(events(&mut watcher, 1).await),
                "while" => world.restart(id).await.unwrap(),
                _ => {}
            }
        }
        seen.extend(events(&mut watcher, 2).await);
    }
    assert_eq!(seen, written);
    session.close().await.unwrap();

    // From the past, and from the present state on, a later watcher sees the same.
    let mut past = client.watch(WatchOptions::prefix("w/").from_revision(1)).await.unwrap();
    assert_eq!(events(&mut past, written.len()).await, written);
    let mut present = client.watch(WatchOptions::prefix("w/").snapshot()).await.unwrap();
    let item = within("a snapshot", present.next()).await.unwrap().unwrap();
    let WatchItem::Snapshot { first: true, complete: true, kvs, .. } = item else { panic!("{item:?}") };
    assert_eq!(text(&kvs[0].value), written.last().unwrap().1);
    let revision = client.kv().put("w/k", "next").await.unwrap().revision;
    assert_eq!(events(&mut present, 1).await, [(revision, "next".to_owned())]);
}

#[tokio::test]
async fn errors_say_what_the_caller_can_do() {
    let world = World::start(1).await;
    let client = world.client().await;
    let put = client.kv().put("k".repeat(5000), "").await;
    assert!(matches!(&put, Err(Error::Refused { reason, .. }) if reason == "LIMIT_EXCEEDED"), "{put:?}");
    for value in ["1", "2", "3"] {
        client.kv().put("k", value).await.unwrap();
    }
    client.kv().compact(3).await.unwrap();
    let old = client.kv().get_with(ringfence_client::GetOptions::key("k").at_revision(1)).await;
    assert!(matches!(old, Err(Error::Compacted { compacted: 3 })), "{old:?}");
    let mut ended = match client.watch(WatchOptions::key("k").from_revision(1)).await {
        Ok(mut watcher) => within("the watch's end", watcher.next()).await.unwrap().map(drop),
        Err(error) => Err(error),
    };
    assert!(matches!(ended, Err(Error::Compacted { compacted: 3 })), "{ended:?}");
    ended = client.open_session(SessionOptions::new().ttl(Duration::from_millis(1))).await.map(drop);
    assert!(matches!(&ended, Err(Error::Refused { reason, .. }) if reason == "TTL_OUT_OF_RANGE"), "{ended:?}");
    let nowhere = Client::connect(["http://not a host"]).await.map(drop);
    assert!(matches!(nowhere, Err(Error::InvalidArgument { .. })), "{nowhere:?}");
    world.node(1).kill().await.unwrap();
    let get = client.with_deadline(Duration::from_secs(1)).kv().get("k").await;
    assert!(matches!(get, Err(Error::Unavailable { .. } | Error::Timeout { .. })), "{get:?}");
}
