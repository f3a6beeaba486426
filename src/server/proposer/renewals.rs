//! Renewals, gathered: what arrives on this member within a short window becomes one request.
//!
//! The window is a tenth of the smallest TTL of any session, so it costs nobody more than a tenth of the lease; within 20 ms,
//! below which gathering gains nothing, and 500 ms, above which one entry an half second is cheap anyway.

use std::{collections::HashMap, sync::Arc, time::Duration};

use parking_lot::Mutex;
use ringfence_core::{Command, Reply, Request, SessionId, limits, query::Stats};
use tokio::{
    sync::{Notify, Semaphore, oneshot},
    time::sleep,
};

use super::{Inner, Proposer, WriteError};

const WINDOW_MS_MIN: u64 = 20;
const WINDOW_MS_MAX: u64 = 500;
/// Ids in one request: a quarter of what fits into an entry's bytes, and a few milliseconds of `apply`.
const IDS_PER_REQUEST_MAX: usize = if limits::RENEWALS_MAX < 32_768 { limits::RENEWALS_MAX } else { 32_768 };
/// Ids that may wait: each session once, at the most that there can be.
const WAITING_IDS_MAX: usize = limits::SESSIONS_MAX;
/// Windows on the way at the same time. When there is no leader the others wait here, gathered.
const WINDOWS_MAX: usize = 4;

/// For each id that was asked for, in order: the TTL in milliseconds, or `None` if the session isn't alive.
pub type Renewed = Vec<Option<u64>>;

struct Asked {
    ids: Vec<SessionId>,
    answer: oneshot::Sender<Result<Renewed, WriteError>>,
}

#[derive(Default)]
struct Waiting {
    asked: Vec<Asked>,
    ids: usize,
}

/// The renewals that wait for the end of the window.
#[derive(Default)]
pub(super) struct Renewals {
    waiting: Mutex<Waiting>,
    came: Notify,
}

impl Renewals {
    /// See [`Proposer::renew`].
    pub(super) async fn renew(&self, ids: Vec<SessionId>) -> Result<Renewed, WriteError> {
        let (answer, receiver) = oneshot::channel();
        {
            let mut waiting = self.waiting.lock();
            if waiting.ids + ids.len() > WAITING_IDS_MAX {
                return Err(WriteError::Overloaded { retry_after_ms: WINDOW_MS_MAX });
            }
            waiting.ids += ids.len();
            waiting.asked.push(Asked { ids, answer });
        }
        self.came.notify_one();
        receiver.await.unwrap_or(Err(WriteError::Stopping))
    }

    fn take(&self) -> Vec<Asked> {
        let mut waiting = self.waiting.lock();
        waiting.ids = 0;
        std::mem::take(&mut waiting.asked)
    }

    fn is_empty(&self) -> bool {
        self.waiting.lock().asked.is_empty()
    }
}

/// Runs as long as the server does.
pub(super) async fn run(proposer: Proposer) {
    let inner = proposer.inner.clone();
    let slots = Arc::new(Semaphore::new(WINDOWS_MAX));
    while !inner.stopping.is_stopping() {
        tokio::select! {
            biased;
            () = inner.stopping.wait() => break,
            () = inner.renewals.came.notified() => {}
        }
        if inner.renewals.is_empty() {
            continue;
        }
        tokio::select! {
            biased;
            () = inner.stopping.wait() => break,
            () = sleep(window(&inner)) => {}
        }
        let Ok(slot) = slots.clone().acquire_owned().await else {
            break;
        };
        let asked = inner.renewals.take();
        let proposer = proposer.clone();
        tokio::spawn(async move {
            renew(&proposer, asked).await;
            drop(slot);
        });
    }
    // Whoever still waits is answered by the dropped sender.
    drop(inner.renewals.take());
}

fn window(inner: &Inner) -> Duration {
    let ttl_min_ms = inner.replica.read(&Stats).ok().and_then(|stats| stats.ttl_min_ms);
    let window_ms = ttl_min_ms.unwrap_or(limits::TTL_MS_MIN) / 10;
    Duration::from_millis(window_ms.clamp(WINDOW_MS_MIN, WINDOW_MS_MAX))
}

/// Renews all these, and answers each who asked.
async fn renew(proposer: &Proposer, asked: Vec<Asked>) {
    let mut ids: Vec<SessionId> = asked.iter().flat_map(|asked| asked.ids.iter().copied()).collect();
    ids.sort_unstable();
    ids.dedup();
    let requests = ids
        .chunks(IDS_PER_REQUEST_MAX)
        .map(|ids| Request::from(Command::RenewSessions { ids: ids.to_vec() }))
        .collect();
    match proposer.propose(requests).await {
        Ok(replies) => {
            let ttls = collect(&ids, replies);
            for Asked { ids, answer } in asked {
                let renewed: Option<Renewed> = ids.iter().map(|id| ttls.get(id).copied()).collect();
                let _ = answer.send(renewed.ok_or(WriteError::Unknown));
            }
        }
        Err(error) => {
            for Asked { answer, .. } in asked {
                let _ = answer.send(Err(error.clone()));
            }
        }
    }
}

fn collect(ids: &[SessionId], replies: super::Replies) -> HashMap<SessionId, Option<u64>> {
    let mut ttls = HashMap::with_capacity(ids.len());
    for (ids, reply) in ids.chunks(IDS_PER_REQUEST_MAX).zip(replies) {
        if let Ok(Reply::SessionsRenewed(renewed)) = reply {
            ttls.extend(ids.iter().copied().zip(renewed));
        }
    }
    ttls
}
