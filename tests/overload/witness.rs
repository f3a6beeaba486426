//! A client among many: it holds a session, takes a lock, writes and reads, again and again.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use ringfence_client::{Client, Session, SessionOptions};
use ringfence_cluster::Cluster;
use tokio::{task::JoinHandle, time::Instant};

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
        let rank = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
        sorted.get(rank).map_or(0.0, |time| time.as_secs_f64() * 1000.0)
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
    session: Session,
    end: Arc<AtomicBool>,
    /// Gives the times, and what was broken.
    locking: JoinHandle<(Times, Vec<String>)>,
    /// Gives the times of puts and of gets.
    using: JoinHandle<(Times, Times)>,
}

impl Witness {
    /// Opens its session, and begins.
    ///
    /// # Errors
    /// If it can't be opened.
    pub async fn start(cluster: &Cluster) -> anyhow::Result<Self> {
        let client = cluster.client_builder().deadline(TTL).build()?;
        let session = client.open_session(SessionOptions::new().ttl(TTL)).await?;
        let end = Arc::<AtomicBool>::default();
        let locking = tokio::spawn(locking(client.clone(), session.clone(), end.clone()));
        let using = tokio::spawn(using(client, end.clone()));
        Ok(Self { session, end, locking, using })
    }

    /// Ends it, and gives what it saw and what was broken.
    pub async fn end(self) -> (Seen, Vec<String>) {
        self.end.store(true, Ordering::Relaxed);
        let (locks, mut broken) =
            self.locking.await.unwrap_or_else(|error| (Times::default(), vec![error.to_string()]));
        let (writes, reads) = self.using.await.unwrap_or_default();
        if locks.count() == 0 {
            broken.push("the client beside it never got its lock".to_owned());
        }
        // It may be lost, which was said already.
        drop(self.session.close().await);
        (Seen { locks, writes, reads }, broken)
    }
}

/// Renews and locks: what must go on.
async fn locking(client: Client, session: Session, end: Arc<AtomicBool>) -> (Times, Vec<String>) {
    let (mut times, mut broken) = (Times::default(), Vec::new());
    while !end.load(Ordering::Relaxed) {
        let begun = Instant::now();
        let lock = client.lock("overload/witness").session(&session).wait(TTL);
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
async fn using(client: Client, end: Arc<AtomicBool>) -> (Times, Times) {
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
