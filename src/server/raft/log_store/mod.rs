//! openraft's log storage, on any [`LogEngine`].
//!
//! The way of an entry: [`RaftLogStorage::append`] puts it into the cache, from where it can be read at once, and queues it for the
//! [`worker`], which calls back when it is durable and not before. Reads come from the cache, or from the disk where a follower
//! lags far behind. Marks (vote, committed, purged) are kept in memory too, and are read from the disk at the start only.

use std::{
    fmt::Debug,
    io,
    ops::{Bound, Range, RangeBounds},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use futures::Stream;
use openraft::{LogState, RaftLogReader, storage::RaftLogStorage};
use parking_lot::Mutex;
use prost::Message;
use ringfence_proto::storage as pb;

mod cache;
pub mod record;
mod worker;

use cache::Cache;
use worker::{Job, Storage, Worker};

use super::{
    codec,
    engine::{LogEngine, Mark, Write},
    failure::Failure,
    room::Room,
    runtime,
    stall::Stall,
    types::{Flushed, LogEntry, LogId, TypeConfig, Vote},
    upkeep::Growth,
};

/// Bytes of entries that one request to a follower carries, beyond its last entry. Well under the limit of a message, which
/// must hold them and one more of the largest.
pub const REPLICATE_BYTES_MAX: usize = 4 << 20;
/// Bytes of entries that are read at a time for applying.
const APPLY_BYTES_MAX: usize = 1 << 20;
/// Bytes that are read at a time when the log is checked at the start.
const CHECK_BYTES_MAX: usize = 4 << 20;

tokio::task_local! {
    /// Of a stream of entries to a follower, while it is polled: raised if what it asks for next is purged. It can't go on then.
    pub static PURGED_UNDER: Arc<AtomicBool>;
}

/// The log. Clones are the same log.
#[derive(Clone)]
pub struct LogStore {
    shared: Arc<Shared>,
}

struct Shared {
    engine: Arc<dyn LogEngine>,
    storage: Storage,
    index: Arc<Mutex<Index>>,
    /// Entries above this index aren't purged: the snapshot before the newest ends here, and with them it can still be used.
    floor: AtomicU64,
    growth: Arc<Growth>,
    room: Room,
    stall: Stall,
}

/// What is known of the log without reading it.
#[derive(Default)]
struct Index {
    purged: Option<LogId>,
    /// Index of the first entry, or where the next one goes if there are none.
    first: u64,
    /// Of the last entry, if there are any after the purged ones.
    last: Option<LogId>,
    vote: Option<Vote>,
    committed: Option<LogId>,
    /// That mark is still to be written.
    committed_is_new: bool,
    cache: Cache,
}

impl Index {
    /// The mark of what is committed, if it is still to be written.
    fn take_committed(&mut self) -> Option<Bytes> {
        let committed = self.committed.filter(|_| std::mem::take(&mut self.committed_is_new))?;
        Some(record::seal_mark(Mark::Committed, &codec::raft::log_id_to(&committed).encode_to_vec()))
    }
}

impl LogStore {
    /// Reads the marks and checks every record.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidData`] with the place, if something can't be right; else what the disk says.
    pub fn open(
        engine: Arc<dyn LogEngine>,
        failure: Arc<Failure>,
        growth: Arc<Growth>,
        room: Room,
        stall: Stall,
    ) -> io::Result<Self> {
        let mut index = Index {
            purged: mark::<pb::LogId>(&*engine, Mark::Purged)?.as_ref().map(codec::raft::log_id_from),
            committed: mark::<pb::LogId>(&*engine, Mark::Committed)?.as_ref().map(codec::raft::log_id_from),
            ..Index::default()
        };
        if let Some(vote) = mark::<pb::Vote>(&*engine, Mark::Vote)? {
            index.vote = Some(codec::raft::vote_from(Some(&vote))?);
        }
        let first = index.purged.map_or(0, |purged| purged.index + 1);
        finish_purge(&*engine, first)?;
        index.first = first;
        index.last = check(&*engine, first)?;
        let index = Arc::new(Mutex::new(index));
        let durable = {
            let index = index.clone();
            Arc::new(move |last| index.lock().cache.durable(last))
        };
        let storage =
            Storage::start(Worker::new(engine.clone(), failure, stall.clone(), growth.clone(), first, durable))?;
        let floor = AtomicU64::new(u64::MAX);
        Ok(Self { shared: Arc::new(Shared { engine, storage, index, floor, growth, room, stall }) })
    }

    /// Index of the last entry that was purged.
    pub fn purged(&self) -> Option<u64> {
        self.shared.index.lock().purged.map(|id| id.index)
    }

    /// Keeps entries above this index, whatever is purged.
    pub fn keep_above(&self, index: u64) {
        self.shared.floor.store(index, Ordering::Release);
    }

    /// In simulation: waits as long as the disk takes for a file, which is written and synced at once there.
    #[cfg(madsim)]
    pub async fn file_written(&self) {
        /// Of the file, and of its directory.
        const SYNCS: u32 = 2;
        tokio::time::sleep(self.shared.engine.sync_time() * SYNCS).await;
    }

    /// Bytes on disk.
    pub fn disk_bytes(&self) -> u64 {
        self.shared.engine.disk_bytes()
    }

    /// Syncs what is queued and lets go of the disk. Nothing can be written afterwards.
    pub async fn close(&self) {
        let (done, synced) = tokio::sync::oneshot::channel();
        self.shared.storage.submit(match self.shared.index.lock().take_committed() {
            Some(value) => Job::Mark { mark: Mark::Committed, value, done },
            None => Job::Sync { done },
        });
        // An error has become the node's failure already.
        let _ = synced.await;
        let shared = self.shared.clone();
        let _ = runtime::blocking(move || shared.storage.close()).await;
    }

    async fn submit(&self, job: impl FnOnce(worker::Done) -> Job) -> io::Result<()> {
        let (done, result) = tokio::sync::oneshot::channel();
        let _waiting = self.shared.stall.wait();
        self.shared.storage.submit(job(done));
        result.await.map_err(|_| io::Error::other("the log is closed"))?
    }

    /// Consecutive entries of these indexes, until their bytes pass the limit; as many as there are. They begin later than
    /// asked for if the first ones are purged.
    async fn read(&self, start: u64, end: u64, bytes_max: usize) -> io::Result<Vec<LogEntry>> {
        loop {
            let from_disk = {
                let index = self.shared.index.lock();
                let start = start.max(index.first);
                let end = end.min(index.last.map_or(index.first, |last| last.index + 1));
                if start >= end {
                    return Ok(Vec::new());
                }
                match index.cache.first() {
                    Some(cached) if cached <= start => return Ok(index.cache.read(start..end, bytes_max)),
                    cached => start..end.min(cached.unwrap_or(end)),
                }
            };
            match self.read_disk(from_disk.clone(), end, bytes_max).await {
                // They were purged after the look.
                Err(_) if self.shared.index.lock().first > from_disk.start => {}
                read => return read,
            }
        }
    }

    /// Entries that the cache doesn't have, and those behind them that it has.
    async fn read_disk(&self, wanted: Range<u64>, end: u64, bytes_max: usize) -> io::Result<Vec<LogEntry>> {
        let (engine, indexes) = (self.shared.engine.clone(), wanted.clone());
        let records = runtime::blocking(move || engine.read(indexes, bytes_max)).await??;
        let mut entries = Vec::with_capacity(records.len());
        let mut bytes = 0;
        for (expected, (index, record)) in (wanted.start..).zip(&records) {
            if *index != expected {
                return Err(missing(expected));
            }
            bytes += record.len();
            entries.push(record::open_entry(*index, record)?);
        }
        let next = wanted.start + entries.len() as u64;
        if next == wanted.end && next < end && bytes < bytes_max {
            entries.extend(self.shared.index.lock().cache.read(next..end, bytes_max - bytes));
        }
        Ok(entries)
    }
}

fn begins_at(entries: &[LogEntry], index: u64) -> bool {
    entries.first().is_some_and(|first| first.log_id.index == index)
}

fn missing(index: u64) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("tree log, index {index}: the record is missing"))
}

