//! A voter is removed, and at some moment of that the leader is cut off with one other: two of four old voters, two of three
//! new ones.
//!
//! An alpha of openraft committed without a quorum around a change of members (its issue 1802). Here the two would be a
//! majority of the new voters alone. So as long as they are apart nothing may be done there, unless the change was whole
//! before the cut; and never on both sides.

use std::time::Duration;

use ringfence_client::Client;
use ringfence_probes::hooks::Happening;
use tracing::info;

use super::{ABOVE, agreed, said, same_state};
use crate::world::{Machine, Plan, World, client};

/// Machine of the client that is cut off together with the leader.
const INSIDE: u32 = 1;
/// Machine of the client that stays with the other two.
const OUTSIDE: u32 = 2;
/// How long writes are tried while the halves are apart.
const APART: Duration = Duration::from_secs(4);
/// The cut comes so many milliseconds after the change was asked for.
const CUTS_MS: [u64; 8] = [0, 1, 2, 4, 8, 16, 32, 64];

/// What it takes.
pub(super) fn plan() -> Plan {
    Plan { servers: 4, clients: 3, ..Plan::default() }
}

/// The story, once for each moment of the cut; the voter that was removed is replaced each time.
pub(super) async fn story(world: World) -> Result<(), String> {
    for (round, cut_ms) in CUTS_MS.into_iter().enumerate() {
        once(&world, round, cut_ms).await.map_err(|why| format!("cut after {cut_ms} ms: {why}"))?;
    }
    Ok(())
}

async fn once(world: &World, round: usize, cut_ms: u64) -> Result<(), String> {
    let all = world.servers();
    let leader = world.on_client(ABOVE, agreed(all.clone(), 0)).await?;
    let others: Vec<u64> = all.iter().copied().filter(|id| *id != leader).collect();
    let [friend, left, leaver] = others[..] else { return Err(format!("there are {all:?}, and four are needed")) };

    let inside = [Machine::Server(leader), Machine::Server(friend), Machine::Client(INSIDE)];
    let outside = [Machine::Server(left), Machine::Server(leaver), Machine::Client(OUTSIDE)];
    let mut happens = world.on_happening();
    let removing = world.spawn_on_client(INSIDE, async move {
        let removed = client(&[leader], Duration::from_secs(3))?.cluster().remove(leaver, false).await;
        Ok::<_, String>(removed.is_ok())
    });
    while let Some((_, _, happening)) = happens.recv().await {
        if happening == Happening::MembersProposed {
            break;
        }
    }
    drop(happens);
    tokio::time::sleep(Duration::from_millis(cut_ms)).await;
    let whole_before = removing.is_finished();
    world.links(&inside, &outside, false);
    info!(leader, friend, leaver, whole_before, "cut");

    let here = world.spawn_on_client(INSIDE, writes(vec![leader, friend], format!("inside {round}")));
    let there = world.spawn_on_client(OUTSIDE, writes(vec![left, leaver], format!("outside {round}")));
    let here = here.await.map_err(|error| error.to_string())??;
    let there = there.await.map_err(|error| error.to_string())??;
    let removed = removing.await.map_err(|error| error.to_string())??;
    info!(here = here.len(), there = there.len(), removed, "apart");
    if !here.is_empty() && !there.is_empty() {
        return Err(format!("both sides acknowledged writes: {here:?} and {there:?}"));
    }
    if !there.is_empty() {
        return Err(format!("two of four, or one of three, acknowledged {there:?}"));
    }
    if !here.is_empty() && cut_ms == 0 {
        return Err(format!("two of four old voters acknowledged {here:?}"));
    }

    world.links(&inside, &outside, true);
    info!("healed");
    world.on_client(ABOVE, settle(world.clone(), all, leaver)).await?;
    world.on_client(ABOVE, found(world.servers(), here)).await
}

/// Writes for a while; the keys that were acknowledged.
async fn writes(servers: Vec<u64>, name: String) -> Result<Vec<String>, String> {
    let client = client(&servers, Duration::from_millis(900))?;
    let mut acknowledged = Vec::new();
    let until = tokio::time::Instant::now() + APART;
    let mut number = 0;
    while tokio::time::Instant::now() < until {
        number += 1;
        let key = format!("{name} {number}");
        if client.kv().put(&key, "x").await.is_ok() {
            acknowledged.push(key);
        }
    }
    Ok(acknowledged)
}

/// Brings the change to its end, and a new fourth voter.
async fn settle(world: World, all: Vec<u64>, leaver: u64) -> Result<(), String> {
    let client = client(&all, super::DEADLINE)?;
    retried(
        "removing",
        &client,
        |client| async move { client.cluster().remove(leaver, false).await.map(drop) },
        |members| members.iter().all(|member| *member != leaver),
    )
    .await?;
    world.retire(leaver);
    let newcomer = world.new_server();
    let member = world.member(newcomer);
    let add = move |client: Client| {
        let member = member.clone();
        async move { client.cluster().add_learner(newcomer, &member.client_address, &member.peer_address).await.map(drop) }
    };
    retried("adding", &client, add, |members| members.contains(&newcomer)).await?;
    let promoted = crate::world::until("the promotion", || {
        let client = client.clone();
        async move { client.cluster().promote(newcomer, false).await.map(drop).map_err(said) }
    });
    promoted.await?;
    same_state(world.servers()).await
}

/// Does something until the members are as wanted.
async fn retried<F: Future<Output = Result<(), ringfence_client::Error>>>(
    what: &str,
    client: &Client,
    work: impl Fn(Client) -> F,
    done: impl Fn(&[u64]) -> bool,
) -> Result<(), String> {
    crate::world::until(what, || async {
        let members = client.cluster().members().await.map_err(said)?;
        let ids: Vec<u64> = members.members.iter().map(|member| member.id).collect();
        if done(&ids) {
            return Ok(());
        }
        work(client.clone()).await.map_err(said)?;
        Err("not seen yet".to_owned())
    })
    .await
}

/// What was acknowledged is there.
async fn found(servers: Vec<u64>, keys: Vec<String>) -> Result<(), String> {
    let client = client(&servers, super::DEADLINE)?;
    for key in keys {
        if client.kv().get(&key).await.map_err(said)?.is_none() {
            return Err(format!("an acknowledged write is gone: {key}"));
        }
    }
    Ok(())
}
