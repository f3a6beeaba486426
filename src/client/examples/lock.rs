//! An exclusive lock: two workers take turns, and each turn has a greater token.
//!
//! `cargo run -p ringfence-client --example lock`

mod shared;

use std::time::Duration;

use ringfence_client::{Client, Result};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let client = Client::connect(shared::endpoints()).await?;
    let ann = tokio::spawn(work(client.clone(), "Ann"));
    let ben = tokio::spawn(work(client, "Ben"));
    let (ann, ben) = (ann.await, ben.await);
    ann.expect("Ann's task panicked")?;
    ben.expect("Ben's task panicked")
}

async fn work(client: Client, who: &'static str) -> Result<()> {
    for turn in 1..=3 {
        let guard = client
            .lock("examples/lock")
            .ttl(Duration::from_secs(10))
            .owner(who)
            .wait(Duration::from_secs(30))
            .acquire()
            .await?;
        println!("{who}, turn {turn}: holds the lock with token {}", guard.token());
        // Work only for as long as the lock is held. A lock can be lost: this says so in time.
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(200)) => {}
            loss = guard.lost() => println!("{who}: lost it ({loss:?}), stops at once"),
        }
        guard.release().await?;
    }
    Ok(())
}
