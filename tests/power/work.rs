//! The work during which the power is cut: a member's disk, opened and used as raft uses it, with everything drawn from a seed.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    sync::Arc,
};

use anyhow::{Context, Result, anyhow};
use bytes::Bytes;
use openraft::{RaftLogReader, storage::RaftLogStorage, type_config::TypeConfigExt};
use rand::{Rng, RngExt, SeedableRng, rngs::SmallRng};
use ringfence_core::{Command, Entry, Op, Put, State, Txn, query::Stats};
use ringfence_server::raft::{
    DataPlace, Failure, Growth, NodeSettings,
    disk::{self, Disk},
    types::{Flushed, LeaderId, LogEntry, LogId, Payload, Proposal, SnapshotMeta, TypeConfig, Vote},
};

use crate::{
    promise::{Found, Promise, Step},
    recording::{Note, Recording},
};

const CLUSTER: u64 = 7;
const NODE: u64 = 1;

/// The data directory below the recorded one. Its parent is made along with it, as on a machine where nothing was set up.
pub const DATA: &str = "var/ringfence";

/// What the entries are like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Load {
    /// Of every size, mostly small, one or a few at a time, with votes, truncations, snapshots and purges in between.
    Mixed,
    /// Batches that fill several segments of the database at once.
    Bulk,
    /// Hundreds of kilobytes each.
    Large,
}

impl Load {
    /// How many steps a life takes.
    fn steps(self) -> usize {
        match self {
            Self::Mixed => 60,
            Self::Bulk => 2,
            Self::Large => 30,
        }
    }

    fn sizes(self, rng: &mut SmallRng) -> Vec<usize> {
        let (count, size): (usize, fn(&mut SmallRng) -> usize) = match self {
            Self::Mixed => (if rng.random_bool(0.5) { 1 } else { rng.random_range(2..12) }, mixed_size),
            Self::Bulk => (rng.random_range(26..30), |rng| rng.random_range(900_000..1_200_000)),
            Self::Large => (rng.random_range(1..4), |rng| rng.random_range(100_000..500_000)),
        };
        let sizes = (0..count).map(|_| size(rng));
        // Larger than any frame: the database takes it, and before it all that the tail holds.
        sizes.chain((self == Self::Bulk).then_some(5 << 20)).collect()
    }
}

fn mixed_size(rng: &mut SmallRng) -> usize {
    match rng.random_range(0..100) {
        0..70 => rng.random_range(10..2000),
        70..92 => rng.random_range(10_000..50_000),
        92..99 => rng.random_range(100_000..300_000),
        _ => rng.random_range(1_000_000..1_500_000),
    }
}

/// The next step that raft could take.
pub fn next(load: Load, promise: &Promise, rng: &mut SmallRng) -> Step {
    let last = promise.last();
    let first = promise.entries.keys().next().copied();
    let covered = promise.snapshots.last().copied();
    // All of a bulk load is batches: the few steps are large enough.
    match if load == Load::Bulk { 100 } else { rng.random_range(0..100) } {
        0..10 => return Step::Vote(promise.vote.unwrap_or(0) + 1),
        10..25 => {
            if let (Some(first), Some(last)) = (promise.committed.map(|index| index + 1).or(first), last)
                && first <= last
            {
                return Step::Committed(rng.random_range(first..=last));
            }
        }
        25..32 => {
            // Never what is committed.
            let from = promise.committed.max(first).map(|index| index + 1);
            if let (Some(from), Some(last)) = (from, last)
                && from <= last
                && promise.term(from - 1).is_some()
            {
                return Step::Truncate { from: rng.random_range(from..=last) };
            }
        }
        32..46 => {
            if let Some(committed) = promise.committed.filter(|committed| covered.is_none_or(|old| old < *committed))
                && promise.term(committed).is_some()
            {
                return Step::Snapshot(committed);
            }
        }
        46..60 => {
            if let Some(previous) = promise.snapshots.iter().rev().nth(1)
                && promise.entries.contains_key(previous)
            {
                return Step::Purge(*previous);
            }
        }
        _ => {}
    }
    let (first, term) = (last.map_or(0, |last| last + 1), promise.vote.unwrap_or(0) + 1);
    let sizes = load.sizes(rng);
    let sums = (first..).zip(&sizes).map(|(index, bytes)| sum(&entry(index, term, *bytes))).collect();
    Step::Append { first, term, sizes, sums }
}

