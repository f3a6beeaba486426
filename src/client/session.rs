//! Sessions: proof of being alive, renewed in the background.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use ringfence_proto::v1;
use ringfence_proto::v1::session_client::SessionClient;
use tokio::sync::{Semaphore, SemaphorePermit, oneshot};
use tonic::transport::Channel;
use tonic::{Request, Response, Status};

use crate::chores::Chore;
use crate::client::Client;
use crate::convert::millis;
use crate::core::Safety;
use crate::error::{Error, Result};
use crate::kv::Kv;
use crate::lease::Lease;
use crate::renewer::Tend;
use crate::types::SessionId;

/// Half of the replies that the cluster remembers for a session.
const WRITES_UNDER_WAY_MAX: usize = 32;

/// How to open a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionOptions {
    pub(crate) ttl: Duration,
    pub(crate) owner: String,
}

impl Default for SessionOptions {
    fn default() -> Self {
        Self { ttl: Duration::from_secs(10), owner: String::new() }
    }
}

impl SessionOptions {
    /// TTL 10 s, owner: this program and its process id.
    pub fn new() -> Self {
        Self::default()
    }

    /// How long the session outlives its last renewal: 500 ms to a day.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = ttl;
        self
    }

    /// Who this is, for people: host, program, process. At most 256 bytes.
    pub fn owner(mut self, owner: impl Into<String>) -> Self {
        self.owner = owner.into();
        self
    }
}

/// How a session, a lock or a leadership ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Loss {
    /// The lease ran out before a renewal was acknowledged.
    Lapsed,
    /// The cluster said that the session is over.
    Expired,
    /// It was closed or released here.
    Closed,
    /// The claim is gone in the cluster: released by force, or with its session.
    Revoked,
}

/// A session that renews itself until it is closed, dropped or lost. Cheap to clone; when the last clone is dropped it
/// is closed in the background (call [`Session::close`] to be sure before the program ends).
///
/// It counts its own lease: see [`Session::remaining`]. A session that is over here stays over.
#[derive(Clone, Debug)]
pub struct Session {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    client: Client,
    lease: Arc<Lease>,
    sequence: AtomicU64,
    /// Bounds the writes under way, so that none falls behind what the cluster remembers.
    slots: Semaphore,
    /// The cluster was told, or a chore was left to tell it.
    closed: AtomicBool,
}

impl Session {
    pub(crate) async fn open(client: &Client, options: SessionOptions) -> Result<Self> {
        let request = v1::SessionOpenRequest {
            ttl_ms: millis(options.ttl),
            owner: match options.owner.is_empty() {
                true => default_owner(),
                false => options.owner,
            },
        };
        // Asking twice may leave a session that nobody knows of, and that expires by itself.
        let plan = client.write("open session", Safety::Idempotent);
        let answer = client.core().call(plan, request, ask_open).await;
        let answer = answer.map_err(|failure| match failure.error {
            Error::Unknown { message } => Error::Unavailable { message },
            other => other,
        })?;
        let ttl = Duration::from_millis(answer.body.ttl_ms);
        let lease = Arc::new(Lease::new(answer.body.session_id, ttl, answer.sent));
        #[cfg(madsim)]
        crate::clock::tell_renewed(answer.body.session_id, ttl, answer.sent);
        let session = Self {
            inner: Arc::new(Inner {
                client: client.clone(),
                lease: lease.clone(),
                sequence: AtomicU64::new(0),
                slots: Semaphore::new(WRITES_UNDER_WAY_MAX),
                closed: AtomicBool::new(false),
            }),
        };
        client.tend(Tend::Begin(lease));
        Ok(session)
    }

    /// Its id. Whoever knows it can act for the session.
    pub fn id(&self) -> SessionId {
        self.inner.lease.id
    }

    /// Its TTL.
    pub fn ttl(&self) -> Duration {
        self.inner.lease.ttl
    }

    /// The client it was opened with.
    pub fn client(&self) -> &Client {
        &self.inner.client
    }

    /// How long the session is surely alive from now on, if nothing more is heard: counted from the moment at which the
    /// last acknowledged renewal was sent, on the monotonic clock (one that goes on while the machine is suspended, where
    /// there is one), less the allowance for clocks' drift: 1 % of the TTL, at least 5 ms. Zero once it is over.
    pub fn remaining(&self) -> Duration {
        self.inner.lease.remaining()
    }

    /// [`Session::remaining`] isn't zero.
    pub fn is_valid(&self) -> bool {
        !self.remaining().is_zero()
    }

    /// Renews it now, and waits until that is acknowledged: [`Session::remaining`] is then nearly a whole TTL. It isn't needed to keep
    /// the session alive; it is for who wants as much time as there can be before work that takes long, or wants to know that the cluster is
    /// there. Members gather renewals, for up to a tenth of the shortest TTL of all sessions and half a second at most, so that is what it
    /// takes at least, and most of what it takes. Tries again until the session is over; there is no other deadline. Cancel safe.
    ///
    /// # Errors
    /// [`Error::SessionLost`] if the session is over, or ends before a renewal is acknowledged.
    pub async fn renew(&self) -> Result<()> {
        let lost = || Error::SessionLost { session: self.id() };
        if !self.is_valid() {
            return Err(lost());
        }
        let (done, acknowledged) = oneshot::channel();
        self.inner.client.tend(Tend::Renew(self.id(), done));
        tokio::select! {
            biased;
            answer = acknowledged => answer.map_err(|_| lost()),
            _ = self.lost() => Err(lost()),
        }
    }

