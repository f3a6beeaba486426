//! A member of the cluster: what the rest of the server sees of raft.

use std::{collections::BTreeMap, fs::File, future::Future, sync::Arc, time::Duration};

use openraft::{
    Config, ReadPolicy, ServerState, SnapshotPolicy,
    errors::{ClientWriteError, Fatal, InitializeError, LinearizableReadError, RaftError},
    raft::linearizable_read::LinearizerOption,
};
use openraft_rt::{AsyncRuntime, WatchReceiver};
use parking_lot::Mutex;
use ringfence_core::{Entry, Refusal, Reply, Request};
use ringfence_proto::v1;

use super::{
    Admin, AdminDone, AdminError, BootstrapError, ForwardError, Forwards, Leadership, Member, NodeSettings, NodeStatus,
    ProposeError, Proposed, ReadIndexError, StartError,
    admin::{Administrator, check_member},
    disk,
    failure::{Ending, Failure},
    log_store::LogStore,
    network::{
        client::Network,
        forward::Forwarder,
        heard::Heard,
        listen::{Listener, Serving},
        pool::Pool,
        service::PeerService,
        vigil::Vigil,
    },
    quorum::Quorum,
    room::Room,
    runtime::{self, Runtime},
    snapshots::Snapshots,
    stall::Stall,
    standing::Standing,
    state_machine::StateMachine,
    types::{Addresses, Proposal, Raft, TypeConfig},
    upkeep::{self, Growth},
};
#[cfg(not(madsim))]
use crate::tls::BetweenMembers;
use crate::{replica::Replica, stopping::Stopping};

/// The longest that a snapshot may take to reach a member.
const SNAPSHOT_TIMEOUT: Duration = Duration::from_secs(600);
/// Longest pause between two tries to reach a member: it is found so soon when it comes back. A heartbeat, where those are more frequent.
const TRY_PAUSE_MAX: Duration = Duration::from_millis(100);
/// Entries of one request to a follower; their bytes are limited too.
const REPLICATE_ENTRIES_MAX: u64 = 1024;

/// A running member. Clones are the same member.
#[derive(Clone)]
pub struct Node {
    inner: Arc<Inner>,
}

struct Inner {
    settings: NodeSettings,
    raft: Raft,
    log: LogStore,
    snapshots: Snapshots,
    room: Room,
    stall: Stall,
    quorum: Quorum,
    standing: Standing,
    pool: Pool,
    administrator: Administrator,
    heard: Heard,
    failure: Arc<Failure>,
    stopping: Stopping,
    serving: Mutex<Option<Serving>>,
    lock: Mutex<Option<File>>,
    /// Held by who stops the node; true once it is stopped.
    stopped: tokio::sync::Mutex<bool>,
}

