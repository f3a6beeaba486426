//! The database behind the [tail](super::tail), on sled 0.34.7. No other file names sled.
//!
//! sled alone isn't durable: its `flush` ends in `sync_file_range`, which is no sync. With the following six rules none of thousands of
//! power-cut images lost anything that was acknowledged. `tests/power` goes on trying, and breaks them by name (see [`super::rules`]) to show
//! which it would miss.
//!
//! 1. *The database is made under another name*, its trees opened and flushed, its files and directories synced, and then renamed;
//!    the parent is synced last. sled never syncs `conf`, and a cut while it is made leaves a database that can't be opened.
//! 2. *Before each open, `snap.*.generating` is deleted*: a half-written one makes sled unopenable for good. After each
//!    open, rule 1's syncs are done again, for what recovery wrote.
//! 3. *Values are cut into chunks of 16 KiB*, with segments of 8 MiB: 17 chunks, which is what a leaf can hold, stay well under a
//!    quarter of a segment. Larger leaves go to blob files, which nobody syncs.
//! 4. *Durable means `flush`, then `fdatasync` on our own handle of the file `db`*, and then the acknowledgement.
//! 5. *At most two segments may be written between two such syncs*, since segment headers vouch for data that isn't durable yet. Each
//!    insert and each remove counts its bytes and the share of a leaf's rewriting that it may cause; at half a segment rule 4 is
//!    done, also in the middle of a batch, a truncation or a purge.
//! 6. *sled's own flusher is off* (`flush_every_ms(None)`): it would write at times that nobody counts.
//!
//! Besides: since entries lie in chunks, a cut may leave the last entry incomplete; it was never acknowledged, and [`Database::open`]
//! drops it. What was durable once and is gone is damage: see the `witness`. The purge mark is written, and synced in the tail, before what it
//! covers is removed. After a sync that failed the database is never closed: closing it would sync once more, and sled panics if
//! that fails.