    /// Waits until the session is over, here at latest when it could be over in the cluster. Cancel safe.
    pub async fn lost(&self) -> Loss {
        self.inner.lease.lost().await
    }

    /// Closes it: all that is bound to it goes at once. Closing again does nothing. The session is over here from the
    /// call on, whatever the result; if the cluster can't be told now it is told in the background, and at worst the
    /// session expires there.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Unknown`] or
    /// [`Error::Timeout`] if the cluster could not be told.
    pub async fn close(&self) -> Result<()> {
        match self.close_counting().await {
            Ok(_) | Err(Error::SessionLost { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// As if this program's machine were gone: no more renewals, and nobody is told. What is left of its lease runs out here, then
    /// in the cluster.
    #[cfg(madsim)]
    pub fn abandon(&self) {
        if !self.inner.closed.swap(true, Ordering::Relaxed) {
            self.inner.client.tend(Tend::Stop(self.id()));
        }
    }

    /// All that is bound to it goes without a word more: the cluster was told, or a chore was left to tell it.
    pub(crate) fn is_closed(&self) -> bool {
        self.inner.closed.load(Ordering::Relaxed)
    }

    /// Closes it, and says how many keys went; `None` if that can't be known, since it was closed before.
    pub(crate) async fn close_counting(&self) -> Result<Option<u64>> {
        let inner = &self.inner;
        inner.lease.end(Loss::Closed);
        if inner.closed.swap(true, Ordering::Relaxed) {
            return Ok(None);
        }
        inner.client.tend(Tend::Stop(self.id()));
        // Left behind as a chore if this call fails, or is dropped before it is answered.
        let mut undone = inner.client.leave(inner.close_chore());
        let request = v1::SessionCloseRequest { session_id: self.id() };
        let plan = inner.client.write("close session", Safety::Idempotent);
        let plan = plan.about(self.id(), 0);
        match inner.client.core().call(plan, request, ask_close).await {
            Ok(answer) => {
                undone.done();
                Ok(Some(answer.body.deleted))
            }
            Err(failure) => {
                if let Error::SessionLost { .. } = failure.error {
                    undone.done();
                    if failure.repeated {
                        return Ok(None);
                    }
                }
                Err(failure.error)
            }
        }
    }

    /// Ends it here, and tells the cluster in the background.
    pub(crate) fn close_soon(&self) {
        self.inner.close_soon();
    }

    /// Keys, with writes that have exactly one effect: each carries the session's next sequence number, and is retried
    /// until it is answered, as long as the call's deadline and the session allow.
    pub fn kv(&self) -> Kv {
        Kv { client: self.inner.client.clone(), session: Some(self.clone()) }
    }

    /// Takes the number of a write, for as long as the write is under way.
    pub(crate) async fn number(&self) -> Result<Number<'_>> {
        let lost = Error::SessionLost { session: self.id() };
        let slot = self.inner.slots.acquire().await.map_err(|_| lost.clone())?;
        if !self.is_valid() {
            return Err(lost);
        }
        let sequence = self.inner.sequence.fetch_add(1, Ordering::Relaxed) + 1;
        Ok(Number { id: v1::RequestId { session_id: self.id(), sequence }, _slot: slot })
    }
}

/// A write's number.
pub(crate) struct Number<'a> {
    pub(crate) id: v1::RequestId,
    _slot: SemaphorePermit<'a>,
}

impl Inner {
    fn close_chore(&self) -> Chore {
        Chore::Close { session: self.lease.id, ttl: self.lease.ttl }
    }

    fn close_soon(&self) {
        self.lease.end(Loss::Closed);
        if !self.closed.swap(true, Ordering::Relaxed) {
            self.client.tend(Tend::Stop(self.lease.id));
            drop(self.client.leave(self.close_chore()));
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.close_soon();
    }
}

async fn ask_open(
    channel: Channel,
    request: Request<v1::SessionOpenRequest>,
) -> Result<Response<v1::SessionOpenResponse>, Status> {
    SessionClient::new(channel).open(request).await
}

pub(crate) async fn ask_close(
    channel: Channel,
    request: Request<v1::SessionCloseRequest>,
) -> Result<Response<v1::SessionCloseResponse>, Status> {
    SessionClient::new(channel).close(request).await
}

/// This program and its process.
#[cfg(not(madsim))]
fn default_owner() -> String {
    let program = std::env::args_os().next().unwrap_or_default();
    let program = std::path::Path::new(&program);
    let name = program.file_name().unwrap_or_default().to_string_lossy();
    let name: String = name.chars().take(40).collect();
    format!("{name} (process {})", std::process::id())
}

/// In simulation nothing may depend on the process.
#[cfg(madsim)]
fn default_owner() -> String {
    "simulated".to_owned()
}
