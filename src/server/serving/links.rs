//! Links of clients: what they call all the time, and their watches, without gRPC around them; see [`ringfence_link`].

use std::io;

use ringfence_link::{Kind, preface, watch_over};
use rustix::net::sockopt;
use tokio::{net::TcpStream, time::timeout};

use crate::{
    api::{parts::Parts, pipeline::Pipeline, watch::Watch},
    incoming::Connection,
    limits::{HANDSHAKE_TIMEOUT, KEEPALIVE_INTERVAL, KEEPALIVE_TIMEOUT, LINK_UNREAD_BYTES, LINK_UNREAD_MAX},
    stopping::Stopping,
};

/// Those that serve them. A clone is the same.
#[derive(Clone)]
pub struct Links {
    /// Calls.
    pub pipeline: Pipeline,
    watch: Watch,
}

impl Links {
    /// On top of these.
    pub fn new(parts: &Parts) -> Self {
        Self { pipeline: Pipeline::new(parts), watch: Watch::new(parts.clone()) }
    }

    /// From a connection's first byte to its last; until `closing`, as far as nothing is agreed on yet.
    pub async fn serve(self, mut connection: Connection, closing: Stopping) {
        let agreed = tokio::select! {
            biased;
            () = closing.wait() => return,
            agreed = timeout(HANDSHAKE_TIMEOUT, preface::agree(&mut connection, &[Kind::Calls, Kind::Watches])) => agreed,
        };
        let kind = match agreed {
            Ok(Ok(Some(kind))) => kind,
            Ok(Ok(None)) => return tracing::debug!("a link of a kind that clients have none of was refused"),
            Ok(Err(error)) => return tracing::debug!(%error, "a link didn't come about"),
            Err(_) => return tracing::debug!("a link didn't come about in time"),
        };
        if let Err(error) = prepare(connection.tcp(), kind) {
            return tracing::debug!(%error, "a link can't be prepared");
        }
        match kind {
            Kind::Watches => self.watch.serve(connection).await,
            _ => self.pipeline.serve(connection).await,
        }
    }
}

/// Bounds what a client costs that reads nothing, or that is gone.
fn prepare(stream: &TcpStream, kind: Kind) -> io::Result<()> {
    if kind != Kind::Watches {
        return watch_over(stream, KEEPALIVE_INTERVAL + KEEPALIVE_TIMEOUT);
    }
    sockopt::set_socket_send_buffer_size(stream, LINK_UNREAD_BYTES)?;
    watch_over(stream, LINK_UNREAD_MAX)
}
