//! A shared lock: readers together, a writer alone, and none of the readers that come later overtakes the writer.
//!
//! `cargo run -p ringfence-client --example shared_lock`

mod shared;

use std::time::Duration;

use ringfence_client::{Client, LockGuard, Result, SessionOptions};

const NAME: &str = "examples/shared";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let client = Client::connect(shared::endpoints()).await?;
    // One session for all: each acquisition makes a claim of its own all the same.
    let session = client.open_session(SessionOptions::new().owner("shared_lock")).await?;
    let reader = || client.lock(NAME).shared().session(&session);

    let (first, second) = (reader().acquire().await?, reader().acquire().await?);
    println!("two readers at a time, tokens {} and {}", first.token(), second.token());

    let writer = tokio::spawn(client.lock(NAME).session(&session).acquire());
    while client.locks().describe(NAME, 0).await?.waiting == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    println!("a writer waits for them");

    let late = reader().try_acquire().await;
    println!("a reader that comes now isn't let past it: {}", say(&late));

    first.release().await?;
    second.release().await?;
    let writer = writer.await.expect("the writer's task panicked")?;
    println!("both are gone: the writer is alone, token {}", writer.token());
    writer.release().await?;
    session.close().await
}

fn say(outcome: &Result<LockGuard>) -> String {
    match outcome {
        Ok(guard) => format!("granted with token {}", guard.token()),
        Err(error) => error.to_string(),
    }
}
