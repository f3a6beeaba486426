//! Full disks: who has no room takes nothing more and doesn't lead, and goes on by itself.

use bytes::Bytes;

use super::harness::{Disks, Plan, applied, leader, of, propose, put, same_everywhere, stop_all, until, value};

const RESERVE: u64 = 64 << 20;
const PLENTY: u64 = 10 * RESERVE;

fn plan(nodes: usize) -> Plan {
    let plan = Plan::new(nodes, Disks::memory(nodes));
    (1..=nodes as u64).for_each(|id| plan.disks.disk(id).set_room(PLENTY));
    plan
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_without_room_gives_up_leading_and_comes_back_as_a_follower() {
    let plan = plan(3);
    let nodes = plan.start_cluster().await;
    let before = propose(&nodes, vec![put("a", "1")]).await;
    let full = nodes[leader(&nodes).await].node.status().id;
    applied(of(&nodes, full), before).await;

    plan.disks.disk(full).set_room(RESERVE - 1);
    until("another one leads", || {
        nodes.iter().any(|other| other.node.status().id != full && other.node.leadership().is_me)
    })
    .await;
    let status = of(&nodes, full).node.status();
    assert!(status.disk_full && status.disk_free_bytes == RESERVE - 1, "{status:?}");
    assert_ne!(status.leader, Some(full));

    // The others go on, and what they write doesn't come to its disk.
    let taken = of(&nodes, full).node.status().last_log;
    let index = propose(&nodes, vec![put("b", "2")]).await;
    assert!(of(&nodes, full).node.status().last_log < index, "{taken} was its last entry");
    assert_eq!(value(of(&nodes, full), "b"), None);
    assert_eq!(value(of(&nodes, full), "a"), Some(Bytes::from("1")), "reads go on");

    plan.disks.disk(full).set_room(PLENTY);
    applied(of(&nodes, full), index).await;
    let index = propose(&nodes, vec![put("c", "3")]).await;
    same_everywhere(&nodes, index).await;
    assert!(!of(&nodes, full).node.status().disk_full);
    stop_all(nodes).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_room_anywhere_nobody_leads_until_there_is_room_again() {
    let plan = plan(3);
    let nodes = plan.start_cluster().await;
    let index = propose(&nodes, vec![put("a", "1")]).await;
    for running in &nodes {
        applied(running, index).await;
    }
    (1..=3).for_each(|id| plan.disks.disk(id).set_room(0));
    until("all are full", || nodes.iter().all(|running| running.node.status().disk_full)).await;
    assert!(nodes.iter().all(|running| !running.node.leadership().is_me));

    // Two make a majority.
    [1, 3].into_iter().for_each(|id| plan.disks.disk(id).set_room(PLENTY));
    let index = propose(&nodes, vec![put("b", "2")]).await;
    assert!(of(&nodes, 2).node.status().last_log < index);
    plan.disks.disk(2).set_room(PLENTY);
    applied(of(&nodes, 2), index).await;
    stop_all(nodes).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_only_voter_waits_for_room() {
    let plan = plan(1);
    let nodes = plan.start_cluster().await;
    propose(&nodes, vec![put("a", "1")]).await;
    let seen = nodes[0].node.leadership();
    assert!(seen.is_me);

    plan.disks.disk(1).set_room(0);
    // Whoever waits for another leader hears of it, though nothing changed in raft.
    let now = nodes[0].node.leadership_changed(&seen).await;
    assert_eq!((now.leader, now.is_me), (None, false));
    let refused = nodes[0].node.propose(ringfence_core::Entry::default()).await;
    assert_eq!(refused, Err(crate::raft::ProposeError::NotLeader { leader: None }));

    plan.disks.disk(1).set_room(PLENTY);
    assert_eq!(nodes[0].node.leadership_changed(&now).await, seen);
    propose(&nodes, vec![put("b", "2")]).await;
    stop_all(nodes).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_that_might_not_fit_is_put_off() {
    let mut plan = plan(1);
    plan.snapshot_entries = 10;
    // Enough to go on, and nothing above the reserve for a snapshot.
    plan.disks.disk(1).set_room(RESERVE);
    let nodes = plan.start_cluster().await;
    for n in 0..30 {
        propose(&nodes, vec![put(&format!("a{n}"), vec![0; 100])]).await;
    }
    assert_eq!(nodes[0].node.status().snapshot, 0);
    plan.disks.disk(1).set_room(PLENTY);
    for n in 0.. {
        if nodes[0].node.status().snapshot > 0 {
            break;
        }
        propose(&nodes, vec![put(&format!("b{}", n % 10), vec![0; 100])]).await;
    }
    stop_all(nodes).await;
}
