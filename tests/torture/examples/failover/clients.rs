//! Clients that write, take locks, and watch, all the time; and what they have done.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Result;
use ringfence_client::{Client, SessionOptions, WatchItem, WatchOptions};
use ringfence_cluster::Cluster;
use tokio::task::JoinSet;

const KEYS: &str = "failover/";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Write,
    Grant,
    Event,
}

impl Kind {
    pub const ALL: [(Self, &str); 3] =
        [(Self::Write, "write"), (Self::Grant, "lock granted"), (Self::Event, "change seen")];
}

/// A time without anything of a kind done.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pause {
    /// From when it was watched to its beginning.
    pub after: Duration,
    pub took: Duration,
}

/// What clients have done since it was last cleared, and whether they are to stop. Clones are the same.
#[derive(Clone, Default)]
pub struct Board {
    done: Arc<Mutex<Vec<(Kind, Instant)>>>,
    over: Arc<AtomicBool>,
}

impl Board {
    /// Begins anew; gives how much of each kind was done before.
    pub fn clear(&self) -> [usize; 3] {
        let done = std::mem::take(&mut *self.all());
        Kind::ALL.map(|(kind, _)| done.iter().filter(|(of, _)| *of == kind).count())
    }

    /// The longest pause between then and now without any of this kind.
    pub fn longest_without(&self, kind: Kind, since: Instant) -> Pause {
        let done = self.all().iter().filter(|(of, _)| *of == kind).map(|(_, at)| *at).collect::<Vec<_>>();
        let (mut before, mut longest) = (since, Pause::default());
        for at in done.into_iter().chain([Instant::now()]) {
            let took = at.saturating_duration_since(before);
            if took > longest.took {
                longest = Pause { after: before.saturating_duration_since(since), took };
            }
            before = at;
        }
        longest
    }

    fn note(&self, kind: Kind) {
        self.all().push((kind, Instant::now()));
    }

    fn all(&self) -> MutexGuard<'_, Vec<(Kind, Instant)>> {
        self.done.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }
}

/// They work until they are ended, or the value goes.
pub struct Clients {
    pub board: Board,
    working: JoinSet<()>,
}

impl Clients {
    /// Starts so many that write, as many that take locks of their own, and one that watches. Each waits for so long between two of its calls.
    pub async fn start(cluster: &Cluster, count: usize, pause: Duration) -> Result<Self> {
        let (board, mut working) = (Board::default(), JoinSet::new());
        for number in 0..count {
            working.spawn(write(Client::connect(cluster.endpoints()).await?, number, pause, board.clone()));
            working.spawn(take(Client::connect(cluster.endpoints()).await?, number, pause, board.clone()));
        }
        working.spawn(watch(Client::connect(cluster.endpoints()).await?, board.clone()));
        Ok(Self { board, working })
    }

    pub async fn end(mut self) {
        self.board.over.store(true, Ordering::Relaxed);
        self.working.shutdown().await;
    }
}

async fn write(client: Client, number: usize, pause: Duration, board: Board) {
    let key = format!("{KEYS}{number}");
    while !board.is_over() {
        if client.kv().put(&key, [0x5a; 256]).await.is_ok() {
            board.note(Kind::Write);
        }
        tokio::time::sleep(pause).await;
    }
}

async fn take(client: Client, number: usize, pause: Duration, board: Board) {
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
        tokio::time::sleep(pause).await;
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
