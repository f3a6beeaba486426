//! Restarts all nodes, one after another, as for an upgrade, while a client writes and holds a lock.
//!
//! A node goes only if all are well, so that the others are always a majority; who leads goes last, and hands leadership over before. Then
//! what the client saw is held against what it was told: every acknowledged write is there, and the lock is still the same claim.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use ringfence_client::{Client, DeleteOptions, Error, GetOptions, SessionOptions};
use tokio::{task::JoinHandle, time::Instant};

use crate::{cluster::Cluster, error::ClusterError, process::Condition, times};

/// Keys of the client begin with this; they are deleted at the end.
const PREFIX: &str = "ringfence-roll/writes/";
/// The lock that it holds.
const LOCK: &str = "ringfence-roll/lock";
const KEYS: u64 = 100;
/// Between two writes.
const PACE: Duration = Duration::from_millis(1);
/// Of the session that holds the lock: shorter than most restarts are.
const TTL: Duration = Duration::from_secs(5);
/// So many entries may be on their way while nodes are asked.
const LAG: u64 = 100;
/// After a node is back the client goes on for so long, so that what its return costs is seen, too.
const SETTLES: Duration = Duration::from_millis(500);

/// What became of one node.
#[derive(Clone, Debug)]
pub struct Step {
    /// The node.
    pub node: u64,
    /// It led when its turn came.
    pub led: bool,
    /// From the demand to stop until it followed a leader again with all that was committed.
    pub away: Duration,
    /// How long the client's writes took that were under way meanwhile, the shortest first.
    pub writes: Vec<Duration>,
}

impl Step {
    /// The time within which so many of a thousand writes were done.
    pub fn within(&self, permille: usize) -> Duration {
        times::within(&self.writes, permille)
    }
}

/// Restarts every node, and tells of each when it is done.
///
/// # Errors
/// [`ClusterError::NotWhole`], before anything is done, if a node isn't well; as [`Cluster::restart`]; [`ClusterError::Client`] if the
/// client can't work at all; [`ClusterError::Broken`] if a promise was broken meanwhile.
pub async fn roll(cluster: &Cluster, mut told: impl FnMut(&Step)) -> Result<(), ClusterError> {
    whole(cluster).await.map_err(|why| ClusterError::NotWhole { why })?;
    let client = cluster.client_builder().build().map_err(failed)?;
    let session = client.open_session(SessionOptions::new().ttl(TTL)).await.map_err(failed)?;
    let guard = client.lock(LOCK).session(&session).acquire().await.map_err(failed)?;
    // What an earlier one left that was cut off.
    client.kv().delete_with(DeleteOptions::prefix(PREFIX)).await.map_err(failed)?;
    let writer = Writer::start(client.clone());
    let mut left: Vec<u64> = cluster.nodes().iter().map(crate::Node::id).collect();
    while !left.is_empty() {
        let leader = cluster.leader().await?;
        let place = left.iter().position(|id| *id != leader).unwrap_or(0);
        let node = left.remove(place);
        writer.turn();
        let begun = Instant::now();
        cluster.restart(node).await?;
        cluster.until("all nodes have all that is committed", cluster.nodes(), || whole(cluster)).await?;
        let away = begun.elapsed();
        tokio::time::sleep(SETTLES).await;
        told(&Step { node, led: node == leader, away, writes: writer.turn() });
    }
    writer.check(&client).await?;
    let validation = client.locks().validate(LOCK, guard.token()).await.map_err(failed)?;
    if !guard.is_valid() || !validation.owner {
        return Err(ClusterError::Broken { what: "a lock was lost that was held".to_owned() });
    }
    guard.release().await.map_err(failed)?;
    session.close().await.map_err(failed)
}

