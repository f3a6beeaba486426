//! A cluster that is only pretended: several gRPC servers over one state in memory, with faults on demand.
//!
//! It does as much as the client's own tests need, and nothing that the real server's tests cover.

mod services;
mod world;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ringfence_client::{Client, ClientBuilder};
use ringfence_proto::v1;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

pub use services::Opened;
pub use world::World;

/// What happens to a call instead of its being served.
#[derive(Clone, Debug)]
pub enum Fault {
    /// It is answered so, and not done.
    Refuse(Status),
    /// It is done, and answered so.
    DoneBut(Status),
    /// It is neither done nor answered.
    Hang,
}

/// One pretended member.
pub struct Node {
    pub address: SocketAddr,
    id: u64,
    script: Arc<Script>,
    runtime: Option<Runtime>,
    world: Arc<World>,
}

/// The faults of a member, and what it was asked.
#[derive(Default)]
pub struct Script {
    faults: Mutex<HashMap<&'static str, Vec<Fault>>>,
    calls: Mutex<HashMap<&'static str, u64>>,
    /// Who is given the pipelines that clients open; nobody, and it has none.
    pipelines: Mutex<Option<mpsc::UnboundedSender<Opened>>>,
}

impl Script {
    fn next(&self, call: &'static str) -> Option<Fault> {
        *self.calls.lock().unwrap().entry(call).or_default() += 1;
        let mut faults = self.faults.lock().unwrap();
        let queue = faults.get_mut(call)?;
        (!queue.is_empty()).then(|| queue.remove(0))
    }
}

impl Node {
    pub fn start(id: u64, world: &Arc<World>) -> Self {
        let mut node = Self {
            address: "127.0.0.1:0".parse().unwrap(),
            id,
            script: Arc::default(),
            runtime: None,
            world: world.clone(),
        };
        node.restart();
        node
    }

    /// Serves, at the same address as before.
    pub fn restart(&mut self) {
        let listener = std::net::TcpListener::bind(self.address).unwrap();
        listener.set_nonblocking(true).unwrap();
        self.address = listener.local_addr().unwrap();
        self.world.joined(self.id, self.address);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let server = services::server(self.id, self.world.clone(), self.script.clone());
        runtime.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            let _ = server.serve_with_incoming(TcpListenerStream::new(listener)).await;
        });
        self.runtime = Some(runtime);
    }

    /// Breaks all connections and refuses new ones.
    pub fn kill(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Not here: a runtime must not wait within another.
            let stopped = std::thread::spawn(move || runtime.shutdown_timeout(Duration::from_secs(10)));
            let _ = stopped.join();
        }
    }

    /// The next calls of this name meet these faults, one each.
    pub fn faults(&self, call: &'static str, faults: impl IntoIterator<Item = Fault>) {
        let mut all = self.script.faults.lock().unwrap();
        all.entry(call).or_default().extend(faults);
    }

    /// From now on it has pipelines: those that clients open come here.
    pub fn pipelines(&self) -> mpsc::UnboundedReceiver<Opened> {
        let (sender, receiver) = mpsc::unbounded_channel();
        *self.script.pipelines.lock().unwrap() = Some(sender);
        receiver
    }

    /// How often it was asked this.
    pub fn calls(&self, call: &'static str) -> u64 {
        self.script.calls.lock().unwrap().get(call).copied().unwrap_or_default()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Three members over one state; the first leads.
pub fn cluster() -> (Arc<World>, Vec<Node>) {
    let world = Arc::new(World::default());
    let nodes = (1..=3).map(|id| Node::start(id, &world)).collect();
    world.lead(1);
    (world, nodes)
}

pub fn builder(nodes: &[Node]) -> ClientBuilder {
    Client::builder(nodes.iter().map(|node| node.address.to_string()))
        .connect_timeout(Duration::from_secs(5))
        .deadline(Duration::from_secs(30))
}

/// A client that knows who leads.
pub async fn client(nodes: &[Node]) -> Client {
    let client = builder(nodes).build().unwrap();
    client.cluster().members().await.unwrap();
    client
}

/// A status as the server makes them.
pub fn status(code: Code, reason: &str) -> Status {
    let details = ErrorDetails::with_error_info(reason, ringfence_proto::ERROR_DOMAIN, HashMap::new());
    Status::with_error_details(code, reason, details)
}

pub fn no_leader() -> Fault {
    Fault::Refuse(status(Code::Unavailable, "NO_LEADER"))
}

pub fn header(world: &World, id: u64) -> Option<v1::ResponseHeader> {
    Some(v1::ResponseHeader { cluster_id: 77, node_id: id, revision: world.revision(), term: world.term() })
}
