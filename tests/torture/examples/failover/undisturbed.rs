//! Nobody is lost: full load for a while, and whether somebody was elected without need.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use ringfence_cluster::Cluster;

use crate::{arguments::Arguments, clients::Clients};

/// Writers, and as many that take locks, all without a pause.
const CLIENTS: usize = 64;
/// How often what they did is counted and forgotten.
const PERIOD: Duration = Duration::from_secs(1);

/// Prints how many elections there were. Each has a term of its own.
pub async fn watch(cluster: &Cluster, minutes: u64, arguments: &Arguments) -> Result<()> {
    let before = term(cluster).await?;
    let clients = Clients::start(cluster, CLIENTS, Duration::ZERO).await?;
    let (begun, whole) = (Instant::now(), Duration::from_secs(minutes * 60));
    let mut done = [0; 3];
    while begun.elapsed() < whole {
        tokio::time::sleep(PERIOD).await;
        done.iter_mut().zip(clients.board.clear()).for_each(|(done, more)| *done += more);
    }
    clients.end().await;
    let elections = term(cluster).await?.saturating_sub(before);
    let [writes, grants, _] = done;
    if arguments.json {
        let settings = arguments.settings();
        println!(
            "{{\"system\":\"ringfence\",\"settings\":\"{settings}\",\"elections\":{elections},\"minutes\":{minutes},\"writes\":{writes},\"grants\":{grants}}}"
        );
    } else {
        println!("{elections} elections in {minutes} minutes with {writes} writes and {grants} locks granted");
    }
    cluster.stop().await?;
    Ok(())
}

/// The highest term that any node knows.
async fn term(cluster: &Cluster) -> Result<u64> {
    let mut terms = Vec::new();
    for node in cluster.nodes() {
        terms.push(cluster.status_local(node.id()).await?.term);
    }
    terms.into_iter().max().context("a cluster has nodes")
}
