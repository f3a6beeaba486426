//! A member that can't be reached: how often it is tried.

use std::{
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use openraft::{
    network::{RPCOption, RaftNetworkFactory, RaftNetworkV2},
    raft::AppendEntriesRequest,
};

use super::harness::{CLUSTER, Disks, Plan, stop_all};
use crate::raft::{
    MemoryDisk,
    network::{append::Way, client::Network, pool::Pool},
    snapshots::Snapshots,
    types::{Addresses, LeaderId, TypeConfig, Vote},
};

/// A port that takes connections and closes them, and counts them.
struct Port {
    address: SocketAddr,
    taken: Arc<AtomicUsize>,
}

impl Port {
    fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, taken) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
        let counting = taken.clone();
        // Ends with the process.
        std::thread::spawn(move || {
            for connection in listener.incoming() {
                counting.fetch_add(1, Ordering::SeqCst);
                drop(connection);
            }
        });
        Self { address, taken }
    }

    /// How many connections were made so far: one more is made, which stands behind all others, and taken off again.
    async fn connections(&self) -> usize {
        let before = self.taken.load(Ordering::SeqCst);
        let mut last = TcpStream::connect(self.address).unwrap();
        let closed = tokio::task::spawn_blocking(move || std::io::Read::read(&mut last, &mut [0; 1]));
        let _ = closed.await.unwrap();
        let now = self.taken.load(Ordering::SeqCst);
        assert!(now > before);
        self.taken.fetch_sub(1, Ordering::SeqCst);
        now - 1
    }
}

fn heartbeat() -> AppendEntriesRequest<TypeConfig> {
    let vote = Vote { leader_id: LeaderId { term: 1, node_id: 1 }, committed: true };
    AppendEntriesRequest { vote, prev_log_id: None, entries: Vec::new(), leader_commit: None }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_was_not_reached_is_left_alone_for_a_pause() {
    let port = Port::open();
    // Longer than any test takes.
    let pool = Pool::new(CLUSTER, 1, Duration::from_secs(3600));
    let (snapshots, _) = Snapshots::open(Arc::new(MemoryDisk::new().open()), CLUSTER).unwrap();
    let mut network = Network { pool, snapshots, reply_timeout: Duration::from_secs(60) };
    let member = Addresses { client: String::new(), peer: port.address.to_string() };
    let mut beats = network.new_heartbeat_client(2, &member).await;
    let option = || RPCOption::new(Duration::from_secs(60));

    assert!(beats.append_entries(heartbeat(), option()).await.is_err());
    let tried = port.connections().await;
    assert_eq!(tried, 1);
    for _ in 0..100 {
        assert!(beats.append_entries(heartbeat(), option()).await.is_err());
    }
    // Nor do others of the same member's links: the stream of the log waits for its turn.
    let mut log = network.new_client(2, &member).await;
    let requests = futures::stream::pending::<AppendEntriesRequest<TypeConfig>>();
    let opening = log.stream_append(requests, option());
    let mut opening = std::pin::pin!(opening);
    assert!(futures::poll!(&mut opening).is_pending());
    assert_eq!(port.connections().await, tried);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_takes_a_link_to_a_member_that_has_any() {
    let plan = Plan::new(1, Disks::memory(1));
    let nodes = plan.start_cluster().await;
    let pool = Pool::new(CLUSTER, 2, Duration::from_secs(1));
    let way = pool.way_for_the_log(&plan.member(1).peer_address).await.unwrap();
    assert!(matches!(way, Way::Link(_)));
    stop_all(nodes).await;
}
