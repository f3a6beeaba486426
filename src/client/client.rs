//! The client itself.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::backoff::RetryPolicy;
use crate::chores::{self, Chore};
use crate::cluster::Cluster;
use crate::convert::consistency;
use crate::core::{Core, Plan, Safety};
use crate::election::Election;
use crate::error::{Error, Result};
use crate::kv::{Freshness, Kv};
use crate::latch::LatchBuilder;
use crate::lock::{Lock, Locks};
use crate::pool::Pool;
use crate::renewer::{Renewer, Tend};
use crate::route;
use crate::session::{Session, SessionOptions};
use crate::sessions::Sessions;
use crate::txn::copy;
use crate::types::Revision;
use crate::watch::{WatchOptions, Watcher};

/// The client ports of the local cluster.
pub const LOCAL_ENDPOINTS: [&str; 3] = ["http://127.0.0.1:7601", "http://127.0.0.1:7602", "http://127.0.0.1:7603"];

/// Settings of a client.
#[derive(Clone, Debug)]
pub struct ClientBuilder {
    pub(crate) endpoints: Vec<String>,
    pub(crate) deadline: Duration,
    pub(crate) connect_timeout: Duration,
    pub(crate) retry: RetryPolicy,
    #[cfg(not(madsim))]
    pub(crate) tls: Option<crate::TlsOptions>,
}

impl ClientBuilder {
    /// The whole time for a call, its retries included; waits for a lock have their own bound. 10 s unless said.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// The time for making one connection. 2 s unless said.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// How failed calls are repeated.
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.retry = policy;
        self
    }

    /// Connects with TLS alone. Endpoints may then be written `https://host:port`, `http://host:port` or `host:port`: all mean the same.
    #[cfg(not(madsim))]
    pub fn tls(mut self, options: crate::TlsOptions) -> Self {
        self.tls = Some(options);
        self
    }

    /// Makes the client. Connections are made when needed: this succeeds also while no member can be reached. Must be
    /// called within a tokio runtime.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for an endpoint that can't be one, for files of TLS that can't be used, and for `https://` without
    /// TLS.
    pub fn build(self) -> Result<Client> {
        let pool = Pool::new(self.connect_timeout);
        #[cfg(not(madsim))]
        let pool = match self.tls {
            Some(tls) => pool.with_tls(tls.connector()?),
            None => pool,
        };
        let mut seeds = Vec::new();
        for endpoint in &self.endpoints {
            let address = route::address(endpoint, pool.scheme());
            seeds.push(address.map_err(|message| Error::InvalidArgument { message })?);
        }
        if seeds.is_empty() {
            return Err(Error::InvalidArgument { message: "no endpoint was given".to_owned() });
        }
        let core = Arc::new(Core::new(seeds, pool, self.retry));
        let (chores, chores_left) = mpsc::unbounded_channel();
        let (orders, orders_given) = mpsc::unbounded_channel();
        let renewer = Renewer::new(core.clone(), orders_given, chores.downgrade());
        tokio::spawn(chores::run(core.clone(), chores_left));
        tokio::spawn(renewer.run());
        Ok(Client {
            shared: Arc::new(Shared { core, chores, orders }),
            deadline: self.deadline,
            freshness: Freshness::Linearizable,
        })
    }
}

/// A client of one cluster. Cheap to clone: clones share connections and what is known of the cluster.
#[derive(Clone, Debug)]
pub struct Client {
    shared: Arc<Shared>,
    deadline: Duration,
    freshness: Freshness,
}

/// When the last clone goes, so do these, and the tasks in the background end.
#[derive(Debug)]
struct Shared {
    core: Arc<Core>,
    chores: mpsc::UnboundedSender<Chore>,
    orders: mpsc::UnboundedSender<Tend>,
}

/// A chore that is handed in when this is dropped, unless it was done.
#[derive(Debug)]
pub(crate) struct Undone {
    chores: mpsc::UnboundedSender<Chore>,
    chore: Option<Chore>,
}

impl Undone {
    pub(crate) fn done(&mut self) {
        self.chore = None;
    }
}

impl Drop for Undone {
    fn drop(&mut self) {
        if let Some(chore) = self.chore.take() {
            // It fails only if the runtime that would do it is gone.
            let _ = self.chores.send(chore);
        }
    }
}

