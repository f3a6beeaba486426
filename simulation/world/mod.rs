//! Servers with their disks and clocks, machines for clients, and the links between them.
//!
//! - [`lives`]: a server from start to end, and again from its disk.
//! - [`net`]: links that are cut or slow, and the fates of messages.
//! - [`observer`]: tells the recorder what replicas apply.
//! - `hooks`: what servers and clients tell from inside, and what they are told.
//! - [`look`]: clients, and waits for what they see.
//!
//! All of it runs on one thread. A [`World`] is cheap to clone; clones are the same world.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use madsim::{runtime::Handle, task::NodeId};
use ringfence_client::Client;
use ringfence_probes::hooks::Happening;
use ringfence_server::raft::MemoryDisk;
use tempfile::TempDir;
use tokio::sync::mpsc;

use crate::history::{Recorder, Time};

mod hooks;
pub mod lives;
pub mod logs;
pub mod look;
pub mod net;
pub mod observer;
#[cfg(test)]
mod tests;

pub use crate::history::Machine;
pub use lives::Kept;
pub use look::{client, status, until};
pub use net::{MessageFaults, Odds};

use lives::Machinery;
use net::Net;

const CLIENT_PORT: u16 = 7601;
const PEER_PORT: u16 = 7611;
/// How often the logs on the disks are written down.
const LOGS_EVERY: Duration = Duration::from_secs(5);
/// How much faster or slower a clock may run: the allowance of leases is a hundredth of the TTL, shared by two clocks.
pub const DRIFT_ALLOWANCE_PPM: u64 = 5_000;

/// What a world is made of.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Servers that found the cluster, 1 and up.
    pub servers: u8,
    /// Machines for clients, numbered from 1.
    pub clients: u8,
    /// Of the world's own generators.
    pub seed: u64,
    /// Entries between snapshots.
    pub snapshot_entries: u64,
    /// Entries kept before a snapshot.
    pub keep_entries: u64,
    /// How often a leader is heard, in milliseconds.
    pub heartbeat_ms: u64,
    /// Shortest silence before an election, in milliseconds.
    pub election_timeout_ms_min: u64,
    /// Longest one.
    pub election_timeout_ms_max: u64,
    /// How long a sync of a healthy disk takes; 0: none at all.
    pub sync_time: Duration,
    /// Logs are kept by real sled in a directory of the system, and not on simulated disks. What a kill leaves is all that was
    /// written, and what is on a disk isn't known to the history.
    pub real_disks: bool,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            servers: 3,
            clients: 5,
            seed: 1,
            snapshot_entries: 500,
            keep_entries: 100,
            heartbeat_ms: 100,
            election_timeout_ms_min: 300,
            election_timeout_ms_max: 600,
            sync_time: Duration::from_millis(1),
            real_disks: false,
        }
    }
}

/// The world.
#[derive(Clone)]
pub struct World {
    shared: Arc<Shared>,
}

struct Shared {
    plan: Plan,
    /// Where real disks are; it goes with the world.
    directory: Option<TempDir>,
    handle: Handle,
    recorder: Recorder,
    inner: Mutex<Inner>,
}

struct Inner {
    machines: BTreeMap<Machine, NodeId>,
    by_node: BTreeMap<NodeId, Machine>,
    servers: BTreeMap<u64, Machinery>,
    /// The newest term that was seen, and its leader.
    led: (u64, u64),
    drift: BTreeMap<Machine, Drift>,
    net: Net,
    listeners: Vec<mpsc::UnboundedSender<(Time, u64, Happening)>>,
    /// How often each thing happened.
    happened: BTreeMap<Happening, u64>,
    terms: logs::Terms,
    next_server: u64,
    gone: BTreeSet<u64>,
}

/// How a machine's clock runs.
#[derive(Clone, Copy, Debug)]
struct Drift {
    ppm: i64,
    /// True time at which it began to run like this.
    since: Time,
    /// What it read then, in nanoseconds.
    local: u64,
}

impl Drift {
    fn local_ns(&self, now: Time) -> u64 {
        let passed = i128::from(now.saturating_sub(self.since));
        let more = passed * i128::from(self.ppm) / 1_000_000;
        u64::try_from(i128::from(self.local) + passed + more).unwrap_or(u64::MAX)
    }
}

