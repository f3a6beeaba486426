//! Three nodes: they elect, write, lose a leader, come back from their disks, and send each other snapshots.

use std::time::Duration;

use bytes::Bytes;

use super::harness::{
    Disks, PATIENCE, Plan, applied, leader, once_ready, propose, put, same_everywhere, stop_all, until, value,
};
use crate::raft::{Admin, AdminDone, AdminError, ForwardError, Member, ProposeError};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_survive_the_loss_of_the_leader_and_restarts() {
    let plan = Plan::new(3, Disks::sled());
    let mut nodes = plan.start_cluster().await;
    for n in 0..20 {
        propose(&nodes, vec![put(&format!("a{n}"), format!("{n}"))]).await;
    }
    let index = propose(&nodes, vec![put("last", "before")]).await;
    same_everywhere(&nodes, index).await;

    // The leader goes; the others go on.
    let at = leader(&nodes).await;
    let gone = nodes.remove(at);
    let id = gone.node.status().id;
    gone.stop().await;
    let index = propose(&nodes, vec![put("last", "after")]).await;
    same_everywhere(&nodes, index).await;

    // It comes back from its disk and catches up.
    nodes.push(plan.start(id).await);
    same_everywhere(&nodes, index).await;

    // All go and come back.
    stop_all(nodes.drain(..)).await;
    for id in 1..=3 {
        nodes.push(plan.start(id).await);
    }
    let index = propose(&nodes, vec![put("last", "again")]).await;
    same_everywhere(&nodes, index).await;
    for running in &nodes {
        assert_eq!(value(running, "a19"), Some(Bytes::from("19")));
        assert_eq!(value(running, "last"), Some(Bytes::from("again")));
    }
    stop_all(nodes).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_forwards_and_refuses() {
    let plan = Plan::new(3, Disks::memory(3));
    let nodes = plan.start_cluster().await;
    propose(&nodes, vec![put("a", "1")]).await;
    let at = leader(&nodes).await;
    let leads = nodes[at].node.status().id;
    let follower = &nodes[(at + 1) % 3];
    until("the follower knows the leader", || follower.node.leadership().leader == Some(leads)).await;

    let refused = follower.node.propose(ringfence_core::Entry::default()).await;
    assert_eq!(refused, Err(ProposeError::NotLeader { leader: Some(leads) }));
    let replies = follower.node.forward_propose(leads, vec![put("b", "2")], PATIENCE).await.unwrap();
    assert_eq!(replies.len(), 1);
    let index = follower.node.forward_read_index(leads, PATIENCE).await.unwrap();
    applied(follower, index).await;
    assert_eq!(value(follower, "b"), Some(Bytes::from("2")));
    assert!(follower.node.forward_status(leads, PATIENCE).await.unwrap().reachable);
    let unknown = follower.node.forward_read_index(9, PATIENCE).await;
    assert!(matches!(unknown, Err(ForwardError::Unreachable(_))), "{unknown:?}");

    stop_all(nodes).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lagging_follower_gets_a_snapshot() {
    let mut plan = Plan::new(3, Disks::sled());
    plan.snapshot_entries = 20;
    plan.keep_entries = 0;
    let mut nodes = plan.start_cluster().await;
    propose(&nodes, vec![put("a", "1")]).await;

    let at = (leader(&nodes).await + 1) % 3;
    let gone = nodes.remove(at);
    let id = gone.node.status().id;
    let had = gone.replica.applied();
    gone.stop().await;

    let big = vec![b'x'; 300_000];
    let mut index = 0;
    for n in 0..100 {
        index = propose(&nodes, vec![put(&format!("b{n}"), big.clone())]).await;
    }
    until("the log is purged", || nodes.iter().all(|running| running.node.status().purged > had + 20)).await;

    let back = plan.start(id).await;
    applied(&back, index).await;
    assert!(back.node.status().snapshot > had, "{:?}", back.node.status());
    nodes.push(back);
    same_everywhere(&nodes, index).await;

    // What was installed is there after a restart too.
    let back = nodes.pop().unwrap();
    back.stop().await;
    nodes.push(plan.start(id).await);
    let index = propose(&nodes, vec![put("c", "3")]).await;
    same_everywhere(&nodes, index).await;
    stop_all(nodes).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_come_and_go_and_lead() {
    let plan = Plan::new(4, Disks::memory(4));
    let mut nodes = Vec::new();
    for id in 1..=3 {
        nodes.push(plan.start(id).await);
    }
    let members: Vec<Member> = (1..=3).map(|id| plan.member(id)).collect();
    for running in &nodes {
        running.node.bootstrap(members.clone()).await.unwrap();
    }
    propose(&nodes, vec![put("a", "1")]).await;
    nodes.push(plan.start(4).await);

    let at = leader(&nodes).await;
    let admin = |admin| nodes[at].node.admin(admin);
    once_ready(|| admin(Admin::AddLearner(plan.member(4)))).await.unwrap();
    assert_eq!(admin(Admin::AddLearner(plan.member(4))).await, Err(AdminError::MemberExists(4)));
    let nowhere = Member { id: 5, peer_address: "nowhere".to_owned(), ..plan.member(4) };
    assert!(matches!(admin(Admin::AddLearner(nowhere)).await, Err(AdminError::InvalidAddress(_))));
    assert_eq!(admin(Admin::TransferLeader { id: 4 }).await, Err(AdminError::NotAVoter(4)));
    assert_eq!(admin(Admin::Promote { id: 9, force: false }).await, Err(AdminError::MemberUnknown(9)));
    until("the learner has the log", || value(&nodes[3], "a").is_some()).await;
    assert!(nodes[at].node.members().iter().any(|member| member.id == 4 && !member.voter));
    admin(Admin::Promote { id: 4, force: true }).await.unwrap();
    assert!(nodes[at].node.members().iter().all(|member| member.voter));

    let done = admin(Admin::TransferLeader { id: 4 }).await.unwrap();
    assert_eq!(done.leader, Some(4));
    until("the new member leads", || nodes[3].node.leadership().is_me).await;
    assert_eq!(admin(Admin::Remove { id: 4, force: false }).await, Err(AdminError::NotLeader { leader: Some(4) }));
    let remove = || nodes[at].node.forward_admin(4, Admin::Remove { id: at as u64 + 1, force: false }, PATIENCE);
    assert_eq!(once_ready(remove).await, Ok(AdminDone::default()));
    assert_eq!(nodes[3].node.members().len(), 3);

    stop_all(nodes).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_without_a_quorum_is_none_and_keeps_nobody_waiting() {
    let plan = Plan::new(3, Disks::memory(3));
    let mut nodes = plan.start_cluster().await;
    propose(&nodes, vec![put("a", "1")]).await;
    let at = leader(&nodes).await;
    let leads = nodes.remove(at).node;
    let id = leads.status().id;
    until("a majority answers the leader", || leads.status().leader == Some(id)).await;

    // One that answers is enough, and none isn't.
    nodes.pop().unwrap().node.die().await;
    let entry = |key| ringfence_core::Entry { requests: vec![put(key, "2")], ..ringfence_core::Entry::default() };
    leads.propose(entry("b")).await.unwrap();
    until("a majority still answers the leader", || leads.status().leader == Some(id)).await;
    let left = nodes.pop().unwrap().node;
    left.die().await;
    // Nobody takes it, and who waits learns that it isn't known what becomes of it, long before the time for a quorum is over.
    assert_eq!(leads.propose(entry("c")).await, Err(ProposeError::Unknown));
    let seen = leads.leadership();
    assert!(seen.cut_off && !seen.is_me && seen.leader.is_none(), "{seen:?}");
    assert_eq!(leads.status().leader, None);
    assert_eq!(leads.propose(entry("d")).await, Err(ProposeError::NotLeader { leader: None }));
    leads.die().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_that_starts_alone_says_that_it_knows_no_leader() {
    let plan = Plan::new(3, Disks::memory(3));
    let nodes = plan.start_cluster().await;
    propose(&nodes, vec![put("a", "1")]).await;
    let at = leader(&nodes).await;
    let (id, follows) = (at as u64 + 1, (at as u64 + 1) % 3 + 1);
    until("the follower hears its leader", || nodes[follows as usize - 1].node.status().leader == Some(id)).await;
    for running in nodes {
        running.node.die().await;
    }
    // Its vote, which names the leader, is on its disk; and nobody is there whom it could follow.
    let again = plan.start(follows).await;
    assert_eq!(again.node.status().leader, None);
    again.node.die().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_alone_is_a_quorum() {
    let plan = Plan::new(1, Disks::memory(1));
    let nodes = plan.start_cluster().await;
    leader(&nodes).await;
    // Nobody else is heard, and long enough for that to be noticed.
    tokio::time::sleep(Duration::from_millis(plan.settings(1).election_timeout_ms_max + 100)).await;
    assert_eq!(nodes[0].node.status().leader, Some(1));
    nodes[0].node.die().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transfer_to_anyone_says_who_leads() {
    let plan = Plan::new(3, Disks::memory(3));
    let nodes = plan.start_cluster().await;
    propose(&nodes, vec![put("a", "1")]).await;
    let at = leader(&nodes).await;
    let leads = nodes[at].node.status().id;
    // Asked through a follower, which may hear of the new leader later than it gets the answer.
    let follower = &nodes[(at + 1) % 3];
    until("the follower knows the leader", || follower.node.leadership().leader == Some(leads)).await;
    let done = follower.node.forward_admin(leads, Admin::TransferLeader { id: 0 }, PATIENCE).await.unwrap();
    let heir = done.leader.expect("it doesn't say who leads");
    assert_ne!(heir, leads);
    until("the heir leads", || nodes[heir as usize - 1].node.leadership().is_me).await;
    stop_all(nodes).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_sync_ends_the_node_and_power_cuts_lose_nothing_acknowledged() {
    let plan = Plan::new(3, Disks::memory(3));
    let mut nodes = plan.start_cluster().await;
    let index = propose(&nodes, vec![put("a", "1")]).await;
    same_everywhere(&nodes, index).await;

    let at = leader(&nodes).await;
    let id = nodes[at].node.status().id;
    plan.disks.disk(id).fail_syncs(true);
    let failed = nodes[at].node.failed();
    let _ = nodes[at].node.propose(ringfence_core::Entry::default()).await;
    let ending = tokio::time::timeout(PATIENCE, failed).await.expect("the node goes on");
    let message = ending.message;
    assert!(!ending.full, "{message}");
    assert!(message.contains("can't be written"), "{message}");
    nodes.remove(at).stop().await;
    plan.disks.disk(id).fail_syncs(false);
    propose(&nodes, vec![put("b", "2")]).await;

    // The power goes for all of them.
    for id in 1..=3 {
        plan.disks.disk(id).crash();
    }
    stop_all(nodes.drain(..)).await;
    for id in 1..=3 {
        nodes.push(plan.start(id).await);
    }
    let index = propose(&nodes, vec![put("c", "3")]).await;
    same_everywhere(&nodes, index).await;
    assert_eq!(value(&nodes[0], "a"), Some(Bytes::from("1")));
    assert_eq!(value(&nodes[0], "b"), Some(Bytes::from("2")));
    stop_all(nodes).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leadership_is_watched_and_handed_over() {
    let plan = Plan::new(3, Disks::memory(3));
    let mut nodes = plan.start_cluster().await;
    propose(&nodes, vec![put("a", "1")]).await;
    let at = leader(&nodes).await;
    let other = nodes[(at + 1) % 3].node.clone();
    let id = nodes[at].node.status().id;
    until("the follower knows the leader", || other.leadership().leader == Some(id)).await;
    let seen = other.leadership();
    let gone = nodes.remove(at);
    gone.stop().await;
    let changed = tokio::time::timeout(PATIENCE, other.leadership_changed(&seen)).await.expect("it never changes");
    assert_ne!(changed, seen);
    leader(&nodes).await;
    tokio::time::timeout(Duration::from_secs(30), async {
        for running in nodes {
            running.stop().await;
        }
    })
    .await
    .expect("stopping without a leader takes for ever");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_leader_is_noticed_by_its_closed_connection() {
    let mut plan = Plan::new(3, Disks::memory(3));
    // Far beyond the patience of the test: only the closed connection can bring an election.
    plan.election_timeout_ms = 10 * PATIENCE.as_millis() as u64;
    let mut nodes = plan.start_cluster().await;
    // The first election is the test's doing.
    let mut turns = nodes.iter().cycle();
    while !nodes.iter().any(|running| running.node.leadership().is_me) {
        // Each in its turn: whose log is behind can't win.
        turns.next().unwrap().node.stand().await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let index = propose(&nodes, vec![put("a", "1")]).await;
    same_everywhere(&nodes, index).await;
    let at = leader(&nodes).await;
    let gone = nodes.remove(at);
    let id = gone.node.status().id;
    for running in &nodes {
        until("everyone follows", || running.node.leadership().leader == Some(id)).await;
    }
    gone.node.die().await;
    let refused = nodes[0].node.forward_propose(id, vec![put("c", "3")], PATIENCE).await;
    assert!(matches!(refused, Err(ForwardError::Unreachable(_))), "{refused:?}");
    let index = propose(&nodes, vec![put("b", "2")]).await;
    same_everywhere(&nodes, index).await;
    for running in nodes {
        running.node.die().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_stays_short_by_its_bytes() {
    let mut plan = Plan::new(1, Disks::sled());
    plan.snapshot_bytes = 1 << 20;
    let nodes = plan.start_cluster().await;
    for n in 0..200 {
        propose(&nodes, vec![put(&format!("k{}", n % 7), vec![n as u8; 60_000])]).await;
    }
    until("the log is purged", || nodes[0].node.status().purged > 50).await;
    stop_all(nodes).await;
    let running = plan.start(1).await;
    leader(std::slice::from_ref(&running)).await;
    assert_eq!(value(&running, "k3"), Some(Bytes::from(vec![199; 60_000])));
    running.stop().await;
}
