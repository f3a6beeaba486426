//! The members, for operators.

use crate::client::Client;
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
        let _ = local;
        todo!()
    }

    /// Who belongs to the cluster.
    ///
    /// # Errors
    /// As any read.
    pub async fn members(&self) -> Result<Members> {
        todo!()
    }

    /// Adds a member that receives the log and doesn't vote. The addresses are `host:port`.
    ///
    /// # Errors
    /// Refusals `MEMBER_EXISTS`, `INVALID_ADDRESS`.
    pub async fn add_learner(
        &self,
        id: u64,
        client_address: &str,
        peer_address: &str,
    ) -> Result<Members> {
        let _ = (id, client_address, peer_address);
        todo!()
    }

    /// Makes a learner a voter, with `force` even if it lags far behind.
    ///
    /// # Errors
    /// Refusals `MEMBER_UNKNOWN`, `LEARNER_LAGS`.
    pub async fn promote(&self, id: u64, force: bool) -> Result<Members> {
        let _ = (id, force);
        todo!()
    }

    /// Takes a member out.
    ///
    /// # Errors
    /// Refusals `MEMBER_UNKNOWN`, `LAST_VOTER`.
    pub async fn remove(&self, id: u64) -> Result<Members> {
        let _ = id;
        todo!()
    }

    /// Hands leadership to a voter, `None`: to whoever is best up to date. Gives the new leader's id.
    ///
    /// # Errors
    /// Refusals `MEMBER_UNKNOWN`, `NOT_A_VOTER`.
    pub async fn transfer_leader(&self, id: Option<u64>) -> Result<u64> {
        let _ = id;
        todo!()
    }
}
