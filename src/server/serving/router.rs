//! The services on one tonic server, with the limits of [`crate::limits`].

use ringfence_proto::v1::{
    cluster_server::ClusterServer, election_server::ElectionServer, kv_server::KvServer, lock_server::LockServer,
    session_server::SessionServer, watch_server::WatchServer,
};
use tonic::transport::Server;
#[cfg(not(madsim))]
use {
    super::delivery::deliver,
    tonic::body::Body,
    tower::{
        layer::util::{Identity, Stack},
        util::MapResponseLayer,
    },
};

use crate::{
    api::{cluster::Cluster, election::Election, kv::Kv, lock::Lock, parts::Parts, session::Session, watch::Watch},
    limits::{
        CONNECTION_WINDOW_BYTES, HEADER_BYTES_MAX, KEEPALIVE_INTERVAL, KEEPALIVE_TIMEOUT, MESSAGE_BYTES_MAX,
        PENDING_RESETS_MAX, STREAM_WINDOW_BYTES, STREAMS_PER_CONNECTION_MAX,
    },
};

/// The port's own work on what the services answer.
#[cfg(not(madsim))]
type Layers = Stack<MapResponseLayer<fn(http::Response<Body>) -> http::Response<Body>>, Identity>;
/// A tonic server with services.
#[cfg(not(madsim))]
pub type Router = tonic::transport::server::Router<Layers>;
/// A simulated server with services.
#[cfg(madsim)]
pub type Router = tonic::transport::server::Router;

#[cfg(not(madsim))]
fn server() -> Server<Layers> {
    Server::builder().layer(MapResponseLayer::new(deliver as fn(_) -> _))
}

#[cfg(madsim)]
fn server() -> Server {
    Server::builder()
}

/// A server with the services of `ringfence.v1`.
pub fn router(parts: &Parts, cluster: Cluster) -> Router {
    server()
        .max_concurrent_streams(STREAMS_PER_CONNECTION_MAX)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
        .http2_max_pending_accept_reset_streams(Some(PENDING_RESETS_MAX))
        .http2_max_header_list_size(HEADER_BYTES_MAX)
        .add_service(served(KvServer::new(Kv::new(parts.clone())).max_decoding_message_size(MESSAGE_BYTES_MAX)))
        .add_service(served(
            SessionServer::new(Session::new(parts.clone())).max_decoding_message_size(MESSAGE_BYTES_MAX),
        ))
        .add_service(served(LockServer::new(Lock::new(parts.clone())).max_decoding_message_size(MESSAGE_BYTES_MAX)))
        .add_service(served(
            ElectionServer::new(Election::new(parts.clone())).max_decoding_message_size(MESSAGE_BYTES_MAX),
        ))
        .add_service(served(WatchServer::new(Watch::new(parts.clone())).max_decoding_message_size(MESSAGE_BYTES_MAX)))
        .add_service(served(ClusterServer::new(cluster).max_decoding_message_size(MESSAGE_BYTES_MAX)))
}

/// As it is: the transport ends handlers whose caller has gone.
#[cfg(not(madsim))]
fn served<S>(service: S) -> S {
    service
}

#[cfg(madsim)]
use super::attended::Attended as served;
