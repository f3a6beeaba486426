//! A cluster grows, shrinks and has members replaced while clients work: nothing that was acknowledged is lost, and nobody
//! is told that a change was made which wasn't.

use std::time::Duration;

use ringfence_cluster::Cluster;
use ringfence_proto::v1::*;
use ringfence_tests::{
    World,
    cli::Cli,
    load::Load,
    raw::refusal,
    refused::{invalid, refused},
    wait::until,
};
use tonic::Code;

/// Clients that want the lock.
const CLIENTS: u32 = 4;
/// Turns that show that the cluster works.
const TURNS: u64 = 10;

fn learner(world: &World, id: u64) -> ClusterAddLearnerRequest {
    let node = world.node(id);
    let (client_address, peer_address) = (node.client_address().to_owned(), node.peer_address().to_owned());
    ClusterAddLearnerRequest { node_id: id, client_address, peer_address }
}

/// The members' ids, and which of them vote, as the member that answers knows them.
fn voters(response: &ClusterMembersResponse) -> Vec<(u64, bool)> {
    response.members.iter().map(|member| (member.node_id, member.voter)).collect()
}

/// Waits until a node has applied what another one has committed by now.
async fn caught_up(world: &World, id: u64, with: u64) {
    let goal = world.raw(with).status().await.unwrap().committed_index;
    until("the new one to have caught up", async || {
        let applied = world.raw(id).status().await.map_err(|status| format!("{status:?}"))?.applied_index;
        if applied >= goal { Ok(()) } else { Err(format!("it has applied {applied} of {goal}")) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fourth_joins_and_two_of_the_founders_leave() {
    let mut world = World::start(3).await;
    let load = Load::start(&world, CLIENTS).await;
    load.progress(TURNS).await;

    let new = world.make_joining().unwrap();
    world.node(new).spawn().unwrap();
    // Asked of one that has to pass it on.
    let follower = world.follower().await;
    let mut asked = world.raw(follower);
    let added = asked.cluster.add_learner(learner(&world, new)).await.unwrap().into_inner();
    assert_eq!(voters(&added), [(1, true), (2, true), (3, true), (new, false)]);
    caught_up(&world, new, follower).await;
    until("the new one to be promoted", async || {
        let promoted = asked.cluster.promote(ClusterPromoteRequest { node_id: new, force: false }).await?;
        assert_eq!(voters(promoted.get_ref()), [(1, true), (2, true), (3, true), (new, true)]);
        Ok::<_, tonic::Status>(())
    })
    .await;
    load.progress(TURNS).await;

    // Of four, three must agree: without one of the founders, the new one's vote counts.
    let dead = [1, 2, 3].into_iter().find(|id| *id != follower).unwrap();
    world.node(dead).kill().await.unwrap();
    load.progress(TURNS).await;
    until("the dead one to be removed", async || {
        asked.cluster.remove(ClusterRemoveRequest { node_id: dead, force: false }).await.map(drop).or_else(gone)
    })
    .await;
    world.retire(dead).await.unwrap();
    load.progress(TURNS).await;

    // The leader itself is told to go, and the other two go on while its process still runs.
    let leader = world.leader().await;
    let mut old = world.raw(leader);
    old.cluster.remove(ClusterRemoveRequest { node_id: leader, force: false }).await.unwrap();
    load.progress(TURNS).await;
    let ids: Vec<u64> = world.ids().into_iter().filter(|id| *id != leader).collect();
    let next = until("one of the others to lead", async || {
        let status = world.raw(ids[0]).status().await?;
        if ids.contains(&status.leader) { Ok(status.leader) } else { Err(tonic::Status::unavailable("not yet")) }
    })
    .await;
    until("the old leader to know that it leads no more", async || {
        let status = old.status().await?;
        if status.leader == leader { Err(tonic::Status::unavailable("it still says so")) } else { Ok(()) }
    })
    .await;
    let members = world.raw(next).cluster.members(ClusterMembersRequest::default()).await.unwrap().into_inner();
    assert_eq!(voters(&members), [(ids[0], true), (ids[1], true)]);
    world.node(leader).stop().await.unwrap();
    assert_eq!(world.node(leader).exit_code(), Some(0), "{}", world.node(leader).log_tail(20));
    world.retire(leader).await.unwrap();
    load.progress(TURNS).await;
    load.check(&world).await;
}

/// The answer to an earlier try may have been lost on its way.
fn gone(status: tonic::Status) -> Result<(), tonic::Status> {
    let unknown = refusal(Err::<(), _>(status.clone())) == (Code::NotFound, "MEMBER_UNKNOWN".to_owned());
    if unknown { Ok(()) } else { Err(status) }
}

/// What docs/operations.md tells an operator to do, with the log gone that the new one would need.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_whose_disk_is_lost_is_replaced() {
    let builder = Cluster::builder().nodes(3).setting("snapshot_entries", 100).setting("keep_entries", 20);
    let mut world = World::of(builder).await;
    let load = Load::start(&world, CLIENTS).await;
    let cli = Cli::of(&world);
    until("the beginning of the log to be gone", async || {
        let purged = world.raw(1).status().await?.purged_index;
        if purged > 0 { Ok(()) } else { Err(tonic::Status::unavailable("not yet")) }
    })
    .await;
    let lost = world.follower().await;
    world.node(lost).kill().await.unwrap();
    load.progress(TURNS).await;

    cli.text(&["cluster", "remove", &lost.to_string()]).await;
    world.retire(lost).await.unwrap();
    let new = world.make_joining().unwrap();
    assert_eq!(new, 4, "a number is never used twice");
    world.node(new).spawn().unwrap();
    let (client, peer) = (world.node(new).client_address().to_owned(), world.node(new).peer_address().to_owned());
    cli.text(&["cluster", "add", "4", "--client", &client, "--peer", &peer]).await;
    let other = world.leader().await;
    caught_up(&world, new, other).await;
    until("it to be promoted", async || {
        let promoted = cli.run(&["cluster", "promote", "4"]).await;
        if promoted.status.success() { Ok(()) } else { Err(promoted) }
    })
    .await;
    until("all three to be well", async || {
        let status = cli.object(&["cluster", "status"]).await;
        let members = status["members"].as_array().unwrap();
        let well = members.iter().all(|one| one["reachable"] == true && one["voter"] == true);
        if members.len() == 3 && well { Ok(()) } else { Err(status.to_string()) }
    })
    .await;
    load.progress(TURNS).await;

    // It comes back from its own disk, as the member that it has become; and it is needed for a majority.
    world.node(new).kill().await.unwrap();
    world.revive(new).await;
    let founder = world.ids()[0];
    world.node(founder).kill().await.unwrap();
    load.progress(TURNS).await;
    world.revive(founder).await;
    load.check(&world).await;
}

/// A new node becomes a voter, as docs/operations.md tells it. Gives its id.
async fn join(world: &mut World, cli: &Cli) -> u64 {
    let id = learn(world, cli).await;
    until("the learner to be promoted", async || {
        let promoted = cli.run(&["cluster", "promote", &id.to_string()]).await;
        if promoted.status.success() { Ok(()) } else { Err(promoted) }
    })
    .await;
    id
}

/// A new node becomes a learner, and has what was committed. Gives its id.
async fn learn(world: &mut World, cli: &Cli) -> u64 {
    let with = world.leader().await;
    let id = world.make_joining().unwrap();
    world.node(id).spawn().unwrap();
    let (client, peer) = (world.node(id).client_address().to_owned(), world.node(id).peer_address().to_owned());
    cli.text(&["cluster", "add", &id.to_string(), "--client", &client, "--peer", &peer]).await;
    caught_up(world, id, with).await;
    id
}

/// Hands leadership to a voter; another one may be faster on a busy machine.
async fn lead(world: &World, cli: &Cli, id: u64) {
    until("it to lead", async || {
        let told = cli.run(&["cluster", "transfer-leader", &id.to_string()]).await;
        if told.status.success() { Ok(()) } else { Err(told) }
    })
    .await;
    until("the others to follow it", async || {
        let leader = world.leader().await;
        if leader == id { Ok(()) } else { Err(leader) }
    })
    .await;
}

/// A voter leaves, and then its process is stopped.
async fn leave(world: &mut World, cli: &Cli, id: u64) {
    let left = cli.objects(&["cluster", "remove", &id.to_string()]).await;
    assert!(left.iter().all(|member| member["id"] != id), "{left:?}");
    world.node(id).stop().await.unwrap();
    assert_eq!(world.node(id).exit_code(), Some(0), "{}", world.node(id).log_tail(20));
    world.retire(id).await.unwrap();
}

/// The other nodes' ids.
fn others(world: &World, these: &[u64]) -> Vec<u64> {
    world.ids().into_iter().filter(|id| !these.contains(id)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_grows_to_five_and_shrinks_while_a_lock_is_held() {
    let mut world = World::start(1).await;
    let cli = Cli::of(&world);
    let load = Load::start(&world, CLIENTS).await;
    let client = world.client().await;
    let held = client.lock("held").ttl(Duration::from_secs(5)).acquire().await.unwrap();

    for members in [2, 3, 4, 5] {
        join(&mut world, &cli).await;
        assert_eq!(world.ids().len(), members);
        load.progress(TURNS).await;
    }
    let dead = 2;
    world.node(dead).kill().await.unwrap();
    load.progress(TURNS).await;
    cli.text(&["cluster", "remove", &dead.to_string()]).await;
    world.retire(dead).await.unwrap();
    join(&mut world, &cli).await;
    load.progress(TURNS).await;

    // A learner that has all, and has died since.
    let learner = learn(&mut world, &cli).await;
    world.node(learner).kill().await.unwrap();
    let promote = ["cluster", "promote", &learner.to_string()];
    assert_eq!(cli.fails(1, &promote).await["error"], "LEARNER_LAGS");
    cli.text(&[&promote[..], &["--force"]].concat()).await;
    load.progress(TURNS).await;
    cli.text(&["cluster", "remove", &learner.to_string()]).await;
    world.retire(learner).await.unwrap();

    // The first one stays, since the clients were told of no other; whoever leads goes, and one that follows.
    for _ in 0..2 {
        let leader = others(&world, &[1])[0];
        lead(&world, &cli, leader).await;
        load.progress(TURNS).await;
        leave(&mut world, &cli, leader).await;
        load.progress(TURNS).await;
    }
    lead(&world, &cli, 1).await;
    needs_all_that_is_left(&mut world, &cli, &load).await;

    let kept = client.locks().validate("held", held.token()).await.unwrap();
    assert!(held.is_valid() && kept.owner, "{kept:?}");
    held.release().await.unwrap();
    load.check(&world).await;
}

/// Of three, one hangs and another is to leave.
async fn needs_all_that_is_left(world: &mut World, cli: &Cli, load: &Load) {
    let [hangs, leaves] = others(world, &[1])[..] else { panic!("three are left: {:?}", world.ids()) };
    world.node(hangs).pause().await.unwrap();
    let remove = ["cluster", "remove", &leaves.to_string()];
    let refused = cli.fails(1, &remove).await;
    assert_eq!(refused["error"], "QUORUM_AT_RISK", "{refused}");
    let told = refused["message"].as_str().unwrap();
    assert!(told.contains(&format!("no answer from node {hangs}")), "{told}");
    assert!(refused["next"].as_str().unwrap().contains("--force"), "{refused}");
    load.progress(TURNS).await;

    // By force it is begun, and done when the one that hangs goes on.
    let forced = [&remove[..], &["--force"]].concat();
    let (forced, resumed) = tokio::join!(cli.run(&forced), world.node(hangs).resume());
    resumed.unwrap();
    assert!(forced.status.success(), "{forced:?}");
    load.progress(TURNS).await;
    world.retire(leaves).await.unwrap();
}

#[tokio::test]
async fn changes_that_are_refused() {
    let mut world = World::start(3).await;
    let mut node = world.raw(1);
    let promote = |node_id| ClusterPromoteRequest { node_id, force: true };
    let before = node.cluster.members(ClusterMembersRequest::default()).await.unwrap().into_inner();

    refused("promote", node.cluster.promote(promote(99)).await, Code::NotFound, "MEMBER_UNKNOWN");
    let remove = ClusterRemoveRequest { node_id: 99, force: false };
    refused("remove", node.cluster.remove(remove).await, Code::NotFound, "MEMBER_UNKNOWN");
    let elsewhere = ClusterAddLearnerRequest {
        node_id: 2,
        client_address: "127.0.0.1:1".to_owned(),
        peer_address: "127.0.0.1:2".to_owned(),
    };
    let added = node.cluster.add_learner(elsewhere.clone()).await;
    refused("an id that is there", added, Code::AlreadyExists, "MEMBER_EXISTS");
    for address in ["", "nowhere", "host:0", "host:70000", ":7601"] {
        let wrong = ClusterAddLearnerRequest { node_id: 9, peer_address: address.to_owned(), ..elsewhere.clone() };
        invalid(address, node.cluster.add_learner(wrong).await, "INVALID_ADDRESS");
    }
    node.cluster.promote(promote(0)).await.expect_err("0 is no id");
    node.cluster.remove(ClusterRemoveRequest { node_id: u64::MAX, force: false }).await.expect_err("2^64 - 1 is no id");
    let after = node.cluster.members(ClusterMembersRequest::default()).await.unwrap().into_inner();
    assert_eq!(after.members, before.members, "nothing was changed");

    // A voter may be promoted again. One that was added but never seen may not: its vote could put the majority out of reach.
    node.cluster.promote(promote(2)).await.unwrap();
    let new = world.make_joining().unwrap();
    node.cluster.add_learner(learner(&world, new)).await.unwrap();
    let unseen = node.cluster.promote(ClusterPromoteRequest { node_id: new, force: false }).await;
    refused("a learner that never answered", unseen, Code::FailedPrecondition, "LEARNER_LAGS");
    let heir = node.cluster.transfer_leader(ClusterTransferLeaderRequest { node_id: new }).await;
    refused("a learner can't lead", heir, Code::FailedPrecondition, "NOT_A_VOTER");
    node.put("k", "v").await.unwrap();
    node.cluster.remove(ClusterRemoveRequest { node_id: new, force: false }).await.unwrap();
    let after = node.cluster.members(ClusterMembersRequest::default()).await.unwrap().into_inner();
    assert_eq!(after.members, before.members, "the learner is out again");
}

#[tokio::test]
async fn the_last_voter_stays() {
    let world = World::start(1).await;
    let mut node = world.raw(1);
    let removed = node.cluster.remove(ClusterRemoveRequest { node_id: 1, force: true }).await;
    refused("the last voter", removed, Code::FailedPrecondition, "LAST_VOTER");
    node.put("k", "v").await.unwrap();
}

#[tokio::test]
async fn one_that_waits_to_be_added_founds_nothing() {
    let mut world = World::start(1).await;
    let new = world.make_joining().unwrap();
    world.node(new).spawn().unwrap();
    let mut node = world.raw(new);
    let status = until("it to answer", async || node.status().await).await;
    assert_eq!((status.leader, status.last_log_index), (0, 0), "{status:?}");
    let put = refusal(node.put("k", "v").await);
    assert_eq!(put.0, Code::Unavailable, "{put:?}");
    let members = ClusterMembersRequest { consistency: Consistency::Stale.into() };
    assert!(node.cluster.members(members).await.unwrap().into_inner().members.is_empty());
    world.node(new).stop().await.unwrap();
    assert_eq!(world.node(new).exit_code(), Some(0), "{}", world.node(new).log_tail(20));
}