impl Client {
    /// A client with usual settings for these members (`http://host:port` or `host:port`; one is enough, the others are
    /// learnt), once one of them has answered.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for an endpoint that can't be one,
    /// [`Error::Unavailable`] if no member answers within the connect timeout.
    pub async fn connect<E: Into<String>>(endpoints: impl IntoIterator<Item = E>) -> Result<Self> {
        let builder = Self::builder(endpoints);
        let first = builder.connect_timeout;
        let client = builder.build()?;
        client.with_deadline(first).cluster().find_leader().await?;
        Ok(client)
    }

    /// Settings first.
    pub fn builder<E: Into<String>>(endpoints: impl IntoIterator<Item = E>) -> ClientBuilder {
        ClientBuilder {
            endpoints: endpoints.into_iter().map(Into::into).collect(),
            deadline: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(2),
            retry: RetryPolicy::default(),
            #[cfg(not(madsim))]
            tls: None,
        }
    }

    /// The same client with another deadline for its calls.
    pub fn with_deadline(&self, deadline: Duration) -> Client {
        Client { deadline, ..self.clone() }
    }

    /// The same client, whose reads are as fresh as this: for looking at locks, elections, sessions, members and histories
    /// also while there is no quorum. Reads of keys say it themselves, in [`GetOptions`](crate::GetOptions).
    pub fn with_freshness(&self, freshness: Freshness) -> Client {
        Client { freshness, ..self.clone() }
    }

    pub(crate) fn consistency(&self) -> (i32, Revision) {
        consistency(self.freshness)
    }

    /// Keys.
    pub fn kv(&self) -> Kv {
        Kv { client: self.clone(), session: None }
    }

    /// Opens a session, which renews itself from then on.
    ///
    /// # Errors
    /// Refusals `TTL_OUT_OF_RANGE`, `LIMIT_EXCEEDED`; [`Error::Unavailable`].
    pub async fn open_session(&self, options: SessionOptions) -> Result<Session> {
        Session::open(self, options).await
    }

    /// Sessions, anybody's.
    pub fn sessions(&self) -> Sessions {
        Sessions { client: self.clone() }
    }

    /// A lock to take. Its name is 1 to 1024 bytes of UTF-8 without control characters, and neither begins nor ends
    /// with `/`.
    pub fn lock(&self, name: impl AsRef<[u8]>) -> Lock {
        Lock::new(self.clone(), name)
    }

    /// Locks, anybody's.
    pub fn locks(&self) -> Locks {
        Locks { client: self.clone() }
    }

    /// A candidate for an election. Names are as for locks, and share their namespace.
    pub fn latch(&self, name: impl AsRef<[u8]>) -> LatchBuilder {
        LatchBuilder::new(self.clone(), name)
    }

    /// An election to look at.
    pub fn election(&self, name: impl AsRef<[u8]>) -> Election {
        Election { client: self.clone(), name: copy(name) }
    }

    /// Starts a watch, and waits until it is in place: no change that is made after this returned is missed.
    ///
    /// # Errors
    /// [`Error::Compacted`] for a past revision that is gone; refusals;
    /// [`Error::Unavailable`].
    pub async fn watch(&self, options: WatchOptions) -> Result<Watcher> {
        Watcher::start(self, options).await
    }

    /// The members.
    pub fn cluster(&self) -> Cluster {
        Cluster { client: self.clone() }
    }

    pub(crate) fn core(&self) -> &Arc<Core> {
        &self.shared.core
    }

    pub(crate) fn deadline(&self) -> Duration {
        self.deadline
    }

    /// When a call that begins now is out of time.
    pub(crate) fn out_of_time(&self) -> Instant {
        Instant::now() + self.deadline
    }

    pub(crate) fn read(&self, what: &'static str) -> Plan {
        Plan::read(what, self.out_of_time())
    }

    pub(crate) fn write(&self, what: &'static str, safety: Safety) -> Plan {
        Plan::write(what, safety, self.out_of_time())
    }

    /// A chore for the background, unless it is said to be done.
    pub(crate) fn leave(&self, chore: Chore) -> Undone {
        Undone { chores: self.shared.chores.clone(), chore: Some(chore) }
    }

    pub(crate) fn tend(&self, order: Tend) {
        // It fails only if the runtime of the renewer is gone; then leases run out.
        let _ = self.shared.orders.send(order);
    }
}
