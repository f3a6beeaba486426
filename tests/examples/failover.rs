//! How long clients wait when the leader goes: three servers as processes, and again and again whoever leads is killed, or asked to stop.
//!
//! Clients write, take locks, and watch, all the time. For each time, and over all of them, it prints the longest that no write was done, no lock
//! was granted, and no change was seen, by anybody. A measurement, not a test: it judges nothing.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Result;
use ringfence_client::{Client, SessionOptions, WatchItem, WatchOptions};
use ringfence_cluster::{
    Builder, Cluster,
    times::{ms, spread},
};
use tokio::task::JoinSet;

/// Times when the command line names no number.
const TIMES: usize = 30;
/// Writers, and as many that take locks of their own.
const CLIENTS: usize = 8;
/// Between two calls of one client, so that the machine isn't what they wait for.
const PAUSE: Duration = Duration::from_millis(5);
/// Before each time: everything goes its way again.
const CALM: Duration = Duration::from_secs(2);
/// How long it is watched.
const LOOK: Duration = Duration::from_secs(8);
const KEYS: &str = "failover/";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Write,
    Grant,
    Event,
}

impl Kind {
    const ALL: [(Self, &str); 3] =
        [(Self::Write, "write"), (Self::Grant, "lock granted"), (Self::Event, "change seen")];
}

/// What clients have done since it was last cleared, and whether they are to stop. Clones are the same.
#[derive(Clone, Default)]
struct Board {
    done: Arc<Mutex<Vec<(Kind, Instant)>>>,
    over: Arc<AtomicBool>,
}

impl Board {
    fn note(&self, kind: Kind) {
        self.all().push((kind, Instant::now()));
    }

    fn all(&self) -> std::sync::MutexGuard<'_, Vec<(Kind, Instant)>> {
        self.done.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// The longest time between then and now without any of this kind.
    fn longest_without(&self, kind: Kind, since: Instant) -> Duration {
        let done = self.all().iter().filter(|(of, _)| *of == kind).map(|(_, at)| *at).collect::<Vec<_>>();
        let (mut before, mut longest) = (since, Duration::ZERO);
        for at in done.into_iter().chain([Instant::now()]) {
            longest = longest.max(at.saturating_duration_since(before));
            before = at;
        }
        longest
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let named = |name: &str| words.iter().any(|word| word == name);
    let (json, planned, tight) = (named("--json"), named("--stop"), named("--tight"));
    let settings = match (planned, tight) {
        (true, _) => "asked to stop",
        (false, true) => "tight",
        (false, false) => "default",
    };
    let times = words.iter().find_map(|word| word.parse().ok()).unwrap_or(TIMES);

    let cluster = if tight { tightened(Cluster::builder()) } else { Cluster::builder() };
    let cluster = cluster.name("failover").start().await?;
    let board = Board::default();
    let mut clients = JoinSet::new();
    for number in 0..CLIENTS {
        clients.spawn(write(Client::connect(cluster.endpoints()).await?, number, board.clone()));
        clients.spawn(take(Client::connect(cluster.endpoints()).await?, number, board.clone()));
    }
    clients.spawn(watch(Client::connect(cluster.endpoints()).await?, board.clone()));

    let mut all = [const { Vec::new() }; 3];
    for number in 1..=times {
        tokio::time::sleep(CALM).await;
        let leader = cluster.leader().await?;
        board.all().clear();
        let begun = Instant::now();
        let node = cluster.node(leader)?;
        if planned {
            node.stop().await?
        } else {
            node.kill().await?
        }
        tokio::time::sleep_until((begun + LOOK).into()).await;
        let took = Kind::ALL.map(|(kind, _)| board.longest_without(kind, begun));
        all.iter_mut().zip(took).for_each(|(all, took)| all.push(took));
        print(number, leader, took.map(ms), json, settings);
        cluster.start_node(leader).await?;
        cluster.wait_node(leader).await?;
    }
    board.over.store(true, Ordering::Relaxed);
    clients.shutdown().await;
    if !json {
        for ((_, what), all) in Kind::ALL.into_iter().zip(all) {
            println!("longest without a {what}, ms: {}", spread(all));
        }
    }
    cluster.stop().await?;
    Ok(())
}

/// Whoever leads and is silent is given up after a tenth of a second to a fifth.
fn tightened(builder: Builder) -> Builder {
    builder.setting("heartbeat_ms", 20).setting("election_timeout_ms_min", 100).setting("election_timeout_ms_max", 200)
}

async fn write(client: Client, number: usize, board: Board) {
    let key = format!("{KEYS}{number}");
    while !board.is_over() {
        if client.kv().put(&key, [0x5a; 256]).await.is_ok() {
            board.note(Kind::Write);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn take(client: Client, number: usize, board: Board) {
    let name = format!("failover-{number}");
    let options = || SessionOptions::new().ttl(Duration::from_secs(30));
    let mut session = None;
    while !board.is_over() {
        let Some(open) = &session else {
            session = client.open_session(options()).await.ok();
            continue;
        };
        match client.lock(&name).session(open).acquire().await {
            Ok(guard) => {
                board.note(Kind::Grant);
                let _ = guard.release().await;
            }
            Err(_) => session = None,
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Sees what the writers write.
async fn watch(client: Client, board: Board) {
    let Ok(mut watcher) = client.watch(WatchOptions::prefix(KEYS)).await else { return };
    while let Some(Ok(item)) = watcher.next().await {
        if let WatchItem::Events(_) = item {
            board.note(Kind::Event);
        }
    }
}

fn print(number: usize, leader: u64, [write, grant, event]: [f64; 3], json: bool, settings: &str) {
    if json {
        println!(
            "{{\"system\":\"ringfence\",\"settings\":\"{settings}\",\"time\":{number},\"leader\":{leader},\"write_ms\":{write:.1},\"grant_ms\":{grant:.1},\"event_ms\":{event:.1}}}"
        );
    } else {
        println!(
            "{number:>3}: node {leader} led; longest without a write {write:>7.1} ms, without a lock granted {grant:>7.1} ms, without a change seen {event:>7.1} ms"
        );
    }
}
