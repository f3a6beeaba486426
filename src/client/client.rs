//! The client itself.

use std::time::Duration;

use crate::cluster::Cluster;
use crate::election::Election;
use crate::error::Result;
use crate::kv::Kv;
use crate::latch::LatchBuilder;
use crate::lock::{Lock, Locks};
use crate::session::{Session, SessionOptions};
use crate::sessions::Sessions;
use crate::txn::copy;
use crate::watch::{WatchOptions, Watcher};

/// The client ports of the local cluster.
pub const LOCAL_ENDPOINTS: [&str; 3] = [
    "http://127.0.0.1:7601",
    "http://127.0.0.1:7602",
    "http://127.0.0.1:7603",
];

/// How failed calls are repeated.
#[derive(Clone, Debug, PartialEq)]
pub struct RetryPolicy {
    /// The first pause; each is drawn at random between half and whole. 20 ms unless said.
    pub pause_min: Duration,
    /// Pauses double up to this. 1 s unless said.
    pub pause_max: Duration,
    /// Most attempts, the first included; the deadline bounds them anyway. Unbounded unless said.
    pub attempts_max: u32,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            pause_min: Duration::from_millis(20),
            pause_max: Duration::from_secs(1),
            attempts_max: u32::MAX,
        }
    }
}

/// Settings of a client.
#[derive(Clone, Debug)]
pub struct ClientBuilder {
    pub(crate) endpoints: Vec<String>,
    pub(crate) deadline: Duration,
    pub(crate) connect_timeout: Duration,
    pub(crate) retry: RetryPolicy,
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

    /// Makes the client. Connections are made when needed: this succeeds also while no member can be reached. Must be
    /// called within a tokio runtime.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`](crate::Error::InvalidArgument) for an endpoint that can't be one.
    pub fn build(self) -> Result<Client> {
        todo!()
    }
}

/// A client of one cluster. Cheap to clone: clones share connections and what is known of the cluster.
#[derive(Clone, Debug)]
pub struct Client {}

impl Client {
    /// A client with usual settings for these members (`http://host:port` or `host:port`; one is enough, the others are
    /// learnt), once one of them has answered.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`](crate::Error::InvalidArgument) for an endpoint that can't be one,
    /// [`Error::Unavailable`](crate::Error::Unavailable) if no member answers within the connect timeout.
    pub async fn connect<E: Into<String>>(endpoints: impl IntoIterator<Item = E>) -> Result<Self> {
        let client = Self::builder(endpoints).build()?;
        client.cluster().members().await?;
        Ok(client)
    }

    /// Settings first.
    pub fn builder<E: Into<String>>(endpoints: impl IntoIterator<Item = E>) -> ClientBuilder {
        ClientBuilder {
            endpoints: endpoints.into_iter().map(Into::into).collect(),
            deadline: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(2),
            retry: RetryPolicy::default(),
        }
    }

    /// The same client with another deadline for its calls.
    pub fn with_deadline(&self, deadline: Duration) -> Client {
        let _ = deadline;
        todo!()
    }

    /// Keys.
    pub fn kv(&self) -> Kv {
        Kv {
            client: self.clone(),
            session: None,
        }
    }

    /// Opens a session, which renews itself from then on.
    ///
    /// # Errors
    /// Refusals `TTL_OUT_OF_RANGE`, `LIMIT_EXCEEDED`; [`Error::Unavailable`](crate::Error::Unavailable).
    pub async fn open_session(&self, options: SessionOptions) -> Result<Session> {
        let _ = options;
        todo!()
    }

    /// Sessions, anybody's.
    pub fn sessions(&self) -> Sessions {
        Sessions {
            client: self.clone(),
        }
    }

    /// A lock to take. Its name is 1 to 1024 bytes of UTF-8 without control characters, and neither begins nor ends
    /// with `/`.
    pub fn lock(&self, name: impl AsRef<[u8]>) -> Lock {
        Lock::new(self.clone(), name)
    }

    /// Locks, anybody's.
    pub fn locks(&self) -> Locks {
        Locks {
            client: self.clone(),
        }
    }

    /// A candidate for an election. Names are as for locks, and share their namespace.
    pub fn latch(&self, name: impl AsRef<[u8]>) -> LatchBuilder {
        LatchBuilder::new(self.clone(), name)
    }

    /// An election to look at.
    pub fn election(&self, name: impl AsRef<[u8]>) -> Election {
        Election {
            client: self.clone(),
            name: copy(name),
        }
    }

    /// Starts a watch, and waits until it is in place: no change that is made after this returned is missed.
    ///
    /// # Errors
    /// [`Error::Compacted`](crate::Error::Compacted) for a past revision that is gone; refusals;
    /// [`Error::Unavailable`](crate::Error::Unavailable).
    pub async fn watch(&self, options: WatchOptions) -> Result<Watcher> {
        let _ = options;
        todo!()
    }

    /// The members.
    pub fn cluster(&self) -> Cluster {
        Cluster {
            client: self.clone(),
        }
    }
}
