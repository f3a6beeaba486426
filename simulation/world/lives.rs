//! A server from its start to its end, and again from its disk.

use std::{sync::Arc, time::Duration};

use ringfence_probes::{hit, hooks::Happening, marks};
use ringfence_server::{
    config::Settings,
    raft::{DataPlace, Member, MemoryDisk},
    replica::Replica,
    server::Server,
};
use tokio::sync::oneshot;
use tracing::info;

use super::{CLIENT_PORT, Machine, PEER_PORT, World, address, ip, observer::Follower};
use crate::history::{self, Condition};

/// What a power cut leaves of the writes that were not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// None of them.
    Nothing,
    /// The first so many.
    Writes(usize),
    /// All of them: the disk was quick.
    All,
}

/// A server's machine.
pub(super) struct Machinery {
    pub(super) disk: MemoryDisk,
    life: u32,
    up: bool,
    paused: bool,
    join: bool,
    /// Asks the running life to stop in good order.
    stop: Option<oneshot::Sender<oneshot::Sender<()>>>,
    /// Why its last life ended, if it ended by itself.
    failure: Option<String>,
    /// The newest feature level that its next life understands.
    level: u32,
}

impl World {
    pub(super) fn add_server(&self, id: u64, join: bool) {
        let disk = MemoryDisk::new();
        disk.set_sync_time(self.plan().sync_time);
        self.machine(Machine::Server(id), format!("server {id}"), ip(id));
        // New machines get the newest version.
        let level = self.newest_level();
        let server = Machinery { disk, life: 0, up: false, paused: false, join, stop: None, failure: None, level };
        self.inner().servers.insert(id, server);
        self.boot(id);
    }

    /// The newest feature level that any server understands, or will after its next start. It is 0 until the first rolling change of
    /// versions.
    #[must_use]
    pub fn newest_level(&self) -> u32 {
        self.inner().servers.values().map(|server| server.level).max().unwrap_or_default()
    }

    /// Whether a rolling change of versions has not reached all servers.
    #[must_use]
    pub fn levels_differ(&self) -> bool {
        let newest = self.newest_level();
        let inner = self.inner();
        let mut there = inner.servers.iter().filter(|(id, _)| !inner.gone.contains(*id));
        there.any(|(_, server)| server.level < newest)
    }

    /// From its next start on this server is of a version that understands this level.
    pub fn upgrade(&self, id: u64, level: u32) {
        if let Some(server) = self.inner().servers.get_mut(&id) {
            server.level = server.level.max(level);
        }
    }

    /// A fresh machine, whose server waits to be added to the cluster. Its id.
    #[must_use]
    pub fn new_server(&self) -> u64 {
        let id = {
            let mut inner = self.inner();
            inner.next_server += 1;
            inner.next_server - 1
        };
        self.add_server(id, true);
        id
    }

    /// It runs. A server that ended by a failure doesn't; one that is paused does.
    #[must_use]
    pub fn is_up(&self, id: u64) -> bool {
        self.inner().servers.get(&id).is_some_and(|server| server.up)
    }

    /// It is paused.
    #[must_use]
    pub fn is_paused(&self, id: u64) -> bool {
        self.inner().servers.get(&id).is_some_and(|server| server.paused)
    }

    /// Why its last life ended, if it ended by itself.
    #[must_use]
    pub fn failure(&self, id: u64) -> Option<String> {
        self.inner().servers.get(&id).and_then(|server| server.failure.clone())
    }

    /// The leader of the newest term that was seen, if it is up.
    #[must_use]
    pub fn leader(&self) -> Option<u64> {
        let inner = self.inner();
        let (_, leader) = inner.led;
        inner.servers.get(&leader).filter(|server| server.up).map(|_| leader)
    }

    /// The addresses by which a server is added to the cluster.
    #[must_use]
    pub fn member(&self, id: u64) -> Member {
        member(id)
    }