fn id(index: u64, term: u64) -> LogId {
    LogId { leader_id: LeaderId { term, node_id: NODE }, index }
}

fn put(key: &str, seed: u64, bytes: usize) -> Entry {
    let mut value = vec![0; bytes];
    SmallRng::seed_from_u64(seed).fill_bytes(&mut value);
    let put = Put {
        key: Bytes::copy_from_slice(key.as_bytes()),
        value: value.into(),
        session: None,
        sequential: false,
        prev: false,
    };
    let command = Command::Txn(Txn { then: vec![Op::Put(put)], ..Txn::default() });
    Entry { clock_ms: 1, wall_ms: 1, requests: vec![command.into()] }
}

/// The entry of this place, which no other place has.
fn entry(index: u64, term: u64, bytes: usize) -> Proposal {
    Proposal::new(&put("key", index << 20 ^ term, bytes)).expect("what was encoded can be decoded")
}

fn sum(proposal: &Proposal) -> u32 {
    crc32fast::hash(&proposal.bytes)
}

/// The state that a snapshot up to this index holds. It doesn't follow from the entries, which would take long; what counts is that it is
/// another for each index.
fn state(index: u64) -> State {
    let mut state = State::default();
    let bytes = usize::try_from(index * 7919 % 300_000).unwrap_or(0);
    state.apply(&put("state", index, 100 + bytes));
    state
}

fn hash(state: &State) -> Result<u64> {
    Ok(state.read(&Stats).map_err(|refusal| anyhow!("{refusal}"))?.hash)
}

/// A member's disk at work.
pub struct Worker {
    disk: Disk,
    /// What it has acknowledged.
    pub promise: Promise,
}

impl Worker {
    /// Opens the data directory below this one, as a node does that makes a snapshot after so many bytes.
    ///
    /// # Errors
    /// If it is damaged.
    pub fn open(root: &Path, snapshot_bytes: u64) -> Result<Self> {
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let mut settings = NodeSettings::new(CLUSTER, NODE, listen, DataPlace::Directory(root.join(DATA)));
        settings.snapshot_bytes = snapshot_bytes;
        let disk = disk::open(&settings, Arc::new(Failure::default()), Growth::new(u64::MAX))?;
        Ok(Self { disk, promise: Promise::default() })
    }

    /// What is there. From now on it must stay.
    ///
    /// # Errors
    /// If something can't be read.
    pub async fn look(&mut self) -> Result<Found> {
        let log = &mut self.disk.log;
        let state = log.get_log_state().await?;
        let mut entries = Vec::new();
        for entry in log.try_get_log_entries(0..).await? {
            let Payload::Normal(proposal) = &entry.payload else { return Err(anyhow!("an entry that nobody wrote")) };
            entries.push((entry.log_id.index, (entry.log_id.leader_id.term, sum(proposal))));
        }
        let last = entries.last().map(|(index, _)| *index).or(state.last_purged_log_id.map(|id| id.index));
        if last != state.last_log_id.map(|id| id.index) {
            return Err(anyhow!("the log says that it ends at {:?}, and ends at {last:?}", state.last_log_id));
        }
        let vote = log.read_vote().await?.map(|vote| vote.leader_id.term);
        let snapshot = match self.disk.snapshots.current() {
            None => None,
            Some((meta, file)) => {
                let index = meta.last_log_id.context("a snapshot that covers nothing")?.index;
                let (_, read) = self.disk.snapshots.read(&file)?;
                Some((index, hash(&read)? == hash(&self::state(index))?))
            }
        };
        let purged = state.last_purged_log_id.map(|id| (id.index, id.leader_id.term));
        let found = Found { purged, entries, vote, snapshot };
        self.promise = Promise::from_found(&found);
        Ok(found)
    }

