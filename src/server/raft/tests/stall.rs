//! Stalled disks: a leader whose syncs don't end gives up leading while the others' do, and comes back by itself.

use bytes::Bytes;

use super::harness::{
    Disks, PATIENCE, Plan, applied, leader, of, propose, put, same_everywhere, stop_all, until, value,
};
use crate::raft::{Admin, AdminDone, Node, ProposeError, Proposed};

fn plan(nodes: usize) -> Plan {
    Plan { election_timeout_ms: 500, ..Plan::new(nodes, Disks::memory(nodes)) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_whose_disk_stalls_gives_up_leading_and_comes_back() {
    let plan = plan(3);
    let nodes = plan.start_cluster().await;
    let index = propose(&nodes, vec![put("a", "1")]).await;
    same_everywhere(&nodes, index).await;
    let stalled = nodes[leader(&nodes).await].node.status().id;
    let node = &of(&nodes, stalled).node;

    plan.disks.disk(stalled).hold_syncs(true);
    // Its disk is asked for something, and the others' are enough.
    propose(&nodes, vec![put("b", "2")]).await;
    let mut heir = None;
    until("another one leads", || {
        heir = nodes.iter().map(|running| &running.node).find(|other| {
            let status = other.status();
            status.id != stalled && other.leadership().is_me
        });
        heir.is_some()
    })
    .await;
    let heir = heir.expect("it was found").status().id;
    let status = node.status();
    assert!(status.disk_stalled && status.leader != Some(stalled), "{status:?}");

    // The others go on, and it forwards to them what it is asked, though raft on it still waits for its vote to be saved.
    tokio::time::timeout(PATIENCE, node.held_up()).await.expect("raft doesn't wait for the disk");
    until("it hears who leads", || node.leadership().leader == Some(heir)).await;
    let refused = node.propose(ringfence_core::Entry::default()).await;
    assert_eq!(refused, Err(ProposeError::NotLeader { leader: Some(heir) }));
    let index = propose(&nodes, vec![put("c", "3")]).await;
    assert_eq!(value(of(&nodes, stalled), "c"), None);

    plan.disks.disk(stalled).hold_syncs(false);
    same_everywhere(&nodes, index).await;
    assert_eq!(value(of(&nodes, stalled), "c"), Some(Bytes::from("3")));
    until("its disk is steady", || !node.status().disk_stalled).await;
    let back = of(&nodes, heir).node.admin(Admin::TransferLeader { id: stalled }).await;
    assert_eq!(back, Ok(AdminDone { leader: Some(stalled) }));
    let index = propose(&nodes, vec![put("d", "4")]).await;
    same_everywhere(&nodes, index).await;
    stop_all(nodes).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_whose_disk_stalls_is_not_given_the_leadership() {
    let plan = plan(3);
    let nodes = plan.start_cluster().await;
    let index = propose(&nodes, vec![put("a", "1")]).await;
    same_everywhere(&nodes, index).await;
    let at = leader(&nodes).await;
    let (leads, stalled) = (nodes[at].node.status().id, nodes[(at + 1) % 3].node.status().id);
    plan.disks.disk(stalled).hold_syncs(true);
    let index = propose(&nodes, vec![put("b", "2")]).await;
    until("its disk stalls", || of(&nodes, stalled).node.status().disk_stalled).await;
    // What is committed it applies, and answers.
    applied(of(&nodes, stalled), index).await;
    let refused = of(&nodes, leads).node.admin(Admin::TransferLeader { id: stalled }).await;
    assert_ne!(refused, Ok(AdminDone { leader: Some(stalled) }));

    plan.disks.disk(stalled).hold_syncs(false);
    let index = propose(&nodes, vec![put("c", "3")]).await;
    same_everywhere(&nodes, index).await;
    stop_all(nodes).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_all_disks_stall_all_goes_on_once_they_do() {
    let plan = plan(3);
    let nodes = plan.start_cluster().await;
    let index = propose(&nodes, vec![put("a", "1")]).await;
    same_everywhere(&nodes, index).await;
    (1..=3).for_each(|id| plan.disks.disk(id).hold_syncs(true));
    let proposing = tokio::spawn(put_at(nodes[leader(&nodes).await].node.clone(), "b"));
    until("all stall", || nodes.iter().all(|running| running.node.status().disk_stalled)).await;

    (1..=3).for_each(|id| plan.disks.disk(id).hold_syncs(false));
    let index = propose(&nodes, vec![put("c", "3")]).await;
    same_everywhere(&nodes, index).await;
    // Whatever became of it, it has ended.
    drop(tokio::time::timeout(PATIENCE, proposing).await.expect("the proposal never ends"));
    stop_all(nodes).await;
}

async fn put_at(node: Node, key: &'static str) -> Result<Proposed, ProposeError> {
    let entry = ringfence_core::Entry { requests: vec![put(key, "")], ..ringfence_core::Entry::default() };
    node.propose(entry).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_only_voter_waits_for_its_disk_and_goes_on() {
    let plan = plan(1);
    let nodes = plan.start_cluster().await;
    propose(&nodes, vec![put("a", "1")]).await;
    plan.disks.disk(1).hold_syncs(true);
    let proposing = tokio::spawn(put_at(nodes[0].node.clone(), "b"));
    until("its disk stalls", || nodes[0].node.status().disk_stalled).await;
    // There is nobody to whom it could be given.
    assert!(nodes[0].node.leadership().is_me);
    assert_eq!(value(&nodes[0], "b"), None);
    plan.disks.disk(1).hold_syncs(false);
    let proposed = tokio::time::timeout(PATIENCE, proposing).await.expect("the proposal never ends");
    assert!(matches!(proposed, Ok(Ok(_) | Err(ProposeError::Unknown))), "{proposed:?}");
    propose(&nodes, vec![put("c", "3")]).await;
    stop_all(nodes).await;
}
