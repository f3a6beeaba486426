//! Overload: far too much of one kind, and what a client sees meanwhile that does nothing special.
//!
//! Each [`Kind`] is a load that its own clients put on a cluster of three. Beside it a [`witness`] renews its session, takes locks,
//! writes and reads. It must go on within its TTL, who leads must lead on, and no server may need more than [`MEMORY_MAX`].

mod idle;
mod load;
mod memory;
mod storm;
mod witness;

use std::{
    fmt::{self, Display},
    time::Duration,
};

use ringfence_cluster::Cluster;

pub use self::witness::Seen;
use self::{load::Load, witness::Witness};
use crate::raw::Raw;

/// Resident memory of a server, in bytes, that it stays under, whatever the load, as long as its state is small.
pub const MEMORY_MAX: u64 = 1 << 30;

/// A kind of load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Connections that say nothing.
    IdleConnections,
    /// Watches whose clients never read what they are sent.
    SilentWatchers,
    /// Writes without pause, more at a time than may wait.
    Flood,
    /// Reads of everything, again and again.
    RangeLoop,
    /// Sessions with a key each that expire at the same moment.
    ExpiryStorm,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 5] =
        [Self::IdleConnections, Self::SilentWatchers, Self::Flood, Self::RangeLoop, Self::ExpiryStorm];

    /// Its name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::IdleConnections => "idle-connections",
            Self::SilentWatchers => "silent-watchers",
            Self::Flood => "flood",
            Self::RangeLoop => "range-loop",
            Self::ExpiryStorm => "expiry-storm",
        }
    }
}

/// How much of it.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// How many: connections, watchers, writes at a time, keys that are read, sessions.
    pub count: usize,
    /// How long the load lasts once it is there. A storm of expiries lasts as long as it takes.
    pub lasts: Duration,
    /// Of the sessions that expire.
    pub ttl: Duration,
}

impl Size {
    /// What a cluster must bear.
    #[must_use]
    pub fn whole(kind: Kind) -> Self {
        let count = match kind {
            Kind::IdleConnections => 10_000,
            Kind::SilentWatchers => 2_000,
            Kind::Flood => 20_000,
            Kind::RangeLoop | Kind::ExpiryStorm => 100_000,
        };
        Self { count, lasts: Duration::from_secs(20), ttl: Duration::from_secs(90) }
    }

    /// Little enough for a test that runs beside others.
    #[must_use]
    pub fn small(kind: Kind) -> Self {
        let count = match kind {
            Kind::IdleConnections | Kind::ExpiryStorm => 500,
            Kind::SilentWatchers => 50,
            Kind::Flood => 2_000,
            Kind::RangeLoop => 3_000,
        };
        Self { count, lasts: Duration::from_secs(3), ttl: Duration::from_secs(5) }
    }
}

/// What came of it.
#[derive(Debug)]
pub struct Report {
    /// The load.
    pub kind: Kind,
    /// How much.
    pub size: Size,
    /// What its clients did.
    pub done: u64,
    /// What they were refused as too much.
    pub refused: u64,
    /// What the witness saw.
    pub seen: Seen,
    /// The most resident memory of any server, in bytes.
    pub memory: u64,
    /// What was broken; nothing, if all is well.
    pub broken: Vec<String>,
}

impl Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, size, done, refused, seen, memory, broken } = self;
        write!(formatter, "{:<17}{:>8}{done:>10}{refused:>9}", kind.name(), size.count)?;
        for times in [&seen.locks, &seen.writes, &seen.reads] {
            write!(formatter, "{:>9.1}{:>9.1}", times.ms(99), times.ms(100))?;
        }
        write!(formatter, "{:>8}", memory >> 20)?;
        broken.iter().try_for_each(|broken| write!(formatter, "\n  broken: {broken}"))
    }
}

impl Report {
    /// Titles of what it displays.
    #[must_use]
    pub fn titles() -> String {
        format!(
            "{:<17}{:>8}{:>10}{:>9}{:>18}{:>18}{:>18}{:>8}\n{:<44}{:>9}{:>9}{:>9}{:>9}{:>9}{:>9}",
            "load",
            "count",
            "done",
            "refused",
            "lock + release",
            "put",
            "get",
            "MiB",
            "",
            "p99 ms",
            "max",
            "p99 ms",
            "max",
            "p99 ms",
            "max"
        )
    }
}

/// Puts a load on a cluster that has nothing else to do.
///
/// # Errors
/// If the load can't be made at all. What the cluster breaks stands in the report.
pub async fn run(cluster: &Cluster, kind: Kind, size: Size) -> anyhow::Result<Report> {
    let before = terms(cluster).await?;
    let memory = memory::Watch::start(cluster);
    let witness = Witness::start(cluster)?;
    let load = match kind {
        Kind::IdleConnections => idle::connections(cluster, size).await?,
        Kind::SilentWatchers => idle::watchers(cluster, size).await?,
        Kind::Flood => Load::writes(cluster, "overload/flood/", size).await?,
        Kind::RangeLoop => Load::ranges(cluster, size).await?,
        Kind::ExpiryStorm => storm::expire(cluster, size).await?,
    };
    let (seen, mut broken) = witness.end().await?;
    let after = terms(cluster).await?;
    if after != before {
        broken.push(format!("the leader was lost: term {before}, then {after}"));
    }
    let memory = memory.most();
    if memory > MEMORY_MAX {
        broken.push(format!("a server needed {} MiB", memory >> 20));
    }
    Ok(Report { kind, size, done: load.done, refused: load.refused, seen, memory, broken })
}

/// Where clients reach the node that leads.
async fn leader(cluster: &Cluster) -> anyhow::Result<String> {
    Ok(cluster.node(cluster.leader().await?)?.client_address().to_owned())
}

/// The greatest term of any node.
async fn terms(cluster: &Cluster) -> anyhow::Result<u64> {
    let mut term = 0;
    for node in cluster.nodes() {
        term = term.max(Raw::at(node.client_address()).status().await?.term);
    }
    Ok(term)
}
