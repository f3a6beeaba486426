//! Each follower in turn is cut off, in one direction or in both, and comes back; each time it catches up soon.
//!
//! In alphas of openraft replication to a follower stayed stuck after a partition (its issue 1828): a request that nobody answers
//! keeps what the next one needs. Cuts of all lengths, while entries are on their way and with snapshots in between, try to
//! leave such requests behind.

use std::{
    sync::Arc,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use tracing::info;

use super::{ABOVE, agreed, same_index, same_state};
use crate::world::{Machine, Plan, World, client, until};

/// Machine of the client that writes.
const WRITER: u32 = 1;
/// How long a follower is cut off.
const CUTS_MS: [u64; 7] = [20, 150, 400, 1_100, 2_500, 6_000, 20_000];

/// Snapshots are made often, so that some cuts need one to catch up.
pub(super) fn plan() -> Plan {
    Plan { clients: 3, snapshot_entries: 150, keep_entries: 20, ..Plan::default() }
}

/// The story.
pub(super) async fn story(world: World) -> Result<(), String> {
    let all = world.servers();
    world.on_client(ABOVE, agreed(all.clone(), 0)).await?;
    let over = Arc::new(AtomicBool::new(false));
    let writing = world.spawn_on_client(WRITER, write(all.clone(), over.clone()));
    for (round, cut_ms) in CUTS_MS.into_iter().enumerate() {
        for way in ["both", "to", "from"] {
            let leader = world.on_client(ABOVE, agreed(all.clone(), 0)).await?;
            let followers: Vec<u64> = all.iter().copied().filter(|id| *id != leader).collect();
            let follower = followers[round % followers.len()];
            cut(&world, leader, follower, way, false);
            tokio::time::sleep(Duration::from_millis(cut_ms)).await;
            cut(&world, leader, follower, way, true);
            info!(leader, follower, way, cut_ms, "healed");
            let caught_up = caught_up(all.clone(), follower);
            let why = |why| format!("server {follower}, cut off ({way} the leader) for {cut_ms} ms: {why}");
            world.on_client(ABOVE, caught_up).await.map_err(why)?;
        }
    }
    over.store(true, Ordering::Relaxed);
    writing.await.map_err(|error| error.to_string())??;
    world.on_client(ABOVE, same_state(all)).await
}

fn cut(world: &World, leader: u64, follower: u64, way: &str, up: bool) {
    let (leader, follower) = (Machine::Server(leader), Machine::Server(follower));
    if way != "from" {
        world.link(leader, follower, up);
    }
    if way != "to" {
        world.link(follower, leader, up);
    }
}

/// Writes all the time.
async fn write(servers: Vec<u64>, over: Arc<AtomicBool>) -> Result<(), String> {
    let client = client(&servers, Duration::from_secs(2))?;
    let mut number = 0_u64;
    while !over.load(Ordering::Relaxed) {
        number += 1;
        let _ = client.kv().put(format!("key {}", number % 7), format!("{number}")).await;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

/// The follower gets to where the others are now.
async fn caught_up(all: Vec<u64>, follower: u64) -> Result<(), String> {
    let mut newest = 0;
    for id in &all {
        newest = newest.max(crate::world::status(*id).await?.applied_index);
    }
    until("it to catch up", || async {
        let applied = crate::world::status(follower).await?.applied_index;
        if applied >= newest { Ok(()) } else { Err(format!("it has applied {applied} of {newest}")) }
    })
    .await?;
    let _ = same_index(all).await;
    Ok(())
}
