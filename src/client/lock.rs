//! Taking locks: exclusive, shared, semaphores.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use ringfence_proto::v1;
use ringfence_proto::v1::lock_client::LockClient;
use tokio::time::Instant;

use crate::chance;
use crate::chores::Chore;
use crate::client::{Client, Undone};
use crate::convert::{claim, claim_in, lock_mode};
use crate::core::{Failure, Safety};
use crate::error::{Error, Result};
use crate::guard::LockGuard;
use crate::headed::Headed as _;
use crate::session::{Session, SessionOptions};
use crate::txn::copy;
use crate::types::{Claim, LockDescription, LockMode, LockSummary, Page, Token, Validation};
use crate::wait::Wait;

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
    /// [`Error::Timeout`] if the bound of the wait has passed,
    /// [`Error::SessionLost`] if the session ended meanwhile,
    /// [`Error::NotHeld`] if the claim was released by force, and refusals.
    pub async fn acquire(self) -> Result<LockGuard> {
        let began = Instant::now();
        let taking = match self.wait {
            // Opening the session counts as waiting.
            Some(wait) if self.session.is_none() => self.at_most(wait).taking().await?,
            _ => self.taking().await?,
        };
        let Taking { lock, session, own, suffix } = taking;
        let wait = Wait {
            what: "acquire",
            client: &lock.client,
            session: &session,
            bound: lock.wait.map(|wait| wait.saturating_sub(began.elapsed())),
        };
        // Closing an own session takes the claim along.
        let mut undone = (!own).then(|| lock.client.leave(wait.withdrawal(&lock.name, &suffix)));
        let (mode, permits) = lock_mode(lock.mode);
        let request = |wait_ms, attempt| v1::LockAcquireRequest {
            name: lock.name.clone(),
            session_id: session.id(),
            suffix: suffix.clone(),
            mode: mode.into(),
            permits,
            value: lock.value.clone(),
            wait_ms,
            attempt,
        };
        let claim = claim_in(wait.granted(request).await?.claim, "acquire")?;
        if let Some(undone) = &mut undone {
            undone.done();
        }
        Ok(LockGuard::new(session, own, claim))
    }

    /// Takes the lock if it is free.
    ///
    /// # Errors
    /// [`Error::LockHeld`] if it isn't, and as [`Lock::acquire`].
    pub async fn try_acquire(self) -> Result<LockGuard> {
        let Taking { lock, session, own, suffix } = self.taking().await?;
        let mut undone = (!own).then(|| lock.client.leave(Chore::withdraw(&lock.name, &session, &suffix)));
        let (mode, permits) = lock_mode(lock.mode);
        let request = v1::LockTryAcquireRequest {
            name: lock.name.clone(),
            session_id: session.id(),
            suffix,
            mode: mode.into(),
            permits,
            value: lock.value.clone(),
            attempt: 0,
        };
        // A member that withdraws an attempt that was given up can't hit a later one.
        let attempts = AtomicU64::new(0);
        let plan = lock.client.write("try to acquire", Safety::Idempotent);
        let plan = plan.about(session.id(), 0);
        let answer = lock.client.core().ask_pipelined(plan, || v1::LockTryAcquireRequest {
            attempt: attempts.fetch_add(1, Ordering::Relaxed) + 1,
            ..request.clone()
        });
        let mut settled = || undone.as_mut().into_iter().for_each(Undone::done);
        match answer.await {
            Ok(answer) => {
                let claim = claim_in(answer.body.claim, "try to acquire")?;
                settled();
                Ok(LockGuard::new(session, own, claim))
            }
            Err(failure) => {
                if matches!(failure.error, Error::LockHeld { .. }) && !failure.repeated {
                    settled();
                }
                Err(failure.error)
            }
        }
    }

    /// Makes ready: the session, and a suffix of its own where that has other claims.
    async fn taking(self) -> Result<Taking> {
        let (session, own) = match &self.session {
            Some(session) => (session.clone(), false),
            None => (self.client.open_session(self.options.clone()).await?, true),
        };
        let suffix = match own {
            true => Bytes::new(),
            false => Bytes::from(format!("{:016x}", chance::number())),
        };
        Ok(Taking { lock: self, session, own, suffix })
    }

    /// The same lock, whose calls have no more time than this.
    fn at_most(mut self, time: Duration) -> Self {
        let deadline = self.client.deadline().min(time.max(Duration::from_millis(1)));
        self.client = self.client.with_deadline(deadline);
        self
    }
}

