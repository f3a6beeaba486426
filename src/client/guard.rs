//! A lock that is held.

use std::time::Duration;

use crate::error::Result;
use crate::session::{Loss, Session};
use crate::types::{Claim, Token};

/// A lock that is held. Dropping it releases in the background; [`LockGuard::release`] says when it is done.
#[derive(Debug)]
#[must_use = "the lock is released when this is dropped"]
pub struct LockGuard {
    session: Session,
    claim: Claim,
}

impl LockGuard {
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
    /// noticed. Such a release is noticed at once while somebody awaits [`LockGuard::lost`], else not.
    pub fn is_valid(&self) -> bool {
        todo!()
    }

    /// How long the lock is surely held from now on, if nothing more is heard.
    pub fn remaining(&self) -> Duration {
        todo!()
    }

    /// Waits until the lock is lost: with its session, or by force. Cancel safe.
    pub async fn lost(&self) -> Loss {
        todo!()
    }

    /// Releases the lock, and closes the session if it was opened for this lock.
    ///
    /// # Errors
    /// [`Error::NotHeld`](crate::Error::NotHeld) or [`Error::SessionLost`](crate::Error::SessionLost) if it was lost before: what was done under it
    /// since may have met another owner. [`Error::Unavailable`](crate::Error::Unavailable) if the cluster can't be told: it is told in the background, as long as the session lives.
    pub async fn release(self) -> Result<()> {
        todo!()
    }
}
