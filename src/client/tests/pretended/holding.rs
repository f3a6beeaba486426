//! Sessions, locks and latches: kept while they can be, given up when they are dropped, and lost in time.

use std::time::Duration;

use crate::fake::{Fault, World, client, cluster, status};
use bytes::Bytes;
use ringfence_client::{Error, LatchState, Loss, SessionOptions};
use tokio::time::sleep;
use tonic::{Code, Status};

fn name(name: &'static str) -> Bytes {
    Bytes::from_static(name.as_bytes())
}

/// Waits until it is so. A test that never gets there hangs.
async fn until(world: &World, so: impl Fn(&World) -> bool) {
    while !so(world) {
        sleep(Duration::from_millis(5)).await;
    }
}

fn short() -> SessionOptions {
    SessionOptions::new().ttl(Duration::from_millis(600))
}

#[tokio::test]
async fn a_session_is_renewed_over_members_that_die_and_that_hang() {
    let (_world, mut nodes) = cluster();
    let client = client(&nodes).await;
    let options = SessionOptions::new().ttl(Duration::from_secs(3));
    let session = client.open_session(options).await.unwrap();
    let renewals = |nodes: &[crate::fake::Node]| nodes.iter().map(|node| node.calls("renew")).sum::<u64>();
    while renewals(&nodes) == 0 {
        sleep(Duration::from_millis(10)).await;
    }
    nodes[0].kill();
    nodes[1].faults("renew", [Fault::Hang]);
    let before = renewals(&nodes);
    while renewals(&nodes) < before + 3 {
        sleep(Duration::from_millis(10)).await;
    }
    assert!(session.is_valid());
}

#[tokio::test]
async fn a_session_that_the_cluster_ended_is_lost() {
    let (world, nodes) = cluster();
    let client = client(&nodes).await;
    let session = client.open_session(short()).await.unwrap();
    world.close(session.id()).unwrap();
    assert_eq!(session.lost().await, Loss::Expired);
    assert!(!session.is_valid());
    let error = session.kv().put("a", "1").await.unwrap_err();
    assert_eq!(error, Error::SessionLost { session: session.id() });
}

#[tokio::test]
async fn a_session_that_nobody_renews_lapses_here() {
    let (_world, mut nodes) = cluster();
    let client = client(&nodes).await;
    let session = client.open_session(short()).await.unwrap();
    for node in &mut nodes {
        node.kill();
    }
    assert_eq!(session.lost().await, Loss::Lapsed);
    assert_eq!(session.remaining(), Duration::ZERO);
}

#[tokio::test]
async fn a_session_is_closed_when_it_is_dropped() {
    let (world, nodes) = cluster();
    let client = client(&nodes).await;
    let session = client.open_session(short()).await.unwrap();
    let clone = session.clone();
    drop(session);
    assert!(clone.is_valid());
    drop(clone);
    until(&world, |world| world.sessions() == 0).await;
}

#[tokio::test]
async fn closing_twice_is_no_error_and_a_lost_answer_is_none_either() {
    let (world, nodes) = cluster();
    let client = client(&nodes).await;
    let session = client.open_session(Default::default()).await.unwrap();
    for node in &nodes {
        node.faults("close", [Fault::DoneBut(Status::unknown("broken"))]);
    }
    session.close().await.unwrap();
    session.close().await.unwrap();
    assert_eq!(session.lost().await, Loss::Closed);
    assert_eq!(world.sessions(), 0);
}

#[tokio::test]
async fn two_acquisitions_of_one_session_exclude_each_other() {
    let (world, nodes) = cluster();
    let client = client(&nodes).await;
    let session = client.open_session(Default::default()).await.unwrap();
    let first = client.lock("l").session(&session).acquire().await.unwrap();
    let error = client.lock("l").session(&session).try_acquire().await.unwrap_err();
    assert!(matches!(error, Error::LockHeld { .. }), "{error:?}");
    let second = tokio::spawn(client.lock("l").session(&session).acquire());
    until(&world, |world| world.queue(b"l").len() == 2).await;
    let token = first.token();
    first.release().await.unwrap();
    let second = second.await.unwrap().unwrap();
    assert!(second.token() > token && second.is_valid());
    drop(second);
    until(&world, |world| world.queue(b"l").is_empty()).await;
    assert!(session.is_valid());
}

#[tokio::test]
async fn a_wait_goes_on_elsewhere_and_keeps_its_place() {
    let (world, mut nodes) = cluster();
    let client = client(&nodes).await;
    let holder = client.lock("l").acquire().await.unwrap();
    let waiter = tokio::spawn(client.lock("l").acquire());
    until(&world, |world| world.queue(b"l").len() == 2).await;
    let place = world.queue(b"l")[1].token;
    let other = tokio::spawn(client.lock("l").acquire());
    until(&world, |world| world.queue(b"l").len() == 3).await;
    world.lead(2);
    nodes[0].kill();
    holder.release().await.unwrap();
    let waiter = waiter.await.unwrap().unwrap();
    assert_eq!(waiter.token(), place);
    waiter.release().await.unwrap();
    other.await.unwrap().unwrap().release().await.unwrap();
}

