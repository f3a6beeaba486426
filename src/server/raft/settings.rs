//! What a node is told at its start.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use super::engine::memory::MemoryDisk;
use crate::tls::TlsFiles;

/// However rare snapshots are.
const TAIL_BYTES_MAX: u64 = 1 << 30;

/// Where a node keeps its log and its snapshots.
#[derive(Clone, Debug)]
pub enum DataPlace {
    /// A directory of its own on a real disk. Created if it doesn't exist.
    Directory(PathBuf),
    /// A simulated disk, which outlives the node within the process and forgets on a crash what was not synced.
    Memory(MemoryDisk),
}

/// What a node is told at its start.
#[derive(Clone, Debug)]
pub struct NodeSettings {
    /// The cluster's id, equal on all members and never 0: a hash of the configured name. Foreign peers and foreign data
    /// directories are refused by it.
    pub cluster: u64,
    /// This node's id, 1 to 2^63 - 1. Never one that was used before in this cluster.
    pub id: u64,
    /// `host:port` under which clients reach this node; what it tells others.
    pub client_address: String,
    /// `host:port` under which members reach this node; what it tells others.
    pub peer_address: String,
    /// Where the peer service listens.
    pub peer_listen: SocketAddr,
    /// Members speak TLS to each other, with these files: both sides present certificates. Means nothing in simulation.
    pub peer_tls: Option<TlsFiles>,
    /// Where log and snapshots are.
    pub data: DataPlace,
    /// How often a leader that has nothing to say is heard, in milliseconds.
    pub heartbeat_ms: u64,
    /// Shortest silence of a leader after which a follower stands for election, in milliseconds. At least three heartbeats.
    pub election_timeout_ms_min: u64,
    /// Longest such silence; each node draws its own between the two.
    pub election_timeout_ms_max: u64,
    /// A snapshot is built after so many entries were applied since the last one.
    pub snapshot_entries: u64,
    /// A snapshot is also built after so many bytes of entries since the last one: it bounds the disk and the time of a start
    /// where entries are large.
    pub snapshot_bytes: u64,
    /// So many entries before a snapshot stay in the log, for members that lag a little.
    pub keep_entries: u64,
    /// Bytes of the disk that are kept back: with less room the node takes no more entries.
    pub disk_reserve_bytes: u64,
    /// The newest [feature level](ringfence_core::levels) that this node understands.
    pub level: u32,
    /// The longest that a proposal, a read index or a change of members waits for a quorum.
    pub quorum_timeout: Duration,
    /// The longest that [`super::Node::stop`] tries to hand leadership over.
    pub handover_timeout: Duration,
}

impl NodeSettings {
    /// Bytes of what stands before the log's database, at most. Entries are removed after two snapshots: what is still there then needn't go into
    /// the database.
    pub fn tail_bytes_max(&self) -> u64 {
        self.snapshot_bytes.saturating_mul(3).min(TAIL_BYTES_MAX)
    }

    /// How long a leader may be silent, or go without an answer of a majority, until it counts as none.
    pub fn silence_max(&self) -> Duration {
        Duration::from_millis(self.election_timeout_ms_max)
    }

    /// Settings with the defaults: heartbeats of 100 ms, elections after 300 to 500 ms, a snapshot each 100 000 entries or 64 MiB with
    /// 10 000 entries kept, 64 MiB of the disk kept back, 5 s for a quorum, 1 s for a hand-over.
    pub fn new(cluster: u64, id: u64, peer_listen: SocketAddr, data: DataPlace) -> Self {
        Self {
            cluster,
            id,
            client_address: String::new(),
            peer_address: peer_listen.to_string(),
            peer_listen,
            peer_tls: None,
            data,
            heartbeat_ms: 100,
            election_timeout_ms_min: 300,
            election_timeout_ms_max: 500,
            snapshot_entries: 100_000,
            snapshot_bytes: 64 << 20,
            keep_entries: 10_000,
            disk_reserve_bytes: 64 << 20,
            level: ringfence_core::levels::LEVEL_NEWEST,
            quorum_timeout: Duration::from_secs(5),
            handover_timeout: Duration::from_secs(1),
        }
    }
}
