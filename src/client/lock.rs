//! Taking locks: exclusive, shared, semaphores.

use std::time::Duration;

use bytes::Bytes;

use crate::client::Client;
use crate::error::Result;
use crate::guard::LockGuard;
use crate::session::{Session, SessionOptions};
use crate::txn::copy;
use crate::types::{Claim, LockDescription, LockMode, LockSummary, Page, Token, Validation};

/// A lock about to be taken. From [`Client::lock`].
///
/// Each acquisition makes a claim of its own: two of them in one process exclude each other, also with one session.
#[derive(Clone, Debug)]
#[must_use = "a lock is taken by `acquire` or `try_acquire`"]
pub struct Lock {
    pub(crate) client: Client,
    pub(crate) name: Bytes,
    pub(crate) mode: LockMode,
    pub(crate) session: Option<Session>,
    pub(crate) options: SessionOptions,
    pub(crate) value: Bytes,
    pub(crate) wait: Option<Duration>,
}

impl Lock {
    pub(crate) fn new(client: Client, name: impl AsRef<[u8]>) -> Self {
        Self {
            client,
            name: copy(name),
            mode: LockMode::Exclusive,
            session: None,
            options: SessionOptions::new(),
            value: Bytes::new(),
            wait: None,
        }
    }

    /// Shares the lock with other shared owners.
    pub fn shared(self) -> Self {
        self.mode(LockMode::Shared)
    }

    /// Shares the lock with up to `permits` - 1 other owners. 1 to 1048576, the same for all claims of a name.
    pub fn permits(self, permits: u32) -> Self {
        self.mode(LockMode::Semaphore(permits))
    }

    /// How the lock is shared. Exclusive unless said.
    pub fn mode(mut self, mode: LockMode) -> Self {
        self.mode = mode;
        self
    }

    /// TTL of the session that is opened for the lock; see [`SessionOptions::ttl`]. 10 s unless said.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.options = self.options.ttl(ttl);
        self
    }

    /// Description of the session that is opened for the lock.
    pub fn owner(mut self, owner: impl Into<String>) -> Self {
        self.options = self.options.owner(owner);
        self
    }

    /// Uses this session instead of opening one: then TTL and owner are that session's, and it outlives the lock.
    pub fn session(mut self, session: &Session) -> Self {
        self.session = Some(session.clone());
        self
    }

    /// For people to read in the lock's description. At most 64 KiB.
    pub fn value(mut self, value: impl AsRef<[u8]>) -> Self {
        self.value = copy(value);
        self
    }

    /// Waits at most so long. Without it `acquire` waits for ever.
    pub fn wait(mut self, wait: Duration) -> Self {
        self.wait = Some(wait);
        self
    }

    /// Waits until the lock is granted. The wait goes on over lost connections and members, and keeps its place in the
    /// queue. Dropping the future withdraws the claim in the background.
    ///
    /// # Errors
    /// [`Error::Timeout`](crate::Error::Timeout) if the bound of the wait has passed,
    /// [`Error::SessionLost`](crate::Error::SessionLost) if the session ended meanwhile,
    /// [`Error::NotHeld`](crate::Error::NotHeld) if the claim was released by force, and refusals.
    pub async fn acquire(self) -> Result<LockGuard> {
        todo!()
    }

    /// Takes the lock if it is free.
    ///
    /// # Errors
    /// [`Error::LockHeld`](crate::Error::LockHeld) if it isn't, and as [`Lock::acquire`].
    pub async fn try_acquire(self) -> Result<LockGuard> {
        todo!()
    }
}

/// Locks and elections as operators see them. From [`Client::locks`].
#[derive(Clone, Debug)]
pub struct Locks {
    pub(crate) client: Client,
}

impl Locks {
    /// Owners, and waiters in order, at most `limit` of these (1 to 1000; 0 means 1000).
    ///
    /// # Errors
    /// As any read.
    pub async fn describe(&self, name: impl AsRef<[u8]>, limit: u32) -> Result<LockDescription> {
        let _ = (name.as_ref(), limit);
        todo!()
    }

    /// Names that somebody claims and that begin with `prefix`, above `after` (empty: from the beginning), in order, at
    /// most `limit` (1 to 1000; 0 means 1000).
    ///
    /// # Errors
    /// As any read.
    pub async fn list(
        &self,
        prefix: impl AsRef<[u8]>,
        after: impl AsRef<[u8]>,
        limit: u32,
    ) -> Result<Page<LockSummary>> {
        let _ = (prefix.as_ref(), after.as_ref(), limit);
        todo!()
    }

    /// Is this token a current owner? For those who protect something without writing to Ringfence; who writes to it
    /// uses [`Txn::when_holds`](crate::Txn::when_holds).
    ///
    /// # Errors
    /// As any read.
    pub async fn validate(&self, name: impl AsRef<[u8]>, token: Token) -> Result<Validation> {
        let _ = (name.as_ref(), token);
        todo!()
    }

    /// Gives up the claim with this token for its session, and says what it was.
    ///
    /// # Errors
    /// [`Error::NotHeld`](crate::Error::NotHeld) if there is no such claim.
    pub async fn release(
        &self,
        name: impl AsRef<[u8]>,
        session: crate::SessionId,
        token: Token,
    ) -> Result<Claim> {
        let _ = (name.as_ref(), session, token);
        todo!()
    }

    /// Takes a claim away from whoever has it, and says what it was. The token makes sure that nobody else's is hit.
    ///
    /// # Errors
    /// [`Error::NotHeld`](crate::Error::NotHeld) if there is no such claim.
    pub async fn force_release(&self, name: impl AsRef<[u8]>, token: Token) -> Result<Claim> {
        let _ = (name.as_ref(), token);
        todo!()
    }
}
