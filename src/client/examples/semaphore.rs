//! A semaphore: at most two of five workers at a time.
//!
//! `cargo run -p ringfence-client --example semaphore`

mod shared;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use ringfence_client::{Client, Result, Session, SessionOptions};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let client = Client::connect(shared::endpoints()).await?;
    let session = client.open_session(SessionOptions::new().owner("semaphore")).await?;
    let inside = Arc::new(AtomicU32::new(0));
    let workers: Vec<_> = (1..=5).map(|number| tokio::spawn(work(number, session.clone(), inside.clone()))).collect();
    for worker in workers {
        worker.await.expect("a worker panicked")?;
    }
    session.close().await
}

async fn work(number: u32, session: Session, inside: Arc<AtomicU32>) -> Result<()> {
    let permit = session.client().lock("examples/semaphore").permits(2).session(&session).acquire().await?;
    let together = inside.fetch_add(1, Ordering::Relaxed) + 1;
    println!("worker {number} is in, {together} of 2 permits in use, token {}", permit.token());
    assert!(together <= 2);
    tokio::time::sleep(Duration::from_millis(200)).await;
    inside.fetch_sub(1, Ordering::Relaxed);
    permit.release().await
}
