//! Whether this node may lead: not while its disk is full or stalls, nor while no majority answers it. Whether it may be elected: not with such a
//! disk. The one place where the reasons meet.
//!
//! For the rest of the server a leader that may not lead is none: its clock stands still, so that no session loses its lease to a disk or a network.

use std::{pin::pin, sync::Arc};

use openraft::ServerState;
use openraft_rt::WatchReceiver;
use parking_lot::Mutex;

use super::{
    admin::Administrator,
    network::heard::Heard,
    quorum::Quorum,
    room::Room,
    stall::{Reach, Stall},
    types::{LogId, Raft},
};

/// How a node stands. Clones are the same.
#[derive(Clone)]
pub struct Standing {
    inner: Arc<Inner>,
}

struct Inner {
    administrator: Administrator,
    room: Room,
    stall: Stall,
    quorum: Quorum,
    heard: Heard,
    /// Held while raft is told, so that what it is told last is so.
    telling: Mutex<()>,
    /// The term in which leading was given up: once is enough.
    given_up: Mutex<Option<u64>>,
}

impl Standing {
    /// Of a node with these.
    pub fn new(administrator: Administrator, room: Room, stall: Stall, quorum: Quorum, heard: Heard) -> Self {
        let (telling, given_up) = (Mutex::default(), Mutex::default());
        let inner = Inner { administrator, room, stall, quorum, heard, telling, given_up };
        Self { inner: Arc::new(inner) }
    }

    /// The node's raft.
    pub fn raft(&self) -> &Raft {
        &self.inner.administrator.raft
    }

    /// This node leads, if raft has it lead.
    pub fn may_lead(&self) -> bool {
        !self.inner.room.is_full() && !self.inner.stall.is_aside() && !self.is_cut_off()
    }

    /// This node leads without a majority.
    pub fn is_cut_off(&self) -> bool {
        self.inner.quorum.is_lost()
    }

    /// This node may be elected.
    pub fn may_stand(&self) -> bool {
        !self.inner.room.is_full() && !self.inner.stall.is_unsteady()
    }

    /// Who leads, as far as is heard while the disk stalls. Raft then still waits for the vote that made it so to be saved, and knows nothing of it.
    pub fn heard_meanwhile(&self) -> Option<u64> {
        if self.inner.stall.is_stalled() { self.inner.heard.last() } else { None }
    }

    /// A reason has come or gone: tells raft.
    pub fn review(&self) {
        let _telling = self.inner.telling.lock();
        self.raft().runtime_config().elect(self.may_stand());
    }

    /// The disk stalls.
    pub fn stalled(&self) {
        // What counts is who is heard from now on.
        self.inner.heard.forget();
        self.review();
    }

    /// Looks, and looks again whenever this node's standing may have changed, until the look gives something. Cancel safe.
    pub async fn until<T>(&self, look: impl Fn() -> Option<T>) -> T {
        loop {
            let (mut room, mut stall) = (pin!(self.inner.room.changed()), pin!(self.inner.stall.changed()));
            let (mut quorum, mut heard) = (pin!(self.inner.quorum.changed()), pin!(self.inner.heard.changed()));
            for changed in [&mut room, &mut stall, &mut quorum, &mut heard] {
                // Enlisted before the look, so that no change in between is missed.
                changed.as_mut().enable();
            }
            if let Some(found) = look() {
                return found;
            }
            tokio::select! {
                biased;
                () = room => {}
                () = stall => {}
                () = quorum => {}
                () = heard => {}
            }
        }
    }

    /// How far this node's log goes.
    pub fn reach(&self) -> Reach {
        let metrics = self.raft().data_metrics();
        let metrics = metrics.borrow_watched();
        let index = |id: Option<LogId>| id.map_or(0, |id| id.index);
        Reach { last: index(metrics.last_log), applied: index(metrics.last_applied) }
    }

    /// Gives leadership away, if this node leads and has not done so in this term. Whoever can takes it; if nobody can, nobody leads.
    pub async fn give_up_leading(&self) {
        let term = {
            let metrics = self.raft().server_metrics();
            let metrics = metrics.borrow_watched();
            (metrics.state == ServerState::Leader).then_some(metrics.vote.leader_id.term)
        };
        if term.is_none() || term == *self.inner.given_up.lock() {
            return;
        }
        // Who is the only voter has nobody to give it to.
        if self.inner.administrator.give_away().await {
            *self.inner.given_up.lock() = term;
        }
    }
}
