//! The peer port.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use ringfence_proto::peer::peer_server::PeerServer;
use tonic::transport::Server;

use super::{MESSAGE_BYTES_MAX, service::PeerService};
use crate::{raft::StartError, stopping::Stopping};

/// How long the port's connections may take to end.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// The open port, before it is served.
pub struct Listener {
    #[cfg(not(madsim))]
    incoming: crate::incoming::Incoming,
    #[cfg(madsim)]
    address: SocketAddr,
}

impl Listener {
    /// Opens the port.
    ///
    /// # Errors
    /// [`StartError::Listen`].
    #[cfg(not(madsim))]
    pub async fn open(address: SocketAddr) -> Result<Self, StartError> {
        let incoming = crate::incoming::Incoming::bind(address).await;
        Ok(Self { incoming: incoming.map_err(|error| StartError::Listen { address, error })? })
    }

    /// The same port, for connections with TLS alone.
    #[cfg(not(madsim))]
    #[must_use]
    pub fn with_tls(self, acceptor: ringfence_tls::Acceptor) -> Self {
        Self { incoming: self.incoming.with_tls(acceptor.also(ringfence_link::PROTOCOL)) }
    }

    /// Opens the port when it is served.
    ///
    /// # Errors
    /// None.
    #[cfg(madsim)]
    #[allow(clippy::unused_async, reason = "the same signature as the real one")]
    pub async fn open(address: SocketAddr) -> Result<Self, StartError> {
        Ok(Self { address })
    }

    /// Serves the port until the signal.
    pub fn serve(self, service: PeerService, stopping: Stopping) -> Serving {
        let service = Arc::new(service);
        #[cfg(not(madsim))]
        let incoming = Box::pin(super::link::beside_http(self.incoming.sorted(), service.clone()));
        let service = PeerServer::from_arc(service)
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        let signal = async move { stopping.wait().await };
        #[cfg(not(madsim))]
        let serving = Server::builder()
            .initial_stream_window_size(4 << 20)
            .initial_connection_window_size(8 << 20)
            .add_service(service)
            .serve_with_incoming_shutdown(incoming, signal);
        #[cfg(madsim)]
        let serving = Server::builder().add_service(service).serve_with_shutdown(self.address, signal);
        let task = tokio::task::spawn(async move {
            if let Err(error) = serving.await {
                tracing::error!(%error, "the peer port is closed");
            }
        });
        Serving { task: Some(task) }
    }
}

/// The served port.
pub struct Serving {
    task: Option<tokio::task::JoinHandle<()>>,
}

impl Serving {
    /// Waits for the end after the signal, and not for long.
    pub async fn end(mut self) {
        if let Some(mut task) = self.task.take()
            && tokio::time::timeout(CLOSE_TIMEOUT, &mut task).await.is_err()
        {
            task.abort();
        }
    }
}

#[cfg(test)]
impl Serving {
    /// Closes the port at once. It is closed when this returns.
    pub async fn cut(mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
            let _ = task.await;
        }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}
