//! The log on a disk: a [tail](super::tail) that takes each batch with one sync, and behind it the [database](super::sled), which takes it when nobody
//! waits any more and is synced once for many batches. Why: `docs/decisions/a-tail-before-the-database.md`.
//!
//! What holds them together is the batch's number. It stands in the tail, in the database as that of the last batch that is durable there, and in the
//! `witness`. The database never gets what isn't durable in the tail, and the tail loses nothing that isn't durable in the database. So after
//! a power cut the batches that the database lacks are in the tail, and are put into it again: a batch that it has, or
//! has a part of, is the same afterwards.

use std::{
    io,
    ops::Range,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
};

use bytes::Bytes;
use parking_lot::Mutex;

use super::{
    LogEngine, Mark, Write,
    sled::Database,
    tail::{Batch, TAIL_BYTES, Tail},
    witness::Witness,
};

/// The log on a disk.
pub struct DiskEngine {
    front: Mutex<Front>,
    /// Batches that are durable in the tail, and that the database doesn't have yet.
    behind: Mutex<Vec<(u64, Vec<Write>)>>,
    database: Database,
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
    writes: Vec<Write>,
}

impl DiskEngine {
    /// Opens the database in this directory, and its tail, or makes them. The parent must exist.
    ///
    /// # Errors
    /// If the disk can't be used; [`io::ErrorKind::InvalidData`] if something that was durable isn't there any more.
    pub fn open(path: &Path) -> io::Result<Self> {
        let database = Database::open(path)?;
        let tail = Tail::open(path)?;
        let witness = Witness::open(path)?;
        let behind = tail.after(database.number())?;
        let number = behind.last().map_or(database.number(), |(number, _)| *number);
        witness.check(number)?;
        let front = Front { tail, witness, number, batch: Batch::default(), writes: Vec::new() };
        let engine =
            Self { front: Mutex::new(front), behind: Mutex::new(behind), database, failed: AtomicBool::new(false) };
        engine.catch_up()?;
        Ok(engine)
    }

    /// Has the database durably take everything that the tail has, so that the tail can begin anew.
    fn catch_up(&self) -> io::Result<()> {
        self.settle()?;
        // Noted here, so that no sync is tried again when the engine goes after this, even if it was only being opened.
        self.noting_failure(self.database.make_durable())
    }

    fn take_batch(&self) -> io::Result<()> {
        let mut front = self.front.lock();
        let front = &mut *front;
        if front.writes.is_empty() {
            return Ok(());
        }
        let number = front.number + 1;
        let (batch, writes) = (std::mem::take(&mut front.batch), std::mem::take(&mut front.writes));
        let mut taken = front.tail.append(number, &batch)?;
        if !taken {
            self.catch_up()?;
            front.tail.begin_anew();
            taken = front.tail.append(number, &batch)?;
        }
        self.behind.lock().push((number, writes));
        if !taken {
            // It is larger than the tail.
            self.catch_up()?;
        }
        front.number = number;
        front.witness.note(number)
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
            front.batch.add(write);
        }
        front.writes.extend_from_slice(writes);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        self.noting_failure(self.take_batch())
    }

    fn settle(&self) -> io::Result<()> {
        let mut behind = self.behind.lock();
        for (number, writes) in behind.drain(..) {
            self.noting_failure(self.database.take(number, &writes))?;
        }
        Ok(())
    }

    fn read(&self, indexes: Range<u64>, bytes_max: usize) -> io::Result<Vec<(u64, Bytes)>> {
        self.settle()?;
        self.database.read(indexes, bytes_max)
    }

    fn bounds(&self) -> io::Result<Option<(u64, u64)>> {
        self.settle()?;
        self.database.bounds()
    }

    fn mark(&self, mark: Mark) -> io::Result<Option<Bytes>> {
        self.settle()?;
        self.database.mark(mark)
    }

    fn disk_bytes(&self) -> u64 {
        self.database.disk_bytes() + TAIL_BYTES as u64
    }
}

impl Drop for DiskEngine {
    /// Leaves everything in the database.
    fn drop(&mut self) {
        if self.failed.load(Ordering::Acquire) {
            return;
        }
        if let Err(error) = self.sync().and_then(|()| self.catch_up()) {
            tracing::warn!(%error, "the log was not closed in good order");
        }
    }
}

#[cfg(all(test, not(madsim)))]
#[path = "disk_tests.rs"]
mod tests;
