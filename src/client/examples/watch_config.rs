//! Configuration that is always up to date: first the present state, then every change, over lost connections too.
//!
//! `cargo run -p ringfence-client --example watch_config`

mod shared;

use std::collections::BTreeMap;

use bytes::Bytes;
use ringfence_client::{Client, EventKind, Result, WatchItem, WatchOptions, Watcher};

const PREFIX: &str = "examples/config/";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let client = Client::connect(shared::endpoints()).await?;
    let kv = client.kv();
    kv.put("examples/config/timeout", "5s").await?;
    kv.put("examples/config/debug", "off").await?;

    let mut watcher = client.watch(WatchOptions::prefix(PREFIX).snapshot()).await?;
    kv.put("examples/config/timeout", "7s").await?;
    kv.delete("examples/config/debug").await?;

    let mut config = BTreeMap::new();
    while config != wanted() {
        follow(&mut watcher, &mut config).await?;
    }
    println!("what was to come has come");
    Ok(())
}

/// Takes one item over.
async fn follow(watcher: &mut Watcher, config: &mut BTreeMap<Bytes, Bytes>) -> Result<()> {
    match watcher.next().await.transpose()? {
        Some(WatchItem::Snapshot { first, revision, kvs, .. }) => {
            if first {
                config.clear();
            }
            config.extend(kvs.into_iter().map(|kv| (kv.key, kv.value)));
            println!("as of revision {revision}: {config:?}");
        }
        Some(WatchItem::Events(events)) => {
            for event in events {
                println!("revision {}: {:?} of {:?}", event.kv.mod_revision, event.kind, event.kv.key);
                match event.kind {
                    EventKind::Put => config.insert(event.kv.key, event.kv.value),
                    EventKind::Delete => config.remove(&event.kv.key),
                };
            }
        }
        _ => {}
    }
    Ok(())
}

fn wanted() -> BTreeMap<Bytes, Bytes> {
    BTreeMap::from([(Bytes::from("examples/config/timeout"), Bytes::from("7s"))])
}