/// All nodes run, follow one leader, and have what is committed; else why not.
async fn whole(cluster: &Cluster) -> Result<(), String> {
    if let Some(node) = cluster.nodes().iter().find(|node| node.condition() != Condition::Running) {
        return Err(format!("node {} doesn't run", node.id()));
    }
    let Some(first) = cluster.nodes().first() else {
        return Err("there are no nodes".to_owned());
    };
    let members = cluster.status(first.id()).await.map_err(|error| error.to_string())?.members;
    let committed = members.iter().map(|member| member.committed_index).max().unwrap_or(0);
    let leader = members.first().map_or(0, |member| member.leader);
    for member in &members {
        let id = member.member.as_ref().map_or(0, |member| member.node_id);
        if !member.reachable {
            return Err(format!("node {id} can't be reached: {}", member.error));
        }
        if member.leader == 0 || member.leader != leader {
            return Err(format!("node {id} follows {}, another follows {leader}", member.leader));
        }
        if member.disk_full {
            return Err(format!("the disk of node {id} is full"));
        }
        if member.disk_stalled {
            return Err(format!("the disk of node {id} stalls"));
        }
        // What was committed while they were asked isn't lacking.
        if member.last_log_index.saturating_add(LAG) < committed {
            return Err(format!("node {id} has {} of {committed} entries", member.last_log_index));
        }
    }
    Ok(())
}

fn failed(error: Error) -> ClusterError {
    ClusterError::Client { message: error.to_string() }
}

/// Puts, one after another, and remembers what was acknowledged.
struct Writer {
    seen: Arc<Mutex<Seen>>,
    writing: JoinHandle<()>,
}

/// What a key may hold.
#[derive(Debug, Default)]
struct Held {
    /// By the newest write that was acknowledged.
    acknowledged: Option<u64>,
    /// By writes of which nothing is known: they may come late.
    unknown: Vec<u64>,
}

impl Held {
    fn may_be(&self, number: Option<u64>) -> bool {
        number == self.acknowledged || number.is_some_and(|number| self.unknown.contains(&number))
    }
}

#[derive(Default)]
struct Seen {
    keys: BTreeMap<u64, Held>,
    /// How long each write took, of this turn.
    took: Vec<Duration>,
}

impl Seen {
    fn ended(&mut self, key: u64, number: u64, took: Duration, acknowledged: bool) {
        self.took.push(took);
        if acknowledged {
            let held = self.keys.entry(key).or_default();
            held.unknown.retain(|other| *other != number);
            held.acknowledged = Some(number);
        }
    }
}

impl Writer {
    fn start(client: Client) -> Self {
        let seen = Arc::<Mutex<Seen>>::default();
        let noting = seen.clone();
        let writing = tokio::spawn(async move {
            for number in 0.. {
                let (key, begun) = (number % KEYS, Instant::now());
                // It counts as possible before it is sent: the task may be ended at any time.
                lock(&noting).keys.entry(key).or_default().unknown.push(number);
                let done = client.kv().put(format!("{PREFIX}{key}"), number.to_string()).await;
                lock(&noting).ended(key, number, begun.elapsed(), done.is_ok());
                tokio::time::sleep(PACE).await;
            }
        });
        Self { seen, writing }
    }

    /// Takes the times of this turn, the shortest first, and begins another.
    fn turn(&self) -> Vec<Duration> {
        let mut took = std::mem::take(&mut lock(&self.seen).took);
        took.sort_unstable();
        took
    }

    /// Ends the writing, reads all, and deletes it.
    async fn check(mut self, client: &Client) -> Result<(), ClusterError> {
        self.writing.abort();
        let _ = (&mut self.writing).await;
        let keys = std::mem::take(&mut lock(&self.seen).keys);
        let written = client.kv().get_with(GetOptions::prefix(PREFIX)).await.map_err(failed)?;
        for (key, held) in keys {
            let name = format!("{PREFIX}{key}");
            let found = written.kvs.iter().find(|found| found.key == name);
            let holds = found.and_then(|found| std::str::from_utf8(&found.value).ok()?.parse().ok());
            if !held.may_be(holds) {
                return Err(ClusterError::Broken { what: format!("{name} holds {holds:?} instead of {held:?}") });
            }
        }
        client.kv().delete_with(DeleteOptions::prefix(PREFIX)).await.map_err(failed)?;
        Ok(())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.writing.abort();
    }
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}