    /// Power cut: what was not synced is lost but for `kept`, and the server is gone in the middle of whatever it did. False if it was
    /// down.
    pub fn kill(&self, id: u64, kept: Kept) -> bool {
        let Some((disk, up)) = self.inner().servers.get(&id).map(|server| (server.disk.clone(), server.up)) else {
            return false;
        };
        if !up {
            return false;
        }
        if kept != Kept::All && disk.unsynced() > 0 {
            hit(marks::WRITES_LOST);
            if self.leader() == Some(id) {
                hit(marks::LEADER_LOST_POWER);
            }
        }
        // The disk first: destructors of a killed node still run.
        match kept {
            Kept::Nothing => disk.crash(),
            Kept::Writes(writes) => disk.crash_keeping(writes),
            Kept::All => disk.crash_keeping(usize::MAX),
        }
        self.ended(id, None);
        self.record_log(id);
        true
    }

    /// Starts it again, from its disk. False if it runs, or is retired.
    pub fn boot(&self, id: u64) -> bool {
        let (node, life, settings, stopped) = {
            let mut inner = self.inner();
            let Some(node) = inner.machines.get(&Machine::Server(id)).copied() else { return false };
            if inner.gone.contains(&id) {
                return false;
            }
            let Some(server) = inner.servers.get_mut(&id).filter(|server| !server.up) else { return false };
            let (stop, stopped) = oneshot::channel();
            server.life += 1;
            server.up = true;
            server.paused = false;
            server.failure = None;
            server.stop = Some(stop);
            (node, server.life, self.settings(id, server), stopped)
        };
        self.recorder().level(id, settings.level);
        if life > 1 {
            self.shared.handle.restart(node);
        }
        if let Some(node) = self.shared.handle.get_node(node) {
            node.spawn(live(self.clone(), id, life, settings, stopped));
        }
        self.recorder().condition(Condition::Up(Machine::Server(id)));
        info!(server = id, life, "boots");
        true
    }

    /// Stops all of its tasks where they are. Messages wait for it. False if it is down or paused.
    pub fn pause(&self, id: u64) -> bool {
        self.set_paused(id, true)
    }

    /// Lets it go on. False if it wasn't paused.
    pub fn resume(&self, id: u64) -> bool {
        self.set_paused(id, false)
    }

    fn set_paused(&self, id: u64, paused: bool) -> bool {
        let mut inner = self.inner();
        let Some(node) = inner.machines.get(&Machine::Server(id)).copied() else { return false };
        let Some(server) = inner.servers.get_mut(&id).filter(|server| server.up && server.paused != paused) else {
            return false;
        };
        server.paused = paused;
        drop(inner);
        if paused {
            self.shared.handle.pause(node)
        } else {
            self.shared.handle.resume(node)
        }
        true
    }

    /// Stops it in good order. False if it is down or paused. It is given half a minute.
    pub async fn stop(&self, id: u64) -> bool {
        let stop = {
            let mut inner = self.inner();
            let server = inner.servers.get_mut(&id).filter(|server| server.up && !server.paused);
            server.and_then(|server| server.stop.take())
        };
        let Some(stop) = stop else { return false };
        let (done, finished) = oneshot::channel();
        if stop.send(done).is_err() {
            return false;
        }
        let _ = tokio::time::timeout(Duration::from_secs(30), finished).await;
        true
    }

    /// The end of the world: all machines are switched off, so that their tasks, which hold the world that holds them, let go of it.
    pub async fn end(&self) {
        let machines: Vec<_> = self.inner().machines.values().copied().collect();
        for node in machines {
            self.shared.handle.kill(node);
        }
        // Tasks of a machine that is off are dropped at their next turn.
        tokio::time::sleep(Duration::from_millis(1)).await;
        let mut inner = self.inner();
        let servers = std::mem::take(&mut inner.servers);
        inner.listeners.clear();
        drop(inner);
        drop(servers);
    }

