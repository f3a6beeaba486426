//! Snapshot files: written beside the running state, kept by twos, refused unless whole.
//!
//! A file is written under a temporary name, synced, renamed, and the directory synced; only then does it exist. The newest two
//! stay: if the newest turns out to be damaged, the one before it and the log after it still give the same state, since the
//! log is kept back to there ([`super::log_store::LogStore::keep_above`]).

use std::{
    io::{self, Read},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use parking_lot::Mutex;
use ringfence_core::State;

pub mod files;
pub mod format;
pub mod records;

use files::{FileWriter, Files};

use super::{
    engine::rules::{Rule, kept},
    types::{LogId, SnapshotMeta},
};

/// Files that are kept.
const KEEP: usize = 2;
/// End of the names of files that don't exist yet.
const UNFINISHED: &str = ".tmp";
/// End of the names of snapshots.
pub const SUFFIX: &str = ".snapshot";

/// A whole snapshot in a file.
pub struct SnapshotFile {
    /// Where it is.
    home: Snapshots,
    /// Its name there.
    name: String,
    /// What it says, where it was just read.
    state: Option<Box<State>>,
    /// It was received and not yet installed: it goes when this goes.
    received: Option<Unfinished>,
}

/// The directory of snapshots. Clones are the same directory. Its calls block.
#[derive(Clone)]
pub struct Snapshots {
    inner: Arc<Inner>,
}

/// The newest file. Without its home, which would hold itself.
struct Current {
    meta: SnapshotMeta,
    name: String,
    bytes: u64,
    state: Option<Box<State>>,
}

impl std::fmt::Debug for Snapshots {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Snapshots")
    }
}

struct Inner {
    files: Arc<dyn Files>,
    cluster: u64,
    /// The newest.
    current: Mutex<Option<Current>>,
    /// Names of damaged files: they go when the next snapshot stands.
    refused: Mutex<Vec<String>>,
    /// Numbers temporary names.
    unfinished: AtomicU64,
}

impl Snapshots {
    /// Opens the directory, removes unfinished files and reads the newest snapshot that is whole; its file carries the state
    /// then. Also says which newer files were refused, and why.
    ///
    /// # Errors
    /// If the directory can't be read.
    pub fn open(files: Arc<dyn Files>, cluster: u64) -> io::Result<(Self, Vec<String>)> {
        let mut names = files.list()?;
        for name in names.extract_if(.., |name| !name.ends_with(SUFFIX)) {
            if name.ends_with(UNFINISHED) {
                files.remove(&name)?;
            }
        }
        names.sort();
        let mut refused = Vec::new();
        let inner = Inner {
            files: files.clone(),
            cluster,
            current: Mutex::default(),
            refused: Mutex::default(),
            unfinished: AtomicU64::new(0),
        };
        let snapshots = Self { inner: Arc::new(inner) };
        for name in names.into_iter().rev() {
            let (mut input, bytes) = files.open(&name)?;
            match format::read(&mut *input, cluster) {
                Ok((meta, state)) => {
                    let current = Current { meta, name, bytes, state: Some(Box::new(state)) };
                    *snapshots.inner.current.lock() = Some(current);
                    break;
                }
                Err(error) => {
                    refused.push(format!("snapshot file {name}: {error}"));
                    snapshots.inner.refused.lock().push(name);
                }
            }
        }
        Ok((snapshots, refused))
    }

    /// The newest snapshot.
    pub fn current(&self) -> Option<(SnapshotMeta, SnapshotFile)> {
        let current = self.inner.current.lock();
        let current = current.as_ref()?;
        let (name, state) = (current.name.clone(), current.state.clone());
        Some((current.meta.clone(), SnapshotFile { home: self.clone(), name, state, received: None }))
    }

    /// Makes a file the newest. False if it is that already; then the state that it carries is forgotten, so that memory isn't held for it.
    fn set_current(&self, meta: &SnapshotMeta, name: &str) -> io::Result<bool> {
        let mut current = self.inner.current.lock();
        if let Some(current) = current.as_mut().filter(|current| current.name == name) {
            current.state = None;
            return Ok(false);
        }
        let (_, bytes) = self.inner.files.open(name)?;
        *current = Some(Current { meta: meta.clone(), name: name.to_owned(), bytes, state: None });
        Ok(true)
    }

    /// Writes a snapshot, which is durable when this returns. Older ones than the one before it are removed.
    ///
    /// # Errors
    /// What the disk says. The node can go on: the log is kept.
    pub fn write(&self, meta: &SnapshotMeta, state: &State) -> io::Result<SnapshotFile> {
        let mut unfinished = self.begin()?;
        format::write(&mut unfinished.out, self.inner.cluster, meta, state)?;
        let name = unfinished.finish(meta)?;
        self.set_current(meta, &name)?;
        self.prune(KEEP)?;
        Ok(SnapshotFile { home: self.clone(), name, state: None, received: None })
    }

    /// Begins a file that another member sends.
    ///
    /// # Errors
    /// If the directory can't be written.
    pub fn begin(&self) -> io::Result<Unfinished> {
        let number = self.inner.unfinished.fetch_add(1, Ordering::Relaxed);
        let name = format!("{number}{UNFINISHED}");
        let out = self.inner.files.create(&name)?;
        Ok(Unfinished { snapshots: self.clone(), name, out: Counted { out, bytes: 0 }, finished: false })
    }

