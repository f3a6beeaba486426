//! Changes of the members, and of who leads. On the leader only.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
    time::Duration,
};

use openraft::{
    ChangeMembers, ServerState,
    errors::{ChangeMembershipError, ClientWriteError, PreconditionFailed, RaftError},
    raft::Precondition,
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
type Instant = <Runtime as AsyncRuntime>::Instant;

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
    /// A member that doesn't answer for so long is out of touch.
    pub patience: Duration,
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
            Admin::Remove { id, force } => self.remove(id, force).await?,
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
        if !force {
            self.expect_follows(id).await?;
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

    /// A learner that doesn't answer may not exist, or not any more: with its vote, a quorum could be out of reach for good.
    async fn expect_follows(&self, id: u64) -> Result<(), AdminError> {
        let silent = self.ask(&BTreeSet::from([id]), 1).await.is_empty();
        let lag = self.lag(id);
        if !silent && lag.heard_of && lag.entries <= PROMOTION_LAG_MAX {
            return Ok(());
        }
        self.expect_leader()?;
        Err(AdminError::LearnerLags { id, behind: lag.entries, limit: PROMOTION_LAG_MAX, silent })
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

    async fn remove(&self, id: u64, force: bool) -> Result<(), AdminError> {
        if !self.is_member(id) {
            return Err(AdminError::MemberUnknown(id));
        }
        if !self.voters().contains(&id) {
            return self.change(ChangeMembers::RemoveNodes(BTreeSet::from([id]))).await;
        }
        let (configuration, left) = self.voters_without(id);
        if left.is_empty() {
            return Err(AdminError::LastVoter(id));
        }
        let heirs = if force { self.in_touch() } else { self.expect_majority(id, &left).await? };
        if id == *self.raft.node_id()
            && let Some(heir) = self.most_of_log(&(&left & &heirs))
        {
            // Led by another, the cluster loses this node as it would any follower: there is no time without a leader, but for the hand-over.
            return Err(AdminError::NotLeader { leader: self.hand_to(heir).await? });
        }
        // Another change in between would have left other voters than those that were asked.
        self.change_of(configuration, ChangeMembers::RemoveVoters(BTreeSet::from([id]))).await
    }

    /// The place of the newest configuration, and who votes after the change under way, if there is one, without this one.
    fn voters_without(&self, id: u64) -> (Option<LogId>, BTreeSet<u64>) {
        let metrics = self.raft.server_metrics();
        let metrics = metrics.borrow_watched();
        let configuration = &metrics.membership_config;
        let voters = configuration.membership().get_joint_config().last().cloned().unwrap_or_default();
        (*configuration.log_id(), voters.into_iter().filter(|voter| *voter != id).collect())
    }

    /// Those of the voters left without this one who answer now: enough of them that they can go on.
    async fn expect_majority(&self, id: u64, left: &BTreeSet<u64>) -> Result<BTreeSet<u64>, AdminError> {
        let needed = left.len() / 2 + 1;
        let answer = self.ask(left, needed).await;
        if answer.len() >= needed {
            return Ok(answer);
        }
        self.expect_leader()?;
        let silent = left.difference(&answer).copied().collect();
        Err(AdminError::QuorumAtRisk { id, reachable: answer.len() as u64, needed: needed as u64, silent })
    }

    /// Asks all members now, and waits for so many of these to answer, as long as [`Administrator::patience`] lasts. Gives those of these
    /// that have answered; this node always has. What was heard before doesn't count: who answered may have died since. Cancel safe.
    async fn ask(&self, these: &BTreeSet<u64>, enough: usize) -> BTreeSet<u64> {
        let asked = Instant::now();
        let answer = || &self.acknowledged(|sent| sent >= asked) & these;
        let mut metrics = self.raft.metrics();
        // The next heartbeat may be a while off. Only a stopped raft refuses.
        let _ = self.raft.trigger().heartbeat().await;
        let waiting = async {
            loop {
                // What is there counts as seen before it is looked at: a change in between wakes the wait.
                drop(metrics.borrow_and_update());
                if answer().len() >= enough || self.expect_leader().is_err() || metrics.changed().await.is_err() {
                    return;
                }
            }
        };
        let _ = Runtime::timeout(self.patience, waiting).await;
        answer()
    }

    /// The members that answered a moment ago, this node among them.
    fn in_touch(&self) -> BTreeSet<u64> {
        self.acknowledged(|sent| sent.elapsed() < self.patience)
    }

    /// As a leader: the members whose newest acknowledgement is of something that was sent at such a time, and this node.
    fn acknowledged(&self, at: impl Fn(Instant) -> bool) -> BTreeSet<u64> {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        let others = metrics.heartbeat.iter().flatten();
        let others = others.filter(|(_, sent)| sent.is_some_and(|sent| at(*sent))).map(|(id, _)| *id);
        others.chain([*self.raft.node_id()]).collect()
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
        self.change_of(None, change).await
    }

    /// A change of the configuration at this place alone, if one is given.
    async fn change_of(&self, configuration: Option<LogId>, change: Change) -> Result<(), AdminError> {
        #[cfg(madsim)]
        ringfence_probes::hooks::happened(ringfence_probes::hooks::Happening::MembersProposed);
        let unchanged = configuration.map(|at| Precondition::LastMembershipLogId { last_membership_log_id: Some(at) });
        let changing = self.raft.change_membership_if(change, false, unchanged);
        match Runtime::timeout(self.timeout, changing).await {
            Ok(Ok(_)) => Ok(()),
            // Of another place it is openraft's own, between the two steps of the change: half of it is done then.
            Ok(Err(RaftError::APIError(ClientWriteError::PreconditionFailed(
                PreconditionFailed::LastMembershipLogIdMismatch { expected, .. },
            )))) if expected == configuration => Err(AdminError::Busy),
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
        match self.hand_to(target).await? {
            Some(leader) if leader == target || id == 0 => {
                #[cfg(madsim)]
                ringfence_probes::hit(ringfence_probes::marks::LEADERSHIP_TRANSFERRED);
                Ok(AdminDone { leader: Some(leader) })
            }
            Some(leader) => Err(AdminError::Unknown(format!("node {leader} leads now"))),
            None => Err(AdminError::Unknown(format!("node {target} did not take over in time"))),
        }
    }

    /// Hands leadership over and waits until another node leads, which is given; `None` if that takes too long.
    async fn hand_to(&self, heir: u64) -> Result<Option<u64>, AdminError> {
        self.raft.trigger().transfer_leader(heir).await.map_err(|_| AdminError::Stopped)?;
        match Runtime::timeout(self.timeout, self.led_by_another(*self.raft.node_id())).await {
            Ok(Some(leader)) => Ok(Some(leader)),
            Ok(None) => Err(AdminError::Stopped),
            Err(_) => Ok(None),
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

    /// The voter beside this node that has most of the log, of those that are in touch, if any is.
    fn best_voter(&self) -> Option<u64> {
        let voters = self.voters();
        self.most_of_log(&(&voters & &self.in_touch())).or_else(|| self.most_of_log(&voters))
    }

    /// Who has most of the log, beside this node.
    fn most_of_log(&self, of: &BTreeSet<u64>) -> Option<u64> {
        let me = *self.raft.node_id();
        let metrics = self.raft.data_metrics();
        let metrics = metrics.borrow_watched();
        let replication = metrics.replication.as_ref()?;
        let others = of.iter().copied().filter(|id| *id != me);
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
