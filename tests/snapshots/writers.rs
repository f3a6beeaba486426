//! Clients that write: all keys as fast as goes, and then at a constant rate.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use futures::{StreamExt, TryStreamExt, stream};
use ringfence_client::Client;
use ringfence_cluster::Cluster;
use tokio::task::JoinSet;

use super::{CLIENTS, Size, VALUE_BYTES, findings::Write};

/// Writes at a time while the keys are written. They share a connection.
const AT_A_TIME: usize = 512;
/// Between the keys of one write and the next: all parts of the keyspace are written to. Prime, and so a divisor of no number of keys.
const STRIDE: usize = 7_368_787;

/// Writes so many keys.
pub async fn fill(cluster: &Cluster, keys: usize, told: impl Fn(&str)) -> anyhow::Result<()> {
    let client = cluster.client_builder().deadline(Duration::from_secs(60)).build()?;
    let put = |number| {
        let client = client.clone();
        async move { client.kv().put(key(number), [0x5a; VALUE_BYTES]).await }
    };
    let mut putting = stream::iter(0..keys).map(put).buffer_unordered(AT_A_TIME);
    let mut done = 0;
    while putting.try_next().await?.is_some() {
        done += 1;
        if done % (keys / 10).max(1) == 0 {
            told(&format!("{done} of {keys} keys are written"));
        }
    }
    Ok(())
}

fn key(number: usize) -> String {
    format!("snapshots/{number:08}")
}

/// Those that write at a constant rate, each on a connection of its own.
pub struct Writers {
    over: Arc<AtomicBool>,
    writing: JoinSet<Vec<Write>>,
}

impl Writers {
    /// Begins to write. Times are since `begun`.
    ///
    /// # Errors
    /// If a client can't connect.
    pub async fn start(cluster: &Cluster, size: Size, begun: Instant) -> anyhow::Result<Self> {
        let over = Arc::<AtomicBool>::default();
        let mut clients = Vec::new();
        for _ in 0..CLIENTS {
            clients.push(Client::connect(cluster.endpoints()).await?);
        }
        let (mut writing, first) = (JoinSet::new(), begun.elapsed());
        for (number, client) in (0..).zip(clients) {
            writing.spawn(write(client, number, size, (begun, first), over.clone()));
        }
        Ok(Self { over, writing })
    }

    /// Ends them, and gives all that they wrote.
    ///
    /// # Errors
    /// If one panicked.
    pub async fn end(mut self) -> anyhow::Result<Vec<Write>> {
        self.over.store(true, Ordering::Relaxed);
        let mut writes = Vec::new();
        while let Some(written) = self.writing.join_next().await {
            writes.extend(written?);
        }
        Ok(writes)
    }
}

/// One client. A write that is late since the one before it took so long waits from the moment at which it was meant to begin.
async fn write(
    client: Client,
    number: u32,
    size: Size,
    (begun, first): (Instant, Duration),
    over: Arc<AtomicBool>,
) -> Vec<Write> {
    let mut writes = Vec::new();
    for turn in (number..).step_by(CLIENTS) {
        let meant = first + Duration::from_secs(1) * turn / size.rate;
        tokio::time::sleep_until((begun + meant).into()).await;
        if over.load(Ordering::Relaxed) {
            break;
        }
        let key = key((turn as usize).wrapping_mul(STRIDE) % size.keys);
        let failed = client.kv().put(key, [0x5a; VALUE_BYTES]).await.is_err();
        writes.push(Write { meant, took: begun.elapsed().saturating_sub(meant), failed });
    }
    writes
}
