//! The leader is cut off from the other servers, with a client on either side.
//!
//! The other side elects, and its client writes on, under the lock that it took before. The old leader acknowledges
//! nothing more, neither writes nor linearizable reads, and still answers who asks for what it has. When the links are
//! mended all three come to the same state, with all that was acknowledged and nothing that was refused, and leadership can be
//! handed back.

use std::time::Duration;

use ringfence_client::{Client, Error, GetOptions, Op, Txn};
use tracing::info;

use super::{DEADLINE, agreed, said, same_index, same_state};
use crate::world::{Machine, Plan, World, client, until};

/// What it takes.
pub(super) fn plan() -> Plan {
    Plan { clients: 3, ..Plan::default() }
}

/// Machine of the client that stays with the majority.
const OUTSIDE: u32 = 1;
/// Machine of the client that is cut off together with the old leader.
const INSIDE: u32 = 2;
/// Machine from which the scenario looks at all servers; its links are never cut.
const ABOVE: u32 = 3;

/// The story.
pub(super) async fn story(world: World) -> Result<(), String> {
    let all = world.servers();
    let old = world.on_client(ABOVE, agreed(all.clone(), 0)).await?;
    info!(leader = old, "elected");
    let outside = world.on_client(OUTSIDE, before(all.clone())).await?;

    let others: Vec<u64> = all.iter().copied().filter(|id| *id != old).collect();
    let cut_off = [Machine::Server(old), Machine::Client(INSIDE)];
    let mut rest: Vec<Machine> = others.iter().copied().map(Machine::Server).collect();
    rest.push(Machine::Client(OUTSIDE));
    world.links(&cut_off, &rest, false);
    info!(server = old, "cut off");
    let refused = world.on_client(INSIDE, nothing_is_acknowledged(old)).await?;
    let new = world.on_client(ABOVE, agreed(others.clone(), old)).await?;
    info!(leader = new, "elected");
    let outside = world.on_client(OUTSIDE, during(outside)).await?;

    world.links(&cut_off, &rest, true);
    info!("healed");
    world.on_client(OUTSIDE, after(outside, refused)).await?;
    world.on_client(OUTSIDE, hand_over(all.clone(), old)).await?;
    let last = world.on_client(ABOVE, agreed(all.clone(), new)).await?;
    if last != old {
        return Err(format!("leadership was handed to {old}, and {last} leads"));
    }
    world.on_client(ABOVE, same_state(all)).await
}

/// What the client outside has in its hands.
struct Outside {
    client: Client,
    guard: ringfence_client::LockGuard,
}

async fn before(servers: Vec<u64>) -> Result<Outside, String> {
    let client = client(&servers, DEADLINE)?;
    client.kv().put("before", "x").await.map_err(said)?;
    let guard = client.lock("lock").ttl(Duration::from_secs(30)).acquire().await.map_err(said)?;
    fenced(&client, guard.token(), "first").await?;
    info!(token = guard.token(), "locked");
    Ok(Outside { client, guard })
}

/// Asks the old leader alone. Answers whether the write was surely refused.
async fn nothing_is_acknowledged(old: u64) -> Result<bool, String> {
    let client = client(&[old], DEADLINE)?;
    let written = client.kv().put("inside", "x").await;
    info!(result = ?written.as_ref().err(), "write on the old leader");
    let refused = match written {
        Ok(done) => {
            return Err(format!("a leader without a majority acknowledged revision {}", done.revision));
        }
        Err(Error::Unavailable { .. } | Error::Refused { .. }) => true,
        Err(_) => false,
    };
    if let Ok(read) = client.kv().get("before").await {
        return Err(format!("a leader without a majority answered a linearizable read: {read:?}"));
    }
    let stale = client.kv().get_with(GetOptions::key("before").stale()).await.map_err(said)?;
    if stale.kvs.is_empty() {
        return Err("what was there before the cut can't be read as it was".to_owned());
    }
    Ok(refused)
}

async fn during(outside: Outside) -> Result<Outside, String> {
    let Outside { client, guard } = &outside;
    client.kv().put("during", "x").await.map_err(said)?;
    if !guard.is_valid() {
        return Err("the lock was lost, though a majority was there and its session is long".to_owned());
    }
    fenced(client, guard.token(), "second").await?;
    let taken = client.lock("lock").try_acquire().await;
    if !matches!(taken, Err(Error::LockHeld { .. })) {
        return Err(format!("the lock was given to a second owner: {taken:?}"));
    }
    Ok(outside)
}

async fn after(outside: Outside, refused: bool) -> Result<(), String> {
    let Outside { client, guard } = outside;
    for key in ["before", "during"] {
        if client.kv().get(key).await.map_err(said)?.is_none() {
            return Err(format!("an acknowledged write is gone: {key}"));
        }
    }
    let inside = client.kv().get("inside").await.map_err(said)?;
    if refused && inside.is_some() {
        return Err("a write that was refused is there".to_owned());
    }
    let token = guard.token();
    guard.release().await.map_err(said)?;
    let next = client.lock("lock").acquire().await.map_err(said)?;
    info!(token = next.token(), "locked again");
    if next.token() <= token {
        return Err(format!("token {} came after token {token}", next.token()));
    }
    if fenced(&client, token, "late").await.is_ok() {
        return Err("the old token still writes".to_owned());
    }
    next.release().await.map_err(said)
}

/// Leadership goes back to the old leader, at the first attempt and to nobody else.
async fn hand_over(servers: Vec<u64>, heir: u64) -> Result<(), String> {
    until("the heir to have the log", || same_index(servers.clone())).await?;
    let cluster = client(&servers, DEADLINE)?.cluster();
    let leader = cluster.transfer_leader(Some(heir)).await.map_err(said)?;
    info!(leader, "handed over");
    if leader == heir { Ok(()) } else { Err(format!("leadership was to go to {heir}, and {leader} has it")) }
}

async fn fenced(client: &Client, token: u64, value: &str) -> Result<(), String> {
    let txn = Txn::new().when_holds("lock", token).then(Op::put("register", value));
    match client.kv().txn(txn).await.map_err(said)? {
        done if done.succeeded => Ok(()),
        _ => Err(format!("token {token} is not the owner's")),
    }
}
