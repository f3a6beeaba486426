//! What can go wrong with a cluster of processes.

use std::{io, path::Path, path::PathBuf, time::Duration};

/// Why something could not be done with the cluster or one of its nodes.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// A file, a directory or a process could not be worked with.
    #[error("cannot {what} {}: {source}", path.display())]
    Io {
        /// A verb.
        what: &'static str,
        /// With what.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// There is no server to start.
    #[error("no ringfenced found (looked for {}): build it with `cargo build --workspace --bins`, or name it in RINGFENCED", looked.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", "))]
    NoBinary {
        /// Where it was looked for.
        looked: Vec<PathBuf>,
    },
    /// The cluster has no node of this number.
    #[error("there is no node {id}; {}", there_are(known))]
    NoSuchNode {
        /// What was asked for.
        id: u64,
        /// What there is.
        known: Vec<u64>,
    },
    /// The node has no process to do this to.
    #[error("node {id} is not running")]
    NotRunning {
        /// The node.
        id: u64,
    },
    /// The node's process ended while it was to become ready.
    #[error("node {id} stopped while it started; the end of {}:\n{tail}", log.display())]
    Died {
        /// The node.
        id: u64,
        /// Its log.
        log: PathBuf,
        /// The last lines of it.
        tail: String,
    },
    /// What was waited for did not come.
    #[error("{what} not within {waited:?}: {last}")]
    TimedOut {
        /// What was waited for.
        what: String,
        /// For how long.
        waited: Duration,
        /// What was last seen.
        last: String,
    },
    /// A node's configuration can't be read.
    #[error("{}: {message}", path.display())]
    Settings {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// The cluster in the directory has another number of nodes.
    #[error("{} holds a cluster of {present} nodes, not of {asked}: run `scripts/cluster wipe` first, or leave --nodes out", directory.display())]
    OtherSize {
        /// Of the cluster.
        directory: PathBuf,
        /// Nodes it has.
        present: usize,
        /// Nodes asked for.
        asked: usize,
    },
    /// The cluster in the directory was made without TLS.
    #[error("{} holds a cluster without TLS: run `scripts/cluster wipe` first, or leave --tls out", directory.display())]
    WithoutTls {
        /// Of the cluster.
        directory: PathBuf,
    },
    /// There are not enough free ports.
    #[error("no free port left from {first} to {last}")]
    NoPorts {
        /// First that was tried.
        first: u16,
        /// Last that was tried.
        last: u16,
    },
    /// A port that a node needs is taken by something else.
    #[error("port {address} of node {id} is in use by another process")]
    PortInUse {
        /// The node.
        id: u64,
        /// The address.
        address: String,
    },
    /// A certificate can't be made, or can't be used.
    #[error("certificates: {message}")]
    Certificates {
        /// Why.
        message: String,
    },
    /// A node isn't well, so that another can't be taken away.
    #[error(
        "nothing was restarted, since not all nodes are well: {why}; see `scripts/cluster status`, and `scripts/cluster up` starts what doesn't run"
    )]
    NotWhole {
        /// Which, and how.
        why: String,
    },
    /// What a client was told didn't hold.
    #[error("a promise was broken: {what}")]
    Broken {
        /// Which.
        what: String,
    },
    /// The client that looks on could not do its work.
    #[error("the client that looks on: {message}")]
    Client {
        /// Why.
        message: String,
    },
    /// A node did not answer, or answered with an error.
    #[error("node {id} does not answer: {message}")]
    Rpc {
        /// The node.
        id: u64,
        /// Why.
        message: String,
    },
}

impl ClusterError {
    /// An [`ClusterError::Io`].
    pub(crate) fn io(what: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io { what, path: path.to_owned(), source }
    }
}

fn there_are(known: &[u64]) -> String {
    let known: Vec<String> = known.iter().map(u64::to_string).collect();
    match known.as_slice() {
        [] => "the cluster was never started".to_owned(),
        known => format!("the nodes are {}", known.join(", ")),
    }
}
