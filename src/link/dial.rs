//! The side that dials.

use std::{io, sync::Arc, time::Duration};

use ringfence_tls::{ConnectFailure, Connector};
use tokio::{net::TcpStream, time::timeout};
use tonic::Status;

use crate::{Kind, PROTOCOL, Wire, preface, watch_over};

/// How a port is reached that may have links.
#[derive(Clone, Debug)]
pub struct Port {
    /// Where it is: a host and a port.
    pub address: String,
    /// If it has TLS.
    pub tls: Option<Connector>,
    /// How long a connection may take to be made.
    pub connect_timeout: Duration,
    /// How long the other side may take then to say whether it has links.
    pub answer_timeout: Duration,
    /// Connections are [watched over](watch_over) by the system, with this bound.
    pub silence_max: Option<Duration>,
}

/// Why it isn't known whether there are links.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// No connection was made.
    #[error("{address}: {error}")]
    Unreachable {
        /// The port's.
        address: String,
        /// What the system says.
        #[source]
        error: io::Error,
    },
    /// It ended, or nothing was said on it in time.
    #[error("{address}: {error}")]
    Broken {
        /// The port's.
        address: String,
        /// What the system says.
        #[source]
        error: io::Error,
    },
}

impl From<DialError> for Status {
    fn from(error: DialError) -> Self {
        let mut status = Self::unavailable(error.to_string());
        status.set_source(Arc::new(error));
        status
    }
}

/// Makes a connection to a port, and asks for a link on it. `None` if the port has none. Cancel safe.
///
/// # Errors
/// See [`DialError`]; as a [`Status`], it is unavailable, and this is its source.
pub async fn dial(port: &Port, kind: Kind) -> Result<Option<Box<dyn Wire>>, DialError> {
    let unreachable = |error| DialError::Unreachable { address: port.address.clone(), error };
    let reached = within(port.connect_timeout, reach(port)).await.map_err(unreachable)?;
    let Some(wire) = reached else { return Ok(None) };
    let broken = |error| DialError::Broken { address: port.address.clone(), error };
    within(port.answer_timeout, preface::ask(wire, kind)).await.map_err(broken)
}

async fn within<T>(limit: Duration, done: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(limit, done).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// A connection to the port; `None` if TLS keeps this side from any, or knows nothing of links.
async fn reach(port: &Port) -> io::Result<Option<Box<dyn Wire>>> {
    let prepared = |stream: &TcpStream| {
        // A message is one small write: it must not wait for more.
        stream.set_nodelay(true)?;
        port.silence_max.map_or(Ok(()), |silence| watch_over(stream, silence))
    };
    let Some(tls) = &port.tls else {
        let stream = TcpStream::connect(&port.address).await?;
        prepared(&stream)?;
        return Ok(Some(Box::new(stream)));
    };
    match tls.dial(&port.address, PROTOCOL).await {
        Ok(stream) => {
            prepared(stream.get_ref().0)?;
            Ok(Some(Box::new(stream)))
        }
        Err(ConnectFailure::Unreachable(error)) => Err(error),
        // Either the port knows no links, or its certificate is to blame, which gRPC tells.
        Err(_) => Ok(None),
    }
}
