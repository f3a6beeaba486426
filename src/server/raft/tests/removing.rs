//! Voters go, and learners become some: not where that would leave the cluster without a majority that answers, unless it is forced.

use super::harness::{Disks, PATIENCE, Plan, Running, leader, once_ready, propose, put, until, value};
use crate::raft::{Admin, AdminDone, AdminError, Node};

/// A cluster that has a leader: that one and its id, and the two others.
async fn three(plan: &Plan) -> (Running, u64, [Running; 2]) {
    let mut nodes = plan.start_cluster().await;
    propose(&nodes, vec![put("a", "1")]).await;
    let at = leader(&nodes).await;
    let leads = nodes.remove(at);
    let others: [Running; 2] = nodes.try_into().ok().unwrap();
    (leads, at as u64 + 1, others)
}

async fn remove(on: &Node, id: u64) -> Result<AdminDone, AdminError> {
    once_ready(|| on.admin(Admin::Remove { id, force: false })).await
}

fn members(node: &Node) -> Vec<(u64, bool)> {
    node.members().into_iter().map(|member| (member.id, member.voter)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_voter_stays_where_those_left_would_be_no_majority() {
    let plan = Plan::new(3, Disks::memory(3));
    let (leads, id, [lives, dies]) = three(&plan).await;
    let (living, dead) = (lives.node.status().id, dies.node.status().id);
    let before = members(&leads.node);
    // Dead only just now: that it answered a moment ago doesn't count.
    dies.node.die().await;
    let refusal = |id| Err(AdminError::QuorumAtRisk { id, reachable: 1, needed: 2, silent: vec![dead] });
    let (follower, itself) = tokio::join!(remove(&leads.node, living), remove(&leads.node, id));
    assert_eq!(follower, refusal(living));
    assert_eq!(itself, refusal(id));
    assert_eq!(members(&leads.node), before);
    assert!(leads.node.leadership().is_me, "it leads on where it can't go");

    // The dead one may go; then, of two that live, either.
    remove(&leads.node, dead).await.unwrap();
    remove(&leads.node, living).await.unwrap();
    assert_eq!(members(&leads.node), [(id, true)]);
    assert_eq!(remove(&leads.node, id).await, Err(AdminError::LastVoter(id)));
    let forced = leads.node.admin(Admin::Remove { id, force: true }).await;
    assert_eq!(forced, Err(AdminError::LastVoter(id)));
    leads.stop().await;
    lives.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forced_removal_is_done_once_those_left_are_back() {
    let plan = Plan::new(3, Disks::memory(3));
    let (leads, id, [lives, dies]) = three(&plan).await;
    let (living, dead) = (lives.node.status().id, dies.node.status().id);
    dies.node.die().await;
    let forced = leads.node.admin(Admin::Remove { id: living, force: true });
    let (forced, back) = tokio::join!(forced, plan.start(dead));
    assert!(matches!(forced, Ok(_) | Err(AdminError::Unknown(_))), "{forced:?}");
    let mut left = vec![(id, true), (dead, true)];
    left.sort_unstable();
    until("it is removed", || members(&leads.node) == left).await;
    propose(std::slice::from_ref(&leads), vec![put("b", "2")]).await;
    until("the one that came back has what was written", || value(&back, "b").is_some()).await;
    for running in [lives, back, leads] {
        running.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_leads_hands_over_before_it_is_removed() {
    let plan = Plan::new(3, Disks::memory(3));
    let (leads, id, others) = three(&plan).await;
    let told = remove(&leads.node, id).await;
    let Err(AdminError::NotLeader { leader: Some(heir) }) = told else { panic!("{told:?}") };
    assert_ne!(heir, id);
    assert_eq!(members(&leads.node).len(), 3, "nothing was done");

    let asked = || leads.node.forward_admin(heir, Admin::Remove { id, force: false }, PATIENCE);
    assert_eq!(once_ready(asked).await, Ok(AdminDone::default()));
    let next = others.iter().find(|running| running.node.status().id == heir).unwrap();
    let left: Vec<(u64, bool)> = (1..=3).filter(|other| *other != id).map(|id| (id, true)).collect();
    assert_eq!(members(&next.node), left);
    propose(&others, vec![put("b", "2")]).await;
    leads.stop().await;
    for running in others {
        running.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_learner_that_died_is_promoted_by_force_alone() {
    let plan = Plan::new(4, Disks::memory(4));
    let mut nodes = Vec::new();
    for id in 1..=3 {
        nodes.push(plan.start(id).await);
    }
    for running in &nodes {
        running.node.bootstrap((1..=3).map(|id| plan.member(id)).collect()).await.unwrap();
    }
    propose(&nodes, vec![put("a", "1")]).await;
    let learner = plan.start(4).await;
    let leads = nodes[leader(&nodes).await].node.clone();
    once_ready(|| leads.admin(Admin::AddLearner(plan.member(4)))).await.unwrap();
    until("the learner has the log", || value(&learner, "a").is_some()).await;
    learner.node.die().await;

    let refused = leads.admin(Admin::Promote { id: 4, force: false }).await;
    assert!(matches!(refused, Err(AdminError::LearnerLags { id: 4, silent: true, .. })), "{refused:?}");
    leads.admin(Admin::Promote { id: 4, force: true }).await.unwrap();
    assert!(members(&leads).contains(&(4, true)));
    // Three of four are left, of which two must agree.
    remove(&leads, 4).await.unwrap();
    for running in nodes {
        running.stop().await;
    }
}
