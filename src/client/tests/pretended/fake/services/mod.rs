//! The gRPC services of a pretended member.

mod cluster;
mod election;
mod kv;
mod lock;
mod pipeline;
mod session;
mod watch;

use std::pin::Pin;
use std::sync::Arc;

use futures::Stream;
use ringfence_proto::v1;
use ringfence_proto::v1::cluster_server::ClusterServer;
use ringfence_proto::v1::election_server::ElectionServer;
use ringfence_proto::v1::kv_server::KvServer;
use ringfence_proto::v1::lock_server::LockServer;
use ringfence_proto::v1::pipeline_server::PipelineServer;
use ringfence_proto::v1::session_server::SessionServer;
use ringfence_proto::v1::watch_server::WatchServer;
use tonic::transport::Server;
use tonic::transport::server::Router;
use tonic::{Code, Response, Status};

pub use self::pipeline::Opened;
use super::{Fault, Script, World, header, status};

#[derive(Clone)]
struct Member {
    id: u64,
    world: Arc<World>,
    script: Arc<Script>,
}

pub fn server(id: u64, world: Arc<World>, script: Arc<Script>) -> Router {
    let member = Member { id, world, script };
    Server::builder()
        .add_service(KvServer::new(member.clone()))
        .add_service(SessionServer::new(member.clone()))
        .add_service(LockServer::new(member.clone()))
        .add_service(ElectionServer::new(member.clone()))
        .add_service(WatchServer::new(member.clone()))
        .add_service(PipelineServer::new(member.clone()))
        .add_service(ClusterServer::new(member))
}

impl Member {
    /// Does a call, or what the script says instead.
    async fn serve<A>(
        &self,
        call: &'static str,
        done: impl AsyncFnOnce() -> Result<A, Status>,
    ) -> Result<Response<A>, Status> {
        match self.script.next(call) {
            None => done().await.map(Response::new),
            Some(Fault::Refuse(status)) => Err(status),
            Some(Fault::DoneBut(status)) => {
                done().await?;
                Err(status)
            }
            Some(Fault::Hang) => std::future::pending().await,
        }
    }

    fn header(&self) -> Option<v1::ResponseHeader> {
        header(&self.world, self.id)
    }

    /// Waits in a queue. A wait that is cancelled leaves its claim there, as where a member died: the worst case.
    async fn wait(
        &self,
        name: bytes::Bytes,
        session: u64,
        suffix: bytes::Bytes,
        value: bytes::Bytes,
    ) -> Result<v1::Claim, Status> {
        let mine = self.world.claim(&name, session, &suffix, &value)?;
        loop {
            let changed = self.world.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            match self.world.queue(&name).into_iter().find(|claim| claim.token == mine.token) {
                Some(claim) if claim.owner => return Ok(claim),
                Some(_) => changed.await,
                None => return Err(status(Code::Aborted, "CLAIM_LOST")),
            }
        }
    }

    fn leader(&self, name: &[u8]) -> v1::ElectionLeaderResponse {
        let mut queue = self.world.queue(name).into_iter();
        v1::ElectionLeaderResponse { header: self.header(), leader: queue.next(), waiting: queue.count() as u64 }
    }
}

fn not_pretended<A>() -> Result<Response<A>, Status> {
    Err(Status::unimplemented("not pretended"))
}

type Boxed<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;
