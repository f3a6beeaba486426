//! The ground on which the workload works: servers as processes, clients on machines of their own, and what a watcher sees of the servers.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use ringfence_simulation::{
    history::{ClientId, Machine, Recorder, Server, Time, term},
    place::Ground,
    schedule::Happening,
};
use tokio::{runtime::Handle, sync::mpsc};

use crate::{machines, servers::Servers};

type Listener = mpsc::UnboundedSender<(Time, Server, Happening)>;

/// See the module.
#[derive(Debug)]
pub struct Field {
    /// The servers.
    pub servers: Servers,
    /// Who writes down what happens.
    pub recorder: Recorder,
    /// Where clients' tasks run.
    pub clients: BTreeMap<ClientId, machines::Machine>,
    /// Where whoever watches runs its tasks. Nothing cuts it off.
    pub watcher: machines::Machine,
    endpoints: BTreeMap<u64, String>,
    /// The newest leadership that was seen, and whose.
    led: Mutex<(u64, Option<Server>)>,
    told_up_to: AtomicU64,
    listeners: Mutex<Vec<Listener>>,
}

impl Field {
    /// With these servers, clients and watcher.
    #[must_use]
    pub fn new(
        servers: Servers,
        recorder: Recorder,
        clients: BTreeMap<ClientId, machines::Machine>,
        watcher: machines::Machine,
    ) -> Arc<Self> {
        Arc::new(Self {
            endpoints: servers.endpoints(),
            servers,
            recorder,
            clients,
            watcher,
            led: Mutex::default(),
            told_up_to: AtomicU64::new(0),
            listeners: Mutex::default(),
        })
    }

    /// All machines that faults know.
    #[must_use]
    pub fn machines(&self) -> Vec<Machine> {
        let servers = self.servers.ids().into_iter().map(Machine::Server);
        servers.chain(self.clients.keys().copied().map(Machine::Client)).collect()
    }

    /// Ends all machines, and with them all that works or watches.
    pub fn end(&self) {
        self.clients.values().chain([&self.watcher]).for_each(machines::Machine::end);
    }

    /// A server says that it leads in this term.
    pub fn leads(&self, server: Server, raft: u64) {
        let this = term(raft, server);
        self.recorder.leads(server, this);
        let news = {
            let mut led = self.led.lock().unwrap_or_else(PoisonError::into_inner);
            let news = this > led.0;
            if news {
                *led = (this, Some(server));
            }
            news
        };
        if news {
            self.happened(server, Happening::Led);
        }
    }

    /// Something was seen to happen to a server.
    pub fn happened(&self, server: Server, happening: Happening) {
        let now = self.recorder.now();
        let mut listeners = self.listeners.lock().unwrap_or_else(PoisonError::into_inner);
        listeners.retain(|listener| listener.send((now, server, happening)).is_ok());
    }

    /// Whoever writes down the log was told all up to this revision.
    pub fn told(&self, revision: u64) {
        self.told_up_to.fetch_max(revision, Ordering::Relaxed);
    }
}

impl Ground for Field {
    fn servers(&self) -> Vec<Server> {
        self.servers.ids()
    }

    fn clients(&self) -> Vec<ClientId> {
        self.clients.keys().copied().collect()
    }

    fn endpoint(&self, server: Server) -> String {
        self.endpoints.get(&server).cloned().unwrap_or_default()
    }

    fn is_up(&self, server: Server) -> bool {
        self.servers.is_up(server)
    }

    fn leader(&self) -> Option<Server> {
        self.led.lock().unwrap_or_else(PoisonError::into_inner).1
    }

    fn machine(&self, client: ClientId) -> Option<Handle> {
        self.clients.get(&client).map(|machine| machine.handle().clone())
    }

    fn on_happening(&self) -> mpsc::UnboundedReceiver<(Time, Server, Happening)> {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner).push(sender);
        receiver
    }

    fn told_up_to(&self) -> u64 {
        self.told_up_to.load(Ordering::Relaxed)
    }
}
