//! `ringfence-versus-failover`: clients of another system that write, take locks, and watch, all the time, as those of the failover example do
//! on Ringfence. For `scripts/failover`, which kills who leads meanwhile.
//!
//! It is told what to do on standard input, a line each. `clear`: forget what was done. `tell`: print, as a JSON object, the longest since then that
//! no write was done, no lock was granted, and no change was seen, by anybody. It ends with its input.

mod board;
mod etcd;
mod zookeeper;

use std::{
    io::{BufRead, Write},
    time::Duration,
};

use anyhow::Result;
use board::Board;
use clap::{Parser, ValueEnum};
use tokio::{sync::oneshot, task::JoinSet};

/// Writers, and as many that take locks of their own.
const CLIENTS: usize = 8;
/// Between two calls of one client, so that the machine isn't what they wait for.
const PAUSE: Duration = Duration::from_millis(5);
/// Of sessions and leases; longer than anything that happens here.
const TTL: Duration = Duration::from_secs(30);
/// One call may take so long; then it is made again. It is short, since a call that was lost with a leader may else be waited for, for seconds.
const CALL: Duration = Duration::from_millis(300);
/// What is written, and watched, begins with this.
const KEYS: &str = "failover/";

#[derive(Debug, Parser)]
struct Arguments {
    system: System,
    /// `host:port` of its nodes.
    #[arg(long, value_delimiter = ',', required = true)]
    endpoints: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum System {
    Etcd,
    Zookeeper,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let board = Board::default();
    let mut clients = JoinSet::new();
    match arguments.system {
        System::Etcd => etcd::begin(&arguments.endpoints, &board, &mut clients).await?,
        System::Zookeeper => zookeeper::begin(&arguments.endpoints, &board, &mut clients).await?,
    }
    let (over, ended) = oneshot::channel();
    std::thread::spawn(move || {
        let obeyed = obey(&board);
        let _ = over.send(obeyed);
    });
    let obeyed = ended.await?;
    clients.shutdown().await;
    obeyed
}

/// Does what is asked for, until the input ends.
fn obey(board: &Board) -> Result<()> {
    for line in std::io::stdin().lock().lines() {
        match line?.trim() {
            "clear" => board.clear(),
            "tell" => {
                let mut output = std::io::stdout().lock();
                writeln!(output, "{}", board.told())?;
                output.flush()?;
            }
            other => anyhow::bail!("{other:?} is neither clear nor tell"),
        }
    }
    Ok(())
}
