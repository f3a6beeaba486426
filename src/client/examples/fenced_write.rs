//! A fenced write: who has lost the lock can't write, even if it doesn't know that it lost it.
//!
//! `cargo run -p ringfence-client --example fenced_write`

mod shared;

use ringfence_client::{Client, Op, Result, Token, Txn};

const LOCK: &str = "examples/fence";
const BALANCE: &str = "examples/balance";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let client = Client::connect(shared::endpoints()).await?;
    let slow = client.lock(LOCK).owner("slow").acquire().await?;
    let old = slow.token();
    println!("the slow one holds the lock with token {old}: {}", write(&client, old, "100").await?);

    // An operator takes the lock away; the slow one doesn't look.
    client.locks().force_release(LOCK, old).await?;
    let quick = client.lock(LOCK).owner("quick").acquire().await?;
    let new = quick.token();
    println!("the quick one holds it with token {new}: {}", write(&client, new, "200").await?);
    println!("the slow one writes with token {old}: {}", write(&client, old, "300").await?);

    let balance = client.kv().get(BALANCE).await?.map(|kv| kv.value);
    assert_eq!(balance.as_deref(), Some(&b"200"[..]));
    println!("the balance is 200");
    quick.release().await?;
    // It learns of its loss here at the latest.
    println!("the slow one releases: {}", slow.release().await.is_err_and(|error| error.kind() == "not_held"));
    Ok(())
}

/// Writes if `token` owns the lock, in one transaction.
async fn write(client: &Client, token: Token, balance: &str) -> Result<&'static str> {
    let txn = Txn::new().when_holds(LOCK, token).then(Op::put(BALANCE, balance));
    match client.kv().txn(txn).await?.succeeded {
        true => Ok("written"),
        false => Ok("refused, the token is stale"),
    }
}
