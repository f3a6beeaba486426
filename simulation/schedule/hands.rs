//! What faults do to the world, so that they may overlap: a link that two faults cut is mended when both are over.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use madsim::runtime::Handle;

use super::{
    Kept, Node, Of, Whom,
    overlap::{less, more},
};
use crate::world::{self, Machine, MessageFaults, Odds, World};

/// Whoever does faults; a clone is the same one.
#[derive(Clone)]
pub struct Hands {
    /// The world in which they are done.
    pub world: World,
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    over: AtomicBool,
    held: Mutex<Held>,
}

/// What is broken now, and how many times.
#[derive(Default)]
struct Held {
    cut: BTreeMap<(Machine, Machine), u32>,
    paused: BTreeMap<Machine, u32>,
    syncs_fail: BTreeMap<u64, u32>,
    full: BTreeMap<u64, u32>,
    messages: BTreeMap<u32, (Of, Odds)>,
    /// Servers that are to run from now on, whatever was done to them before.
    mended: BTreeSet<u64>,
}

impl From<Kept> for world::Kept {
    fn from(kept: Kept) -> Self {
        match kept {
            Kept::Nothing => Self::Nothing,
            Kept::Writes(writes) => Self::Writes(writes as usize),
            Kept::All => Self::All,
        }
    }
}

impl From<Node> for Machine {
    fn from(node: Node) -> Self {
        match node {
            Node::Server(id) => Machine::Server(id),
            Node::Client(number) => Machine::Client(number),
        }
    }
}

