//! `ringfence bench …`.

use std::time::Duration;

use clap::{Args, ValueEnum};
use ringfence_bench::workload;

use super::duration;

/// What to do, how often, and for how long.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub struct BenchArgs {
    /// What the clients do.
    pub workload: Workload,
    /// How many do it at the same time.
    #[arg(long, value_name = "N", default_value_t = workload::CLIENTS, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub clients: u32,
    /// For how long it counts.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = positive)]
    pub duration: Duration,
    /// The same in whole seconds.
    #[arg(long, value_name = "S", conflicts_with = "duration", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub seconds: Option<u64>,
    /// For how long the same is done before, without counting.
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = duration)]
    pub warmup: Duration,
    /// Begin so many operations a second, of all clients together, and count each from the moment when it was to begin. Without it
    /// each client begins the next when the last has ended.
    #[arg(long, value_name = "R", value_parser = rate)]
    pub rate: Option<f64>,
    /// Connections to the cluster, which the clients share; as many as clients, up to 64, unless said.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub connections: Option<u32>,
    /// How many write what is watched, each as fast as it is answered.
    #[arg(long, value_name = "N", default_value_t = workload::WRITERS, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub writers: u32,
    /// Keys that are written and read.
    #[arg(long, value_name = "N", default_value_t = workload::KEYS, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub keys: u32,
    /// Bytes of each value.
    #[arg(long, value_name = "BYTES", default_value_t = workload::VALUE_BYTES, value_parser = clap::value_parser!(u32).range(16..=1_048_576))]
    pub value_size: u32,
    /// Leave the keys that were written, instead of deleting them at the end.
    #[arg(long)]
    pub keep: bool,
    /// Everything that is written begins with this, and is deleted at the end.
    #[arg(long, value_name = "PREFIX", default_value = workload::PREFIX)]
    pub prefix: String,
}

/// What the clients do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Workload {
    /// Write one of the keys.
    Put,
    /// Read one of the keys, linearizably.
    Get,
    /// Read one of the keys from whatever member is asked.
    StaleGet,
    /// Four linearizable reads for each write.
    Mixed,
    /// Take a lock of one's own, and release it.
    Lock,
    /// Take one lock that all want, and release it; what counts is the wait for it.
    Handoff,
    /// The same with half as many permits as clients.
    Semaphore,
    /// Stand in one election until it is won, and resign; what counts is the wait for it.
    Elect,
    /// Watch all keys, which others (--writers) write; what counts is each event, from its write's begin until it is seen.
    Watch,
    /// Hold a session, and ask for its renewal; members gather renewals for up to half a second.
    Renew,
    /// Hold a session that is renewed by itself, as in applications, every third of ten seconds; what counts, each second, is how long ago the
    /// last renewal was sent that was acknowledged.
    Hold,
}

impl Workload {
    /// As on the command line.
    pub fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if rate.is_finite() && (0.001..=10_000_000.0).contains(&rate) => Ok(rate),
        _ => Err("write operations a second, for example 2000".to_owned()),
    }
}

fn positive(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        Duration::ZERO => Err("it must take some time".to_owned()),
        duration => Ok(duration),
    }
}

const HELP: &str = "\
Examples:
  ringfence bench put                                  64 clients write as fast as they can, for 10 s
  ringfence bench get --clients 1                      how long one client waits
  ringfence bench put --rate 2000 --duration 60s       how long users wait at 2000 writes a second
  ringfence --json bench lock | tail -1 | jq .p99_ms

It works on a cluster that runs, and loads it: not on one that others need. Keys under --prefix are overwritten, and deleted at the
end. Clients and cluster on one machine take time from each other; so do clients that are too many for one processor.
With --json each second is an object on a line, and the last line is the result.";
