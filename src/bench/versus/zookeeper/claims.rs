//! Locks, elections and semaphores, by the usual recipes: nodes in a row, of which the first ones own what they stand for.

use ringfence_bench::{Meter, workload::PREFIX};
use tokio::time::Instant;
use zookeeper_client::{Acls, Client, CreateMode, CreateOptions, Error};

use super::path;

/// Of nodes that stand in a row, and go with their session.
const STANDS: CreateOptions<'static> = CreateMode::EphemeralSequential.with_acls(Acls::anyone_all());
/// What their names begin with.
const NAME: &str = "claim-";

/// Takes a lock that nobody else wants, and releases it; both count.
pub async fn own_lock(client: Client, meter: Meter, number: usize) {
    let queue = path(&format!("locks/{number}"));
    while let Some(begun) = meter.next().await {
        let done = async {
            let mine = stand(&client, &queue).await?;
            wait_for_first(&client, &queue, &mine).await?;
            leave(&client, &queue, &mine).await
        };
        meter.ended(begun, done.await);
    }
}

/// Takes the lock that all want, and releases it; what counts is the wait. An election is the same.
pub async fn one_lock(client: Client, queue: String, meter: Meter) {
    while let Some(begun) = meter.next().await {
        let done = async {
            let mine = stand(&client, &queue).await?;
            wait_for_first(&client, &queue, &mine).await?;
            meter.arrived(begun);
            leave(&client, &queue, &mine).await
        };
        failed(done.await, begun, &meter);
    }
}

/// Takes one of so many permits, and gives it back; what counts is the wait.
pub async fn semaphore(client: Client, permits: usize, meter: Meter) {
    let queue = format!("/{PREFIX}semaphore");
    while let Some(begun) = meter.next().await {
        let done = async {
            let mine = stand(&client, &queue).await?;
            wait_for_one_of(&client, &queue, &mine, permits).await?;
            meter.arrived(begun);
            leave(&client, &queue, &mine).await
        };
        failed(done.await, begun, &meter);
    }
}

/// What has succeeded was counted already.
fn failed(done: Result<(), Error>, begun: Instant, meter: &Meter) {
    if let Err(error) = done {
        meter.ended(begun, Err(error));
    }
}

/// Stands at the end of the row, and gives its name there.
async fn stand(client: &Client, queue: &str) -> Result<String, Error> {
    let (_, sequence) = client.create(&format!("{queue}/{NAME}"), b"", &STANDS).await?;
    Ok(format!("{NAME}{sequence}"))
}

async fn leave(client: &Client, queue: &str, mine: &str) -> Result<(), Error> {
    client.delete(&format!("{queue}/{mine}"), None).await
}

/// Watches the one that stands before, so that one alone wakes when a place is left.
async fn wait_for_first(client: &Client, queue: &str, mine: &str) -> Result<(), Error> {
    loop {
        let row = sorted(client.list_children(queue).await?);
        let Some(before) = row.iter().take_while(|name| *name != mine).last() else { return Ok(()) };
        match client.get_and_watch_data(&format!("{queue}/{before}")).await {
            Ok((_, _, watcher)) => drop(watcher.changed().await),
            Err(Error::NoNode) => {}
            Err(error) => return Err(error),
        }
    }
}

/// Watches the row, since any of those before may leave.
async fn wait_for_one_of(client: &Client, queue: &str, mine: &str, permits: usize) -> Result<(), Error> {
    loop {
        let (row, _, watcher) = client.get_and_watch_children(queue).await?;
        if sorted(row).iter().take(permits).any(|name| name == mine) {
            return Ok(());
        }
        watcher.changed().await;
    }
}

fn sorted(mut row: Vec<String>) -> Vec<String> {
    row.sort_unstable();
    row
}
