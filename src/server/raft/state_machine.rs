//! openraft's state machine: passes what is committed to the [`Replica`], and makes and takes snapshots.
//!
//! The state lives in memory. At the start openraft installs the newest snapshot and applies the log after it, up to what is known to be
//! committed.

use std::{io, sync::Arc};

use futures::{Stream, StreamExt};
use openraft::{
    RaftSnapshotBuilder,
    storage::{EntryResponder, RaftStateMachine},
    type_config::alias::SnapshotOf,
};
use ringfence_core::{State, query::Stats};

use super::{
    disk::Disk,
    log_store::LogStore,
    room::Room,
    runtime,
    snapshots::{SnapshotFile, Snapshots},
    types::{Applied, LogId, Payload, SnapshotMeta, StoredMembership, TypeConfig},
    upkeep::Growth,
};
use crate::replica::Replica;

#[cfg(madsim)]
mod mistakes;

/// Applies the log to the replica.
pub struct StateMachine {
    replica: Arc<Replica>,
    snapshots: Snapshots,
    log: LogStore,
    growth: Arc<Growth>,
    room: Room,
    last_applied: Option<LogId>,
    membership: StoredMembership,
    /// The newest feature level that this node understands.
    level: u32,
}

impl StateMachine {
    /// With nothing applied. `level`: the newest feature level that this node understands.
    pub fn new(replica: Arc<Replica>, disk: &Disk, growth: Arc<Growth>, level: u32) -> Self {
        Self {
            replica,
            snapshots: disk.snapshots.clone(),
            log: disk.log.clone(),
            growth,
            room: disk.room.clone(),
            last_applied: None,
            membership: StoredMembership::default(),
            level,
        }
    }

    /// A node that doesn't understand what the cluster uses can't follow: it would come to another state.
    fn understands(&self, level: u32) -> io::Result<()> {
        if level <= self.level {
            return Ok(());
        }
        let own = self.level;
        Err(io::Error::other(format!(
            "the cluster uses feature level {level}, and this version understands {own}: install the version that the other members have"
        )))
    }
}

/// Tells the simulation who votes.
#[cfg(madsim)]
fn note_voters(membership: &super::types::Membership, proposed_here: bool) {
    let groups: Vec<Vec<u64>> =
        membership.get_joint_config().iter().map(|group| group.iter().copied().collect()).collect();
    if groups.len() > 1 {
        use ringfence_probes::hooks::{Happening, happened};
        ringfence_probes::hit(ringfence_probes::marks::JOINT_CONFIGURATION);
        if proposed_here {
            happened(Happening::VotersHalfChanged);
        }
    }
    ringfence_probes::voters::note(groups);
}

impl RaftStateMachine<TypeConfig> for StateMachine {
    type SnapshotData = SnapshotFile;
    type SnapshotBuilder = Builder;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, StoredMembership), io::Error> {
        Ok((self.last_applied, self.membership.clone()))
    }

    async fn apply<S>(&mut self, mut entries: S) -> Result<(), io::Error>
    where
        S: Stream<Item = Result<EntryResponder<TypeConfig>, io::Error>> + Unpin + Send,
    {
        while let Some(next) = entries.next().await {
            let (entry, responder) = next?;
            let index = entry.log_id.index;
            let outcome = match entry.payload {
                Payload::Normal(proposal) => self.replica.apply(index, Some(&proposal.entry)),
                Payload::Blank => self.replica.apply(index, None),
                Payload::Membership(membership) => {
                    #[cfg(madsim)]
                    note_voters(&membership, responder.is_some());
                    self.membership = StoredMembership::new(Some(entry.log_id), membership);
                    self.replica.apply(index, None)
                }
            };
            self.last_applied = Some(entry.log_id);
            outcome.level.map_or(Ok(()), |level| self.understands(level))?;
            if let Some(responder) = responder {
                responder.send(Applied { replies: outcome.replies });
            }
        }
        Ok(())
    }

    /// Put off while it might not find room: a snapshot that fails ends the node. A state takes less in a file than in memory.
    async fn try_create_snapshot_builder(&mut self, force: bool) -> Option<Builder> {
        let bytes = self.replica.read(&Stats).map_or(0, |stats| stats.bytes);
        if !force && !self.room.holds(bytes) {
            tracing::warn!(bytes, "a snapshot is put off: there is too little room for it on the disk");
            return None;
        }
        Some(self.get_snapshot_builder().await)
    }

    async fn get_snapshot_builder(&mut self) -> Builder {
        let (_, state) = self.replica.state();
        Builder {
            snapshots: self.snapshots.clone(),
            log: self.log.clone(),
            growth: self.growth.clone(),
            meta: SnapshotMeta { last_log_id: self.last_applied, last_membership: self.membership.clone() },
            state,
        }
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMeta, file: SnapshotFile) -> Result<(), io::Error> {
        let (snapshots, installed) = (self.snapshots.clone(), meta.clone());
        let state = runtime::blocking(move || snapshots.install(&installed, file)).await??;
        self.understands(state.read(&Stats).map_or(0, |stats| stats.level))?;
        #[cfg(madsim)]
        self.log.file_written().await;
        #[cfg(madsim)]
        let restarted = self.install_by_mistake(meta, &state).await;
        self.log.keep_above(self.snapshots.previous_covered().unwrap_or(u64::MAX));
        self.last_applied = meta.last_log_id;
        self.membership = meta.last_membership.clone();
        self.replica.install(meta.last_log_id.map_or(0, |last| last.index), state);
        #[cfg(madsim)]
        if restarted {
            self.apply_again_by_mistake(meta).await?;
        }
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<SnapshotOf<TypeConfig, SnapshotFile>>, io::Error> {
        Ok(self.snapshots.current().map(|(meta, snapshot)| SnapshotOf::<TypeConfig, SnapshotFile> { meta, snapshot }))
    }
}

/// Writes a snapshot of the state as it was when this was made, while applying goes on.
pub struct Builder {
    snapshots: Snapshots,
    log: LogStore,
    growth: Arc<Growth>,
    meta: SnapshotMeta,
    state: State,
}

impl RaftSnapshotBuilder<TypeConfig> for Builder {
    type SnapshotData = SnapshotFile;

    async fn build_snapshot(&mut self) -> Result<SnapshotOf<TypeConfig, SnapshotFile>, io::Error> {
        #[cfg(madsim)]
        self.purge_first_by_mistake().await?;
        let (snapshots, meta, state) = (self.snapshots.clone(), self.meta.clone(), self.state.clone());
        let snapshot = runtime::blocking(move || snapshots.write(&meta, &state)).await??;
        #[cfg(madsim)]
        self.log.file_written().await;
        self.log.keep_above(self.snapshots.previous_covered().unwrap_or(u64::MAX));
        self.growth.snapshot_written();
        Ok(SnapshotOf::<TypeConfig, SnapshotFile> { meta: self.meta.clone(), snapshot })
    }
}