impl Hands {
    /// With nothing broken.
    #[must_use]
    pub fn new(world: &World) -> Self {
        Self { world: world.clone(), inner: Arc::default() }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.inner.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// No fault does anything any more, nor mends what it did.
    #[must_use]
    pub fn over(&self) -> bool {
        self.inner.over.load(Ordering::Relaxed)
    }

    /// From now on no fault does anything any more. What is broken stays so.
    pub fn end(&self) {
        self.inner.over.store(true, Ordering::Relaxed);
    }

    /// The server that is meant at this moment; `None` if there is none.
    #[must_use]
    pub fn server(&self, whom: Whom, there: Option<u64>) -> Option<u64> {
        whom.among(&self.world.servers(), self.world.leader(), there)
    }

    /// All servers and clients.
    #[must_use]
    pub fn machines(&self) -> Vec<Machine> {
        let servers = self.world.servers().into_iter().map(Machine::Server);
        servers.chain(self.world.clients().into_iter().map(Machine::Client)).collect()
    }

    /// Cuts links, each from the first to the second. True if one was whole.
    pub fn cut(&self, links: &[(Machine, Machine)]) -> bool {
        let mut held = self.held();
        let first: Vec<_> = links.iter().copied().filter(|link| more(&mut held.cut, *link)).collect();
        first.into_iter().fold(false, |any, (from, to)| self.world.link(from, to, false) || any)
    }

    /// Ends one cut of each link.
    pub fn mend(&self, links: &[(Machine, Machine)]) {
        if self.over() {
            return;
        }
        let mut held = self.held();
        for (from, to) in links {
            if less(&mut held.cut, &(*from, *to)) {
                self.world.link(*from, *to, true);
            }
        }
    }

    /// Stops a machine where it is. True if it ran.
    pub fn pause(&self, machine: Machine) -> bool {
        if !more(&mut self.held().paused, machine) {
            return false;
        }
        match machine {
            Machine::Server(id) => self.world.pause(id),
            Machine::Client(number) => {
                Handle::current().pause(format!("client {number}"));
                true
            }
        }
    }

    /// Ends one pause of a machine.
    pub fn resume(&self, machine: Machine) {
        if !self.over() && less(&mut self.held().paused, &machine) {
            self.wake(machine);
        }
    }

    fn wake(&self, machine: Machine) {
        match machine {
            Machine::Server(id) => {
                self.world.resume(id);
            }
            Machine::Client(number) => Handle::current().resume(format!("client {number}")),
        }
    }

    /// Starts a server again after a fault, unless its disk still is no good. When faults are over, it stays down unless it was
    /// mended: one that was being stopped then ends only now.
    pub fn boot(&self, id: u64) -> bool {
        let may = {
            let held = self.held();
            let broken = held.syncs_fail.contains_key(&id) || held.full.contains_key(&id);
            !broken && (!self.over() || held.mended.contains(&id))
        };
        may && self.world.boot(id)
    }

    /// Syncs of a server's disk fail.
    pub fn fail_syncs(&self, id: u64) -> bool {
        let first = more(&mut self.held().syncs_fail, id);
        let disk = self.world.disk(id).filter(|_| first);
        disk.map(|disk| disk.fail_syncs(true)).is_some() && self.world.is_up(id)
    }

    /// Ends one failure of syncs.
    pub fn work_syncs(&self, id: u64) {
        if !self.over() && less(&mut self.held().syncs_fail, &id) {
            self.world.disk(id).into_iter().for_each(|disk| disk.fail_syncs(false));
        }
    }

    /// A server's disk is full.
    pub fn fill(&self, id: u64) -> bool {
        let first = more(&mut self.held().full, id);
        let disk = self.world.disk(id).filter(|_| first);
        disk.map(|disk| disk.set_full(true)).is_some() && self.world.is_up(id)
    }

    /// There is room again, if nothing else has filled it.
    pub fn empty(&self, id: u64) {
        if !self.over() && less(&mut self.held().full, &id) {
            self.world.disk(id).into_iter().for_each(|disk| disk.set_full(false));
        }
    }

    /// Syncs of a disk take this long.
    pub fn sync_time(&self, id: u64, time: Duration) -> bool {
        !self.over() && self.world.sync_time(id, time) && self.world.is_up(id)
    }

    /// Messages suffer this, beside what else they suffer, under a number.
    pub fn trouble(&self, number: u32, of: Of, odds: Odds) {
        self.held().messages.insert(number, (of, odds));
        self.tell_messages();
    }

    /// Ends what stands under that number.
    pub fn calm(&self, number: u32) {
        if !self.over() {
            self.held().messages.remove(&number);
            self.tell_messages();
        }
    }

    fn tell_messages(&self) {
        let mut faults = MessageFaults::default();
        for (of, odds) in self.held().messages.values() {
            if matches!(of, Of::Raft | Of::Both) {
                add(&mut faults.servers, odds);
            }
            if matches!(of, Of::Calls | Of::Both) {
                add(&mut faults.clients, odds);
            }
        }
        self.world.messages(faults);
    }

    /// Mends everything but what is lost for good: links, messages, disks, pauses, and (among these servers) processes that
    /// are down. Others stay as they are.
    pub fn mend_all(&self, servers: &[u64]) {
        self.end();
        let paused = {
            let mut held = self.held();
            held.cut.clear();
            held.messages.clear();
            held.mended.extend(servers);
            std::mem::take(&mut held.paused)
        };
        self.world.heal_network();
        for machine in paused.into_keys() {
            match machine {
                Machine::Server(id) if !servers.contains(&id) => {}
                machine => self.wake(machine),
            }
        }
        for id in servers {
            if let Some(disk) = self.world.disk(*id) {
                disk.fail_syncs(false);
                disk.set_full(false);
            }
            self.world.sync_time(*id, self.world.plan().sync_time);
            self.world.resume(*id);
            self.world.boot(*id);
        }
        let mut held = self.held();
        held.syncs_fail.clear();
        held.full.clear();
    }
}

/// Independent troubles on top of each other.
fn add(sum: &mut Odds, odds: &Odds) {
    for (sum, odds) in [
        (&mut sum.delay, odds.delay),
        (&mut sum.twice, odds.twice),
        (&mut sum.lose, odds.lose),
        (&mut sum.lose_answer, odds.lose_answer),
        (&mut sum.hang, odds.hang),
    ] {
        *sum = (*sum + odds).min(1.0);
    }
    sum.late_max = sum.late_max.max(odds.late_max);
}