    /// Makes a file the newest, and the only one unless it is the newest already. What it says.
    ///
    /// # Errors
    /// If it can't be read, or the directory can't be written.
    pub fn install(&self, meta: &SnapshotMeta, mut file: SnapshotFile) -> io::Result<State> {
        if !Arc::ptr_eq(&file.home.inner, &self.inner) {
            file = self.copy(&file)?;
        }
        let state = match file.state.take() {
            Some(state) => *state,
            None => self.read(&file)?.1,
        };
        if let Some(mut received) = file.received.take() {
            file.name = received.finish(meta)?;
        }
        if self.set_current(meta, &file.name)? {
            self.prune(1)?;
        }
        Ok(state)
    }

    fn copy(&self, file: &SnapshotFile) -> io::Result<SnapshotFile> {
        let (mut input, _) = file.home.bytes(file)?;
        let mut unfinished = self.begin()?;
        io::copy(&mut input, &mut unfinished.out)?;
        unfinished.receive().map(|(_, file)| file)
    }

    /// What a file says.
    ///
    /// # Errors
    /// See [`format::read`].
    pub fn read(&self, file: &SnapshotFile) -> io::Result<(SnapshotMeta, State)> {
        let (mut input, _) = self.inner.files.open(&file.name)?;
        format::read(&mut *input, self.inner.cluster)
    }

    /// The bytes of a file, and their number.
    ///
    /// # Errors
    /// If it isn't there any more.
    pub fn bytes(&self, file: &SnapshotFile) -> io::Result<(Box<dyn Read + Send>, u64)> {
        self.inner.files.open(&file.name)
    }

    /// Bytes of all snapshots.
    pub fn disk_bytes(&self) -> u64 {
        self.inner.current.lock().as_ref().map_or(0, |current| current.bytes)
    }

    /// Removes what was refused, and all but the newest so many.
    fn prune(&self, keep: usize) -> io::Result<()> {
        let Some(current) = self.inner.current.lock().as_ref().map(|current| current.name.clone()) else {
            return Ok(());
        };
        let refused = std::mem::take(&mut *self.inner.refused.lock());
        for name in refused.iter().filter(|name| **name != current) {
            self.inner.files.remove(name)?;
        }
        let mut names = self.inner.files.list()?;
        names.retain(|name| name.ends_with(SUFFIX) && *name != current);
        names.sort();
        let removed = names.len().saturating_sub(keep.saturating_sub(1));
        for name in names.iter().take(removed) {
            self.inner.files.remove(name)?;
        }
        Ok(())
    }
}

/// A file that is being written. Dropped before its end, it is removed.
pub struct Unfinished {
    snapshots: Snapshots,
    name: String,
    out: Counted,
    finished: bool,
}

impl Unfinished {
    /// Adds bytes that another member sent.
    ///
    /// # Errors
    /// What the disk says.
    pub fn add(&mut self, bytes: &[u8]) -> io::Result<()> {
        io::Write::write_all(&mut self.out, bytes)
    }

    /// Bytes so far.
    pub fn bytes(&self) -> u64 {
        self.out.bytes
    }

    /// Reads all of what another member sent. It has no name yet: [`Snapshots::install`] gives it one.
    ///
    /// # Errors
    /// See [`format::read`].
    pub fn receive(mut self) -> io::Result<(SnapshotMeta, SnapshotFile)> {
        self.out.out.sync()?;
        let home = self.snapshots.clone();
        let (mut input, _) = home.inner.files.open(&self.name)?;
        let (meta, state) = format::read(&mut *input, home.inner.cluster)?;
        let (name, state) = (self.name.clone(), Some(Box::new(state)));
        Ok((meta, SnapshotFile { home, name, state, received: Some(self) }))
    }

    fn finish(&mut self, meta: &SnapshotMeta) -> io::Result<String> {
        if kept(Rule::SnapshotSynced) {
            self.out.out.sync()?;
        } else {
            io::Write::flush(&mut self.out)?;
        }
        let name = name(meta.last_log_id.as_ref());
        self.snapshots.inner.files.rename(&self.name, &name)?;
        self.finished = true;
        Ok(name)
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.finished {
            // The next start removes it if this can't.
            let _ = self.snapshots.inner.files.remove(&self.name);
        }
    }
}

/// Counts what is written.
struct Counted {
    out: Box<dyn FileWriter>,
    bytes: u64,
}

impl io::Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Names sort as what they cover.
fn name(last: Option<&LogId>) -> String {
    let (index, term) = last.map_or((0, 0), |last| (last.index, last.leader_id.term));
    format!("{index:020}-{term:020}{SUFFIX}")
}

/// Index of the last entry that a file of this name covers.
fn covered(name: &str) -> Option<u64> {
    name.split_once('-')?.0.parse().ok()
}

impl Snapshots {
    /// Index that the snapshot before the newest covers, if there is one: above it the log is kept.
    pub fn previous_covered(&self) -> Option<u64> {
        let mut names = self.inner.files.list().ok()?;
        let refused = self.inner.refused.lock();
        names.retain(|name| name.ends_with(SUFFIX) && !refused.contains(name));
        let mut covered: Vec<u64> = names.iter().filter_map(|name| covered(name)).collect();
        covered.sort_unstable_by(|a, b| b.cmp(a));
        covered.get(1).copied()
    }
}

#[cfg(all(test, not(madsim)))]
#[path = "snapshot_tests.rs"]
mod tests;