fn mark<M: Message + Default>(engine: &dyn LogEngine, mark: Mark) -> io::Result<Option<M>> {
    engine.mark(mark)?.map(|value| record::open_mark(mark, &value)).transpose()
}

/// Removes what a purge that was cut short has left.
fn finish_purge(engine: &dyn LogEngine, first: u64) -> io::Result<()> {
    if let Some((on_disk, _)) = engine.bounds()?
        && on_disk < first
    {
        engine.write(&[Write::Remove { indexes: on_disk..first }])?;
        engine.sync()?;
    }
    Ok(())
}

/// Reads all records, which must be consecutive and whole. The last one's place.
fn check(engine: &dyn LogEngine, first: u64) -> io::Result<Option<LogId>> {
    let Some((_, end)) = engine.bounds()? else { return Ok(None) };
    let mut last: Option<LogId> = None;
    let mut next = first;
    while next <= end {
        let records = engine.read(next..end + 1, CHECK_BYTES_MAX)?;
        if records.is_empty() {
            return Err(missing(next));
        }
        for (index, record) in &records {
            if *index != next {
                return Err(missing(next));
            }
            last = Some(record::open_entry(*index, record)?.log_id);
            next += 1;
        }
    }
    Ok(last)
}

impl RaftLogReader<TypeConfig> for LogStore {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + Send>(
        &mut self,
        range: RB,
    ) -> Result<Vec<LogEntry>, io::Error> {
        let (start, end) = bounds(&range);
        let mut entries: Vec<LogEntry> = Vec::new();
        loop {
            let next = entries.last().map_or(start, |last| last.log_id.index + 1);
            let more = self.read(next, end, REPLICATE_BYTES_MAX).await?;
            if more.is_empty() {
                return Ok(entries);
            }
            if !begins_at(&more, next) {
                // All before it was purged meanwhile.
                entries.clear();
            }
            entries.extend(more);
        }
    }

