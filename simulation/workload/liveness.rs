//! What has to work once the faults are over: one of every operation, by new clients, at every server that runs.

use std::{future::Future, time::Duration};

use ringfence_client::{Client, Compare, Error, GetOptions, Op, SessionOptions, Txn, WatchItem, WatchOptions};

use crate::{history::Liveness, place::World};

/// Of a single attempt.
const DEADLINE: Duration = Duration::from_secs(3);
/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(200);
const TTL: Duration = Duration::from_secs(5);

/// Has a new client of each server that runs do one of every operation, each until it is done, or for as long as `bound`.
pub async fn liveness(world: &World, bound: Duration) {
    let up: Vec<u64> = world.servers().into_iter().filter(|id| world.is_up(*id)).collect();
    liveness_at(world, &up, bound).await;
}

/// The same for these servers alone: those of the majority core, if others run and are cut off.
pub async fn liveness_at(world: &World, core: &[u64], bound: Duration) {
    let machines = world.clients();
    let mut under_way = Vec::new();
    for (server, machine) in core.iter().zip(machines.iter().cycle()) {
        let (server, world_there) = (*server, world.clone());
        under_way.push(world.spawn_on_client(*machine, async move {
            let trials = Trials { world: world_there.clone(), server, bound };
            match world_there.client(&[server], DEADLINE) {
                Ok(client) => trials.all(&client).await,
                Err(error) => trials.tried("a client", 0, Err(error)),
            }
        }));
    }
    for trial in under_way {
        // It fails only if it panics, which ends the world.
        drop(trial.await);
    }
}

struct Trials {
    world: World,
    server: u64,
    bound: Duration,
}

impl Trials {
    async fn all(&self, client: &Client) {
        let key = &format!("live/{}", self.server);
        let kv = &client.kv();
        self.trial("put", || async { kv.put(key, "put").await.map(drop) }).await;
        self.trial("get", || async { kv.get(key).await.map(drop) }).await;
        self.trial("get, stale", || async { kv.get_with(GetOptions::key(key).stale()).await.map(drop) }).await;
        self.trial("list", || async { kv.get_with(GetOptions::prefix("live/")).await.map(drop) }).await;
        let swap = || Txn::new().when(Compare::exists(key)).then(Op::put(key, "swapped"));
        self.trial("swap", || async { kv.txn(swap()).await.map(drop) }).await;
        let both = || Txn::new().then(Op::put(key, "both")).then(Op::put(format!("{key}/2"), "both"));
        self.trial("put all", || async { kv.txn(both()).await.map(drop) }).await;
        self.trial("watch", || watch(client, key)).await;
        self.trial("delete", || async { kv.delete(key).await.map(drop) }).await;
        self.trial("session", || session(client, key)).await;
        self.trial("lock", || lock(client, key)).await;
        self.trial("semaphore", || semaphore(client, key)).await;
        self.trial("election", || election(client, key)).await;
        self.trial("describe", || async { client.locks().describe(key, 0).await.map(drop) }).await;
        self.trial("members", || async { client.cluster().members().await.map(drop) }).await;
    }

    async fn trial<F>(&self, what: &str, attempt: impl Fn() -> F)
    where
        F: Future<Output = Result<(), Error>>,
    {
        let from = self.world.recorder().now();
        let mut last = "no attempt was answered".to_owned();
        let trying = async {
            loop {
                match attempt().await {
                    Ok(()) => return,
                    Err(error) => last = error.to_string(),
                }
                // A change of members that was under way may end only now; who has left owes nothing.
                if self.world.is_retired(self.server) {
                    return;
                }
                tokio::time::sleep(PAUSE).await;
            }
        };
        let done = tokio::time::timeout(self.bound, trying).await;
        if self.world.is_retired(self.server) {
            return;
        }
        self.tried(what, from, done.map_err(|_| last));
    }

    fn tried(&self, what: &str, from: u64, done: Result<(), String>) {
        let what = format!("{what} at server {}", self.server);
        let recorder = self.world.recorder();
        let done_at = done.is_ok().then(|| recorder.now());
        recorder.liveness(Liveness { what, from, done: done_at, last: done.err().unwrap_or_default() });
    }
}

/// A watch that is told of a change made after it began.
async fn watch(client: &Client, key: &str) -> Result<(), Error> {
    let mut watcher = client.watch(WatchOptions::key(key)).await?;
    client.kv().put(key, "watched").await?;
    let told = async {
        loop {
            match watcher.next().await {
                Some(Ok(WatchItem::Events(_))) => return Ok(()),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error),
                None => return Err(Error::Closed),
            }
        }
    };
    let late = || Error::Timeout { message: "no event".to_owned() };
    tokio::time::timeout(DEADLINE, told).await.map_err(|_| late())?
}

/// A session, a numbered write within it, a renewal, and its end.
async fn session(client: &Client, key: &str) -> Result<(), Error> {
    let session = client.open_session(SessionOptions::new().ttl(TTL)).await?;
    session.kv().put(key, "numbered").await?;
    client.sessions().describe(session.id()).await?;
    tokio::time::sleep(TTL / 2).await;
    match session.remaining() > TTL / 2 {
        true => session.close().await,
        false => Err(Error::Timeout { message: "no renewal was acknowledged".to_owned() }),
    }
}

async fn lock(client: &Client, key: &str) -> Result<(), Error> {
    let guard = client.lock(key).ttl(TTL).wait(DEADLINE).acquire().await?;
    let txn = Txn::new().when_holds(key, guard.token()).then(Op::put(format!("{key}/fenced"), "x"));
    client.kv().txn(txn).await?;
    guard.release().await
}

async fn semaphore(client: &Client, key: &str) -> Result<(), Error> {
    client.lock(format!("{key}/permits")).permits(2).ttl(TTL).try_acquire().await?.release().await
}

async fn election(client: &Client, key: &str) -> Result<(), Error> {
    let latch = client.latch(format!("{key}/election")).ttl(TTL).start();
    let late = || Error::Timeout { message: "no leadership".to_owned() };
    tokio::time::timeout(DEADLINE, latch.wait_for_leadership()).await.map_err(|_| late())??;
    latch.proclaim("leader").await?;
    latch.close().await
}
