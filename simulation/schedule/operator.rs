//! Who changes the members, as an operator would: from a machine that is never cut off, one change at a time, and again until it is
//! known what became of it.

use std::{
    collections::BTreeSet,
    net::Ipv4Addr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use madsim::{runtime::Handle, task::NodeId};
use ringfence_client::{Client, Error, Members};

use crate::{
    history::{Action, Answer, ClientId, Ended, History},
    world::{World, client},
};

/// Whole time of a call.
const DEADLINE: Duration = Duration::from_secs(8);
/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(500);
/// After this long a change that doesn't succeed is given up, where it may be.
const PATIENCE: Duration = Duration::from_secs(40);
/// A server that was taken out hears of it within this time, and then is switched off.
const FAREWELL: Duration = Duration::from_secs(2);
/// A cluster doesn't grow beyond so many servers.
const MEMBERS_MAX: usize = 7;
/// Fewer voters than this are never left.
const VOTERS_MIN: usize = 3;

/// The operator; a clone is the same one.
#[derive(Clone)]
pub struct Operator {
    world: World,
    machine: NodeId,
    /// Under which number the operator's calls are recorded.
    number: ClientId,
    /// Held during a change.
    turn: Arc<tokio::sync::Mutex<()>>,
    known: Arc<Mutex<Known>>,
}

struct Known {
    /// Who votes.
    voters: BTreeSet<u64>,
    /// Servers whose disks are lost.
    lost: BTreeSet<u64>,
    /// A change was begun of which it isn't known what became of it.
    unsure: bool,
    /// Replacements that aren't done.
    replacing: usize,
}

impl Known {
    /// With these voters, a quorum has all that was acknowledged, and can decide.
    fn can_bear(&self, voters: &BTreeSet<u64>, lost: &BTreeSet<u64>) -> bool {
        voters.difference(lost).count() > voters.len() / 2
    }
}

impl Operator {
    /// On a machine of its own.
    #[must_use]
    pub fn new(world: &World) -> Self {
        let machine =
            Handle::current().create_node().name("operator").ip(Ipv4Addr::new(10, 0, 2, 1).into()).build().id();
        let voters = world.servers().into_iter().collect();
        let known = Known { voters, lost: BTreeSet::new(), unsure: false, replacing: 0 };
        let number = ClientId::try_from(world.clients().len()).unwrap_or(ClientId::MAX - 1) + 1;
        Self { world: world.clone(), machine, number, turn: Arc::default(), known: Arc::new(Mutex::new(known)) }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Voters whose disks are whole, if no change is under way of which nobody knows how it ends.
    #[must_use]
    pub fn settled(&self) -> Option<(BTreeSet<u64>, usize)> {
        let half_done = |history: &History| {
            let newest = history.voters.iter().max_by_key(|voters| voters.index);
            newest.is_some_and(|voters| voters.groups.len() > 1)
        };
        let known = self.known();
        let settled = !known.unsure && self.turn.try_lock().is_ok() && !self.world.recorder().read(half_done);
        settled.then(|| (known.voters.difference(&known.lost).copied().collect(), known.voters.len()))
    }

    /// Nothing is left to replace.
    #[must_use]
    pub fn replaced_all(&self) -> bool {
        self.known().replacing == 0
    }

    /// Marks a disk as lost, if the others can bear it. Not during a change, since it isn't known then who the others are.
    #[must_use]
    pub fn may_lose(&self, id: u64) -> bool {
        let Ok(_turn) = self.turn.try_lock() else { return false };
        let mut known = self.known();
        let mut lost = known.lost.clone();
        let new = lost.insert(id);
        let may = new && !known.unsure && known.can_bear(&known.voters, &lost);
        if may {
            known.lost = lost;
        }
        may
    }

    /// Does something with a client, on the operator's machine.
    pub async fn with_client<F, T>(&self, work: impl FnOnce(Client) -> F + Send + 'static) -> Result<T, String>
    where
        F: Future<Output = T> + Send + 'static,
        T: Send + 'static,
    {
        let servers = self.world.servers();
        let node = Handle::current().get_node(self.machine).ok_or("no machine for the operator")?;
        let done = node.spawn(async move {
            let client = client(&servers, DEADLINE)?;
            Ok::<_, String>(work(client).await)
        });
        done.await.map_err(|error| error.to_string())?
    }

    /// The members, linearizably. From here on they are known.
    pub async fn members(&self) -> Option<Members> {
        let read = self.with_client(|client| async move { client.cluster().members().await }).await;
        let members = read.ok()?.ok()?;
        let mut known = self.known();
        known.voters = members.members.iter().filter(|member| member.voter).map(|member| member.id).collect();
        known.unsure = false;
        Some(members)
    }

    /// A change, recorded as a call. True if it was done.
    async fn change<F>(&self, what: String, work: impl FnOnce(Client) -> F + Send + 'static) -> bool
    where
        F: Future<Output = Result<(), Error>> + Send + 'static,
    {
        let call = self.world.recorder().call(self.number, Action::Admin { what });
        self.known().unsure = true;
        let done = self.with_client(work).await;
        let (ended, ok) = match done {
            Ok(Ok(())) => (Ended::Ok(Answer::Done), true),
            Ok(Err(Error::Refused { reason, .. })) => (Ended::Refused(reason), false),
            _ => (Ended::Unknown, false),
        };
        call.end(ended);
        ok
    }

    async fn add(&self, id: u64) -> bool {
        let member = self.world.member(id);
        let add = move |client: Client| async move {
            client.cluster().add_learner(id, &member.client_address, &member.peer_address).await.map(drop)
        };
        self.change(format!("add {id}"), add).await
    }

    async fn promote_this(&self, id: u64) -> bool {
        let promote = move |client: Client| async move { client.cluster().promote(id, false).await.map(drop) };
        self.change(format!("promote {id}"), promote).await
    }

    /// With `force` it is removed although others are down, and the cluster may stand still until they are back.
    async fn remove_this(&self, id: u64, force: bool) -> bool {
        let remove = move |client: Client| async move { client.cluster().remove(id, force).await.map(drop) };
        let what = if force { format!("remove {id} by force") } else { format!("remove {id}") };
        self.change(what, remove).await
    }

    /// Brings the cluster step by step to where `wanted` holds: a new server in it as a voter (or a learner), an old one not.
    /// False if it was given up; with `insist` that never happens.
    async fn bring(&self, newcomer: Option<(u64, bool)>, leaver: Option<u64>, insist: bool) -> bool {
        let until = self.world.recorder().now() + u64::try_from(PATIENCE.as_nanos()).unwrap_or(u64::MAX);
        let mut removals = 0;
        loop {
            if let Some(members) = self.members().await {
                let role = |id: u64| members.members.iter().find(|member| member.id == id).map(|member| member.voter);
                match (newcomer.map(|(id, votes)| (id, votes, role(id))), leaver.filter(|id| role(*id).is_some())) {
                    (Some((id, _, None)), _) => drop(self.add(id).await),
                    (Some((id, true, Some(false))), _) => drop(self.promote_this(id).await),
                    (_, Some(id)) => {
                        removals += 1;
                        // Whoever is down while one leaves comes back, unless its disk is lost, which was seen to.
                        self.remove_this(id, removals > 1).await;
                    }
                    (_, None) => return true,
                }
            } else if !insist && self.world.recorder().now() > until {
                return false;
            }
            if !insist && self.world.recorder().now() > until {
                // What became of the last change decides who votes.
                self.members().await;
                return false;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// A new server joins; it learns for a while, and then votes unless `learns` is `None`. True if it came so far.
    pub async fn grow(&self, learns: Option<Duration>) -> bool {
        let _turn = self.turn.lock().await;
        let Some(members) = self.members().await else { return false };
        if members.members.len() >= MEMBERS_MAX {
            return false;
        }
        let id = self.world.new_server();
        let joined = self.bring(Some((id, false)), None, false).await;
        match learns {
            Some(learns) if joined => {
                tokio::time::sleep(learns).await;
                self.bring(Some((id, true)), None, false).await
            }
            _ => joined,
        }
    }

    /// The oldest learner becomes a voter. False if there is none, or it couldn't be done.
    pub async fn promote(&self) -> bool {
        let _turn = self.turn.lock().await;
        let Some(members) = self.members().await else { return false };
        let learner = members.members.iter().filter(|member| !member.voter).map(|member| member.id).min();
        match learner {
            Some(id) => self.bring(Some((id, true)), None, false).await,
            None => false,
        }
    }

    /// A server leaves, if enough stay that have all and can decide. True if it left.
    pub async fn remove(&self, id: u64) -> bool {
        let _turn = self.turn.lock().await;
        if self.members().await.is_none() {
            return false;
        }
        let bears = {
            let known = self.known();
            let mut voters = known.voters.clone();
            let votes = voters.remove(&id);
            // A learner may go whenever it likes.
            !votes || (voters.len() >= VOTERS_MIN && known.can_bear(&voters, &known.lost))
        };
        bears && self.bring(None, Some(id), false).await && self.farewell(id).await
    }

    /// A server leaves and a new one takes its place. True if both was done.
    pub async fn replace(&self, id: u64) -> bool {
        let _turn = self.turn.lock().await;
        let Some(members) = self.members().await else { return false };
        if !members.members.iter().any(|member| member.id == id) {
            return false;
        }
        let bears = {
            let known = self.known();
            let mut voters = known.voters.clone();
            voters.remove(&id);
            known.can_bear(&voters, &known.lost)
        };
        if !bears {
            return false;
        }
        let newcomer = self.world.new_server();
        self.bring(Some((newcomer, true)), Some(id), false).await && self.farewell(id).await
    }

    /// A server that lost its disk (see [`Operator::may_lose`]) is replaced, however long it takes.
    pub async fn replace_lost(&self, id: u64) {
        self.known().replacing += 1;
        self.world.retire(id);
        {
            let _turn = self.turn.lock().await;
            let newcomer = self.world.new_server();
            self.bring(Some((newcomer, true)), Some(id), true).await;
        }
        self.known().replacing -= 1;
    }

    /// Switches off a server that has left.
    async fn farewell(&self, id: u64) -> bool {
        tokio::time::sleep(FAREWELL).await;
        self.known().lost.insert(id);
        self.world.retire(id);
        true
    }

    /// Leadership is handed over. True if it was.
    pub async fn transfer(&self, to: u64) -> bool {
        let call = self.world.recorder().call(self.number, Action::Admin { what: format!("transfer {to}") });
        let transfer = move |client: Client| async move { client.cluster().transfer_leader(Some(to)).await };
        match self.with_client(transfer).await {
            Ok(Ok(_)) => {
                call.end(Ended::Ok(Answer::Done));
                true
            }
            Ok(Err(Error::Refused { reason, .. })) => {
                call.end(Ended::Refused(reason));
                false
            }
            _ => {
                call.end(Ended::Unknown);
                false
            }
        }
    }
}
