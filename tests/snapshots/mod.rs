//! How much longer writes wait while snapshots are written: a cluster of many keys, clients that write at a constant rate, and
//! members that write snapshots of all of it, again and again.
//!
//! [`lookout`] knows from the members' directories when each snapshot was begun and when it stood, [`writers`] write, and
//! [`findings`] sorts the writes by that and says how much longer the slowest waited.

mod findings;
mod lookout;
mod writers;

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use ringfence_cluster::{Cluster, settings::NodeSettings};

pub use self::findings::{Findings, Span, Waits, Write};
use self::{lookout::Lookout, writers::Writers};

/// Clients that write while snapshots are written, each on a connection of its own.
pub const CLIENTS: usize = 16;
/// Bytes of a value.
pub const VALUE_BYTES: usize = 256;
/// Before a snapshot's file is there its state is taken, and after it stands the one before the last and the log below it are removed: all of that is part of it.
const BEFORE: Duration = Duration::from_millis(100);
const AFTER: Duration = Duration::from_millis(500);
/// After the start, until writes count.
const WARMUP: Duration = Duration::from_secs(3);
/// How often it is looked whether there were enough snapshots.
const POLL: Duration = Duration::from_millis(200);
/// One snapshot after the other may take so long, about; then it isn't waited for any more.
const EACH_WITHIN: Duration = Duration::from_secs(180);

/// How much.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Keys that there are, of [`VALUE_BYTES`] each.
    pub keys: usize,
    /// Writes a second, of all clients together.
    pub rate: u32,
    /// A snapshot is due after so many bytes of log.
    pub snapshot_bytes: u32,
    /// How many times snapshots are waited for. Members write theirs at about the same time, which is once.
    pub times: usize,
}

impl Size {
    /// What is wanted of a cluster. A snapshot about every half minute.
    #[must_use]
    pub fn whole() -> Self {
        Self { keys: 1_000_000, rate: 500, snapshot_bytes: 6 << 20, times: 10 }
    }

    /// Little enough to try it. A snapshot about every six seconds.
    #[must_use]
    pub fn small() -> Self {
        Self { keys: 20_000, rate: 500, snapshot_bytes: 1 << 20, times: 3 }
    }
}

/// Starts a cluster below a directory, writes all keys, restarts it with snapshots that are due often, and measures.
///
/// `told` is told how far it is.
///
/// # Errors
/// If the cluster can't be started or written to, snapshots don't come, or they leave no time without one.
pub async fn run(directory: &Path, size: Size, told: impl Fn(&str)) -> anyhow::Result<Findings> {
    let cluster = Cluster::builder().name("snapshots").directory(directory).start().await?;
    writers::fill(&cluster, size.keys, &told).await.context("write the keys")?;
    told("restarting with snapshots that are due often");
    cluster.stop().await?;
    for node in cluster.nodes() {
        let mut settings = NodeSettings::load(node.config())?;
        settings.other.insert("snapshot_bytes".to_owned(), i64::from(size.snapshot_bytes).into());
        settings.save(node.config())?;
    }
    cluster.start().await?;

    let begun = Instant::now();
    let lookout = Lookout::start(&cluster, begun)?;
    let writers = Writers::start(&cluster, size, begun).await?;
    let waited = wait(&lookout, size.times, begun, &told).await;
    let writes = writers.end().await?;
    let (written, given_up) = lookout.end();
    waited?;
    cluster.stop().await?;
    if given_up > 0 {
        bail!("{given_up} snapshots were begun and never stood; the servers' logs may say why");
    }
    let counted = writes.into_iter().filter(|write| write.meant >= WARMUP).collect();
    let whole = Span { from: WARMUP, to: begun.elapsed() };
    Findings::of(counted, written, whole, (BEFORE, AFTER))
}

/// Until there were snapshots so many times, and the last of them is over.
async fn wait(lookout: &Lookout, times: usize, begun: Instant, told: impl Fn(&str)) -> anyhow::Result<()> {
    let mut before = 0;
    loop {
        tokio::time::sleep(POLL).await;
        let written = lookout.written();
        let over = written.iter().all(|span| span.to + AFTER < begun.elapsed());
        let seen = findings::joined(&written, BEFORE, AFTER).len();
        if seen > before {
            told(&format!("snapshots for the {seen}. time of {times}"));
            before = seen;
        }
        if seen >= times && over && !lookout.sees_one() {
            return Ok(());
        }
        let limit = EACH_WITHIN * u32::try_from(times + 1).unwrap_or(u32::MAX);
        if begun.elapsed() > limit {
            bail!(
                "snapshots were written {seen} times within {} s, and {times} were wanted: a slower disk needs a lower number of times, \
                 and the servers' logs may say why",
                limit.as_secs()
            );
        }
    }
}
