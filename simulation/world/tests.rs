//! A world under all of its own faults: what it records holds together, and the same seed is the same world.

use std::{collections::BTreeMap, time::Duration};

use madsim::{Config, runtime::Runtime};

use super::{Kept, Machine, MessageFaults, Odds, Plan, World};
use crate::{
    alone::alone,
    history::{History, Recorder},
    trace::{To, Trace},
};

const SECOND: Duration = Duration::from_secs(1);

/// Runs a story in a world of its own; its history, and the trace's hash.
fn world<F, S>(seed: u64, plan: Plan, story: S) -> (History, u64)
where
    F: Future<Output = ()>,
    S: FnOnce(World) -> F + Send + 'static,
{
    let run = move || {
        let trace = Trace::new(To::Nowhere, true);
        let history = tracing::subscriber::with_default(trace.clone(), || {
            Runtime::with_seed_and_config(seed, Config::default()).block_on(async {
                let world = World::start(&Plan { seed, ..plan }, Recorder::simulated());
                story(world.clone()).await;
                world.record_logs();
                world.recorder().finish()
            })
        });
        (history, trace.hash())
    };
    std::thread::spawn(run).join().expect("the world doesn't panic")
}

/// Writes all the time, on every client's machine.
fn writers(world: &World) {
    for machine in world.clients() {
        let servers = world.servers();
        let client = world.clone();
        world.spawn_on_client(machine, async move {
            let client = client.client(&servers, 3 * SECOND).expect("a client");
            let mut number = 0u64;
            loop {
                number += 1;
                let _ = client.kv().put(format!("key {machine}"), format!("{number}")).await;
                if number.is_multiple_of(5)
                    && let Ok(guard) = client.lock("lock").try_acquire().await
                {
                    let _ = guard.release().await;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
    }
}

async fn trouble(world: World) {
    let odds = Odds { delay: 0.05, twice: 0.05, lose: 0.02, lose_answer: 0.01, hang: 0.01, late_max: SECOND / 5 };
    writers(&world);
    tokio::time::sleep(3 * SECOND).await;
    world.messages(MessageFaults { servers: odds, clients: odds });
    world.drift(Machine::Server(1), 4_000);
    world.drift(Machine::Client(1), -4_000);
    for round in 0..4u64 {
        let Some(leader) = world.leader() else { continue };
        let kept = [Kept::Nothing, Kept::Writes(1), Kept::All][usize::try_from(round % 3).unwrap_or(0)];
        assert!(world.kill(leader, kept) && !world.is_up(leader));
        tokio::time::sleep(2 * SECOND).await;
        assert!(world.boot(leader));
        tokio::time::sleep(2 * SECOND).await;
        let paused = world.leader().unwrap_or(1);
        world.pause(paused);
        tokio::time::sleep(2 * SECOND).await;
        world.resume(paused);
        world.link(Machine::Server(1), Machine::Server(2), false);
        world.slow_link(Machine::Server(2), Machine::Server(3), SECOND / 20);
        tokio::time::sleep(2 * SECOND).await;
        world.heal_network();
    }
    let stopped = world.leader().unwrap_or(1);
    assert!(world.stop(stopped).await);
    assert!(!world.is_up(stopped) && world.failure(stopped).is_none());
    tokio::time::sleep(SECOND).await;
    world.boot(stopped);
    tokio::time::sleep(5 * SECOND).await;
}

fn plan() -> Plan {
    Plan { snapshot_entries: 60, keep_entries: 10, ..Plan::default() }
}

#[test]
fn replicas_agree_and_one_server_leads_a_term() {
    let (history, _) = world(7, plan(), trouble);
    let mut hashes = BTreeMap::new();
    for applied in &history.applied {
        let first = *hashes.entry(applied.index).or_insert(applied.hash);
        assert_eq!(first, applied.hash, "{applied:?}");
    }
    let mut leaders = BTreeMap::new();
    for led in &history.leaders {
        assert_eq!(*leaders.entry(led.term).or_insert(led.server), led.server);
    }
    assert!(leaders.len() > 3, "{leaders:?}");
    assert!(history.entries.len() > 300, "{}", history.entries.len());
    assert!(history.applied.iter().any(|applied| applied.installed), "a snapshot was read at a start");
    assert!(history.renewals.len() > 3 && history.logs.iter().any(|log| log.committed > 0 && !log.entries.is_empty()));
    assert!(history.entries.values().any(|entry| !entry.granted.is_empty() && !entry.changes.is_empty()));
}

#[test]
fn the_same_seed_is_the_same_world() {
    if !alone("world::tests::the_same_seed_is_the_same_world") {
        return;
    }
    let (one, hash) = world(11, plan(), trouble);
    let (other, again) = world(11, plan(), trouble);
    assert_eq!((one.applied, one.logs, hash), (other.applied, other.logs, again));
    assert_ne!(world(12, plan(), trouble).1, hash);
}

#[test]
fn a_server_whose_disk_fails_is_down_and_a_new_one_takes_its_place() {
    let story = |world: World| async move {
        writers(&world);
        tokio::time::sleep(3 * SECOND).await;
        let broken = 2;
        world.disk(broken).expect("a disk").fail_syncs(true);
        tokio::time::sleep(3 * SECOND).await;
        assert!(!world.is_up(broken) && world.failure(broken).is_some(), "{:?}", world.failure(broken));
        world.retire(broken);
        let full = 3;
        world.disk(full).expect("a disk").set_full(true);
        tokio::time::sleep(3 * SECOND).await;
        assert!(!world.is_up(full), "a full disk ends it");
        world.disk(full).expect("a disk").set_full(false);
        assert!(world.boot(full) && world.new_server() == 4);
        let member = world.member(4);
        let (client, servers) = (world.clone(), world.servers());
        let added = world.on_client(1, async move {
            let cluster = client.client(&servers, 20 * SECOND)?.cluster();
            let added = cluster.add_learner(member.id, &member.client_address, &member.peer_address).await;
            added.map_err(|error| error.to_string())
        });
        added.await.expect("a fourth member");
        tokio::time::sleep(5 * SECOND).await;
    };
    let (history, _) = world(3, plan(), story);
    assert!(history.applied.iter().any(|applied| applied.server == 4), "it follows");
}
