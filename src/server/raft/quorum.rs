//! A leader that no majority answers any more: it was cut off, or the others are gone. Another may lead without its knowledge.
//!
//! openraft then takes no new proposal ([check quorum][CheckQuorum]), but says nothing to those that wait for an earlier one, and goes on calling
//! the node its leader. So the node itself watches when a majority answered last. Once that is as long ago as the longest election time-out it is
//! none for the rest of the server (see [`super::standing`]): who waits learns that nobody knows the outcome, and who comes is sent on, instead of
//! waiting for seconds. When a majority answers again in the same term, it leads again. Why: `docs/decisions/leaders-without-a-majority.md`.
//!
//! [CheckQuorum]: https://docs.rs/openraft/latest/openraft/docs/protocol/check_quorum/index.html

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use openraft::{
    ServerState,
    metrics::{RaftDataMetrics, RaftServerMetrics},
};
use openraft_rt::{AsyncRuntime, WatchReceiver};
use tokio::sync::Notify;

use super::{
    runtime::Runtime,
    types::{Raft, TypeConfig},
};
use crate::stopping::Stopping;

/// Whether this node is a leader without a majority. Clones are the same.
#[derive(Clone, Default)]
pub struct Quorum {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    lost: AtomicBool,
    changed: Notify,
}

/// A leader's term, and since when it is known here.
#[derive(Clone, Copy, Debug)]
struct Led {
    term: u64,
    since: Instant,
}

impl Quorum {
    /// This node leads, and no majority has answered it for too long.
    pub fn is_lost(&self) -> bool {
        self.inner.lost.load(Ordering::Acquire)
    }

    /// Waits until [`Quorum::is_lost`] has changed; enlist before asking it. Cancel safe.
    pub fn changed(&self) -> tokio::sync::futures::Notified<'_> {
        self.inner.changed.notified()
    }

    /// Waits until [`Quorum::is_lost`]. Cancel safe.
    pub async fn lost(&self) {
        loop {
            let mut changed = pin!(self.changed());
            changed.as_mut().enable();
            if self.is_lost() {
                return;
            }
            changed.await;
        }
    }

    fn set(&self, lost: bool) {
        if self.inner.lost.swap(lost, Ordering::AcqRel) != lost {
            if lost {
                tracing::warn!("no majority answers this leader any more: it takes nothing until one does");
                #[cfg(madsim)]
                ringfence_probes::hit(ringfence_probes::marks::QUORUM_LOST);
            }
            self.inner.changed.notify_waiters();
        }
    }

    /// Watches until the server stops. A leader may be unanswered for `patience`.
    pub async fn watch(self, raft: Raft, patience: Duration, stopping: Stopping) {
        let (mut server, mut data) = (raft.server_metrics(), raft.data_metrics());
        let mut led = None;
        loop {
            led = leads(&server.borrow_and_update(), led);
            let silent = led.map(|led| silence(&data.borrow_and_update(), led));
            self.set(silent.is_some_and(|silent| silent >= patience));
            // How long it may still be silent; for ever, if it doesn't lead.
            let left = silent.map(|silent| patience.saturating_sub(silent));
            let overdue = async {
                match left.filter(|left| !left.is_zero()) {
                    Some(left) => Runtime::sleep(left).await,
                    None => std::future::pending().await,
                }
            };
            let ended = tokio::select! {
                biased;
                () = stopping.wait() => true,
                changed = server.changed() => changed.is_err(),
                // What comes while there is time left is looked at when it is over.
                changed = data.changed(), if left.is_some_and(|left| left.is_zero()) => changed.is_err(),
                () = overdue => false,
            };
            if ended {
                return;
            }
        }
    }
}

/// The term in which this node leads others.
fn leads(server: &RaftServerMetrics<TypeConfig>, before: Option<Led>) -> Option<Led> {
    let alone = server.membership_config.voter_ids().eq([server.id]);
    let term = server.vote.leader_id.term;
    let leads = server.state == ServerState::Leader && server.current_leader == Some(server.id) && !alone;
    let begins = Led { term, since: Instant::now() };
    leads.then(|| before.filter(|before| before.term == term).unwrap_or(begins))
}

/// How long no majority has answered. A new leader has just been answered: it was elected.
fn silence(data: &RaftDataMetrics<TypeConfig>, led: Led) -> Duration {
    let acked = data.last_quorum_acked.map_or(Duration::MAX, |acked| acked.elapsed());
    acked.min(led.since.elapsed())
}
