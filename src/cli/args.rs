//! The command line as a tree of types: every noun has its own file, which holds its help texts too.

use std::ffi::OsString;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::endpoints::{self, Endpoints};

pub mod backup;
pub mod bench;
pub mod cluster;
pub mod elect;
pub mod kv;
pub mod lock;
pub mod session;
pub mod tls;
pub mod watch;

/// Coordination with fenced locks, elections, watches and configuration, from the shell.
#[derive(Debug, Parser)]
#[command(
    name = "ringfence",
    version,
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = "\
Examples:
  ringfenced --dev                                    a server for trying things
  ringfence kv put config/rate 100                    write a key
  ringfence lock run nightly --wait 30s -- ./job.sh   run a job under a lock
  ringfence watch config/                             follow changes
  ringfence cluster status                            how the cluster is

`ringfence help NOUN VERB` explains one command, `ringfence help exit-codes` what scripts can test for.
With --json every result is one object on a line of its own, and every error is one on standard error."
)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

/// What every command takes.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// Members of the cluster, separated by commas: URLs, host:port, or a port on the host before it.
    #[arg(
        long,
        global = true,
        env = "RINGFENCE_ENDPOINTS",
        value_name = "LIST",
        default_value = endpoints::DEFAULT,
        value_parser = endpoints::parse
    )]
    pub endpoints: Endpoints,
    #[command(flatten)]
    pub tls: tls::TlsArgs,
    /// Print one JSON object a line, and errors as one on standard error.
    #[arg(long, global = true)]
    pub json: bool,
    /// Longest time for one request, retries included. Waiting for a lock or for events isn't counted.
    #[arg(long, global = true, value_name = "DURATION", default_value = "10s", value_parser = duration)]
    pub timeout: Duration,
}

/// The nouns.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Keys and values: put, get, list, delete, history, txn, compact.
    #[command(subcommand)]
    Kv(kv::KvCommand),
    /// Follow the changes of keys.
    Watch(watch::WatchArgs),
    /// Fenced locks: run a command under one, acquire, try, show, list, validate, release.
    #[command(subcommand)]
    Lock(lock::LockCommand),
    /// Elections: run a command as the leader, ask for the leader, observe, proclaim, resign.
    #[command(subcommand)]
    Elect(elect::ElectCommand),
    /// Sessions, the proofs of being alive: list, show, close.
    #[command(subcommand)]
    Session(session::SessionCommand),
    /// The members of the cluster: status, members, add, promote, remove, transfer-leader.
    #[command(subcommand)]
    Cluster(cluster::ClusterCommand),
    /// Write a backup of the whole state into a file, or look into one.
    Backup(backup::BackupArgs),
    /// Put clients to work on a cluster, and say how many operations it does and how long they take.
    Bench(bench::BenchArgs),
    /// Print a completion script for a shell.
    #[command(after_help = "\
Examples:
  ringfence completions bash > /etc/bash_completion.d/ringfence
  ringfence completions zsh  > ~/.zfunc/_ringfence
  ringfence completions fish > ~/.config/fish/completions/ringfence.fish")]
    Completions {
        /// For which shell.
        shell: clap_complete::Shell,
    },
    /// List the exit codes.
    #[command(after_help = crate::exit::help())]
    ExitCodes,
}

/// How fresh a read must be.
#[derive(Debug, Clone, Copy, Default, Args)]
pub struct ReadArgs {
    /// Answer at once from what the asked member has, even if that is old or it is cut off.
    #[arg(long)]
    pub stale: bool,
    /// Like --stale, but not older than this revision.
    #[arg(long, value_name = "REV")]
    pub min_revision: Option<u64>,
}

/// How long a claim outlives its holder.
#[derive(Debug, Clone, Copy, Args)]
pub struct TtlArgs {
    /// Time after which the cluster frees what a dead `ringfence` held; 500ms to 1day.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration)]
    pub ttl: Duration,
}

/// How a claim is made and held; of locks and elections alike.
#[derive(Debug, Clone, Args)]
pub struct HoldArgs {
    #[command(flatten)]
    pub ttl: TtlArgs,
    /// Longest wait for the grant; 0s tries once. Without it the wait has no end.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub wait: Option<Duration>,
}

/// The command of a `run`.
#[derive(Debug, Clone, Args)]
pub struct RunArgs {
    /// Time between TERM and KILL for a command that must stop.
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = duration)]
    pub grace: Duration,
    /// The command, with its arguments.
    #[arg(last = true, required = true, value_name = "CMD")]
    pub command: Vec<OsString>,
}

/// Parses `10s`, `1m 30s`, `500ms`.
pub fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|error| format!("{error} (write for example 500ms, 10s, 1m30s)"))
}

/// Parses a session's id: up to sixteen hex digits, as they are printed.
pub fn session_id(text: &str) -> Result<u64, String> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    let all_hex = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    match u64::from_str_radix(digits, 16) {
        Ok(id) if all_hex && id != 0 && id <= i64::MAX as u64 => Ok(id),
        _ => Err("a session's id is up to sixteen hex digits, as `ringfence session list` prints it".to_owned()),
    }
}

/// Parses `NAME=TOKEN`; the last `=` counts, so names may hold some.
pub fn holds(text: &str) -> Result<(String, u64), String> {
    let form = || "write NAME=TOKEN, for example jobs/nightly=42".to_owned();
    let (name, token) = text.rsplit_once('=').ok_or_else(form)?;
    if name.is_empty() {
        return Err(form());
    }
    Ok((name.to_owned(), token.parse().map_err(|_| form())?))
}

#[cfg(test)]
#[path = "args_tests.rs"]
mod tests;
