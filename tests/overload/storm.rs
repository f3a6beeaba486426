//! Sessions that expire at the same moment.

use anyhow::{Context, bail};
use futures::{StreamExt, TryStreamExt, stream};
use ringfence_cluster::Cluster;
use ringfence_proto::v1::{PutRequest, SessionRenewRequest};
use tokio::time::{Instant, sleep};
use tonic::Status;

use super::{Size, leader, load::Load};
use crate::raw::{Raw, put};

/// Sessions that are opened at a time.
const OPENING: usize = 512;
/// Sessions that one message renews.
const RENEWED: usize = 1_000;

/// Opens the sessions, writes a key for each, renews all of them at once, and waits until they have expired.
pub async fn expire(cluster: &Cluster, size: Size) -> anyhow::Result<Load> {
    let leader = leader(cluster).await?;
    let client = Raw::at(&leader);
    let ttl_ms = u64::try_from(size.ttl.as_millis())?;
    let sessions: Vec<u64> = stream::iter(0..size.count)
        .map(|number| open(client.clone(), ttl_ms, number))
        .buffer_unordered(OPENING)
        .try_collect()
        .await
        .context("open sessions")?;
    let messages: Vec<SessionRenewRequest> = sessions
        .chunks(RENEWED)
        .zip(1..)
        .map(|(ids, request)| SessionRenewRequest { session_ids: ids.to_vec(), request })
        .collect();
    let wanted = messages.len();
    let mut renewing = client.clone().session;
    let mut answers = renewing.renew(stream::iter(messages).chain(stream::pending())).await?.into_inner();
    for _ in 0..wanted {
        let answer = answers.message().await?.context("the renewals end")?;
        if let Some(lost) = answer.renewals.iter().find(|renewal| !renewal.alive) {
            bail!("session {} expired before its time: a longer TTL is needed here", lost.session_id);
        }
    }
    drop(answers);
    let renewed = Instant::now();
    let mut account = client.clone();
    // The witness has one, too.
    while account.status().await?.sessions > 1 {
        if renewed.elapsed() > size.ttl * 3 {
            bail!("sessions are there three times as long as their TTL");
        }
        sleep(std::time::Duration::from_millis(200)).await;
    }
    let left = account.list(KEYS).await?.kvs.len();
    if left > 0 {
        bail!("{left} keys outlived their sessions");
    }
    Ok(Load { done: size.count as u64, refused: 0 })
}

/// Where the sessions' keys are.
const KEYS: &str = "overload/sessions/";

async fn open(mut client: Raw, ttl_ms: u64, number: usize) -> Result<u64, Status> {
    let session_id = client.open(ttl_ms).await?;
    let key = PutRequest { session_id, ..put(&format!("{KEYS}{number:08}"), "") };
    client.kv.put(key).await?;
    Ok(session_id)
}