    /// Nothing if the first of them is purged; see [`PURGED_UNDER`].
    ///
    /// A stream to a follower may begin, or go on, after the purge of what it was to send next: openraft takes up an older
    /// order again while a snapshot is on its way. Later entries, sent behind the ones that the follower has, would
    /// leave a hole in its log.
    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> Result<Vec<LogEntry>, io::Error> {
        let entries = self.read(start, end, REPLICATE_BYTES_MAX).await?;
        if begins_at(&entries, start) {
            return Ok(entries);
        }
        if self.purged().is_some_and(|purged| purged >= start) {
            #[cfg(madsim)]
            ringfence_probes::hit(ringfence_probes::marks::PURGED_UNDER_READER);
            let _ = PURGED_UNDER.try_with(|purged| purged.store(true, Ordering::Release));
        }
        Ok(Vec::new())
    }

    async fn entries_stream<RB>(&mut self, range: RB) -> impl Stream<Item = Result<LogEntry, io::Error>> + Send
    where
        RB: RangeBounds<u64> + Clone + Debug + Send,
    {
        let (start, end) = bounds(&range);
        let pages = futures::stream::unfold(Some((self.clone(), start)), move |state| async move {
            let (log, next) = state?;
            match log.read(next, end, APPLY_BYTES_MAX).await {
                // What is to be applied is never purged before that.
                Ok(entries) if !entries.is_empty() && !begins_at(&entries, next) => {
                    Some((vec![Err(missing(next))], None))
                }
                Ok(entries) => {
                    let last = entries.last()?.log_id.index;
                    let page: Vec<_> = entries.into_iter().map(Ok).collect();
                    Some((page, Some((log, last + 1))))
                }
                Err(error) => Some((vec![Err(error)], None)),
            }
        });
        Box::pin(futures::StreamExt::flat_map(pages, futures::stream::iter))
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, io::Error> {
        Ok(self.shared.index.lock().vote)
    }
}

fn bounds(range: &impl RangeBounds<u64>) -> (u64, u64) {
    let start = match range.start_bound() {
        Bound::Included(start) => *start,
        Bound::Excluded(start) => start.saturating_add(1),
        Bound::Unbounded => 0,
    };
    let end = match range.end_bound() {
        Bound::Included(end) => end.saturating_add(1),
        Bound::Excluded(end) => *end,
        Bound::Unbounded => u64::MAX,
    };
    (start, end)
}

impl RaftLogStorage<TypeConfig> for LogStore {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<TypeConfig>, io::Error> {
        let index = self.shared.index.lock();
        Ok(LogState { last_purged_log_id: index.purged, last_log_id: index.last.or(index.purged) })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), io::Error> {
        let value = record::seal_mark(Mark::Vote, &codec::raft::vote_to(vote).encode_to_vec());
        self.submit(|done| Job::Mark { mark: Mark::Vote, value, done }).await?;
        self.shared.index.lock().vote = Some(*vote);
        Ok(())
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), io::Error> {
        // Only ever ahead, and never unset: it merely says how far a restart may apply without asking anyone. So it goes along with the
        // next entries, and never ahead of those that are queued.
        if let Some(committed) = committed {
            let mut index = self.shared.index.lock();
            index.committed = Some(committed);
            index.committed_is_new = true;
        }
        Ok(())
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, io::Error> {
        let index = self.shared.index.lock();
        // After a crash the mark, which goes along with later batches, is never ahead of the entries. It can be behind
        // what was purged after an installed snapshot.
        Ok(index.committed.min(index.last.or(index.purged)))
    }

    async fn append<I>(&mut self, entries: I, flushed: Flushed) -> Result<(), io::Error>
    where
        I: IntoIterator<Item = LogEntry> + Send,
        I::IntoIter: Send,
    {
        let mut index = self.shared.index.lock();
        let mut records = Vec::new();
        for entry in entries {
            if index.last.is_none() {
                index.first = entry.log_id.index;
            }
            records.push((entry.log_id.index, record::seal_entry(&entry)));
            index.last = Some(entry.log_id);
            index.cache.push(entry);
        }
        let committed = index.take_committed();
        drop(index);
        let bytes = records.iter().map(|(_, record)| record.len() as u64).sum();
        self.shared.growth.appended(bytes);
        self.shared.room.appended(bytes);
        self.shared.storage.submit(Job::Append { committed, records, flushed });
        Ok(())
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> Result<(), io::Error> {
        let from = last.map_or(0, |last| last.index + 1);
        {
            let mut index = self.shared.index.lock();
            #[cfg(madsim)]
            if index.last.is_some_and(|end| end.index >= from) {
                ringfence_probes::hit(ringfence_probes::marks::LOG_TRUNCATED);
            }
            index.cache.truncate(from);
            if index.last.is_some_and(|end| end.index >= from) {
                index.last = last.filter(|last| last.index >= index.first);
            }
        }
        self.submit(|done| Job::Truncate { from, done }).await
    }

    async fn purge(&mut self, upto: LogId) -> Result<(), io::Error> {
        let upto = self.lower_to_floor(upto).await?;
        {
            let mut index = self.shared.index.lock();
            if index.purged.is_some_and(|purged| purged.index >= upto.index) {
                return Ok(());
            }
            #[cfg(madsim)]
            if index.last.is_some_and(|last| last.index > upto.index) {
                ringfence_probes::hit(ringfence_probes::marks::LOG_PURGED);
            }
            index.purged = Some(upto);
            index.first = upto.index + 1;
            index.last = index.last.filter(|last| last.index > upto.index);
            index.cache.purge(upto.index);
        }
        let value = record::seal_mark(Mark::Purged, &codec::raft::log_id_to(&upto).encode_to_vec());
        self.submit(|done| Job::Purge { upto: upto.index, value, done }).await
    }
}

impl LogStore {
    /// A purge within the log stops at the floor. One that goes past its end, after a snapshot was installed, doesn't.
    async fn lower_to_floor(&self, upto: LogId) -> io::Result<LogId> {
        let floor = self.shared.floor.load(Ordering::Acquire);
        let past_end = self.shared.index.lock().last.is_none_or(|last| last.index < upto.index);
        if past_end || floor >= upto.index {
            return Ok(upto);
        }
        let entry = self.read(floor, floor + 1, 1).await?.into_iter().next();
        // Below the first entry there is nothing to purge: the purged mark stays as it is.
        Ok(entry.map_or_else(|| self.shared.index.lock().purged.unwrap_or(upto), |entry| entry.log_id))
    }
}
