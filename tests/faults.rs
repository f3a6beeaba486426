//! Things break while clients work: they keep taking one lock and writing under its token, and a watcher watches.
//! Afterwards every acknowledged write is there, no two owners overlapped, tokens only grew, the register never went
//! back, the watch saw every event once and in order, and all members hold the same.

use ringfence_cluster::Cluster;
use ringfence_proto::v1::SessionDescribeRequest;
use ringfence_tests::{World, load::Load, raw::Raw, wait::until};

/// Clients that want the lock.
const CLIENTS: u32 = 4;
/// Turns that show that the cluster works.
const TURNS: u64 = 10;

async fn working() -> (World, Load) {
    let world = World::start(3).await;
    let load = Load::start(&world, CLIENTS).await;
    load.progress(TURNS).await;
    (world, load)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_leader_is_killed() {
    let (world, load) = working().await;
    for _ in 0..2 {
        let leader = world.leader().await;
        world.node(leader).kill().await.unwrap();
        load.progress(TURNS).await;
        world.revive(leader).await;
        load.progress(TURNS).await;
    }
    load.check(&world).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_is_killed() {
    let (world, load) = working().await;
    let follower = world.follower().await;
    world.node(follower).kill().await.unwrap();
    load.progress(TURNS).await;
    world.revive(follower).await;
    load.progress(TURNS).await;
    load.check(&world).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_three_are_killed_at_once() {
    let (world, load) = working().await;
    for _ in 0..2 {
        world.kill_all().await.unwrap();
        Cluster::start(&world).await.unwrap();
        load.progress(TURNS).await;
    }
    load.check(&world).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_leader_is_paused_for_longer_than_a_session_lives() {
    let (world, load) = working().await;
    let paused = world.leader().await;
    world.node(paused).pause().await.unwrap();
    let other = world.ids().into_iter().find(|id| *id != paused).unwrap();
    let mut other = world.raw(other);
    // A session that is opened after the pause began and that nobody renews: when it has expired, the pause was longer
    // than its TTL.
    let witness = until("a session to be opened without the old leader", async || other.open(3000).await).await;
    expired(&mut other, witness).await;
    load.progress(TURNS).await;
    world.node(paused).resume().await.unwrap();
    world.wait_node(paused).await.unwrap();
    load.progress(TURNS).await;
    load.check(&world).await;
}

async fn expired(node: &mut Raw, session_id: u64) {
    until("the session to expire", async || {
        let describe = SessionDescribeRequest { session_id, ..Default::default() };
        match node.session.describe(describe).await {
            Err(status) if status.code() == tonic::Code::NotFound => Ok(()),
            other => Err(other),
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_is_restarted_in_turn() {
    let (world, load) = working().await;
    for id in world.ids() {
        world.restart(id).await.unwrap();
        load.progress(TURNS).await;
    }
    load.check(&world).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_comes_back_after_its_log_was_purged() {
    let builder = Cluster::builder().nodes(3).setting("snapshot_entries", 100).setting("keep_entries", 20);
    let world = World::of(builder).await;
    let load = Load::start(&world, CLIENTS).await;
    load.progress(TURNS).await;
    let late = world.follower().await;
    world.node(late).kill().await.unwrap();
    let leader = world.leader().await;
    // What the late one has can't be asked any more: it is no more than what the leader has by now.
    let has = world.raw(leader).status().await.unwrap().last_log_index;
    until("the others to forget what it needs", async || {
        let mut purged = Vec::new();
        for id in world.ids().into_iter().filter(|id| *id != late) {
            purged.push(world.raw(id).status().await.map_err(|status| format!("{status:?}"))?.purged_index);
        }
        if purged.iter().all(|purged| *purged > has) { Ok(()) } else { Err(format!("{purged:?} of {has}")) }
    })
    .await;
    load.progress(TURNS).await;
    world.revive(late).await;
    until("the late one to have caught up", async || {
        let applied = world.raw(late).status().await.map_err(|status| format!("{status:?}"))?.applied_index;
        if applied > has { Ok(()) } else { Err(format!("it has applied {applied}, and had {has} at most")) }
    })
    .await;
    // It counts again: with another one gone, it is needed.
    let other = world.ids().into_iter().find(|id| ![late, leader].contains(id)).unwrap();
    world.node(other).kill().await.unwrap();
    load.progress(TURNS).await;
    world.revive(other).await;
    load.progress(TURNS).await;
    load.check(&world).await;
}