#[tokio::test]
async fn a_wait_that_is_given_up_withdraws_its_claim() {
    let (world, nodes) = cluster();
    let client = client(&nodes).await;
    let session = client.open_session(Default::default()).await.unwrap();
    let holder = client.lock("l").acquire().await.unwrap();
    let waiter = tokio::spawn(client.lock("l").session(&session).acquire());
    until(&world, |world| world.queue(b"l").len() == 2).await;
    waiter.abort();
    until(&world, |world| world.queue(b"l").len() == 1).await;
    // And with a session of its own, that is closed.
    let waiter = tokio::spawn(client.lock("l").acquire());
    until(&world, |world| world.queue(b"l").len() == 2).await;
    waiter.abort();
    until(&world, |world| world.queue(b"l").len() == 1 && world.sessions() == 2).await;
    assert!(holder.is_valid());
}

#[tokio::test]
async fn a_bounded_wait_times_out_and_leaves_nothing_behind() {
    let (world, nodes) = cluster();
    let client = client(&nodes).await;
    let _holder = client.lock("l").acquire().await.unwrap();
    let error = client.lock("l").wait(Duration::from_millis(50)).acquire().await.unwrap_err();
    assert!(matches!(error, Error::Timeout { .. }), "{error:?}");
    until(&world, |world| world.queue(b"l").len() == 1).await;
}

#[tokio::test]
async fn a_lock_released_by_force_is_lost() {
    let (world, nodes) = cluster();
    let client = client(&nodes).await;
    let guard = client.lock("l").acquire().await.unwrap();
    let token = guard.token();
    let force = tokio::spawn({
        let client = client.clone();
        async move { client.locks().force_release("l", token).await }
    });
    assert_eq!(guard.lost().await, Loss::Revoked);
    assert!(!guard.is_valid());
    assert_eq!(force.await.unwrap().unwrap().token, token);
    let error = guard.release().await.unwrap_err();
    assert!(matches!(error, Error::NotHeld { .. }), "{error:?}");
    until(&world, |world| world.sessions() == 0).await;
}

#[tokio::test]
async fn a_release_that_is_repeated_knows_its_first_attempt() {
    let (world, nodes) = cluster();
    let client = client(&nodes).await;
    let session = client.open_session(Default::default()).await.unwrap();
    let guard = client.lock("l").session(&session).acquire().await.unwrap();
    for node in &nodes {
        node.faults("release", [Fault::DoneBut(Status::unknown("broken"))]);
    }
    guard.release().await.unwrap();
    assert!(world.queue(b"l").is_empty());
    // One that somebody else took away is told apart.
    let guard = client.lock("l").session(&session).acquire().await.unwrap();
    world.release(&name("l"), |_| true);
    let error = guard.release().await.unwrap_err();
    assert!(matches!(error, Error::NotHeld { .. } | Error::Unknown { .. }), "{error:?}");
}

#[tokio::test]
async fn a_latch_leads_loses_and_stands_again() {
    let (world, nodes) = cluster();
    let client = client(&nodes).await;
    let latch = client.latch("e").value("one").start();
    let mut changes = latch.changes();
    let token = latch.wait_for_leadership().await.unwrap();
    assert_eq!(latch.token(), Some(token));
    let mut observer = client.election("e").observe();
    let view = observer.next().await.unwrap().unwrap();
    assert_eq!(view.leader.unwrap().token, token);
    latch.proclaim("two").await.unwrap();
    let view = observer.next().await.unwrap().unwrap();
    assert_eq!(view.leader.unwrap().value, "two");

    client.election("e").resign(token).await.unwrap();
    let again = loop {
        match changes.next().await.unwrap() {
            LatchState::Leading { token: now } if now != token => break now,
            LatchState::Closed { error } => panic!("{error:?}"),
            _ => {}
        }
    };
    assert!(again > token);
    assert_eq!(world.queue(b"e")[0].value, "two");
    latch.close().await.unwrap();
    assert_eq!(changes.next().await, Some(LatchState::Closed { error: None }));
    assert_eq!(changes.next().await, None);
    until(&world, |world| world.queue(b"e").is_empty() && world.sessions() == 0).await;
}

#[tokio::test]
async fn a_latch_that_is_refused_says_so_and_ends() {
    let (_world, nodes) = cluster();
    let client = client(&nodes).await;
    for node in &nodes {
        node.faults("campaign", [Fault::Refuse(status(Code::InvalidArgument, "INVALID_NAME"))]);
    }
    let latch = client.latch("/e").start();
    let error = latch.wait_for_leadership().await.unwrap_err();
    assert_eq!(error.kind(), "INVALID_NAME");
    assert!(!latch.has_leadership());
}

#[tokio::test]
async fn an_observer_goes_on_over_members_that_die() {
    let (world, mut nodes) = cluster();
    let client = client(&nodes).await;
    let mut observer = client.election("e").observe();
    assert_eq!(observer.next().await.unwrap().unwrap().leader, None);
    for node in &mut nodes {
        let session = world.open(1000);
        node.kill();
        let claim = world.claim(&name("e"), session, &Bytes::new(), &Bytes::new()).unwrap();
        let view = observer.next().await.unwrap().unwrap();
        assert_eq!(view.leader.unwrap().token, claim.token);
        world.close(session).unwrap();
        assert_eq!(observer.next().await.unwrap().unwrap().leader, None);
        node.restart();
    }
}
