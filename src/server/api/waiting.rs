//! Claiming a name and waiting for it: what `Lock.Acquire` and `Election.Campaign` both are.
//!
//! A wait ends in one of five ways. *Granted*: the claim is an owner. *Lost*: the claim is gone, taken by force or with its session. *Over
//! time*, or *given up* by the caller: the claim is withdrawn. *Broken off* by this member, which stops or has lost touch with the
//! cluster: the claim stays, since the client asks again elsewhere and keeps its place.

use std::time::Duration;

use ringfence_core::{Claim, ClaimView, Command, Reply, Token, query::ClaimByKey};
use tokio::{
    sync::oneshot,
    time::{sleep, timeout},
};
use tonic::Status;

use super::{
    convert_request::checked,
    errors::{claim_lost, no_leader, refused, stopping, unexpected_reply, wait_timeout, write_error},
    parts::Parts,
    withdrawals::{Claiming, Withdrawal, Withdrawals},
};

/// How long the answer that the time is over waits for the withdrawal, so that who gets it mostly finds the queue without the
/// claim. The withdrawal itself goes on.
const WITHDRAWAL_PATIENCE: Duration = Duration::from_secs(1);

/// Claims a name; waits, at most so long, until the claim is an owner. Dropping the future withdraws the claim.
///
/// # Errors
/// The refusal of the claim; WAIT_TIMEOUT; CLAIM_LOST; NO_LEADER, OUTCOME_UNKNOWN and STOPPING, after which the claim may stand.
pub async fn acquire(parts: &Parts, claim: Claim, patience: Option<Duration>) -> Result<ClaimView, Status> {
    // Checked before anything is proposed.
    let request = checked(Command::Claim(claim.clone()), None)?;
    let proposer = parts.proposer.clone();
    let claiming: Claiming = tokio::spawn(async move { proposer.propose_one(request).await });
    let mut wait = Wait { parts, claim: Some(claim), claiming: Some(claiming) };
    let ended = tokio::select! {
        biased;
        ended = wait.granted() => Some(ended),
        () = expiry(patience) => None,
    };
    match ended {
        Some(ended) => {
            wait.disarm();
            ended
        }
        None => {
            wait.withdraw_in_time().await;
            Err(wait_timeout(
                "the lock was not granted in the time that the request allows, and its claim is withdrawn",
            ))
        }
    }
}

async fn expiry(patience: Option<Duration>) {
    match patience {
        Some(patience) => sleep(patience).await,
        None => std::future::pending().await,
    }
}

/// A wait that withdraws its claim when it is dropped, unless it was disarmed.
struct Wait<'a> {
    parts: &'a Parts,
    /// Taken when there is nothing to withdraw any more.
    claim: Option<Claim>,
    /// Taken when the claim's fate is known.
    claiming: Option<Claiming>,
}

impl Wait<'_> {
    /// Waits for the claim's reply and then for its grant.
    async fn granted(&mut self) -> Result<ClaimView, Status> {
        let reply = match self.claiming.as_mut() {
            Some(claiming) => claiming.await,
            None => return Err(unexpected_reply()),
        };
        self.claiming = None;
        match reply {
            Ok(Ok(Ok(Reply::Claimed(view)))) if view.owner => Ok(view),
            Ok(Ok(Ok(Reply::Claimed(view)))) => self.wait(view).await,
            Ok(Ok(Ok(_))) => Err(unexpected_reply()),
            Ok(Ok(Err(refusal))) => Err(refused(refusal)),
            Ok(Err(error)) => Err(write_error(error)),
            // The task can only have been ended with the runtime.
            Err(_) => Err(stopping()),
        }
    }

    async fn wait(&self, claimed: ClaimView) -> Result<ClaimView, Status> {
        let parts = self.parts;
        let replica = &parts.replica;
        // From here on no grant is missed: whatever came before is in the state that is looked at after.
        let mut signal = parts.hub.claim(claimed.key.clone());
        let granted = async {
            replica.wait_revision(claimed.token).await;
            loop {
                if let Some(ended) = self.look(&claimed) {
                    return ended;
                }
                signal.raised().await;
            }
        };
        tokio::select! {
            biased;
            ended = granted => ended,
            () = parts.stopping.wait() => Err(stopping()),
            () = parts.touch.lost() => Err(no_leader()),
        }
    }

    /// How the wait has ended by what is applied here, if it has.
    fn look(&self, claimed: &ClaimView) -> Option<Result<ClaimView, Status>> {
        let query = ClaimByKey { key: claimed.key.clone() };
        match self.parts.replica.read(&query) {
            Ok(Some(view)) if is(&view, claimed.token) => view.owner.then_some(Ok(view)),
            Ok(_) => {
                #[cfg(madsim)]
                ringfence_probes::hit(ringfence_probes::marks::CLAIM_LOST_WAITING);
                Some(Err(claim_lost(
                    "the claim went while it waited: released, released by force, or gone with its session",
                )))
            }
            Err(refusal) => Some(Err(refused(refusal))),
        }
    }

    /// There is nothing to withdraw: granted, gone, or to stay.
    fn disarm(mut self) {
        self.claim = None;
    }

    /// Withdraws, and waits for it a little.
    async fn withdraw_in_time(mut self) {
        let (done, told) = oneshot::channel();
        if let Some(claim) = self.claim.take() {
            push(&self.parts.withdrawals, claim, self.claiming.take(), Some(done));
            let _ = timeout(WITHDRAWAL_PATIENCE, told).await;
        }
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        // A server that stops breaks its waits off, and their clients ask again elsewhere.
        if self.parts.stopping.is_stopping() {
            return;
        }
        if let Some(claim) = self.claim.take() {
            push(&self.parts.withdrawals, claim, self.claiming.take(), None);
        }
    }
}

fn push(withdrawals: &Withdrawals, claim: Claim, claiming: Option<Claiming>, done: Option<oneshot::Sender<()>>) {
    let Claim { name, session, suffix, attempt, .. } = claim;
    withdrawals.push(Withdrawal { name, session, suffix, attempt, claiming, done });
}

fn is(view: &ClaimView, token: Token) -> bool {
    view.token == token
}
