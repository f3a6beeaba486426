//! `ringfence-versus`: the workloads of `ringfence bench` on other systems, so that both are measured by the same code, with the same
//! clients, connections, keys and values. For `scripts/bench`; nothing else needs it.

mod etcd;

use std::time::Duration;

use anyhow::Result;
use clap::{Parser, ValueEnum};
use ringfence_bench::{Plan, workload};

/// Puts clients to work on another system; prints one JSON object.
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
    #[arg(long, default_value = "10s", value_parser = humantime::parse_duration)]
    duration: Duration,
    #[arg(long, default_value = "2s", value_parser = humantime::parse_duration)]
    warmup: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum System {
    Etcd,
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
    Watch,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let plan =
        Plan { clients: arguments.clients as usize, lasts: arguments.duration, warmup: arguments.warmup, rate: None };
    let connections = arguments.clients.min(workload::CONNECTIONS_MAX);
    let field = etcd::Field::connect(&arguments.endpoints, connections as usize).await?;
    let report = match arguments.system {
        System::Etcd => etcd::run(&plan, arguments.workload, &field).await?,
    };
    let mut line = serde_json::to_value(report)?;
    if let (Some(object), Some(workload)) = (line.as_object_mut(), arguments.workload.to_possible_value()) {
        object.insert("workload".to_owned(), workload.get_name().into());
    }
    println!("{line}");
    Ok(())
}
