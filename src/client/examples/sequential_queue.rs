//! A work queue: producers append under numbers that never go back, consumers take the oldest entry, each exactly once.
//!
//! `cargo run -p ringfence-client --example sequential_queue`

mod shared;

use ringfence_client::{Client, Compare, GetOptions, KeyValue, Kv, Op, PutOptions, Result, SessionOptions, Txn};

const QUEUE: &str = "examples/queue/";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let client = Client::connect(shared::endpoints()).await?;
    // Writes within a session have one effect, however often a lost answer makes the client send them.
    let session = client.open_session(SessionOptions::new().owner("sequential_queue")).await?;
    let kv = session.kv();
    for job in ["wash", "dry", "fold"] {
        let put = kv.put_with(QUEUE, job, PutOptions::new().sequential()).await?;
        println!("put {job} under {}", String::from_utf8_lossy(&put.key));
    }
    while let Some(job) = take(&kv).await? {
        println!("took {}", String::from_utf8_lossy(&job.value));
    }
    println!("the queue is empty");
    session.close().await
}

/// Takes the oldest entry; `None` if there is none.
async fn take(kv: &Kv) -> Result<Option<KeyValue>> {
    loop {
        let oldest = GetOptions::prefix(QUEUE).limit(1);
        let Some(job) = kv.get_with(oldest).await?.kvs.pop() else {
            return Ok(None);
        };
        // Whoever deletes it has it. Another consumer may have been faster.
        let unchanged = Compare::mod_revision(&job.key).equals(job.mod_revision);
        let txn = Txn::new().when(unchanged).then(Op::delete(&job.key));
        if kv.txn(txn).await?.succeeded {
            return Ok(Some(job));
        }
    }
}
