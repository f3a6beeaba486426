//! The client port: the services on a socket, with all limits on what a connection may do.
//!
//! On real sockets there are also gRPC's own health and reflection services. In simulation connections are messages: only
//! the services themselves run.

#[cfg(madsim)]
mod attended;
#[cfg(not(madsim))]
mod connections;
#[cfg(not(madsim))]
mod deadline;
#[cfg(not(madsim))]
mod delivery;
#[cfg(not(madsim))]
mod health;
#[cfg(not(madsim))]
mod links;
#[cfg(not(madsim))]
mod reflection;
mod router;

use std::{io, net::SocketAddr, time::Duration};

use tokio::task::JoinHandle;
#[cfg(not(madsim))]
use tower::Service as _;

use crate::{
    api::{cluster::Cluster, parts::Parts},
    raft::Node,
    stopping::Stopping,
};

/// A client port that is open, and not served yet.
pub struct Listening {
    address: SocketAddr,
    #[cfg(not(madsim))]
    incoming: crate::incoming::Incoming,
}

impl Listening {
    /// Opens the port.
    ///
    /// # Errors
    /// What the system says: in use, not allowed, no such address.
    #[cfg(not(madsim))]
    pub async fn open(address: SocketAddr) -> io::Result<Self> {
        let incoming = crate::incoming::Incoming::bind(address).await?;
        Ok(Self { address: incoming.address()?, incoming })
    }

    /// The same port, for connections with TLS alone.
    #[cfg(not(madsim))]
    #[must_use]
    pub fn with_tls(self, acceptor: ringfence_tls::Acceptor) -> Self {
        Self { incoming: self.incoming.with_tls(acceptor.also(ringfence_link::PROTOCOL)), ..self }
    }

    /// Opens the port when it is served: simulated ports can't be opened before.
    ///
    /// # Errors
    /// None.
    #[cfg(madsim)]
    #[expect(clippy::unused_async, reason = "as on real sockets")]
    pub async fn open(address: SocketAddr) -> io::Result<Self> {
        Ok(Self { address })
    }

    /// Where it listens. If port 0 was asked for, the one that the system chose.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves it, until [`Serving::stop`].
    pub fn serve(self, parts: &Parts, cluster: Cluster, node: &Node) -> Serving {
        let drain = Stopping::new();
        let closing = drain.clone();
        #[cfg(not(madsim))]
        let task = {
            let (health, reports) = health::service(node.clone(), drain.clone());
            let links = links::Links::new(parts);
            let routes = router::routes(parts, cluster).add_service(router::pipeline(links.pipeline.clone()));
            let mut routes = reflection::add(routes.add_service(health)).prepare();
            let service = tower::service_fn(move |request| {
                let (time, answer) = (deadline::time(&request), routes.call(request));
                deadline::within(time, async { answer.await.map(delivery::deliver) })
            });
            let incoming = self.incoming.sorted();
            tokio::spawn(async move {
                connections::serve(incoming, service, links, closing).await;
                reports.abort();
            })
        };
        #[cfg(madsim)]
        let task = {
            let _ = node;
            let (router, address) = (router::routes(parts, cluster), self.address);
            tokio::spawn(async move {
                if let Err(error) = router.serve_with_shutdown(address, async move { closing.wait().await }).await {
                    tracing::error!(%error, "the client port is closed");
                }
            })
        };
        Serving { drain, task }
    }
}

/// A client port that is served.
pub struct Serving {
    drain: Stopping,
    task: JoinHandle<()>,
}

impl Serving {
    /// Takes no more connections and calls, and waits until those that are open have ended, at most so long. True if all
    /// did. What is still open then goes with the process.
    pub async fn stop(self, patience: Duration) -> bool {
        self.drain.stop();
        let mut task = self.task;
        match tokio::time::timeout(patience, &mut task).await {
            Ok(_) => true,
            Err(_) => {
                task.abort();
                false
            }
        }
    }
}