use std::{
    fs::{self, File},
    io,
    ops::Range,
    path::Path,
    sync::{
        Once,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};

use super::{
    Mark, Write, beside,
    rules::{Rule, kept},
};
use crate::raft::{failure::is_full, snapshots::files::sync_parent};

/// Rule 3.
const SEGMENT_BYTES: usize = 8 << 20;
/// Rule 3.
const CHUNK_BYTES: usize = 16 << 10;
/// Rule 5: half a segment.
const UNSYNCED_BYTES_MAX: usize = SEGMENT_BYTES / 2;
/// Rule 5: what one insert or remove may cost beyond its own bytes.
const REWRITE_BYTES: usize = 17 * CHUNK_BYTES / 8 + 64;
/// Pages that sled keeps in memory. The log store has a cache of its own, so few are needed.
const CACHE_BYTES: u64 = 4 << 20;
/// How long an open waits for sled's threads of an earlier open in this process, which hold its lock a little longer.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);
/// Bytes of a key in the log's tree: the index, then the number of the chunk, both big-endian.
const KEY_BYTES: usize = 12;
/// Bytes before the record in its first chunk: the record's length.
const LENGTH_BYTES: usize = 4;

/// In the tree of marks: the number of the last batch that is durable with all of it.
const NUMBER: &str = "syncs";

/// A sled database that holds the log. One thread writes; any may read.
pub struct Database {
    db: sled::Db,
    log: sled::Tree,
    marks: sled::Tree,
    /// Rule 4: our own handle.
    file: File,
    /// Done once a sync has failed.
    left_open: Once,
    /// Rule 5: counted since the last sync.
    unsynced: AtomicUsize,
    /// The number of the last batch that is here with all of it.
    number: AtomicU64,
    /// The number of the last batch that is durable here with all of it.
    durable: AtomicU64,
}

impl Database {
    /// Opens the database in this directory, or makes it. Its parent must exist.
    ///
    /// # Errors
    /// If the directory can't be used, or sled finds damage.
    pub fn open(path: &Path) -> io::Result<Self> {
        if kept(Rule::MadeAside) && !path.exists() {
            create(path)?;
        }
        if kept(Rule::LeftoversDeleted) && path.exists() {
            remove_half_written(path)?;
        }
        let db = open_patiently(path)?;
        let marks = db.open_tree("marks")?;
        let number =
            marks.get(NUMBER)?.and_then(|number| number.as_ref().try_into().ok()).map_or(0, u64::from_be_bytes);
        let engine = Self {
            log: db.open_tree("log")?,
            marks,
            file: File::open(path.join("db"))?,
            left_open: Once::new(),
            unsynced: AtomicUsize::new(0),
            number: AtomicU64::new(number),
            durable: AtomicU64::new(number),
            db,
        };
        engine.db.flush()?;
        if kept(Rule::OpenSynced) {
            sync_all(path)?;
        }
        engine.drop_incomplete_tail()?;
        Ok(engine)
    }

    fn drop_incomplete_tail(&self) -> io::Result<()> {
        while let Some((key, _)) = self.log.last()? {
            let (index, _) = parse_key(&key)?;
            match self.read_record(index) {
                Ok(_) => break,
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => self.remove_record(index)?,
                Err(error) => return Err(error),
            }
        }
        self.make_durable()
    }

    /// The number of the last batch that is here.
    pub fn number(&self) -> u64 {
        self.number.load(Ordering::Acquire)
    }

    /// The number of the last batch that is durable here.
    pub fn durable(&self) -> u64 {
        self.durable.load(Ordering::Acquire)
    }

    /// Rule 5: counts what the next change may write, and syncs first if that would be too much.
    fn count(&self, bytes: usize) -> io::Result<()> {
        let cost = bytes + REWRITE_BYTES;
        let unsynced = self.unsynced.fetch_add(cost, Ordering::AcqRel) + cost;
        if unsynced >= UNSYNCED_BYTES_MAX && kept(Rule::Bounded) {
            self.sync()?;
            self.unsynced.store(cost, Ordering::Release);
        }
        Ok(())
    }

    fn insert(&self, tree: &sled::Tree, key: &[u8], value: Vec<u8>) -> io::Result<()> {
        self.count(key.len() + value.len())?;
        tree.insert(key, value)?;
        Ok(())
    }

    fn append(&self, index: u64, record: &[u8]) -> io::Result<()> {
        let length = u32::try_from(record.len()).map_err(|_| io::Error::other("a record passes 4 GiB"))?;
        let chunk_bytes = if kept(Rule::Chunks) { CHUNK_BYTES } else { usize::MAX };
        let first = record.len().min(chunk_bytes - LENGTH_BYTES);
        let (head, tail) = record.split_at(first);
        let mut value = Vec::with_capacity(LENGTH_BYTES + head.len());
        value.extend_from_slice(&length.to_be_bytes());
        value.extend_from_slice(head);
        self.insert(&self.log, &key(index, 0), value)?;
        for (chunk, number) in tail.chunks(chunk_bytes).zip(1..) {
            self.insert(&self.log, &key(index, number), chunk.to_vec())?;
        }
        Ok(())
    }

    fn remove_record(&self, index: u64) -> io::Result<()> {
        // From the last chunk to the first: a cut in between leaves a record that is seen to be incomplete.
        let chunks: Vec<_> = self.log.scan_prefix(index.to_be_bytes()).keys().collect::<Result<_, _>>()?;
        for key in chunks.iter().rev() {
            self.count(key.len())?;
            self.log.remove(key)?;
        }
        Ok(())
    }

    fn read_record(&self, index: u64) -> io::Result<Bytes> {
        let mut joined = Joined::default();
        for chunk in self.log.scan_prefix(index.to_be_bytes()) {
            let (key, value) = chunk?;
            joined.add(parse_key(&key)?, &value)?;
        }
        joined.take()?.map(|(_, record)| record).ok_or_else(|| incomplete(index, "is missing"))
    }
}

impl Database {
    fn write_all(&self, writes: &[Write]) -> io::Result<()> {
        for write in writes {
            match write {
                Write::Append { index, record } => self.append(*index, record)?,
                Write::Mark { mark, value } => self.insert(&self.marks, mark.name().as_bytes(), value.to_vec())?,
                Write::Truncate { from } => self.truncate(*from)?,
                Write::Remove { indexes } => {
                    self.remove_chunks(indexes.clone(), &mut { usize::MAX })?;
                }
            }
        }
        Ok(())
    }

    fn truncate(&self, from: u64) -> io::Result<()> {
        while let Some((key, _)) = self.log.last()? {
            let (index, _) = parse_key(&key)?;
            if index < from {
                break;
            }
            self.remove_record(index)?;
        }
        Ok(())
    }

    /// Gives the first index of which something may be there still.
    fn remove_chunks(&self, indexes: Range<u64>, chunks_max: &mut usize) -> io::Result<u64> {
        for chunk in self.log.range(key(indexes.start, 0)..key(indexes.end, 0)).keys() {
            let chunk = chunk?;
            let Some(left) = chunks_max.checked_sub(1) else { return Ok(parse_key(&chunk)?.0) };
            *chunks_max = left;
            self.count(chunk.len())?;
            self.log.remove(&chunk)?;
        }
        Ok(indexes.end)
    }

    /// Rule 4.
    fn sync(&self) -> io::Result<()> {
        let number = self.number();
        self.marks.insert(NUMBER, &number.to_be_bytes())?;
        self.db.flush()?;
        if kept(Rule::RealSync) {
            // What it says is never a mere lack of room: the kernel may have forgotten what it couldn't write.
            self.sync_file().map_err(|error| io::Error::other(format!("a sync failed: {error}")))?;
        }
        self.unsynced.store(0, Ordering::Release);
        self.durable.store(number, Ordering::Release);
        Ok(())
    }

    fn sync_file(&self) -> io::Result<()> {
        // The kernel says it once on each handle of the file, so sled's own would hear of it, too, when it closes.
        self.file.sync_data().inspect_err(|_| self.left_open.call_once(|| std::mem::forget(self.db.clone())))
    }

    /// No room is something that can pass, if it is all that is wrong: if what was written before can't be synced either, nobody knows
    /// what is on the disk.
    fn judged<T>(&self, result: io::Result<T>) -> io::Result<T> {
        match result {
            Err(error) if is_full(&error) => match self.sync_file() {
                Ok(()) => Err(error),
                Err(sync) => Err(io::Error::other(format!("{error}, and a sync failed: {sync}"))),
            },
            result => result,
        }
    }
}

impl Drop for Database {
    /// Leaves sled nothing to sync, and so nothing that could fail.
    fn drop(&mut self) {
        if let Err(error) = self.db.flush().map_err(io::Error::from).and_then(|_| self.sync_file()) {
            tracing::warn!(%error, "the log was not closed in good order");
        }
    }
}

impl Database {
    /// Takes the batch with this number. It can be read when this returns, and is durable after the next [`Database::make_durable`]; until
    /// then a part of it may be.
    ///
    /// # Errors
    /// Final: the database can't be used after one.
    pub fn take(&self, number: u64, writes: &[Write]) -> io::Result<()> {
        self.judged(self.write_all(writes))?;
        self.number.store(number, Ordering::Release);
        Ok(())
    }

    /// Removes the record at this index and all after it, none of which it was to take, but a part of which it may have since before it was opened.
    ///
    /// # Errors
    /// Final.
    pub fn cut(&self, from: u64) -> io::Result<()> {
        self.judged(self.truncate(from))
    }

    /// Removes the chunks of these records, the first one first, as many as are allowed at most, and counts down how many are. Gives the
    /// first index of which some may be left.
    ///
    /// # Errors
    /// Final.
    pub fn remove(&self, indexes: Range<u64>, chunks_max: &mut usize) -> io::Result<u64> {
        self.judged(self.remove_chunks(indexes, chunks_max))
    }

    /// Returns when everything taken before is durable.
    ///
    /// # Errors
    /// Final: what is durable is not known after one, and a second call would not tell.
    pub fn make_durable(&self) -> io::Result<()> {
        self.judged(self.sync())
    }

    /// See [`LogEngine::read`](super::LogEngine::read).
    ///
    /// # Errors
    /// As there.
    pub fn read(&self, indexes: Range<u64>, bytes_max: usize) -> io::Result<Vec<(u64, Bytes)>> {
        let mut records = Vec::new();
        if indexes.is_empty() {
            return Ok(records);
        }
        let mut bytes = 0;
        let mut joined = Joined::default();
        for chunk in self.log.range(key(indexes.start, 0)..key(indexes.end, 0)) {
            let (chunk_key, value) = chunk?;
            let place = parse_key(&chunk_key)?;
            if place.1 == 0 {
                if let Some(record) = joined.take()? {
                    bytes += record.1.len();
                    records.push(record);
                }
                if bytes >= bytes_max {
                    return Ok(records);
                }
            }
            joined.add(place, &value)?;
        }
        records.extend(joined.take()?);
        Ok(records)
    }

    /// The first and the last of these indexes, if there are records with them.
    ///
    /// # Errors
    /// If the disk can't be read.
    pub fn bounds(&self, indexes: Range<u64>) -> io::Result<Option<(u64, u64)>> {
        if indexes.is_empty() {
            return Ok(None);
        }
        let mut keys = self.log.range(key(indexes.start, 0)..key(indexes.end, 0)).keys();
        let Some(first) = keys.next().transpose()? else { return Ok(None) };
        let last = keys.next_back().transpose()?.unwrap_or_else(|| first.clone());
        Ok(Some((parse_key(&first)?.0, parse_key(&last)?.0)))
    }

    /// A mark's value.
    ///
    /// # Errors
    /// If the disk can't be read.
    pub fn mark(&self, mark: Mark) -> io::Result<Option<Bytes>> {
        Ok(self.marks.get(mark.name())?.map(|value| Bytes::copy_from_slice(&value)))
    }

    /// Bytes on disk.
    pub fn disk_bytes(&self) -> u64 {
        self.db.size_on_disk().unwrap_or(0)
    }
}

/// A record that is put together from its chunks.
#[derive(Default)]
struct Joined {
    index: u64,
    length: usize,
    next_chunk: u32,
    bytes: BytesMut,
}

impl Joined {
    fn add(&mut self, (index, chunk): (u64, u32), value: &[u8]) -> io::Result<()> {
        if chunk != self.next_chunk || (chunk > 0 && index != self.index) {
            return Err(incomplete(index, "lacks a chunk"));
        }
        let mut value = value;
        if chunk == 0 {
            let Some((length, rest)) = value.split_first_chunk::<LENGTH_BYTES>() else {
                return Err(incomplete(index, "lacks its length"));
            };
            self.index = index;
            self.length = u32::from_be_bytes(*length) as usize;
            value = rest;
        }
        self.bytes.extend_from_slice(value);
        self.next_chunk += 1;
        Ok(())
    }

    /// The record, if one was begun. Ready for the next one then.
    fn take(&mut self) -> io::Result<Option<(u64, Bytes)>> {
        let joined = std::mem::take(self);
        if joined.next_chunk == 0 {
            return Ok(None);
        }
        if joined.bytes.len() != joined.length {
            return Err(incomplete(joined.index, "is cut off"));
        }
        Ok(Some((joined.index, joined.bytes.freeze())))
    }
}

fn key(index: u64, chunk: u32) -> [u8; KEY_BYTES] {
    let mut key = [0; KEY_BYTES];
    let (head, tail) = key.split_at_mut(8);
    head.copy_from_slice(&index.to_be_bytes());
    tail.copy_from_slice(&chunk.to_be_bytes());
    key
}

fn parse_key(key: &[u8]) -> io::Result<(u64, u32)> {
    let parsed = key
        .split_first_chunk::<8>()
        .and_then(|(index, chunk)| Some((u64::from_be_bytes(*index), u32::from_be_bytes(chunk.try_into().ok()?))));
    parsed.ok_or_else(|| {
        io::Error::new(io::ErrorKind::InvalidData, "tree log: a key is not an index and a chunk's number")
    })
}

/// A record of which a part isn't there.
fn incomplete(index: u64, what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, format!("tree log, index {index}: the record {what}"))
}