impl Node {
    /// Opens the disk, replays what is on it into `replica`, serves the peer port and takes part in the cluster.
    ///
    /// # Errors
    /// See [`StartError`]: each says what to do.
    pub async fn start(
        settings: NodeSettings,
        replica: Arc<Replica>,
        forwards: Arc<dyn Forwards>,
    ) -> Result<Self, StartError> {
        let config = config(&settings)?;
        // Before anything of the data is touched.
        #[cfg(not(madsim))]
        let tls = settings.peer_tls.as_ref();
        #[cfg(not(madsim))]
        let tls = tls.map(|files| BetweenMembers::read(files, &settings.peer_address)).transpose()?;
        let failure = Arc::new(Failure::default());
        let growth = Growth::new(settings.snapshot_bytes);
        let opened = {
            let (settings, failure, growth) = (settings.clone(), failure.clone(), growth.clone());
            runtime::blocking(move || disk::open(&settings, failure, growth)).await
        };
        let disk = opened.map_err(|error| StartError::Raft(error.to_string()))??;
        let listener = Listener::open(settings.peer_listen).await?;
        let pause = TRY_PAUSE_MAX.min(Duration::from_millis(settings.heartbeat_ms));
        let pool = Pool::new(settings.cluster, settings.id, pause);
        #[cfg(not(madsim))]
        let (listener, pool) = match tls {
            Some(BetweenMembers { acceptor, connector }) => {
                let pool = Pool::with_tls(settings.cluster, settings.id, pause, connector);
                (listener.with_tls(acceptor), pool)
            }
            None => (listener, pool),
        };
        let patience = (settings.silence_max() * 2).max(Duration::from_secs(1));
        let network = Network { pool: pool.clone(), snapshots: disk.snapshots.clone(), reply_timeout: patience };
        let machine = StateMachine::new(replica, &disk, growth.clone(), settings.level);
        let raft = Raft::new(settings.id, Arc::new(config), network, disk.log.clone(), machine).await;
        let raft = raft.map_err(|error| StartError::Raft(error.to_string()))?;
        let stopping = Stopping::new();
        let administrator = Administrator {
            raft: raft.clone(),
            timeout: settings.quorum_timeout,
            patience,
            stopping: stopping.clone(),
        };
        Runtime::spawn(administrator.clone().finish_changes());
        let (heard, quorum) = (Heard::default(), Quorum::default());
        let (room, stall) = (disk.room.clone(), disk.stall.clone());
        let standing = Standing::new(administrator.clone(), room, stall, quorum.clone(), heard.clone());
        let service = PeerService {
            cluster: settings.cluster,
            node: settings.id,
            raft: raft.clone(),
            snapshots: disk.snapshots.clone(),
            room: disk.room.clone(),
            standing: standing.clone(),
            administrator: administrator.clone(),
            forwards,
            vigil: Vigil::new(raft.clone(), pool.clone(), settings.id, standing.clone(), stopping.clone()),
            heard: heard.clone(),
            stopping: stopping.clone(),
        };
        let serving = listener.serve(service, stopping.clone());
        watch_for_failure(&raft, failure.clone(), disk.room.clone());
        Runtime::spawn(upkeep::keep_short(growth, raft.clone(), disk.snapshots.clone(), stopping.clone()));
        if disk.room.is_bounded() {
            Runtime::spawn(disk.room.clone().watch(standing.clone(), stopping.clone()));
        }
        Runtime::spawn(quorum.clone().watch(raft.clone(), settings.silence_max(), stopping.clone()));
        let stalls_after = Duration::from_millis(settings.election_timeout_ms_min);
        Runtime::spawn(disk.stall.clone().watch(stalls_after, standing.clone(), stopping.clone()));
        let inner = Inner {
            settings,
            raft,
            log: disk.log,
            snapshots: disk.snapshots,
            room: disk.room,
            stall: disk.stall,
            quorum,
            standing,
            pool,
            administrator,
            heard,
            failure,
            stopping,
            serving: Mutex::new(Some(serving)),
            lock: Mutex::new(disk.lock),
            stopped: tokio::sync::Mutex::new(false),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Makes a new cluster of these voters. Every initial member calls it with the same list at its start; where the disk already
    /// knows a cluster it does nothing.
    ///
    /// # Errors
    /// See [`BootstrapError`].
    pub async fn bootstrap(&self, members: Vec<Member>) -> Result<(), BootstrapError> {
        let mut nodes = BTreeMap::new();
        for member in members {
            check_member(&member).map_err(|error| BootstrapError::Members(error.to_string()))?;
            let addresses = Addresses { client: member.client_address, peer: member.peer_address };
            if nodes.insert(member.id, addresses).is_some() {
                return Err(BootstrapError::Members(format!("node {} is there twice", member.id)));
            }
        }
        if !nodes.contains_key(&self.inner.settings.id) {
            return Err(BootstrapError::Members(format!("this node, {}, isn't among them", self.inner.settings.id)));
        }
        match self.inner.raft.initialize(nodes).await {
            Ok(()) | Err(RaftError::APIError(InitializeError::NotAllowed(_))) => Ok(()),
            Err(RaftError::APIError(InitializeError::NotInMembers(error))) => {
                Err(BootstrapError::Members(error.to_string()))
            }
            Err(RaftError::Fatal(_)) => Err(BootstrapError::Stopped),
        }
    }

    /// Puts an entry into the log and waits until it is applied here. Only on the leader. Dropping the future doesn't take the
    /// entry back.
    ///
    /// # Errors
    /// See [`ProposeError`], which says whether the entry may be applied all the same.
    pub async fn propose(&self, entry: Entry) -> Result<Proposed, ProposeError> {
        if self.inner.stopping.is_stopping() || self.inner.failure.message().is_some() {
            return Err(ProposeError::Stopped);
        }
        let leadership = self.leadership();
        if !leadership.is_me {
            return Err(ProposeError::NotLeader { leader: leadership.leader });
        }
        // Only a codec that contradicts itself fails here, before anything is in the log.
        let proposal = Proposal::new(&entry).map_err(|error| {
            tracing::error!(%error, "an entry can't be read back");
            ProposeError::Stopped
        })?;
        match self.by_quorum(self.inner.raft.client_write(proposal)).await {
            Some(Ok(applied)) => Ok(Proposed {
                index: applied.log_id.index,
                term: applied.log_id.leader_id.term,
                replies: applied.data.replies,
            }),
            Some(Err(RaftError::APIError(ClientWriteError::ForwardToLeader(forward)))) => {
                Err(ProposeError::NotLeader { leader: forward.leader_id })
            }
            Some(Err(_)) | None => Err(ProposeError::Unknown),
        }
    }

    /// What comes of a call that a quorum answers. `None` if none does in time, or this node learns that it was cut off.
    async fn by_quorum<T>(&self, call: impl Future<Output = T> + Send) -> Option<T> {
        tokio::select! {
            biased;
            answered = Runtime::timeout(self.inner.settings.quorum_timeout, call) => answered.ok(),
            () = self.inner.quorum.lost() => None,
        }
    }

    /// An index such that a read after it is applied sees everything acknowledged before this call. Only on the leader; a
    /// quorum is asked. Wait for it with [`Replica::wait_applied`]. Cancel safe.
    ///
    /// # Errors
    /// See [`ReadIndexError`].
    pub async fn read_index(&self) -> Result<u64, ReadIndexError> {
        let timeout = self.inner.settings.quorum_timeout;
        let option = LinearizerOption::from(ReadPolicy::ReadIndex).with_wait_timeout(timeout);
        match self.by_quorum(self.inner.raft.get_read_log_id(option)).await {
            Some(Ok((read, _))) => Ok(read.index()),
            Some(Err(RaftError::APIError(LinearizableReadError::ForwardToLeader(forward)))) => {
                Err(ReadIndexError::NotLeader { leader: forward.leader_id })
            }
            Some(Err(RaftError::APIError(LinearizableReadError::QuorumNotEnough(_)))) | None => {
                Err(ReadIndexError::NoQuorum)
            }
            Some(Err(RaftError::Fatal(_))) => Err(ReadIndexError::Stopped),
        }
    }

    /// Has another member propose these requests; see [`Forwards::propose`].
    ///
    /// # Errors
    /// See [`ForwardError`], which says whether they may be done all the same.
    pub async fn forward_propose(
        &self,
        to: u64,
        requests: Vec<Request>,
        deadline: Duration,
    ) -> Result<Vec<Result<Reply, Refusal>>, ForwardError> {
        let address = self.address(to)?;
        self.forwarder(to, &address, deadline).propose(&requests).await
    }

    /// Asks another member for a read index; see [`Forwards::read_index`]. Cancel safe.
    ///
    /// # Errors
    /// See [`ForwardError`].
    pub async fn forward_read_index(&self, to: u64, deadline: Duration) -> Result<u64, ForwardError> {
        let address = self.address(to)?;
        self.forwarder(to, &address, deadline).read_index().await
    }

    /// Has another member do [`Node::admin`].
    ///
    /// # Errors
    /// See [`AdminError`].
    pub async fn forward_admin(&self, to: u64, admin: Admin, deadline: Duration) -> Result<AdminDone, AdminError> {
        let address = self.address(to).map_err(|error| AdminError::Unreachable(error.to_string()))?;
        self.forwarder(to, &address, deadline).admin(admin).await
    }

    /// Asks another member for its account of itself; see [`Forwards::status`]. Cancel safe.
    ///
    /// # Errors
    /// See [`ForwardError`].
    pub async fn forward_status(&self, to: u64, deadline: Duration) -> Result<v1::MemberStatus, ForwardError> {
        let address = self.address(to)?;
        self.forwarder(to, &address, deadline).status().await
    }

    fn forwarder<'a>(&'a self, to: u64, address: &'a str, deadline: Duration) -> Forwarder<'a> {
        Forwarder { pool: &self.inner.pool, to, address, deadline }
    }

    fn address(&self, to: u64) -> Result<String, ForwardError> {
        let metrics = self.inner.raft.server_metrics();
        let metrics = metrics.borrow_watched();
        let node = metrics.membership_config.get_node(&to);
        node.map(|addresses| addresses.peer.clone())
            .ok_or_else(|| ForwardError::Unreachable(format!("node {to} is not a member")))
    }

    /// Who leads, as far as this node knows now. This node doesn't, if its disk is full or stalls, or no majority answers it.
    pub fn leadership(&self) -> Leadership {
        let may_lead = self.inner.standing.may_lead();
        let metrics = self.inner.raft.server_metrics();
        let metrics = metrics.borrow_watched();
        let leads = metrics.state == ServerState::Leader && metrics.current_leader == Some(metrics.id);
        let leader = match leads {
            true if may_lead => Some(metrics.id),
            true => self.inner.standing.heard_meanwhile(),
            false => self.inner.standing.heard_meanwhile().or(metrics.current_leader),
        };
        Leadership {
            term: metrics.vote.leader_id.term,
            leader,
            is_me: leads && may_lead,
            cut_off: leads && self.inner.standing.is_cut_off(),
        }
    }

    /// Waits until [`Node::leadership`] differs from what was seen, and returns it. For ever, if the node stops. Cancel safe.
    pub async fn leadership_changed(&self, seen: &Leadership) -> Leadership {
        let mut metrics = self.inner.raft.server_metrics();
        loop {
            // The values count as seen before they are compared: a change in between wakes the wait.
            drop(metrics.borrow_and_update());
            let another = || Some(self.leadership()).filter(|now| now != seen);
            tokio::select! {
                biased;
                now = self.inner.standing.until(another) => return now,
                changed = metrics.changed() => if changed.is_err() {
                    std::future::pending::<()>().await;
                },
            }
        }
    }

    /// Waits until this node can't learn what is committed, since its disk stalls and raft waits for it. Cancel safe.
    pub async fn held_up(&self) {
        self.inner.stall.holds_raft_up().await;
    }

    /// The newest feature level that this node understands.
    pub fn level(&self) -> u32 {
        self.inner.settings.level
    }

    /// Figures about this node, for people. Who leads is more cautious here than in [`Node::leadership`]: a follower that has heard
    /// nothing of its leader for as long as the longest election time-out says that it knows none.
    pub fn status(&self) -> NodeStatus {
        let (server, data) = (self.inner.raft.server_metrics(), self.inner.raft.data_metrics());
        let (server, data) = (server.borrow_watched(), data.borrow_watched());
        NodeStatus {
            id: server.id,
            term: server.vote.leader_id.term,
            leader: server.current_leader.filter(|leader| match *leader {
                own if own == server.id => self.inner.standing.may_lead(),
                other => self.inner.heard.within(other, self.inner.settings.silence_max()),
            }),
            last_log: data.last_log.map_or(0, |id| id.index),
            committed: data.local_committed.map_or(0, |id| id.index),
            applied: data.last_applied.map_or(0, |id| id.index),
            purged: data.purged.map_or(0, |id| id.index),
            snapshot: data.snapshot.map_or(0, |id| id.index),
            disk_bytes: self.inner.log.disk_bytes() + self.inner.snapshots.disk_bytes(),
            disk_free_bytes: self.inner.room.free_bytes(),
            disk_full: self.inner.room.is_full(),
            disk_stalled: self.inner.stall.is_unsteady(),
        }
    }

    /// Who belongs to the cluster, in the order of their ids; from this node's newest configuration.
    pub fn members(&self) -> Vec<Member> {
        let metrics = self.inner.raft.server_metrics();
        let metrics = metrics.borrow_watched();
        let voters: Vec<u64> = metrics.membership_config.voter_ids().collect();
        let member = |(id, addresses): (&u64, &Addresses)| Member {
            id: *id,
            client_address: addresses.client.clone(),
            peer_address: addresses.peer.clone(),
            voter: voters.contains(id),
        };
        metrics.membership_config.nodes().map(member).collect()
    }

    /// Changes the members, or who leads. Only on the leader. Waits until it is done.
    ///
    /// # Errors
    /// See [`AdminError`].
    pub async fn admin(&self, admin: Admin) -> Result<AdminDone, AdminError> {
        self.inner.administrator.admin(admin).await
    }

    /// Builds a snapshot now, and lets the log go up to it. Returns when that is begun.
    pub async fn snapshot(&self) {
        // Only a stopped raft refuses.
        let _ = self.inner.raft.trigger().snapshot().await;
    }

    /// Stops in good order: hands leadership over if this node leads (bounded by
    /// [`NodeSettings::handover_timeout`]), stops raft, syncs, closes the disk and the peer port. A second call waits for the first.
    pub async fn stop(&self) {
        let mut stopped = self.inner.stopped.lock().await;
        if *stopped {
            return;
        }
        self.hand_over().await;
        self.inner.stopping.stop();
        let _ = self.inner.raft.shutdown().await;
        let serving = self.inner.serving.lock().take();
        if let Some(serving) = serving {
            serving.end().await;
        }
        self.inner.log.close().await;
        self.inner.lock.lock().take();
        *stopped = true;
    }

    async fn hand_over(&self) {
        if !self.leadership().is_me || self.inner.failure.message().is_some() {
            return;
        }
        if self.inner.administrator.give_away().await {
            let led = self.inner.administrator.led_by_another(self.inner.settings.id);
            let _ = Runtime::timeout(self.inner.settings.handover_timeout, led).await;
        }
    }

    /// Ends as a killed process does: without a word to anyone.
    #[cfg(test)]
    pub(super) async fn die(&self) {
        let serving = self.inner.serving.lock().take();
        if let Some(serving) = serving {
            serving.cut().await;
        }
        self.inner.stopping.stop();
        let _ = self.inner.raft.shutdown().await;
        self.inner.log.close().await;
        self.inner.lock.lock().take();
        *self.inner.stopped.lock().await = true;
    }

    /// Stands for election now, as if asked to by whom it follows: the others' leases don't bar it.
    #[cfg(test)]
    pub(super) async fn stand(&self) {
        let vote = self.inner.raft.server_metrics().borrow_watched().vote;
        let request = openraft::raft::TransferLeaderRequest::<TypeConfig>::new(vote, self.inner.settings.id, None);
        let _ = self.inner.raft.handle_transfer_leader(request).await;
    }

    /// Resolves with a message when the node can't go on: a failed sync, damage. It has then stopped taking part; the process
    /// must end. Cancel safe.
    pub fn failed(&self) -> impl Future<Output = Ending> + Send + 'static {
        let failure = self.inner.failure.clone();
        async move { failure.wait().await }
    }
}

fn config(settings: &NodeSettings) -> Result<Config, StartError> {
    if settings.cluster == 0 || settings.id == 0 || settings.id > i64::MAX as u64 {
        return Err(StartError::Settings("cluster and node ids are positive, and node ids below 2^63".to_owned()));
    }
    let config = Config {
        cluster_name: format!("{:016x}", settings.cluster),
        heartbeat_interval: settings.heartbeat_ms,
        election_timeout_min: settings.election_timeout_ms_min,
        election_timeout_max: settings.election_timeout_ms_max,
        install_snapshot_timeout: u64::try_from(SNAPSHOT_TIMEOUT.as_millis()).unwrap_or(u64::MAX),
        max_payload_entries: REPLICATE_ENTRIES_MAX,
        snapshot_policy: SnapshotPolicy::LogsSinceLast(settings.snapshot_entries),
        // What is purged is said by `upkeep` alone: where both do, openraft's own may fall behind ours, which it takes for a mistake.
        max_in_snapshot_log_to_keep: u64::MAX,
        replication_lag_threshold: settings.snapshot_entries.saturating_add(settings.keep_entries),
        enable_pre_vote: Some(true),
        // A restarted leader is elected anew, like anyone else.
        enable_leader_restore: Some(false),
        ..Config::default()
    };
    config.validate().map_err(|error| StartError::Settings(error.to_string()))
}

/// What ends openraft ends the node: storage errors reach it through openraft, and not only through the log.
fn watch_for_failure(raft: &Raft, failure: Arc<Failure>, room: Room) {
    let mut metrics = raft.metrics();
    Runtime::spawn(async move {
        loop {
            let running = metrics.borrow_and_update().running_state.clone();
            match running {
                Ok(()) => {}
                Err(Fatal::<TypeConfig>::Stopped) => return,
                // openraft keeps the words of what the disk said, and not its kind.
                Err(Fatal::StorageError(error)) if room.is_used_up().await => {
                    return failure.set_full(format!("raft has stopped: {error}"));
                }
                Err(fatal) => return failure.set(format!("raft has stopped: {fatal}")),
            }
            if metrics.changed().await.is_err() {
                return;
            }
        }
    });
}
