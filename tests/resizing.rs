//! A cluster grows, shrinks and has members replaced while clients work: nothing that was acknowledged is lost, and nobody
//! is told that a change was made which wasn't.

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
