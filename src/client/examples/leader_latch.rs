//! A leader latch: two candidates, one leader; when it closes, the other leads with a greater token. An observer sees it.
//!
//! `cargo run -p ringfence-client --example leader_latch`

mod shared;

use std::time::Duration;

use ringfence_client::{Client, Result};

const NAME: &str = "examples/leader";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let client = Client::connect(shared::endpoints()).await?;
    let mut observer = client.election(NAME).observe();
    let told = tokio::spawn(async move {
        while let Some(Ok(view)) = observer.next().await {
            match view.leader {
                Some(leader) => println!("  observer: {} leads", String::from_utf8_lossy(&leader.value)),
                None => println!("  observer: nobody leads"),
            }
        }
    });

    let first = client.latch(NAME).value("10.0.0.1:80").owner("first").ttl(Duration::from_secs(5)).start();
    let token = first.wait_for_leadership().await?;
    println!("the first candidate leads, token {token}");

    let second = client.latch(NAME).value("10.0.0.2:80").owner("second").ttl(Duration::from_secs(5)).start();
    while client.election(NAME).leader().await?.waiting == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    println!("the second waits; leads: {}", second.has_leadership());

    first.proclaim("10.0.0.1:8080").await?;
    // Ask before everything that only a leader may do. This asks nobody, and says no before the cluster could.
    assert!(first.has_leadership());
    first.close().await?;
    let token = second.wait_for_leadership().await?;
    println!("the first has gone: the second leads, token {token}");
    second.close().await?;
    tokio::time::sleep(Duration::from_millis(100)).await;
    told.abort();
    Ok(())
}