    /// Takes a step, which is durable when this returns.
    ///
    /// # Errors
    /// What the disk says.
    pub async fn take(&mut self, step: &Step) -> Result<()> {
        let log = &mut self.disk.log;
        match step {
            Step::Open => {}
            Step::Vote(term) => log.save_vote(&Vote::new(*term, NODE)).await?,
            Step::Append { first, term, sizes, .. } => {
                let entries: Vec<LogEntry> = (*first..)
                    .zip(sizes)
                    .map(|(index, bytes)| LogEntry {
                        log_id: id(index, *term),
                        payload: Payload::Normal(entry(index, *term, *bytes)),
                    })
                    .collect();
                let (done, flushed) = TypeConfig::oneshot();
                log.append(entries, Flushed::signal(done)).await?;
                flushed.await.map_err(|_| anyhow!("nobody told whether it is durable"))??;
            }
            Step::Committed(index) => {
                let term = self.promise.term(*index).context("no such entry")?;
                log.save_committed(Some(id(*index, term))).await?;
            }
            Step::Truncate { from } => {
                let term = self.promise.term(from - 1).context("no such entry")?;
                log.truncate_after(Some(id(from - 1, term))).await?;
            }
            Step::Snapshot(index) => {
                let term = self.promise.term(*index).context("no such entry")?;
                let meta = SnapshotMeta { last_log_id: Some(id(*index, term)), ..SnapshotMeta::default() };
                self.disk.snapshots.write(&meta, &state(*index))?;
                if let Some(previous) = self.disk.snapshots.previous_covered() {
                    log.keep_above(previous);
                }
            }
            Step::Purge(upto) => {
                let term = self.promise.term(*upto).context("no such entry")?;
                log.purge(id(*upto, term)).await?;
            }
        }
        self.promise.add(step);
        Ok(())
    }

    /// Lets go of the disk as a server does that stops.
    pub async fn close(self) {
        self.disk.log.close().await;
    }
}

/// A life that was recorded.
#[derive(Default)]
pub struct Life {
    /// What was there when it began.
    pub before: Promise,
    /// The steps, of which notes in the recording tell the beginning and the end.
    pub steps: Vec<Step>,
}

impl Life {
    /// What was acknowledged, and what was being done, after so many notes.
    pub fn at(&self, begun: usize, done: usize) -> (Promise, Option<&Step>) {
        let mut promise = self.before.clone();
        for step in &self.steps[..done] {
            promise.add(step);
        }
        (promise, (begun > done).then(|| &self.steps[done]))
    }

    /// Opens the disk below this directory, as [`Worker::open`], and works on it. `check` gets to see what is there at first.
    ///
    /// # Errors
    /// What the disk, or the check, says.
    pub async fn live(
        root: &Path,
        snapshot_bytes: u64,
        recording: &Recording,
        load: Load,
        steps: Option<usize>,
        rng: &mut SmallRng,
        check: impl FnOnce(&Found) -> Result<()>,
    ) -> Result<(Self, Worker)> {
        let mut life = Self { before: Promise::default(), steps: vec![Step::Open] };
        recording.note(Note::Begun);
        let mut worker = Worker::open(root, snapshot_bytes)?;
        recording.note(Note::Done);
        let found = worker.look().await?;
        check(&found)?;
        life.before = worker.promise.clone();
        for _ in 0..steps.unwrap_or_else(|| load.steps()) {
            let step = next(load, &worker.promise, rng);
            life.steps.push(step.clone());
            recording.note(Note::Begun);
            worker.take(&step).await.with_context(|| brief(&step))?;
            recording.note(Note::Done);
        }
        Ok((life, worker))
    }
}

/// A step in a few words.
pub fn brief(step: &Step) -> String {
    match step {
        Step::Append { first, sizes, .. } => {
            format!("append {} entries from {first} on, {} bytes", sizes.len(), sizes.iter().sum::<usize>())
        }
        Step::Open => "open".to_owned(),
        Step::Vote(term) => format!("vote of term {term}"),
        Step::Committed(index) => format!("committed up to {index}"),
        Step::Truncate { from } => format!("truncate from {from}"),
        Step::Snapshot(index) => format!("snapshot up to {index}"),
        Step::Purge(upto) => format!("purge up to {upto}"),
    }
}
