//! The services on one tonic server, with the limits of [`crate::limits`].

use ringfence_proto::v1::{cluster_server::ClusterServer, kv_server::KvServer};
use tonic::transport::{Server, server::Router};

use crate::{
    api::{cluster::Cluster, kv::Kv},
    limits::{
        CONNECTION_WINDOW_BYTES, HEADER_BYTES_MAX, KEEPALIVE_INTERVAL, KEEPALIVE_TIMEOUT,
        MESSAGE_BYTES_MAX, PENDING_RESETS_MAX, STREAM_WINDOW_BYTES, STREAMS_PER_CONNECTION_MAX,
    },
};

/// The services of `ringfence.v1`.
pub struct Services {
    /// Keys and values.
    pub kv: Kv,
    /// The members.
    pub cluster: Cluster,
}

/// A server with the services.
pub fn router(services: Services) -> Router {
    Server::builder()
        .max_concurrent_streams(STREAMS_PER_CONNECTION_MAX)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
        .http2_max_pending_accept_reset_streams(Some(PENDING_RESETS_MAX))
        .http2_max_header_list_size(HEADER_BYTES_MAX)
        .add_service(KvServer::new(services.kv).max_decoding_message_size(MESSAGE_BYTES_MAX))
        .add_service(
            ClusterServer::new(services.cluster).max_decoding_message_size(MESSAGE_BYTES_MAX),
        )
}
