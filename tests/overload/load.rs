//! Clients that ask without pause.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::bail;
use ringfence_cluster::Cluster;
use ringfence_proto::v1::{RangeRequest, TxnRequest};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};
use tonic::{Code, Status};

use super::{Size, leader};
use crate::raw::{self, Raw, bytes, put, then_put};

/// Calls of one connection at a time.
const CALLS: usize = 1_000;
/// Clients that read everything.
const READERS: usize = 16;
/// Puts in one transaction.
const TXN_PUTS: usize = 100;
/// Bytes of a value.
const VALUE_BYTES: usize = 1_024;
/// How long is waited after a refusal, as the refusal asks for.
const RETRY_AFTER: Duration = Duration::from_millis(100);

/// What a load's clients did.
#[derive(Debug, Default)]
pub struct Load {
    /// Calls that were done.
    pub done: u64,
    /// Calls that were refused as too much.
    pub refused: u64,
}

#[derive(Default)]
struct Counts {
    done: AtomicU64,
    refused: AtomicU64,
}

impl Load {
    /// So many writes at a time, each client with one key, all to the node that leads.
    pub async fn writes(cluster: &Cluster, prefix: &str, size: Size) -> anyhow::Result<Self> {
        let value = "v".repeat(VALUE_BYTES);
        let leader = leader(cluster).await?;
        let clients: Vec<Raw> = (0..size.count.div_ceil(CALLS)).map(|_| Raw::at(&leader)).collect();
        let counts = Arc::<Counts>::default();
        let mut working = JoinSet::new();
        let until = Instant::now() + size.lasts;
        for (number, client) in (0..size.count).zip(clients.iter().cycle()) {
            let (mut client, counts) = (client.clone(), counts.clone());
            let request = put(&format!("{prefix}{number}"), &value);
            working.spawn(async move {
                while Instant::now() < until {
                    let answer = client.kv.put(request.clone()).await;
                    counts.count(answer.map(drop)).await;
                }
            });
        }
        working.join_all().await;
        counts.load()
    }

    /// Reads of everything, page by page, again and again.
    pub async fn ranges(cluster: &Cluster, size: Size) -> anyhow::Result<Self> {
        fill(cluster, size.count).await?;
        let clients = connect(cluster, READERS);
        let counts = Arc::<Counts>::default();
        let mut working = JoinSet::new();
        let until = Instant::now() + size.lasts;
        for mut client in clients {
            let counts = counts.clone();
            working.spawn(async move {
                let mut from = bytes("overload/");
                while Instant::now() < until {
                    let request =
                        RangeRequest { key: from.clone(), range_end: bytes("overload0"), ..Default::default() };
                    let answer = client.kv.range(request).await.map(tonic::Response::into_inner);
                    let last = answer.as_ref().ok().filter(|page| page.more).and_then(|page| page.kvs.last());
                    from = last.map_or_else(|| bytes("overload/"), |last| [&last.key[..], &[0]].concat().into());
                    counts.count(answer.map(drop)).await;
                }
            });
        }
        working.join_all().await;
        counts.load()
    }
}

impl Counts {
    /// Counts a call; after a refusal, waits for as long as it asks for.
    async fn count(&self, answer: Result<(), Status>) {
        match answer {
            Ok(()) => drop(self.done.fetch_add(1, Ordering::Relaxed)),
            Err(status) if status.code() == Code::ResourceExhausted => {
                let (_, reason) = raw::refusal::<()>(Err(status));
                assert_eq!(reason, "OVERLOADED");
                self.refused.fetch_add(1, Ordering::Relaxed);
                sleep(RETRY_AFTER).await;
            }
            // At the end of a long time in the queue nothing is known; that isn't what is asked about here.
            Err(_) => sleep(RETRY_AFTER).await,
        }
    }

    fn load(&self) -> anyhow::Result<Load> {
        let load = Load { done: self.done.load(Ordering::Relaxed), refused: self.refused.load(Ordering::Relaxed) };
        if load.done == 0 {
            bail!("not one call of the load was done");
        }
        Ok(load)
    }
}

/// So many connections, to the nodes in turn.
fn connect(cluster: &Cluster, connections: usize) -> Vec<Raw> {
    cluster.nodes().iter().cycle().take(connections).map(|node| Raw::at(node.client_address())).collect()
}

/// Writes so many keys.
async fn fill(cluster: &Cluster, keys: usize) -> anyhow::Result<()> {
    let value = "v".repeat(VALUE_BYTES / 4);
    let mut working = JoinSet::new();
    let clients = connect(cluster, READERS);
    for (number, client) in clients.iter().enumerate() {
        let (mut client, value) = (client.clone(), value.clone());
        let own: Vec<usize> = (number..keys).step_by(READERS).collect();
        working.spawn(async move {
            for keys in own.chunks(TXN_PUTS) {
                let then = keys.iter().map(|key| then_put(put(&format!("overload/keys/{key:08}"), &value)));
                client.kv.txn(TxnRequest { then: then.collect(), ..Default::default() }).await?;
            }
            Ok::<(), Status>(())
        });
    }
    working.join_all().await.into_iter().collect::<Result<(), Status>>()?;
    Ok(())
}
