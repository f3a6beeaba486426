//! A whole server: assembled, started, stopped.

#[cfg(all(test, not(madsim)))]
mod tests;

use std::{net::SocketAddr, sync::Arc};

use parking_lot::Mutex;
use tokio::time::{Instant, timeout};

use crate::{
    account::account,
    api::{backup::Backups, cluster::Cluster, headers::Headers, parts::Parts},
    config::Settings,
    levels,
    limits::{DRAIN_TIMEOUT, NODE_STOP_TIMEOUT},
    proposer::{Account, Forwarded, Proposer},
    raft::{self, BootstrapError, Ending, Leadership, Node},
    reader::Reader,
    replica::Replica,
    serving::{Listening, Serving},
    stopping::Stopping,
    watch::Hub,
};

/// Why a server doesn't start. The message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The client port can't be opened.
    #[error(
        "the client port {address} can't be opened: {error}; another process may have it: stop that, or name another client_listen"
    )]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system answered.
        error: std::io::Error,
    },
    /// The files of the client port's TLS can't be used.
    #[cfg(not(madsim))]
    #[error("the client port can't have TLS: {0}")]
    Tls(#[from] ringfence_tls::TlsError),
    /// Raft doesn't start: disk, identity, peer port.
    #[error(transparent)]
    Node(#[from] raft::StartError),
    /// The HTTP port can't be opened.
    #[error(
        "the HTTP port {address} can't be opened: {error}; another process may have it: stop that, or name another http_listen"
    )]
    Http {
        /// The address.
        address: SocketAddr,
        /// What the system answered.
        error: std::io::Error,
    },
    /// The new cluster can't be made.
    #[error("the cluster can't be founded: {0}")]
    Bootstrap(#[from] BootstrapError),
}

impl StartError {
    /// The disk has no room for a start. Nothing is lost; there may be room later.
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Node(error) if error.is_full())
    }
}

/// A running server. Dropping it stops nothing: call [`Server::stop`].
pub struct Server {
    node: Node,
    replica: Arc<Replica>,
    proposer: Proposer,
    stopping: Stopping,
    address: SocketAddr,
    /// Taken by the first stop.
    serving: Mutex<Option<Serving>>,
    _http: Http,
}

/// The HTTP side, which ends with this.
#[derive(Default)]
struct Http {
    #[cfg(not(madsim))]
    task: Option<tokio::task::JoinHandle<()>>,
}

impl Http {
    #[cfg(not(madsim))]
    async fn serve(listen: Option<SocketAddr>, account: Account) -> Result<Self, StartError> {
        let Some(address) = listen else { return Ok(Self::default()) };
        match crate::http::serve(address, account).await {
            Ok(task) => Ok(Self { task: Some(task) }),
            Err(error) => Err(StartError::Http { address, error }),
        }
    }

    /// There is none in simulation.
    #[cfg(madsim)]
    #[expect(clippy::unused_async, reason = "as on real sockets")]
    async fn serve(_listen: Option<SocketAddr>, _account: Account) -> Result<Self, StartError> {
        Ok(Self::default())
    }
}

#[cfg(not(madsim))]
impl Drop for Http {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

impl Server {
    /// Opens the ports and the data, replays what is there, and serves. Returns when clients can connect; whether there is a leader is
    /// another matter, see [`Server::ready`].
    ///
    /// # Errors
    /// See [`StartError`]. Nothing is left running then.
    pub async fn start(settings: Settings) -> Result<Self, StartError> {
        Self::start_observed(settings, |_| ()).await
    }

    /// As [`Server::start`]; `observe` is given the replica before anything is applied, so that it can
    /// [add observers](Replica::observe) that miss nothing.
    ///
    /// # Errors
    /// See [`StartError`]. Nothing is left running then.
    pub async fn start_observed(settings: Settings, observe: impl FnOnce(&Arc<Replica>)) -> Result<Self, StartError> {
        let started = Instant::now();
        let listen = settings.client_listen;
        // First of all, so that a taken port leaves the data untouched.
        let listening = Listening::open(listen).await.map_err(|error| StartError::Listen { address: listen, error })?;
        let address = listening.address();
        #[cfg(not(madsim))]
        let listening = match &settings.client_tls {
            Some(files) => listening.with_tls(ringfence_tls::Acceptor::new(files.of_client_port())?),
            None => listening,
        };

        let replica = Replica::new();
        observe(&replica);
        let hub = Hub::new(replica.clone());
        let stopping = Stopping::new();
        let proposer = Proposer::new(replica.clone(), stopping.clone());
        let reader = Reader::new(replica.clone(), &proposer, stopping.clone());
        // The node needs to know what it does for others before it is there itself.
        let own: Arc<Mutex<Option<Node>>> = Arc::default();
        let tell: Account = {
            let (own, replica) = (own.clone(), replica.clone());
            Arc::new(move || own.lock().as_ref().map(|node| account(node, &replica, started)).unwrap_or_default())
        };
        let http = Http::serve(settings.http_listen, tell.clone()).await?;
        let forwarded = Forwarded::new(proposer.clone(), reader.clone(), tell);
        let node = Node::start(settings.raft(), replica.clone(), Arc::new(forwarded)).await?;
        *own.lock() = Some(node.clone());
        if !settings.join
            && let Err(error) = node.bootstrap(settings.members.clone()).await
        {
            node.stop().await;
            return Err(error.into());
        }
        let consensus = Arc::new(node.clone());
        proposer.start(consensus.clone());
        if settings.level > 0 {
            tokio::spawn(levels::run(node.clone(), replica.clone(), proposer.clone(), stopping.clone()));
        }

        let headers = Headers::new(settings.cluster_id(), settings.node_id, consensus, replica.clone());
        let parts =
            Parts::new(proposer.clone(), reader.clone(), replica.clone(), hub, headers.clone(), stopping.clone());
        let backups = Backups::new(settings.cluster.clone(), stopping.clone());
        let cluster = Cluster::new(node.clone(), replica.clone(), reader, headers, backups, started);
        let serving = Mutex::new(Some(listening.serve(&parts, cluster, &node)));
        Ok(Self { node, replica, proposer, stopping, address, serving, _http: http })
    }

    /// Where clients are served.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The raft side of this server.
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// The applied state of this server.
    pub fn replica(&self) -> &Arc<Replica> {
        &self.replica
    }

    /// Waits until a leader is known, so that everything can be served. Cancel safe.
    pub async fn ready(&self) -> Leadership {
        let mut seen = self.node.leadership();
        while seen.leader.is_none() {
            seen = self.node.leadership_changed(&seen).await;
        }
        seen
    }

    /// Resolves when the server can't go on: a failed sync, damage, a full disk. Cancel safe.
    pub async fn failed(&self) -> Ending {
        self.node.failed().await
    }

    /// Stops in good order, within about five seconds: tells every open stream and wait that it is over, lets the calls end, hands leadership
    /// over, closes the disk. A second call returns at once.
    pub async fn stop(&self) {
        let Some(serving) = self.serving.lock().take() else { return };
        self.stopping.stop();
        if !serving.stop(DRAIN_TIMEOUT).await {
            tracing::warn!("calls were still open at the end of the time for them, and are cut off");
        }
        if timeout(NODE_STOP_TIMEOUT, self.node.stop()).await.is_err() {
            tracing::warn!("raft did not stop in time; what was acknowledged is on disk all the same");
        }
        self.proposer.link().clear();
    }
}
