//! Notices a dead leader by its closed connection, and doesn't wait for the silence to grow long.
//!
//! When the log's stream from the leader breaks off, this node knocks at the leader's peer port. If the port is closed, the process is
//! gone, and the voters stand for election at once, one after the other by their ids, so that votes don't split. They stand as
//! a leader that hands over would ask them to, since the others' leases (which protect a leader that lives from
//! those who can't hear it) would keep it waiting otherwise. No read relies on leases, so none can go wrong by this; a leader that was alive
//! after all learns of the newer term and steps down.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use openraft::{ServerState, raft::TransferLeaderRequest};
use openraft_rt::{AsyncRuntime, WatchReceiver};

use super::pool::Pool;
use crate::{
    raft::{
        runtime::Runtime,
        standing::Standing,
        types::{Raft, TypeConfig, Vote},
    },
    stopping::Stopping,
};

/// What a voter leaves to each one before it: an election takes less where the network is quick.
const STAGGER: Duration = Duration::from_millis(50);

/// A dying process' connections may close a little before its port: so often, and with such pauses, this node knocks.
const KNOCKS: u32 = 8;
const KNOCK_PAUSE: Duration = Duration::from_millis(25);

/// Watches over the leader. Clones are the same vigil.
#[derive(Clone)]
pub struct Vigil {
    raft: Raft,
    pool: Pool,
    node: u64,
    standing: Standing,
    stopping: Stopping,
    /// One look at a time is enough.
    looking: Arc<AtomicBool>,
}

/// A leader, and what there is to do if it is gone.
struct Suspect {
    vote: Vote,
    address: String,
    /// How many voters stand before this one.
    rank: u32,
}

impl Vigil {
    /// For a node.
    pub fn new(raft: Raft, pool: Pool, node: u64, standing: Standing, stopping: Stopping) -> Self {
        Self { raft, pool, node, standing, stopping, looking: Arc::default() }
    }

    /// The log's stream from this node broke off.
    pub fn broke_off(&self, leader: u64) {
        if self.stopping.is_stopping() || self.looking.swap(true, Ordering::AcqRel) {
            return;
        }
        let vigil = self.clone();
        Runtime::spawn(async move {
            vigil.look(leader).await;
            vigil.looking.store(false, Ordering::Release);
        });
    }

    async fn look(&self, leader: u64) {
        let Some(suspect) = self.suspect(leader) else { return };
        tracing::debug!(leader, "the leader's stream broke off; knocking");
        let mut knocks = 1;
        while !self.pool.is_closed(&suspect.address).await {
            if knocks == KNOCKS {
                tracing::debug!(leader, "the leader's port is open");
                return;
            }
            knocks += 1;
            Runtime::sleep(KNOCK_PAUSE).await;
        }
        Runtime::sleep(STAGGER * suspect.rank).await;
        if self.suspect(leader).is_none_or(|now| now.vote != suspect.vote) || self.stopping.is_stopping() {
            return;
        }
        tracing::info!(leader, "the leader's port is closed; standing for election");
        let request = TransferLeaderRequest::<TypeConfig>::new(suspect.vote, self.node, None);
        // If it can't stand now, the election time-out is still there.
        let _ = self.raft.handle_transfer_leader(request).await;
    }

    /// `None` if this node doesn't follow that leader any more, or can't stand.
    fn suspect(&self, leader: u64) -> Option<Suspect> {
        let metrics = self.raft.server_metrics();
        let metrics = metrics.borrow_watched();
        if !self.standing.may_stand()
            || metrics.current_leader != Some(leader)
            || metrics.state != ServerState::Follower
        {
            return None;
        }
        let address = metrics.membership_config.get_node(&leader)?.peer.clone();
        let mut others: Vec<u64> = metrics.membership_config.voter_ids().filter(|id| *id != leader).collect();
        others.sort_unstable();
        let rank = others.iter().position(|id| *id == self.node)?;
        Some(Suspect { vote: metrics.vote, address, rank: u32::try_from(rank).ok()? })
    }
}
