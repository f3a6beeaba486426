//! How long clients wait when the leader's disk stalls: three servers as processes, and every so often all syncs of whoever leads take seconds.
//!
//! Clients put and read all the time. For each stall, and over all of them, it prints the longest that one call took. A measurement, not a
//! test: it judges nothing.
//!
//! ```console
//! $ cargo build --release -p ringfence-server -p ringfence-torture-shim
//! $ RINGFENCED=target/release/ringfenced cargo run --release -p ringfence-torture --example stalls -- [STALLS] [--seconds S] [--json]
//! ```

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use ringfence_client::Client;
use ringfence_cluster::{
    Cluster,
    times::{ms, spread},
};
use ringfence_torture::control::{self, Control};
use tokio::task::JoinHandle;

/// Stalls when the command line names no number.
const STALLS: usize = 10;
/// How long each is, in seconds.
const SECONDS: u64 = 5;
const NODES: u64 = 3;
/// Clients of each kind. Whom a client reads from is chance: with so many, some read from the leader.
const CLIENTS: usize = 8;
/// Between two calls of one client, so that the machine isn't what they wait for.
const PAUSE: Duration = Duration::from_millis(5);
/// Between two stalls, and before the first: all disks are steady again.
const CALM: Duration = Duration::from_secs(4);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Put,
    Get,
}

/// A call that has ended.
struct Call {
    kind: Kind,
    begun: Instant,
    took: Duration,
    failed: bool,
}

/// What clients have seen since it was last taken.
type Calls = Arc<Mutex<Vec<Call>>>;

/// What one stall did.
struct Seen {
    led: u64,
    leads: u64,
    put: Duration,
    get: Duration,
    failed: usize,
}

#[tokio::main]
async fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let json = words.iter().any(|word| word == "--json");
    let seconds = words.iter().position(|word| word == "--seconds").and_then(|at| words.get(at + 1)?.parse().ok());
    let length = Duration::from_secs(seconds.unwrap_or(SECONDS));
    let stalls = words.first().and_then(|word| word.parse().ok()).unwrap_or(STALLS);

    let directory = tempfile::tempdir()?;
    let library = control::library().context("build ringfence-torture-shim first, with the same profile")?;
    let mut builder = Cluster::builder().name("stalls");
    let mut controls = Vec::new();
    for id in 1..=NODES {
        let file = directory.path().join(format!("control-{id}"));
        let told = format!("{}={}", control::VARIABLE, file.display());
        builder = builder.through(id, vec!["env".to_owned(), format!("LD_PRELOAD={}", library.display()), told]);
        controls.push(Control::make(file)?);
    }
    let cluster = builder.start().await?;
    let (calls, over) = (Calls::default(), Arc::new(AtomicBool::new(false)));
    let mut clients = Vec::new();
    for number in 0..CLIENTS {
        clients.push(work(&cluster, Kind::Put, number, &calls, &over).await?);
        clients.push(work(&cluster, Kind::Get, number, &calls, &over).await?);
    }

    let mut all = Vec::new();
    for number in 1..=stalls {
        tokio::time::sleep(CALM).await;
        let seen = stall(&cluster, &controls, length, &calls).await?;
        print(number, &seen, json);
        all.push(seen);
    }
    over.store(true, Ordering::Relaxed);
    for client in clients {
        client.await?;
    }
    if !json {
        println!("longest put of each stall, ms: {}", spread(all.iter().map(|seen| seen.put).collect()));
        println!("longest get of each stall, ms: {}", spread(all.iter().map(|seen| seen.get).collect()));
    }
    cluster.stop().await?;
    Ok(())
}

/// One client, which does the same call over and over.
async fn work(
    cluster: &Cluster,
    kind: Kind,
    number: usize,
    calls: &Calls,
    over: &Arc<AtomicBool>,
) -> Result<JoinHandle<()>> {
    let client = Client::connect(cluster.endpoints()).await?;
    client.kv().put(format!("stalls/{number}"), "").await?;
    let (calls, over) = (calls.clone(), over.clone());
    Ok(tokio::spawn(async move {
        let key = format!("stalls/{number}");
        while !over.load(Ordering::Relaxed) {
            let begun = Instant::now();
            let failed = match kind {
                Kind::Put => client.kv().put(&key, [0x5a; 256]).await.is_err(),
                Kind::Get => client.kv().get(&key).await.is_err(),
            };
            let call = Call { kind, begun, took: begun.elapsed(), failed };
            calls.lock().unwrap_or_else(PoisonError::into_inner).push(call);
            tokio::time::sleep(PAUSE).await;
        }
    }))
}

/// All syncs of whoever leads take so long, until the first of them is over.
async fn stall(cluster: &Cluster, controls: &[Control], length: Duration, calls: &Calls) -> Result<Seen> {
    let led = cluster.leader().await?;
    let control = usize::try_from(led - 1).ok().and_then(|at| controls.get(at)).context("a leader of these nodes")?;
    let us = i64::try_from(length.as_micros())?;
    calls.lock().unwrap_or_else(PoisonError::into_inner).clear();
    let begun = Instant::now();
    control.change(|wanted| wanted.delay_us = us)?;
    // The sync that meets it has begun within this, since clients write all the time; it takes all of it, and none after it.
    tokio::time::sleep(length / 2).await;
    control.change(|wanted| wanted.delay_us = 0)?;
    tokio::time::sleep(length / 2 + CALM).await;
    let leads = cluster.leader().await?;
    let calls = std::mem::take(&mut *calls.lock().unwrap_or_else(PoisonError::into_inner));
    let concerned: Vec<&Call> = calls.iter().filter(|call| call.begun + call.took >= begun).collect();
    let worst =
        |kind| concerned.iter().filter(|call| call.kind == kind).map(|call| call.took).max().unwrap_or_default();
    let failed = concerned.iter().filter(|call| call.failed).count();
    Ok(Seen { led, leads, put: worst(Kind::Put), get: worst(Kind::Get), failed })
}

fn print(number: usize, seen: &Seen, json: bool) {
    let Seen { led, leads, put, get, failed } = seen;
    let (put, get) = (ms(*put), ms(*get));
    if json {
        println!(
            "{{\"stall\":{number},\"led\":{led},\"leads\":{leads},\"put_ms\":{put:.1},\"get_ms\":{get:.1},\"failed\":{failed}}}"
        );
    } else {
        println!(
            "stall {number:>2} at node {led}: node {leads} leads afterwards; longest put {put:>7.1} ms, longest get {get:>7.1} ms, {failed} calls failed"
        );
    }
}
