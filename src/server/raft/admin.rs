//! Changes of the members, and of who leads. On the leader only.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
    time::Duration,
};

use openraft::{
    ChangeMembers, ServerState,
    errors::{ChangeMembershipError, ClientWriteError, RaftError},
};
use openraft_rt::{AsyncRuntime, WatchReceiver};

use super::{
    Admin, AdminDone, AdminError, Member,
    runtime::Runtime,
    types::{Addresses, LogId, Raft, TypeConfig},
};
use crate::stopping::Stopping;

/// Entries that a learner may lack and still be promoted: it catches up within a heartbeat or two.
const PROMOTION_LAG_MAX: u64 = 1000;
/// A change of voters that is half done at two looks, so far apart, is finished by who leads then.
const UNFINISHED_AFTER: Duration = Duration::from_secs(1);
/// Node ids are positive in signed 64-bit formats too.
const NODE_ID_MAX: u64 = i64::MAX as u64;

type Change = ChangeMembers<u64, Addresses>;

/// How far a member is behind.
struct Lag {
    /// Entries that it lacks.
    entries: u64,
    /// It has acknowledged some of the log since this node leads.
    heard_of: bool,
}

/// Changes the members.
#[derive(Clone)]
pub struct Administrator {
    /// Takes part.
    pub raft: Raft,
    /// The longest that a change waits for a quorum.
    pub timeout: Duration,
    /// Nothing is changed any more.
    pub stopping: Stopping,
}

impl Administrator {
    /// See [`super::Node::admin`].
    ///
    /// # Errors
    /// See [`AdminError`].
    pub async fn admin(&self, admin: Admin) -> Result<AdminDone, AdminError> {
        if self.stopping.is_stopping() {
            return Err(AdminError::Stopped);
        }
        self.expect_leader()?;
        match admin {
            Admin::AddLearner(member) => self.add_learner(member).await?,
            Admin::Promote { id, force } => self.promote(id, force).await?,
            Admin::Remove { id } => self.remove(id).await?,
            Admin::TransferLeader { id } => return self.transfer(id).await,
        }
        Ok(AdminDone::default())
    }

    fn expect_leader(&self) -> Result<(), AdminError> {
        let metrics = self.raft.server_metrics();
        let metrics = metrics.borrow_watched();
        match metrics.state {
            ServerState::Leader => Ok(()),
            ServerState::Shutdown => Err(AdminError::Stopped),
            _ => Err(AdminError::NotLeader { leader: metrics.current_leader }),
        }
    }

    fn is_member(&self, id: u64) -> bool {
        let metrics = self.raft.server_metrics();
        let metrics = metrics.borrow_watched();
        metrics.membership_config.get_node(&id).is_some()
    }

    fn voters(&self) -> BTreeSet<u64> {
        let metrics = self.raft.server_metrics();
        let metrics = metrics.borrow_watched();
        metrics.membership_config.voter_ids().collect()
    }

    async fn add_learner(&self, member: Member) -> Result<(), AdminError> {
        check_member(&member)?;
        if self.is_member(member.id) {
            return Err(AdminError::MemberExists(member.id));
        }
        let addresses = Addresses { client: member.client_address, peer: member.peer_address };
        self.change(ChangeMembers::AddNodes(BTreeMap::from([(member.id, addresses)]))).await
    }

    async fn promote(&self, id: u64, force: bool) -> Result<(), AdminError> {
        if !self.is_member(id) {
            return Err(AdminError::MemberUnknown(id));
        }
        if self.voters().contains(&id) {
            return Ok(());
        }
        let lag = self.lag(id);
        // One that never answered may not exist: with its vote, a quorum could be out of reach for good.
        if (!lag.heard_of || lag.entries > PROMOTION_LAG_MAX) && !force {
            return Err(AdminError::LearnerLags { id, behind: lag.entries, limit: PROMOTION_LAG_MAX });
        }
        #[cfg(madsim)]
        if ringfence_probes::on(ringfence_probes::Bug::VoterSwappedInOneStep) {
            // The new one takes another's place; see `one_step`.
            let mut voters = self.voters();
            let other = voters.iter().copied().find(|voter| voter != self.raft.node_id());
            voters.retain(|voter| Some(*voter) != other);
            voters.insert(id);
            return self.change(ChangeMembers::ReplaceAllVoters(voters)).await;
        }
        self.change(ChangeMembers::AddVoterIds(BTreeSet::from([id]))).await
    }

