//! Three servers with their disks, clients, and the links between them.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use madsim::{
    net::NetSim,
    runtime::{Handle, NodeHandle},
};
use ringfence_client::{Client, MemberStatus};
use ringfence_server::{
    config::Settings,
    raft::{DataPlace, Member, MemoryDisk},
    server::Server,
};

/// How many servers.
pub const SERVERS: u64 = 3;
const CLIENT_PORT: u16 = 7601;
const PEER_PORT: u16 = 7611;
/// How often a wait looks again, in simulated time.
const POLL: Duration = Duration::from_millis(50);
/// How long a wait may take, in simulated time.
const PATIENCE: Duration = Duration::from_secs(60);

/// The machines.
pub struct World {
    servers: Vec<NodeHandle>,
    clients: Vec<NodeHandle>,
}

impl World {
    /// Starts the servers. `clients` machines more are there for clients, and run nothing yet.
    #[must_use]
    pub fn start(clients: u8) -> Self {
        let handle = Handle::current();
        let servers = (1..=SERVERS).map(|id| server(&handle, id)).collect();
        let machine = |index: u8| {
            handle.create_node().name(format!("client {index}")).ip(Ipv4Addr::new(10, 0, 1, index).into()).build()
        };
        Self { servers, clients: (1..=clients).map(machine).collect() }
    }

    /// Runs something on a client's machine (1 and up), and waits for it.
    ///
    /// # Errors
    /// Its own, and if it panics.
    pub async fn on_client<F, T>(&self, machine: usize, work: F) -> Result<T, String>
    where
        F: Future<Output = Result<T, String>> + Send + 'static,
        T: Send + 'static,
    {
        let node = self.clients.get(machine - 1).ok_or("no such machine")?;
        node.spawn(work).await.map_err(|error| error.to_string())?
    }

    /// Cuts every link between the one side and the other, in both directions. Servers by id, clients by machine.
    pub fn cut(&self, (servers, clients): (&[u64], &[usize]), others: (&[u64], &[usize])) {
        self.links(servers, clients, others, NetSim::clog_link);
    }

    /// Mends what [`World::cut`] cut.
    pub fn heal(&self, (servers, clients): (&[u64], &[usize]), others: (&[u64], &[usize])) {
        self.links(servers, clients, others, NetSim::unclog_link);
    }

    fn links(
        &self,
        servers: &[u64],
        clients: &[usize],
        others: (&[u64], &[usize]),
        change: impl Fn(&NetSim, madsim::task::NodeId, madsim::task::NodeId),
    ) {
        let net = NetSim::current();
        for one in self.machines(servers, clients) {
            for other in self.machines(others.0, others.1) {
                change(&net, one, other);
                change(&net, other, one);
            }
        }
    }

    fn machines(&self, servers: &[u64], clients: &[usize]) -> Vec<madsim::task::NodeId> {
        let server = |id: &u64| self.servers.get(*id as usize - 1).map(NodeHandle::id);
        let client = |machine: &usize| self.clients.get(machine - 1).map(NodeHandle::id);
        servers.iter().filter_map(server).chain(clients.iter().filter_map(client)).collect()
    }
}

/// A client that knows these servers. On a machine of its own only: see [`World::on_client`].
///
/// # Errors
/// If the client can't be made.
pub fn client(servers: &[u64], deadline: Duration) -> Result<Client, String> {
    let endpoints = servers.iter().map(|id| format!("http://{}", address(*id, CLIENT_PORT)));
    Client::builder(endpoints).deadline(deadline).build().map_err(|error| error.to_string())
}

/// What a server says of itself.
///
/// # Errors
/// If it doesn't answer.
pub async fn status(id: u64) -> Result<MemberStatus, String> {
    let asked = client(&[id], Duration::from_secs(2))?.cluster().status(true).await;
    let status = asked.map_err(|error| error.to_string())?;
    status.members.into_iter().next().ok_or_else(|| "a status without a member".to_owned())
}

/// Looks again and again, until `look` gives something.
///
/// # Errors
/// After a minute of simulated time, with what the last look said.
pub async fn until<T, F>(what: &str, mut look: impl FnMut() -> F) -> Result<T, String>
where
    F: Future<Output = Result<T, String>>,
{
    let time = madsim::time::TimeHandle::current();
    let begun = time.elapsed();
    loop {
        let last = match look().await {
            Ok(found) => return Ok(found),
            Err(last) => last,
        };
        if time.elapsed() - begun > PATIENCE {
            return Err(format!("waited {PATIENCE:?} for {what}; the last look said: {last}"));
        }
        madsim::time::sleep(POLL).await;
    }
}

fn server(handle: &Handle, id: u64) -> NodeHandle {
    let node = handle.create_node().name(format!("server {id}")).ip(ip(id)).build();
    let disk = MemoryDisk::new();
    node.spawn(async move {
        let settings = settings(id, disk);
        match Server::start(settings).await {
            // A server runs as long as its value lives.
            Ok(_server) => std::future::pending::<()>().await,
            Err(error) => panic!("server {id} doesn't start: {error}"),
        }
    });
    node
}

fn settings(id: u64, disk: MemoryDisk) -> Settings {
    let place = DataPlace::Memory(disk);
    let mut settings = Settings::new("simulated", id, address(id, CLIENT_PORT), address(id, PEER_PORT), place);
    settings.members = (1..=SERVERS).map(member).collect();
    settings
}

fn member(id: u64) -> Member {
    Member {
        id,
        client_address: address(id, CLIENT_PORT).to_string(),
        peer_address: address(id, PEER_PORT).to_string(),
        voter: true,
    }
}

fn address(id: u64, port: u16) -> SocketAddr {
    SocketAddr::new(ip(id), port)
}

fn ip(id: u64) -> IpAddr {
    Ipv4Addr::new(10, 0, 0, id.try_into().unwrap_or(u8::MAX)).into()
}
