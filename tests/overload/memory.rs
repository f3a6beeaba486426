//! What servers need of memory.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use ringfence_cluster::Cluster;
use tokio::task::JoinSet;

/// Looks at all servers again and again, as long as it lives.
pub struct Watch {
    most: Arc<AtomicU64>,
    _looking: JoinSet<()>,
}

impl Watch {
    /// Begins to look.
    pub fn start(cluster: &Cluster) -> Self {
        let processes: Vec<i32> = cluster.nodes().iter().filter_map(|node| Some(node.process()?.pid())).collect();
        let most = Arc::<AtomicU64>::default();
        let (found, mut looking) = (most.clone(), JoinSet::new());
        looking.spawn(async move {
            loop {
                for process in &processes {
                    found.fetch_max(resident(*process), Ordering::Relaxed);
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        });
        Self { most, _looking: looking }
    }

    /// The most that any of them had so far, in bytes.
    pub fn most(&self) -> u64 {
        self.most.load(Ordering::Relaxed)
    }
}

/// Resident bytes of a process; 0 if it isn't there.
fn resident(process: i32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()).map_or(0, |kib| kib << 10)
}