/// A lock about to be taken, with what its claim needs.
struct Taking {
    lock: Lock,
    session: Session,
    /// The session was opened for this lock.
    own: bool,
    suffix: Bytes,
}

/// Locks and elections as operators see them. From [`Client::locks`].
#[derive(Clone, Debug)]
pub struct Locks {
    pub(crate) client: Client,
}

impl Locks {
    /// Owners, and waiters in order, at most `limit` of each (1 to 1000; 0 means 1000), and how many there are in all.
    ///
    /// # Errors
    /// As any read.
    pub async fn describe(&self, name: impl AsRef<[u8]>, limit: u32) -> Result<LockDescription> {
        let (consistency, min_revision) = self.client.consistency();
        let request = v1::LockDescribeRequest { name: copy(name), limit, consistency, min_revision };
        let plan = self.client.read("describe lock");
        let answer = self
            .client
            .core()
            .call(plan, request, |channel, request| async move { LockClient::new(channel).describe(request).await });
        let body = answer.await?.body;
        Ok(LockDescription {
            revision: body.revision(),
            owners: body.owners.into_iter().map(claim).collect(),
            owning: body.owner_count,
            waiters: body.waiters.into_iter().map(claim).collect(),
            waiting: body.waiting,
        })
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
        let (consistency, min_revision) = self.client.consistency();
        let request =
            v1::LockListRequest { prefix: copy(prefix), after: copy(after), limit, consistency, min_revision };
        let plan = self.client.read("list locks");
        let answer = self
            .client
            .core()
            .call(plan, request, |channel, request| async move { LockClient::new(channel).list(request).await });
        let body = answer.await?.body;
        let summary = |summary: v1::LockSummary| LockSummary {
            name: summary.name,
            owner: summary.owner.map(claim).unwrap_or_default(),
            owners: summary.owners,
            waiting: summary.waiting,
        };
        Ok(Page { items: body.locks.into_iter().map(summary).collect(), more: body.more })
    }

    /// Is this token a current owner? For those who protect something without writing to Ringfence; who writes to it
    /// uses [`Txn::when_holds`](crate::Txn::when_holds).
    ///
    /// # Errors
    /// As any read.
    pub async fn validate(&self, name: impl AsRef<[u8]>, token: Token) -> Result<Validation> {
        let (consistency, min_revision) = self.client.consistency();
        let request = v1::LockValidateRequest { name: copy(name), token, consistency, min_revision };
        let plan = self.client.read("validate").about(0, token);
        let body = self.client.core().ask_pipelined(plan, || request.clone()).await?.body;
        Ok(Validation { owner: body.owner, current_token: body.current_token })
    }

    /// Gives up the claim with this token for its session, and says what it was.
    ///
    /// # Errors
    /// [`Error::NotHeld`] if there is no such claim.
    pub async fn release(&self, name: impl AsRef<[u8]>, session: crate::SessionId, token: Token) -> Result<Claim> {
        let request = v1::LockReleaseRequest { name: copy(name), session_id: session, token, suffix: Bytes::new() };
        let plan = self.client.write("release", Safety::Idempotent).about(session, token);
        let answer = self.client.core().ask_pipelined(plan, || request.clone()).await;
        claim_in(answer.map_err(gone)?.body.claim, "release")
    }

    /// Takes a claim away from whoever has it, and says what it was. The token makes sure that nobody else's is hit.
    ///
    /// # Errors
    /// [`Error::NotHeld`] if there is no such claim.
    pub async fn force_release(&self, name: impl AsRef<[u8]>, token: Token) -> Result<Claim> {
        let request = v1::LockForceReleaseRequest { name: copy(name), token };
        let plan = self.client.write("force release", Safety::Idempotent).about(0, token);
        let answer = self.client.core().call(plan, request, |channel, request| async move {
            LockClient::new(channel).force_release(request).await
        });
        claim_in(answer.await.map_err(gone)?.body.claim, "force release")
    }
}

/// A claim that isn't there when a release is repeated may have gone by the first attempt.
fn gone(failure: Failure) -> Error {
    match (failure.repeated, failure.error) {
        (true, Error::NotHeld { message, .. }) => {
            Error::Unknown { message: format!("an earlier attempt may have released it; the last one says: {message}") }
        }
        (_, error) => error,
    }
}
