//! Service discovery: instances register keys that live as long as they do, and a client follows who is there.
//!
//! `cargo run -p ringfence-client --example ephemeral_registry`

mod shared;

use std::time::Duration;

use ringfence_client::{
    Client, EventKind, GetOptions, PutOptions, Result, Session, SessionOptions, WatchItem, WatchOptions,
};

const SERVICE: &str = "examples/services/api";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let client = Client::connect(shared::endpoints()).await?;
    let mut watcher = client.watch(WatchOptions::prefix(SERVICE).snapshot()).await?;

    let east = register(&client, "east", "10.0.0.1:80").await?;
    let west = register(&client, "west", "10.0.0.2:80").await?;
    let listed = client.kv().get_with(GetOptions::children(SERVICE)).await?;
    for instance in &listed.kvs {
        println!("{} at {}", String::from_utf8_lossy(&instance.key), String::from_utf8_lossy(&instance.value));
    }

    println!("east ends in good order: its key goes at once");
    east.close().await?;
    println!("west is dropped: its key goes in the background");
    drop(west);

    let mut gone = 0;
    while gone < 2 {
        if let Some(WatchItem::Events(events)) = watcher.next().await.transpose()? {
            for event in events {
                println!("  watcher: {:?} of {}", event.kind, String::from_utf8_lossy(&event.kv.key));
                gone += u32::from(event.kind == EventKind::Delete);
            }
        }
    }
    Ok(())
}

/// Registers an instance. What a crashed process had registered goes when its session expires, here after five seconds.
async fn register(client: &Client, instance: &str, address: &str) -> Result<Session> {
    let options = SessionOptions::new().ttl(Duration::from_secs(5)).owner(instance);
    let session = client.open_session(options).await?;
    let bound = PutOptions::new().bind(&session);
    session.kv().put_with(format!("{SERVICE}/{instance}"), address, bound).await?;
    Ok(session)
}
