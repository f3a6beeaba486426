//! The log on a disk: a [tail](super::tail) that takes each batch with one sync, and behind it the [database](super::sled), which takes it when it must
//! and is synced once for many batches. Why: `docs/decisions/a-tail-before-the-database.md`.
//!
//! What holds them together is the batch's number. It stands in the tail, in the database as that of the last batch that is durable there, and in the
//! `witness`. The database never gets what isn't durable in the tail, and the tail loses nothing that isn't durable in the database. So after
//! a power cut the batches that the database lacks are in the tail, and follow it again: a batch that it has, or
//! has a part of, is the same afterwards.
//!
//! What is removed from the log while it is [behind](super::behind) the database never goes there. The removal is itself a batch that the database
//! doesn't have yet, so that after a power cut it is found along with what it removes.

use std::{
    io,
    ops::Range,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use parking_lot::Mutex;

use super::{
    LogEngine, Mark, Settled, Write,
    behind::Behind,
    frame::Batch,
    sled::Database,
    tail::{Placed, SEGMENT_BYTES, Tail, TailFile, Written},
    witness::Witness,
};

/// Pieces of records that the database removes at once at most, since the next batch waits for it.
const REMOVED_AT_ONCE: usize = 16;

/// The log on a disk.
pub struct DiskEngine {
    front: Mutex<Front>,
    /// Held while the database takes something. Whoever holds both took the front first.
    behind: Mutex<Behind>,
    /// Bytes of frames beyond which the database takes the oldest.
    behind_max: usize,
    file: Arc<TailFile>,
    database: Database,
    /// Bytes of frames that weren't told yet. See [`Settled`].
    placed: AtomicU64,
    /// Something failed: what is where isn't known any more.
    failed: AtomicBool,
}

/// What takes batches.
struct Front {
    tail: Tail,
    witness: Witness,
    /// Of the last batch that is durable.
    number: u64,
    /// The next batch.
    batch: Batch,
}

impl DiskEngine {
    /// Opens the database in this directory, and its tail, or makes them. The parent must exist. The tail may grow to so many bytes, and has a
    /// segment at least.
    ///
    /// # Errors
    /// If the disk can't be used; [`io::ErrorKind::InvalidData`] if something that was durable isn't there any more.
    pub fn open(path: &Path, tail_bytes_max: u64) -> io::Result<Self> {
        let segments_max = (tail_bytes_max / SEGMENT_BYTES as u64).max(1);
        let database = Database::open(path)?;
        let (tail, found) = Tail::open(path, segments_max, database.number())?;
        let witness = Witness::open(path)?;
        let (number, place) = match found.last() {
            Some(last) => (last.number, tail.file().path().to_owned()),
            None => (database.number(), path.join("db")),
        };
        witness.check(number, &place)?;
        let file = tail.file().clone();
        // One is being filled, and another got ready.
        let behind_max = usize::try_from(segments_max.saturating_sub(2)).unwrap_or(0).saturating_mul(SEGMENT_BYTES);
        let front = Mutex::new(Front { tail, witness, number, batch: Batch::default() });
        let (behind, placed, failed) = (Mutex::default(), AtomicU64::new(0), AtomicBool::new(false));
        let engine = Self { front, behind, behind_max, file, database, placed, failed };
        // Noted here, so that no sync is tried again when the engine goes after this, even if it was only being opened.
        engine.noting_failure(found.into_iter().try_for_each(|written| engine.follow(written)))?;
        Ok(engine)
    }

    /// Has a batch that is durable in the tail follow those before it.
    fn follow(&self, written: Written) -> io::Result<()> {
        self.placed.fetch_add(written.bytes as u64, Ordering::Relaxed);
        let mut behind = self.behind.lock();
        if behind.fits(&written.kept) {
            return behind.add(written, &self.database);
        }
        behind.take_alone(&written, &self.file, &self.database)
    }

    /// Makes what was written durable.
    fn take_batch(&self, front: &mut Front) -> io::Result<()> {
        if front.batch.is_empty() {
            return Ok(());
        }
        let number = front.number + 1;
        let mut placed = front.tail.append(number, &mut front.batch)?;
        if placed == Placed::NoRoom {
            self.make_room(&mut front.tail)?;
            placed = front.tail.append(number, &mut front.batch)?;
        }
        if !matches!(placed, Placed::At(..)) {
            front.tail.end_segment();
            self.behind.lock().take_all(&self.file, &self.database)?;
            self.database.take(number, &front.batch.writes())?;
            self.database.make_durable()?;
        }
        let kept = front.batch.take_kept();
        if let Placed::At(at, bytes) = placed {
            self.follow(Written { number, at, bytes, kept })?;
        }
        front.number = number;
        Ok(())
    }

    /// Has the next frame begin a segment.
    fn make_room(&self, tail: &mut Tail) -> io::Result<()> {
        while !tail.begin_segment(self.database.durable()) {
            let Some(oldest) = tail.oldest() else { return Ok(()) };
            if self.database.number() < oldest {
                if tail.grow(true)? {
                    continue;
                }
                let mut behind = self.behind.lock();
                while self.database.number() < oldest && behind.take_oldest(&self.file, &self.database)? {}
            }
            self.database.make_durable()?;
        }
        Ok(())
    }

    /// Has the database take what needn't be behind it any more. True if there is more.
    fn settle_behind(&self) -> io::Result<bool> {
        let mut behind = self.behind.lock();
        while behind.bytes() > self.behind_max {
            behind.take_oldest(&self.file, &self.database)?;
        }
        behind.take_void(REMOVED_AT_ONCE, &self.file, &self.database)
    }

    /// Has the witness know of what is durable, and gets the next segment ready, which nobody waits for yet.
    fn settle_front(&self) -> io::Result<()> {
        let mut front = self.front.lock();
        let Front { tail, witness, number, .. } = &mut *front;
        witness.note(*number)?;
        if tail.is_ready(self.database.durable()) {
            return Ok(());
        }
        match tail.oldest() {
            Some(oldest) if oldest <= self.database.number() => self.database.make_durable(),
            _ => tail.grow(false).map(drop),
        }
    }

    fn noting_failure<T>(&self, result: io::Result<T>) -> io::Result<T> {
        if result.is_err() {
            self.failed.store(true, Ordering::Release);
        }
        result
    }
}

impl LogEngine for DiskEngine {
    fn write(&self, writes: &[Write]) -> io::Result<()> {
        let mut front = self.front.lock();
        for write in writes {
            if !front.batch.fits(write) {
                self.noting_failure(self.take_batch(&mut front))?;
            }
            front.batch.add(write);
        }
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        self.noting_failure(self.take_batch(&mut self.front.lock()))
    }

    fn settle(&self) -> io::Result<Settled> {
        let more = self.noting_failure(self.settle_behind())?;
        self.noting_failure(self.settle_front())?;
        Ok(Settled { more, placed_bytes: self.placed.swap(0, Ordering::Relaxed) })
    }

    fn read(&self, indexes: Range<u64>, bytes_max: usize) -> io::Result<Vec<(u64, Bytes)>> {
        self.behind.lock().read(indexes, bytes_max, &self.file, &self.database)
    }

    fn bounds(&self) -> io::Result<Option<(u64, u64)>> {
        self.behind.lock().bounds(&self.database)
    }

    fn mark(&self, mark: Mark) -> io::Result<Option<Bytes>> {
        self.behind.lock().mark(mark, &self.file, &self.database)
    }

    fn disk_bytes(&self) -> u64 {
        self.database.disk_bytes() + self.file.bytes()
    }
}

impl Drop for DiskEngine {
    /// Leaves what was written durable, and what the database has taken durable there.
    fn drop(&mut self) {
        if self.failed.load(Ordering::Acquire) {
            return;
        }
        if let Err(error) = self.sync().and_then(|()| self.settle()).and_then(|_| self.database.make_durable()) {
            tracing::warn!(%error, "the log was not closed in good order");
        }
    }
}

#[cfg(all(test, not(madsim)))]
#[path = "disk_tests.rs"]
mod tests;