    /// It left for ever.
    #[must_use]
    pub fn is_retired(&self, id: u64) -> bool {
        self.inner().gone.contains(&id)
    }

    /// Its disk is lost, and it never comes back.
    pub fn retire(&self, id: u64) -> bool {
        let known = self.inner().servers.contains_key(&id);
        let first = known && self.inner().gone.insert(id);
        self.kill(id, Kept::Nothing);
        first
    }

    /// A life is over: the machine holds nothing of it any more.
    fn ended(&self, id: u64, failure: Option<String>) {
        let node = {
            let mut inner = self.inner();
            let node = inner.machines.get(&Machine::Server(id)).copied();
            let Some(server) = inner.servers.get_mut(&id) else { return };
            server.up = false;
            server.paused = false;
            server.stop = None;
            server.failure = failure;
            node
        };
        self.recorder().condition(Condition::Down(Machine::Server(id)));
        if let Some(node) = node {
            self.shared.handle.kill(node);
        }
    }

    fn settings(&self, id: u64, server: &Machinery) -> Settings {
        let plan = self.plan();
        let place = match &self.shared.directory {
            Some(directory) => DataPlace::Directory(directory.path().join(format!("server-{id}"))),
            None => DataPlace::Memory(server.disk.clone()),
        };
        let mut settings = Settings::new("simulated", id, address(id, CLIENT_PORT), address(id, PEER_PORT), place);
        settings.join = server.join;
        settings.members = (1..=u64::from(plan.servers)).map(member).collect();
        settings.heartbeat_ms = plan.heartbeat_ms;
        settings.election_timeout_ms_min = plan.election_timeout_ms_min;
        settings.election_timeout_ms_max = plan.election_timeout_ms_max;
        settings.snapshot_entries = plan.snapshot_entries;
        settings.keep_entries = plan.keep_entries;
        settings.level = server.level;
        settings
    }
}

/// One life, on the server's own machine.
async fn live(world: World, id: u64, life: u32, settings: Settings, stop: oneshot::Receiver<oneshot::Sender<()>>) {
    let observe = |replica: &Arc<Replica>| {
        let follower = Follower { world: world.clone(), server: id, life, replica: Arc::downgrade(replica) };
        replica.observe(Arc::new(follower));
    };
    let server = match Server::start_observed(settings, observe).await {
        Ok(server) => server,
        Err(error) => return world.ended_by_itself(id, Some(format!("it doesn't start: {error}"))),
    };
    let stopping = async {
        match stop.await {
            Ok(done) => done,
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        failure = server.failed() => world.ended_by_itself(id, Some(failure.message)),
        done = stopping => {
            server.stop().await;
            world.ended_by_itself(id, None);
            let _ = done.send(());
        }
        () = watch_leadership(&world, id, &server) => {}
    }
}

/// Tells whenever the server begins to lead.
async fn watch_leadership(world: &World, id: u64, server: &Server) {
    let mut seen = server.node().leadership();
    loop {
        let term = history::term(seen.term, id);
        if seen.is_me {
            world.recorder().leads(id, term);
            let newer = {
                let mut inner = world.inner();
                let newer = term > inner.led.0;
                if newer {
                    inner.led = (term, id);
                }
                newer
            };
            if newer {
                world.tell(id, Happening::Led);
            }
        }
        let now = server.node().leadership_changed(&seen).await;
        if seen.is_me {
            world.recorder().leads(id, term);
        }
        seen = now;
    }
}

impl World {
    /// The process ended, and the machine is still on: what was written is still there.
    fn ended_by_itself(&self, id: u64, failure: Option<String>) {
        info!(server = id, failure, "ended");
        if let Some(disk) = self.disk(id) {
            disk.crash_keeping(usize::MAX);
        }
        self.ended(id, failure);
    }
}

fn member(id: u64) -> Member {
    Member {
        id,
        client_address: address(id, CLIENT_PORT).to_string(),
        peer_address: address(id, PEER_PORT).to_string(),
        voter: true,
    }
}
