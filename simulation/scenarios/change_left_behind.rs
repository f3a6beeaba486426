//! A learner is promoted, and the leader's power is cut at some moment of that.
//!
//! Between its two steps a change needs majorities of the old and of the new voters. Whoever leads next must bring it to its
//! end: else the cluster would stand less than either set of voters does, for ever, and nobody would know.

use std::time::Duration;

use ringfence_probes::hooks::Happening;
use tracing::info;

use super::{ABOVE, agreed, said, same_state};
use crate::world::{Kept, Plan, World, client, until};

/// Power is cut so many milliseconds after the change was asked for.
const CUTS_MS: [u64; 10] = [0, 1, 2, 3, 4, 5, 6, 8, 12, 30];

/// What it takes.
pub(super) fn plan() -> Plan {
    Plan { clients: 3, ..Plan::default() }
}

/// The story, once for each moment.
pub(super) async fn story(world: World) -> Result<(), String> {
    let mut half_done = 0;
    for cut_ms in CUTS_MS {
        let told = once(&world, cut_ms).await;
        half_done += u32::from(told.map_err(|why| format!("power cut after {cut_ms} ms: {why}"))?);
    }
    if half_done == 0 { Err("no cut came in the middle of a change: choose other moments".to_owned()) } else { Ok(()) }
}

/// True if the change was half done when its leader died.
async fn once(world: &World, cut_ms: u64) -> Result<bool, String> {
    let all = world.servers();
    let leader = world.on_client(ABOVE, agreed(all.clone(), 0)).await?;
    let newcomer = world.new_server();
    let member = world.member(newcomer);
    let servers = all.clone();
    let add = async move {
        let cluster = client(&servers, super::DEADLINE)?.cluster();
        cluster.add_learner(newcomer, &member.client_address, &member.peer_address).await.map(drop).map_err(said)
    };
    world.on_client(ABOVE, add).await?;
    tokio::time::sleep(Duration::from_secs(2)).await;

    let mut happens = world.on_happening();
    let promoting = world.spawn_on_client(ABOVE, async move {
        let cluster = client(&[leader], Duration::from_secs(3))?.cluster();
        cluster.promote(newcomer, false).await.map(drop).map_err(said)
    });
    while let Some((_, _, happening)) = happens.recv().await {
        if happening == Happening::MembersProposed {
            break;
        }
    }
    drop(happens);
    tokio::time::sleep(Duration::from_millis(cut_ms)).await;
    world.kill(leader, Kept::Nothing);
    drop(promoting.await);
    let rest: Vec<u64> = world.servers().into_iter().filter(|id| *id != leader).collect();
    let voting = rest.clone();
    world.on_client(ABOVE, async move { agreed(voting, leader).await.map(drop) }).await?;
    let whole = |world: &World| {
        world.recorder().read(|history| {
            let newest = history.voters.iter().max_by_key(|voters| voters.index);
            newest.is_none_or(|voters| voters.groups.len() == 1)
        })
    };
    let half_done = !whole(world);
    let looking = world.clone();
    until("the change to be whole", || {
        let whole = whole(&looking);
        async move { if whole { Ok(()) } else { Err("there are two groups of voters".to_owned()) } }
    })
    .await?;
    info!(half_done, "whole");

    // The newcomer goes again, so that each moment begins alike.
    world.boot(leader);
    let members = world.servers();
    let remove = async move {
        let cluster = client(&members, super::DEADLINE)?.cluster();
        until("the newcomer to leave", || async {
            let known = cluster.members().await.map_err(said)?;
            if known.members.iter().all(|member| member.id != newcomer) {
                return Ok(());
            }
            cluster.remove(newcomer, false).await.map_err(said)?;
            Err("not seen yet".to_owned())
        })
        .await
    };
    world.on_client(ABOVE, remove).await?;
    world.retire(newcomer);
    world.on_client(ABOVE, same_state(all)).await?;
    Ok(half_done)
}