    fn lag(&self, id: u64) -> Lag {
        let metrics = self.raft.data_metrics();
        let metrics = metrics.borrow_watched();
        let next = |last: Option<u64>| last.map_or(0, |last| last + 1);
        let matched = metrics.replication.as_ref().and_then(|replication| *replication.get(&id)?);
        let entries =
            next(metrics.last_log.map(|last| last.index)).saturating_sub(next(matched.map(|matched| matched.index)));
        Lag { entries, heard_of: matched.is_some() }
    }

    async fn remove(&self, id: u64) -> Result<(), AdminError> {
        if !self.is_member(id) {
            return Err(AdminError::MemberUnknown(id));
        }
        let voters = self.voters();
        if !voters.contains(&id) {
            return self.change(ChangeMembers::RemoveNodes(BTreeSet::from([id]))).await;
        }
        if voters.len() == 1 {
            return Err(AdminError::LastVoter(id));
        }
        self.change(ChangeMembers::RemoveVoters(BTreeSet::from([id]))).await
    }

    /// Finishes changes of voters that nobody finishes, until the node stops.
    ///
    /// Between its two steps a change needs a majority of the old voters and one of the new. Whoever made it may be gone
    /// before the second step, as leader or as process; the next leader would go on in between for ever, with less
    /// tolerance for failures than either set of voters has.
    pub async fn finish_changes(self) {
        let mut before = None;
        loop {
            tokio::select! {
                biased;
                () = self.stopping.wait() => return,
                () = Runtime::sleep(UNFINISHED_AFTER) => {}
            }
            let unfinished = self.unfinished();
            if unfinished.is_some() && unfinished == before {
                tracing::info!(?unfinished, "finishing a change of voters that was left behind");
                // The voters that it goes to stay as they are.
                match self.change(ChangeMembers::AddVoterIds(BTreeSet::new())).await {
                    Ok(()) => {
                        #[cfg(madsim)]
                        ringfence_probes::hit(ringfence_probes::marks::CHANGE_FINISHED);
                    }
                    Err(error) => tracing::warn!(%error, "the change of voters isn't finished yet"),
                }
            }
            before = unfinished;
        }
    }

    /// As a leader: the entry of the configuration with two sets of voters that is in use.
    fn unfinished(&self) -> Option<LogId> {
        let metrics = self.raft.server_metrics();
        let metrics = metrics.borrow_watched();
        let joint = metrics.membership_config.membership().get_joint_config().len() > 1;
        (metrics.state == ServerState::Leader && joint).then(|| *metrics.membership_config.log_id())?
    }

