//! A simulated disk: log, marks and files in memory, with a crash that loses what was not synced.

use std::{
    collections::BTreeMap,
    io::{self, Read},
    ops::Range,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use parking_lot::Mutex;

use super::{LogEngine, Mark, Write};
use crate::raft::snapshots::files::{FileWriter, Files};

/// A simulated disk, which outlives a node within the process. A clone is the same disk.
///
/// Who opens it after [`MemoryDisk::crash`] finds what was synced; who opens it after a node merely ended finds everything that was
/// written, as a kernel would keep it.
#[derive(Clone, Debug, Default)]
pub struct MemoryDisk {
    inner: Arc<Mutex<Inner>>,
    #[cfg(not(madsim))]
    gate: Arc<Gate>,
}

/// Where syncs of the log wait while it is shut. In a simulation, where nothing may block, they take time instead.
#[cfg(not(madsim))]
#[derive(Debug, Default)]
struct Gate {
    shut: Mutex<bool>,
    opened: parking_lot::Condvar,
}

#[cfg(not(madsim))]
impl Gate {
    fn pass(&self) {
        self.opened.wait_while(&mut self.shut.lock(), |shut| *shut);
    }
}

#[derive(Debug, Default)]
struct Inner {
    /// Counts the crashes. A handle of an earlier life is dead.
    life: u64,
    log: Log,
    synced: Log,
    /// Written since the last sync, in order.
    pending: Vec<Write>,
    files: BTreeMap<String, Bytes>,
    fail_syncs: bool,
    full: bool,
    /// Bytes that are said to be free, if not without bounds.
    room: Option<u64>,
    sync_time: Duration,
}

#[derive(Clone, Debug, Default)]
struct Log {
    records: BTreeMap<u64, Bytes>,
    marks: BTreeMap<Mark, Bytes>,
}

impl Log {
    fn apply(&mut self, write: &Write) {
        match write {
            Write::Append { index, record } => {
                self.records.insert(*index, record.clone());
            }
            Write::Mark { mark, value } => {
                self.marks.insert(*mark, value.clone());
            }
            Write::Truncate { from } => {
                self.records.split_off(from);
            }
            Write::Remove { indexes } => {
                let kept = self.records.split_off(&indexes.end);
                self.records.split_off(&indexes.start);
                self.records.extend(kept);
            }
        }
    }
}

impl MemoryDisk {
    /// An empty disk.
    pub fn new() -> Self {
        Self::default()
    }

    /// Power cut: what was not synced is lost, and whoever has the disk open can neither read nor write it any more. Call it
    /// before the node is killed, since destructors of a killed node still run. The next start opens what is left.
    pub fn crash(&self) {
        self.crash_keeping(0);
    }

    /// As [`MemoryDisk::crash`], but the first so many of the writes that were not synced happen to have reached the disk.
    pub fn crash_keeping(&self, writes: usize) {
        let mut inner = self.inner.lock();
        let inner = &mut *inner;
        inner.life += 1;
        for write in inner.pending.drain(..).take(writes) {
            inner.synced.apply(&write);
        }
        inner.log = inner.synced.clone();
    }

    /// How many writes a crash would lose now.
    pub fn unsynced(&self) -> usize {
        self.inner.lock().pending.len()
    }

    /// From now on each sync fails, or no longer.
    pub fn fail_syncs(&self, fail: bool) {
        self.inner.lock().fail_syncs = fail;
    }

    /// From now on each sync of the log waits, or no longer: those that wait then go on. The thread that syncs is blocked meanwhile.
    #[cfg(not(madsim))]
    pub fn hold_syncs(&self, hold: bool) {
        *self.gate.shut.lock() = hold;
        self.gate.opened.notify_all();
    }

    /// Flips one bit of the record at this index; false if there is none. For tests of what damage does.
    pub fn damage(&self, index: u64) -> bool {
        let mut inner = self.inner.lock();
        let Some(record) = inner.synced.records.get(&index) else { return false };
        let mut bytes = record.to_vec();
        let Some(byte) = bytes.last_mut() else { return false };
        *byte ^= 1;
        let bytes = Bytes::from(bytes);
        inner.synced.records.insert(index, bytes.clone());
        inner.log.records.insert(index, bytes);
        true
    }

    /// How long a sync takes from now on, in simulated time.
    pub fn set_sync_time(&self, time: Duration) {
        self.inner.lock().sync_time = time;
    }

    /// How long a sync takes.
    pub fn sync_time(&self) -> Duration {
        self.inner.lock().sync_time
    }

    /// The disk has no room from now on, or has again: writes fail.
    pub fn set_full(&self, full: bool) {
        self.inner.lock().full = full;
    }

    /// So many bytes are said to be free from now on. Nothing else depends on it.
    pub fn set_room(&self, bytes: u64) {
        self.inner.lock().room = Some(bytes);
    }

    /// Bytes that are said to be free.
    pub fn room(&self) -> u64 {
        self.inner.lock().room.unwrap_or(u64::MAX)
    }

    /// Flips one bit of one of the durable records; which one is drawn from the number. Its index, if there are records.
    pub fn rot(&self, number: u64) -> Option<u64> {
        let index = {
            let inner = self.inner.lock();
            let place = number.checked_rem(inner.synced.records.len() as u64)?;
            *inner.synced.records.keys().nth(usize::try_from(place).ok()?)?
        };
        self.damage(index).then_some(index)
    }

    /// Flips one bit of the newest file; its name, if there are files.
    pub fn rot_file(&self, number: u64) -> Option<String> {
        let mut inner = self.inner.lock();
        let (name, file) = inner.files.iter_mut().next_back()?;
        let mut bytes = file.to_vec();
        let place = usize::try_from(number.checked_rem(bytes.len() as u64)?).ok()?;
        *bytes.get_mut(place)? ^= 1;
        *file = bytes.into();
        Some(name.clone())
    }

    /// The records that are durable, and a mark.
    #[cfg(madsim)]
    pub(crate) fn durable(&self, mark: Mark) -> (Vec<(u64, Bytes)>, Option<Bytes>) {
        let inner = self.inner.lock();
        let records = inner.synced.records.iter().map(|(index, record)| (*index, record.clone()));
        (records.collect(), inner.synced.marks.get(&mark).cloned())
    }

    /// A handle on the log and the files, which a crash kills.
    pub(crate) fn open(&self) -> Handle {
        Handle { life: self.inner.lock().life, disk: self.clone() }
    }
}

fn full() -> io::Error {
    io::Error::new(io::ErrorKind::StorageFull, "no room is left on the disk")
}

/// An open [`MemoryDisk`].
#[derive(Clone, Debug)]
pub(crate) struct Handle {
    life: u64,
    disk: MemoryDisk,
}

impl Handle {
    fn with<T>(&self, use_it: impl FnOnce(&mut Inner) -> T) -> io::Result<T> {
        let mut inner = self.disk.inner.lock();
        if inner.life != self.life {
            return Err(io::Error::other("the disk is gone: power was cut"));
        }
        Ok(use_it(&mut inner))
    }
}

impl LogEngine for Handle {
    fn write(&self, writes: &[Write]) -> io::Result<()> {
        self.with(|inner| {
            let grows = writes.iter().any(|write| matches!(write, Write::Append { .. } | Write::Mark { .. }));
            if inner.full && grows {
                return Err(full());
            }
            for write in writes {
                inner.log.apply(write);
                inner.pending.push(write.clone());
            }
            Ok(())
        })?
    }

    fn sync(&self) -> io::Result<()> {
        #[cfg(not(madsim))]
        self.disk.gate.pass();
        self.with(|inner| {
            if inner.fail_syncs {
                // As an operating system does it: what it couldn't write it forgets, and the next sync says nothing of it.
                inner.pending.clear();
                return Err(io::Error::other("the sync failed, as it was told to"));
            }
            for write in std::mem::take(&mut inner.pending) {
                inner.synced.apply(&write);
            }
            Ok(())
        })?
    }

    fn read(&self, indexes: Range<u64>, bytes_max: usize) -> io::Result<Vec<(u64, Bytes)>> {
        if indexes.is_empty() {
            return Ok(Vec::new());
        }
        self.with(|inner| {
            let mut bytes = 0;
            let within = inner.log.records.range(indexes).take_while(|(_, record)| {
                let room = bytes < bytes_max;
                bytes += record.len();
                room
            });
            within.map(|(index, record)| (*index, record.clone())).collect()
        })
    }

    fn bounds(&self) -> io::Result<Option<(u64, u64)>> {
        self.with(|inner| {
            let records = &inner.log.records;
            Some((*records.first_key_value()?.0, *records.last_key_value()?.0))
        })
    }

    fn mark(&self, mark: Mark) -> io::Result<Option<Bytes>> {
        self.with(|inner| inner.log.marks.get(&mark).cloned())
    }

    fn disk_bytes(&self) -> u64 {
        let bytes = self.with(|inner| {
            let records: usize = inner.log.records.values().map(Bytes::len).sum();
            let files: usize = inner.files.values().map(Bytes::len).sum();
            records + files
        });
        bytes.unwrap_or(0) as u64
    }

    #[cfg(madsim)]
    fn sync_time(&self) -> Duration {
        self.disk.sync_time()
    }
}

impl Files for Handle {
    fn list(&self) -> io::Result<Vec<String>> {
        self.with(|inner| inner.files.keys().cloned().collect())
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn FileWriter>> {
        self.with(|_| ())?;
        Ok(Box::new(Writing { handle: self.clone(), name: name.to_owned(), bytes: Vec::new() }))
    }

    fn open(&self, name: &str) -> io::Result<(Box<dyn Read + Send>, u64)> {
        let bytes = self.with(|inner| inner.files.get(name).cloned())?;
        let bytes = bytes.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("{name}: no such file")))?;
        let length = bytes.len() as u64;
        Ok((Box::new(io::Cursor::new(bytes)), length))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.with(|inner| {
            let bytes = inner.files.remove(from);
            let bytes =
                bytes.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("{from}: no such file")))?;
            inner.files.insert(to.to_owned(), bytes);
            Ok(())
        })?
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.with(|inner| {
            inner.files.remove(name);
        })
    }
}

/// A file that is written: it is on the disk once it is synced, and not at all before.
struct Writing {
    handle: Handle,
    name: String,
    bytes: Vec<u8>,
}

impl io::Write for Writing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.handle.with(|inner| inner.full)? {
            return Err(full());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl FileWriter for Writing {
    fn sync(&mut self) -> io::Result<()> {
        let bytes = Bytes::copy_from_slice(&self.bytes);
        self.handle.with(|inner| {
            if inner.fail_syncs {
                return Err(io::Error::other("the sync failed, as it was told to"));
            }
            inner.files.insert(self.name.clone(), bytes);
            Ok(())
        })?
    }
}
