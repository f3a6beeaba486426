//! A few nodes in this process.

use std::{
    future::Future,
    net::{SocketAddr, TcpListener},
    ops::Range as Numbers,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use ringfence_core::{
    Command, Entry, Op, Put, Refusal, Reply, Request, Span, Txn,
    query::{Range, Select, Stats},
};
use ringfence_proto::v1;
use tempfile::TempDir;

use crate::{
    raft::{
        AdminDone, AdminError, DataPlace, Forwards, Member, MemoryDisk, Node, NodeSettings, ProposeError,
        ReadIndexError, StartError,
    },
    replica::Replica,
};

pub const CLUSTER: u64 = 0xc1;
/// Far beyond what anything here takes; a test that waits so long has failed.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// What the rest of a server does: passes on to the node.
#[derive(Default)]
pub struct Rest {
    node: parking_lot::Mutex<Option<Node>>,
}

impl Rest {
    fn node(&self) -> Option<Node> {
        self.node.lock().clone()
    }
}

#[async_trait::async_trait]
impl Forwards for Rest {
    async fn propose(&self, requests: Vec<Request>) -> Result<Vec<Result<Reply, Refusal>>, ProposeError> {
        let node = self.node().ok_or(ProposeError::Stopped)?;
        let proposed = node.propose(Entry { clock_ms: 0, wall_ms: 0, requests }).await?;
        Ok(proposed.replies)
    }

    async fn read_index(&self) -> Result<u64, ReadIndexError> {
        self.node().ok_or(ReadIndexError::Stopped)?.read_index().await
    }

    async fn status(&self) -> v1::MemberStatus {
        v1::MemberStatus { reachable: true, ..v1::MemberStatus::default() }
    }
}

/// One node and what belongs to it.
pub struct Running {
    pub node: Node,
    pub replica: Arc<Replica>,
    rest: Arc<Rest>,
}

impl Running {
    pub async fn stop(self) {
        self.node.stop().await;
        // The rest of the server holds the node, and the node the rest.
        self.rest.node.lock().take();
    }
}

/// Where the nodes keep their data.
pub enum Disks {
    Sled(TempDir),
    Memory(Vec<MemoryDisk>),
}

impl Disks {
    pub fn sled() -> Self {
        Self::Sled(tempfile::tempdir().unwrap())
    }

    pub fn memory(nodes: usize) -> Self {
        Self::Memory((0..nodes).map(|_| MemoryDisk::new()).collect())
    }

    fn place(&self, id: u64) -> DataPlace {
        match self {
            Self::Sled(directory) => DataPlace::Directory(directory.path().join(format!("node{id}"))),
            Self::Memory(disks) => DataPlace::Memory(disks[id as usize - 1].clone()),
        }
    }

    pub fn directory(&self, id: u64) -> PathBuf {
        match self.place(id) {
            DataPlace::Directory(path) => path,
            DataPlace::Memory(_) => panic!("it is in memory"),
        }
    }

    pub fn disk(&self, id: u64) -> &MemoryDisk {
        match self {
            Self::Memory(disks) => &disks[id as usize - 1],
            Self::Sled(_) => panic!("it is not in memory"),
        }
    }
}

/// Where nodes listen: below the ports that the system hands out, and not where clusters of real processes look for theirs.
const PORTS: Numbers<u16> = 10_000..20_000;

/// An address that nobody else in this process is given. One that the system hands out may be given to somebody else while its node is down.
fn address() -> SocketAddr {
    static TAKEN: AtomicU16 = AtomicU16::new(0);
    // Processes begin at different places, so that they seldom meet.
    let start = std::process::id().wrapping_mul(97) as usize % PORTS.len();
    let numbers = std::iter::repeat_with(|| usize::from(TAKEN.fetch_add(1, Ordering::Relaxed))).take(PORTS.len());
    let ports = numbers.map(|taken| PORTS.start + ((start + taken) % PORTS.len()) as u16);
    let mut free = ports.filter(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok());
    SocketAddr::from(([127, 0, 0, 1], free.next().expect("a free port")))
}

/// The plan of a cluster: what stays when nodes come and go.
pub struct Plan {
    pub disks: Disks,
    pub addresses: Vec<SocketAddr>,
    pub snapshot_entries: u64,
    pub keep_entries: u64,
    pub snapshot_bytes: u64,
    pub election_timeout_ms: u64,
}

impl Plan {
    pub fn new(nodes: usize, disks: Disks) -> Self {
        let addresses = (0..nodes).map(|_| address()).collect();
        // The machine of the tests may be busy: elections that come too early would only make them long.
        let election_timeout_ms = 1000;
        let (snapshot_entries, keep_entries, snapshot_bytes) = (100_000, 10_000, 64 << 20);
        Self { disks, addresses, snapshot_entries, keep_entries, snapshot_bytes, election_timeout_ms }
    }

    pub fn settings(&self, id: u64) -> NodeSettings {
        let mut settings = NodeSettings::new(CLUSTER, id, self.addresses[id as usize - 1], self.disks.place(id));
        settings.client_address = format!("127.0.0.1:{}", 7000 + id);
        settings.snapshot_entries = self.snapshot_entries;
        settings.keep_entries = self.keep_entries;
        settings.snapshot_bytes = self.snapshot_bytes;
        settings.election_timeout_ms_min = self.election_timeout_ms;
        settings.election_timeout_ms_max = 2 * self.election_timeout_ms;
        settings
    }

    pub fn member(&self, id: u64) -> Member {
        let settings = self.settings(id);
        Member { id, client_address: settings.client_address, peer_address: settings.peer_address, voter: true }
    }

    pub async fn try_start(&self, id: u64) -> Result<Running, StartError> {
        start(self.settings(id)).await
    }

    pub async fn start(&self, id: u64) -> Running {
        self.try_start(id).await.unwrap()
    }

    pub async fn start_cluster(&self) -> Vec<Running> {
        let mut nodes = Vec::new();
        let ids = 1..=self.addresses.len() as u64;
        for id in ids.clone() {
            nodes.push(self.start(id).await);
        }
        let members: Vec<Member> = ids.map(|id| self.member(id)).collect();
        for running in &nodes {
            running.node.bootstrap(members.clone()).await.unwrap();
        }
        nodes
    }
}

pub async fn start(settings: NodeSettings) -> Result<Running, StartError> {
    let replica = Replica::new();
    let rest = Arc::new(Rest::default());
    let node = Node::start(settings, replica.clone(), rest.clone()).await?;
    *rest.node.lock() = Some(node.clone());
    Ok(Running { node, replica, rest })
}

/// Waits until one of the nodes leads, and says which by its place.
pub async fn leader(nodes: &[Running]) -> usize {
    let found = async {
        loop {
            if let Some(at) = nodes.iter().position(|running| running.node.leadership().is_me) {
                return at;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, found).await.expect("nobody leads")
}

/// The node with this id.
pub fn of(nodes: &[Running], id: u64) -> &Running {
    nodes.iter().find(|running| running.node.status().id == id).expect("the node")
}

/// Waits until all nodes have applied this entry, and checks that they came to the same state.
pub async fn same_everywhere(nodes: &[Running], index: u64) {
    for running in nodes {
        applied(running, index).await;
    }
    let hashes: Vec<u64> = nodes.iter().map(hash).collect();
    assert!(hashes.windows(2).all(|pair| pair[0] == pair[1]), "{hashes:?}");
}

pub async fn stop_all(nodes: impl IntoIterator<Item = Running>) {
    for running in nodes {
        running.stop().await;
    }
}

pub fn put(key: &str, value: impl Into<Bytes>) -> Request {
    let put = Put {
        key: Bytes::copy_from_slice(key.as_bytes()),
        value: value.into(),
        session: None,
        sequential: false,
        prev: false,
    };
    Command::Txn(Txn { then: vec![Op::Put(put)], ..Txn::default() }).into()
}

/// Proposes on whoever leads, until it is surely done. Puts of equal values may be done twice.
pub async fn propose(nodes: &[Running], requests: Vec<Request>) -> u64 {
    let done = async {
        loop {
            let at = leader(nodes).await;
            let entry = Entry { clock_ms: 1, wall_ms: 2, requests: requests.clone() };
            match nodes[at].node.propose(entry).await {
                Ok(proposed) => {
                    assert!(proposed.replies.iter().all(Result::is_ok), "{:?}", proposed.replies);
                    return proposed.index;
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    };
    tokio::time::timeout(PATIENCE, done).await.expect("the proposal isn't done")
}

pub async fn applied(running: &Running, index: u64) {
    let wait = running.replica.wait_applied(index);
    tokio::time::timeout(PATIENCE, wait).await.expect("the entry isn't applied");
}

pub fn value(running: &Running, key: &str) -> Option<Bytes> {
    let range = Range {
        select: Select::Span(Span::Key(Bytes::copy_from_slice(key.as_bytes()))),
        limit: 1,
        keys_only: false,
        count_only: false,
        revision: 0,
        descending: false,
    };
    let answer = running.replica.read(&range).unwrap();
    answer.keys.into_iter().next().map(|key| key.value)
}

pub fn hash(running: &Running) -> u64 {
    running.replica.read(&Stats).unwrap().hash
}

/// Waits until something is so.
pub async fn until(what: &str, mut so: impl FnMut() -> bool) {
    let wait = async {
        while !so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, wait).await.is_ok(), "never: {what}");
}

/// A leader takes no change before its first entry is committed: asks until it does.
pub async fn once_ready<F: Future<Output = Result<AdminDone, AdminError>>>(
    ask: impl Fn() -> F,
) -> Result<AdminDone, AdminError> {
    let asking = async {
        loop {
            match ask().await {
                Err(AdminError::Busy | AdminError::NotLeader { leader: None }) => {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                done => return done,
            }
        }
    };
    tokio::time::timeout(PATIENCE, asking).await.expect("it never takes a change")
}
