//! Who belongs to it, and who leads.

use ringfence_proto::v1;
use ringfence_proto::v1::cluster_server::Cluster;
use tonic::{Request, Response, Status};

use super::{Member, not_pretended};

#[tonic::async_trait]
impl Cluster for Member {
    type BackupStream = futures::stream::Empty<Result<v1::ClusterBackupResponse, Status>>;

    async fn backup(&self, _: Request<v1::ClusterBackupRequest>) -> Result<Response<Self::BackupStream>, Status> {
        not_pretended()
    }

    async fn members(
        &self,
        _: Request<v1::ClusterMembersRequest>,
    ) -> Result<Response<v1::ClusterMembersResponse>, Status> {
        self.serve("members", async || {
            Ok(v1::ClusterMembersResponse {
                header: self.header(),
                members: self.world.members(),
                leader: self.world.leader(),
            })
        })
        .await
    }

    async fn status(
        &self,
        _: Request<v1::ClusterStatusRequest>,
    ) -> Result<Response<v1::ClusterStatusResponse>, Status> {
        not_pretended()
    }

    async fn add_learner(
        &self,
        _: Request<v1::ClusterAddLearnerRequest>,
    ) -> Result<Response<v1::ClusterMembersResponse>, Status> {
        not_pretended()
    }

    async fn promote(
        &self,
        _: Request<v1::ClusterPromoteRequest>,
    ) -> Result<Response<v1::ClusterMembersResponse>, Status> {
        not_pretended()
    }

    async fn remove(
        &self,
        _: Request<v1::ClusterRemoveRequest>,
    ) -> Result<Response<v1::ClusterMembersResponse>, Status> {
        not_pretended()
    }

    async fn transfer_leader(
        &self,
        _: Request<v1::ClusterTransferLeaderRequest>,
    ) -> Result<Response<v1::ClusterTransferLeaderResponse>, Status> {
        not_pretended()
    }
}
