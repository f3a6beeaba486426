//! `ringfence.v1.Cluster`: the one service that speaks to raft's node, since its subject is the node.

use std::{sync::Arc, time::Duration};

use futures::{StreamExt, stream::FuturesOrdered};
use ringfence_core::query::Stats;
use ringfence_proto::v1::{self, cluster_server};
use tokio::time::Instant;
use tonic::{Request, Response, Status};

use super::{
    backup::{Backups, Chunks},
    convert_request::{Freshness, freshness},
    errors::{Fault, admin_error, invalid, read_error, refused},
    headers::Headers,
};
use crate::{
    account::{account, member},
    config::address,
    limits::{ADMIN_TIMEOUT, STATUS_TIMEOUT},
    raft::{Admin, AdminDone, AdminError, Member, Node},
    reader::Reader,
    replica::Replica,
};

/// How long a change of the members is tried while surely nothing was done. A new leader takes no change before its first entry is
/// committed, and an election is over within a second or two.
const ADMIN_PATIENCE: Duration = Duration::from_secs(3);

/// How long is waited between two tries, unless the leader changes sooner.
const ADMIN_PAUSE: Duration = Duration::from_millis(50);

/// The service.
pub struct Cluster {
    node: Node,
    replica: Arc<Replica>,
    reader: Reader,
    headers: Headers,
    backups: Backups,
    started: Instant,
}

impl Cluster {
    /// On top of these; `started` is when the server began.
    pub fn new(
        node: Node,
        replica: Arc<Replica>,
        reader: Reader,
        headers: Headers,
        backups: Backups,
        started: Instant,
    ) -> Self {
        Self { node, replica, reader, headers, backups, started }
    }

    /// Another member's account of itself, or why there is none.
    async fn ask(&self, other: Member) -> v1::MemberStatus {
        let asked = tokio::time::timeout(STATUS_TIMEOUT, self.node.forward_status(other.id, STATUS_TIMEOUT)).await;
        let error = match asked {
            Ok(Ok(status)) => {
                return v1::MemberStatus { member: Some(member(other)), ..status };
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {} ms", STATUS_TIMEOUT.as_millis()),
        };
        v1::MemberStatus { member: Some(member(other)), error, ..v1::MemberStatus::default() }
    }

    /// Has the leader do it, wherever that is. What was surely not done, because somebody else leads by now or because another
    /// change is under way, is tried again within [`ADMIN_PATIENCE`].
    async fn admin(&self, admin: Admin) -> Result<AdminDone, Status> {
        let give_up = Instant::now() + ADMIN_PATIENCE;
        let mut hint = None;
        loop {
            let seen = self.node.leadership();
            let done = if seen.is_me {
                self.node.admin(admin.clone()).await
            } else if let Some(leader) = hint.take().or(seen.leader) {
                self.node.forward_admin(leader, admin.clone(), ADMIN_TIMEOUT).await
            } else {
                Err(AdminError::NotLeader { leader: None })
            };
            let error = match done {
                Ok(done) => return Ok(done),
                Err(error @ (AdminError::NotLeader { .. } | AdminError::Busy)) => error,
                Err(error) => return Err(admin_error(error)),
            };
            if Instant::now() >= give_up {
                return Err(admin_error(error));
            }
            if let AdminError::NotLeader { leader } = error {
                hint = leader.filter(|id| *id != self.node.status().id);
            }
            let _ = tokio::time::timeout(ADMIN_PAUSE, self.node.leadership_changed(&seen)).await;
        }
    }

    fn members_response(&self) -> Response<v1::ClusterMembersResponse> {
        Response::new(v1::ClusterMembersResponse {
            header: Some(self.headers.now(0)),
            members: self.node.members().into_iter().map(member).collect(),
            leader: self.node.leadership().leader.unwrap_or(0),
        })
    }
}

#[tonic::async_trait]
impl cluster_server::Cluster for Cluster {
    type BackupStream = Chunks;

