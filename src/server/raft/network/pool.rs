//! Connections to members, made when they are first used and kept.

use std::{collections::HashMap, sync::Arc, time::Duration};

use openraft_rt::AsyncRuntime;
use parking_lot::Mutex;
#[cfg(not(madsim))]
use ringfence_link::{Kind, Port};
use ringfence_proto::peer::{Sender, peer_client::PeerClient};
use tonic::{
    Status,
    transport::{Channel, Endpoint},
};

#[cfg(not(madsim))]
use super::link;
use super::{MESSAGE_BYTES_MAX, append::Way, gate::Gate};
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

/// Makes the calls that are made all the time.
#[cfg(not(madsim))]
pub use link::asks::Asking;
/// Makes the calls that are made all the time. There are no links in simulation, where messages cost nothing.
#[cfg(madsim)]
pub type Asking = PeerClient<Channel>;

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
    reached: Mutex<HashMap<(String, Lane), Asking>>,
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
            reached: Mutex::default(),
            gate: Gate::new(pause),
            #[cfg(not(madsim))]
            tls: None,
        };
        Self { inner: Arc::new(inner) }
    }

    /// A pool as [`Pool::new`] makes it, that connects with TLS alone.
    #[cfg(not(madsim))]
    pub fn with_tls(cluster: u64, node: u64, pause: Duration, connector: ringfence_tls::Connector) -> Self {
        let inner = Inner { cluster, node, reached: Mutex::default(), gate: Gate::new(pause), tls: Some(connector) };
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
        let asking = self.asking(address, lane)?;
        #[cfg(not(madsim))]
        let asking = asking.client;
        Ok(asking)
    }

    /// Makes the calls that go over a link, if the member has any. It is made with the first request.
    ///
    /// # Errors
    /// If the address can't be one.
    pub fn asking(&self, address: &str, lane: Lane) -> Result<Asking, Status> {
        let mut reached = self.inner.reached.lock();
        let key = (address.to_owned(), lane);
        if let Some(asking) = reached.get(&key) {
            return Ok(asking.clone());
        }
        let asking = PeerClient::new(self.connect(address)?)
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        #[cfg(not(madsim))]
        let asking = Asking { line: link::asks::Line::new(self.port(address)), client: asking };
        reached.insert(key, asking.clone());
        Ok(asking)
    }

    /// The way that the log's stream takes to this address: a link, if the member there has any.
    ///
    /// # Errors
    /// If the member isn't reached in time, or the address can't be one.
    #[cfg_attr(madsim, expect(clippy::unused_async, reason = "as on real sockets"))]
    pub async fn way_for_the_log(&self, address: &str) -> Result<Way, Status> {
        #[cfg(not(madsim))]
        if let Some(wire) = ringfence_link::dial(&self.port(address), Kind::Log).await? {
            return Ok(Way::Link(wire));
        }
        Ok(Way::Grpc(self.client(address, Lane::Log)?))
    }

    #[cfg(not(madsim))]
    fn port(&self, address: &str) -> Port {
        Port {
            address: address.to_owned(),
            tls: self.inner.tls.clone(),
            connect_timeout: self.connect_timeout(),
            answer_timeout: self.connect_timeout(),
            silence_max: Some(link::SILENCE_MAX),
        }
    }

    #[cfg(not(madsim))]
    fn connect_timeout(&self) -> Duration {
        if self.inner.tls.is_some() { TLS_CONNECT_TIMEOUT } else { CONNECT_TIMEOUT }
    }

    fn connect(&self, address: &str) -> Result<Channel, Status> {
        let endpoint = Endpoint::from_shared(format!("http://{address}"))
            .map_err(|error| Status::unavailable(format!("{address} is not an address: {error}")))?
            .tcp_nodelay(true);
        #[cfg(madsim)]
        let endpoint = endpoint.connect_timeout(CONNECT_TIMEOUT);
        #[cfg(not(madsim))]
        let endpoint = endpoint
            .connect_timeout(self.connect_timeout())
            .http2_keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(KEEP_ALIVE)
            .initial_stream_window_size(4 << 20)
            .initial_connection_window_size(8 << 20);
        #[cfg(not(madsim))]
        if let Some(connector) = &self.inner.tls {
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
