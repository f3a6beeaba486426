//! Connections to members, made when they are first used and kept.

use std::{collections::HashMap, sync::Arc, time::Duration};

use openraft_rt::AsyncRuntime;
use parking_lot::Mutex;
use ringfence_proto::peer::{Sender, peer_client::PeerClient};
use tonic::{
    Status,
    transport::{Channel, Endpoint},
};

use super::{MESSAGE_BYTES_MAX, gate::Gate};
use crate::raft::runtime::Runtime;

/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(500);
/// The same with TLS, which takes two more round trips, and signatures.
#[cfg(not(madsim))]
const TLS_CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a knock at a port may take; a closed one on a machine that lives answers at once.
const KNOCK_TIMEOUT: Duration = Duration::from_millis(200);
/// How often a connection is checked while it is used.
#[cfg(not(madsim))]
const KEEP_ALIVE: Duration = Duration::from_secs(2);

/// What a connection carries. Each member is reached over several, so that a snapshot doesn't hold up the log, nor the log a
/// heartbeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lane {
    /// Heartbeats, votes, transfers.
    Urgent,
    /// The log.
    Log,
    /// Snapshots.
    Bulk,
    /// Requests of the rest of the server.
    Forward,
}

/// All connections of this node. Clones are the same pool.
#[derive(Clone)]
pub struct Pool {
    inner: Arc<Inner>,
}

struct Inner {
    cluster: u64,
    node: u64,
    channels: Mutex<HashMap<(String, Lane), Channel>>,
    gate: Gate,
    #[cfg(not(madsim))]
    tls: Option<ringfence_tls::Connector>,
}

impl Pool {
    /// For a node of a cluster. A member that can't be reached is tried once a pause.
    pub fn new(cluster: u64, node: u64, pause: Duration) -> Self {
        let inner = Inner {
            cluster,
            node,
            channels: Mutex::default(),
            gate: Gate::new(pause),
            #[cfg(not(madsim))]
            tls: None,
        };
        Self { inner: Arc::new(inner) }
    }

    /// A pool as [`Pool::new`] makes it, that connects with TLS alone.
    #[cfg(not(madsim))]
    pub fn with_tls(cluster: u64, node: u64, pause: Duration, connector: ringfence_tls::Connector) -> Self {
        let inner = Inner { cluster, node, channels: Mutex::default(), gate: Gate::new(pause), tls: Some(connector) };
        Self { inner: Arc::new(inner) }
    }

    /// Whom there is a point in trying now.
    pub fn gate(&self) -> &Gate {
        &self.inner.gate
    }

    /// Who speaks to whom.
    pub fn sender(&self, to: u64) -> Sender {
        Sender { cluster: self.inner.cluster, node: self.inner.node, to }
    }

    /// The port at this address is surely closed: the machine answers that nobody listens.
    pub async fn is_closed(&self, address: &str) -> bool {
        // Whether anybody listens is known before TLS begins; who only wants to know that leaves then.
        #[cfg(not(madsim))]
        if self.inner.tls.is_some() {
            let knocked = Runtime::timeout(KNOCK_TIMEOUT, tokio::net::TcpStream::connect(address)).await;
            return matches!(knocked, Ok(Err(error)) if is_refused(&error));
        }
        let Ok(endpoint) = Endpoint::from_shared(format!("http://{address}")) else { return false };
        #[cfg(madsim)]
        if !ringfence_probes::messages::reaches("knock", address) {
            return false;
        }
        match Runtime::timeout(KNOCK_TIMEOUT, endpoint.connect()).await {
            Ok(Err(error)) => is_refused(&error),
            Ok(Ok(_)) | Err(_) => false,
        }
    }

    /// A client on the connection to this address. The connection is made with the first request.
    ///
    /// # Errors
    /// If the address can't be one.
    pub fn client(&self, address: &str, lane: Lane) -> Result<PeerClient<Channel>, Status> {
        let mut channels = self.inner.channels.lock();
        let key = (address.to_owned(), lane);
        let channel = match channels.get(&key) {
            Some(channel) => channel.clone(),
            None => {
                let channel = self.connect(address)?;
                channels.insert(key, channel.clone());
                channel
            }
        };
        Ok(PeerClient::new(channel)
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX))
    }

    fn connect(&self, address: &str) -> Result<Channel, Status> {
        let endpoint = Endpoint::from_shared(format!("http://{address}"))
            .map_err(|error| Status::unavailable(format!("{address} is not an address: {error}")))?
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_nodelay(true);
        #[cfg(not(madsim))]
        let endpoint = endpoint
            .http2_keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(KEEP_ALIVE)
            .initial_stream_window_size(4 << 20)
            .initial_connection_window_size(8 << 20);
        #[cfg(not(madsim))]
        if let Some(connector) = &self.inner.tls {
            let endpoint = endpoint.connect_timeout(TLS_CONNECT_TIMEOUT);
            return Ok(endpoint.connect_with_connector_lazy(connector.clone()));
        }
        Ok(endpoint.connect_lazy())
    }
}

/// The request never left this node: the other's port is closed.
pub fn surely_not_sent(status: &Status) -> bool {
    std::error::Error::source(status).is_some_and(is_refused)
}

fn is_refused(error: &(dyn std::error::Error + 'static)) -> bool {
    let io = error.downcast_ref::<std::io::Error>();
    io.is_some_and(|io| io.kind() == std::io::ErrorKind::ConnectionRefused) || error.source().is_some_and(is_refused)
}