    async fn backup(&self, _: Request<v1::ClusterBackupRequest>) -> Result<Response<Chunks>, Status> {
        let place = self.backups.place()?;
        self.reader.linearizable().await.map_err(read_error)?;
        let (_, state) = self.replica.state();
        let stats = state.read(&Stats).map_err(refused)?;
        let header = self.headers.at(stats.revision);
        Ok(Response::new(self.backups.begin(place, state, header)))
    }

    async fn status(
        &self,
        request: Request<v1::ClusterStatusRequest>,
    ) -> Result<Response<v1::ClusterStatusResponse>, Status> {
        let own = account(&self.node, &self.replica, self.started);
        let own_id = self.node.status().id;
        let (leader, term) = (own.leader, own.term);
        let mut members = vec![own];
        if !request.into_inner().local {
            let others = self.node.members().into_iter().filter(|member| member.id != own_id);
            let asked: FuturesOrdered<_> = others.map(|other| self.ask(other)).collect();
            members.extend(asked.collect::<Vec<_>>().await);
            members.sort_by_key(|status| status.member.as_ref().map(|member| member.node_id));
        }
        // Who leads is this member's own account, too, which is more cautious than what requests are routed by.
        Ok(Response::new(v1::ClusterStatusResponse { header: Some(self.headers.now(0)), leader, term, members }))
    }

    async fn members(
        &self,
        request: Request<v1::ClusterMembersRequest>,
    ) -> Result<Response<v1::ClusterMembersResponse>, Status> {
        if let Freshness::Linearizable = freshness(request.into_inner().consistency, 0)? {
            self.reader.linearizable().await.map_err(read_error)?;
        }
        Ok(self.members_response())
    }

    async fn add_learner(
        &self,
        request: Request<v1::ClusterAddLearnerRequest>,
    ) -> Result<Response<v1::ClusterMembersResponse>, Status> {
        let request = request.into_inner();
        let id = node_id(request.node_id)?;
        for (field, given) in [("client_address", &request.client_address), ("peer_address", &request.peer_address)] {
            address::check(given).map_err(|why| invalid_address(format!("{field} is {given:?}, which {why}")))?;
        }
        let learner =
            Member { id, client_address: request.client_address, peer_address: request.peer_address, voter: false };
        self.admin(Admin::AddLearner(learner)).await?;
        Ok(self.members_response())
    }

    async fn promote(
        &self,
        request: Request<v1::ClusterPromoteRequest>,
    ) -> Result<Response<v1::ClusterMembersResponse>, Status> {
        let request = request.into_inner();
        self.admin(Admin::Promote { id: node_id(request.node_id)?, force: request.force }).await?;
        Ok(self.members_response())
    }

    async fn remove(
        &self,
        request: Request<v1::ClusterRemoveRequest>,
    ) -> Result<Response<v1::ClusterMembersResponse>, Status> {
        let request = request.into_inner();
        let id = node_id(request.node_id)?;
        self.admin(Admin::Remove { id, force: request.force }).await?;
        let mut response = self.members_response();
        // One that has left may never hear of it.
        response.get_mut().members.retain(|member| member.node_id != id);
        Ok(response)
    }

    async fn transfer_leader(
        &self,
        request: Request<v1::ClusterTransferLeaderRequest>,
    ) -> Result<Response<v1::ClusterTransferLeaderResponse>, Status> {
        let id = match request.into_inner().node_id {
            0 => 0,
            id => node_id(id)?,
        };
        let done = self.admin(Admin::TransferLeader { id }).await?;
        // The member that led before says who leads now; this one may not have heard of it yet. One of an earlier version says nothing,
        // but it is done only if the one that was asked for leads.
        let leader = done.leader.unwrap_or(id);
        Ok(Response::new(v1::ClusterTransferLeaderResponse { header: Some(self.headers.now(0)), leader }))
    }
}

fn node_id(id: u64) -> Result<u64, Status> {
    if id == 0 || id > i64::MAX as u64 {
        return Err(invalid(format!("node_id is {id}; it must be 1 to 2^63 - 1")));
    }
    Ok(id)
}

fn invalid_address(message: String) -> Status {
    Fault::new(tonic::Code::InvalidArgument, "INVALID_ADDRESS", message).status()
}
