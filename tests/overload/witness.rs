//! A client among many: it holds a session, takes a lock, writes and reads, again and again.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::bail;
use ringfence_client::{Client, Session, SessionOptions};
use ringfence_cluster::{Cluster, times};
use tokio::{runtime::Builder, time::Instant};

/// Of its session, and the time within which each of its calls must be over.
const TTL: Duration = Duration::from_secs(5);
/// Between two rounds.
const PACE: Duration = Duration::from_millis(5);

/// How long calls took.
#[derive(Debug, Default)]
pub struct Times(Vec<Duration>);

impl Times {
    /// The time within which so many of a hundred were over, by the nearest rank, in milliseconds; 0 of none.
    #[must_use]
    pub fn ms(&self, percent: usize) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        times::ms(times::within(&sorted, percent * 10))
    }

    /// How many there were.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }
}

/// What it saw.
#[derive(Debug, Default)]
pub struct Seen {
    /// Taking a lock of its own, and giving it back.
    pub locks: Times,
    /// Puts. Those that failed took their time, too.
    pub writes: Times,
    /// Linearizable gets, likewise.
    pub reads: Times,
}

/// One that works until it is told to end.
pub struct Witness {
    end: Arc<AtomicBool>,
    work: JoinHandle<anyhow::Result<(Seen, Vec<String>)>>,
}

impl Witness {
    /// Begins.
    ///
    /// # Errors
    /// If there is no thread for it.
    pub fn start(cluster: &Cluster) -> anyhow::Result<Self> {
        let end = Arc::<AtomicBool>::default();
        let work = work(cluster.client_builder().deadline(TTL).build()?, end.clone());
        // A runtime of its own: what those do who ask too much must not come between it and the servers.
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let work = thread::Builder::new().name("witness".to_owned()).spawn(move || runtime.block_on(work))?;
        Ok(Self { end, work })
    }

    /// Ends it, and gives what it saw and what was broken.
    ///
    /// # Errors
    /// If it couldn't even open its session.
    pub async fn end(self) -> anyhow::Result<(Seen, Vec<String>)> {
        self.end.store(true, Ordering::Relaxed);
        let ended = tokio::task::spawn_blocking(|| self.work.join()).await?;
        ended.unwrap_or_else(|_| bail!("the client beside it panicked"))
    }
}

async fn work(client: Client, end: Arc<AtomicBool>) -> anyhow::Result<(Seen, Vec<String>)> {
    let session = client.open_session(SessionOptions::new().ttl(TTL)).await?;
    let ((locks, mut broken), (writes, reads)) = tokio::join!(locking(&client, &session, &end), using(&client, &end));
    if locks.count() == 0 {
        broken.push("the client beside it never got its lock".to_owned());
    }
    // It may be lost, which was said already.
    drop(session.close().await);
    Ok((Seen { locks, writes, reads }, broken))
}

/// Renews and locks: what must go on.
async fn locking(client: &Client, session: &Session, end: &AtomicBool) -> (Times, Vec<String>) {
    let (mut times, mut broken) = (Times::default(), Vec::new());
    while !end.load(Ordering::Relaxed) {
        let begun = Instant::now();
        let lock = client.lock("overload/witness").session(session).wait(TTL);
        let done = async { lock.acquire().await?.release().await };
        match done.await {
            Ok(()) => times.0.push(begun.elapsed()),
            Err(error) => broken.push(format!("a lock within {} s: {error}", TTL.as_secs())),
        }
        if !session.is_valid() {
            broken.push("a session was lost whose client was there".to_owned());
        }
        // Nothing gets better by saying it again and again.
        if broken.len() >= 3 {
            break;
        }
        tokio::time::sleep(PACE).await;
    }
    (times, broken)
}

/// Writes and reads as others do, who may be too many. Whether that is done is not what is asked about here.
async fn using(client: &Client, end: &AtomicBool) -> (Times, Times) {
    let (mut writes, mut reads) = (Times::default(), Times::default());
    while !end.load(Ordering::Relaxed) {
        let begun = Instant::now();
        drop(client.kv().put("overload/witness/key", "value").await);
        writes.0.push(begun.elapsed());
        let begun = Instant::now();
        drop(client.kv().get("overload/witness/key").await);
        reads.0.push(begun.elapsed());
        tokio::time::sleep(PACE).await;
    }
    (writes, reads)
}
