//! The place where the node is put once it has started. The node needs the proposer first, for what others forward.

use std::sync::Arc;

use parking_lot::RwLock;

use super::Consensus;

/// Where raft is, from start to stop. Clones are the same place.
#[derive(Clone, Default)]
pub struct Link {
    consensus: Arc<RwLock<Option<Arc<dyn Consensus>>>>,
}

impl Link {
    /// Raft, if it has started and not stopped.
    pub fn get(&self) -> Option<Arc<dyn Consensus>> {
        self.consensus.read().clone()
    }

    /// Puts it there.
    pub fn set(&self, consensus: Arc<dyn Consensus>) {
        *self.consensus.write() = Some(consensus);
    }

    /// Takes it away, so that the node and what is built on it don't keep each other alive.
    pub fn clear(&self) {
        *self.consensus.write() = None;
    }
}
