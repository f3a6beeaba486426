//! Has a message meet its fate.

use std::future::Future;

use madsim::{task::spawn, time::sleep};

use crate::hooks::{Fate, Message, fate};

/// Sends a message (see [`Message`]) by calling, and gives what its sender gets. It may be sent later than the sender waits for it, and go on
/// when the sender is gone. `lost` is what a sender gets whose message is lost.
pub async fn pass<T, F>(kind: &'static str, to: u64, from_server: bool, lost: T, call: impl Fn() -> F) -> T
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    match fate(Message { kind, from: u64::from(from_server), to }) {
        Fate::Deliver => call().await,
        Fate::Delay(late) => {
            let call = call();
            let sent = spawn(async move {
                sleep(late).await;
                call.await
            });
            match sent.await {
                Ok(answer) => answer,
                Err(_) => std::future::pending().await,
            }
        }
        Fate::Twice(late) => {
            let again = call();
            spawn(async move {
                sleep(late).await;
                drop(again.await);
            });
            call().await
        }
        Fate::Lose => lost,
        Fate::LoseAnswer => {
            spawn(call());
            std::future::pending().await
        }
        Fate::Hang => std::future::pending().await,
    }
}

/// A message on a stream on which nothing is overtaken: waits for as long as it is late, or for ever where it hangs. False if the stream
/// breaks here.
pub async fn pass_in_order(kind: &'static str, to: u64) -> bool {
    match fate(Message { kind, from: 1, to }) {
        Fate::Deliver => true,
        Fate::Delay(late) | Fate::Twice(late) => {
            sleep(late).await;
            true
        }
        Fate::Lose | Fate::LoseAnswer => false,
        Fate::Hang => std::future::pending().await,
    }
}

/// Whether a message to this address arrives, and its answer comes back.
#[must_use]
pub fn reaches(kind: &'static str, address: &str) -> bool {
    !matches!(fate(Message { kind, from: 1, to: server_at(address) }), Fate::Lose | Fate::LoseAnswer | Fate::Hang)
}

/// The server at a simulated address (`http://10.0.0.<id>:<port>`, with or without the scheme); 0 if it is none.
#[must_use]
pub fn server_at(address: &str) -> u64 {
    let host = address.rsplit('/').next().and_then(|host| host.split(':').next());
    host.and_then(|host| host.strip_prefix("10.0.0.")).and_then(|id| id.parse().ok()).unwrap_or_default()
}
