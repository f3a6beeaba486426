//! Among real processes, which are seen from outside alone.

use std::{fmt, future::Future, sync::Arc, time::Duration};

use ringfence_client::{Client, Lock, Session};
use ringfence_probes::hooks::Happening;
use tokio::{runtime::Handle, sync::mpsc};

use crate::history::{ClientId, Mode, Recorder, Server, Time};

/// Of work on a client's machine.
pub type JoinHandle<T> = tokio::task::JoinHandle<T>;

/// Servers that run as processes, and machines for clients.
pub trait Ground: Send + Sync {
    /// All servers, up or down.
    fn servers(&self) -> Vec<Server>;
    /// Numbers of the clients' machines.
    fn clients(&self) -> Vec<ClientId>;
    /// Where clients find a server, as an URL.
    fn endpoint(&self, server: Server) -> String;
    /// Its process runs, or stands still.
    fn is_up(&self, server: Server) -> bool;
    /// Who was last seen to lead.
    fn leader(&self) -> Option<Server>;
    /// Where a client's machine runs its tasks; `None` if there is no such machine.
    fn machine(&self, client: ClientId) -> Option<Handle>;
    /// From now on, what is seen to happen to servers, with moment and server.
    fn on_happening(&self) -> mpsc::UnboundedReceiver<(Time, Server, Happening)>;
    /// Revisions up to this one were told to whoever writes down the log, and may be forgotten.
    fn told_up_to(&self) -> u64;
}

/// The ground as the workload uses it; a clone is the same one.
#[derive(Clone)]
pub struct World {
    ground: Arc<dyn Ground>,
    recorder: Recorder,
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("World")
    }
}

impl World {
    /// On this ground, with whoever writes down what happens.
    #[must_use]
    pub fn new(ground: Arc<dyn Ground>, recorder: Recorder) -> Self {
        Self { ground, recorder }
    }

    /// All servers, up or down.
    #[must_use]
    pub fn servers(&self) -> Vec<Server> {
        self.ground.servers()
    }

    /// Numbers of the clients' machines.
    #[must_use]
    pub fn clients(&self) -> Vec<ClientId> {
        self.ground.clients()
    }

    /// Who writes down what happens.
    #[must_use]
    pub fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    /// A server's process runs, or stands still.
    #[must_use]
    pub fn is_up(&self, server: Server) -> bool {
        self.ground.is_up(server)
    }

    /// Nobody leaves this cluster.
    #[must_use]
    pub fn is_retired(&self, _: Server) -> bool {
        false
    }

    /// Who was last seen to lead.
    #[must_use]
    pub fn leader(&self) -> Option<Server> {
        self.ground.leader()
    }

    /// From now on, what is seen to happen to servers.
    #[must_use]
    pub fn on_happening(&self) -> mpsc::UnboundedReceiver<(Time, Server, Happening)> {
        self.ground.on_happening()
    }

    /// A client that knows these servers. Make it and use it on a client's machine.
    ///
    /// # Errors
    /// If the client can't be made.
    pub fn client(&self, servers: &[Server], deadline: Duration) -> Result<Client, String> {
        let endpoints = servers.iter().map(|server| self.ground.endpoint(*server));
        Client::builder(endpoints).deadline(deadline).build().map_err(|error| error.to_string())
    }

    /// Runs something on a client's machine.
    ///
    /// # Panics
    /// If there is no such machine.
    #[track_caller]
    pub fn spawn_on_client<F>(&self, machine: ClientId, work: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let Some(handle) = self.ground.machine(machine) else { panic!("there is no client machine {machine}") };
        handle.spawn(work)
    }

    /// Runs something on a client's machine, and waits for it.
    ///
    /// # Errors
    /// Its own, and if it panics.
    pub async fn on_client<F, T>(&self, machine: ClientId, work: F) -> Result<T, String>
    where
        F: Future<Output = Result<T, String>> + Send + 'static,
        T: Send + 'static,
    {
        self.spawn_on_client(machine, work).await.map_err(|error| error.to_string())?
    }
}

/// Leaves a session as a machine does that is gone. No program can do that with one session alone: false.
pub(crate) fn abandon(_: &Session) -> bool {
    false
}

/// The newest revision up to this one that may be forgotten: whoever writes down the log must have been told of it.
pub(crate) fn forgettable(world: &World, revision: u64) -> u64 {
    revision.min(world.ground.told_up_to())
}

/// Somebody looks at a session: what is left of its lease tells when the last acknowledged renewal was sent, or a moment before that.
///
/// The lease is recorded as its client counts it, less what it takes off for clocks' drift: from then on the client closes the session by itself, which
/// can't be told from an expiry by the log that is read from outside.
pub(crate) fn looked_at(recorder: &Recorder, session: &Session) {
    let now = Duration::from_nanos(recorder.now());
    let left = session.remaining();
    if left.is_zero() {
        return;
    }
    let ttl = session.ttl();
    let counted = ttl.saturating_sub((ttl / 100).max(Duration::from_millis(5)));
    let sent = (now + left).saturating_sub(counted);
    let counted_ms = u64::try_from(counted.as_millis()).unwrap_or(u64::MAX);
    recorder.renewed(session.id(), counted_ms, u64::try_from(sent.as_nanos()).unwrap_or(u64::MAX));
}

/// A claim whose value tells how it shares its name: the log that is read from outside has nothing else.
pub(crate) fn marked(lock: Lock, mode: Mode) -> Lock {
    lock.value(mode.to_string())
}