impl World {
    /// Starts all servers of the first cluster. Only inside of madsim's runtime.
    #[must_use]
    pub fn start(plan: &Plan, recorder: Recorder) -> Self {
        let handle = Handle::current();
        let inner = Inner {
            machines: BTreeMap::new(),
            by_node: BTreeMap::new(),
            servers: BTreeMap::new(),
            led: (0, 0),
            drift: BTreeMap::new(),
            net: Net::new(plan.seed),
            listeners: Vec::new(),
            happened: BTreeMap::new(),
            terms: logs::Terms::default(),
            next_server: u64::from(plan.servers) + 1,
            gone: BTreeSet::new(),
        };
        let directory =
            plan.real_disks.then(|| tempfile::tempdir().unwrap_or_else(|error| panic!("no directory: {error}")));
        let shared = Shared { plan: plan.clone(), directory, handle, recorder, inner: Mutex::new(inner) };
        let world = Self { shared: Arc::new(shared) };
        hooks::listen(&world);
        for number in 1..=u32::from(plan.clients) {
            let ip = Ipv4Addr::new(10, 0, 1, u8::try_from(number).unwrap_or(u8::MAX));
            world.machine(Machine::Client(number), format!("client {number}"), ip);
        }
        for id in 1..=u64::from(plan.servers) {
            world.add_server(id, false);
        }
        let looking = world.clone();
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(LOGS_EVERY).await;
                looking.record_logs();
            }
        });
        world
    }

    fn machine(&self, machine: Machine, name: String, ip: Ipv4Addr) -> NodeId {
        let node = self.shared.handle.create_node().name(name).ip(ip.into()).build().id();
        let mut inner = self.inner();
        // A clock says how long, not when: no two begin at the same reading.
        let begin = Drift { ppm: 0, since: self.recorder().now(), local: clock_begins(self.shared.plan.seed, machine) };
        inner.drift.insert(machine, begin);
        inner.machines.insert(machine, node);
        inner.by_node.insert(node, machine);
        node
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.shared.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Servers that exist now: founding and new ones, up or down, but not retired ones.
    #[must_use]
    pub fn servers(&self) -> Vec<u64> {
        let inner = self.inner();
        inner.servers.keys().filter(|id| !inner.gone.contains(*id)).copied().collect()
    }

    /// Numbers of the clients' machines.
    #[must_use]
    pub fn clients(&self) -> Vec<u32> {
        (1..=u32::from(self.shared.plan.clients)).collect()
    }

    /// What it is made of.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.shared.plan
    }

    /// Who writes down what happens.
    #[must_use]
    pub fn recorder(&self) -> &Recorder {
        &self.shared.recorder
    }

    /// From now on, everything that happens inside of servers, with moment and server.
    #[must_use]
    pub fn on_happening(&self) -> mpsc::UnboundedReceiver<(Time, u64, Happening)> {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.inner().listeners.push(sender);
        receiver
    }

    /// How often each thing happened so far.
    #[must_use]
    pub fn happened(&self) -> BTreeMap<Happening, u64> {
        self.inner().happened.clone()
    }

    /// Lets a machine's clock run faster (or slower) from now on, by parts per million of true time.
    pub fn drift(&self, machine: Machine, ppm: i64) {
        self.recorder().drift(ppm.unsigned_abs(), ppm.unsigned_abs() <= DRIFT_ALLOWANCE_PPM);
        let now = self.recorder().now();
        let mut inner = self.inner();
        let local = inner.drift.get(&machine).map_or(now, |drift| drift.local_ns(now));
        inner.drift.insert(machine, Drift { ppm, since: now, local });
    }

    /// A client that knows these servers. Make it and use it on a machine of its own only: see [`World::spawn_on_client`].
    ///
    /// # Errors
    /// If the client can't be made.
    pub fn client(&self, servers: &[u64], deadline: Duration) -> Result<Client, String> {
        client(servers, deadline)
    }

    /// Runs something on a client's machine.
    ///
    /// # Panics
    /// If there is no such machine.
    #[track_caller]
    pub fn spawn_on_client<F>(&self, machine: u32, work: F) -> madsim::task::JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let node = self.inner().machines.get(&Machine::Client(machine)).copied();
        let Some(node) = node.and_then(|node| self.shared.handle.get_node(node)) else {
            panic!("there is no client machine {machine}");
        };
        node.spawn(work)
    }

    /// Runs something on a client's machine, and waits for it.
    ///
    /// # Errors
    /// Its own, and if it panics.
    pub async fn on_client<F, T>(&self, machine: u32, work: F) -> Result<T, String>
    where
        F: Future<Output = Result<T, String>> + Send + 'static,
        T: Send + 'static,
    {
        self.spawn_on_client(machine, work).await.map_err(|error| error.to_string())?
    }

    /// A server's disk, with its faults.
    #[must_use]
    pub fn disk(&self, id: u64) -> Option<MemoryDisk> {
        self.inner().servers.get(&id).map(|server| server.disk.clone())
    }
}

/// What a machine's clock reads at its start, in nanoseconds: up to a year.
fn clock_begins(seed: u64, machine: Machine) -> u64 {
    const YEAR: u64 = 365 * 24 * 3_600 * 1_000_000_000;
    xxhash_rust::xxh3::xxh3_64_with_seed(format!("{machine:?}").as_bytes(), seed) % YEAR
}

fn address(id: u64, port: u16) -> SocketAddr {
    SocketAddr::new(ip(id).into(), port)
}

fn ip(id: u64) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, 0, id.try_into().unwrap_or(u8::MAX))
}
