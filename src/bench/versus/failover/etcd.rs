//! On etcd: each client knows all nodes.

use std::{future::Future, time::Duration};

use anyhow::Result;
use etcd_client::{Client, ConnectOptions, Error, LockOptions, PutOptions, WatchOptions};
use tokio::{task::JoinSet, time::timeout};

use crate::{
    CALL, CLIENTS, KEYS, PAUSE, TTL,
    board::{Board, Kind},
};

pub async fn begin(endpoints: &[String], board: &Board, clients: &mut JoinSet<()>) -> Result<()> {
    let connect = || {
        let options = ConnectOptions::new().with_connect_timeout(Duration::from_secs(1));
        Client::connect(endpoints, Some(options))
    };
    for number in 0..CLIENTS {
        clients.spawn(write(connect().await?, number, board.clone()));
        clients.spawn(take(connect().await?, number, board.clone()));
    }
    clients.spawn(watch(connect().await?, board.clone()));
    Ok(())
}

/// What came of a call, if anything did in time.
async fn done<T>(call: impl Future<Output = Result<T, Error>>) -> Option<T> {
    timeout(CALL, call).await.ok()?.ok()
}

async fn write(mut client: Client, number: usize, board: Board) {
    let key = format!("{KEYS}{number}");
    loop {
        if done(client.put(key.clone(), vec![0x5a; 256], None::<PutOptions>)).await.is_some() {
            board.note(Kind::Write);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn take(mut client: Client, number: usize, board: Board) {
    let name = format!("failover-{number}");
    let mut lease = None;
    loop {
        tokio::time::sleep(PAUSE).await;
        let Some(id) = lease else {
            let seconds = i64::try_from(TTL.as_secs()).unwrap_or(i64::MAX);
            lease = done(client.lease_grant(seconds, None)).await.map(|granted| granted.id());
            continue;
        };
        match done(client.lock(name.clone(), Some(LockOptions::new().with_lease(id)))).await {
            Some(held) => {
                board.note(Kind::Grant);
                let _ = done(client.unlock(held.key())).await;
                // Renewed as it is used, and that is often enough.
                if let Some((mut keeper, _)) = done(client.lease_keep_alive(id)).await {
                    let _ = done(keeper.keep_alive()).await;
                }
            }
            // What was claimed meanwhile goes with the lease, or it would stand in the way of the next attempt.
            None => {
                let _ = done(client.lease_revoke(id)).await;
                lease = None;
            }
        }
    }
}

/// Sees what the writers write; begins again where a stream ends.
async fn watch(mut client: Client, board: Board) {
    loop {
        if let Some(mut events) = done(client.watch(KEYS, Some(WatchOptions::new().with_prefix()))).await {
            // One that is silent for so long is of no use, since there is always something to see.
            while let Ok(Ok(Some(message))) = timeout(Duration::from_secs(1), events.message()).await {
                if !message.events().is_empty() {
                    board.note(Kind::Event);
                }
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}
