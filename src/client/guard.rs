//! A lock that is held.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ringfence_proto::v1;

use crate::chores::Chore;
use crate::client::Client;
use crate::core::Safety;
use crate::error::{Error, Result};
use crate::session::{Loss, Session};
use crate::types::{Claim, Event, EventKind, Token, Validation};
use crate::watch::{WatchItem, WatchOptions, Watcher};

/// Between two attempts to watch a claim.
const ASK_AGAIN: Duration = Duration::from_millis(500);

/// A lock that is held. Dropping it releases in the background; [`LockGuard::release`] says when it is done.
#[derive(Debug)]
#[must_use = "the lock is released when this is dropped"]
pub struct LockGuard {
    session: Session,
    /// The session was opened for this lock, and goes with it.
    own: bool,
    claim: Claim,
    revoked: AtomicBool,
    released: bool,
}

impl LockGuard {
    pub(crate) fn new(session: Session, own: bool, claim: Claim) -> Self {
        Self { session, own, claim, revoked: AtomicBool::new(false), released: false }
    }

    /// The fencing token: give it to what the lock protects.
    pub fn token(&self) -> Token {
        self.claim.token
    }

    /// The claim as it was granted.
    pub fn claim(&self) -> &Claim {
        &self.claim
    }

    /// The session that holds it.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// The lock is surely still held, if clocks run as assumed: the session is valid, and no release by force was
    /// noticed. Such a release is noticed at once while somebody awaits [`LockGuard::lost`], else not. Asks nobody.
    pub fn is_valid(&self) -> bool {
        !self.remaining().is_zero()
    }

    /// How long the lock is surely held from now on, if nothing more is heard.
    pub fn remaining(&self) -> Duration {
        match self.revoked.load(Ordering::Relaxed) {
            true => Duration::ZERO,
            false => self.session.remaining(),
        }
    }

    /// Waits until the lock is lost: with its session, or by force. Cancel safe.
    pub async fn lost(&self) -> Loss {
        if self.revoked.load(Ordering::Relaxed) {
            return Loss::Revoked;
        }
        tokio::select! {
            biased;
            how = self.session.lost() => how,
            () = gone(self.session.client(), &self.claim) => {
                self.revoked.store(true, Ordering::Relaxed);
                Loss::Revoked
            }
        }
    }

    /// Releases the lock, and closes the session if it was opened for this lock. If the cluster can't be told now, or the
    /// future is dropped, it is told in the background, as long as the session would live.
    ///
    /// # Errors
    /// [`Error::NotHeld`] or [`Error::SessionLost`] if it was lost before: what was done under it since may have met
    /// another owner. [`Error::Unavailable`], [`Error::Unknown`] or [`Error::Timeout`] if the cluster could not be told.
    pub async fn release(mut self) -> Result<()> {
        if let Some(how) = self.lost_already() {
            return Err(how);
        }
        self.released = true;
        match self.own {
            true => self.release_with_session().await,
            false => self.release_claim().await,
        }
    }

    fn lost_already(&self) -> Option<Error> {
        if self.revoked.load(Ordering::Relaxed) {
            return Some(self.not_held("it was released by force"));
        }
        let session = self.session.id();
        (!self.session.is_valid()).then_some(Error::SessionLost { session })
    }

    async fn release_with_session(&self) -> Result<()> {
        match self.session.close_counting().await? {
            Some(0) => Err(self.not_held("it was gone before")),
            _ => Ok(()),
        }
    }

    async fn release_claim(&self) -> Result<()> {
        let client = self.session.client();
        let mut undone = client.leave(self.chore());
        let request = v1::LockReleaseRequest {
            name: self.claim.name.clone(),
            session_id: self.session.id(),
            token: self.claim.token,
            suffix: bytes::Bytes::new(),
        };
        let plan = client.write("release", Safety::Idempotent);
        let plan = plan.about(self.session.id(), self.claim.token);
        let Err(failure) = client.core().ask_pipelined(plan, || request.clone()).await else {
            undone.done();
            return Ok(());
        };
        if !matches!(failure.error, Error::NotHeld { .. } | Error::SessionLost { .. }) {
            return Err(failure.error);
        }
        undone.done();
        match failure.repeated {
            // An earlier attempt of this call has done it.
            true => Ok(()),
            false => Err(failure.error),
        }
    }

    fn chore(&self) -> Chore {
        Chore::Release {
            name: self.claim.name.clone(),
            session: self.session.id(),
            token: self.claim.token,
            ttl: self.session.ttl(),
        }
    }

    fn not_held(&self, message: &str) -> Error {
        Error::NotHeld { token: self.claim.token, message: message.to_owned() }
    }
}

impl Drop for LockGuard {
    fn drop(&mut self) {
        if self.released {
            return;
        }
        match self.own {
            true => self.session.close_soon(),
            false if self.session.is_closed() => {}
            false => drop(self.session.client().leave(self.chore())),
        }
    }
}

/// Waits until a claim is gone from the cluster, by watching its key. Cancel safe.
pub(crate) async fn gone(client: &Client, claim: &Claim) {
    let mut from = claim.token + 1;
    loop {
        let options = WatchOptions::key(&claim.key).from_revision(from).no_put();
        let last = match client.watch(options).await {
            Ok(mut watcher) => {
                // What was compacted away may have held the end.
                let stands = match from > claim.token + 1 {
                    true => validate(client, claim).await.map(|answer| answer.owner),
                    false => Ok(true),
                };
                match stands {
                    Ok(false) => return,
                    Ok(true) => match ends(&mut watcher).await {
                        Ok(()) => return,
                        Err(error) => error,
                    },
                    Err(error) => Some(error),
                }
            }
            Err(error) => Some(error),
        };
        match last {
            Some(Error::Compacted { compacted } | Error::TooSlow { compacted, .. }) if compacted >= from => {
                from = compacted + 1;
            }
            _ => tokio::time::sleep(ASK_AGAIN).await,
        }
    }
}

/// Waits until the watched key is deleted; or for the error, if there is one, that ended the watch before.
async fn ends(watcher: &mut Watcher) -> Result<(), Option<Error>> {
    loop {
        match watcher.next().await {
            Some(Ok(WatchItem::Events(events))) if events.iter().any(is_end) => return Ok(()),
            Some(Ok(_)) => {}
            Some(Err(error)) => return Err(Some(error)),
            None => return Err(None),
        }
    }
}

async fn validate(client: &Client, claim: &Claim) -> Result<Validation> {
    client.locks().validate(&claim.name, claim.token).await
}

fn is_end(event: &Event) -> bool {
    event.kind == EventKind::Delete
}