    async fn change(&self, change: Change) -> Result<(), AdminError> {
        #[cfg(madsim)]
        ringfence_probes::hooks::happened(ringfence_probes::hooks::Happening::MembersProposed);
        let changing = self.raft.change_membership(change, false);
        match Runtime::timeout(self.timeout, changing).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(admin_error(error)),
            Err(_) => Err(AdminError::Unknown("no quorum in time".to_owned())),
        }
    }

    /// Gives who leads then: this node has learned it, and whoever asked it may not have.
    async fn transfer(&self, id: u64) -> Result<AdminDone, AdminError> {
        let me = *self.raft.node_id();
        let target = match id {
            0 => self.best_voter().ok_or(AdminError::LastVoter(me))?,
            id if !self.is_member(id) => return Err(AdminError::MemberUnknown(id)),
            id if !self.voters().contains(&id) => return Err(AdminError::NotAVoter(id)),
            id => id,
        };
        if target == me {
            return Ok(AdminDone { leader: Some(me) });
        }
        self.raft.trigger().transfer_leader(target).await.map_err(|_| AdminError::Stopped)?;
        match Runtime::timeout(self.timeout, self.led_by_another(me)).await {
            Ok(Some(leader)) if leader == target || id == 0 => {
                #[cfg(madsim)]
                ringfence_probes::hit(ringfence_probes::marks::LEADERSHIP_TRANSFERRED);
                Ok(AdminDone { leader: Some(leader) })
            }
            Ok(Some(leader)) => Err(AdminError::Unknown(format!("node {leader} leads now"))),
            Ok(None) => Err(AdminError::Stopped),
            Err(_) => Err(AdminError::Unknown(format!("node {target} did not take over in time"))),
        }
    }

    /// Begins to hand leadership to the voter that has most of the log; false if there is none beside this node, or raft has stopped.
    /// From then on this node proposes nothing more in its term.
    pub async fn give_away(&self) -> bool {
        match self.best_voter() {
            Some(voter) => self.raft.trigger().transfer_leader(voter).await.is_ok(),
            None => false,
        }
    }

    /// The voter beside this node that has most of the log.
    fn best_voter(&self) -> Option<u64> {
        let me = *self.raft.node_id();
        let metrics = self.raft.data_metrics();
        let metrics = metrics.borrow_watched();
        let replication = metrics.replication.as_ref()?;
        let others = self.voters().into_iter().filter(|id| *id != me);
        others.max_by_key(|id| replication.get(id).copied().flatten())
    }

    /// Waits until another node leads. `None` if raft stops. Cancel safe.
    pub fn led_by_another(&self, me: u64) -> impl Future<Output = Option<u64>> + Send {
        let mut metrics = self.raft.server_metrics();
        async move {
            loop {
                let leader = metrics.borrow_and_update().current_leader;
                if let Some(leader) = leader.filter(|leader| *leader != me) {
                    return Some(leader);
                }
                metrics.changed().await.ok()?;
            }
        }
    }
}

/// Checks what can be checked of a new member.
///
/// # Errors
/// [`AdminError::InvalidAddress`].
pub fn check_member(member: &Member) -> Result<(), AdminError> {
    if member.id == 0 || member.id > NODE_ID_MAX {
        return Err(AdminError::InvalidAddress(format!("node id {}: ids are 1 to 2^63 - 1", member.id)));
    }
    for (what, address) in [("client", &member.client_address), ("peer", &member.peer_address)] {
        let port = address.rsplit_once(':').filter(|(host, _)| !host.is_empty()).map(|(_, port)| port.parse::<u16>());
        if !matches!(port, Some(Ok(1..))) {
            return Err(AdminError::InvalidAddress(format!("{what} address {address:?}: host:port is wanted")));
        }
    }
    Ok(())
}

fn admin_error(error: RaftError<TypeConfig, ClientWriteError<TypeConfig>>) -> AdminError {
    match error {
        RaftError::APIError(ClientWriteError::ForwardToLeader(forward)) => {
            AdminError::NotLeader { leader: forward.leader_id }
        }
        RaftError::APIError(ClientWriteError::ChangeMembershipError(error)) => match error {
            ChangeMembershipError::InProgress(_) | ChangeMembershipError::UncommittedLeaderLog(_) => AdminError::Busy,
            ChangeMembershipError::LearnerNotFound(not_found) => AdminError::MemberUnknown(not_found.node_id),
            error => AdminError::Unknown(error.to_string()),
        },
        RaftError::APIError(error) => AdminError::Unknown(error.to_string()),
        RaftError::Fatal(_) => AdminError::Stopped,
    }
}
