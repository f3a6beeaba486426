//! Clients that do nothing: connections without calls, and watches that nobody reads.

use std::time::Duration;

use anyhow::Context;
use futures::{StreamExt, TryStreamExt, stream};
use ringfence_cluster::Cluster;
use ringfence_proto::v1::{
    WatchCreate, WatchRequest, WatchResponse, watch_client::WatchClient, watch_request::Request,
};
use tokio::time::sleep;
use tonic::{
    Streaming,
    transport::{Channel, Endpoint},
};

use super::{Size, leader, load::Load};
use crate::raw::bytes;

/// Connections that are made at a time.
const CONNECTING: usize = 64;
/// Bytes that a client that doesn't read lets come: what HTTP/2 begins with.
const WINDOW_BYTES: u32 = 65_535;
/// Where the watched keys are.
const WATCHED: &str = "overload/watched/";

/// Connections that say nothing, all to the node that leads.
pub async fn connections(cluster: &Cluster, size: Size) -> anyhow::Result<Load> {
    let leader = leader(cluster).await?;
    let connections: Vec<Channel> = stream::iter(0..size.count)
        .map(|_| connect(&leader))
        .buffer_unordered(CONNECTING)
        .try_collect()
        .await
        .context("connect")?;
    sleep(size.lasts).await;
    Ok(Load { done: connections.len() as u64, refused: 0 })
}

/// Watches of keys that are written meanwhile, each on a connection of its own, all on the node that leads.
pub async fn watchers(cluster: &Cluster, size: Size) -> anyhow::Result<Load> {
    let leader = leader(cluster).await?;
    let watchers: Vec<Streaming<WatchResponse>> = stream::iter(0..size.count)
        .map(|_| watch(&leader))
        .buffer_unordered(CONNECTING)
        .try_collect()
        .await
        .context("watch")?;
    let load = Load::writes(cluster, WATCHED, Size { count: 64, ..size }).await?;
    drop(watchers);
    Ok(load)
}

async fn connect(address: &str) -> anyhow::Result<Channel> {
    let endpoint = Endpoint::from_shared(format!("http://{address}"))?.initial_stream_window_size(WINDOW_BYTES);
    Ok(endpoint.connect_timeout(Duration::from_secs(20)).connect().await?)
}

async fn watch(address: &str) -> anyhow::Result<Streaming<WatchResponse>> {
    let create = WatchCreate { watch_id: 1, key: bytes(WATCHED), prefix: true, ..Default::default() };
    let request = WatchRequest { request: Some(Request::Create(create)) };
    let requests = stream::once(async { request }).chain(stream::pending());
    Ok(WatchClient::new(connect(address).await?).watch(requests).await?.into_inner())
}
