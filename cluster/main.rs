//! `ringfence-cluster`, which `scripts/cluster` calls once everything is built.

use std::{
    fs::File,
    io::{Read, Seek, SeekFrom, Write},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use clap::{Parser, Subcommand};
use ringfence_cluster::{
    Cluster, ClusterError, Condition, Node, Ports,
    certs::{self, Authority, LOCAL_NAMES, Validity},
    local::Place,
    roll::{Step, roll},
};

/// Starts, kills, pauses and restarts the nodes of a cluster on this machine.
#[derive(Parser)]
#[command(name = "scripts/cluster", version, arg_required_else_help = true)]
struct Arguments {
    /// Where data, logs and pids are.
    #[arg(long, default_value = ".ringfence", global = true)]
    directory: PathBuf,
    /// The configuration files of three nodes on the usual ports.
    #[arg(long, default_value = "cluster/local", global = true)]
    configuration: PathBuf,
    #[command(subcommand)]
    command: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Start every node that doesn't run, and wait until all are ready. What was stored before is still there.
    Up {
        /// How many nodes a new cluster gets [default: 3].
        #[arg(long, value_parser = clap::value_parser!(u8).range(1..=9))]
        nodes: Option<u8>,
        /// A new cluster listens on free ports instead of 7601… and 7611….
        #[arg(long)]
        free_ports: bool,
        /// A new cluster has TLS on both ports, with certificates in its directory's `certs`.
        #[arg(long)]
        tls: bool,
    },
    /// Stop every node; what they store stays.
    Down,
    /// Say of every node whether it runs, where, and what it says of itself.
    Status {
        /// One JSON object a line, one line a node.
        #[arg(long)]
        json: bool,
    },
    /// Kill a node (kill -9).
    Kill { node: u64 },
    /// Halt a node (STOP): it keeps its connections and says nothing.
    Pause { node: u64 },
    /// Let a paused node go on.
    Resume { node: u64 },
    /// Stop a node if it runs, start it, and wait until it is ready.
    Restart { node: u64 },
    /// Restart all nodes, one after another, as for an upgrade, while a client writes and holds a lock; say how long it had to wait.
    Roll {
        /// One JSON object a line, one line a node.
        #[arg(long)]
        json: bool,
    },
    /// Make test certificates: a CA, unless one is there, and one certificate for each node and for a client.
    Certs {
        /// Where they go. The CA of another directory is another one.
        #[arg(default_value = ".ringfence/certs")]
        certs: PathBuf,
        /// For so many nodes.
        #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=9))]
        nodes: u8,
        /// A host or an address of the nodes, besides localhost, 127.0.0.1 and ::1.
        #[arg(long = "host")]
        hosts: Vec<String>,
        /// How long the nodes' and the client's are valid. The CA is valid for ten years.
        #[arg(long, default_value_t = 365, conflicts_with = "expired")]
        days: u32,
        /// Make certificates that expired yesterday.
        #[arg(long)]
        expired: bool,
    },
    /// Kill every node, and delete all that they stored.
    Wipe,
    /// Show the end of a node's log.
    Logs {
        node: u64,
        /// How many lines.
        #[arg(short = 'n', long, default_value_t = 50)]
        lines: usize,
        /// Go on as the log grows, until interrupted.
        #[arg(short, long)]
        follow: bool,
    },
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), ClusterError> {
    let place = Place { directory: arguments.directory, configuration: arguments.configuration };
    match arguments.command {
        Task::Up { nodes, free_ports, tls } => {
            let cluster = place.open_or_create(nodes.map(usize::from), free_ports.then_some(Ports::Auto), tls)?;
            Place::check_ports(&cluster)?;
            eprintln!("Starting {} nodes …", cluster.nodes().len());
            cluster.start().await?;
            show(&cluster, false).await;
            tell_tls(&cluster);
        }
        Task::Certs { certs, nodes, hosts, days, expired } => {
            let validity = if expired { Validity::Expired } else { Validity::Days(days) };
            let hosts: Vec<&str> = LOCAL_NAMES.into_iter().chain(hosts.iter().map(String::as_str)).collect();
            Authority::open(&certs)?.sign_all(usize::from(nodes), &hosts, validity)?;
            println!("The certificates are in {}.", certs.display());
        }
        Task::Down => {
            place.open()?.stop().await?;
            println!("All nodes are stopped; their data stays in {}.", place.directory.display());
        }
        Task::Status { json } => show(&place.open()?, json).await,
        Task::Kill { node } => {
            place.open()?.node(node)?.kill().await?;
            println!("Node {node} was killed.");
        }
        Task::Pause { node } => {
            place.open()?.node(node)?.pause().await?;
            println!("Node {node} is paused.");
        }
        Task::Resume { node } => {
            place.open()?.node(node)?.resume().await?;
            println!("Node {node} goes on.");
        }
        Task::Restart { node } => {
            place.open()?.restart(node).await?;
            println!("Node {node} is ready.");
        }
        Task::Roll { json } => {
            roll(&place.open()?, |step| tell_step(step, json)).await?;
            if !json {
                println!("All nodes were restarted; no acknowledged write was lost, and a lock was held all the time.");
            }
        }
        Task::Wipe => {
            place.wipe().await?;
            println!("Nothing is left of the nodes in {}.", place.directory.display());
        }
        Task::Logs { node, lines, follow } => logs(place.open()?.node(node)?, lines, follow).await?,
    }
    Ok(())
}

fn tell_step(step: &Step, json: bool) {
    let ms = |time: Duration| (time.as_secs_f64() * 1e6).round() / 1e3;
    let (p50, p99, max) = (ms(step.within(500)), ms(step.within(990)), ms(step.within(1000)));
    if json {
        let line = serde_json::json!({
            "node": step.node, "led": step.led, "away_ms": ms(step.away), "writes": step.writes.len(),
            "write_p50_ms": p50, "write_p99_ms": p99, "write_max_ms": max,
        });
        println!("{line}");
    } else {
        println!(
            "node {}{} was away for {:.1} s; {} writes meanwhile: half within {p50:.1} ms, 99 of 100 within {p99:.1} ms, the slowest {max:.1} ms",
            step.node,
            if step.led { ", which led," } else { "" },
            step.away.as_secs_f64(),
            step.writes.len(),
        );
    }
}

/// How the command line reaches a cluster with TLS.
fn tell_tls(cluster: &Cluster) {
    if cluster.has_tls() {
        let certs = cluster.certs();
        let client = certs::of_name(&certs, "client");
        println!(
            "They speak TLS; for the command line:\n  export RINGFENCE_CACERT={} RINGFENCE_CERT={} RINGFENCE_CERT_KEY={}",
            certs.join("ca.pem").display(),
            client.cert.display(),
            client.key.display()
        );
    }
}

/// One line a node.
async fn show(cluster: &Cluster, json: bool) {
    if cluster.nodes().is_empty() {
        eprintln!("There are no nodes in {}; `scripts/cluster up` starts three.", cluster.directory().display());
    }
    for node in cluster.nodes() {
        let condition = match node.condition() {
            Condition::Running => "running",
            Condition::Paused => "paused",
            Condition::Gone if node.has_died() => "died",
            Condition::Gone => "stopped",
        };
        let pid = node.process().map(|process| process.pid());
        let own = if condition == "running" { cluster.status_local(node.id()).await.ok() } else { None };
        let leader = own.as_ref().map(|own| own.leader);
        let term = own.as_ref().map(|own| own.term);
        if json {
            let line = serde_json::json!({
                "node": node.id(), "condition": condition, "pid": pid, "leader": leader, "term": term,
                "client_address": node.client_address(), "peer_address": node.peer_address(),
                "log": node.log(), "data": node.data(),
            });
            println!("{line}");
        } else {
            let pid = pid.map_or_else(|| "-".to_owned(), |pid| pid.to_string());
            let role = match (leader, condition) {
                (Some(leader), _) if leader == node.id() => {
                    format!("leads in term {}", term.unwrap_or_default())
                }
                (Some(0), _) => "knows no leader".to_owned(),
                (Some(leader), _) => format!("follows node {leader}"),
                (None, "running") => "does not answer".to_owned(),
                (None, _) => String::new(),
            };
            let line = format!("node {}  {condition:<8} pid {pid:<8} {}  {role}", node.id(), node.client_address());
            println!("{}", line.trim_end());
        }
    }
}

async fn logs(node: &Node, lines: usize, follow: bool) -> Result<(), ClusterError> {
    let failed = |source| ClusterError::Io { what: "read", path: node.log().to_owned(), source };
    let mut log = File::open(node.log()).map_err(failed)?;
    let mut end = log.seek(SeekFrom::End(0)).map_err(failed)?;
    println!("{}", node.log_tail(lines));
    loop {
        if !follow {
            return Ok(());
        }
        log.seek(SeekFrom::Start(end)).map_err(failed)?;
        let mut grown = Vec::new();
        end += log.read_to_end(&mut grown).map_err(failed)? as u64;
        std::io::stdout().write_all(&grown).map_err(failed)?;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
