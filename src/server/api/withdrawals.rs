//! Taking back claims that nobody waits for any more.
//!
//! A wait ends without a grant because its time is over or because its caller has gone. Then its claim must leave the queue, or
//! it would be granted to nobody and bar the others until its session ends. The withdrawal names the attempt, so that it can't hit
//! a newer wait for the same claim. It is proposed only when the fate of the claim itself is known, for it must not come into the log before
//! it; where nobody knows that fate, once more when the claim can't be on its way any longer.

use std::time::Duration;

use bytes::Bytes;
use ringfence_core::{Command, Refusal, Reply, SessionId, Which};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
    time::{Instant, sleep},
};

use crate::{
    proposer::{PATIENCE, Proposer, WriteError},
    stopping::Stopping,
};

/// The reply to a claim, once it comes.
pub type Claiming = JoinHandle<Result<Result<Reply, Refusal>, WriteError>>;

/// How long a withdrawal is tried. Longer than any election; what is left then goes with its session.
const TRY: Duration = Duration::from_secs(60);
/// Pause between two tries.
const PAUSE: Duration = Duration::from_millis(200);

/// A claim that is to be taken back.
pub struct Withdrawal {
    /// Name of the queue.
    pub name: Bytes,
    /// The claim's session.
    pub session: SessionId,
    /// The claim's suffix.
    pub suffix: Bytes,
    /// The attempt that is given up.
    pub attempt: u64,
    /// The claim itself, where its fate is not known yet.
    pub claiming: Option<Claiming>,
    /// Told when it is done.
    pub done: Option<oneshot::Sender<()>>,
}

/// Where claims are given to be taken back. Clones are the same place.
///
/// A task of its own does it: a caller that has gone can't, and what is dropped at the end of a runtime must not start tasks.
#[derive(Clone)]
pub struct Withdrawals {
    sender: mpsc::UnboundedSender<Withdrawal>,
}

impl Withdrawals {
    /// Starts the task. Call it within the runtime.
    pub fn start(proposer: Proposer, stopping: Stopping) -> Self {
        let (sender, mut receiver) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            loop {
                let next = tokio::select! {
                    biased;
                    next = receiver.recv() => next,
                    () = stopping.wait() => None,
                };
                let Some(withdrawal) = next else { return };
                tokio::spawn(withdraw(proposer.clone(), stopping.clone(), withdrawal));
            }
        });
        Self { sender }
    }

    /// Takes a claim back, in the background.
    pub fn push(&self, withdrawal: Withdrawal) {
        // Fails only when the server stops, and then the client asks again elsewhere.
        let _ = self.sender.send(withdrawal);
    }
}

async fn withdraw(proposer: Proposer, stopping: Stopping, mut withdrawal: Withdrawal) {
    let doubtful = match withdrawal.claiming.take() {
        Some(claiming) => match claiming.await {
            // It never entered the queue.
            Ok(Ok(Err(_)) | Err(WriteError::NoLeader | WriteError::Overloaded { .. })) => return,
            Ok(Ok(Ok(_))) => false,
            Ok(Err(WriteError::Unknown | WriteError::Stopping)) | Err(_) => true,
        },
        None => false,
    };
    release(&proposer, &stopping, &withdrawal).await;
    if let Some(done) = withdrawal.done.take() {
        let _ = done.send(());
    }
    if doubtful {
        sleep(PATIENCE).await;
        release(&proposer, &stopping, &withdrawal).await;
    }
}

/// Proposes the release until it is done or there is nothing to release.
async fn release(proposer: &Proposer, stopping: &Stopping, withdrawal: &Withdrawal) {
    let began = Instant::now();
    let command = Command::Release {
        name: withdrawal.name.clone(),
        session: withdrawal.session,
        which: Which::Attempt { suffix: withdrawal.suffix.clone(), attempt: withdrawal.attempt },
    };
    while !stopping.is_stopping() && began.elapsed() < TRY {
        match proposer.propose_one(command.clone().into()).await {
            Ok(_) => {
                #[cfg(madsim)]
                ringfence_probes::hit(ringfence_probes::marks::CLAIM_WITHDRAWN);
                return;
            }
            Err(WriteError::Stopping) => return,
            // Releasing twice does no harm: the second finds nothing.
            Err(WriteError::NoLeader | WriteError::Unknown | WriteError::Overloaded { .. }) => sleep(PAUSE).await,
        }
    }
}
