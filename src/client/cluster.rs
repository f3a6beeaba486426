//! The members, for operators.

use ringfence_proto::v1;
use ringfence_proto::v1::cluster_client::ClusterClient;

use crate::backup::Backup;
use crate::client::Client;
use crate::convert::{cluster_status, members};
use crate::core::Safety;
use crate::error::Result;
use crate::types::{ClusterStatus, Members};

/// The members. From [`Client::cluster`].
#[derive(Clone, Debug)]
pub struct Cluster {
    pub(crate) client: Client,
}

impl Cluster {
    /// How the cluster is, as one member sees it; that asks the others too, a second at most, unless `local`. Never
    /// waits for a leader.
    ///
    /// # Errors
    /// [`Error::Unavailable`](crate::Error::Unavailable) if no member answers.
    pub async fn status(&self, local: bool) -> Result<ClusterStatus> {
        let request = v1::ClusterStatusRequest { local };
        let plan = self.client.read("cluster status");
        let answer = self
            .client
            .core()
            .call(plan, request, |channel, request| async move { ClusterClient::new(channel).status(request).await });
        Ok(cluster_status(answer.await?.body))
    }

    /// Who belongs to the cluster.
    ///
    /// # Errors
    /// As any read.
    pub async fn members(&self) -> Result<Members> {
        self.members_with(self.client.consistency().0).await
    }

    /// Learns who leads, from what the first member that answers knows.
    pub(crate) async fn find_leader(&self) -> Result<Members> {
        self.members_with(v1::Consistency::Stale.into()).await
    }

    async fn members_with(&self, consistency: i32) -> Result<Members> {
        let request = v1::ClusterMembersRequest { consistency };
        let plan = self.client.read("cluster members");
        let answer = self
            .client
            .core()
            .call(plan, request, |channel, request| async move { ClusterClient::new(channel).members(request).await });
        Ok(self.learnt(answer.await?.body))
    }

    /// Adds a member that receives the log and doesn't vote. The addresses are `host:port`.
    ///
    /// # Errors
    /// Refusals `MEMBER_EXISTS`, `INVALID_ADDRESS`.
    pub async fn add_learner(&self, id: u64, client_address: &str, peer_address: &str) -> Result<Members> {
        let request = v1::ClusterAddLearnerRequest {
            node_id: id,
            client_address: client_address.to_owned(),
            peer_address: peer_address.to_owned(),
        };
        let plan = self.client.write("add learner", Safety::Once);
        let answer = self.client.core().call(plan, request, |channel, request| async move {
            ClusterClient::new(channel).add_learner(request).await
        });
        Ok(self.learnt(answer.await?.body))
    }

    /// Makes a learner a voter, with `force` even if it lags far behind or doesn't answer.
    ///
    /// # Errors
    /// Refusals `MEMBER_UNKNOWN`, `LEARNER_LAGS`.
    pub async fn promote(&self, id: u64, force: bool) -> Result<Members> {
        let request = v1::ClusterPromoteRequest { node_id: id, force };
        let plan = self.client.write("promote", Safety::Once);
        let answer = self
            .client
            .core()
            .call(plan, request, |channel, request| async move { ClusterClient::new(channel).promote(request).await });
        Ok(self.learnt(answer.await?.body))
    }

    /// Takes a member out, with `force` even if the voters left don't answer: until a majority of them does, nothing is written then.
    /// One that leads hands leadership over first.
    ///
    /// # Errors
    /// Refusals `MEMBER_UNKNOWN`, `LAST_VOTER`, `QUORUM_AT_RISK`.
    pub async fn remove(&self, id: u64, force: bool) -> Result<Members> {
        let request = v1::ClusterRemoveRequest { node_id: id, force };
        let plan = self.client.write("remove", Safety::Once);
        let answer = self
            .client
            .core()
            .call(plan, request, |channel, request| async move { ClusterClient::new(channel).remove(request).await });
        Ok(self.learnt(answer.await?.body))
    }

    /// The whole state at one revision, with all that was acknowledged before this call, as the bytes of a file. Any member
    /// gives it and goes on meanwhile.
    ///
    /// # Errors
    /// [`Error::Unavailable`](crate::Error::Unavailable); refusal `BACKUPS_RUNNING`.
    pub async fn backup(&self) -> Result<Backup> {
        Backup::start(&self.client).await
    }

    /// An account of the members is of use to later calls, too.
    fn learnt(&self, answer: v1::ClusterMembersResponse) -> Members {
        self.client.core().learn(answer.clone());
        members(answer)
    }

    /// Hands leadership to a voter, `None`: to whoever is best up to date. Gives the new leader's id.
    ///
    /// # Errors
    /// Refusals `MEMBER_UNKNOWN`, `NOT_A_VOTER`.
    pub async fn transfer_leader(&self, id: Option<u64>) -> Result<u64> {
        let request = v1::ClusterTransferLeaderRequest { node_id: id.unwrap_or_default() };
        let plan = self.client.write("transfer leader", Safety::Once);
        let answer = self.client.core().call(plan, request, |channel, request| async move {
            ClusterClient::new(channel).transfer_leader(request).await
        });
        let leader = answer.await?.body.leader;
        self.client.core().refresh_soon();
        Ok(leader)
    }
}
