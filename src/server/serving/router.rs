//! The services of `ringfence.v1`.

#[cfg(not(madsim))]
use ringfence_proto::v1::pipeline_server::PipelineServer;
use ringfence_proto::v1::{
    cluster_server::ClusterServer, election_server::ElectionServer, kv_server::KvServer, lock_server::LockServer,
    session_server::SessionServer, watch_server::WatchServer,
};
#[cfg(not(madsim))]
use tonic::service::Routes;
#[cfg(madsim)]
use tonic::transport::{Server, server::Router as Routes};

#[cfg(not(madsim))]
use crate::{api::pipeline::Pipeline, limits::PIPELINE_MESSAGE_BYTES_MAX};
use crate::{
    api::{cluster::Cluster, election::Election, kv::Kv, lock::Lock, parts::Parts, session::Session, watch::Watch},
    limits::MESSAGE_BYTES_MAX,
};

/// To be served by [`super::connections`].
#[cfg(not(madsim))]
fn begin() -> Routes {
    Routes::default()
}

/// To be served by a simulated server.
#[cfg(madsim)]
fn begin() -> Server {
    Server::builder()
}

/// Calls on one stream. Simulated connections are messages: on them a pipeline has nothing to save.
#[cfg(not(madsim))]
pub fn pipeline(pipeline: Pipeline) -> PipelineServer<Pipeline> {
    PipelineServer::new(pipeline).max_decoding_message_size(PIPELINE_MESSAGE_BYTES_MAX)
}

/// All services that are the same in simulation, by their names.
pub fn routes(parts: &Parts, cluster: Cluster) -> Routes {
    begin()
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