/// Rule 6, and the sizes of rule 3.
fn config(path: &Path) -> sled::Config {
    sled::Config::new()
        .path(path)
        .segment_size(SEGMENT_BYTES)
        .cache_capacity(CACHE_BYTES)
        .mode(sled::Mode::HighThroughput)
        .flush_every_ms(if kept(Rule::NoFlusher) { None } else { Some(1) })
}

/// Rule 1.
fn create(path: &Path) -> io::Result<()> {
    let other = beside(path, ".new");
    if other.exists() {
        fs::remove_dir_all(&other)?;
    }
    {
        let db = config(&other).open()?;
        db.open_tree("log")?;
        db.open_tree("marks")?;
        db.flush()?;
    }
    sync_all(&other)?;
    fs::rename(&other, path)?;
    sync_parent(path)
}

/// Rules 1 and 2: everything that sled made and may not have synced.
fn sync_all(path: &Path) -> io::Result<()> {
    for file in ["db", "conf", "blobs"] {
        File::open(path.join(file))?.sync_all()?;
    }
    File::open(path)?.sync_all()?;
    sync_parent(path)
}

/// Rule 2.
fn remove_half_written(path: &Path) -> io::Result<()> {
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("snap.") && name.ends_with(".generating") {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn open_patiently(path: &Path) -> io::Result<sled::Db> {
    let begun = Instant::now();
    loop {
        match config(path).open() {
            Err(sled::Error::Io(error)) if error.to_string().contains("lock") && begun.elapsed() < LOCK_PATIENCE => {
                std::thread::sleep(Duration::from_millis(10));
            }
            opened => return Ok(opened?),
        }
    }
}

#[cfg(all(test, not(madsim)))]
#[path = "sled_tests.rs"]
mod tests;
