//! Mistakes with snapshots that the simulation can switch on, to prove that its checkers find them.

use std::{io, time::Duration};

use openraft::{RaftLogReader, storage::RaftLogStorage};
use openraft_rt::AsyncRuntime;
use ringfence_core::{State, query::Stats};
use ringfence_probes::{Bug, hit, marks, on};

use super::{Builder, StateMachine};
use crate::raft::{
    runtime::Runtime,
    types::{Payload, SnapshotMeta},
};

/// How long each of these mistakes takes.
const MEANWHILE: Duration = Duration::from_millis(50);

impl StateMachine {
    /// Before a snapshot is put in place: tells where it comes, and whether this is a restart. By mistake the numbers are put in
    /// place first, and the state after a while.
    pub(super) async fn install_by_mistake(&self, meta: &SnapshotMeta, state: &State) -> bool {
        let restarted = self.last_applied.is_none();
        hit(if restarted { marks::STARTED_WITH_SNAPSHOT } else { marks::SNAPSHOT_INSTALLED });
        if !restarted && on(Bug::SnapshotInTwoSteps) {
            let revision = state.read(&Stats).map_or(0, |stats| stats.revision);
            self.replica.install_numbers(meta.last_log_id.map_or(0, |last| last.index), revision);
            Runtime::sleep(MEANWHILE).await;
        }
        restarted
    }

    /// By mistake the snapshot's last entry counts as not applied.
    pub(super) async fn apply_again_by_mistake(&mut self, meta: &SnapshotMeta) -> Result<(), io::Error> {
        let Some(last) = meta.last_log_id.filter(|_| on(Bug::AppliedTwiceAfterRestart)) else { return Ok(()) };
        for entry in self.log.try_get_log_entries(last.index..=last.index).await? {
            if let Payload::Normal(proposal) = entry.payload {
                self.replica.apply(last.index, Some(&proposal.entry));
            }
        }
        Ok(())
    }
}

impl Builder {
    /// By mistake the log goes as soon as a snapshot is begun.
    pub(super) async fn purge_first_by_mistake(&mut self) -> Result<(), io::Error> {
        hit(marks::SNAPSHOT_BUILT);
        if let Some(last) = self.meta.last_log_id.filter(|_| on(Bug::PurgeBeforeSnapshot)) {
            self.log.keep_above(u64::MAX);
            self.log.purge(last).await?;
            Runtime::sleep(MEANWHILE).await;
        }
        Ok(())
    }
}
