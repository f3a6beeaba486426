//! On ZooKeeper: each client knows all nodes, and finds another by itself.

use anyhow::Result;
use tokio::task::JoinSet;
use zookeeper_client::{Acls, AddWatchMode, Client, CreateMode, CreateOptions, Error, EventType, SessionState};

use crate::{
    CLIENTS, KEYS, PAUSE, TTL,
    board::{Board, Kind},
};

const STAYS: CreateOptions<'static> = CreateMode::Persistent.with_acls(Acls::anyone_all());
const STANDS: CreateOptions<'static> = CreateMode::EphemeralSequential.with_acls(Acls::anyone_all());

/// To make a directory.
const ATTEMPTS: usize = 40;

pub async fn begin(endpoints: &[String], board: &Board, clients: &mut JoinSet<()>) -> Result<()> {
    let all = endpoints.join(",");
    let connect = || Client::connector().with_session_timeout(TTL).connect(&all);
    let directory = format!("/{}", KEYS.trim_end_matches('/'));
    let first = connect().await?;
    for number in 0..CLIENTS {
        let (key, queue) = (format!("{directory}/{number}"), format!("/failover-{number}"));
        make(&first, &key).await?;
        make(&first, &queue).await?;
        clients.spawn(write(connect().await?, key, board.clone()));
        clients.spawn(take(connect().await?, queue, board.clone()));
    }
    clients.spawn(watch(connect().await?, directory, board.clone()));
    Ok(())
}

/// Servers that have only just begun may break a connection once more.
async fn make(client: &Client, path: &str) -> Result<(), Error> {
    for _ in 0..ATTEMPTS {
        match client.mkdir(path, &STAYS).await {
            Err(Error::ConnectionLoss) => tokio::time::sleep(PAUSE * 50).await,
            other => return other,
        }
    }
    Err(Error::ConnectionLoss)
}

async fn write(client: Client, key: String, board: Board) {
    loop {
        if client.set_data(&key, &[0x5a; 256], None).await.is_ok() {
            board.note(Kind::Write);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Nobody else wants its lock; what an attempt left that broke off it takes away itself.
async fn take(client: Client, queue: String, board: Board) {
    loop {
        match once(&client, &queue, &board).await {
            Ok(()) => {}
            Err(_) => {
                for left in client.list_children(&queue).await.unwrap_or_default() {
                    let _ = client.delete(&format!("{queue}/{left}"), None).await;
                }
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn once(client: &Client, queue: &str, board: &Board) -> Result<(), Error> {
    let (_, sequence) = client.create(&format!("{queue}/claim-"), b"", &STANDS).await?;
    let mine = format!("claim-{sequence}");
    if client.list_children(queue).await?.iter().min() != Some(&mine) {
        // An attempt that broke off stands before this one.
        return Err(Error::NodeExists);
    }
    board.note(Kind::Grant);
    client.delete(&format!("{queue}/{mine}"), None).await
}

/// Sees what the writers write; watches again where it has reconnected, since the watch isn't always kept then.
async fn watch(client: Client, directory: String, board: Board) {
    loop {
        if let Ok(mut watcher) = client.watch(&directory, AddWatchMode::PersistentRecursive).await {
            let mut broken = false;
            loop {
                let event = watcher.changed().await;
                match event.event_type {
                    EventType::NodeDataChanged => board.note(Kind::Event),
                    EventType::Session if event.session_state.is_terminated() => return,
                    EventType::Session if event.session_state == SessionState::Disconnected => broken = true,
                    EventType::Session if broken => break,
                    _ => {}
                }
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}
