//! `ringfence-versus`: the workloads of `ringfence bench` on other systems, so that all are measured by the same code, with the same
//! clients, connections, keys and values. For `scripts/bench`; nothing else needs it.

mod etcd;
mod zookeeper;

use std::time::Duration;

use anyhow::Result;
use clap::{Parser, ValueEnum};
use ringfence_bench::{Plan, Progress, workload};

/// Puts clients to work on another system; prints a JSON object each second, and the result as the last.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// On which system.
    system: System,
    /// As of `ringfence bench`.
    workload: Workload,
    /// `host:port` of its nodes.
    #[arg(long, value_delimiter = ',', required = true)]
    endpoints: Vec<String>,
    #[arg(long, default_value_t = workload::CLIENTS, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    clients: u32,
    /// Connections that the clients share; one for each of them without it, up to 64.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    connections: Option<u32>,
    #[arg(long, default_value = "10s", value_parser = humantime::parse_duration)]
    duration: Duration,
    #[arg(long, default_value = "2s", value_parser = humantime::parse_duration)]
    warmup: Duration,
    /// Operations a second of all clients together; a closed loop without it.
    #[arg(long)]
    rate: Option<f64>,
    #[arg(long, default_value_t = workload::WRITERS, value_parser = clap::value_parser!(u32).range(1..))]
    writers: u32,
    #[arg(long, default_value_t = workload::KEYS)]
    keys: u32,
    #[arg(long, default_value_t = workload::VALUE_BYTES, value_parser = clap::value_parser!(u32).range(16..))]
    value_size: u32,
    /// Leave what was written.
    #[arg(long)]
    keep: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum System {
    Etcd,
    Zookeeper,
}

/// What the clients do: see `ringfence help bench`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Workload {
    Put,
    Get,
    StaleGet,
    Mixed,
    Lock,
    Handoff,
    Semaphore,
    Elect,
    Watch,
    Renew,
    Hold,
}

impl Workload {
    fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    /// It reads keys that must be there.
    pub(crate) fn reads(self) -> bool {
        matches!(self, Self::Get | Self::StaleGet | Self::Mixed)
    }

    /// The workload's next operation is a write.
    pub(crate) fn writes(self, mixed_writes: bool) -> bool {
        self == Self::Put || (self == Self::Mixed && mixed_writes)
    }
}

/// How much there is of everything.
#[derive(Debug, Clone)]
pub(crate) struct Load {
    pub keys: u64,
    pub value: Vec<u8>,
    pub clients: usize,
    /// Who write what the clients watch.
    pub writers: usize,
    /// What was written isn't deleted at the end.
    pub keep: bool,
}

impl Load {
    /// One of the keys.
    pub fn key(&self, number: u64) -> String {
        workload::key(workload::PREFIX, number, self.keys)
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let clients = arguments.clients as usize;
    let plan = Plan { clients, lasts: arguments.duration, warmup: arguments.warmup, rate: arguments.rate };
    let load = Load {
        keys: arguments.keys.max(1).into(),
        value: vec![b'v'; arguments.value_size as usize],
        clients,
        writers: arguments.writers as usize,
        keep: arguments.keep,
    };
    let connections = arguments.connections.unwrap_or(arguments.clients.min(workload::CONNECTIONS_MAX)) as usize;
    let report = match arguments.system {
        System::Etcd => {
            let field = etcd::Field::connect(&arguments.endpoints, connections, load).await?;
            etcd::run(&plan, arguments.workload, &field, tell).await?
        }
        System::Zookeeper => {
            let field = zookeeper::Field::connect(&arguments.endpoints, connections, load).await?;
            zookeeper::run(&plan, arguments.workload, &field, tell).await?
        }
    };
    let mut line = serde_json::to_value(report)?;
    if let Some(object) = line.as_object_mut() {
        object.insert("workload".to_owned(), arguments.workload.name().into());
    }
    println!("{line}");
    Ok(())
}

/// As `ringfence bench --json` does.
fn tell(progress: &Progress) {
    let (at, ops, errors) = (progress.at.as_secs(), progress.since_last, progress.errors);
    println!("{}", serde_json::json!({ "at_s": at, "ops_per_s": ops, "errors": errors }));
}
