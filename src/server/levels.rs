//! Raises the cluster's feature level when all members understand more.
//!
//! The leader asks the members what they understand for as long as it understands more itself than the cluster uses. One that doesn't
//! answer may be of an older version, so all must: learners too, and those that are down. A member that is added
//! meanwhile and understands less stops, and says what to install.

use std::{sync::Arc, time::Duration};

use futures::{StreamExt as _, stream::FuturesUnordered};
use ringfence_core::{Command, query::Stats};
use tokio::time::sleep;

use crate::{limits::STATUS_TIMEOUT, proposer::Proposer, raft::Node, replica::Replica, stopping::Stopping};

/// How often the leader looks. Upgrades take minutes.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Looks, until the server stops.
pub async fn run(node: Node, replica: Arc<Replica>, proposer: Proposer, stopping: Stopping) {
    let mut seen = node.leadership();
    loop {
        tokio::select! {
            biased;
            () = stopping.wait() => return,
            // A leader looks at once, so that a new cluster has its level from the first moment on.
            now = node.leadership_changed(&seen) => seen = now,
            () = sleep(LOOK_EVERY) => {}
        }
        let level = replica.read(&Stats).map_or(0, |stats| stats.level);
        if !seen.is_me || level >= node.level() {
            continue;
        }
        let Some(common) = common(&node).await.filter(|common| *common > level) else { continue };
        tracing::info!(from = level, to = common, "all members understand more: raising the cluster's feature level");
        // If it isn't done, the next look finds so.
        if let Err(error) = proposer.propose_here(vec![Command::RaiseLevel { level: common }.into()]).await {
            tracing::debug!(?error, "the feature level could not be raised now");
        }
    }
}

/// The newest level that all members understand; `None` if one doesn't answer.
async fn common(node: &Node) -> Option<u32> {
    let own = node.status().id;
    let others = node.members().into_iter().filter(|member| member.id != own);
    let mut answers: FuturesUnordered<_> =
        others.map(|other| async move { node.forward_status(other.id, STATUS_TIMEOUT).await }).collect();
    let mut common = node.level();
    while let Some(answer) = answers.next().await {
        #[cfg(madsim)]
        if answer.is_err() && ringfence_probes::on(ringfence_probes::Bug::LevelRaisedTooEarly) {
            continue;
        }
        common = common.min(answer.ok()?.level);
    }
    Some(common)
}
