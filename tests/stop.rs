//! SIGTERM: a server says good-bye to whom it serves, ends with exit code 0, and loses nothing. A second signal ends it at
//! once.

use ringfence_client::{SessionOptions, WatchItem, WatchOptions};
use ringfence_proto::v1::{watch_request::Request, watch_response::Response, *};
use ringfence_tests::{
    World,
    raw::{bytes, text},
    wait::{PATIENCE, within},
};
use rustix::process::Signal;

/// Opens a watch and gives both of its ends.
async fn watch(world: &World, id: u64) -> (tokio::sync::mpsc::Sender<WatchRequest>, tonic::Streaming<WatchResponse>) {
    let (requests, receiver) = tokio::sync::mpsc::channel(1);
    let create = WatchCreate { watch_id: 1, prefix: true, ..Default::default() };
    requests.send(WatchRequest { request: Some(Request::Create(create)) }).await.unwrap();
    let receiver = tokio_stream::wrappers::ReceiverStream::new(receiver);
    let mut responses = world.raw(id).watch.watch(receiver).await.unwrap().into_inner();
    let first = within("the watch to be there", responses.message()).await.unwrap().unwrap();
    assert!(matches!(first.response, Some(Response::Created(_))), "{first:?}");
    (requests, responses)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_with_open_streams_stops_and_keeps_its_data() {
    let world = World::start(1).await;
    let mut node = world.raw(1);
    node.put("k", "v").await.unwrap();
    let session_id = node.open(86_400_000).await.unwrap();
    let held = node.try_lock("l", session_id).await.unwrap();
    let other = node.open(86_400_000).await.unwrap();

    // Everything that can stay open stays open: watches, an observer, renewals, somebody who waits for a lock.
    let (_requests, mut responses) = watch(&world, 1).await;
    let observe = ElectionObserveRequest { name: bytes("e") };
    let mut observed = node.election.observe(observe).await.unwrap().into_inner();
    within("the first observation", observed.message()).await.unwrap().unwrap();
    let (renew, receiver) = tokio::sync::mpsc::channel(1);
    renew.send(SessionRenewRequest { session_ids: vec![session_id], request: 1 }).await.unwrap();
    let receiver = tokio_stream::wrappers::ReceiverStream::new(receiver);
    let mut renewed = node.session.renew(receiver).await.unwrap().into_inner();
    within("a renewal", renewed.message()).await.unwrap().unwrap();
    let mut lock = node.lock.clone();
    let acquire = LockAcquireRequest { name: bytes("l"), session_id: other, ..Default::default() };
    let waiting = tokio::spawn(async move { lock.acquire(acquire).await });

    // The product promises an end within 5 s. The bound here tells a hang, not a speed.
    world.node(1).stop().await.unwrap();
    assert_eq!(world.node(1).exit_code(), Some(0), "{}", world.node(1).log_tail(20));
    let last = loop {
        match within("the watch's good-bye", responses.message()).await {
            Ok(Some(message)) => {
                if let Some(Response::Canceled(canceled)) = message.response {
                    break canceled;
                }
            }
            other => panic!("the watch ended without a good-bye: {other:?}"),
        }
    };
    assert_eq!(last.reason(), watch_canceled::Reason::Unavailable, "{last:?}");
    within("the observer's end", async { while let Ok(Some(_)) = observed.message().await {} }).await;
    within("the renewals' end", async { while let Ok(Some(_)) = renewed.message().await {} }).await;
    within("the wait's end", waiting).await.unwrap().unwrap_err();

    world.revive(1).await;
    let mut node = world.raw(1);
    assert_eq!(node.get("k").await.unwrap().as_deref(), Some("v"));
    let validate = LockValidateRequest { name: bytes("l"), token: held.token, ..Default::default() };
    assert!(node.lock.validate(validate).await.unwrap().into_inner().owner, "a restart costs nobody his lock");
    assert_eq!(node.versions("k").await.unwrap()[0].revision, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_of_a_server_that_stops_go_on_elsewhere() {
    let world = World::start(3).await;
    let client = world.client().await;
    let session = client.open_session(SessionOptions::new().ttl(std::time::Duration::from_secs(60))).await.unwrap();
    let guard = client.lock("l").session(&session).acquire().await.unwrap();
    let mut watcher = client.watch(WatchOptions::prefix("w/")).await.unwrap();
    for id in world.ids() {
        world.node(id).stop().await.unwrap();
        assert_eq!(world.node(id).exit_code(), Some(0), "{}", world.node(id).log_tail(20));
        session.kv().put("w/k", id.to_string()).await.unwrap();
        let item = within("the event", watcher.next()).await.unwrap().unwrap();
        let WatchItem::Events(events) = item else { panic!("{item:?}") };
        assert_eq!(text(&events[0].kv.value), id.to_string());
        assert!(guard.is_valid());
        world.revive(id).await;
    }
    guard.release().await.unwrap();
    session.close().await.unwrap();
    world.settle().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_signal_ends_a_server_at_once() {
    let world = World::start(3).await;
    let leader = world.leader().await;
    world.raw(leader).put("k", "v").await.unwrap();
    // Nobody is there to take the leadership over, so that a stop in good order takes its time.
    for id in world.ids().into_iter().filter(|id| *id != leader) {
        world.node(id).pause().await.unwrap();
    }
    // Both wait for the process when it goes on: no stop can be over before the second one comes.
    let node = world.node(leader);
    node.pause().await.unwrap();
    let process = node.process().unwrap();
    for signal in [Signal::TERM, Signal::INT] {
        assert!(process.signal(signal).unwrap());
    }
    node.resume().await.unwrap();
    node.ended(PATIENCE).await.unwrap();
    assert_eq!(node.exit_code(), Some(1), "{}", node.log_tail(20));
    for id in world.ids().into_iter().filter(|id| *id != leader) {
        world.node(id).resume().await.unwrap();
    }
    world.revive(leader).await;
    assert_eq!(world.raw(leader).get("k").await.unwrap().as_deref(), Some("v"));
}

#[tokio::test]
async fn an_interrupt_is_a_stop() {
    let world = World::start(1).await;
    assert!(world.node(1).process().unwrap().signal(Signal::INT).unwrap());
    world.node(1).ended(PATIENCE).await.unwrap();
    assert_eq!(world.node(1).exit_code(), Some(0), "{}", world.node(1).log_tail(20));
}
