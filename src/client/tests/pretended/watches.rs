//! A watcher gives every event once, in order, whatever happens to its members.

use crate::fake::{Fault, World, client, cluster};
use bytes::Bytes;
use ringfence_client::{Error, WatchItem, WatchOptions, Watcher};
use tonic::Status;

fn put(world: &World, key: &str) -> u64 {
    world.put(&Bytes::copy_from_slice(key.as_bytes()), &Bytes::new(), None)
}

/// Reads events up to this revision.
async fn revisions(watcher: &mut Watcher, last: u64) -> Vec<u64> {
    let mut seen = Vec::new();
    while seen.last() != Some(&last) {
        match watcher.next().await.unwrap().unwrap() {
            WatchItem::Events(events) => seen.extend(events.iter().map(|event| event.kv.mod_revision)),
            item => panic!("{item:?}"),
        }
    }
    seen
}

#[tokio::test]
async fn events_come_once_over_streams_that_break() {
    let (world, nodes) = cluster();
    let client = client(&nodes).await;
    let mut watcher = client.watch(WatchOptions::prefix("a/")).await.unwrap();
    assert_eq!(watcher.next_revision(), 1);
    for round in 0..20 {
        for node in &nodes {
            node.faults("watch", [Fault::Refuse(Status::unavailable("broken"))]);
        }
        for key in 0..5 {
            put(&world, &format!("a/{key}"));
            put(&world, "elsewhere");
        }
        let last = world.revision() - 1;
        let first = round * 10 + 1;
        let seen = revisions(&mut watcher, last).await;
        assert_eq!(seen, (0..5).map(|n| first + 2 * n).collect::<Vec<_>>());
        assert_eq!(watcher.next_revision(), last + 1);
    }
}

#[tokio::test]
async fn events_come_once_over_members_that_die() {
    let (world, mut nodes) = cluster();
    let client = client(&nodes).await;
    let mut watcher = client.watch(WatchOptions::prefix("a/")).await.unwrap();
    let mut seen = Vec::new();
    for round in 0..6 {
        let victim = round % 3;
        put(&world, "a/1");
        nodes[victim].kill();
        let last = put(&world, "a/2");
        seen.extend(revisions(&mut watcher, last).await);
        nodes[victim].restart();
    }
    assert_eq!(seen, (1..=12).collect::<Vec<_>>());
}

#[tokio::test]
async fn progress_moves_the_place_to_resume_from() {
    let (world, nodes) = cluster();
    let client = client(&nodes).await;
    let options = WatchOptions::prefix("a/").progress(std::time::Duration::from_millis(100));
    let mut watcher = client.watch(options).await.unwrap();
    put(&world, "elsewhere");
    put(&world, "elsewhere");
    while watcher.next_revision() < 3 {
        let item = watcher.next().await.unwrap().unwrap();
        assert!(matches!(item, WatchItem::Progress(_)));
    }
    // All that the watch doesn't need is compacted, and its stream breaks: it goes on all the same.
    world.compact(2);
    for node in &nodes {
        node.faults("watch", [Fault::Refuse(Status::unavailable("broken"))]);
    }
    let last = put(&world, "a/1");
    loop {
        match watcher.next().await.unwrap().unwrap() {
            WatchItem::Progress(_) => {}
            WatchItem::Events(events) => {
                assert_eq!(events[0].kv.mod_revision, last);
                break;
            }
            item => panic!("{item:?}"),
        }
    }
}

#[tokio::test]
async fn a_past_that_is_compacted_is_a_typed_error() {
    let (world, nodes) = cluster();
    let client = client(&nodes).await;
    for _ in 0..5 {
        put(&world, "a");
    }
    world.compact(3);
    let mut watcher = client.watch(WatchOptions::key("a").from_revision(2)).await.unwrap();
    let error = watcher.next().await.unwrap().unwrap_err();
    assert_eq!(error, Error::Compacted { compacted: 3 });
    assert!(watcher.next().await.is_none());
    let mut watcher = client.watch(WatchOptions::key("a").from_revision(4)).await.unwrap();
    assert_eq!(revisions(&mut watcher, 5).await, [4, 5]);
}

#[tokio::test]
async fn a_snapshot_that_breaks_starts_over_and_is_followed_from_its_revision() {
    let (world, nodes) = cluster();
    let client = client(&nodes).await;
    for key in 0..5 {
        put(&world, &format!("a/{key}"));
    }
    let mut watcher = client.watch(WatchOptions::prefix("a/").snapshot()).await.unwrap();
    for node in &nodes {
        node.faults("watch", [Fault::Refuse(Status::unavailable("broken"))]);
    }
    let mut keys = Vec::new();
    loop {
        match watcher.next().await.unwrap().unwrap() {
            WatchItem::Snapshot { first, complete, revision, kvs } => {
                if first {
                    keys.clear();
                }
                keys.extend(kvs.into_iter().map(|kv| kv.key));
                if complete {
                    assert_eq!(revision, 5);
                    break;
                }
                assert_eq!(watcher.next_revision(), 0);
            }
            item => panic!("{item:?}"),
        }
    }
    assert_eq!(keys, ["a/0", "a/1", "a/2", "a/3", "a/4"]);
    let last = put(&world, "a/9");
    assert_eq!(revisions(&mut watcher, last).await, [6]);
}

#[tokio::test]
async fn a_closed_watcher_gives_nothing_more() {
    let (world, nodes) = cluster();
    let client = client(&nodes).await;
    let mut watcher = client.watch(WatchOptions::prefix("")).await.unwrap();
    put(&world, "a");
    watcher.close();
    assert!(watcher.next().await.is_none());
}
