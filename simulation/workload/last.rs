//! The end of a world: wait until everything is still, read all keys, and let the enduring watchers read up to there.

use std::{sync::atomic::Ordering, time::Duration};

use ringfence_client::{Client, Error, GetOptions};

use super::{Workload, hand::Common, reads::seen};
use crate::history::Seen;

/// Of a call.
const DEADLINE: Duration = Duration::from_secs(5);
/// Between two looks.
const POLL: Duration = Duration::from_millis(250);
/// Sessions that nobody renews are over after the longest TTL, and what a change of leaders adds.
const STILL_MAX: Duration = Duration::from_secs(40);
const DRAIN_MAX: Duration = Duration::from_secs(30);
/// Keys in one answer.
const PAGE: u32 = 200;

/// Waits until no session is left that could end, reads the whole keyspace into the history, has the watchers that stayed read up to there,
/// and ends them. After [`Workload::finish`] and the liveness check, as the last thing in a world.
///
/// # Errors
/// If the keyspace can't be read, with the last error.
pub async fn final_read(workload: &mut Workload) -> Result<(), String> {
    let common = workload.common.clone();
    let world = common.world.clone();
    let machine = world.clients().first().copied().ok_or("there are no clients")?;
    let up: Vec<u64> = world.servers().into_iter().filter(|id| world.is_up(*id)).collect();
    let there = common.clone();
    let read = world.on_client(machine, async move {
        let client = there.world.client(&up, DEADLINE)?;
        still(&client).await;
        let (found, revision) = whole_keyspace(&client).await?;
        there.world.recorder().last(found, revision);
        Ok(revision)
    });
    let revision = read.await?;
    common.last_revision.store(revision.max(1), Ordering::Relaxed);
    drained(&common).await;
    common.over.stop();
    workload.join().await;
    Ok(())
}

/// Waits until all sessions have ended, or long enough.
async fn still(client: &Client) {
    let waiting = async {
        loop {
            match client.sessions().list(0, 1).await {
                Ok(page) if page.items.is_empty() => return,
                _ => tokio::time::sleep(POLL).await,
            }
        }
    };
    // The history's readers know which sessions are left: their claims are there.
    drop(tokio::time::timeout(STILL_MAX, waiting).await);
}

/// All keys, claims included, at one revision, read linearizably and again if that fails.
///
/// # Errors
/// The last one.
pub(crate) async fn whole_keyspace(client: &Client) -> Result<(Vec<Seen>, u64), String> {
    let mut last = String::new();
    for _ in 0..20 {
        match all(client).await {
            Ok(read) => return Ok(read),
            Err(error) => last = error.to_string(),
        }
        tokio::time::sleep(POLL).await;
    }
    Err(format!("the keyspace can't be read at the end: {last}"))
}

/// All keys at one revision, page by page.
async fn all(client: &Client) -> Result<(Vec<Seen>, u64), Error> {
    let kv = client.kv();
    let mut page = kv.get_with(GetOptions::prefix("").limit(PAGE)).await?;
    let revision = page.revision;
    let mut found: Vec<Seen> = page.kvs.iter().map(seen).collect();
    while page.more {
        let Some(last) = page.kvs.last() else { break };
        let mut from = last.key.to_vec();
        from.push(0);
        let options = GetOptions::range(from, [0xff; 1]).limit(PAGE).at_revision(revision);
        page = kv.get_with(options).await?;
        found.extend(page.kvs.iter().map(seen));
    }
    Ok((found, revision))
}

/// Waits until the enduring watchers have read all, or long enough.
async fn drained(common: &Common) {
    let waiting = async {
        while common.enduring.load(Ordering::Relaxed) > 0 {
            tokio::time::sleep(POLL).await;
        }
    };
    drop(tokio::time::timeout(DRAIN_MAX, waiting).await);
}
